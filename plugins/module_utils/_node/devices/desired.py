# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What each PF, or VF without its PF, should look like: the rules of a configuration, applied to the QAT devices of one node."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..errors import ConfigurationError
from ..facts.families import VF_DRIVERS
from ..facts.pci import VFIO_DRIVERS
from ..facts.services import services_problem
from .offer import offer_of
from .rules import Rule, Select
from .snapshot import Node, PciFunction, QatDevice

NO_VFS = (
    "enable SR-IOV in the BIOS, and see that the kernel has CONFIG_PCI_IOV; in a virtual machine that was given the PF, make the VFs on "
    "its host instead"
)
"""What to do where a PF cannot have VFs."""

PF_STATES = ("up", "down")
"""What can be written to qat/state (adf_sysfs.c, state_operations)."""


@dataclass(frozen=True)
class Binding:
    """The driver and the driver_override that a VF should have; None means none."""

    driver: str | None
    override: str | None


@dataclass(frozen=True)
class DesiredPf:
    """What a PF should look like; None leaves a part as it is.

    `where` is what asked for it, for messages. `binding` is for every VF; `bindings` are for single VFs by index and go first.
    `driven` says that a QAT PF should have its driver, even where nothing else needs it. `noiommu` says whether VFIO may do without an
    IOMMU; None: if it was set to do so. A VF without its PF has one VF, itself.
    """

    address: str
    where: str
    services: frozenset[str] | None = None
    vf_count: int | None = None
    binding: Binding | None = None
    bindings: t.Mapping[int, Binding] = field(default_factory=dict)
    autoprobe: bool | None = None
    state: str | None = None
    driven: bool = False
    noiommu: bool | None = None
    when_in_use: str = "fail"

    def binding_of(self, index: int) -> Binding | None:
        """What the VF with this index should be bound to."""
        return self.bindings.get(index, self.binding)


def original_pf(node: Node, pf: str) -> DesiredPf:
    """What is desired where a PF of this node should stay exactly as it is: that of it which can be written."""
    function = node.functions[pf]
    device = node.qat_at(pf)
    sriov = function.sriov
    vfs = vfs_of(function, device)
    count = sriov.count if sriov else None
    return DesiredPf(
        address=pf,
        where=pf,
        services=(device.services or None) if device else None,
        vf_count=1 if device and device.is_vf else count,
        bindings={vf.index: Binding(vf.driver, vf.override) for vf in vfs},
        autoprobe=sriov.autoprobe if sriov else None,
        state=device.state if device and device.state in PF_STATES else None,
        driven=device is not None and function.driver == device.family.pf_driver,
    )


def vfs_of(function: PciFunction, device: QatDevice | None) -> tuple[PciFunction, ...]:
    """The VFs of a PF, which need not be a QAT device."""
    if device is not None:
        return device.vfs
    return function.sriov.vfs if function.sriov else ()


def matches(select: Select, device: QatDevice) -> bool:
    """Whether a rule's selection takes this PF, or VF without its PF."""
    pairs: tuple[tuple[frozenset[t.Any] | None, t.Any], ...] = (
        (select.addresses, device.address),
        (select.families, device.family.name),
        (select.device_ids, device.function.device_id),
        (select.numa_nodes, device.function.numa_node),
        (select.indexes, device.index),
    )
    return all(wanted is None or value in wanted for wanted, value in pairs)


def rule_for(rules: t.Sequence[Rule], device: QatDevice) -> Rule | None:
    """The first rule that takes this device, or None: then nobody touches it."""
    return next((rule for rule in rules if matches(rule.select, device)), None)


def unused_rules(rules: t.Sequence[Rule], node: Node) -> tuple[str, ...]:
    """The places of the rules that take no QAT device of this node, as happens where one inventory serves different machines."""
    used = {rule.where for rule in (rule_for(rules, device) for device in node.qat) if rule}
    return tuple(rule.where for rule in rules if rule.where not in used)


def desired_of(rules: t.Sequence[Rule], node: Node) -> tuple[DesiredPf, ...]:
    """What is desired of each PF, and VF without its PF, that a rule takes and provisions, in address order.

    Raises ConfigurationError where a rule asks for what this node does not have or a PF cannot do.
    """
    asking = next((rule for rule in rules if rule.state == "present"), None)
    if asking and not node.qat:
        raise ConfigurationError(
            "the node has no QAT device",
            where=asking.where,
            remedy="see that BIOS has it enabled, in a virtual machine that its host gives it VFs, or take the node out of the group",
        )
    for rule in rules:
        _refuse_unknown(rule, node)
    chosen = ((rule_for(rules, device), device) for device in node.qat)
    return tuple(one for rule, device in chosen if rule is not None for one in _desired(rule, device))


def desired_at(rules: t.Sequence[Rule], node: Node, address: str) -> tuple[DesiredPf, ...]:
    """What is desired of one device alone, whatever the rules ask of others; none where no rule takes it or it is not there.

    Raises ConfigurationError where its rule asks for what it cannot do.
    """
    device = node.qat_at(address)
    rule = rule_for(rules, device) if device else None
    return _desired(rule, device) if device and rule else ()


def warnings_of(rules: t.Sequence[Rule], node: Node) -> tuple[str, ...]:
    """What a rule gives up on this node, each in a sentence. VFs that have a driver of VFIO already need no rule that says noiommu."""
    if node.iommu:
        return ()
    chosen = ((rule_for(rules, device), device) for device in node.qat)
    without = {
        rule.where + (".noiommu" if rule.noiommu else "")
        for rule, device in chosen
        if rule and (rule.noiommu or any(vf.driver in VFIO_DRIVERS for vf in device.vfs))
    }
    return tuple(
        f"{where}: no IOMMU keeps the VFs from the node's memory, so whoever has one, as a pod, can read and write all of it."
        for where in sorted(without)
    )


