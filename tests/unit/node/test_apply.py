# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import (
    SECONDS,
    SETTLE_SECONDS,
    ApplyError,
    converge,
    refuse_new_users,
    rehearse,
    take,
    with_what_stands,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.step import NONE, Action, Step
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError, WriteTimeout
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import Write
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import Assignments
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf, vf
from ansible_collections.accel.qat.tests.unit.node.nodes import (
    GEN2,
    GEN4,
    OTHER,
    VF0,
    VF1,
    apply,
    described,
    plan_of,
    planner,
)

DEVICES = "/sys/bus/pci/devices"
DRIVERS = "/sys/bus/pci/drivers"


def gen4(**others: t.Any) -> FakeKernel:
    """One PF of two VFs, everything as wanted."""
    return FakeKernel.with_pfs(pf("4xxx", GEN4, **{"total_vfs": 2, "autoprobe": False, "vfs": "vfio-pci", **others}))


def snapshot(kernel: FakeKernel) -> t.Any:
    """What decides how a PF can be used; not the IOMMU groups, which are new with each VF."""
    return [
        (
            device.address,
            device.function.driver,
            device.state,
            device.services,
            device.function.sriov and (device.function.sriov.count, device.function.sriov.autoprobe),
            [(one.address, one.driver, one.override) for one in device.vfs],
        )
        for device in read_node(kernel).qat
    ]


# The way it goes when all is well.


def test_takes_all_steps_and_proves_it() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2), pf("c6xx", GEN2, total_vfs=2, vfs=vf()))
    outcome = apply(kernel, {"select": {"index": 0}, "services": ["dc"]}, {})
    assert [write.errno for write in kernel.writes] == [None] * len(kernel.writes)
    assert {(one.driver, one.override) for device in outcome.after.qat for one in device.vfs} == {
        ("vfio-pci", "vfio-pci")
    }
    assert outcome.plan.steps == tuple(outcome.steps)
    assert apply(kernel, {"select": {"index": 0}, "services": ["dc"]}, {}).steps == []


def test_plans_again_when_a_driver_came_in() -> None:
    kernel = FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=1, driver=None), pf("c6xx", GEN2, total_vfs=1), loaded=("qat_4xxx",)
    )
    plans: list[Plan] = []

    def plan(node: Node) -> Plan:
        plans.append(planner({})(node))
        return plans[-1]

    outcome = converge(kernel, lambda: read_node(kernel), plan, SECONDS)
    assert [step.action for step in outcome.steps if step.reveals] == [
        Action.LOAD_MODULE,
        Action.BIND,
        Action.LOAD_MODULE,
    ]
    assert [len(one.steps) for one in plans] == [11, 10, 9, 4, 0]


def test_as_many_plans_as_pfs_without_their_driver() -> None:
    addresses = [f"0000:{bus:02x}:00.0" for bus in range(0x10, 0x80, 0x10)]
    kernel = FakeKernel.with_pfs(*(pf("4xxx", one, total_vfs=1, driver=None) for one in addresses))
    assert all(device.vfs[0].driver == "vfio-pci" for device in apply(kernel, {}).after.qat)


@pytest.mark.parametrize(
    ("family", "missing"), [("c6xx", "sriov_offset"), ("4xxx", "sriov_offset"), ("4xxx", "sriov_stride")]
)
def test_vfs_whose_places_are_unknown_are_bound_when_they_are_there(family: str, missing: str) -> None:
    """Else the PF itself would be taken for its first VF, and be given to vfio-pci."""
    kernel = FakeKernel.with_pfs(pf(family, GEN4, total_vfs=2))
    kernel.deny(f"*/{missing}", errno.ENOENT)
    outcome = apply(kernel, {})
    assert len(outcome.steps) == len(set(outcome.steps))
    assert not [step for step in outcome.steps if step.device == GEN4 and step.action is Action.OVERRIDE]
    assert [one.driver for one in outcome.after.qat[0].vfs] == ["vfio-pci", "vfio-pci"]
    assert (outcome.after.qat[0].function.driver, outcome.after.qat[0].function.override) == (family, None)
    assert apply(kernel, {}).steps == []


def test_remembers_before_the_first_write() -> None:
    kernel = gen4()
    remembered: list[tuple[int, list[str]]] = []
    converge(
        kernel,
        lambda: read_node(kernel),
        planner({"services": ["dc"], "vfs": 0}),
        SECONDS,
        lambda plan, _node: remembered.append((len(kernel.writes), described(plan.steps)[:1])),
    )
    assert remembered == [(0, [f"state {GEN4}: up -> down"])]


@pytest.mark.parametrize("rule", [{"state": "absent"}, {"vfs": 0}])
@pytest.mark.parametrize("address", [GEN4, GEN2])
def test_without_vfs_the_kernel_is_as_after_the_next_boot(address: str, rule: dict[str, t.Any]) -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx" if address == GEN4 else "c6xx", address, total_vfs=2))
    before = snapshot(kernel)
    apply(kernel, {})
    apply(kernel, rule)
    assert snapshot(kernel) == before
    assert apply(kernel, rule).steps == []


