# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every node and every configuration while the hardware works."""

from __future__ import annotations

import contextlib
import typing as t

from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import ApplyError, Failure
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import desired_of, rule_for
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import plan_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.step import Action
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, WriteTimeout
from ansible_collections.accel.qat.plugins.module_utils._node.facts.pci import VFIO_PCI
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import Assignments
from ansible_collections.accel.qat.tests.fakes.modules import KINDS
from ansible_collections.accel.qat.tests.fakes.pci import Function
from ansible_collections.accel.qat.tests.properties.cases import Case, cases
from ansible_collections.accel.qat.tests.properties.node import Bench, as_left, is_ours, pf_address_of


@given(cases())
def test_reaches_the_configuration_or_refuses_before_the_first_write(case: Case) -> None:
    bench = Bench.of(*case)
    unforeseen: list[str] = []
    try:
        outcome = bench.converge()
    except ApplyError as error:
        unforeseen = [str(one.error) for one in error.failures if not _only_the_kernel_knows(one, bench)]
    except NodeError:
        unforeseen = [f"{write} before a refusal" for write in bench.kernel.writes]
    else:
        unforeseen = _not_as_configured(bench, {skip.device for skip in outcome.skipped})
    assert unforeseen == []


def _only_the_kernel_knows(failure: Failure, bench: Bench) -> bool:
    """Whether no file could have shown the engine that the kernel would refuse this step."""
    step = failure.step
    if step is None:
        # Without VFIO there is no file that shows what it can be set to.
        return bench.kernel.machine.vfio.noiommu is None and "CONFIG_VFIO_NOIOMMU" in failure.error.problem
    generation = bench.kernel.machine.generation
    if isinstance(failure.error, WriteTimeout):
        return bool(bench.held())  # taken by force from a process that does not let go
    if step.action is Action.SERVICES:
        return bool(generation.services) and step.after not in generation.services
    if step.action is Action.VF_COUNT:
        return bench.kernel.machine.requires_iommu and not bench.kernel.machine.iommu.on
    if step.action is Action.LOAD_MODULE:
        return step.device not in KINDS
    # An override makes any driver match; whether it takes the device, it says only when it is asked.
    return step.action is Action.BIND and step.of_vf and step.after not in ("vfio-pci",)


def _not_as_configured(bench: Bench, skipped: t.Collection[str]) -> list[str]:
    """What differs from the rules, in words; the PFs and VFs in `skipped` may differ."""
    states = bench.pfs()
    found = []
    for device in bench.read().qat:
        rule = rule_for(bench.rules, device)
        if not is_ours(rule) or device.address in skipped:
            continue
        assert rule is not None
        total = len(device.vf_addresses())
        present = rule.state == "present" and rule.vfs != 0
        state = states[device.address]
        if len(state.vfs) != (total if present else 0):
            found.append(f"{device.address} has {len(state.vfs)} VFs")
        if rule.services is not None and not device.is_vf and state.services != rule.services:
            found.append(f"{device.address} has the services {state.services}")
        if device.shows_services and state.state != "up":
            found.append(f"{device.address} is {state.state}")
        if present and state.autoprobe:
            found.append(f"{device.address} gives VFs to kernel drivers")
        for vf, shown in zip(state.vfs, device.vfs):
            if vf != (rule.driver, rule.driver) and shown.address not in skipped:
                found.append(f"{shown.address} is {vf}")
    return found


@given(cases())
def test_leaves_nothing_to_do(case: Case) -> None:
    bench = Bench.of(*case)
    outcome = _succeed(bench)
    writes = list(bench.kernel.writes)
    assert bench.plan(bench.read()).steps == ()
    again = bench.converge()
    assert again.steps == []
    assert again.skipped == outcome.skipped
    assert bench.kernel.writes == writes


def _succeed(bench: Bench) -> t.Any:
    try:
        return bench.converge()
    except NodeError:
        assume(False)
        raise


@given(cases())
def test_touches_nothing_that_is_in_use_or_not_named(case: Case) -> None:
    bench = Bench.of(*case)
    before, held = bench.pfs(), bench.held()
    rules = {device.address: rule_for(bench.rules, device) for device in bench.read().qat}
    drivers = {address: (one.driver, one.override) for address, one in held.items()}
    with contextlib.suppress(NodeError):
        bench.converge()
    after = bench.pfs()
    for address in before:
        if not is_ours(rules.get(address)):
            assert as_left(after[address], before[address])
    for address, function in held.items():
        rule = rules[pf_address_of(function)]
        if rule is None or rule.when_in_use != "force":
            assert bench.kernel.machine.bus.functions.get(address) is function
            assert (function.driver, function.override) == drivers[address]
            assert address in bench.held()


def _driver(function: Function) -> str | None:
    return function.driver.name if function.driver else None


@given(cases(), st.randoms(use_true_random=False))
def test_touches_nothing_that_a_pod_has(case: Case, random: t.Any) -> None:
    """As above for VFs on vfio-pci that no process has open, but Kubernetes has given away."""
    bench = Bench.of(*case)
    functions = bench.kernel.machine.bus.functions
    vfs = sorted(address for address, one in functions.items() if one.physfn is not None and _driver(one) == VFIO_PCI)
    given_away = random.sample(vfs, random.randint(0, min(4, len(vfs))))
    pod = Holder(0, "", "app", "default/web-0")
    bench.kernel.assignments = Assignments(dict.fromkeys(given_away, (pod,)))
    rules = {device.address: rule_for(bench.rules, device) for device in bench.read().qat}
    before = {address: (functions[address], functions[address].override) for address in given_away}
    with contextlib.suppress(NodeError):
        bench.converge()
    for address, (function, override) in before.items():
        rule = rules.get(pf_address_of(function))
        if rule is None or rule.when_in_use != "force":
            assert functions.get(address) is function
            assert (_driver(function), function.override) == (VFIO_PCI, override)


@given(cases(), st.randoms(use_true_random=False))
def test_order_does_not_matter(case: Case, random: t.Any) -> None:
    spec, rules = case
    bench = Bench.of(spec, rules)
    node = bench.read()
    try:
        desired_pfs = list(desired_of(rules, node))
        plan = plan_node(desired_pfs, node)
    except NodeError:
        assume(False)
        raise
    random.shuffle(desired_pfs)
    functions = list(node.functions.items())
    random.shuffle(functions)
    qat = list(node.qat)
    random.shuffle(qat)
    node = type(node)(**{**node.__dict__, "functions": dict(functions), "qat": tuple(qat)})
    assert plan_node(desired_pfs, node) == plan


@given(cases())
def test_does_what_check_mode_said(case: Case) -> None:
    bench = Bench.of(*case)
    try:
        announced = bench.plan(bench.read())
    except NodeError:
        assume(False)
        raise
    outcome = _succeed(bench)
    if not any(step.reveals for step in announced.steps):
        assert tuple(outcome.steps) == announced.steps
    assert outcome.skipped == announced.skipped
