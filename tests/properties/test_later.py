# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds when something is otherwise than when the run began: rules, users, the card, or what the planner thinks of it.

Each property counts how often its case was met, since one that is hardly ever met proves nothing.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import ApplyError, converge
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import plan_restoration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import rule_for
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import Rule, parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.facts.pci import VFIO_PCI
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import Assignments
from ansible_collections.accel.qat.tests.fakes import LoneVf, NodeSpec, Pf, Vf
from ansible_collections.accel.qat.tests.fakes.pci import Function
from ansible_collections.accel.qat.tests.fakes.qat import QatVfDriver
from ansible_collections.accel.qat.tests.properties.cases import Case, cases
from ansible_collections.accel.qat.tests.properties.node import (
    SECONDS,
    Bench,
    as_left,
    assert_as_reported,
    pf_address_of,
)

EXAMPLES = settings().max_examples // 2
_TOTAL = 4
_ADDRESSES = ("0000:10:00.0", "0000:20:00.0", "0000:30:00.0")
_LONE = ("0000:00:05.0", "0000:00:06.0", "0000:00:07.0", "0000:00:08.0")
_WITH_VF_DRIVER = ("c6xx", "c3xxx", "dh895xcc")
_FAMILIES = (*_WITH_VF_DRIVER, "4xxx")
_VFIO = Vf(VFIO_PCI, VFIO_PCI)


@st.composite
def contested(draw: st.DrawFn, first: Vf | None = None) -> Case:
    """A node of several PFs with VFs for which the rules want something else, and rules that say what becomes of users.

    Of the first PF some VFs are as `first`, where that is given.
    """
    families = draw(st.lists(st.sampled_from(_FAMILIES), min_size=2, max_size=3))
    if first == Vf():
        families[0] = draw(st.sampled_from(_WITH_VF_DRIVER))
    pfs = tuple(
        Pf(family, address, total_vfs=_TOTAL, autoprobe=draw(st.booleans()), vfs=draw(_some_vfs(family)))
        for family, address in zip(families, _ADDRESSES)
    )
    if first:
        others = draw(st.sampled_from((first, Vf(), _VFIO)))
        pfs = (replace(pfs[0], vfs=(first,) * 2 + (others,) * (_TOTAL - 2)), *pfs[1:])
    modules = (
        "qat_c62x",
        "qat_c3xxx",
        "qat_dh895xcc",
        "qat_4xxx",
        "qat_c62xvf",
        "qat_c3xxxvf",
        "qat_dh895xccvf",
        "vfio_pci",
    )
    spec = NodeSpec(pfs, loaded=modules, options={"vfio_pci": ("disable_denylist=1",)})
    rules = [
        {
            "select": {"address": pf.address},
            "when_in_use": draw(st.sampled_from(("skip", "skip", "skip", "fail", "force"))),
            **draw(_desired(pf.family)),
        }
        for pf in pfs
        if draw(st.integers(0, 5))
    ]
    return spec, parse_configuration({"devices": rules})


@st.composite
def guests(draw: st.DrawFn) -> Case:
    """A node of VFs without their PF, each with another driver than its rule wants, or none."""
    vfs = tuple(LoneVf("c6xx", address, vf=draw(st.sampled_from((Vf(), _VFIO)))) for address in _LONE)
    spec = NodeSpec(
        lone_vfs=vfs, loaded=("qat_c62xvf", "vfio_pci"), options={"vfio_pci": ("disable_denylist=1",)}, udev=False
    )
    rules = [
        {
            "select": {"address": vf.address},
            "when_in_use": draw(st.sampled_from(("skip", "skip", "fail", "force"))),
            "driver": "c6xxvf" if vf.vf is _VFIO else VFIO_PCI,
        }
        for vf in vfs
        if draw(st.integers(0, 5))
    ]
    return spec, parse_configuration({"devices": rules})


@st.composite
def in_rounds(draw: st.DrawFn) -> Case:
    """PFs each of which lets go of its VFs in a round of its own, and which nobody may be cut off from, but by force."""
    families = draw(st.lists(st.sampled_from(("c6xx", "c3xxx", "c6xx", "4xxx")), min_size=3, max_size=3))
    pfs = tuple(Pf(family, address, total_vfs=2, vfs=(_VFIO,) * 2) for family, address in zip(families, _ADDRESSES))
    spec = NodeSpec(
        pfs, loaded=("qat_c62x", "qat_c3xxx", "qat_4xxx", "vfio_pci"), options={"vfio_pci": ("disable_denylist=1",)}
    )
    uses = draw(st.lists(st.sampled_from(("fail", "fail", "force")), min_size=3, max_size=3))
    rules = [{"select": {"address": pf.address}, "when_in_use": use, "state": "absent"} for pf, use in zip(pfs, uses)]
    return spec, parse_configuration({"devices": rules})


