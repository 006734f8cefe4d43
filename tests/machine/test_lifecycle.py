# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is taken from those who use it; what is undone or interrupted is done again; two never work at once."""

from __future__ import annotations

import contextlib
import json

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.attempt import (
    BARE,
    FULL,
    HARDWARE,
    START,
    Rule,
    Stage,
    State,
    on,
)
from ansible_collections.accel.qat.tests.machine.node import CONFIG, DEVICES, FAULTS, Node

VF, ANOTHER_VF, LAST_VF = "0000:6b:00.1", "0000:6b:01.0", "0000:6b:02.0"
CHANGE = on(FULL, services=["dc"])
CHANGED = "up dc, 16 of 16 VFs on vfio-pci"
STARTED = "up sym;asym, 16 of 16 VFs on vfio-pci"


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return HARDWARE


@pytest.fixture(scope="module")
def stage(machine: Machine) -> Stage:
    """A machine for all of these, since each leaves it as it was."""
    return Stage(Node(machine))


# In use.

HELD: dict[str, tuple[Rule, list[str], str, str]] = {
    "services": (CHANGE, [VF], "the step state down on {pf} would take it away", "that user"),
    "two VFs": (CHANGE, [VF, ANOTHER_VF], "the step state down on {pf} would take them away", "them"),
    "removal": (on(FULL, state="absent"), [VF], "the step state down on {pf} would take it away", "that user"),
    "driver": (on(FULL, driver="pci-stub"), [VF], "unbinding it from vfio-pci would take it away", "that user"),
}


@pytest.mark.parametrize("name", HELD)
def test_a_vf_in_use_stops_the_change_before_any_write(stage: Stage, name: str) -> None:
    rule, vfs, act, whom = HELD[name]
    with contextlib.ExitStack() as holders:
        users = [f"python3 (pid {holders.enter_context(stage.node.holding(vf))}) has {vf} open" for vf in vfs]
        with stage.attempt(rule) as attempt:
            assert (attempt.answer.code, attempt.sentence) == (
                1,
                (
                    f"devices[0]: {' and '.join(users)}, and {act.format(pf=FULL)}; end or drain {whom} first, or set when_in_use to "
                    "skip or force"
                ),
            )
            assert attempt.after == stage.start


def test_a_vf_whose_group_alone_is_open_is_in_use(stage: Stage) -> None:
    with stage.node.holding_group(VF) as pid, stage.attempt(CHANGE) as attempt:
        assert attempt.answer.code == 1
        assert attempt.sentence.startswith(
            f"devices[0]: sleep (pid {pid}) has {VF} open, and the step state down on {FULL}"
        )
        assert attempt.after == stage.start


@pytest.mark.parametrize("how", ["message", "io_uring"])
def test_a_vf_that_no_process_shows_is_in_use(stage: Stage, how: str) -> None:
    where = "look for vfio and scm_fds in /proc/*/fdinfo/* and /proc/*/maps, or try again if it is just ending"
    with stage.node.holding(VF, f"--unseen {how}") as pid:
        with stage.attempt(CHANGE) as attempt:
            assert attempt.answer.code == 1
            assert attempt.sentence == (
                f"devices[0]: a process that cannot be seen ({where}) has {VF} open, and the step state down on {FULL} would take it "
                "away; end or drain that user first, or set when_in_use to skip or force"
            )
            assert attempt.after == stage.start
        # What docs/in_use.md has people run.
        found = stage.node.run(
            "grep -Es 'vfio|scm_fds:[[:space:]]*[1-9]' /proc/[0-9]*/fdinfo/* /proc/[0-9]*/maps || true"
        )
        assert f"/proc/{pid}/fdinfo/" in found