# Before the first write.


@pytest.mark.parametrize("state", ["read_only", "unprivileged"])
def test_rehearsal_finds_files_that_cannot_be_written(state: str) -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, state="down"))
    setattr(kernel, state, True)
    with pytest.raises(RefusedError) as caught:
        rehearse(plan_of(kernel, {"vfs": 0}), kernel)
    assert str(caught.value) == (
        f"{DEVICES}/{GEN4}/qat/state: no permission to write; run as root (become: true), with /sys writable"
    )


def test_rehearsal_does_not_mind_files_that_are_not_there_yet() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4))
    rehearse(plan_of(kernel, {}), kernel)


def test_a_user_who_comes_after_the_reading_is_not_cut_off() -> None:
    kernel = gen4()

    def meanwhile(_plan: Plan, _node: Node) -> None:
        kernel.open_vf(VF1, "qemu-kvm")

    with pytest.raises(RefusedError) as caught:
        converge(kernel, lambda: read_node(kernel), planner({"services": ["dc"]}), SECONDS, meanwhile)
    assert str(caught.value) == (
        f"{VF1}: qemu-kvm (pid 4001) has just opened {VF1}; end or drain that user first, and try again"
    )
    assert kernel.writes == []


def test_a_user_who_was_known_may_be_cut_off_by_force() -> None:
    kernel = gen4(vfs=[vf("vfio-pci", held_by="qemu-kvm"), vf("vfio-pci")])
    node = read_node(kernel)
    plan = plan_of(kernel, {"services": ["dc"], "when_in_use": "force"})
    refuse_new_users(kernel, plan.steps, node)
    kernel.open_vf(VF0, "another")
    with pytest.raises(RefusedError, match="another"):
        refuse_new_users(kernel, plan.steps, node)


def test_a_user_who_comes_by_the_character_device() -> None:
    kernel = gen4()
    node = read_node(kernel)
    kernel.open_vf(VF0, "qemu-kvm", cdev=True)
    with pytest.raises(RefusedError, match="qemu-kvm"):
        refuse_new_users(kernel, plan_of(kernel, {"services": ["dc"], "when_in_use": "force"}).steps, node)


def test_a_user_of_a_vf_that_was_made_again_since() -> None:
    """It has another IOMMU group, and the first write would wait for its user without end."""
    kernel = gen4()
    node = read_node(kernel)
    plan = plan_of(kernel, {"services": ["dc"]})
    kernel.reset(GEN4)
    apply(kernel, {})
    kernel.open_vf(VF0, "qemu-kvm")
    assert read_node(kernel).functions[VF0].iommu_group != node.functions[VF0].iommu_group
    with pytest.raises(RefusedError, match=r"qemu-kvm .* has just opened"):
        refuse_new_users(kernel, plan.steps, node)


def test_a_pf_that_somebody_brings_up_before_its_services_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says EINVAL, as of services that it does not know."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2))
    write = kernel.write

    def write_after_another(path: str, value: str, seconds: float) -> None:
        if path.endswith("/cfg_services"):
            kernel.write_bare(f"{DEVICES}/{GEN4}/qat/state", "up\n")
        write(path, value, seconds)

    monkeypatch.setattr(kernel, "write", write_after_another)
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"]})
    assert str(caught.value).startswith(
        f"{DEVICES}/{GEN4}/qat/cfg_services: {GEN4} takes services only while it is down, and something else has brought it up"
    )
    assert caught.value.remedy.startswith("see which other tool manages this device")


def test_a_user_who_comes_while_another_pf_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = FakeKernel.with_pfs(
        *(pf("4xxx", address, total_vfs=2, autoprobe=False, vfs="vfio-pci") for address in (GEN4, OTHER))
    )
    early, late = read_node(kernel).qat
    theirs = late.vfs[0].address
    write = kernel.write

    def write_and_open(path: str, value: str, seconds: float) -> None:
        write(path, value, seconds)
        if path == f"{DEVICES}/{early.address}/sriov_numvfs":
            kernel.open_vf(theirs, "qemu-kvm")

    monkeypatch.setattr(kernel, "write", write_and_open)
    with pytest.raises(ApplyError) as caught:
        converge(kernel, lambda: read_node(kernel), planner({"services": ["sym"]}), SECONDS)
    assert str(caught.value).startswith(f"{theirs}: qemu-kvm (pid 4001) has just opened {theirs}")
    first, second = read_node(kernel).qat
    assert (first.services_text, second.services_text, second.state) == ("sym", late.services_text, "up")
    assert {step.pf for step in caught.value.done} == {early.address}


# Single steps.