def _some_vfs(family: str) -> st.SearchStrategy[tuple[Vf, ...]]:
    own = Vf() if family in _WITH_VF_DRIVER else _VFIO
    return st.sampled_from(((own,) * _TOTAL, (_VFIO,) * _TOTAL, (own,) * 2 + (_VFIO,) * 2, ()))


def _desired(family: str) -> st.SearchStrategy[dict[str, t.Any]]:
    last: dict[str, t.Any] = {"driver": f"{family}vf"} if family in _WITH_VF_DRIVER else {"services": ["dc"]}
    return st.sampled_from(({"state": "absent"}, {}, last))


def _driver(function: Function) -> str | None:
    return function.driver.name if function.driver else None


def _rule(bench: Bench, function: Function) -> Rule | None:
    device = next(one for one in bench.read().qat if one.address == pf_address_of(function))
    return rule_for(bench.rules, device)


def _may_be_taken(rule: Rule | None) -> bool:
    return rule is not None and rule.when_in_use == "force"


def test_touches_nothing_that_the_kernel_uses_itself() -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(contested(Vf()), st.randoms(use_true_random=False))
    def holds(case: Case, random: t.Any) -> None:
        bench = Bench.of(*case)
        functions = bench.kernel.machine.bus.functions
        vfs = sorted(address for address, one in functions.items() if isinstance(one.driver, QatVfDriver))
        used = random.sample(vfs, min(random.randint(1, 2), len(vfs)))
        for address in used:
            bench.kernel.use_vf(address)
        before = {address: (functions[address], _rule(bench, functions[address])) for address in used}
        with contextlib.suppress(NodeError):
            bench.converge()
        safe = {address for address, (_function, rule) in before.items() if not _may_be_taken(rule)}
        met["protected, and something is written"] += bool(safe and bench.kernel.writes)
        for address in safe:
            assert functions.get(address) is before[address][0]
            assert isinstance(before[address][0].driver, QatVfDriver)

    holds()
    assert met["protected, and something is written"] >= EXAMPLES / 10


@pytest.mark.parametrize("by", ["a process", "a process that nobody sees", "a pod"])
def test_touches_nothing_that_somebody_has(by: str) -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(contested(_VFIO) | guests(), st.randoms(use_true_random=False))
    def holds(case: Case, random: t.Any) -> None:
        bench = Bench.of(*case)
        functions = bench.kernel.machine.bus.functions
        vfs = sorted(address for address, one in functions.items() if _driver(one) == VFIO_PCI)
        taken = random.sample(vfs, min(random.randint(1, 2), len(vfs)))
        pids = [bench.kernel.open_vf(address, "qemu-kvm") for address in taken if by != "a pod"]
        for pid in pids if by == "a process that nobody sees" else ():
            bench.kernel.hide(pid)
        if by == "a pod":
            bench.kernel.assignments = Assignments(dict.fromkeys(taken, (Holder(0, "", "app", "default/web-0"),)))
        before = {address: (functions[address], _rule(bench, functions[address])) for address in taken}
        with contextlib.suppress(NodeError):
            bench.converge()
        safe = {address for address, (_function, rule) in before.items() if not _may_be_taken(rule)}
        met["protected, and something is written"] += bool(safe and bench.kernel.writes)
        for address in safe:
            assert functions.get(address) is before[address][0]
            assert (_driver(before[address][0]), before[address][0].override) == (VFIO_PCI, VFIO_PCI)

    holds()
    assert met["protected, and something is written"] >= EXAMPLES / 10


