# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that show a machine: /sys, /proc and /dev, as far as QAT, SR-IOV and VFIO go."""

from __future__ import annotations

import typing as t

from .hardware import SWITCHES
from .iommu import Group
from .machine import Machine
from .pci import Bus, Driver, Function, Sriov
from .qat import HEARTBEAT_FILES, QAT_FILES, RAS_FILES, QatDevice, QatDriver
from .telemetry import telemetry_directory
from .tree import Attribute, Attributes, Directory, Entry, File, Fixed, Link, Listed, Only
from .vfio import DEVICE_MAJOR, GROUP_MAJOR, Process

if t.TYPE_CHECKING:
    from .tree import Working

_UP3 = "../../../"


def root_of(machine: Machine) -> Directory:
    """The root directory of a machine."""
    return Fixed({"sys": _sys(machine), "proc": ProcDirectory(machine), "dev": Fixed({"vfio": VfioNodes(machine)})})


# /sys/bus/pci


def _sys(machine: Machine) -> Directory:
    bus = machine.bus
    pci = Fixed(
        {
            "devices": Listed(lambda: bus.functions, lambda name: _device_link(bus.functions.get(name))),
            "drivers": Listed(
                lambda: bus.drivers,
                lambda name: DriverDirectory(bus, bus.drivers[name]) if name in bus.drivers else None,
            ),
            "drivers_probe": File(Attribute(None, Bus.probe), bus),
        }
    )
    groups = machine.iommu.groups
    kernel = {
        "iommu_groups": Listed(
            lambda: [str(number) for number in groups],
            lambda name: _group_directory(groups[int(name)]) if name.isdigit() and int(name) in groups else None,
        ),
        "debug": DebugDirectory(machine),
    }
    units = Fixed({"dmar0": Link("../../devices/virtual/iommu/dmar0", Fixed({}))} if machine.iommu.on else {})
    return Fixed(
        {
            "bus": Fixed({"pci": pci}),
            "class": Fixed({"iommu": units, "vfio": VfioGroups(machine)}),
            "kernel": Fixed(kernel),
            "module": Listed(lambda: machine.modules.loaded, lambda name: _module_directory(machine, name)),
        }
    )


def _place(address: str) -> str:
    """Where a function's directory really is, below /sys; the hierarchy of bridges is left out."""
    return f"devices/pci{address[:-5]}/{address}"


def _device_link(function: Function | None) -> Entry | None:
    return Link(_UP3 + _place(function.address), FunctionDirectory(function)) if function else None


def _sriov(show: t.Callable[[Sriov], t.Any]) -> t.Callable[[Function], str]:
    def text(function: Function) -> str:
        assert function.sriov is not None
        return str(show(function.sriov))

    return text


def _is_pf(function: Function) -> bool:
    return function.sriov is not None


def _is_locked(function: Function) -> bool:
    return function.locked


_FUNCTION_FILES: t.Mapping[str, Attribute[Function]] = {
    "vendor": Attribute(lambda function: f"{function.vendor_id:#06x}"),
    "device": Attribute(lambda function: f"{function.device_id:#06x}"),
    "class": Attribute(lambda function: f"{function.device_class:#08x}"),
    "enable": Attribute(lambda function: str(function.enabled), Function.set_enabled),
    "numa_node": Attribute(lambda function: str(function.numa_node)),
    "driver_override": Attribute(
        lambda function: function.override or "(null)", Function.set_override, lock=_is_locked
    ),
    "sriov_totalvfs": Attribute(_sriov(lambda sriov: sriov.total), present=_is_pf),
    "sriov_numvfs": Attribute(
        _sriov(lambda sriov: sriov.count), Function.set_vf_count, present=_is_pf, lock=_is_locked
    ),
    "sriov_offset": Attribute(_sriov(lambda sriov: sriov.offset), present=_is_pf),
    "sriov_stride": Attribute(_sriov(lambda sriov: sriov.stride), present=_is_pf),
    "sriov_vf_device": Attribute(_sriov(lambda sriov: f"{sriov.vf_id:x}"), present=_is_pf),
    "sriov_drivers_autoprobe": Attribute(
        _sriov(lambda sriov: int(sriov.autoprobe)), Function.set_autoprobe, present=_is_pf
    ),
}
"""Files that reading or writing under the device lock are those that a hanging removal blocks (drivers/pci/pci-sysfs.c, iov.c)."""


