# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of Kubernetes that a cluster can be of, each with all in which it differs from the others."""

from __future__ import annotations

from dataclasses import dataclass

from ..debian import BOOKWORM, TRIXIE, Debian
from ..errors import LabError

_SOCKET = "--container-runtime-endpoint=unix:///run/containerd/containerd.sock"
_SCHEDULER = ("--secure-port=0", "--leader-elect=false")


@dataclass(frozen=True)
class Release:
    """A release of Kubernetes; nothing else asks for its number in order to know what it can do."""

    version: str
    debian: Debian
    """What its nodes run; etcd comes from there too."""
    kubelet_flags: tuple[str, ...] = (_SOCKET,)
    """As kubeadm writes them for it, in kubeadm-flags.env."""
    scheduler_flags: tuple[str, ...] = _SCHEDULER
    packaged: bool = False
    """Whether it is compiled from Debian's source package; else from modules, by kubernetes/NAME/go.mod."""
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
        kubelet_flags=("--container-runtime=remote", _SOCKET),
        scheduler_flags=("--port=0", *_SCHEDULER),
        packaged=True,
        drop_ins=False,
        plugins_gate=True,
    ),
    Release("1.34.4", TRIXIE),
    Release("1.35.4", TRIXIE),
    Release("1.36.3", TRIXIE),
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
