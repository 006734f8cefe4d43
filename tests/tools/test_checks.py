# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of the checks: what it counts, when it stops, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks import __main__ as runner
from ansible_collections.accel.qat.tools.checks import plugin_docs, stages, tally
from ansible_collections.accel.qat.tools.checks.shell import (
    CommandFailed,
    Shell,
    Terminated,
    command,
    common_environment,
    terminate,
)

THREE_TESTS = """
import pytest

def test_right():
    pass

def test_wrong():
    assert 1 == 2

@pytest.mark.skipif(True, reason="to be counted")
def test_left_out():
    pass

@pytest.fixture
def broken():
    raise RuntimeError

def test_error(broken):
    pass
"""


@pytest.fixture(name="three_tests")
def _three_tests(tmp_path: Path) -> Path:
    path = tmp_path / "test_three.py"
    path.write_text(THREE_TESTS)
    return path


def run_pytest(shell: Shell, path: Path, *words: str) -> None:
    shell.run(sys.executable, "-m", "pytest", "-q", *words, "-c", "/dev/null", "--rootdir", path.parent, path)


def test_counts_the_tests_of_every_pytest_that_is_started(three_tests: Path) -> None:
    shell = Shell()
    with tally.counting(shell) as count:
        for _run in range(2):
            with pytest.raises(CommandFailed):
                run_pytest(shell, three_tests)
        assert count() == tally.Tally(passed=2, failed=4, skipped=2)


@pytest.mark.parametrize("side_by_side", [(), ("--numprocesses=2",)], ids=["one", "two"])
def test_says_what_fails_before_the_tests_are_over(
    three_tests: Path, capfd: pytest.CaptureFixture[str], side_by_side: tuple[str, ...]
) -> None:
    shell = Shell()
    with tally.counting(shell), pytest.raises(CommandFailed):
        run_pytest(shell, three_tests, *side_by_side)
    begun = capfd.readouterr().out.partition("= FAILURES =")[0].partition("= ERRORS =")[0]
    assert sorted(re.findall(r"^(\w+ of .*)", begun, re.MULTILINE)) == [
        "call of test_three.py::test_wrong failed: assert 1 == 2",
        "setup of test_three.py::test_error failed: RuntimeError",
    ]


def test_a_command_that_fails_is_named() -> None:
    with pytest.raises(CommandFailed, match=re.escape("sh -c 'exit 3' returned 3")):
        Shell().run("sh", "-c", "exit 3")


def test_reads_what_a_command_prints() -> None:
    assert Shell().read("sh", "-c", "echo $WORD", WORD="said") == "said\n"


def test_runs_commands_at_once_and_prints_what_each_says_in_one_piece(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each of the two waits for the other's pipe."""
    for name in ("here", "there"):
        os.mkfifo(tmp_path / name)
    first = command("sh", "-c", "echo $WORD; echo >there; cat <here; echo first >&2", cwd=tmp_path, WORD="begins")
    second = command("sh", "-c", "cat <there; echo >here; echo second", cwd=tmp_path)
    Shell().run_together(first, second)
    said = [line for line in capfd.readouterr().out.splitlines() if line and not line.startswith("  ")]
    assert said == ["begins", "first", "second"]


def test_one_of_several_commands_that_fails_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong, right = command("sh", "-c", "echo wrong; exit 3"), command("touch", tmp_path / "done")
    with pytest.raises(CommandFailed, match=re.escape("sh -c 'echo wrong; exit 3' returned 3")):
        Shell().run_together(wrong, right)
    assert (tmp_path / "done").exists()
    assert "wrong\n" in capfd.readouterr().out


def test_commands_that_run_at_once_are_asked_to_end_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "trap 'sleep 0.3; touch cleared-$NAME; exit' TERM; touch begun-$NAME; while :; do sleep 0.05; done"
    commands = [command("sh", "-c", words, cwd=tmp_path, NAME=name) for name in ("first", "second")]
    waits, wait = threading.Event(), subprocess.Popen.wait

    def wait_and_say_so(process: subprocess.Popen[bytes]) -> int:
        waits.set()
        return wait(process)

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while len([*tmp_path.glob("begun-*")]) < len(commands) and time.monotonic() < deadline:
            time.sleep(0.02)
        waits.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_and_say_so)
    before = signal.signal(signal.SIGTERM, terminate)
    interrupter = threading.Thread(target=interrupt)
    try:
        interrupter.start()
        with pytest.raises(Terminated):
            Shell().run_together(*commands)
    finally:
        signal.signal(signal.SIGTERM, before)
        interrupter.join()
    assert sorted(path.name for path in tmp_path.glob("cleared-*")) == ["cleared-first", "cleared-second"]


@pytest.fixture(name="three_stages")
def _three_stages(monkeypatch: pytest.MonkeyPatch, three_tests: Path) -> list[str]:
    """Three stages of which the second fails."""
    ran: list[str] = []

    def first(_shell: Shell) -> None:
        """First."""
        ran.append("first")

    def second(shell: Shell) -> None:
        """Second."""
        ran.append("second")
        run_pytest(shell, three_tests)

    def third(_shell: Shell) -> None:
        """Third."""
        ran.append("third")

    monkeypatch.setattr(stages, "STAGES", {"first": first, "second": second, "third": third})
    monkeypatch.setattr(stages, "ALL", ("first", "second", "third"))
    return ran


def test_goes_on_after_a_stage_that_fails_so_that_one_run_shows_all(
    three_stages: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["checks", "all"])
    assert runner.main() == 1
    assert three_stages == ["first", "second", "third"]
    table = capsys.readouterr().out.split("\nstage ")[1]
    assert re.findall(r"^(\w+) +(passed|FAILED) ", table, re.MULTILINE) == [
        ("first", "passed"),
        ("second", "FAILED"),
        ("third", "passed"),
    ]
    assert table.splitlines()[-1] == "1 passed, 2 failed, 1 skipped"


def test_returns_zero_when_all_stages_pass(
    three_stages: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["checks", "third", "first"])
    assert runner.main() == 0
    assert three_stages == ["third", "first"]
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 0 failed"


def test_a_stage_that_runs_no_pytest_and_fails_counts_as_failed(
    three_stages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    del three_stages
    runner.print_table([runner.Outcome("first", "FAILED", 1.0)])
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"


def test_all_is_stages_that_there_are() -> None:
    """But for those that the stage machines has in it, and those of the night."""
    assert set(stages.ALL) == set(stages.STAGES) - {"core", "galaxy", "docs", "lab", "machine", "cluster", "molecule"}


def test_every_stage_says_in_one_line_what_it_checks() -> None:
    for name in stages.STAGES:
        assert stages.describe(name), name


def test_switches_of_the_callers_python_reach_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "/somewhere", "HOME": "/home/me"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert {name: common_environment().get(name) for name in given} == {
        **given,
        "PYTHONUNBUFFERED": None,
        "PYTHONDONTWRITEBYTECODE": None,
    }


@pytest.mark.parametrize(("statuses", "returned"), [((0,), 0), ((3, 0), 0), ((3, 3), 3)])
def test_docs_of_plugins_are_looked_through_again_where_something_was_found(
    statuses: tuple[int, ...], returned: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "antsibull-docs"
    lines = [
        "#!/bin/sh",
        f"echo run >> {tmp_path}/runs",
        f"set -- {' '.join(map(str, statuses))}",
        f"shift $(($(wc -l < {tmp_path}/runs) - 1))",
        "exit $1",
    ]
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert plugin_docs.main("a collection") == returned
    assert len((tmp_path / "runs").read_text().split()) == len(statuses)
