# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the process that runs is the one that should, and what is done where it is not."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.module_utils._systemd.started import Starter, Wanted, releases_in
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine, says
from ansible_collections.accel.qat.tests.unit.systemd.fake_systemd import (
    BAD,
    NEW,
    OLD,
    RELEASES,
    RUN,
    STAMP,
    TAKES_OVER,
    UNIT,
    FakeSystemd,
    Moment,
    commands,
    node,
    process,
)

PID = 4711
SOCKET = f"{RUN}/{PID}.sock"
AS_WANTED = process(PID, STAMP, NEW)
START = f"start {UNIT}"


class Clock:
    """Time that goes only while somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds


def starter(machine: FakeMachine, **changed: t.Any) -> Starter:
    wanted: dict[str, t.Any] = {
        "unit": UNIT,
        "stamp": STAMP,
        "releases": RELEASES,
        "release": NEW,
        "run_directory": RUN,
        "takes_over": TAKES_OVER,
        **changed,
    }
    clock = Clock()
    return Starter(machine, Wanted(**wanted), clock.now, clock.pause)


@pytest.mark.parametrize("waits", [True, False], ids=["waits", "does-not-wait"])
def test_what_runs_as_it_should_is_left_alone(waits: bool) -> None:
    machine = node(FakeSystemd([Moment()]), AS_WANTED, files=[SOCKET, TAKES_OVER])
    assert starter(machine, waits=waits).run() == "none"
    # Which does nothing to a service that runs.
    assert commands(machine) == ([START] if waits else [])


OTHERS = {
    "of-another-unit": process(PID, "ACCEL_QAT_UNIT=old", NEW),
    "of-a-unit-that-begins-alike": process(PID, f"{STAMP}er", NEW),
    "of-a-unit-that-ends-alike": process(PID, f"X{STAMP}", NEW),
    "of-another-release": process(PID, STAMP, OLD),
    "of-a-release-that-was-removed": process(PID, STAMP, OLD, removed=True),
    "of-two-releases": process(PID, STAMP, NEW, OLD),
    "that-has-gone": {},
}


@pytest.mark.parametrize("waits", [True, False], ids=["waits", "does-not-wait"])
@pytest.mark.parametrize("running", OTHERS.values(), ids=OTHERS)
def test_another_process_is_taken_over_from(running: dict[str, str], waits: bool) -> None:
    """A restart would leave kubelet without any process of ours for a moment."""
    systemd = FakeSystemd([Moment()], after={"reload": [Moment(process=4712)]})
    machine = node(systemd, running, process(4712, STAMP, NEW), files=[SOCKET, TAKES_OVER])
    assert starter(machine, waits=waits).run() == "reload"
    assert commands(machine) == [f"reload {UNIT}", *([START] if waits else [])]


@pytest.mark.parametrize("files", [[], [SOCKET], [TAKES_OVER], [f"{RUN}/471.sock", TAKES_OVER]])
def test_where_nobody_can_take_over_it_is_restarted(files: list[str]) -> None:
    systemd = FakeSystemd([Moment()], after={"restart": [Moment("deactivating"), Moment(process=4712)]})
    machine = node(systemd, process(PID, "A=b", OLD), process(4712, STAMP, NEW), files=files)
    assert starter(machine).run() == "restart"
    assert commands(machine) == [f"restart --no-block {UNIT}", START]


@pytest.mark.parametrize(
    ("moment", "action"),
    [
        (Moment("inactive", "", 0), "start"),
        (Moment("failed", "", 0), "start"),
        # Between two starts, perhaps of the unit before.
        (Moment("activating", "", 0), "restart"),
        (Moment("reloading", BAD, 1), "restart"),
        (Moment("deactivating", BAD, PID), "start"),
        (Moment("activating", BAD, PID), "none"),
        (Moment("active", BAD, PID), "none"),
    ],
)
def test_what_is_done_and_what_check_mode_says(moment: Moment, action: str) -> None:
    files = [SOCKET, TAKES_OVER, f"{RUN}/0.sock", f"{RUN}/1.sock"]
    machine = node(FakeSystemd([moment]), AS_WANTED, files=files)
    checked = starter(machine, waits=False)
    assert (checked.run(rehearse=True), checked.done, commands(machine)) == (action, "none", [])
    done = starter(machine, waits=False)
    assert (done.run(), done.done) == (action, action)
    assert commands(machine) == ([] if action == "none" else [f"{action} --no-block {UNIT}"])


def test_a_process_that_has_loaded_nothing_yet_is_known_by_its_libraries_once_it_has() -> None:
    systemd = FakeSystemd([Moment("activating", "", PID), Moment()], after={"reload": [Moment(process=4712)]})
    machine = node(systemd, process(PID), process(4712, STAMP, NEW), files=[SOCKET, TAKES_OVER])
    looked = systemd._show

    def load(names: t.Sequence[str]) -> CommandResult:
        if systemd.moments[0].state == "active":
            machine.files.update(process(PID, STAMP, OLD))
        return looked(names)

    systemd._show = load  # type: ignore[method-assign]
    assert starter(machine).run() == "reload"
    assert commands(machine) == [START, f"reload {UNIT}", START]


def test_the_process_before_is_not_the_one_that_is_waited_for() -> None:
    """It says ready until the next one is the main process."""
    systemd = FakeSystemd([Moment()], after={"reload": [Moment()] * 3 + [Moment(process=4712, status=BAD)]})
    machine = node(systemd, process(PID, "A=b", NEW), process(4712, STAMP, NEW), files=[SOCKET, TAKES_OVER])
    with pytest.raises(NodeError, match="did not get ready within 7 seconds: it is active, not ready; "):
        starter(machine, seconds=7).run()


REMEDY = f"see journalctl -u {UNIT}, or set qat_device_plugin_wait to false where kubelet comes later"


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        pytest.param([Moment(), Moment(status=BAD), Moment()], None, id="kubelet-takes-a-moment"),
        pytest.param([Moment(), Moment("reloading"), Moment()], None, id="reloaded"),
        # It ended, and systemd has its last words as yet.
        pytest.param([Moment(), Moment("activating"), Moment()], None, id="starts-again"),
        pytest.param([Moment(status=BAD)], f"it is active, {BAD}", id="active-is-not-ready"),
        pytest.param([Moment("activating", BAD)], f"it is activating, {BAD}", id="never-ready"),
        pytest.param([Moment(), Moment("failed")], "it is failed", id="ends-at-once"),
        pytest.param([Moment(status="already; no")], "it is active, already; no", id="other-words"),
        pytest.param([Moment(status="")], "it is active", id="no-words"),
    ],
)
def test_waits_for_what_the_service_says_now(moments: list[Moment], said: str | None) -> None:
    run = starter(node(FakeSystemd(moments), AS_WANTED), seconds=3).run
    if said is None:
        assert run() == "none"
        return
    with pytest.raises(NodeError) as caught:
        run()
    assert caught.value.sentence() == f"{UNIT}: did not get ready within 3 seconds: {said}; {REMEDY}"


def test_what_systemctl_says_of_the_start_is_reported() -> None:
    systemd = FakeSystemd(
        [Moment("inactive", "", 0)], codes={"start": 1}, errors={"start": "A dependency job failed.\n"}
    )
    machine = node(systemd)
    made = starter(machine, seconds=1)
    machine.commands["/usr/sbin/systemctl"] = lambda where, command: (
        CommandResult(0) if "--no-block" in command else systemd(where, command)
    )
    with pytest.raises(NodeError, match=r"it is inactive \(A dependency job failed\.\)"):
        made.run()
    assert made.done == "start"


def test_a_process_that_never_is_of_the_unit_is_reported() -> None:
    machine = node(FakeSystemd([Moment()]), process(PID, "A=b", NEW))
    with pytest.raises(NodeError, match="but the process that runs is not of the unit as it is written"):
        starter(machine, seconds=2).run()


@pytest.mark.parametrize(
    ("reload", "logged", "said"),
    [
        (
            "{ path=/usr/bin/python3 ; argv[]=x pid=1 ; pid=815 ; code=exited ; status=1 }",
            "a\nb \x1b[2J\n",
            r"a b \x1b[2J",
        ),
        # It was never started.
        ("{ path=/usr/bin/python3 ; argv[]=x ; pid=0 ; code=(null) ; status=0/0 }", "of others\n", "Job failed."),
        (None, "of others\n", "Job failed."),
        ("{ argv[]=x ; pid=815 ; code=exited ; status=1 }", "x" * 9000, "x" * 1000),
    ],
)
@pytest.mark.parametrize("waits", [True, False], ids=["waits", "does-not-wait"])
def test_a_hand_over_that_is_refused(reload: str | None, logged: str, said: str, waits: bool) -> None:
    systemd = FakeSystemd([Moment()], codes={"reload": 1}, errors={"reload": "Job failed.\n"})
    if reload is not None:
        systemd.properties["ExecReload"] = reload
    machine = node(systemd, process(PID, "A=b", OLD), files=[SOCKET, TAKES_OVER])
    machine.commands.update(dict.fromkeys(("journalctl", "/usr/sbin/journalctl"), says(logged)))
    made = starter(machine, waits=waits)
    with pytest.raises(NodeError) as caught:
        made.run()
    assert caught.value.sentence() == (
        f"{UNIT}: the new process does not come up, and the one before it goes on: {said}; "
        f"put that right and run the role again, see journalctl -u {UNIT}"
    )
    assert (made.done, [line for line in commands(machine) if "journalctl" not in line]) == ("none", [f"reload {UNIT}"])
    asked = [line for line in machine.done if "journalctl" in line]
    assert all(line.endswith(" _PID=815") for line in asked)


def test_a_process_that_cannot_be_read_is_not_one_of_another_unit() -> None:
    machine = node(FakeSystemd([Moment()]), AS_WANTED)

    def refuse(path: str) -> str | None:
        raise NodeError("cannot be read: Permission denied", path)

    machine.read = refuse  # type: ignore[method-assign]
    with pytest.raises(NodeError, match="Permission denied"):
        starter(machine).run()
    assert commands(machine) == []


def test_a_systemd_that_does_not_answer_is_reported() -> None:
    systemd = FakeSystemd([Moment()])
    machine = node(systemd)
    machine.commands["/usr/sbin/systemctl"] = lambda _machine, _command: CommandResult(
        1, "", "Failed to connect to bus\n"
    )
    with pytest.raises(NodeError, match="systemctl show fails: Failed to connect to bus"):
        starter(machine).run()
    machine.commands["/usr/sbin/systemctl"] = says("ActiveState=active\n")
    with pytest.raises(NodeError, match="systemctl show does not report MainPID and StatusText"):
        starter(machine).run()
    with pytest.raises(NodeError, match="systemctl: the node has no such command"):
        starter(FakeMachine({}, {}))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"{RELEASES}/{NEW}/lib/x.so", {NEW}),
        (f"{RELEASES}/{NEW}/lib/with a space.so", {NEW}),
        (f"{RELEASES}/{NEW}/lib/x.so (deleted)", {NEW}),
        (f"{RELEASES}/0.0.9-previous/lib/x.so", {"0.0.9-previous"}),
        # A Python of one's own beside the releases.
        (f"{RELEASES}/venv/lib/x.so", set()),
        (f"{RELEASES}-of-others/{NEW}/lib/x.so", set()),
        (f"/mnt{RELEASES}/{NEW}/lib/x.so", set()),
        ("[vdso]", set()),
        ("", set()),
    ],
)
def test_releases_in_maps(path: str, found: set[str]) -> None:
    assert releases_in(f"7f00-7f10 r-xp 00000000 fd:01 917    {path}\nbroken\n", RELEASES) == found
