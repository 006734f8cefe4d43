# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who uses a VF: every process whose file descriptors point at a VFIO group or a VFIO device, and every pod that it was given to."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from .families import FAMILIES
from .kernel import Kernel
from .picture import VFIO_DRIVERS, Holder, Node, PciFunction
from .pods import NO_PODS, Assignments

_CONTAINER_ID = re.compile(r"([0-9a-f]{64})")

_NODES = "/vfio/"
"""In the path of every node of VFIO, wherever a process has its /dev."""
_CONTAINER = "vfio"
"""The node that every user of VFIO opens, whatever device it then takes."""
_DELETED = " (deleted)"

_HOST_DRIVERS = frozenset(f"{family.name}vf" for family in FAMILIES) | {None}
"""What a VF has when the host uses it itself: the kernel's driver for VFs, or that of Intel's package."""


class Holders:
    """Processes by the VFIO node they hold open, named as below /dev/vfio, and pods by the address of the device they were given."""

    def __init__(self, by_node: t.Mapping[str, tuple[Holder, ...]], pods: Assignments = NO_PODS) -> None:
        self._by_node = by_node
        self._pods = pods

    def of_pods(self, address: str, driver: str | None) -> tuple[Holder, ...]:
        """The pods that have a function. Without a driver, or with the host's own, it is no longer what they were given."""
        if driver in _HOST_DRIVERS or (self._pods.unknown and driver not in VFIO_DRIVERS):
            return ()
        return self._pods.of(address)

    def of(self, iommu_group: str | None, cdevs: t.Iterable[str]) -> tuple[Holder, ...]:
        """The processes that hold a function, by its IOMMU group and by the names of its VFIO character devices (`vfio3`)."""
        nodes = [f"devices/{name}" for name in cdevs]
        if iommu_group is not None:
            nodes += [iommu_group, f"noiommu-{iommu_group}"]
        found = {holder.pid: holder for node in nodes for holder in self._by_node.get(node, ())}
        return tuple(found[pid] for pid in sorted(found))


def read_holders(kernel: Kernel) -> Holders:
    """Looks through the descriptors of every process, those of other users being seen by root only, and asks for the pods."""
    by_node: dict[str, set[int]] = {}
    for pid, target in kernel.open_files():
        if _NODES in target:
            by_node.setdefault(_node(target), set()).add(pid)
    by_node.pop(_CONTAINER, None)
    holders = {pid: _holder(kernel, pid) for pid in set().union(*by_node.values())}
    return Holders({node: tuple(holders[pid] for pid in sorted(pids)) for node, pids in by_node.items()}, kernel.pods())


def _node(target: str) -> str:
    """What follows the last /vfio/: a process may have another root, and its node may be gone (fs/d_path.c)."""
    name = target.rpartition(_NODES)[2]
    return name[: -len(_DELETED)] if name.endswith(_DELETED) else name


def without_pods(node: Node, pods: t.Collection[str]) -> Node:
    """The node as it is when these pods, each as `namespace/name`, have gone.

    With a pod go the processes that have its VFs open.
    """

    def free(function: PciFunction) -> PciFunction:
        sriov = function.sriov
        holders = _without_pods(function.holders, pods)
        return replace(function, holders=holders, sriov=sriov and replace(sriov, vfs=tuple(map(free, sriov.vfs))))

    return replace(
        node,
        functions={address: free(function) for address, function in node.functions.items()},
        qat=tuple(replace(device, function=free(device.function)) for device in node.qat),
    )


def _without_pods(holders: tuple[Holder, ...], pods: t.Collection[str]) -> tuple[Holder, ...]:
    if not any(holder.pod in pods for holder in holders):
        return holders
    return tuple(holder for holder in holders if not holder.pid and holder.pod not in pods)


def _holder(kernel: Kernel, pid: int) -> Holder:
    return Holder(
        pid,
        _text(kernel, f"/proc/{pid}/comm") or "unknown",
        container_id(_text(kernel, f"/proc/{pid}/cgroup")),
    )


def container_id(cgroup: str) -> str:
    """The id of the container in a /proc/PID/cgroup text: the last 64-digit hexadecimal number, as every runtime writes it."""
    found = _CONTAINER_ID.findall(cgroup)
    return found[-1] if found else ""


def _text(kernel: Kernel, path: str) -> str:
    try:
        return kernel.read(path)
    except OSError:
        return ""
