# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel modules: what modprobe can load, what that brings, and what keeps it from being unloaded."""

from __future__ import annotations

import errno
import typing as t
from dataclasses import dataclass, field

from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import FAMILIES

from .generation import GENERATIONS
from .nic import NicDriver, vf_driver
from .qat import QatDriver, QatVfDriver
from .text import line, switch
from .tree import Attribute, Working, failure
from .vfio import QatVfioPci, VfioPci

if t.TYPE_CHECKING:
    from .machine import Machine
    from .pci import Driver

Options = dict[str, str]


@dataclass(frozen=True)
class Kind:
    """A module that exists on disk: what it needs, which drivers it brings, and its parameters."""

    name: str
    needs: tuple[str, ...] = ()
    drivers: t.Callable[[Machine, Options], t.Sequence[Driver]] = lambda _machine, _options: ()
    parameters: t.Callable[[Machine, Options], t.Mapping[str, Attribute[Machine]]] = lambda _machine, _options: {}
    softly_needed_by: str = ""


@dataclass
class Module:
    """A module that is loaded, or built in."""

    kind: Kind
    builtin: bool
    drivers: t.Sequence[Driver]
    parameters: t.Mapping[str, Attribute[Machine]]


class ModprobeError(Exception):
    """What modprobe says before it gives up, and the errno behind it."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.errno = code


@dataclass
class Modules:
    """The modules of a machine. `options` are those of modprobe.d; `missing` are not on its disk."""

    machine: Machine
    options: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    builtin: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    loaded: dict[str, Module] = field(default_factory=dict)

    def uses(self, name: str) -> int:
        """The module's reference count: modules that need it, and devices of its drivers that are open, or used by the kernel."""
        count = sum(name in module.kind.needs for module in self.loaded.values())
        count += sum(len(driver.used) for driver in self.loaded[name].drivers if isinstance(driver, QatVfDriver))
        vfio = self.machine.vfio
        if name in ("vfio_pci", "qat_vfio_pci"):
            bound = (one for driver in self.loaded[name].drivers for one in driver.bound.values())
            count += sum(len(vfio.openers(function)) for function in bound)
        return count

    def find(self, name: str) -> Kind | None:
        """The module of this name, if it is on the disk or in the kernel."""
        name = name.replace("-", "_")
        return None if name in self.missing else KINDS.get(name)

    def load(self, name: str, options: t.Sequence[str]) -> None:
        """modprobe NAME OPTIONS: what is loaded already stays as it is. Raises ModprobeError."""
        name = name.replace("-", "_")
        if name in self.loaded:
            return
        kind = self.find(name)
        if kind is None:
            directory = f"/lib/modules/{self.machine.generation.release}"
            raise ModprobeError(errno.ENOENT, f"modprobe: FATAL: Module {name} not found in directory {directory}")
        for needed in kind.needs:
            self.load(needed, ())
        given = [option.partition("=") for option in (*self.options.get(name, ()), *options)]
        chosen = {key: value for key, _, value in given}
        drivers = kind.drivers(self.machine, chosen)
        parameters = kind.parameters(self.machine, chosen)
        self.loaded[name] = Module(kind, name in self.builtin, drivers, parameters)
        for driver in drivers:
            self.machine.bus.register(driver)
        for soft in (kind.name for kind in KINDS.values() if kind.softly_needed_by == name):
            self.load(soft, ())

    def unload(self, name: str) -> Working:
        """modprobe --remove NAME: with it go the modules that only it needed. Raises ModprobeError."""
        name = name.replace("-", "_")
        if name not in KINDS or name in self.missing:
            raise ModprobeError(errno.ENOENT, f"modprobe: FATAL: Module {name} not found.")
        for companion in self._companions(name):
            if not self.uses(companion):
                yield from self.unload(companion)
        if name in self.loaded:
            yield from self._remove(name)

    def _remove(self, name: str) -> Working:
        module = self.loaded[name]
        if module.builtin:
            raise ModprobeError(errno.ENOENT, f"modprobe: FATAL: Module {name} is builtin.")
        if self.uses(name):
            raise ModprobeError(errno.EAGAIN, f"modprobe: FATAL: Module {name} is in use.")
        for driver in module.drivers:
            yield from self.machine.bus.unregister(driver)
        del self.loaded[name]
        for needed in module.kind.needs:
            if needed in self.loaded and not self.loaded[needed].builtin and not self._wanted(needed):
                yield from self.unload(needed)

    def _companions(self, name: str) -> list[str]:
        """The loaded modules that were loaded only because this one was."""
        return [kind.name for kind in KINDS.values() if kind.softly_needed_by == name and kind.name in self.loaded]

    def _wanted(self, name: str) -> bool:
        return self.uses(name) > len(self._companions(name))