def step(action: Action, device: str, before: str, after: str) -> Step:
    return Step(action, device, before, after, "a test wants it", GEN4)


def test_an_accepted_write_without_effect_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = gen4()
    monkeypatch.setattr(kernel, "write", lambda *_arguments: None)
    with pytest.raises(NodeError) as caught:
        take(kernel, step(Action.OVERRIDE, VF0, "vfio-pci", "c6xxvf"), 1)
    assert str(caught.value) == (
        f"{DEVICES}/{VF0}/driver_override: the kernel accepted 'c6xxvf', but {DEVICES}/{VF0}/driver_override is vfio-pci; "
        "see whether another tool manages this device"
    )


@pytest.mark.parametrize(
    "done",
    [
        step(Action.BIND, VF0, NONE, "vfio-pci"),
        step(Action.OVERRIDE, VF0, NONE, "vfio-pci"),
        step(Action.STATE, GEN4, "down", "up"),
        step(Action.SERVICES, GEN4, "dc", "asym;sym"),
        step(Action.VF_COUNT, GEN4, "0", "2"),
        step(Action.AUTOPROBE, GEN4, "1", "0"),
        step(Action.UNBIND, OTHER, "4xxx", NONE),
    ],
    ids=lambda one: one.action.value,
)
def test_what_somebody_else_has_done_meanwhile_is_no_error(done: Step) -> None:
    kernel = gen4()
    kernel.fail_writes("*", errno.EBUSY)
    take(kernel, done, 1)


def test_a_vf_that_somebody_binds_right_after_the_kernel_refused_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """At boot udev does it. The writes of the VFs after it are made all the same."""
    kernel = gen4(vfs=())
    write_each = kernel.write_each

    def refused_once(writes: t.Sequence[Write], seconds: float) -> tuple[int, OSError | WriteTimeout | None]:
        monkeypatch.setattr(kernel, "write_each", write_each)
        assert write_each(writes[:2], seconds) == (2, None)
        return 1, OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(kernel, "write_each", refused_once)
    outcome = apply(kernel, {})
    assert [one.driver for one in read_node(kernel).qat[0].vfs] == ["vfio-pci"] * 2
    assert described(outcome.steps)[-4:] == [
        f"{action} {address}: (none) -> vfio-pci" for address in (VF0, VF1) for action in ("override", "bind")
    ]


def test_fewer_vfs_than_promised() -> None:
    kernel = gen4(vfs=())
    kernel.switch(GEN4, "missing_vfs", "1")
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {})
    assert "the kernel made 1 VFs instead of 2; see the kernel's log, and the BIOS for" in str(caught.value)


def test_the_kernels_own_words_are_passed_on() -> None:
    kernel = gen4()
    kernel.switch(GEN4, "fail_up", "14 -1")
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"], "vfs": 0})
    failure = caught.value.as_dict()["failed_at"][0]
    assert failure["kernel_log"][-1] == f"4xxx {GEN4}: Failed to start device qat_dev0"
    assert f'(the kernel says "4xxx {GEN4}: Failed to load acceleration FW")' in failure["problem"]


# Failures.


def test_a_failing_step_puts_the_pf_back() -> None:
    kernel = gen4()
    before = snapshot(kernel)
    kernel.switch(GEN4, "fail_services", str(errno.EIO))
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"]})
    error = caught.value
    assert snapshot(kernel) == before
    assert str(error) == (
        f"{DEVICES}/{GEN4}/qat/cfg_services: writing 'dc' failed with EIO (Input/output error), "
        "which this step is not known to give; see the kernel's log for the device's own message; "
        f"{GEN4} was put back as it was found"
    )
    assert described(one.step for one in error.failures if one.step) == [f"services {GEN4}: sym;asym -> dc"]
    assert error.done == ()
    assert described(error.rolled_back)[:2] == [f"state {GEN4}: down -> up", f"vf_count {GEN4}: 0 -> 2"]
    document = error.as_dict()
    assert document["kind"] == "apply"
    assert document["stands"] == []
    assert document["failed_at"] == [failure.as_dict() for failure in error.failures]
    assert document["failed_at"][0]["step"]["value"] == "dc"
    assert document["rolled_back"][1]["action"] == "vf_count"


def test_what_was_done_to_other_pfs_stands() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1), pf("4xxx", OTHER, total_vfs=1), loaded=None)
    before = snapshot(kernel)
    kernel.switch(OTHER, "fail_enable_vfs", str(errno.ENOMEM))
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {})
    after = snapshot(kernel)
    assert after[1] == before[1]
    assert after[0][-1] == [(VF0, "vfio-pci", "vfio-pci")]
    assert {one.pf for one in caught.value.done} == {"", GEN4}
    assert described(caught.value.rolled_back) == [f"autoprobe {OTHER}: 0 -> 1", f"state {OTHER}: down -> up"]


