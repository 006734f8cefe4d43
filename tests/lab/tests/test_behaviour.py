# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated drivers behave as the table says, in every kernel generation; no step leaves a kernel warning behind."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.accel.qat.tests.lab.behaviour.steps import GENERATIONS, Outcome, Row, Since
from ansible_collections.accel.qat.tests.lab.behaviour.table import PFS, ROWS
from ansible_collections.accel.qat.tests.lab.guest_programs import do_steps
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "/root/steps.py"

# What the kernel says when something in it went wrong: an oops, a warning with a trace, a lock that was not given back.
KERNEL_TROUBLE = ("BUG:", "WARNING:", "Oops", "Call Trace", "leaked", "general protection", "refcount_t")


Outcomes = dict[tuple[str, str], list[str]]


def rows_of(generation: str) -> list[Row]:
    return [row for row in ROWS if generation in (row.only or GENERATIONS)]


CASES = [
    pytest.param(row, generation, id=f"{generation}: {row.name}".encode("unicode_escape").decode())
    for generation in GENERATIONS
    for row in rows_of(generation)
]


def expected(outcome: Outcome, generation: str) -> str:
    return outcome.outcome(generation) if isinstance(outcome, Since) else outcome


def task(row: Row, generation: str) -> dict[str, Any]:
    steps = [
        {**asdict(step), "kind": type(step).__name__, "outcome": expected(step.outcome, generation)}
        for step in row.steps
    ]
    return {"name": row.name, "generation": generation, "steps": steps}


def play(machine: Machine, generation: str) -> Outcomes:
    """Do all rows of one generation on a machine of its own; most of the time goes into waiting for the PCI core."""
    rows = rows_of(generation)
    machine.put(Path(do_steps.__file__).read_bytes(), PROGRAM)
    tasks = json.dumps([task(row, generation) for row in rows]).encode()
    lines = machine.run(f"python3 {PROGRAM}", stdin=tasks, timeout=900).stdout.splitlines()
    return {(generation, row.name): json.loads(line) for row, line in zip(rows, lines, strict=True)}


@pytest.fixture(scope="module")
def machines(own_name: str) -> Iterator[dict[str, Machine]]:
    """One machine for each generation, all with the same hardware; the generation is switched at run time."""
    started: dict[str, Machine] = {}
    try:
        for generation in GENERATIONS:
            name = f"{own_name}-{generation.replace('.', '-')}"
            started[generation] = Machine.start(name, Hardware(pfs=PFS))
        yield started
    finally:
        for machine in started.values():
            machine.stop()


@pytest.fixture(scope="module")
def outcomes(machines: dict[str, Machine]) -> Outcomes:
    with ThreadPoolExecutor() as pool:
        try:
            played = list(pool.map(play, machines.values(), machines))
        except BaseException:
            # The pool waits for its threads, and they for answers that may take minutes: but not from a machine that is gone.
            for machine in machines.values():
                machine.stop()
            raise
    return {key: outcome for part in played for key, outcome in part.items()}


@pytest.mark.parametrize(("row", "generation"), CASES)
def test_row(outcomes: Outcomes, row: Row, generation: str) -> None:
    wanted = [(step, expected(step.outcome, generation)) for step in row.steps]
    seen = list(zip(row.steps, outcomes[generation, row.name], strict=True))
    assert seen == wanted


def test_no_row_troubled_the_kernel(machines: dict[str, Machine], outcomes: Outcomes) -> None:
    assert outcomes
    for machine in machines.values():
        log = machine.run("dmesg").stdout.splitlines()
        assert [line for line in log if any(sign in line for sign in KERNEL_TROUBLE)] == []
