# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table on a real kernel, in the virtual machine."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from ansible_collections.accel.qat.tests.behaviour.payload import payload
from ansible_collections.accel.qat.tests.behaviour.steps import GENERATIONS, NO_SRIOV, NODE, Case
from ansible_collections.accel.qat.tests.behaviour.table import CASES
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine, remove

PFS = ",".join(
    f"{slot.family}@{slot.address[5:7]}:{slot.numa_node}{'/0' if slot.address == NO_SRIOV else ''}" for slot in NODE
)

MINUTES_FOR_A_GENERATION = 60
MACHINES = 3

RUNS = [
    pytest.param(case, generation, id=f"{generation}: {case.name}") for case in CASES for generation in case.generations
]

KERNEL_TROUBLE = ("BUG:", "WARNING:", "Oops", "Call Trace", "leaked", "general protection", "refcount_t")
"""What the kernel says when something in it went wrong: an oops, a warning with a trace, a lock that was not given back."""


# A machine that stood still for half a minute, because its host did, would take itself for hung. A case that really hangs takes too long.
NO_WATCHDOGS = (
    "echo 0 > /proc/sys/kernel/soft_watchdog; echo 1 > /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress"
)


@dataclass
class Results:
    """The problems of each case, by generation and name; and the trouble that the kernels' logs report."""

    problems: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """The cases of these generations, on a machine of their own with or without IOMMU."""

    generations: tuple[str, ...]
    iommu: bool

    @property
    def machine(self) -> str:
        """The machine's name."""
        words = ("behaviour", str(os.getpid()), *self.generations, "on" if self.iommu else "off")
        return "-".join(words).replace(".", "")


def run_on_a_machine(job: Job) -> Results:
    """Run a job's cases."""
    with Machine.start(job.machine, Hardware(pfs=PFS, iommu=job.iommu)) as machine:
        machine.put(payload(), "/root/behaviour.zip")
        machine.run(NO_WATCHDOGS, check=False)
        results = Results()
        for generation in job.generations:
            command = f"python3 /root/behaviour.zip {generation} {'on' if job.iommu else 'off'}"
            done = machine.run(command, timeout=60 * MINUTES_FOR_A_GENERATION)
            for name, problems, _seconds in map(json.loads, done.stdout.splitlines()):
                results.problems[generation, name] = problems
        results.trouble = trouble_in(machine.run("dmesg").stdout.splitlines())
        return results


def trouble_in(log: list[str]) -> list[str]:
    """The lines of a kernel's log that report trouble, each with the name of its case, which guest.py has put before them."""
    found, case = [], "before the first case"
    for line in log:
        _time, mark, name = line.partition("== ")
        case = name if mark else case
        if any(sign in line for sign in KERNEL_TROUBLE):
            found.append(f"{case}: {line}")
    return found


@pytest.fixture(scope="module")
def results() -> Results:
    """What came out of all of them; most of the time goes into waiting for the kernel, so machines run side by side."""
    jobs = [*(Job((generation,), iommu=True) for generation in reversed(GENERATIONS)), Job(GENERATIONS, iommu=False)]
    together = Results()
    with ThreadPoolExecutor(max_workers=MACHINES) as pool:
        try:
            for part in pool.map(run_on_a_machine, jobs):
                together.problems.update(part.problems)
                together.trouble += part.trouble
        except BaseException:
            # The pool waits for its threads, and they for answers that may take minutes: but not from a machine that is gone.
            pool.shutdown(wait=False, cancel_futures=True)
            for job in jobs:
                remove(job.machine)
            raise
    return together


@pytest.mark.parametrize(("case", "generation"), RUNS)
def test_case(results: Results, case: Case, generation: str) -> None:
    assert results.problems[generation, case.name] == []


def test_no_case_troubled_the_kernel(results: Results) -> None:
    assert results.trouble == []