def test_a_failing_first_step_leaves_nothing_to_put_back() -> None:
    kernel = gen4(vfs=())
    kernel.switch(GEN4, "kernel_users", "1")
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"], "vfs": 0})
    assert (caught.value.done, caught.value.rolled_back) == ((), ())
    assert str(caught.value) == (
        f"{DEVICES}/{GEN4}/qat/state: writing 'down' failed with EBUSY (Device or resource busy), "
        "the PF is in reset, or the kernel itself uses it (IPsec, dm-crypt); "
        "wait for the reset to end, or stop the kernel's user, which /proc/crypto names; after a reset that failed, unbind the PF "
        "from its driver and bind it again"
    )


def test_says_so_when_putting_back_fails_too() -> None:
    kernel = gen4()
    kernel.fail_writes(f"*/{GEN4}/qat/cfg_services", errno.EIO)
    kernel.fail_writes(f"*/{GEN4}/sriov_numvfs", errno.ENOMEM)
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"]})
    assert f"putting {GEN4} back failed too: {DEVICES}/{GEN4}/sriov_numvfs: writing '2' failed with ENOMEM" in str(
        caught.value
    )
    assert caught.value.done == ()
    assert described(caught.value.rolled_back) == [f"state {GEN4}: down -> up"]
    assert caught.value.as_dict()["left"] == GEN4


def test_says_what_stands_when_putting_back_fails_half_way() -> None:
    kernel = gen4()
    kernel.switch(GEN4, "fail_enable_vfs", f"{errno.ENOMEM} 2")
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"]})
    assert described(caught.value.rolled_back) == [f"services {GEN4}: dc -> sym;asym", f"state {GEN4}: down -> up"]
    assert described(caught.value.done) == [f"state {GEN4}: up -> down"]
    assert read_node(kernel).qat[0].state == "down"


def test_services_that_are_stored_and_then_refused() -> None:
    kernel = gen4()
    before = snapshot(kernel)
    kernel.switch(GEN4, "no_capabilities", "Y")
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"]})
    assert "writing 'dc' failed with EINVAL (Invalid argument), this kernel does not know this combination" in str(
        caught.value
    )
    assert caught.value.as_dict()["left"] == GEN4
    kernel.switch(GEN4, "no_capabilities", "N")
    apply(kernel, {"services": ["sym", "asym"]})
    assert snapshot(kernel) == before


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO, errno.ENOENT])
def test_refused_services_of_a_pf_whose_state_cannot_be_read(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """As of one that its driver leaves in this moment. They were refused, and stored all the same."""
    kernel = gen4(state="down", vfs=())
    kernel.switch(GEN4, "no_capabilities", "Y")
    read = kernel.read

    def read_but_the_state(path: str) -> str:
        if path.endswith("/qat/state"):
            raise OSError(code, os.strerror(code), path)
        return read(path)

    monkeypatch.setattr(kernel, "read", read_but_the_state)
    with pytest.raises(NodeError, match="writing 'dc' failed with EINVAL"):
        take(kernel, step(Action.SERVICES, GEN4, "sym;asym", "dc"), SECONDS)


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.EACCES, errno.ENOMEM])
@pytest.mark.parametrize("denied", ["*", f"*/{GEN4}/qat/state"])
def test_what_was_written_and_cannot_be_seen_any_more_stands(
    monkeypatch: pytest.MonkeyPatch, denied: str, code: int
) -> None:
    """Nobody can say that it was put back, nor that nothing was changed."""
    kernel = gen4()
    write = kernel.write

    def last_write(path: str, value: str, seconds: float) -> None:
        if path.endswith("/cfg_services"):
            kernel.deny(denied, code)
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        write(path, value, seconds)

    monkeypatch.setattr(kernel, "write", last_write)
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"]})
    assert described(caught.value.done) == [f"state {GEN4}: up -> down"]
    assert caught.value.has_changed
    assert caught.value.as_dict()["left"] == GEN4


