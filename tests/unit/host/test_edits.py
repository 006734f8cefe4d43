# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that change together or not at all."""

from __future__ import annotations

import json
import os
import stat
import typing as t
from dataclasses import asdict
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.edits import (
    PRIVATE,
    FileEdit,
    Transaction,
    difference,
    removal_of,
)
from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult, LiveMachine
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine

OURS = (os.geteuid(), os.getegid())


def no_commands(command: t.Sequence[str]) -> CommandResult:
    raise AssertionError(command)


@pytest.fixture
def live(tmp_path: Path) -> LiveMachine:
    return LiveMachine(no_commands, str(tmp_path))


@pytest.fixture
def fake() -> FakeMachine:
    return FakeMachine({"/etc/one": "1", "/etc/two": "2"}, {})


EDITS = [FileEdit("/etc/two", "2", "22"), FileEdit("/etc/new", None, "n"), FileEdit("/etc/one", "1", None)]


def test_edits_are_made_in_order(fake: FakeMachine) -> None:
    transaction = Transaction(fake)
    for edit in EDITS:
        transaction.make(edit)
    assert fake.done == ["write /etc/two", "write /etc/new", "remove /etc/one"]
    assert fake.files == {"/etc/two": "22", "/etc/new": "n"}
    transaction.put_back()
    assert fake.files == {"/etc/one": "1", "/etc/two": "2"}


@pytest.mark.parametrize("made", range(4))
def test_only_what_was_touched_is_put_back(fake: FakeMachine, made: int) -> None:
    transaction = Transaction(fake)
    for edit in EDITS[:made]:
        transaction.make(edit)
    fake.files["/etc/other"] = "theirs"
    before = dict(fake.files)
    transaction.put_back()
    assert fake.files == {"/etc/one": "1", "/etc/two": "2", "/etc/other": "theirs"}
    if not made:
        assert (before, fake.done) == (fake.files, [])


def test_what_a_command_changes_is_put_back_too(fake: FakeMachine) -> None:
    transaction = Transaction(fake)
    transaction.note("/etc/two", "/etc/made")
    fake.files.update({"/etc/two": "by a command", "/etc/made": "by a command"})
    # Noted again, and changed again: the first counts.
    transaction.make(FileEdit("/etc/two", "by a command", "3"))
    transaction.put_back()
    assert fake.files == {"/etc/one": "1", "/etc/two": "2"}


def test_the_way_back_of_an_earlier_run_counts(fake: FakeMachine) -> None:
    transaction = Transaction(fake, [FileEdit("/etc/two", "2", "found by the earlier one")])
    transaction.make(FileEdit("/etc/two", "2", "22"))
    transaction.put_back()
    assert fake.files["/etc/two"] == "found by the earlier one"


def test_one_that_cannot_be_put_back_does_not_keep_the_others_from_it(fake: FakeMachine) -> None:
    transaction = Transaction(fake)
    for edit in EDITS:
        transaction.make(edit)
    fake.read_only.add("/etc/two")
    with pytest.raises(NodeError) as caught:
        transaction.put_back()
    assert caught.value.sentence() == "/etc/two: cannot be written: Read-only file system"
    assert fake.files == {"/etc/one": "1", "/etc/two": "22"}
    fake.files = {"/etc/two": "22"}
    fake.read_only.add("/etc/one")
    with pytest.raises(NodeError) as caught:
        transaction.put_back()
    assert caught.value.sentence() == (
        "/etc/two: cannot be written: Read-only file system; nor can /etc/one be put back"
    )


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o644])
def test_a_file_that_was_taken_away_comes_back_with_its_mode(live: LiveMachine, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_text("token")
    path.chmod(mode)
    transaction = Transaction(live)
    transaction.make(FileEdit("/file", "token", None))
    assert not path.exists()
    transaction.put_back()
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("token", mode)


def test_a_file_that_was_taken_away_comes_back_with_its_owner(live: LiveMachine, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    owner = (12, 34) if os.geteuid() == 0 else OURS
    os.chown(path, *owner)
    path.chmod(0o4750)
    transaction = Transaction(live)
    transaction.make(FileEdit("/file", "", None))
    transaction.put_back()
    found = path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o4750, *owner)


def test_a_file_that_stands_keeps_what_belongs_to_it(live: LiveMachine, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    transaction = Transaction(live)
    transaction.make(FileEdit("/file", "old", "new"))
    path.chmod(0o640)
    number = path.stat().st_ino
    transaction.put_back()
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("old", 0o640)
    assert path.stat().st_ino != number
    # Nothing is written where nothing differs.
    number = path.stat().st_ino
    transaction.put_back()
    assert path.stat().st_ino == number


def test_a_private_file_is_private_before_it_has_its_name(
    live: LiveMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("for all")
    (tmp_path / "file").chmod(0o644)
    modes: list[int] = []
    replace = os.replace

    def replacing(source: str, target: str) -> None:
        modes.append(stat.S_IMODE(os.stat(source).st_mode))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    edit = FileEdit("/file", "for all", "secret", PRIVATE)
    assert edit.private
    edit.make(live)
    assert (modes, removal_of(live, "/file")) == ([0o600], FileEdit("/file", "secret", None, 0o600, OURS))


def test_there_and_back_by_json() -> None:
    for edit in (FileEdit("/a", None, "x"), FileEdit("/a", "x", None, 0o600, (0, 7))):
        assert FileEdit.of(json.loads(json.dumps(asdict(edit)))) == edit
        assert edit.reversed().reversed() == edit
        assert edit.changes
    assert not FileEdit("/a", "x", "x").changes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": None}, "a change is of no file"),
        ({"path": "a"}, "path does not fit"),
        ({"path": "/a\0"}, "path does not fit"),
        ({"path": 1}, "path is of another kind than it should be"),
        ({"before": 1}, "before is of another kind than it should be"),
        ({"after": "\ud800"}, "after does not fit"),
        ({"mode": "0600"}, "mode is of another kind than it should be"),
        ({"mode": True}, "mode is of another kind than it should be"),
        ({"mode": -1}, "mode or owner of /a is none"),
        ({"mode": 0o10000}, "mode or owner of /a is none"),
        ({"owner": [0, 0xFFFFFFFF]}, "mode or owner of /a is none"),
        ({"owner": ["0", 0]}, "mode or owner of /a is none"),
        ({"owner": [0]}, "mode or owner of /a is none"),
        ({"owner": [0, True]}, "mode or owner of /a is none"),
        ({"owner": {"0": 0}}, "owner is of another kind than it should be"),
        ({"owner": ...}, "owner is missing"),
    ],
)
def test_what_is_no_change_of_a_file(changes: dict[str, t.Any], reason: str) -> None:
    right = asdict(FileEdit("/a", None, "x", 0o600, (0, 7)))
    document = {name: value for name, value in {**right, **changes}.items() if value is not ...}
    with pytest.raises(ValueError, match=reason):
        FileEdit.of(document)


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (FileEdit("/a", None, "x\n"), "", "x\n"),
        (FileEdit("/a", "x\n", None), "x\n", ""),
        (FileEdit("/a", "\udcffx\n", "é\n"), "\N{REPLACEMENT CHARACTER}x\n", "é\n"),
    ],
)
def test_what_diff_mode_shows(edit: FileEdit, before: str, after: str) -> None:
    shown = edit.diff()
    assert shown == {"before_header": "/a", "after_header": "/a", "before": before, "after": after}
    assert shown == difference("/a", edit.before or "", edit.after or "")
    json.dumps(shown, ensure_ascii=False).encode()
