# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node was like before this collection changed it, and the way back there.

A PF, or a VF without its PF, is recorded once, right before the first write that concerns it. The record outlives reboots, upgrades
and later changes, and goes with the restoration. It is of a device, not of a place: another one at the address has no history.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field, replace

from ..absence import is_absent
from ..document import Part, read_object
from ..errors import ConfigurationError, NodeError, RefusedError, remedy_for
from ..facts.families import FAMILIES, module_of_driver
from ..facts.pci import normal_address
from ..files import (
    json_bytes,
    read_whole,
    remove_directory_if_empty,
    remove_file,
    replace_file,
)
from .desired import PF_STATES, Binding, DesiredPf, original_pf
from .plan import Plan, device_of, plan_node
from .snapshot import Node, QatDevice
from .step import NONE, Action, Step, switch_noiommu

RECORD = "/var/lib/accel-qat/found.json"

_FORMAT = 1
"""Readers of before the ids read records with them too: they heed only the keys that they know."""

_UNREADABLE = "the record of what was found on this node cannot be read"
_NEWER = "use the release that wrote it, or a newer one; the file is still needed"
_LOST = "restore the file from a backup, or remove it to let the present state count as the one found"


@dataclass(frozen=True)
class Baseline:
    """The PFs as they were found, by address, and whether vfio-pci was loaded.

    `assigned` are the drivers that VFs have been assigned since, by PF. `ids` are vendor and device of each PF as `8086:4940`; records
    that were made before these were noted have none. `noiommu_set` says that VFIO was set to do without an IOMMU since.
    """

    pfs: t.Mapping[str, DesiredPf]
    vfio_pci_loaded: bool = True
    assigned: t.Mapping[str, frozenset[str]] = field(default_factory=dict)
    ids: t.Mapping[str, str] = field(default_factory=dict)
    noiommu_set: bool = False

    def on(self, node: Node) -> Baseline:
        """What of it is about the devices of this node: without PFs that have gone, or in whose place another one is."""
        there = [device for device in node.qat if device.address in self.pfs and self._is_of(device)]
        kept = {device.address for device in there}
        return Baseline(
            {pf: desired for pf, desired in self.pfs.items() if pf in kept},
            self.vfio_pci_loaded,
            {pf: drivers for pf, drivers in self.assigned.items() if pf in kept},
            {device.address: _ids(device) for device in there},
            self.noiommu_set,
        )

    def _is_of(self, device: QatDevice) -> bool:
        known = self.ids.get(device.address)
        return known == _ids(device) if known else _can_be(self.pfs[device.address], device)

    def with_pfs_of(self, plan: Plan, node: Node) -> Baseline:
        """The same and those PFs that the plan changes and that are not recorded yet."""
        known = self.on(node)
        devices = (device_of(step, node) for step in plan.steps)
        changed = {device.address: device for device in devices if device is not None}
        new = {pf: original_pf(node, pf) for pf in sorted(changed) if pf not in known.pfs}
        loaded = self.vfio_pci_loaded if self.pfs else node.vfio_pci.module is not None
        assigned = {pf: drivers for pf, drivers in self.assigned.items() if pf not in changed}
        assigned.update((pf, known.assigned.get(pf, frozenset()) | _assigned_by(plan, pf)) for pf in changed)
        return Baseline(
            {**self.pfs, **new},
            loaded,
            {pf: drivers for pf, drivers in assigned.items() if drivers},
            {**self.ids, **{pf: _ids(device) for pf, device in changed.items()}},
            self.noiommu_set or any(step.action is Action.NOIOMMU for step in plan.steps),
        )


def _ids(device: QatDevice) -> str:
    return f"{device.function.vendor_id:04x}:{device.function.device_id:04x}"


def _can_be(desired: DesiredPf, device: QatDevice) -> bool:
    """Whether a PF that was recorded without its ids can be this one: for another one it would be wrong, or not to be reached."""
    others = {family.vf_driver for family in FAMILIES if family.vf_driver not in (None, device.family.vf_driver)}
    is_served = (desired.services or frozenset()) <= device.family.services
    has_state = desired.state is None or device.family.has_services
    has_vfs = (desired.vf_count or 0) in (0, len(device.vf_addresses()))
    is_of_others = any({binding.driver, binding.override} & others for binding in desired.bindings.values())
    return is_served and has_state and has_vfs and not is_of_others


def _assigned_by(plan: Plan, pf: str) -> frozenset[str]:
    """The drivers that the plan gives to VFs of a PF."""
    naming = (Action.OVERRIDE, Action.BIND)
    return frozenset(
        step.after
        for step in plan.steps
        if step.configured == pf and step.of_vf and step.action in naming and step.after != NONE
    )