def resets_before(kernel: FakeKernel, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the PF right before this value is written for the first time."""
    write, resets = kernel.write, [GEN4]

    def interrupted(path: str, written: str, seconds: float) -> None:
        if written == value and resets:
            kernel.switch(resets.pop(), "reset", "1")
        write(path, written, seconds)

    monkeypatch.setattr(kernel, "write", interrupted)


def test_a_reset_in_the_midst_of_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = gen4(total_vfs=3, vfs=())
    resets_before(kernel, VF1, monkeypatch)
    outcome = apply(kernel, {})
    assert {one.driver for one in outcome.after.qat[0].vfs} == {"vfio-pci"}
    assert described(outcome.steps).count(f"bind {VF0}: (none) -> vfio-pci") == 2


def test_a_reset_that_takes_the_driver_before_the_vf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel has accepted the write; what is left of the VF goes a moment later."""
    kernel = gen4(total_vfs=3, vfs=())
    write, sleep, events = kernel.write, kernel.sleep, [f"no effect on {VF1}", "reset"]

    def without_effect(path: str, value: str, seconds: float) -> None:
        if value == VF1 and path.endswith("/bind") and len(events) == 2:
            events.pop(0)
        else:
            write(path, value, seconds)

    def reset_meanwhile(seconds: float) -> None:
        if events == ["reset"]:
            kernel.switch(GEN4, events.pop(), "1")
        sleep(seconds)

    monkeypatch.setattr(kernel, "write", without_effect)
    monkeypatch.setattr(kernel, "sleep", reset_meanwhile)
    outcome = apply(kernel, {})
    assert events == []
    assert {one.driver for one in outcome.after.qat[0].vfs} == {"vfio-pci"}


@pytest.mark.parametrize("file", ["driver_override", "driver"], ids=["override", "bind"])
def test_a_reset_that_is_over_before_anybody_looks(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """As on a machine that is busy: the VF whose write has failed is another one by then, as bare as all that are new."""
    kernel = gen4(total_vfs=3, vfs=())
    write, resets = kernel.write, [GEN4]

    def interrupted(path: str, value: str, seconds: float) -> None:
        is_of_vf1 = path == f"{DRIVERS}/vfio-pci/bind" if file == "driver" else path == f"{DEVICES}/{VF1}/{file}"
        if is_of_vf1 and (file != "driver" or value == VF1) and resets:
            kernel.reset(resets.pop())
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), path)
        write(path, value, seconds)

    monkeypatch.setattr(kernel, "write", interrupted)
    outcome = apply(kernel, {})
    assert resets == []
    assert {one.driver for one in outcome.after.qat[0].vfs} == {"vfio-pci"}


def test_a_vf_that_is_made_again_and_fails_again_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = gen4(total_vfs=3, vfs=())
    write, tries = kernel.write, []

    def refused_after_a_reset(path: str, value: str, seconds: float) -> None:
        if value == VF1 and path == f"{DRIVERS}/vfio-pci/bind":
            tries.append(value)
            kernel.reset(GEN4)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        write(path, value, seconds)

    monkeypatch.setattr(kernel, "write", refused_after_a_reset)
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {})
    assert [failure.device for failure in caught.value.failures] == [VF1]
    assert len(tries) == 2
    assert [one.driver for one in read_node(kernel).qat[0].vfs] == ["vfio-pci", None, "vfio-pci"]


def test_vfs_that_do_not_come_back_after_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = gen4(total_vfs=3, vfs=vf())
    kernel.switch(GEN4, "fail_up", "14 -1")
    resets_before(kernel, VF1, monkeypatch)
    waited_from = kernel.machine.clock.now
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {})
    first, *others = caught.value.failures
    assert f"{DEVICES}/{GEN4}/qat/state: writing 'up' failed with EBUSY" in str(first.error)
    assert [(other.device, other.error.kind) for other in others] == [(VF1, "gone"), ("0000:6b:00.3", "gone")]
    assert f"{VF1} has gone" in str(others[0].error)
    assert kernel.machine.clock.now < waited_from + 2 * SETTLE_SECONDS + 1


def refused(kernel: FakeKernel) -> list[str]:
    """What was written in vain, by the file's name."""
    return [write.path.rpartition("/")[2] for write in kernel.writes if write.errno is not None]


def test_a_pf_in_reset_is_waited_for() -> None:
    """It reads as down, without VFs; only its state may be written to then."""
    kernel = gen4()
    kernel.switch(GEN4, "delay_up", "1200")
    kernel.switch(GEN4, "reset", "1")
    outcome = apply(kernel, {})
    assert refused(kernel) == ["state"] * 3
    assert {one.driver for one in outcome.after.qat[0].vfs} == {"vfio-pci"}


@pytest.mark.parametrize(
    ("file", "vfs", "rule"),
    [("sriov_numvfs", (), {}), ("qat/state", (), {"services": ["dc"], "vfs": 0})],
)
def test_the_end_of_a_reset_is_waited_for(file: str, vfs: t.Any, rule: dict[str, t.Any]) -> None:
    """A PF is up again a moment before its reset is over."""
    kernel = gen4(vfs=vfs)
    kernel.fail_writes(f"*/{file}", errno.EBUSY, 3)
    apply(kernel, rule)
    assert len(refused(kernel)) == 3


def test_who_would_lose_a_vf_is_not_waited_for() -> None:
    """Who uses it by then is not known."""
    kernel = gen4()
    kernel.fail_writes("*/qat/state", errno.EBUSY)
    with pytest.raises(ApplyError, match="writing 'down' failed with EBUSY"):
        apply(kernel, {"services": ["dc"]})