def test_skip_leaves_the_pf_of_two_vfs_in_use_and_does_the_other(stage: Stage) -> None:
    with stage.node.holding(VF) as first, stage.node.holding(ANOTHER_VF) as second:
        rules = ({**CHANGE, "when_in_use": "skip"}, on(BARE, services=["dc"], vfs=0))
        with stage.attempt(*rules) as attempt:
            assert attempt.answer.code == 0, attempt.sentence
            reason = f"python3 (pid {first}) has {VF} open; python3 (pid {second}) has {ANOTHER_VF} open"
            assert attempt.answer.document["skipped"] == [{"device": FULL, "reason": reason}]
            assert attempt.after.of(FULL) == stage.start.of(FULL)
            assert attempt.after.summary(BARE) == "up dc, 0 of 0 VFs on vfio-pci"
            shown = {device["address"]: device for device in attempt.answer.document["node"]["devices"]}[FULL]
            held = {vf["address"]: [(user["pid"], user["command"]) for user in vf["held_by"]] for vf in shown["vfs"]}
            assert {vf: users for vf, users in held.items() if users} == {
                VF: [(first, "python3")],
                ANOTHER_VF: [(second, "python3")],
            }


def test_skip_leaves_one_vf_where_only_drivers_change(stage: Stage) -> None:
    with stage.node.holding(VF), stage.attempt(on(FULL, driver="pci-stub", when_in_use="skip")) as attempt:
        assert attempt.answer.code == 0, attempt.sentence
        assert [skipped["device"] for skipped in attempt.answer.document["skipped"]] == [VF]
        assert attempt.after.summary(FULL) == "up sym;asym, 1 of 16 VFs on vfio-pci"
        assert attempt.after.but(FULL) == stage.start.but(FULL)


def test_force_names_who_holds_the_write_up_and_nothing_hangs(stage: Stage) -> None:
    with stage.node.holding(VF) as pid:
        answer = stage.node.apply({**CHANGE, "when_in_use": "force"}, options="--time-limit 1")
        assert answer.code == 1
        assert f"has not returned after 1 seconds, since python3 (pid {pid}) has {VF} open" in answer.sentence
        assert "nothing was put back, since the kernel still works on it" in answer.sentence
        assert f"the kernel is still at work on {FULL}" in stage.node.apply(CHANGE).sentence
    stage.node.run(f"until grep -q down {DEVICES}/{FULL}/qat/state && [ ! -e {DEVICES}/{VF} ]; do sleep 0.1; done")
    stage.bring_back()


def test_teardown_takes_nothing_from_a_user_and_forgets_nothing(stage: Stage) -> None:
    with stage.node.holding(VF) as pid:
        answer = stage.node.qatctl("teardown", *START)
        assert answer.code == 1
        assert (
            f"python3 (pid {pid}) has {VF} open, and the step state down on {FULL} would take it away"
            in answer.sentence
        )
        assert stage.state() == stage.start
        stage.node.run(f"test -s {CONFIG} && test -s /var/lib/accel-qat/found.json")


# At once, and cut short.


def test_two_at_once_wait_for_each_other(stage: Stage) -> None:
    for service in ("dc", "asym"):
        rules = {"devices": [on(FULL, services=[service])]}
        stage.node.machine.put(json.dumps(rules).encode(), f"/root/{service}.json")
    both = " & ".join(f"qatctl apply --config /root/{service}.json > /dev/null" for service in ("dc", "asym"))
    stage.node.run(f"set -e; {both} & wait -n; wait -n")
    state = stage.state()
    assert state.summary(FULL) in (CHANGED, CHANGED.replace("dc", "asym"))
    assert state.but(FULL) == stage.start.but(FULL)
    stage.bring_back()


MOMENTS = {
    "while it writes the services": "[ $delay = 0 ]",
    "before the first VF has its driver": f"[ $delay = 0 ] && [ -e {DEVICES}/{FULL}/virtfn0 ]",
    "when half of the VFs have their driver": f"[ $delay = 0 ] && [ -e {DEVICES}/{ANOTHER_VF}/driver ]",
}


def killed(stage: Stage, moment: str) -> State:
    """The node after an apply of CHANGE was killed at that moment.

    On a machine that stands still now and then the apply may be over before the kill: it is brought back and tried again.
    """
    for _ in range(10):
        stage.node.machine.put(json.dumps({"devices": [CHANGE]}).encode(), CONFIG)
        stage.node.fault(FULL, "delay_services", 3000)
        stage.node.run(
            f"qatctl apply --config {CONFIG} > /dev/null & until read delay < {FAULTS}/{FULL}/delay_services; {MOMENTS[moment]};"
            " do :; done; kill -9 $!; wait"
        )
        left = stage.state()
        if left.summary(FULL) != CHANGED:
            return left
        stage.bring_back()
    raise AssertionError(f"an apply was over ten times before it was killed {moment}")


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_killed_apply_leaves_the_next_one_completes(stage: Stage, moment: str) -> None:
    left = killed(stage, moment)
    assert left.summary(FULL) != STARTED
    assert left.but(FULL) == stage.start.but(FULL)
    answer = stage.node.apply(CHANGE)
    assert answer.code == 0, answer.sentence
    done = stage.state()
    assert done.summary(FULL) == CHANGED
    assert done.but(FULL) == stage.start.but(FULL)
    stage.bring_back()


