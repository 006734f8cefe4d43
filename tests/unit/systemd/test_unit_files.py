# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When systemd reads its units again."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.file_set import Entry
from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.module_utils._systemd.unit_files import read_again
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine
from ansible_collections.accel.qat.tests.unit.systemd.fake_systemd import FakeSystemd, Moment, commands, node

UNIT = "qat-node.service"
PATH = f"/etc/systemd/system/{UNIT}"
LINK = Entry(f"/etc/systemd/system/multi-user.target.wants/{UNIT}", "link", PATH)
INSTALLED = [Entry(PATH, "present", "[Service]\n"), LINK]
REMOVED = [Entry(LINK.path, "absent"), Entry(PATH, "absent")]


def knowing(load: str, outdated: str) -> FakeMachine:
    return node(FakeSystemd([Moment()], properties={"LoadState": load, "NeedDaemonReload": outdated}))


@pytest.mark.parametrize(
    ("entries", "load", "outdated", "reads"),
    [
        (INSTALLED, "loaded", "no", False),
        # A run was cut off between the writing of the unit and its reading.
        (INSTALLED, "loaded", "yes", True),
        (INSTALLED, "not-found", "no", True),
        (INSTALLED, "bad-setting", "no", True),
        (INSTALLED, "masked", "no", True),
        (REMOVED, "not-found", "no", False),
        (REMOVED, "loaded", "yes", True),
        # Of somebody else, elsewhere.
        (REMOVED, "loaded", "no", False),
        # Files of a unit that is there otherwise, as drop-ins are.
        ([Entry(f"{PATH}.d/more.conf", "present", "[Service]\n")], "loaded", "no", False),
        ([Entry(f"{PATH}.d/more.conf", "present", "[Service]\n")], "loaded", "yes", True),
        # Masked.
        ([Entry(PATH, "present", "")], "masked", "no", False),
        ([Entry(PATH, "link", "/dev/null")], "masked", "no", False),
    ],
)
def test_what_no_file_says_systemd_says(entries: list[Entry], load: str, outdated: str, reads: bool) -> None:
    """The files are as wanted."""
    machine = knowing(load, outdated)
    assert read_again(machine, [UNIT], entries, changed=False, rehearse=True) == reads
    assert commands(machine) == []


@pytest.mark.parametrize(("rehearse", "done"), [(True, []), (False, ["daemon-reload"])])
@pytest.mark.parametrize(("changed", "outdated"), [(True, "no"), (False, "yes"), (True, "yes")])
def test_it_is_read_once(changed: bool, outdated: str, rehearse: bool, done: list[str]) -> None:
    machine = knowing("loaded", outdated)
    assert read_again(machine, [UNIT, UNIT], INSTALLED, changed, rehearse)
    assert commands(machine) == done


def test_one_of_several_is_enough() -> None:
    machine = knowing("not-found", "no")
    assert read_again(machine, ["others.service", UNIT], INSTALLED, changed=False, rehearse=True)


def test_without_units_systemd_is_not_even_looked_for() -> None:
    assert not read_again(FakeMachine({}, {}), [], INSTALLED, changed=True, rehearse=False)


@pytest.mark.parametrize("state", ["bad-setting", "error", "masked", "not-found"])
def test_a_unit_that_systemd_does_not_take_is_reported(state: str) -> None:
    """Else each run would have it read again."""
    machine = knowing(state, "no")
    with pytest.raises(NodeError) as caught:
        read_again(machine, [UNIT], INSTALLED, changed=False, rehearse=False)
    assert caught.value.sentence() == (
        f"{UNIT}: systemd has read the unit, and does not take it: {state}; see systemctl status {UNIT}"
    )


def test_a_systemd_that_does_not_read_is_reported() -> None:
    systemd = FakeSystemd([Moment()], codes={"daemon-reload": 1}, errors={"daemon-reload": "Refusing to reload\n"})
    with pytest.raises(NodeError, match="systemctl daemon-reload fails: Refusing to reload"):
        read_again(node(systemd), [UNIT], INSTALLED, changed=True, rehearse=False)


def test_a_systemd_that_cannot_be_asked_knows_nothing() -> None:
    machine = knowing("loaded", "no")
    machine.commands["/usr/sbin/systemctl"] = lambda _machine, _command: CommandResult(1, "", "no bus\n")
    with pytest.raises(NodeError, match="systemctl show fails: no bus"):
        read_again(machine, [UNIT], INSTALLED, changed=False, rehearse=True)