def test_what_stays_busy_is_not_waited_for_without_end() -> None:
    kernel = gen4(vfs=())
    kernel.switch(GEN4, "kernel_users", "1")
    with pytest.raises(ApplyError, match="sriov_numvfs: writing '2' failed with EBUSY"):
        apply(kernel, {})
    assert kernel.slept == SETTLE_SECONDS


def test_one_bad_vf_does_not_cost_the_others() -> None:
    kernel = gen4(total_vfs=3, vfs=())
    kernel.switch(GEN4, "refuse_vfio", "0x2")
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {})
    assert [one.driver for one in read_node(kernel).qat[0].vfs] == ["vfio-pci", None, "vfio-pci"]
    assert [failure.device for failure in caught.value.failures] == [VF1]
    assert str(caught.value) == (
        f"{DRIVERS}/vfio-pci/bind: writing '{VF1}' failed with EINVAL (Invalid argument), vfio-pci refuses this device "
        f'(the kernel says "vfio-pci: probe of {VF1} failed with error -22"); before Gen4, load vfio-pci with '
        "disable_denylist=1; otherwise reset the PF, and see the kernel's log; the other VFs are as wanted"
    )


def test_counts_further_bad_vfs() -> None:
    kernel = gen4(total_vfs=3, vfs=())
    kernel.switch(GEN4, "refuse_vfio", "0x7")
    with pytest.raises(ApplyError, match=rf"\(and 2 more: {VF1}, 0000:6b:00.3\)") as caught:
        apply(kernel, {})
    assert "the other VFs" not in str(caught.value)


def test_a_write_that_does_not_return() -> None:
    kernel = gen4()
    kernel.block_writes(f"*/{GEN4}/qat/cfg_services")
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"]}, seconds=7)
    assert isinstance(caught.value.failures[0].error, WriteTimeout)
    assert str(caught.value) == (
        f"{DEVICES}/{GEN4}/qat/cfg_services: writing 'dc' has not returned after 7 seconds; "
        "process 3999 stays in the kernel until the device lets go; "
        "nothing was put back, since the kernel still works on it"
    )
    assert described(caught.value.done) == [f"state {GEN4}: up -> down"]


def test_names_those_whom_a_hanging_write_waits_for() -> None:
    kernel = gen4(vfs=[vf("vfio-pci", held_by="qemu-kvm"), vf("vfio-pci")])
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"], "when_in_use": "force"}, seconds=7)
    assert f"has not returned after 7 seconds, since qemu-kvm (pid 4001) has {VF0} open; process" in str(caught.value)
    assert caught.value.failures[0].as_dict()["kind"] == "timeout"


def test_names_nobody_where_the_kernel_waits_for_whom_nobody_can_see() -> None:
    """The kernel keeps the VF for it, as for whoever has a descriptor."""
    kernel = gen4()
    pid = kernel.open_vf(VF0)
    kernel.hide(pid)
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"], "when_in_use": "force"}, seconds=7)
    assert "has not returned after 7 seconds, since a process that cannot be seen (look for " in str(caught.value)
    assert caught.value.failures[0].as_dict()["kind"] == "timeout"
    assert kernel.machine.bus.functions[VF0].vfio_device is not None
    with pytest.raises(NodeError, match="the kernel is still at work on"):
        apply(kernel, {"services": ["dc"]}, seconds=7)
    kernel.end(pid)
    apply(kernel, {"services": ["dc"]})


def test_a_pod_whose_vf_a_hanging_write_takes_is_not_said_to_have_it_open() -> None:
    kernel = gen4(vfs=[vf("vfio-pci", held_by="qemu-kvm"), vf("vfio-pci")])
    kernel.assignments = Assignments({VF0: (Holder(0, "", "app", "default/web-0"),)})
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"services": ["dc"], "when_in_use": "force"}, seconds=7)
    assert f"since pod default/web-0 (container app) was given {VF0} and qemu-kvm (pid 4001) has {VF0} open" in str(
        caught.value
    )


def test_a_node_that_does_not_keep_what_is_written() -> None:
    kernel = gen4(autoprobe=True)

    def read() -> Node:
        sriov = kernel.machine.bus.functions[GEN4].sriov
        assert sriov is not None
        sriov.autoprobe = True
        return read_node(kernel)

    with pytest.raises(NodeError) as caught:
        converge(kernel, read, planner({}), SECONDS)
    assert str(caught.value) == (
        f"{DEVICES}/{GEN4}/sriov_drivers_autoprobe: the node does not keep what is written to it: "
        f"{DEVICES}/{GEN4}/sriov_drivers_autoprobe: 1 -> 0 (new VFs wait for the configured driver); "
        "see whether another tool manages this device"
    )


def test_a_module_that_is_not_there_is_refused_before_the_first_write() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4), missing=("vfio_pci",))
    with pytest.raises(RefusedError) as caught:
        apply(kernel, {})
    assert str(caught.value) == (
        "vfio_pci: the running kernel has no module of this name; install the package that has it for this kernel, or "
        "name another driver"
    )
    assert kernel.writes == []