# Undone by the kernel.

RESETS = {
    "a person or the driver resets it": f"echo 1 > {FAULTS}/{FULL}/reset",
    "it has lost its heartbeat": (
        f"echo lost > {FAULTS}/{FULL}/heartbeat; echo on > {DEVICES}/{FULL}/qat/auto_reset;"
        f" for _ in 1 2 3; do cat /sys/kernel/debug/qat_4xxx_{FULL}/heartbeat/status; sleep 0.3; done"
    ),
}
# The last one comes last, and what was made again has an inode of its own.
INODE = f"$(stat --format=%i {DEVICES}/{LAST_VF})"
VFS_ARE_BACK = f"until [ -e {DEVICES}/{FULL}/virtfn15 ] && [ {INODE} != $old ]; do sleep 0.05; done; udevadm settle"


@pytest.mark.parametrize("cause", RESETS)
def test_a_reset_is_reported_as_drift_and_repaired(stage: Stage, cause: str) -> None:
    stage.node.run(f"old={INODE}; {RESETS[cause]}; {VFS_ARE_BACK}; echo off > {DEVICES}/{FULL}/qat/auto_reset")
    drift = stage.node.qatctl("status", *START)
    assert drift.code == 3
    assert [(step["action"], step["device"]) for step in drift.document["steps"][:2]] == [
        ("override", VF),
        ("bind", VF),
    ]
    assert len(drift.document["steps"]) == 32
    assert stage.state().but(FULL) == stage.start.but(FULL)
    stage.bring_back()
    assert stage.node.qatctl("status", *START).code == 0


def test_a_reset_while_vfs_get_their_driver_is_waited_for(stage: Stage) -> None:
    # By then the first VF is done with: the reset may come so soon that the second one loses its driver before it is read back.
    reset = (
        f"(until [ -e {DEVICES}/0000:70:00.2/driver ]; do :; done; echo 1 > {FAULTS}/{BARE}/reset) > /dev/null 2>&1 &"
    )
    with stage.attempt(on(BARE, services=["sym", "asym"]), setup=reset) as attempt:
        assert attempt.answer.code == 0, attempt.sentence
        assert attempt.after.summary(BARE) == STARTED
        assert attempt.after.but(BARE) == stage.start.but(BARE)
        first = [step for step in attempt.answer.document["steps"] if step["device"] == "0000:70:00.1"]
        assert [step["action"] for step in first] == ["override", "bind"] * 2


def test_a_pf_that_vanishes_in_the_midst_and_returns(stage: Stage) -> None:
    vanish = (
        f"(until read delay < {FAULTS}/{FULL}/delay_services; [ $delay = 0 ]; do :; done; sleep 0.2;"
        f" echo 0 > {FAULTS}/{FULL}/present) > /dev/null 2>&1 &"
    )
    with stage.attempt(CHANGE, setup=f"echo 4000 > {FAULTS}/{FULL}/delay_services; {vanish}") as attempt:
        assert attempt.answer.code == 1
        assert attempt.sentence.startswith(f"{DEVICES}/{FULL}/qat/cfg_services: ")
        assert f"{FULL} has gone; see the kernel's log for why" in attempt.sentence
        assert attempt.after.but(FULL) == stage.start.but(FULL)


def test_a_pf_that_has_lost_its_heartbeat_is_configured_all_the_same(stage: Stage) -> None:
    rule = on(BARE, services=["dc"], vfs=0)
    with stage.attempt(rule, faults={f"{BARE}/heartbeat": "dead"}) as attempt:
        assert attempt.answer.code == 0, attempt.sentence
        assert attempt.after.summary(BARE) == "up dc, 0 of 0 VFs on vfio-pci"
        assert attempt.after.but(BARE) == stage.start.but(BARE)
