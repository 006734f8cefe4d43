# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service knows of the node from one scan to the next. Decisions only."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from . import health
from ._node.devices.desired import rule_for
from ._node.devices.offer import is_offering
from ._node.devices.rules import Rule
from ._node.devices.snapshot import Node, QatDevice
from .catalogue import (
    NO_CLAIMS,
    Allotment,
    Claims,
    Given,
    OfferedVf,
    Offers,
    Snapshot,
    allotments_of,
    left_out_of,
    offers_of,
    resources_of,
    with_lost,
    with_vanished,
)
from .health import PfHealth, Reading

CHECKPOINT_SECONDS = 2.0
"""How long kubelet may take from Allocate's answer until its checkpoint has it: two steps without another in between."""


@dataclass(frozen=True)
class Scan:
    """What one scan found. `snapshot` is None where only the PFs were looked at; `without_heartbeat` are PFs without a heartbeat file.

    `given` is what pods had after `now`, None where that could not be seen. `named` are the devices of which kubelet itself has said last
    that pods have them, None while it has not been asked, or has never answered. `claims` are what pods had by claims after `now`, None
    where that could not be seen.
    """

    now: float
    snapshot: Snapshot | None
    readings: t.Mapping[str, Reading]
    without_heartbeat: frozenset[str] = frozenset()
    given: Given | None = field(default_factory=dict)
    named: frozenset[str] | None = None
    claims: Claims | None = NO_CLAIMS


@dataclass(frozen=True)
class Model:
    """The last snapshot, each PF's resource and health, and what follows from them.

    `offers` holds every resource that was ever offered, with an empty list where there is nothing of it any more, so that kubelet learns
    of it. What has vanished stays in it, unhealthy, until the rules are read again or its PF offers it again.
    `allotments` are what each PF should offer, also one that has vanished; `left_out` are the PFs whose resource is unknown, and why.
    `given` is what pods have, None where that was never seen; it stays until `given_until`. `named` is that of the last scan. `claims` are
    what pods had by claims when that was seen last.
    """

    snapshot: Snapshot | None = None
    resources: t.Mapping[str, str] = field(default_factory=dict)
    health: t.Mapping[str, PfHealth] = field(default_factory=dict)
    offers: t.Mapping[str, tuple[OfferedVf, ...]] = field(default_factory=dict)
    allotments: t.Mapping[str, Allotment] = field(default_factory=dict)
    left_out: t.Mapping[str, str] = field(default_factory=dict)
    given: Given | None = None
    given_until: float = 0.0
    named: frozenset[str] | None = None
    claims: Claims = NO_CLAIMS

    @property
    def undecided(self) -> frozenset[str]:
        """The PFs whose heartbeat should be read again soon."""
        return frozenset(address for address, one in self.health.items() if one.undecided)

    @property
    def is_blocked(self) -> bool:
        """Whether the kernel was still at work on a device."""
        functions = self.snapshot.node.functions.values() if self.snapshot else ()
        return any(function.blocked for function in functions)


def advance(model: Model, scan: Scan, rules: t.Sequence[Rule]) -> Model:
    """The model after one more scan."""
    snapshot = scan.snapshot or model.snapshot
    if snapshot is None:
        return model
    same = _same_devices(model.snapshot.node.qat if model.snapshot else (), snapshot.node.qat)
    known = replace(
        model,
        resources={address: resource for address, resource in model.resources.items() if address in same},
        health={address: one for address, one in model.health.items() if address in same},
    )
    offers = _with_offers(
        replace(
            known,
            snapshot=snapshot,
            resources=resources_of(snapshot.node, known.resources),
            health={device.address: _health(known, scan, device.address) for device in snapshot.node.qat},
            given=model.given if scan.given is None or scan.now < model.given_until else scan.given,
            named=scan.named,
            claims=model.claims if scan.claims is None else scan.claims,
        ),
        rules,
        scan.now,
    )
    there = (
        (vf.address, device.address) for device in snapshot.node.qat if device.address in same for vf in device.vfs
    )
    whole = with_vanished(model.offers, offers.offers, frozenset(there))
    return _with_lost(model.offers, replace(offers, offers=whole))


def with_claims(model: Model, claims: Claims, rules: t.Sequence[Rule], now: float) -> Model:
    """The model where pods have this by claims, and nothing else has been looked at again."""
    return advance(model, Scan(now, None, {}, given=None, named=model.named, claims=claims), rules)


