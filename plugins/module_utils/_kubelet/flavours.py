# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The flavours of kubelet: how to recognise each on a node, and where it has what."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._node.errors import ConfigurationError
from .._node.paths import DEVICE_PLUGINS, KUBELET_ROOT, MICROK8S_KUBELET_ROOT

KUBEADM, K3S, RKE2, MICROK8S, CANONICAL, K0S = "kubeadm", "k3s", "rke2", "microk8s", "canonical", "k0s"
OPENSHIFT3, OPENSHIFT4 = "openshift3", "openshift4"
# Both are configured alike.
RANCHERS = (K3S, RKE2)

# The files of our own. Read after what others number from 00 to 98.
DROP_IN_NAME = "99-accel-qat.conf"
ARGUMENTS_NAME = "99-accel-qat.yaml"

# From this Kubernetes on K3s and RKE2 start kubelet with a --config-dir of their own.
RANCHER_DROP_INS_SINCE = 32
# The hard eviction thresholds that both give kubelet before that as a flag (K3s, pkg/daemons/agent/agent_linux.go).
RANCHER_THRESHOLDS = {"imagefs.available": "5%", "nodefs.available": "5%"}
# In their data directory.
RANCHER_DROP_INS = "/agent/etc/kubelet.conf.d"


def arguments_dir(config: str) -> str:
    """Where K3s and RKE2 read more files after their configuration file."""
    return f"{config}.d"


@dataclass(frozen=True)
class Flavour:
    """One way to run a kubelet. Paths are the node's own; `markers` are there where it is installed."""

    name: str
    title: str
    markers: tuple[str, ...]
    # Names of the programs that are, or contain, the kubelet; the first one's version is asked for.
    programs: tuple[str, ...]
    # Of the units that exist, the first is the kubelet's; one that is active comes first.
    units: tuple[str, ...]
    kubelet_dir: str = KUBELET_ROOT
    # Where kubelet.sock is.
    device_plugins_dir: str = f"{KUBELET_ROOT}/{DEVICE_PLUGINS}"
    # Its own configuration file, where the command line does not say.
    config: str = ""
    # The directory of drop-ins, where nothing says otherwise.
    drop_ins: str = ""
    # How the program is asked for its version.
    asks: tuple[str, ...] = ("--version",)
    # Where that program is, if in none of the usual directories.
    program: str = ""


FLAVOURS = (
    Flavour(
        KUBEADM,
        "kubeadm, or any kubelet with --config",
        ("/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet.conf"),
        ("kubelet",),
        ("kubelet.service",),
        config="/var/lib/kubelet/config.yaml",
    ),
    Flavour(
        K3S,
        "K3s",
        ("/etc/rancher/k3s", "/var/lib/rancher/k3s/agent"),
        ("k3s",),
        ("k3s.service", "k3s-agent.service"),
        config="/etc/rancher/k3s/config.yaml",
        drop_ins="/var/lib/rancher/k3s" + RANCHER_DROP_INS,
    ),
    Flavour(
        RKE2,
        "RKE2",
        ("/etc/rancher/rke2", "/var/lib/rancher/rke2/agent"),
        ("rke2",),
        ("rke2-agent.service", "rke2-server.service"),
        config="/etc/rancher/rke2/config.yaml",
        drop_ins="/var/lib/rancher/rke2" + RANCHER_DROP_INS,
    ),
    Flavour(
        MICROK8S,
        "MicroK8s",
        ("/var/snap/microk8s/current/args/kubelet",),
        ("kubelite",),
        ("snap.microk8s.daemon-kubelite.service", "snap.microk8s.daemon-kubelet.service"),
        kubelet_dir=MICROK8S_KUBELET_ROOT,
        device_plugins_dir=f"{MICROK8S_KUBELET_ROOT}/{DEVICE_PLUGINS}",
        config="/var/snap/microk8s/current/args/kubelet",
    ),
    Flavour(
        CANONICAL,
        "Canonical Kubernetes",
        ("/var/snap/k8s/common/args/kubelet",),
        ("kubelet",),
        ("snap.k8s.kubelet.service",),
        config="/var/snap/k8s/common/args/kubelet",
        program="/snap/k8s/current/bin/kubelet",
    ),
    Flavour(
        K0S,
        "k0s",
        ("/var/lib/k0s/kubelet-config.yaml", "/var/lib/k0s/bin/kubelet"),
        ("k0s",),
        ("k0sworker.service", "k0scontroller.service"),
        kubelet_dir="/var/lib/k0s/kubelet",
        config="/var/lib/k0s/kubelet-config.yaml",
        asks=("version",),
    ),
    Flavour(
        OPENSHIFT3,
        "OpenShift 3.x",
        ("/etc/origin/node/node-config.yaml",),
        ("hyperkube", "openshift"),
        ("atomic-openshift-node.service", "origin-node.service"),
        kubelet_dir="/var/lib/origin/openshift.local.volumes",
        config="/etc/origin/node/node-config.yaml",
        asks=("version",),
    ),
    Flavour(
        OPENSHIFT4,
        "OpenShift 4",
        ("/etc/machine-config-daemon/currentconfig",),
        ("kubelet", "hyperkube"),
        ("kubelet.service",),
        config="/etc/kubernetes/kubelet.conf",
    ),
)