def advertised(rules: t.Sequence[Rule], device: QatDevice) -> tuple[str, ...]:
    """The addresses of the PF's VFs that Kubernetes is offered: those that are there."""
    return tuple(vf.address for vf in offer_of(rule_for(rules, device), device).there(device))


def _refuse_unknown(rule: Rule, node: Node) -> None:
    for address in sorted(rule.select.addresses or ()):
        if node.qat_at(address) is not None:
            continue
        function = node.function(address)
        if function is not None and function.pf_address:
            problem = f"{address} is a VF of the PF {function.pf_address}"
        else:
            problem = f"{address} is not a QAT device of this node"
        known = ", ".join(device.address for device in node.qat) or "none"
        raise ConfigurationError(
            problem, where=rule.where + ".select.address", remedy=f"the node's QAT devices are: {known}"
        )


def _desired(rule: Rule, device: QatDevice) -> tuple[DesiredPf, ...]:
    """None where nothing is to be written."""
    if rule.services is not None:
        _refuse_services(rule, rule.services, device)
    if device.is_vf:
        _refuse_keys_of_pfs(rule, device)
    if not rule.provision:
        return ()
    _refuse_driver_of_others(rule, device)
    return (_desired_vf(rule, device) if device.is_vf else _desired_pf(rule, device),)


def _refuse_driver_of_others(rule: Rule, device: QatDevice) -> None:
    """The kernel's drivers of VFs take none but their own, whatever driver_override says (qat_*vf/adf_drv.c, adf_probe)."""
    if rule.driver in VF_DRIVERS and rule.driver != device.family.vf_driver:
        raise ConfigurationError(
            f"{device.address} is a {device.family.name} device, whose VFs {rule.driver} does not take",
            where=f"{rule.where}.driver",
            remedy=f"have the rule select the family of {rule.driver} alone, or name another driver",
        )


def _refuse_keys_of_pfs(rule: Rule, device: QatDevice) -> None:
    asked = {"state": rule.state == "absent", "vfs": rule.vfs is not None, "advertise": rule.advertise is not None}
    for key in (key for key, is_asked in asked.items() if is_asked):
        raise ConfigurationError(
            f"{key} is about the VFs of a PF, and {device.address} is a VF whose PF is not on this node",
            where=f"{rule.where}.{key}",
            remedy=f"remove {key}, or have the rule select PFs alone",
        )


def _desired_vf(rule: Rule, device: QatDevice) -> DesiredPf:
    return DesiredPf(
        address=device.address,
        where=rule.where,
        vf_count=1,
        binding=Binding(rule.driver, rule.driver),
        noiommu=rule.noiommu,
        when_in_use=rule.when_in_use,
    )


def _desired_pf(rule: Rule, device: QatDevice) -> DesiredPf:
    count = _vf_count(rule, device)
    _refuse_advertise(rule, count, device)
    return DesiredPf(
        address=device.address,
        where=rule.where,
        services=rule.services,
        vf_count=count,
        binding=Binding(rule.driver, rule.driver) if count else None,
        # A VF that appears later, after a reset, waits for its override instead of going to its kernel driver. Where none is wanted
        # the kernel's default is, as after the next boot.
        autoprobe=not count,
        state="up" if device.family.has_services else None,
        # Where the PF lets go of its driver to lose its VFs, a crash can leave it without.
        driven=True,
        noiommu=rule.noiommu,
        when_in_use=rule.when_in_use,
    )


def _refuse_services(rule: Rule, services: frozenset[str], device: QatDevice) -> None:
    where = rule.where + ".services"
    if not device.family.has_services:
        raise ConfigurationError(
            f"{device.address} is a {device.family.name} device, whose services cannot be set",
            where=where,
            remedy="remove services, or select only PFs from Gen4 on",
        )
    problem = services_problem(device.family, services)
    if problem:
        raise ConfigurationError(
            f"{device.address}: {problem}", where=where, remedy="choose other services for this PF"
        )


def _vf_count(rule: Rule, device: QatDevice) -> int:
    if rule.state == "absent":
        return 0
    sriov = device.function.sriov
    if sriov is None or sriov.total == 0:
        if rule.vfs == 0:
            return 0
        raise ConfigurationError(f"{device.address} cannot have VFs", where=rule.where, remedy=NO_VFS)
    return all_or_none(sriov.total if rule.vfs is None else rule.vfs, sriov.total, device.address, rule.where + ".vfs")


def all_or_none(count: int, total: int, address: str, where: str) -> int:
    """The count, if it is one that a QAT driver accepts (Linux qat_common/adf_sriov.c); raises ConfigurationError otherwise."""
    if count in (0, total):
        return count
    raise ConfigurationError(
        f"{address} cannot have {count} VFs, the kernel's driver creates all {total} or none",
        where=where,
        remedy="leave the count out, and use advertise to offer Kubernetes fewer VFs",
    )


def _refuse_advertise(rule: Rule, count: int, device: QatDevice) -> None:
    if rule.advertise is not None and rule.advertise > count:
        raise ConfigurationError(
            f"{device.address} has {count} VFs, so {rule.advertise} cannot be advertised",
            where=rule.where + ".advertise",
            remedy=f"advertise at most {count}",
        )
