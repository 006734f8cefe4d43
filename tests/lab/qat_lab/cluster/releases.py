# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of Kubernetes that a cluster can be of, each with all in which it differs from the others."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.accel.qat.tools.building.debian import BOOKWORM, TRIXIE, Debian

from ..errors import LabError

_QUIET = ("--secure-port=0", "--leader-elect=false")


@dataclass(frozen=True)
class Release:
    """A release of Kubernetes; nothing else asks for its number in order to know what it can do."""

    version: str
    debian: Debian
    """What its nodes run; etcd comes from there too."""
    kubeadm_api: str = "kubeadm.k8s.io/v1beta4"
    """The version of the files that its kubeadm reads."""
    arguments_by_name: bool = False
    """Whether these have the arguments of kubelet as a mapping; else as a list, in which one may stand twice."""
    component_flags: tuple[str, ...] = _QUIET
    """Have kube-scheduler and kube-controller-manager listen nowhere, and be alone."""
    packaged: bool = False
    """Whether it is compiled from Debian's source package; else from modules, by kubernetes/NAME/go.mod."""
    containerd: str = ""
    """Which one is compiled for its nodes; they have Debian's if there is none."""
    drop_ins: bool = True
    """Whether its kubelet takes a directory of drop-ins without more."""
    plugins_gate: bool = False
    """Whether its kubelet still has the gate DevicePlugins."""

    @property
    def name(self) -> str:
        """Major and minor number."""
        return self.version.rpartition(".")[0]


_ALL = (
    Release(
        "1.20.2",
        BOOKWORM,
        kubeadm_api="kubeadm.k8s.io/v1beta2",
        arguments_by_name=True,
        component_flags=("--port=0", *_QUIET),
        packaged=True,
        drop_ins=False,
        plugins_gate=True,
    ),
    Release("1.34.4", TRIXIE),
    Release("1.35.4", TRIXIE),
    Release("1.36.3", TRIXIE, containerd="2.3.7"),
    Release("1.37.2", TRIXIE),
)

RELEASES = {release.name: release for release in _ALL}
OLDEST, NEWEST = _ALL[0], _ALL[-1]
DEFAULT = NEWEST


def named(name: str) -> Release:
    """The release of a name such as 1.37; LabError if there is none."""
    try:
        return RELEASES[name]
    except KeyError:
        raise LabError(f"{name!r} is no release of Kubernetes here: choose from {', '.join(RELEASES)}.") from None