class FunctionDirectory(Attributes[Function]):
    """A PCI function: its files, and links to what it belongs to."""

    def __init__(self, function: Function) -> None:
        super().__init__(function, _FUNCTION_FILES)
        self._function = function

    def names(self) -> t.Iterable[str]:
        vfs = self._function.sriov.vfs if self._function.sriov else ()
        others = [name for name in _LINKS if _LINKS[name](self._function) is not None]
        return [*super().names(), *others, *(f"virtfn{index}" for index in vfs)]

    def entry(self, name: str) -> Entry | None:
        if name in _FUNCTION_FILES:
            return super().entry(name)
        if name in _LINKS:
            return _LINKS[name](self._function)
        sriov = self._function.sriov
        if sriov is not None and name.startswith("virtfn") and name[6:].isdigit():
            return _neighbour(sriov.vfs.get(int(name[6:])))
        return None


def _neighbour(function: Function | None) -> Entry | None:
    return Link("../" + function.address, FunctionDirectory(function)) if function else None


def _physfn(vf: Function) -> Entry | None:
    """The PF; the link goes before the VF itself when VFs are removed."""
    pf = vf.physfn
    known = pf is not None and pf.sriov is not None and vf in pf.sriov.vfs.values()
    return _neighbour(pf) if known else None


def _driver_link(function: Function) -> Entry | None:
    driver = None if function.leaving else function.driver
    return Link(f"{_UP3}bus/pci/drivers/{driver.name}", DriverDirectory(function.bus, driver)) if driver else None


def _group_link(function: Function) -> Entry | None:
    group = function.group
    return Link(f"{_UP3}kernel/iommu_groups/{group.number}", _group_directory(group)) if group else None


def _vfio_dev(function: Function) -> Entry | None:
    if function.vfio_device is None:
        return None
    number = f"{DEVICE_MAJOR}:{function.vfio_device}"
    return Fixed({f"vfio{function.vfio_device}": Fixed({"dev": _constant(number)})})


def _device_of(function: Function) -> QatDevice | None:
    driver = function.driver
    return driver.devices.get(function.address) if isinstance(driver, QatDriver) else None


def _qat(function: Function) -> Entry | None:
    device = _device_of(function)
    return Attributes(device, QAT_FILES) if device and device.family.has_services else None


def _qat_ras(function: Function) -> Entry | None:
    device = _device_of(function)
    shown = device and device.family.has_services and device.up and device.node.generation.all_files
    return Attributes(device, RAS_FILES) if device and shown else None


_LINKS: t.Mapping[str, t.Callable[[Function], Entry | None]] = {
    "driver": _driver_link,
    "iommu_group": _group_link,
    "physfn": _physfn,
    "vfio-dev": _vfio_dev,
    "qat": _qat,
    "qat_ras": _qat_ras,
}


class DriverDirectory(Directory):
    """A PCI driver: what binds and unbinds, and links to what is bound."""

    def __init__(self, bus: Bus, driver: Driver) -> None:
        self._bus = bus
        self.driver = driver

    def names(self) -> t.Iterable[str]:
        bound = (address for address, function in self.driver.bound.items() if not function.leaving)
        return [*_DRIVER_FILES, "module", *bound]

    def entry(self, name: str) -> Entry | None:
        if name in _DRIVER_FILES:
            return File(_DRIVER_FILES[name], self)
        if name == "module":
            return Link(f"../../../../module/{self.driver.module}", Fixed({}))
        function = self.driver.bound.get(name)
        shown = function is not None and not function.leaving
        return Link(f"../../../../{_place(name)}", FunctionDirectory(function)) if function and shown else None

    def bind(self, text: str) -> Working:
        return self._bus.bind(self.driver, text)

    def unbind(self, text: str) -> Working:
        return self._bus.unbind(self.driver, text)

    def new_id(self, text: str) -> None:
        self._bus.add_id(self.driver, text)

    def remove_id(self, text: str) -> None:
        self._bus.remove_id(self.driver, text)


_DRIVER_FILES: t.Mapping[str, Attribute[DriverDirectory]] = {
    "bind": Attribute(None, DriverDirectory.bind),
    "unbind": Attribute(None, DriverDirectory.unbind),
    "new_id": Attribute(None, DriverDirectory.new_id),
    "remove_id": Attribute(None, DriverDirectory.remove_id),
}


# The rest of /sys


def _constant(text: str) -> File:
    attribute: Attribute[str] = Attribute(str)
    return File(attribute, text)


