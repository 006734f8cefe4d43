# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is offered to Kubernetes: the VFs of each resource with their health. Decisions only, from a snapshot of the node."""

from __future__ import annotations

import types
import typing as t
from dataclasses import dataclass, field, replace

from . import reasons as why
from ._node.devices.desired import rule_for
from ._node.devices.offer import (
    Offer,
    differing_services,
    offer_of,
    resource_of,
)
from ._node.devices.rules import Rule
from ._node.devices.snapshot import Node, PciFunction, QatDevice
from ._node.facts.paths import vfio_node
from ._node.facts.pci import is_address
from ._node.facts.services import RESOURCE_PREFIX, for_containers, for_vms, is_for_vms, is_known, written_services
from ._node.users.claimed import QAT_DRIVER, is_identified
from .reasons import REASONS, Reason

__all__ = ["REASONS", "Reason"]


@dataclass(frozen=True)
class OfferedVf:
    """A VF that is reported to Kubernetes. `driver` is the one it should have; `reasons` are empty while it can be used.

    Of one that is not there, and that is listed for no longer than a pod has it, `driver` is empty; where this process has never seen it,
    `pf_address` is its own.
    """

    address: str
    pf_address: str
    numa_node: int
    driver: str
    reasons: tuple[Reason, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether a container may get it."""
        return not self.reasons

    @property
    def vanished(self) -> bool:
        """Whether it is only remembered."""
        return any(reason.code == "vanished" for reason in self.reasons)

    @property
    def is_lost(self) -> bool:
        """Whether it is in the list for no longer than a pod has it."""
        return not self.driver

    @property
    def given_otherwise(self) -> bool:
        """Whether a pod may have it by another resource than this."""
        return any(reason.code == "given" for reason in self.reasons)


Offers = t.Mapping[str, "tuple[OfferedVf, ...]"]
"""The VFs by the full name of their resource."""


@dataclass(frozen=True)
class Allotment:
    """What the configuration has a PF offer: so many VFs of a resource."""

    resource: str
    numa_node: int
    vfs: int


_HARMLESS = frozenset({None, "pcieport", "pci-stub"})
"""Drivers that leave the rest of their IOMMU group to VFIO, as its own do: Linux has `driver_managed_dma` set in each of them."""

Groups = t.Mapping[str, "t.Mapping[str, str | None]"]
"""The driver of each device by the IOMMU group and its name, which is an address where it is a PCI function."""


Given = t.Mapping[str, "frozenset[str]"]
"""The resources by which pods have VFs, by the address."""


@dataclass(frozen=True)
class Claims:
    """What pods have by claims (dynamic resource allocation): the driver that gave it, by the address of the device or by its VFIO node.

    `unidentified` is what Intel's driver calls a VF of which nothing says which one it is, and empty where there is no such one.
    """

    drivers: t.Mapping[str, str] = field(default_factory=dict)
    unidentified: str = ""


NO_CLAIMS = Claims()


def claims_of(given: t.Iterable[tuple[str, str]]) -> Claims:
    """What of this can be a VF. Each is the driver, and the address of the device, its VFIO node, or else its name."""
    drivers: dict[str, str] = {}
    unidentified: list[str] = []
    for driver, device in sorted(given):
        if is_identified(device):
            drivers.setdefault(device, driver)
        elif driver == QAT_DRIVER:
            unidentified.append(device)
    return Claims(drivers, unidentified[0] if unidentified else "")


@dataclass(frozen=True)
class Snapshot:
    """What one scan of the node found: its devices, the names in /dev/vfio, and who is in the IOMMU groups of the VFs."""

    node: Node
    vfio_names: frozenset[str]
    groups: Groups = field(default_factory=dict)


def resources_of(node: Node, known: t.Mapping[str, str]) -> dict[str, str]:
    """The resource of each PF. `known` is what was found before: it holds while a PF's services cannot be read.

    A PF that has services but has not reported them yet is left out, rather than taken for one without. Whether it has is a matter of its
    family, not of the files that it shows.
    """
    found = {device.address: resource_of(device) or known.get(device.address, "") for device in node.qat}
    return {address: resource for address, resource in found.items() if resource}


def _offer_of(device: QatDevice, rules: t.Sequence[Rule], resources: t.Mapping[str, str]) -> Offer:
    return offer_of(rule_for(rules, device), device, resources.get(device.address, ""))


def allotments_of(node: Node, rules: t.Sequence[Rule], resources: t.Mapping[str, str]) -> dict[str, Allotment]:
    """What each PF should offer, whether its VFs are there or not."""
    offers = ((device, _offer_of(device, rules, resources)) for device in node.qat)
    return {
        device.address: Allotment(offer.resource, device.function.numa_node, len(offer.vfs))
        for device, offer in offers
        if offer.resource
    }


def left_out_of(node: Node, rules: t.Sequence[Rule], resources: t.Mapping[str, str]) -> dict[str, str]:
    """The PFs that should offer VFs, but have not reported their services so far, so that the resource is unknown; and why."""
    offers = ((device.address, _offer_of(device, rules, resources)) for device in node.qat)
    return {address: offer.why_not for address, offer in offers if offer.is_left_out}


def offers_of(
    snapshot: Snapshot,
    rules: t.Sequence[Rule],
    resources: t.Mapping[str, str],
    pf_reasons: t.Mapping[str, tuple[Reason, ...]],
    given: Given | None = types.MappingProxyType({}),
    claims: Claims = NO_CLAIMS,
) -> dict[str, tuple[OfferedVf, ...]]:
    """The VFs that the rules advertise, by resource. PFs whose VFs stay with a driver of the host are not offered.

    `given` is what pods have, None where that is not known; `claims` is what they have besides.
    """
    offered = {device.address: _offer_of(device, rules, resources) for device in snapshot.node.qat}
    chosen = {device.address: offered[device.address].there(device) for device in snapshot.node.qat}
    offered_of = _offered_of_groups(vf for vfs in chosen.values() for vf in vfs)
    offers: dict[str, tuple[OfferedVf, ...]] = {}
    for device in snapshot.node.qat:
        rule = rule_for(rules, device)
        if rule is None or not chosen[device.address]:
            continue
        shared = _shared_reasons(device, rule) + tuple(pf_reasons.get(device.address, ()))
        resource = offered[device.address].resource
        is_stated = device.is_vf or not rule.provision
        vfs = tuple(
            _offered(vf, device, rule, snapshot, offered_of, shared + _of_pods(resource, vf, given, claims, is_stated))
            for vf in chosen[device.address]
        )
        offers[resource] = offers.get(resource, ()) + vfs
    return offers


def _of_pods(
    resource: str, vf: PciFunction, given: Given | None, claims: Claims, is_stated: bool
) -> tuple[Reason, ...]:
    """Why a VF cannot be given as this resource: kubelet counts each resource by itself, and a pod keeps what it has by another rule.

    Where a rule states what the VFs are, another statement takes them from nobody, so that a pod may have one by any other resource.
    What is not known keeps the VFs of containers from nobody: most nodes have no others.
    """
    claim = _by_claim(vf, given, claims)
    if claim is not None:
        return (claim,)
    for_vm = is_for_vms(resource)
    if given is None:
        return (why.given_unknown(),) if for_vm else ()
    other = for_containers(resource) if for_vm else for_vms(resource)
    by = (
        one
        for one in given.get(vf.address, ())
        if one == other or (is_stated and one.startswith(RESOURCE_PREFIX) and one != resource)
    )
    return tuple(why.given_otherwise(one) for one in sorted(by)[:1])


def _by_claim(vf: PciFunction, given: Given | None, claims: Claims) -> Reason | None:
    """Why a VF cannot be given because of claims: the driver that gave it and kubelet's device manager do not know of each other."""
    node = "" if vf.iommu_group is None else vfio_node(vf.iommu_group)
    driver = claims.drivers.get(vf.address) or claims.drivers.get(node)
    if driver:
        return why.given_by_claim(driver)
    # What a pod has by kubelet's device manager is not the VF of such a claim.
    if claims.unidentified and vf.address not in (given or {}):
        return why.given_by_unknown_claim(claims.unidentified)
    return None


def with_vanished(
    before: Offers, offers: Offers, there: t.Container[tuple[str, str]]
) -> dict[str, tuple[OfferedVf, ...]]:
    """The offers with the VFs besides that were offered before, and are not there any more.

    From 1.36 on kubelet reports a device as healthy to its pod when it is not in the list. A VF that is there, but that the rules do not
    offer any more, or not as this resource, is no such one, nor is one that only `with_lost` has listed. `there` are the VFs that are, each
    with its PF.
    """
    listed = {vf.address for vfs in offers.values() for vf in vfs}

    def lost(vf: OfferedVf) -> bool:
        is_away = vf.vanished or (vf.address, vf.pf_address) not in there
        return vf.address not in listed and not vf.is_lost and is_away

    return {
        resource: (
            *offers.get(resource, ()),
            *(
                replace(vf, reasons=(why.vanished(vf.address, vf.pf_address),))
                for vf in before.get(resource, ())
                if lost(vf)
            ),
        )
        for resource in {**before, **offers}
    }


def with_lost(
    before: Offers, offers: Offers, given: Given, there: t.Container[str]
) -> dict[str, tuple[OfferedVf, ...]]:
    """The offers with the VFs besides that pods have and that are not there: since this process has started, or the rules were read again.

    Where no VF is there at all, only those that were offered `before`: then the node has not been provisioned, or this process does not
    see it. `there` are the addresses of the node's functions.
    """
    found = dict(offers)
    known = {vf.address: vf for vfs in before.values() for vf in vfs}
    seen = {vf.address for vfs in offers.values() for vf in vfs}
    is_blind = all(vf.vanished for vfs in offers.values() for vf in vfs)
    for address in sorted(given):
        if address in seen or address in there or not is_address(address) or (is_blind and address not in known):
            continue
        lost = _lost(known.get(address) or OfferedVf(address, address, -1, ""))
        for resource in sorted(filter(is_known, given[address])):
            found[resource] = (*found.get(resource, ()), lost)
    return found


def _lost(vf: OfferedVf) -> OfferedVf:
    return replace(vf, driver="", reasons=(why.vanished(vf.address, vf.pf_address),))


def _offered_of_groups(vfs: t.Iterable[PciFunction]) -> dict[str, str]:
    """The VF that each IOMMU group is for: its first one, healthy or not, so that it is not another one while a pod has it."""
    offered_of: dict[str, str] = {}
    for vf in sorted(vfs, key=lambda vf: vf.address):
        offered_of.setdefault(vf.iommu_group or "", vf.address)
    return offered_of


def _offered(
    vf: PciFunction,
    device: QatDevice,
    rule: Rule,
    snapshot: Snapshot,
    offered_of: t.Mapping[str, str],
    shared: tuple[Reason, ...],
) -> OfferedVf:
    reasons = _own_reasons(vf, rule, snapshot, offered_of) + shared
    return OfferedVf(vf.address, device.address, numa_node_of(vf, device), rule.driver, reasons)


def numa_node_of(vf: PciFunction, device: QatDevice) -> int:
    """The NUMA node of a VF, which is that of its PF where it reports none; -1 for none."""
    return vf.numa_node if vf.numa_node >= 0 else device.function.numa_node


def _own_reasons(
    vf: PciFunction, rule: Rule, snapshot: Snapshot, offered_of: t.Mapping[str, str]
) -> tuple[Reason, ...]:
    if vf.blocked:
        return (why.blocked(),)
    if vf.driver != rule.driver:
        return (why.wrong_driver(vf.driver, rule.driver),)
    if vf.iommu_group is None:
        return (why.no_group(),)
    if not snapshot.vfio_names & {vf.iommu_group, f"noiommu-{vf.iommu_group}"}:
        return (why.no_node(vf.iommu_group, snapshot.vfio_names),)
    others = _others_of(vf, vf.iommu_group, snapshot.groups, offered_of[vf.iommu_group])
    return (why.group_shared(vf.iommu_group, others),) if others else ()


def _others_of(vf: PciFunction, group: str, groups: Groups, offered: str) -> str:
    """Who keeps the VF's group from being its own: the kernel gives a group to one user of VFIO at a time, and only whole."""
    for name, driver in sorted(groups.get(group, {}).items()):
        if name != vf.address and driver not in _HARMLESS and "vfio" not in str(driver):
            return f"{name} too, which is bound to {driver}"
    return f"{offered} too, which is offered" if offered != vf.address else ""


def _shared_reasons(device: QatDevice, rule: Rule) -> tuple[Reason, ...]:
    """What the snapshot says against all VFs of a PF."""
    if device.is_vf:
        return ()
    if device.function.blocked:
        return (why.pf_blocked(device.address),)
    if rule.provision and device.shows_services and not device.services:
        return (why.services_unread(device.address),)
    if differing_services(rule, device):
        has, wanted = (written_services(one or ()) for one in (device.services, rule.services))
        return (why.other_services(device.address, has, wanted),)
    return ()
