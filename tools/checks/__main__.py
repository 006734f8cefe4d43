# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the named stages in order, all of them, so that one run shows all that fails; and end with one table."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import time
import typing as t
from collections.abc import Sequence

from . import stages, tally
from .shell import CommandFailed, Shell, Terminated, terminate

Result = t.Literal["passed", "FAILED"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one stage: its result in a word, the seconds it took, and the tests that pytest ran in it."""

    stage: str
    result: Result
    seconds: float = 0.0
    tests: tally.Tally = tally.NOTHING


def run_stage(name: str, started: float) -> Outcome:
    """Run one stage, with a header that shows the time since the start of all."""
    begin = time.monotonic()
    print(f"\n==> {name}: {stages.describe(name)} ({begin - started:.0f} s since start)", flush=True)
    shell = Shell()
    result: Result = "passed"
    with tally.counting(shell) as count:
        try:
            stages.STAGES[name](shell)
        except CommandFailed as failure:
            print(f"==> {name} failed: {failure}", flush=True)
            result = "FAILED"
        return Outcome(name, result, time.monotonic() - begin, count())


def run(names: Sequence[str]) -> list[Outcome]:
    """Run the stages, each whatever became of those before it."""
    started = time.monotonic()
    return [run_stage(name, started) for name in names]


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print a line a stage, and last the number of tests in the form that continuous integration reads."""
    total = sum((outcome.tests for outcome in outcomes), start=tally.NOTHING)
    print(f"\n{'stage':<12}{'result':<10}{'seconds':>8}{'tests':>8}")
    for outcome in outcomes:
        tests = str(outcome.tests.passed) if outcome.tests.passed else "-"
        print(f"{outcome.stage:<12}{outcome.result:<10}{outcome.seconds:>8.1f}{tests:>8}")
    print(f"{'total':<22}{sum(outcome.seconds for outcome in outcomes):>8.1f}{total.passed:>8}")
    failed = total.failed or sum(outcome.result == "FAILED" for outcome in outcomes)
    print(f"\n{total.passed} passed, {failed} failed" + (f", {total.skipped} skipped" if total.skipped else ""))


def main() -> int:
    """Return 0 when every stage passed, else 1."""
    parser = argparse.ArgumentParser(prog="tools.checks", description=__doc__)
    parser.add_argument("stages", nargs="+", choices=[*stages.STAGES, "all"], metavar="STAGE", help=stages.overview())
    names: list[str] = parser.parse_args().stages
    signal.signal(signal.SIGTERM, terminate)
    try:
        outcomes = run(stages.ALL if "all" in names else names)
    except (KeyboardInterrupt, Terminated):
        print("==> ended before all was done", flush=True)
        return 1
    print_table(outcomes)
    return int(any(outcome.result != "passed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
