# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What each PF should look like: the rules of a configuration, applied to the QAT devices of one node."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..errors import ConfigurationError
from ..facts.families import is_qat_vf
from ..facts.services import services_problem
from .offer import offer_of
from .rules import Rule, Select
from .snapshot import Node, QatDevice

NO_VFS = (
    "enable SR-IOV in the BIOS, and see that the kernel has CONFIG_PCI_IOV; in a virtual machine that was given the PF, make the VFs on "
    "its host instead"
)
"""What to do where a PF cannot have VFs."""


@dataclass(frozen=True)
class Binding:
    """The driver and the driver_override that a VF should have; None means none."""

    driver: str | None
    override: str | None


@dataclass(frozen=True)
class DesiredPf:
    """What a PF should look like; None leaves a part as it is.

    `where` is what asked for it, for messages. `binding` is for every VF; `bindings` are for single VFs by index and go first.
    `driven` says that a QAT PF should have its driver, even where nothing else needs it.
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
    when_in_use: str = "fail"

    def binding_of(self, index: int) -> Binding | None:
        """What the VF with this index should be bound to."""
        return self.bindings.get(index, self.binding)


def original_pf(node: Node, pf: str) -> DesiredPf:
    """What is desired where a PF of this node should stay exactly as it is."""
    function = node.functions[pf]
    device = node.qat_at(pf)
    sriov = function.sriov
    return DesiredPf(
        address=pf,
        where=pf,
        services=device.services if device else None,
        vf_count=sriov.count if sriov else None,
        bindings={vf.index: Binding(vf.driver, vf.override) for vf in (sriov.vfs if sriov else ())},
        autoprobe=sriov.autoprobe if sriov else None,
        state=device.state if device else None,
        driven=device is not None and function.driver == device.family.pf_driver,
    )


def matches(select: Select, device: QatDevice) -> bool:
    """Whether a rule's selection takes this PF."""
    pairs: tuple[tuple[frozenset[t.Any] | None, t.Any], ...] = (
        (select.addresses, device.address),
        (select.families, device.family.name),
        (select.device_ids, device.function.device_id),
        (select.numa_nodes, device.function.numa_node),
        (select.indexes, device.index),
    )
    return all(wanted is None or value in wanted for wanted, value in pairs)


def rule_for(rules: t.Sequence[Rule], device: QatDevice) -> Rule | None:
    """The first rule that takes this PF, or None: then nobody touches it."""
    return next((rule for rule in rules if matches(rule.select, device)), None)


def unused_rules(rules: t.Sequence[Rule], node: Node) -> tuple[str, ...]:
    """The places of the rules that take no PF of this node, as happens where one inventory serves different machines."""
    used = {rule.where for rule in (rule_for(rules, device) for device in node.qat) if rule}
    return tuple(rule.where for rule in rules if rule.where not in used)


def desired_of(rules: t.Sequence[Rule], node: Node) -> tuple[DesiredPf, ...]:
    """What is desired of each PF that a rule takes, in address order.

    Raises ConfigurationError where a rule asks for what this node does not have or a PF cannot do.
    """
    asking = next((rule for rule in rules if rule.state == "present"), None)
    if asking and not node.qat:
        raise _no_device(asking.where, node)
    for rule in rules:
        _refuse_unknown(rule, node)
    chosen = ((rule_for(rules, device), device) for device in node.qat)
    return tuple(_desired(rule, device) for rule, device in chosen if rule is not None)


def desired_at(rules: t.Sequence[Rule], node: Node, address: str) -> tuple[DesiredPf, ...]:
    """What is desired of one PF alone, whatever the rules ask of others; none where no rule takes it or it is not there.

    Raises ConfigurationError where its rule asks for what it cannot do.
    """
    device = node.qat_at(address)
    rule = rule_for(rules, device) if device else None
    return (_desired(rule, device),) if device and rule else ()


def advertised(rules: t.Sequence[Rule], device: QatDevice) -> tuple[str, ...]:
    """The addresses of the PF's VFs that Kubernetes is offered: those that are there."""
    return tuple(vf.address for vf in offer_of(rule_for(rules, device), device).there(device))


def _no_device(where: str, node: Node) -> ConfigurationError:
    functions = node.functions.values()
    strays = [one.address for one in functions if one.pf_address is None and is_qat_vf(one.vendor_id, one.device_id)]
    if strays:
        return ConfigurationError(
            f"the node has VFs without their PF ({', '.join(strays[:3])}), as a virtual machine has them, and no QAT PF",
            where=where,
            remedy="configure the PF on the host that gives these VFs away, and take this node out of the group",
        )
    return ConfigurationError(
        "the node has no QAT device",
        where=where,
        remedy="see that BIOS has it enabled, or take the node out of the group",
    )


def _refuse_unknown(rule: Rule, node: Node) -> None:
    for address in sorted(rule.select.addresses or ()):
        if node.qat_at(address) is not None:
            continue
        function = node.function(address)
        if function is not None and function.pf_address:
            problem = f"{address} is a VF of the PF {function.pf_address}"
        else:
            problem = f"{address} is not a QAT PF of this node"
        known = ", ".join(device.address for device in node.qat) or "none"
        raise ConfigurationError(
            problem, where=rule.where + ".select.address", remedy=f"the node's QAT PFs are: {known}"
        )


def _desired(rule: Rule, device: QatDevice) -> DesiredPf:
    if rule.services is not None:
        _refuse_services(rule, rule.services, device)
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