@pytest.mark.parametrize(("family", "driver", "module"), [("4xxx", None, "qat_4xxx"), ("4xxx", "4xxx", "vfio_pci")])
def test_a_module_that_something_else_is_run_in_place_of(
    monkeypatch: pytest.MonkeyPatch, family: str, driver: str | None, module: str
) -> None:
    """As by `install qat_4xxx /bin/true` in modprobe.d."""
    kernel = FakeKernel.with_pfs(pf(family, GEN4, driver=driver, total_vfs=1), loaded=("qat_4xxx",) if driver else ())
    load = kernel.load_module
    monkeypatch.setattr(kernel, "load_module", lambda name, *rest: None if name == module else load(name, *rest))
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {})
    assert str(caught.value) == (
        f"{module}: modprobe has reported success, and the module is not loaded; see which line of modprobe.d runs something in its "
        f"place (modprobe --show-depends {module})"
    )
    assert module not in {step.device for step in caught.value.done}


def test_what_users_keep_is_reported() -> None:
    kernel = gen4(vfs=[vf("vfio-pci", held_by="qemu-kvm"), vf("vfio-pci")])
    outcome = apply(kernel, {"services": ["dc"], "when_in_use": "skip"})
    assert outcome.steps == []
    assert [skip.device for skip in outcome.skipped] == [GEN4]
    assert outcome.plan.skipped == outcome.skipped


# Refusals after the first writes.


def without_driver() -> FakeKernel:
    """A PF whose driver is to be brought in, after one that then has all it should have."""
    return FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=1, services="sym"), pf("4xxx", OTHER, total_vfs=1, driver=None), loaded=("qat_4xxx",)
    )


def refusing(round_: int, *rules: t.Any) -> t.Callable[[Node], Plan]:
    """A planner that has seen enough in this round."""
    plan, asked = planner(*rules), [0]

    def refuse(node: Node) -> Plan:
        asked[0] += 1
        if asked[0] == round_:
            raise RefusedError(f"the driver of {OTHER} offers no cfg_services", "devices[0].services", "use another")
        return plan(node)

    return refuse


def test_a_refusal_before_the_first_write_is_none_after_it() -> None:
    kernel = without_driver()
    with pytest.raises(RefusedError):
        converge(kernel, lambda: read_node(kernel), refusing(1, {}), SECONDS)
    assert kernel.writes == []


@pytest.mark.parametrize("round_", [2, 3])
def test_a_planner_that_refuses_after_writes(round_: int) -> None:
    """What is half done goes back, what is done stands, and the error reports both."""
    kernel = without_driver()
    before = snapshot(kernel)
    with pytest.raises(ApplyError) as caught:
        converge(kernel, lambda: read_node(kernel), refusing(round_, {}), SECONDS)
    error, (first, second) = caught.value, snapshot(kernel)
    assert str(error).startswith(f"devices[0].services: the driver of {OTHER} offers no cfg_services; use another; ")
    assert [(one.step, one.error.kind) for one in error.failures] == [(None, "refused")]
    assert error.as_dict()["failed_at"][0]["step"] is None
    assert (error.has_changed, error.only_vfs, error.left) == (True, False, "")
    assert (first == before[0]) == (round_ == 2)  # its turn had not come by then
    assert (round_ == 3) == (first[-1] == [(VF0, "vfio-pci", "vfio-pci")])
    assert second[1] == ("4xxx" if round_ == 3 else None)
    stands = described(error.done)
    assert "load_module vfio_pci: not loaded -> loaded" in stands
    assert (f"bind {OTHER}: (none) -> 4xxx" in stands) == (round_ == 3)
    assert "what was written to vfio_pci" in str(error)
    for step_ in error.done:
        take(kernel, step_, 1)  # it is so, and taking it again changes nothing
    assert snapshot(kernel) == [first, second]


def absent(*addresses: str) -> FakeKernel:
    """PFs whose VFs go by letting go of the PF, which ends a round."""
    return FakeKernel.with_pfs(
        *(pf("c6xx", address, total_vfs=2, autoprobe=False, vfs="vfio-pci") for address in addresses),
        loaded=("qat_c62x", "vfio_pci"),
        options={"vfio_pci": ("disable_denylist=1",)},
    )


