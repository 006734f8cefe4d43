# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The flavours of kubelet, one file each or for a family; here is the table of them, and which one a node has.

Only these files compare with a flavour: everybody else asks it.
"""

from __future__ import annotations

import typing as t

from ..._node.errors import ConfigurationError
from .base import Flavour, Process
from .k0s import K0S
from .kubeadm import KUBEADM
from .openshift3 import OPENSHIFT3
from .openshift4 import OPENSHIFT4
from .rancher import K3S, RKE2
from .snaps import CANONICAL, MICROK8S

FLAVOURS: tuple[Flavour, ...] = (KUBEADM, K3S, RKE2, MICROK8S, CANONICAL, K0S, OPENSHIFT3, OPENSHIFT4)

BY_NAME: t.Mapping[str, Flavour] = {flavour.name: flavour for flavour in FLAVOURS}
AUTO = "auto"
CHOICES = (AUTO, *BY_NAME)

# Every program that is, or contains, a kubelet.
PROGRAMS = frozenset(name for flavour in FLAVOURS for name in flavour.programs)

# The one of a kubelet that no other has started.
ANY = next(flavour for flavour in FLAVOURS if flavour.is_any)


class MissingError(ConfigurationError):
    """The node has no kubelet."""


def belongs_to(process: Process) -> Flavour | None:
    """The flavour that starts such a process, None when it does not show that."""
    return next((flavour for flavour in FLAVOURS if flavour.has_started(process)), None)


def detect(marked: t.Collection[Flavour], processes: t.Sequence[Process], has_program: bool) -> Flavour:
    """The node's flavour, from those that have a marker there, the running processes, and whether a program kubelet was found.

    Raises MissingError where there is no kubelet, ConfigurationError where there is more than one flavour and none of them is the one
    that runs.
    """
    for flavour in marked:
        if flavour.marker_decides:
            return flavour
    found = {flavour for flavour in marked if not flavour.is_any}
    running = {flavour for flavour in map(belongs_to, processes) if flavour is not None}
    # A running kubelet that no other flavour has started. Its directory alone says nothing: all of them have one.
    strays = any(process.name == "kubelet" and belongs_to(process) is None for process in processes)
    if strays and not any(flavour.starts_kubelet for flavour in running):
        alone = next(iter(found)) if len(found) == 1 else ANY
        running.add(alone if alone.takes_stray else ANY)
    if len(running) == 1:
        return running.pop()
    found |= running
    if not found and (has_program or ANY in marked):
        return ANY
    if len(found) == 1:
        return found.pop()
    if not found:
        raise MissingError(
            "no kubelet is found on this node",
            "flavour",
            "install Kubernetes first, or set flavour, and kubelet to the path of the program",
        )
    raise ConfigurationError(
        f"the node has {' and '.join(flavour.title for flavour in sorted(found, key=lambda one: one.name))}",
        "flavour",
        "set it to the one that runs here",
    )