class VfioGroups(Directory):
    """/sys/class/vfio: the groups that VFIO has, with the numbers of their nodes."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def names(self) -> t.Iterable[str]:
        vfio, functions = self._machine.vfio, self._machine.bus.functions.values()
        return dict.fromkeys(vfio.node(one).rsplit("/", 1)[1] for one in functions if one.vfio_device is not None)

    def entry(self, name: str) -> Entry | None:
        if name not in self.names():
            return None
        return Fixed({"dev": _constant(f"{GROUP_MAJOR}:{name.rpartition('-')[2]}")})


def _group_directory(group: Group) -> Directory:
    devices = {address: Link(f"../../../../{_place(address)}", None) for address in group.functions}
    entries: dict[str, Entry] = {"devices": Fixed(devices)}
    if group.fake:
        entries["name"] = File(Attribute(lambda _group: "vfio-noiommu"), group)
    return Fixed(entries)


def _module_directory(machine: Machine, name: str) -> Directory | None:
    module = machine.modules.loaded.get(name)
    if module is None:
        return None
    entries: dict[str, Entry] = {}
    if module.parameters:
        entries["parameters"] = Attributes(machine, module.parameters)
    if not module.builtin:
        entries["refcnt"] = File(Attribute(lambda machine: str(machine.modules.uses(name))), machine)
    return Fixed(entries)


class DebugDirectory(Directory):
    """debugfs: a directory for each bound QAT PF, and the switches of the simulated hardware."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _devices(self) -> dict[str, QatDevice]:
        drivers = (driver for driver in self._machine.bus.drivers.values() if isinstance(driver, QatDriver))
        devices = (device for driver in drivers for device in driver.devices.values())
        return {f"qat_{device.family.name}_{device.function.address}": device for device in devices}

    def names(self) -> t.Iterable[str]:
        return ["qat_sim", *self._devices()]

    def entry(self, name: str) -> Entry | None:
        if name == "qat_sim":
            return Fixed({address: Attributes(one, SWITCHES) for address, one in self._machine.hardware.items()})
        device = self._devices().get(name)
        return _debug_directory(device) if device else None


def _debug_directory(device: QatDevice) -> Directory:
    entries: dict[str, Entry] = {"dev_cfg": File(_DEVICE_CONFIGURATION, device)}
    if device.up and device.node.generation.all_files:
        entries["fw_counters"] = File(_FIRMWARE_COUNTERS, device)
        entries["heartbeat"] = Attributes(device.heartbeat, HEARTBEAT_FILES)
        if device.family.has_services:
            entries["telemetry"] = telemetry_directory(device.telemetry)
    return Fixed(entries)


def _show_configuration(device: QatDevice) -> str:
    services = [f"ServicesEnabled = {device.services}"] if device.family.has_services else []
    return "\n".join(["[GENERAL]", *services, "[KERNEL]", "NumberCyInstances = 0"])


def _show_counters(device: QatDevice) -> str:
    heartbeat = device.heartbeat
    return f"AE          Requests        Responses\n 0: {heartbeat.sent:>16} {heartbeat.sent - heartbeat.failed:>16}"


_DEVICE_CONFIGURATION: Attribute[QatDevice] = Attribute(_show_configuration, secret=True)
_FIRMWARE_COUNTERS: Attribute[QatDevice] = Attribute(_show_counters, secret=True)


# /proc and /dev


class ProcDirectory(Directory):
    """The processes that have VFIO nodes open, and the kernel's release."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        release: Attribute[Machine] = Attribute(lambda machine: machine.generation.release)
        self._others: dict[str, Entry] = {
            "sys": Fixed({"kernel": Fixed({"osrelease": File(release, machine)})}),
            "devices": _constant(_DEVICES),
            "self": Fixed({"status": _constant("Name:\tpython3\nCapEff:\t000001ffffffffff\n")}),
        }

    def names(self) -> t.Iterable[str]:
        return [*self._others, *(str(pid) for pid in self._machine.vfio.processes)]

    def entry(self, name: str) -> Entry | None:
        if name in self._others:
            return self._others[name]
        process = self._machine.vfio.processes.get(int(name)) if name.isdigit() else None
        return _process_directory(process) if process else None


_DEVICES = f"""Character devices:
  1 mem
 10 misc
{GROUP_MAJOR} vfio
{DEVICE_MAJOR} vfio-dev

Block devices:
{GROUP_MAJOR} loop
"""

_COMMAND: Attribute[Process] = Attribute(lambda process: process.command)
_CGROUP: Attribute[Process] = Attribute(lambda process: process.cgroup)


def _process_directory(process: Process) -> Directory:
    descriptors = {str(number): Link(target, None) for number, target in process.files.items()}
    return Fixed({"comm": File(_COMMAND, process), "cgroup": File(_CGROUP, process), "fd": Fixed(descriptors)})


class VfioNodes(Directory):
    """/dev/vfio. The container's node is there from boot on, made from what modules say of themselves."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def _offered(self) -> list[Function]:
        return [one for one in self._machine.bus.functions.values() if one.vfio_device is not None]

    def names(self) -> t.Iterable[str]:
        vfio = self._machine.vfio
        devices = ["devices"] if vfio.has_cdevs else []
        return ["vfio", *devices, *(vfio.node(one).rsplit("/", 1)[1] for one in self._offered())]

    def entry(self, name: str) -> Entry | None:
        if name not in self.names():
            return None
        if name == "devices":
            return Fixed({f"vfio{one.vfio_device}": Only() for one in self._offered()})
        return Only()