def read_record(path: str) -> Baseline:
    """The record, empty when there is none. Raises ConfigurationError when it cannot be understood, NodeError when not be read."""
    try:
        return _parsed(read_object(read_whole(path).decode()), path)
    except OSError as error:
        if is_absent(error):
            return Baseline({})
        raise NodeError(
            f"{_UNREADABLE}: {error.strerror}",
            where=path,
            remedy=f"{remedy_for(error, 'see that the path is right and its disk sound')}; the file is still needed",
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"{_UNREADABLE}: {error}", where=path, remedy=_LOST) from None


def write_record(path: str, baseline: Baseline) -> None:
    """Replace the record so that a power cut leaves the old file or the new one. Raises NodeError."""
    document = {
        "format": _FORMAT,
        "vfio_pci_loaded": baseline.vfio_pci_loaded,
        **({"noiommu_set": True} if baseline.noiommu_set else {}),
        "devices": {
            address: {
                **({"ids": baseline.ids[address]} if address in baseline.ids else {}),
                **_entry(desired),
                "drivers_given": sorted(baseline.assigned.get(address, ())),
            }
            for address, desired in baseline.pfs.items()
        },
    }
    try:
        replace_file(path, json_bytes(document), 0o600)
    except OSError as error:
        raise NodeError(
            f"what was found on this node cannot be recorded: {error.strerror}",
            where=path,
            remedy="make the directory writable, or name another file as record; in the record itself nothing was changed",
        ) from None


def remove_record(path: str) -> None:
    """Remove the record, and its directory when nothing else is in it, from the disk too. Raises NodeError.

    A record that is not there is no error.
    """
    try:
        remove_file(path)
        remove_directory_if_empty(os.path.dirname(path))
    except OSError as error:
        raise NodeError(
            f"the record of what was found on this node cannot be removed: {error.strerror}",
            where=error.filename or path,
            remedy="remove it by hand, or the next teardown brings back the same state once more",
        ) from None


def remove_configuration(path: str) -> None:
    """Remove the rules of this node, from the disk too. Raises RefusedError; that they are not there is no error."""
    try:
        remove_file(path)
    except OSError as error:
        raise RefusedError(
            f"the configuration cannot be removed: {error.strerror}",
            where=path,
            remedy=remedy_for(error, "remove it by hand, and try again"),
        ) from None


def remember(path: str, plan: Plan, node: Node) -> None:
    """Record the PFs that the plan is about to change for the first time."""
    baseline = read_record(path)
    more = baseline.with_pfs_of(plan, node)
    if more != baseline:
        write_record(path, more)


def plan_for(desired_pfs: t.Iterable[DesiredPf], node: Node, path: str) -> Plan:
    """The plan for these PFs on a node with this record: what earlier plans gave to VFs is nobody else's. Raises NodeError."""
    return plan_node(desired_pfs, node, read_record(path).on(node).assigned)


def plan_restoration(
    baseline: Baseline, node: Node, when_in_use: str = "fail", has_module: t.Callable[[str], bool] = lambda _name: True
) -> Plan:
    """The plan back to what was found; raises RefusedError while a VF is in use.

    PFs that have gone since, or in whose place another one is, or that somebody has given to another driver, are left out.
    `has_module` says which modules can be loaded.
    """
    present = baseline.on(node)
    devices = ((node.qat_at(address), desired) for address, desired in present.pfs.items())
    is_to_be_had = _Drivers(node.drivers, has_module)
    reachable = (
        _reachable(desired, device, is_to_be_had)
        for device, desired in devices
        if device is not None and not _is_of_others(device, is_to_be_had)
    )
    desired_pfs = [replace(desired, when_in_use=when_in_use) for desired in reachable]
    plan = plan_node(desired_pfs, node, present.assigned)
    if baseline.noiommu_set and node.noiommu:
        plan = Plan((*plan.steps, switch_noiommu(False, "it was so before")), plan.skipped)
    if not baseline.pfs or baseline.vfio_pci_loaded:
        return plan
    module = node.vfio_pci.module
    freed = {address for step in plan.steps for address in step.disrupts}
    # What is built into the kernel by now cannot be unloaded, nor what another module needs.
    if module is None or module.uses is None or set(node.vfio_pci.bound) - freed:
        return plan
    if module.uses and not any(node.functions[address].holders for address in freed if address in node.functions):
        return plan
    unload = Step(Action.UNLOAD_MODULE, module.name, "loaded", "not loaded", "it was not loaded before")
    return Plan((*plan.steps, unload), plan.skipped)


