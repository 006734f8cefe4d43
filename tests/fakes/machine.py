# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole machine: what is plugged in, what the kernel knows of it, and the user space that matters (udev)."""

from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import Family, family_of_pf

from .clock import Clock
from .families import family_named
from .generation import GENERATIONS
from .hardware import Hardware, shape_of
from .iommu import Iommu
from .modules import Modules
from .nic import PF_IDS, VF_ID
from .pci import Bus, Function, Sriov
from .tree import Working
from .vfio import Vfio


class Machine:
    """A model of a node. Nothing in it is text that a file shows; files are worked out from it."""

    def __init__(self, generation: str, iommu: bool) -> None:
        self.generation = GENERATIONS[generation]
        self.requires_iommu = False
        self.udev = True
        self.clock = Clock()
        self.iommu = Iommu(iommu)
        self.bus = Bus(self.iommu)
        self.bus.new_vfs = self._on_new_vfs
        self.vfio = Vfio(self.iommu)
        self.modules = Modules(self)
        self.hardware: dict[str, Hardware] = {}

    def plug_in_pf(self, family: Family, address: str, device_id: int, numa_node: int, total_vfs: int | None) -> None:
        """Put a QAT PF into the machine. A PF without VFs lacks the SR-IOV capability, as when BIOS has it off."""
        shape = shape_of(family.name)
        total = shape.total_vfs if total_vfs is None else total_vfs
        model = next(model for model in family.models if model.pf_id == device_id)

        def appear() -> None:
            function = Function(self.bus, address, (0x8086, device_id), numa_node)
            if total:
                function.sriov = Sriov(total, shape.vf_offset, 1, model.vf_id)
            self.bus.add(function)

        self._plug_in(address, appear)

    def plug_in_vf(self, family: Family, address: str, device_id: int | None, numa_node: int) -> None:
        """Give the machine a VF whose PF it does not have, as a hypervisor does."""
        vf_id = family.models[0].vf_id if device_id is None else device_id
        self._plug_in(address, lambda: self.bus.add(Function(self.bus, address, (0x8086, vf_id), numa_node)))

    def _plug_in(self, address: str, appear: t.Callable[[], None]) -> None:
        """Have a device, which can be taken out and put in again."""
        hardware = self.hardware[address] = Hardware(self.clock)

        def plug(present: bool) -> Working:
            hardware.present = present
            if not present and address in self.bus.functions:
                yield from self.bus.remove(self.bus.functions[address])
            if present and address not in self.bus.functions:
                appear()

        hardware.plug = plug
        hardware.changed_refusal = lambda: self._refuse(address)
        appear()

    def plug_in_nic(self, address: str, numa_node: int, total_vfs: int) -> None:
        """Put a network card into the machine."""
        function = Function(self.bus, address, PF_IDS, numa_node, device_class=0x020000)
        function.sriov = Sriov(total_vfs, 128, 2, VF_ID)
        self.bus.add(function)

    def _refuse(self, address: str) -> None:
        device = self.bus.functions.get(address)
        if device is None:
            return
        for index, vf in (device.sriov.vfs if device.sriov else {0: device}).items():
            vf.refuses_vfio = bool(self.hardware[address].refuse_vfio >> index & 1)

    def _on_new_vfs(self, pf: Function) -> None:
        """VFs have appeared: broken ones are broken from the start, and udev loads the module for the others."""
        if pf.address in self.hardware:
            self._refuse(pf.address)
        module = self._vf_module(pf)
        if self.udev and module and module not in self.modules.missing:
            self.modules.load(module, ())

    def _vf_module(self, pf: Function) -> str | None:
        if pf.ids == PF_IDS:
            return "igbvf"
        family = family_of_pf(*pf.ids)
        return family.vf_module if family and family.in_tree else None


def device_id_of(family: str) -> int:
    """The first device id of a family's PFs."""
    return family_named(family).models[0].pf_id
