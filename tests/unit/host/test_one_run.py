# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs that would change the same files of a node."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.one_run import one_run
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError

LOCK = "/run/ours.lock"
ANOTHER = f"{LOCK}: another run is changing the files in this moment; wait for it to end, and run again"

# Holds the lock until its input ends; says when it does.
HOLDER = """\
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
def holder(root: Path) -> t.Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, f"{root}{LOCK}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def held(root: Path) -> t.ContextManager[None]:
    return one_run(str(root), LOCK, "the files")


def test_of_two_runs_the_second_is_refused(root: Path) -> None:
    with held(root):
        with pytest.raises(RefusedError) as caught, held(root):
            pytest.fail("both have it")
        assert str(caught.value) == ANOTHER
    with held(root):
        pass


def test_a_run_whose_lock_was_removed_still_keeps_others_away(root: Path, holder: subprocess.Popen[str]) -> None:
    os.unlink(f"{root}{LOCK}")
    for _again in range(2):
        with pytest.raises(RefusedError) as caught, held(root):
            pytest.fail("both have it")
        assert str(caught.value) == ANOTHER
    holder.communicate()
    with held(root):
        pass


def test_a_lock_that_is_removed_before_it_is_taken_is_not_the_lock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock
    removed: list[int] = []

    def after_a_cleaner(descriptor: int, how: int) -> None:
        if not removed:
            removed.append(descriptor)
            os.unlink(f"{root}{LOCK}")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", after_a_cleaner)
    with held(root):
        assert removed
        assert os.path.exists(f"{root}{LOCK}")
        with pytest.raises(RefusedError), held(root):
            pytest.fail("both have it")


def test_locks_of_others_there_keep_nobody_away(root: Path, tmp_path: Path) -> None:
    with open(tmp_path / "theirs", "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        os.unlink(tmp_path / "theirs")
        with held(root):
            pass


@pytest.mark.usefixtures("holder")
def test_a_removed_file_of_another_user_keeps_nobody_away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.unlink(f"{root}{LOCK}")
    status = os.fstat

    def of_another_user(descriptor: int) -> os.stat_result:
        mode, inode, device, links, user, *rest = status(descriptor)
        return os.stat_result((mode, inode, device, links, user + 1, *rest))

    monkeypatch.setattr(os, "fstat", of_another_user)
    with held(root):
        pass


def test_without_a_list_of_locks_the_lock_itself_is_enough(root: Path) -> None:
    with one_run(str(root), LOCK, "the files", proc_root=str(root)), pytest.raises(RefusedError), held(root):
        pytest.fail("both have it")


def test_no_descriptor_stays_open_where_there_is_no_lock_to_be_had(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(NodeError, match="the lock cannot be taken: No locks available"), held(root):
        pytest.fail("there is none")
    assert os.listdir("/proc/self/fd") == before
