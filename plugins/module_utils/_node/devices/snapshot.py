# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node looks like at one moment: its PCI functions, their SR-IOV state, and the QAT devices among them.

All of it is plain data that the planner reasons about; `read.py` fills it from a kernel.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ..facts.families import Family, family_of_vf
from ..facts.pci import address_after
from ..users.holder import Holder


@dataclass(frozen=True)
class PciFunction:
    """One PCI function. `override` is its driver_override, None when not set; `iommu_group` is the group's number as text.

    `index` says which VF of its PF it is, -1 for what is no VF.

    `blocked` says that the kernel did not answer, because a write that somebody made to this device, or to a VF of this
    PF, has not returned.
    """

    address: str
    vendor_id: int
    device_id: int
    driver: str | None = None
    override: str | None = None
    iommu_group: str | None = None
    numa_node: int = -1
    pf_address: str | None = None
    holders: tuple[Holder, ...] = ()
    sriov: Sriov | None = None
    index: int = -1
    blocked: bool = False


@dataclass(frozen=True)
class Sriov:
    """The SR-IOV side of a PF: how many VFs it can have and has, where they appear, and whether drivers probe new ones.

    `vfs` are those that are there, in the order of their indexes, which have a gap where a single VF was removed.

    `changing` says that the kernel is making or removing VFs at this moment.
    """

    total: int
    count: int
    offset: int
    stride: int
    autoprobe: bool
    vfs: tuple[PciFunction, ...] = ()
    changing: bool = False

    @property
    def has_places(self) -> bool:
        """Whether it is known where VFs appear.

        An old kernel does not show it, and a PF may decide it when it is given their number (drivers/pci/iov.c, pci_iov_set_numvfs).
        """
        return self.offset > 0 and (self.stride > 0 or self.total == 1)

    def addresses(self, pf_address: str, count: int) -> tuple[str, ...]:
        """Where `count` VFs are or will be, as far as that is known."""
        return tuple(address_after(pf_address, self.offset + index * self.stride) for index in range(count))


@dataclass(frozen=True)
class QatDevice:
    """A QAT PF, or a VF whose PF is not on this node, as a virtual machine has them: that one counts as its own only VF.

    `index` counts the node's QAT PFs in the order of their addresses; it is -1 for a VF, whose `family` is its PF's.
    `state` and `services` are None where the driver does not offer them: before Gen4, and while no driver is bound.
    `services_text` is what the kernel printed. `heartbeat` and the RAS counters are None when unknown.
    """

    function: PciFunction
    family: Family
    index: int
    state: str | None = None
    services: frozenset[str] | None = None
    services_text: str = ""
    auto_reset: bool | None = None
    pm_idle_enabled: bool | None = None
    ring_pairs: int | None = None
    ras_errors: t.Mapping[str, int] | None = None

    @property
    def address(self) -> str:
        return self.function.address

    @property
    def vfs(self) -> tuple[PciFunction, ...]:
        """The VFs that exist now, in index order."""
        if self.is_vf:
            return (self.function,)
        return self.function.sriov.vfs if self.function.sriov else ()

    @property
    def is_vf(self) -> bool:
        """Whether it is a VF without its PF, of which nothing but the driver can be set."""
        return family_of_vf(self.function.vendor_id, self.function.device_id) is not None

    @property
    def shows_services(self) -> bool:
        """Whether its driver shows which services it has, as those of PFs do from Gen4 on."""
        return self.family.has_services and not self.is_vf

    def vf_addresses(self) -> tuple[str, ...]:
        """Where its VFs are or will be, all that it can have.

        Where the kernel has no sriov_offset, only the addresses of those that are there are right.
        """
        sriov = self.function.sriov
        if self.is_vf or sriov is None:
            return (self.address,) if self.is_vf else ()
        there = {vf.index: vf.address for vf in sriov.vfs}
        places = enumerate(sriov.addresses(self.address, sriov.total))
        return tuple(there.get(index, place) for index, place in places)

    @property
    def model(self) -> str:
        """The name people use for this device, such as 402xx for a device of the 4xxx family."""
        for model in self.family.models:
            if self.function.device_id in (model.pf_id, model.vf_id):
                return model.name
        return self.family.name

    @property
    def firmware_files(self) -> tuple[str, ...]:
        """Names of the files of its firmware, none where they are not known."""
        models = (model for model in self.family.models if model.pf_id == self.function.device_id)
        return next((model.firmware_files for model in models), ())


@dataclass(frozen=True)
class Module:
    """A loaded kernel module. `uses` is its reference count; None means built into the kernel, so it cannot be unloaded."""

    name: str
    uses: int | None


@dataclass(frozen=True)
class VfioPci:
    """vfio-pci on this node. `denylist` says whether it refuses the QAT devices before Gen4."""

    module: Module | None = None
    denylist: bool = True
    bound: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """Everything the planner knows of a machine.

    `iommu` says whether the IOMMU isolates devices, `noiommu` whether VFIO was set to do without, None where it cannot be or is not
    loaded. `qat` are the QAT PFs, and the VFs without their PF. `functions` are all QAT PFs and VFs, and whatever else was asked for;
    `drivers` the PCI drivers that are present; `busy_drivers` the QAT drivers of VFs by which the kernel itself uses a VF, without
    saying which. `rival` says what else manages the QAT devices of this node, if anything does.
    """

    kernel_release: str = ""
    iommu: bool = False
    noiommu: bool | None = None
    qat: tuple[QatDevice, ...] = ()
    functions: t.Mapping[str, PciFunction] = field(default_factory=dict)
    drivers: frozenset[str] = frozenset()
    busy_drivers: frozenset[str] = frozenset()
    vfio_pci: VfioPci = VfioPci()
    rival: str = ""

    def function(self, address: str) -> PciFunction | None:
        """The PCI function at an address, or None."""
        return self.functions.get(address)

    def qat_at(self, address: str) -> QatDevice | None:
        """The QAT PF, or VF without its PF, at an address, or None."""
        for device in self.qat:
            if device.address == address:
                return device
        return None


def without_pods(node: Node, pods: t.Collection[str]) -> Node:
    """The node as it is when these pods, each as `namespace/name`, have gone.

    With a pod go the processes that have its VFs open, also one that cannot be seen.
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
    return tuple(one for one in holders if not (one.pid or one.is_unseen) and one.pod not in pods)