def test_somebody_who_comes_between_rounds_is_not_cut_off_and_the_run_says_what_stands() -> None:
    """Whenever the node is read again: what is taken by then stays, and what was written before is reported."""
    met: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(in_rounds() | contested(), st.integers(2, 3), st.randoms(use_true_random=False))
    def holds(case: Case, at: int, random: t.Any) -> None:
        bench = Bench.of(*case)
        functions, before = bench.kernel.machine.bus.functions, bench.pfs()
        came: dict[str, tuple[Function, Rule | None]] = {}
        reads = [0]

        def read() -> Node:
            reads[0] += 1
            free = sorted(one for one, vf in functions.items() if _driver(vf) == VFIO_PCI)
            if reads[0] == at and free:
                address = random.choice(free)
                came[address] = (functions[address], _rule(bench, functions[address]))
                bench.kernel.open_vf(address, "qemu-kvm")
            return bench.read()

        error: NodeError | None = None
        try:
            converge(bench.kernel, read, bench.plan, SECONDS, bench.remember)
        except NodeError as raised:
            error = raised
        for address, (function, rule) in came.items():
            if not _may_be_taken(rule):
                assert functions.get(address) is function
                assert _driver(function) == VFIO_PCI
        if error is not None and bench.kernel.writes:
            met["an error after writes"] += bool(came)
            assert isinstance(error, ApplyError)
            assert_as_reported(bench, before, error)

    holds()
    assert met["an error after writes"] >= EXAMPLES / 20


def test_a_planner_that_refuses_later_leaves_nothing_half_done_and_unreported() -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(cases() | contested(), st.integers(2, 4))
    def holds(case: Case, at: int) -> None:
        bench = Bench.of(*case)
        before, plans = bench.pfs(), [0]

        def plan(node: Node) -> Plan:
            plans[0] += 1
            if plans[0] == at:
                raise RefusedError("not any more", "devices[0]")
            return bench.plan(node)

        try:
            converge(bench.kernel, bench.read, plan, SECONDS, bench.remember)
        except ApplyError as error:
            met["refused after writes"] += plans[0] == at
            assert_as_reported(bench, before, error)
        except NodeError:
            assert bench.kernel.writes == []

    holds()
    assert met["refused after writes"] >= EXAMPLES / 10


def test_two_configurations_one_after_the_other_end_as_the_second_alone() -> None:
    """And what was found before the first one comes back."""
    met: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(contested(), contested())
    def holds(first: Case, second: Case) -> None:
        spec, rules = first
        both = Bench.of(spec, tuple(replace(rule, when_in_use="force") for rule in rules))
        before = both.pfs()
        alone = Bench.of(spec, tuple(replace(rule, when_in_use="force") for rule in second[1]))
        try:
            both.converge()
            both.rules = alone.rules
            both.converge()
            alone.converge()
        except NodeError:
            return
        met["both reached"] += 1
        named = {device.address for device in alone.read().qat if rule_for(alone.rules, device) is not None}
        for address in named:
            ours, theirs = both.pfs()[address], alone.pfs()[address]
            # What the second one leaves open is as the first one made it.
            assert ours._replace(services=None) == theirs._replace(services=None)
        assert both.plan(both.read()).steps == ()
        converge(both.kernel, both.read, lambda node: plan_restoration(both.found, node, "force"), SECONDS)
        for address, state in before.items():
            assert both.pfs()[address] == state or address not in both.found.pfs
            assert address in both.found.pfs or as_left(both.pfs()[address], state)

    holds()
    assert met["both reached"] >= EXAMPLES / 10


def test_a_record_of_other_cards_changes_nothing() -> None:
    """Teardown on a node whose cards were replaced goes through, and touches those alone that are the same."""
    met: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(contested(), contested())
    def holds(then: Case, now: Case) -> None:
        former, bench = Bench.of(*then), Bench.of(*now)
        with contextlib.suppress(NodeError):
            former.converge()
        ids = {device.address: device.function.device_id for device in former.read().qat}
        others = {device.address for device in bench.read().qat if ids.get(device.address) != device.function.device_id}
        met["another card"] += bool(others & set(former.found.pfs))
        before = bench.pfs()
        assert not set(former.found.on(bench.read()).assigned) & others
        outcome = converge(
            bench.kernel, bench.read, lambda node: plan_restoration(former.found, node, "force"), SECONDS
        )
        assert not {step.configured for step in outcome.steps} & others
        for address in others:
            assert as_left(bench.pfs()[address], before[address])
        bench.found = former.found
        with contextlib.suppress(NodeError):
            bench.converge()
        assert not (set(bench.found.pfs) - set(former.found.pfs)) & set(before) - set(bench.found.ids)

    holds()
    assert met["another card"] >= EXAMPLES / 10