class _Drivers:
    """Which drivers the running kernel has, or can have; each is asked for once."""

    def __init__(self, loaded: t.Collection[str], has_module: t.Callable[[str], bool]) -> None:
        self._known = dict.fromkeys(loaded, True)
        self._has_module = has_module

    def __call__(self, driver: str) -> bool:
        if driver not in self._known:
            self._known[driver] = self._has_module(module_of_driver(driver))
        return self._known[driver]


def _is_of_others(device: QatDevice, is_to_be_had: _Drivers) -> bool:
    """Whether a PF has another driver by now, or can have none. Its own took with it all that was changed when it let go of the PF."""
    function, own = device.function, device.family.pf_driver
    if device.is_vf or function.driver == own:
        return False
    return function.driver is not None or function.override not in (None, own) or not is_to_be_had(own)


def _reachable(desired: DesiredPf, device: QatDevice, is_to_be_had: _Drivers) -> DesiredPf:
    """What of it the device can have still.

    The BIOS may leave it without VFs by now, or with fewer or more, all of which its driver makes (adf_sriov.c), and the driver of
    another kernel may have no services to set. VFs whose former driver this kernel does not have are without one then.
    """
    desired = replace(
        desired,
        bindings={
            index: binding if binding.driver is None or is_to_be_had(binding.driver) else replace(binding, driver=None)
            for index, binding in desired.bindings.items()
        },
    )
    total = device.function.sriov.total if device.function.sriov else 0
    if not device.is_vf and desired.vf_count:
        desired = replace(desired, vf_count=total)
    has_driver = device.function.driver == device.family.pf_driver
    if has_driver and device.services is None and device.state is None:
        desired = replace(desired, services=None)
    return desired


def _entry(desired: DesiredPf) -> dict[str, t.Any]:
    return {
        "services": None if desired.services is None else sorted(desired.services),
        "state": desired.state,
        "driven": desired.driven,
        "drivers_autoprobe": desired.autoprobe,
        "vfs": [
            {"driver": binding.driver, "driver_override": binding.override}
            # A VF that was not there had no driver; the place of each in the list is its index.
            for binding in (desired.bindings.get(index, Binding(None, None)) for index in range(desired.vf_count or 0))
        ],
    }


_DRIVER = re.compile(r"[^/\x00-\x1f]+")
"""A name below /sys/bus/pci/drivers, whatever somebody called it."""
_OVERRIDE = re.compile(r"[^\x00\n]+")
"""What driver_override can hold: a line of anything, also of what is no driver's name (drivers/pci/pci-sysfs.c, driver_set_override)."""
_SERVICE = re.compile(r"[^;\x00\n]+")
"""A word of cfg_services, also one that only a newer kernel knows."""
_IDS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")


def _parsed(top: Part, path: str) -> Baseline:
    """The record in a document. Raises ValueError where its form is another."""
    number = top.get("format", int)
    if number > _FORMAT:
        raise ConfigurationError(
            f"{_UNREADABLE}: format {number} is of a newer release than this one", where=path, remedy=_NEWER
        )
    if number != _FORMAT:
        raise ValueError(f"format {number} is not known")
    loaded = top.get("vfio_pci_loaded", bool)
    devices = {_address(address): part for address, part in top.named("devices").items()}
    ids = {address: part.get("ids", str) for address, part in devices.items() if part.has("ids")}
    for address, text in ids.items():
        if not _IDS.fullmatch(text):
            raise ValueError(f"devices.{address}.ids is not vendor and device")
    noiommu_set = top.has("noiommu_set") and top.get("noiommu_set", bool)
    return Baseline(
        {address: _desired(address, path, part) for address, part in devices.items()},
        loaded,
        {address: frozenset(part.texts("drivers_given", _OVERRIDE.fullmatch)) for address, part in devices.items()},
        ids,
        noiommu_set,
    )


def _address(text: str) -> str:
    if normal_address(text) != text:
        raise ValueError(f"{text!r} is no address")
    return text


def _is_driver(text: str) -> bool:
    return text not in (".", "..") and _DRIVER.fullmatch(text) is not None


def _desired(address: str, path: str, part: Part) -> DesiredPf:
    services = None if part.get("services", list, type(None)) is None else part.texts("services", _SERVICE.fullmatch)
    vfs = [
        Binding(vf.text("driver", _is_driver), vf.text("driver_override", _OVERRIDE.fullmatch))
        for vf in part.parts("vfs")
    ]
    return DesiredPf(
        address=address,
        where=path,
        services=None if services is None else frozenset(services),
        vf_count=len(vfs),
        bindings=dict(enumerate(vfs)),
        autoprobe=part.get("drivers_autoprobe", bool, type(None)),
        state=part.text("state", PF_STATES.__contains__),
        driven=part.get("driven", bool),
    )
