# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds when the engine is killed, the hardware fails, or the configuration is taken back."""

from __future__ import annotations

import contextlib
import errno

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import ApplyError, converge
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import plan_restoration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import rule_for
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, WriteTimeout
from ansible_collections.accel.qat.tests.fakes import Crash, FakeKernel
from ansible_collections.accel.qat.tests.fakes.strategies import faults
from ansible_collections.accel.qat.tests.properties.cases import Case, cases
from ansible_collections.accel.qat.tests.properties.node import (
    SECONDS,
    Bench,
    PfState,
    as_left,
    assert_as_reported,
    is_ours,
    pf_address_of,
)

_ERRNOS = (errno.EINVAL, errno.EBUSY, errno.EIO, errno.EFAULT, errno.ENOMEM, errno.ENODEV, errno.EPERM)


@given(cases(), st.data())
def test_a_crash_at_any_write_changes_nothing_about_the_end(case: Case, data: st.DataObject) -> None:
    smooth = _succeeding(case)
    bench = Bench.of(*case)
    bench.kernel.crash_after(data.draw(st.integers(0, len(smooth.kernel.writes) - 1)))
    with pytest.raises(Crash):
        bench.converge()
    bench.converge()
    assert bench.pfs() == smooth.pfs()


def _succeeding(case: Case) -> Bench:
    """The node of a case after it was configured, with at least one write."""
    bench = Bench.of(*case)
    try:
        bench.converge()
    except NodeError:
        assume(False)
    assume(bench.kernel.writes)
    return bench


@given(cases(), st.data())
def test_restoration_brings_back_what_was_found(case: Case, data: st.DataObject) -> None:
    """Whatever happened since: success, failure, or a crash at any write."""
    bench = Bench.of(*case)
    before, noiommu = bench.pfs(), bool(bench.kernel.machine.vfio.noiommu)
    if data.draw(st.booleans()):
        bench.kernel.crash_after(data.draw(st.integers(0, 60)))
    with contextlib.suppress(NodeError, Crash):
        bench.converge()
    bench.kernel.crash_after(10_000)
    bench.end_all_holders()
    outcome = converge(bench.kernel, bench.read, lambda node: plan_restoration(bench.found, node, "force"), SECONDS)
    after = bench.pfs()
    for address, state in before.items():
        if address in bench.found.pfs:
            assert _without_driver(after[address], state) == state
        else:
            assert as_left(after[address], state)
    assert bool(bench.kernel.machine.vfio.noiommu) == noiommu
    assert plan_restoration(bench.found, outcome.after).steps == ()


def _without_driver(after: PfState, before: PfState) -> PfState:
    """A PF whose driver was brought in keeps it: its module would be loaded at the next boot anyway."""
    if before.driver is not None or after.driver is None:
        return after
    return after._replace(driver=None, services=None, state=None)


class Failing(FakeKernel):
    """Refuses one write."""

    refused = -1
    code = errno.EIO
    _made = 0

    def write(self, path: str, value: str, seconds: float) -> None:
        self._made += 1
        if self._made == self.refused:
            raise OSError(self.code, "refused", path)
        super().write(path, value, seconds)


@given(cases(), st.data())
def test_one_refused_write_leaves_the_pf_as_found_or_says_what_stands(case: Case, data: st.DataObject) -> None:
    smooth = _succeeding(case)
    spec, rules = case
    kernel = Failing.of(spec)
    assert isinstance(kernel, Failing)
    bench = Bench(kernel, rules)
    before = bench.pfs()
    kernel.refused = kernel._made + data.draw(st.integers(1, len(smooth.kernel.writes)))
    kernel.code = data.draw(st.sampled_from(_ERRNOS))
    try:
        bench.converge()
    except ApplyError as error:
        assert_as_reported(bench, before, error)
    except NodeError as error:
        pytest.fail(f"writes were made, and the error does not report them: {error}")
    else:
        assert bench.pfs() == smooth.pfs()


@given(cases(), st.data())
def test_broken_hardware_harms_no_other_pf(case: Case, data: st.DataObject) -> None:
    spec, _rules = case
    bench = Bench.of(*case)
    broken = data.draw(faults(spec))
    for fault in broken:
        fault.switch_on(bench.kernel)
    before, held = bench.pfs(), bench.held()
    rules = {device.address: rule_for(bench.rules, device) for device in bench.read().qat}
    try:
        bench.converge()
    except ApplyError as error:
        timeout = any(isinstance(failure.error, WriteTimeout) for failure in error.failures)
        if not timeout and not broken[1:]:
            assert_as_reported(bench, before, error)
    except NodeError:
        assert all(as_left(state, before[address]) for address, state in bench.pfs().items())
    after = bench.pfs()
    for address, state in before.items():
        assert is_ours(rules.get(address)) or as_left(after[address], state)
    for address, function in held.items():
        rule = rules[pf_address_of(function)]
        if rule is None or rule.when_in_use != "force":
            assert bench.kernel.machine.bus.functions.get(address) is function