def _pf_driver(name: str) -> t.Callable[[Machine, Options], t.Sequence[Driver]]:
    family = next(family for family in FAMILIES if family.name == name)
    return lambda machine, _options: (QatDriver(machine, family),)


def _vf_driver(name: str) -> t.Callable[[Machine, Options], t.Sequence[Driver]]:
    family = next(family for family in FAMILIES if family.name == name)
    return lambda _machine, _options: (QatVfDriver(family),)


def _flag(value: bool) -> str:
    return "Y" if value else "N"


def _set(options: Options, name: str) -> bool:
    return name in options and switch(options[name] or "1")


def _vfio_pci_drivers(machine: Machine, options: Options) -> t.Sequence[Driver]:
    driver = VfioPci(machine.vfio, _set(options, "disable_denylist"))
    for ids in filter(None, options.get("ids", "").split(",")):
        vendor, device = ids.split(":")[:2]
        driver.new_ids.append((int(vendor, 16), int(device, 16)))
    return (driver,)


def _vfio_pci_parameters(_machine: Machine, options: Options) -> t.Mapping[str, Attribute[Machine]]:
    shown = {name: _flag(_set(options, name)) for name in ("disable_denylist", "disable_idle_d3", "enable_sriov")}
    return {name: Attribute(lambda _machine, text=text: text) for name, text in shown.items()}  # type: ignore[misc]


def _set_noiommu(machine: Machine, text: str) -> None:
    machine.vfio.noiommu = switch(text)


def _vfio_parameters(machine: Machine, options: Options) -> t.Mapping[str, Attribute[Machine]]:
    if machine.vfio.noiommu is None:
        return {}
    machine.vfio.noiommu = machine.vfio.noiommu or _set(options, "enable_unsafe_noiommu_mode")
    shown: Attribute[Machine] = Attribute(lambda machine: _flag(bool(machine.vfio.noiommu)), _set_noiommu)
    return {"enable_unsafe_noiommu_mode": shown}


def _set_generation(machine: Machine, text: str) -> None:
    if line(text) not in GENERATIONS:
        raise failure(errno.EINVAL)
    machine.generation = GENERATIONS[line(text)]


def _set_requires_iommu(machine: Machine, text: str) -> None:
    machine.requires_iommu = switch(text)


def _common_parameters(_machine: Machine, _options: Options) -> t.Mapping[str, Attribute[Machine]]:
    """Not of the real module: the switches of the simulation, as the virtual machine's module has them."""
    return {
        "generation": Attribute(lambda machine: machine.generation.name, _set_generation),
        "require_iommu": Attribute(lambda machine: _flag(machine.requires_iommu), _set_requires_iommu),
    }


def _kinds() -> t.Iterator[Kind]:
    yield Kind("intel_qat", parameters=_common_parameters)
    for family in FAMILIES:
        if not family.in_tree:
            continue
        yield Kind(family.pf_module, ("intel_qat",), _pf_driver(family.name))
        if family.vf_module:
            yield Kind(family.vf_module, ("intel_qat",), _vf_driver(family.name))
    yield Kind("vfio", parameters=_vfio_parameters)
    yield Kind("vfio_iommu_type1", ("vfio",), softly_needed_by="vfio")
    yield Kind("vfio_pci_core", ("vfio",))
    yield Kind("vfio_pci", ("vfio_pci_core",), _vfio_pci_drivers, _vfio_pci_parameters)
    yield Kind("qat_vfio_pci", ("vfio_pci_core", "intel_qat"), lambda machine, _options: (QatVfioPci(machine.vfio),))
    yield Kind("igb", drivers=lambda machine, _options: (NicDriver(machine.bus),))
    yield Kind("igbvf", drivers=lambda _machine, _options: (vf_driver(),))


KINDS: t.Mapping[str, Kind] = {kind.name: kind for kind in _kinds()}
