# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MicroK8s and Canonical Kubernetes: snaps, with a file of flags that a shell reads."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..._node.facts.paths import DEVICE_PLUGINS, MICROK8S_KUBELET_ROOT
from ..._node.fields import lines_in
from .base import (
    Files,
    Flavour,
    Process,
    Stated,
)

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

# Where the snap says which Kubernetes it brings; kubelite itself does not say.
_MICROK8S_SNAP = "/snap/microk8s/current/meta/snap.yaml"


@dataclass(frozen=True)
class Snap(Flavour):
    """One of the snaps; `snap` is its name."""

    files: Files = Files.LINES
    snap: str = ""

    def has_started(self, process: Process) -> bool:
        return process.program.startswith(f"/snap/{self.snap}/")

    def arguments(self, machine: Machine, config: str) -> list[str]:
        text = machine.read(config) or ""
        for name, value in self._variables.items():
            text = text.replace(f"${{{name}}}", value).replace(f"${name}/", f"{value}/")
        lines = (line.strip() for line in lines_in(text))
        return [re.sub(r"^(--[\w-]+)\s+", r"\1=", line) for line in lines if line.startswith("-")]

    @property
    def _variables(self) -> t.Mapping[str, str]:
        """Those of a snap that its file of flags may have in it."""
        return {"SNAP_COMMON": f"/var/snap/{self.snap}/common", "SNAP_DATA": f"/var/snap/{self.snap}/current"}


class _MicroK8s(Snap):
    def has_started(self, process: Process) -> bool:
        return process.name == "kubelite"

    def stated_version(self, machine: Machine) -> Stated:
        found = re.search(r"^version:\s*(\S+)", machine.read(_MICROK8S_SNAP) or "", re.M)
        return Stated(found.group(1).strip("'\"") if found else "", _MICROK8S_SNAP)


MICROK8S = _MicroK8s(
    "microk8s",
    "MicroK8s",
    ("/var/snap/microk8s/current/args/kubelet",),
    ("kubelite",),
    ("snap.microk8s.daemon-kubelite.service", "snap.microk8s.daemon-kubelet.service"),
    kubelet_dir=MICROK8S_KUBELET_ROOT,
    device_plugins_dir=f"{MICROK8S_KUBELET_ROOT}/{DEVICE_PLUGINS}",
    config="/var/snap/microk8s/current/args/kubelet",
    snap="microk8s",
)

CANONICAL = Snap(
    "canonical",
    "Canonical Kubernetes",
    ("/var/snap/k8s/common/args/kubelet",),
    ("kubelet",),
    ("snap.k8s.kubelet.service",),
    config="/var/snap/k8s/common/args/kubelet",
    program="/snap/k8s/current/bin/kubelet",
    snap="k8s",
)
