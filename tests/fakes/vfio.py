# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vfio-pci, its nodes below /dev/vfio, and the processes that have them open (Linux drivers/vfio)."""

from __future__ import annotations

import errno
import typing as t
from dataclasses import dataclass, field

from .pci import Driver, Function
from .tree import Wait, Working, failure

if t.TYPE_CHECKING:
    from .iommu import Iommu

DENYLIST = frozenset({0x0435, 0x0443, 0x19E2, 0x19E3, 0x37C8, 0x37C9})
"""The QAT devices that vfio-pci refuses without disable_denylist=1 (drivers/vfio/pci/vfio_pci.c)."""


GROUP_MAJOR, DEVICE_MAJOR = 244, 243
"""The majors of the nodes of groups, and of those in /dev/vfio/devices."""

DEVICE = "anon_inode:[vfio-device]"
"""What the link of a descriptor says that is a device which came by its group."""


@dataclass
class Process:
    """A process and what it has open, by descriptor: what its links say, and the numbers of those that are character devices.

    `unseen` are the numbers of devices that it has open though no descriptor shows it: in io_uring, in a message that is on its way, or
    by a mapping, which keeps the file open that it was made of.
    """

    pid: int
    command: str
    cgroup: str
    files: dict[int, str] = field(default_factory=dict)
    devices: dict[int, tuple[int, int]] = field(default_factory=dict)
    unseen: set[tuple[int, int]] = field(default_factory=set)

    def has_open(self, numbers: set[tuple[int, int]]) -> bool:
        """Whether it has a device itself open by one of its nodes. A group may be open without."""
        by_node = any(number in numbers and number[0] == DEVICE_MAJOR for number in self.devices.values())
        by_group = DEVICE in self.files.values() and not numbers.isdisjoint(self.devices.values())
        return by_node or by_group or not numbers.isdisjoint(self.unseen)


@dataclass
class Vfio:
    """What VFIO knows: its settings, who has what open, and which numbers its devices have."""

    iommu: Iommu
    has_cdevs: bool = False
    noiommu: bool | None = None
    processes: dict[int, Process] = field(default_factory=dict)
    _devices: int = 0

    def node(self, function: Function) -> str:
        """The group's node of a bound function."""
        assert function.group is not None
        return f"/dev/vfio/{'noiommu-' if function.group.fake else ''}{function.group.number}"

    def numbers(self, function: Function) -> set[tuple[int, int]]:
        """The device number of every node through which a bound function can be opened."""
        assert function.group is not None
        assert function.vfio_device is not None
        return {(GROUP_MAJOR, function.group.number), (DEVICE_MAJOR, function.vfio_device)}

    def holders(self, function: Function) -> list[Process]:
        """Who has a bound function open."""
        numbers = self.numbers(function)
        return [
            process
            for process in self.processes.values()
            if not numbers.isdisjoint([*process.devices.values(), *process.unseen])
        ]

    def openers(self, function: Function) -> list[Process]:
        """Who of those has the function itself open, and not its group alone."""
        numbers = self.numbers(function)
        return [process for process in self.holders(function) if process.has_open(numbers)]

    def enables(self, function: Function) -> int:
        """How often its driver has enabled a bound function: once, while somebody has it open (vfio_pci_core_enable)."""
        return int(bool(self.openers(function)))

    def add(self, function: Function) -> None:
        """A driver offers the function to users; raises EINVAL without an IOMMU group."""
        if function.group is None:
            if not self.noiommu:
                raise failure(errno.EINVAL)
            self.iommu.make_group(function, fake=True)
        function.vfio_device = self._devices
        self._devices += 1

    def remove(self, function: Function) -> Working:
        """Waits until nobody has the function open any more: for ever, if need be (vfio_unregister_group_dev)."""
        if self.holders(function):
            yield Released(self, function)
        function.vfio_device = None
        if function.group is not None and function.group.fake:
            self.iommu.leave(function)


class Released(Wait):
    """Waits for the users of a function to close it."""

    def __init__(self, vfio: Vfio, function: Function) -> None:
        self._vfio = vfio
        self._function = function

    def over(self) -> bool:
        return not self._vfio.holders(self._function)


class VfioPci(Driver):
    """The driver vfio-pci. Its denylist can be switched off only while it is loaded."""

    def __init__(self, vfio: Vfio, disable_denylist: bool) -> None:
        super().__init__("vfio-pci", "vfio_pci")
        self._vfio = vfio
        self._disable_denylist = disable_denylist

    def probe(self, function: Function) -> None:
        denied = function.vendor_id == 0x8086 and function.device_id in DENYLIST
        if denied and not self._disable_denylist:
            ids = f"{function.vendor_id:04x}:{function.device_id:04x}"
            function.bus.say(function, f"{ids} is in the vfio-pci denylist")
        if (denied and not self._disable_denylist) or function.refuses_vfio:
            raise failure(errno.EINVAL)
        if function.sriov is not None and function.sriov.count:
            function.bus.say(function, "Cannot bind to PF with SRIOV enabled")
            raise failure(errno.EBUSY)
        self._vfio.add(function)

    def enables(self, function: Function) -> int:
        return self._vfio.enables(function)

    def remove(self, function: Function) -> Working:
        yield from self._vfio.remove(function)


class QatVfioPci(Driver):
    """The variant driver for live migration: only VFs, and only by override, which makes any id match (drivers/vfio/pci/qat/main.c).

    Whether a VF can be migrated its PF's driver decides (qat_common/qat_mig_dev.c, qat_vfmig_create).
    """

    MIGRATES = frozenset({"4xxx", "420xx"})

    def __init__(self, vfio: Vfio) -> None:
        super().__init__("qat_vfio_pci", "qat_vfio_pci")
        self._vfio = vfio

    def matches(self, function: Function) -> bool:
        return function.override == self.name

    def probe(self, function: Function) -> None:
        pf = function.physfn
        if pf is None or pf.driver is None:
            raise failure(errno.ENODEV)
        if pf.driver.name not in self.MIGRATES:
            raise failure(errno.EINVAL)
        self._vfio.add(function)

    def enables(self, function: Function) -> int:
        return self._vfio.enables(function)

    def remove(self, function: Function) -> Working:
        yield from self._vfio.remove(function)