def opens_between_rounds(kernel: FakeKernel, after: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody opens a VF right after a PF was bound."""
    write, opened = kernel.write, [address]

    def write_and_open(path: str, value: str, seconds: float) -> None:
        write(path, value, seconds)
        if path.endswith("/bind") and value == after and opened:
            kernel.open_vf(opened.pop(), "qemu-kvm")

    monkeypatch.setattr(kernel, "write", write_and_open)


def test_somebody_opens_a_vf_between_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = absent(GEN2, "0000:80:00.0")
    before = snapshot(kernel)
    theirs = read_node(kernel).qat[1].vfs[0].address
    opens_between_rounds(kernel, GEN2, theirs, monkeypatch)
    with pytest.raises(ApplyError) as caught:
        apply(kernel, {"state": "absent"})
    assert f"qemu-kvm (pid 4001) has {theirs} open" in str(caught.value)
    first, second = snapshot(kernel)
    assert second == before[1]
    assert first == (*before[0][:4], (0, True), [])
    assert {one.pf for one in caught.value.done} == {GEN2}
    assert caught.value.has_changed


@pytest.mark.parametrize("is_broken", [False, True], ids=["put back", "cannot be put back"])
def test_a_refusal_when_a_pf_is_half_done(monkeypatch: pytest.MonkeyPatch, is_broken: bool) -> None:
    """A reset in the midst of it has the rest planned again, and that is refused."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=3, services="sym"), loaded=("qat_4xxx", "vfio_pci"))
    before = snapshot(kernel)
    resets_before(kernel, VF1, monkeypatch)
    plan, asked = planner({"services": ["dc"]}), [0]

    def refuse(node: Node) -> Plan:
        asked[0] += 1
        if asked[0] == 2:
            if is_broken:
                kernel.fail_writes(f"*/{GEN4}/qat/cfg_services", errno.EIO)
            raise RefusedError("not any more", "devices[0]")
        return plan(node)

    with pytest.raises(ApplyError) as caught:
        converge(kernel, lambda: read_node(kernel), refuse, SECONDS)
    error = caught.value
    assert [(one.step, one.error.kind) for one in error.failures] == [(None, "refused")]
    if is_broken:
        assert (error.left, error.has_changed) == (GEN4, True)
        assert f"putting {GEN4} back failed too: {DEVICES}/{GEN4}/qat/cfg_services: writing 'sym' failed" in str(error)
    else:
        assert snapshot(kernel) == before
        assert str(error) == f"devices[0]: not any more; {GEN4} was put back as it was found"
        assert (error.done, error.left, error.has_changed) == ((), "", False)
        assert described(error.rolled_back)[:2] == [f"state {GEN4}: up -> down", f"services {GEN4}: dc -> sym"]


def test_a_record_that_cannot_be_written_in_a_later_round() -> None:
    kernel = without_driver()
    rounds = [0]

    def remember(_plan: Plan, _node: Node) -> None:
        rounds[0] += 1
        if rounds[0] == 2:
            raise NodeError("what was found on this node cannot be recorded", "/var/lib/found.json", "make room")

    with pytest.raises(ApplyError) as caught:
        converge(kernel, lambda: read_node(kernel), planner({}), SECONDS, remember)
    assert str(caught.value).startswith(
        "/var/lib/found.json: what was found on this node cannot be recorded; make room"
    )
    assert described(caught.value.done) == ["load_module vfio_pci: not loaded -> loaded"]


def test_a_module_that_is_gone_in_a_later_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the rehearsal of the second plan refuses."""
    kernel = FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=1, services="sym"), pf("c6xx", GEN2, total_vfs=1, driver=None), loaded=("qat_4xxx",)
    )
    has_module, asked = kernel.has_module, [0]

    def gone_later(name: str) -> bool:
        asked[0] += 1
        return asked[0] <= 2 and has_module(name)

    monkeypatch.setattr(kernel, "has_module", gone_later)
    with pytest.raises(ApplyError, match="the running kernel has no module of this name") as caught:
        apply(kernel, {})
    assert caught.value.has_changed


def test_what_stood_before_a_later_error_is_added_to_it() -> None:
    made = step(Action.STATE, GEN4, "up", "down")
    other = step(Action.SERVICES, GEN4, "sym", "dc")
    refusal = RefusedError("not any more", "devices[0]")
    assert with_what_stands(refusal, ()) is refusal
    late = with_what_stands(refusal, [made])
    assert isinstance(late, ApplyError)
    assert (late.done, late.kind) == ((made,), "apply")
    assert str(late) == f"devices[0]: not any more; what was written to {GEN4} before stays"
    again = with_what_stands(late, [other])
    assert isinstance(again, ApplyError)
    assert again.done == (other, made)


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.EACCES, errno.ENOMEM])
@pytest.mark.parametrize(
    ("action", "before", "file"),
    [(Action.UNBIND, "vfio-pci", "driver"), (Action.OVERRIDE, "vfio-pci", "driver_override")],
)
def test_what_cannot_be_read_back_is_not_gone(action: Action, before: str, file: str, code: int) -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, vfs=vf("vfio-pci")))
    kernel.deny(f"/sys/bus/pci/devices/{VF0}/{file}", code)
    kernel.fail_writes("*", errno.EBUSY)
    with pytest.raises(NodeError, match="cannot be read: "):
        take(kernel, step(action, VF0, before, NONE), SECONDS)