BY_NAME = {flavour.name: flavour for flavour in FLAVOURS}
AUTO = "auto"
CHOICES = (AUTO, *BY_NAME)

# Where the snap says which Kubernetes it brings; kubelite itself does not tell.
MICROK8S_SNAP = "/snap/microk8s/current/meta/snap.yaml"
# What its file of arguments may have in it.
MICROK8S_VARIABLES = {"SNAP_COMMON": "/var/snap/microk8s/common", "SNAP_DATA": "/var/snap/microk8s/current"}


class MissingError(ConfigurationError):
    """The node has no kubelet."""


class Process(t.NamedTuple):
    """A process of the host that is, or may contain, a kubelet."""

    pid: int
    program: str
    words: tuple[str, ...]
    parent: int = 0


def belongs_to(process: Process) -> str:
    """The flavour that starts such a process, empty when that cannot be told from it."""
    name = process.program.rpartition("/")[2]
    if process.program.startswith("/snap/k8s/"):
        return CANONICAL
    if name == K0S or "/k0s/bin/" in process.program:
        return K0S
    for flavour in (K3S, RKE2):
        if name == flavour or f"/rancher/{flavour}/" in process.program:
            return flavour
    return {"kubelite": MICROK8S, "hyperkube": OPENSHIFT3, "openshift": OPENSHIFT3}.get(name, "")


def detect(marked: t.Collection[str], processes: t.Sequence[Process], programs: t.Collection[str]) -> str:
    """The node's flavour, from the flavours that have a marker there, the running processes, and kubelets found.

    Raises MissingError where there is no kubelet, ConfigurationError where there is more than one flavour and none of them is the one
    that runs.
    """
    if OPENSHIFT4 in marked:
        return OPENSHIFT4
    kubelets = [process for process in processes if process.program.rpartition("/")[2] == "kubelet"]
    found = {name for name in marked if name != KUBEADM}
    running = {name for name in map(belongs_to, processes) if name}
    # A running kubelet that no other flavour has started. Its directory alone says nothing: all of them have one. Those of RKE2 and
    # k0s are in the data directory, which can be any.
    own = not {RKE2, K0S} & running and any(not belongs_to(process) for process in kubelets)
    if own:
        running.add(OPENSHIFT3 if found == {OPENSHIFT3} else KUBEADM)
    if len(running) == 1:
        return running.pop()
    found |= running or (set() if found else {KUBEADM} & (set(marked) | set(programs)))
    if len(found) == 1:
        return found.pop()
    if not found:
        raise MissingError(
            "no kubelet is found on this node",
            "flavour",
            "install Kubernetes first, or set flavour, and kubelet to the path of the program",
        )
    raise ConfigurationError(
        f"the node has {' and '.join(BY_NAME[name].title for name in sorted(found))}",
        "flavour",
        "set it to the one that runs here",
    )