def with_rules(model: Model, rules: t.Sequence[Rule], now: float) -> Model:
    """The model under another configuration.

    What was offered by a resource until now counts as given by it, until kubelet's checkpoint has been read a moment later: it may just
    have been.
    """
    if model.snapshot is None:
        return model
    given = None if model.given is None else _with_offered(model.given, model.offers)
    until = now + CHECKPOINT_SECONDS
    return _with_lost(
        model.offers, _with_offers(replace(model, allotments={}, given=given, given_until=until), rules, now)
    )


def _with_lost(before: Offers, model: Model) -> Model:
    """The model with the VFs that pods have and that are not there.

    A checkpoint has pods that have ended, where nothing here says which live, as in a container: kubelet's own word is better.
    """
    assert model.snapshot is not None
    named, given = model.named, model.given or {}
    of_pods = {address: given[address] for address in given if named is None or address in named}
    return replace(model, offers=with_lost(before, model.offers, of_pods, model.snapshot.node.functions))


def _with_offered(given: Given, offers: Offers) -> Given:
    offered = {vf.address: frozenset({resource}) for resource, vfs in offers.items() for vf in vfs if vf.healthy}
    return {
        address: given.get(address, frozenset()) | offered.get(address, frozenset()) for address in {*given, *offered}
    }


def _same_devices(before: t.Iterable[QatDevice], now: t.Iterable[QatDevice]) -> frozenset[str]:
    """The addresses of the PFs that are still there: another device at an address has no past."""
    ids = {device.address: _ids(device) for device in before}
    return frozenset(device.address for device in now if ids.get(device.address) == _ids(device))


def _ids(device: QatDevice) -> tuple[int, int]:
    return device.function.vendor_id, device.function.device_id


def _health(model: Model, scan: Scan, address: str) -> PfHealth:
    known = model.health.get(address, PfHealth())
    if address in scan.readings:
        known = health.observe(known, scan.readings[address], scan.now)
    return health.forget_heartbeat(known) if address in scan.without_heartbeat else known


def _with_offers(model: Model, rules: t.Sequence[Rule], now: float) -> Model:
    assert model.snapshot is not None
    node = model.snapshot.node
    pf_reasons = {address: health.reasons(one, address, now) for address, one in model.health.items()}
    empty: dict[str, tuple[OfferedVf, ...]] = dict.fromkeys(model.offers, ())
    offers = offers_of(model.snapshot, rules, model.resources, pf_reasons, model.given, model.claims)
    vanished = {address: one for address, one in model.allotments.items() if node.qat_at(address) is None}
    return replace(
        model,
        offers={**empty, **offers},
        allotments={**vanished, **allotments_of(node, rules, model.resources)},
        left_out=left_out_of(node, rules, model.resources),
    )


def nothing_to_offer(rules: t.Sequence[Rule], node: Node) -> bool:
    """Whether the rules want no VF of this node to be offered, whichever there are.

    A rule that takes none of the node's PFs is for other nodes, but not where it names a PF that is missing, or all are missing.
    """
    offering = [rule for rule in rules if _offers(rule)]
    present = {device.address for device in node.qat}
    if not present or any((rule.select.addresses or frozenset()) - present for rule in offering):
        return not offering
    return not any(rule_for(rules, device) in offering for device in node.qat)


def _offers(rule: Rule) -> bool:
    return is_offering(rule) and rule.vfs != 0 and rule.advertise != 0


def without_vfs(model: Model) -> dict[str, int]:
    """The PFs of which VFs should be offered and none is there, with the number that should be."""
    there = {vf.pf_address for vfs in model.offers.values() for vf in vfs if not vf.vanished}
    return {pf: one.vfs for pf, one in model.allotments.items() if one.vfs and pf not in there}


def changes(before: Model, after: Model) -> list[dict[str, str]]:
    """What happened to single VFs, for the log: `event` is appeared, vanished, withdrawn, healthy or unhealthy.

    At the first scan those that are healthy are no news.
    """
    old, new = _by_address(before), _by_address(after)
    found = []
    for address in sorted({*old, *new}):
        was, now = old.get(address), new.get(address)
        if now is None:
            found.append({"vf": address, "event": "withdrawn"})
        elif (was is None and before.snapshot is not None) or (was.reasons if was else ()) != now.reasons:
            why = "; ".join(reason.detail for reason in now.reasons)
            found.append({"vf": address, "event": _event(was, now), **({"why": why} if why else {})})
    return found


def _event(was: OfferedVf | None, now: OfferedVf) -> str:
    if now.vanished:
        return "vanished"
    if not now.healthy:
        return "unhealthy"
    return "appeared" if was is None or was.vanished else "healthy"


def _by_address(model: Model) -> dict[str, OfferedVf]:
    return {vf.address: vf for vfs in model.offers.values() for vf in vfs}
