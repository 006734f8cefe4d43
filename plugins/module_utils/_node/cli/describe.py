# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A node in words and figures: the structure that `qat_info` and `qatctl --json` return, and the table people read."""

from __future__ import annotations

import typing as t

from ..devices.desired import rule_for
from ..devices.offer import offer_of, resource_of, stated_services
from ..devices.snapshot import Node, PciFunction, QatDevice
from ..facts.paths import vfio_node
from ..facts.services import in_order
from ..fields import is_number
from ..printable import WIDTH, aligned, printable, wrapped

if t.TYPE_CHECKING:
    from ..devices.plan import Plan
    from ..devices.rules import Rule
    from ..users.holder import Holder

NO_DEVICE = "This node has no QAT device."
UNKNOWN = "-"

_COLUMNS = ("PF", "FAMILY", "STATE", "SERVICES", "VFS", "DRIVER", "NUMA", "GROUPS", "HELD BY")
_MIXED = "mixed"
_BELOW = "below"
_LONGEST_RANGES = 9


def describe(node: Node, rules: t.Sequence[Rule] = ()) -> dict[str, t.Any]:
    """Everything known of the node as plain values; `rules` add what each PF offers to Kubernetes."""
    return {
        "kernel": node.kernel_release,
        "iommu": node.iommu,
        "noiommu": bool(node.noiommu),
        "vfio_pci": {
            "loaded": node.vfio_pci.module is not None,
            "denylist": node.vfio_pci.denylist if node.vfio_pci.module else None,
        },
        "devices": [_device(device, rules, node) for device in node.qat],
    }


def _device(device: QatDevice, rules: t.Sequence[Rule], node: Node) -> dict[str, t.Any]:
    function = device.function
    sriov = function.sriov
    rule = rule_for(rules, device)
    offer = offer_of(rule, device)
    stated = stated_services(rule, device)
    services = stated if device.services is None else device.services
    return {
        "address": device.address,
        "is_vf": device.is_vf,
        "index": device.index,
        "family": device.family.name,
        "model": device.model,
        "generation": device.family.generation,
        "vendor_id": f"{function.vendor_id:04x}",
        "device_id": f"{function.device_id:04x}",
        "driver": function.driver,
        "numa_node": function.numa_node,
        "iommu_group": function.iommu_group,
        "state": device.state,
        "blocked": _blocked(device),
        "services": None if services is None else in_order(services),
        "services_stated": stated is not None,
        "auto_reset": device.auto_reset,
        "pm_idle_enabled": device.pm_idle_enabled,
        "ring_pairs": device.ring_pairs,
        "ras_errors": None if device.ras_errors is None else dict(device.ras_errors),
        "vfs_total": len(device.vf_addresses()),
        "vfs_count": 1 if device.is_vf else sriov.count if sriov else 0,
        "drivers_autoprobe": sriov.autoprobe if sriov else None,
        "resource": offer.resource or resource_of(device) or None,
        "rule": rule.where if rule else None,
        "is_provisioned": rule is not None and rule.provision,
        "advertised": [vf.address for vf in offer.there(device)],
        "vfs": [_vf(vf, node) for vf in device.vfs],
    }


def _vf(vf: PciFunction, node: Node) -> dict[str, t.Any]:
    group = vf.iommu_group if node.iommu else f"noiommu-{vf.iommu_group}"
    return {
        "address": vf.address,
        "device_id": f"{vf.device_id:04x}",
        "driver": vf.driver,
        "driver_override": vf.override,
        "iommu_group": vf.iommu_group,
        "vfio_node": vfio_node(group) if vf.iommu_group and group and vf.driver else None,
        "numa_node": vf.numa_node,
        "held_by": [described_holder(holder) for holder in vf.holders],
    }


def described_holder(holder: Holder) -> dict[str, t.Any]:
    """Who has a VF, as plain values. Ansible prints them as they are, so what a process calls itself is escaped here too."""
    texts = {
        "command": holder.command,
        "container": holder.container,
        "pod": holder.pod,
        "note": holder.note,
    }
    return {"pid": holder.pid or None, **{name: printable(text) for name, text in texts.items()}}


def table(node: Node, rules: t.Sequence[Rule] = ()) -> str:
    """One line for each PF, and VF without its PF, under a heading; a sentence where there is none.

    What takes more room than a column has is below, by PF. `rules` add the services that they state.
    """
    if not node.qat:
        return NO_DEVICE
    rows = [_COLUMNS, *(tuple(map(printable, _row(device, rules))) for device in node.qat)]
    notes = [
        line
        for device in node.qat
        for note in _notes(device)
        for line in wrapped(f"{device.address}: {printable(note)}")
    ]
    return "\n".join([*aligned(rows, WIDTH), *(["", *notes] if notes else [])])


def _row(device: QatDevice, rules: t.Sequence[Rule]) -> tuple[str, ...]:
    drivers, groups = _drivers(device), _groups(device)
    return (
        device.address,
        device.family.name,
        "blocked" if _blocked(device) else device.state or UNKNOWN,
        _services(device, stated_services(rule_for(rules, device), device)),
        _vf_count(device),
        _MIXED if len(drivers) > 1 else next(iter(drivers), UNKNOWN),
        str(device.function.numa_node) if device.function.numa_node >= 0 else UNKNOWN,
        (groups if len(groups) <= _LONGEST_RANGES else _BELOW) or UNKNOWN,
        str(len(_holders(device)) or UNKNOWN),
    )


def _notes(device: QatDevice) -> t.Iterator[str]:
    """What the row of a device has no room for."""
    drivers, groups = _drivers(device), _groups(device)
    if len(drivers) > 1:
        yield "drivers " + ", ".join(f"{name} ({count})" for name, count in drivers.items())
    if len(groups) > _LONGEST_RANGES:
        yield f"IOMMU groups {groups.replace(',', ', ')}"
    for holder in _holders(device):
        yield f"held by {holder}"


def _holders(device: QatDevice) -> list[str]:
    return sorted({str(holder) for vf in device.vfs for holder in vf.holders})


def _groups(device: QatDevice) -> str:
    return _ranges([int(vf.iommu_group) for vf in device.vfs if vf.iommu_group and is_number(vf.iommu_group)])


def _services(device: QatDevice, stated: frozenset[str] | None) -> str:
    if stated:
        return f"{';'.join(in_order(stated))} (stated)"
    return ";".join(in_order(device.services)) if device.services else UNKNOWN


def _vf_count(device: QatDevice) -> str:
    if device.is_vf:
        return "is one"
    sriov = device.function.sriov
    return f"{sriov.count}/{sriov.total}" if sriov else "0/0"


def _blocked(device: QatDevice) -> bool:
    return device.function.blocked or any(vf.blocked for vf in device.vfs)


def _drivers(device: QatDevice) -> dict[str, int]:
    """How many of its VFs have which driver, the most frequent first."""
    names = [vf.driver or "none" for vf in device.vfs]
    return {name: names.count(name) for name in sorted(set(names), key=lambda name: (-names.count(name), name))}


def _ranges(numbers: t.Iterable[int]) -> str:
    """`4-19,23`; nothing for none."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def plan_text(plan: Plan) -> str:
    """The plan for a person: a line for each step, and what is left alone because somebody uses it."""
    lines = [f"{number:3d}. {step}" for number, step in enumerate(plan.steps, 1)]
    lines += [f"     {skip.device} is left as it is: {skip.reason}" for skip in plan.skipped]
    return "\n".join(map(printable, lines)) if lines else "Nothing to do: the node is as configured."
