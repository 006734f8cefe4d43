# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a node into the state that a description asks for, by the writes that a person would make."""

from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import module_of_driver

from .families import family_named
from .machine import Machine, device_id_of
from .node import OWN, LoneVf, Nic, NodeSpec, Pf, Vf

if t.TYPE_CHECKING:
    from .kernel import FakeKernel

_PCI = "/sys/bus/pci"
_LONG = 1e6


def machine_of(spec: NodeSpec) -> Machine:
    """The machine that is described, as it is right after its modules are loaded."""
    machine = Machine(spec.generation, spec.iommu)
    machine.requires_iommu = spec.requires_iommu
    machine.udev = spec.udev
    machine.vfio.has_cdevs = spec.cdevs
    machine.vfio.noiommu = spec.noiommu
    machine.modules.options = spec.options or {}
    machine.modules.missing = frozenset(spec.missing)
    machine.modules.builtin = frozenset(spec.builtin)
    for pf in sorted(spec.pfs, key=lambda pf: pf.address):
        device_id = device_id_of(pf.family) if pf.device_id is None else pf.device_id
        machine.plug_in_pf(family_named(pf.family), pf.address, device_id, pf.numa_node, pf.total_vfs)
    for vf in spec.lone_vfs:
        machine.plug_in_vf(family_named(vf.family), vf.address, vf.device_id, vf.numa_node)
    for nic in spec.nics:
        machine.plug_in_nic(nic.address, nic.numa_node, nic.total_vfs)
    for module in (*spec.builtin, *(_modules_of(spec) if spec.loaded is None else spec.loaded)):
        machine.modules.load(module, ())
    return machine


def _modules_of(spec: NodeSpec) -> t.Iterator[str]:
    """What udev loads at boot."""
    for pf in spec.pfs:
        family = family_named(pf.family)
        if family.in_tree and family.pf_module not in spec.missing:
            yield family.pf_module
    for vf in spec.lone_vfs:
        family = family_named(vf.family)
        if spec.udev and family.in_tree and family.vf_module and family.vf_module not in spec.missing:
            yield family.vf_module
    if spec.nics:
        yield "igb"


def bring_up(kernel: FakeKernel, spec: NodeSpec) -> None:
    """Make the VFs and bind everything as described. An OSError means that no such node can be."""
    for pf in spec.pfs:
        _Pf(kernel, pf).bring_up()
    for vf in spec.lone_vfs:
        _bring_up_vf(kernel, vf)
    for nic in spec.nics:
        _make_nic_vfs(kernel, nic)


def _bring_up_vf(kernel: FakeKernel, lone: LoneVf) -> None:
    _Functions(kernel).set(lone.address, lone.vf)


def _make_nic_vfs(kernel: FakeKernel, nic: Nic) -> None:
    if nic.vfs:
        kernel.write(f"{_PCI}/devices/{nic.address}/sriov_numvfs", str(nic.vfs), _LONG)


class _Pf:
    def __init__(self, kernel: FakeKernel, pf: Pf) -> None:
        self._kernel = kernel
        self._pf = pf
        self._functions = _Functions(kernel)

    def _write(self, name: str, value: str) -> None:
        self._kernel.write(f"{_PCI}/devices/{self._pf.address}/{name}", value, _LONG)

    def bring_up(self) -> None:
        if self._pf.services is not None:
            self._write("qat/state", "down")
            self._write("qat/cfg_services", self._pf.services)
            self._write("qat/state", "up")
        if not self._pf.autoprobe:
            self._write("sriov_drivers_autoprobe", "0")
        if self._pf.vfs:
            self._make_vfs()
        if self._pf.state is not None:
            self._write("qat/state", self._pf.state)
        if self._pf.driver != OWN:
            self._functions.rebind(self._pf.address, self._pf.driver, self._pf.driver)

    def _make_vfs(self) -> None:
        self._write("sriov_numvfs", self._kernel.read(f"{_PCI}/devices/{self._pf.address}/sriov_totalvfs"))
        sriov = self._kernel.machine.bus.functions[self._pf.address].sriov
        assert sriov is not None
        for index, vf in enumerate(self._pf.vfs[: sriov.total]):
            self._functions.set(sriov.vfs[index].address, vf)


class _Functions:
    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def _override(self, address: str, driver: str) -> None:
        self._kernel.write(f"{_PCI}/devices/{address}/driver_override", driver, _LONG)

    def set(self, address: str, vf: Vf) -> None:
        if vf.driver != OWN:
            self.rebind(address, vf.driver, vf.override)
        elif vf.override is not None:
            self._override(address, vf.override)
        if vf.held_by:
            self._kernel.open_vf(address, vf.held_by, vf.container)

    def rebind(self, address: str, driver: str | None, override: str | None) -> None:
        function = self._kernel.machine.bus.functions[address]
        if function.override != override:
            self._override(address, override or "")
        if function.driver is not None and function.driver.name != driver:
            self._kernel.write(f"{_PCI}/drivers/{function.driver.name}/unbind", address, _LONG)
        if driver is not None and function.driver is None:
            self._load(driver)
        if driver is not None and function.driver is None:
            self._kernel.write(f"{_PCI}/drivers/{driver}/bind", address, _LONG)

    def _load(self, driver: str) -> None:
        """The module that brings the driver; vfio-pci so that it takes the devices of its denylist."""
        options = ("disable_denylist=1",) if driver == "vfio-pci" else ()
        self._kernel.load_module(module_of_driver(driver).replace("-", "_"), options, _LONG)
