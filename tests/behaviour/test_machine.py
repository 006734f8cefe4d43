# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table on a real kernel, in the virtual machine."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from ansible_collections.accel.qat.tests.behaviour.payload import payload
from ansible_collections.accel.qat.tests.behaviour.steps import GENERATIONS, Case
from ansible_collections.accel.qat.tests.behaviour.table import CASES
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine, remove

PFS = "4xxx@6b:0,420xx@70:1,c6xx@75:0,dh895xcc@7a:1,c6xx@80:0/0"
"""The devices of steps.NODE."""

MINUTES_FOR_A_GENERATION = 15
MACHINES = 3

RUNS = [
    pytest.param(case, generation, id=f"{generation}: {case.name}") for case in CASES for generation in case.generations
]

Results = dict[tuple[str, str], list[str]]
"""The problems of each case, by generation and name."""


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
        results: Results = {}
        for generation in job.generations:
            command = f"python3 /root/behaviour.zip {generation} {'on' if job.iommu else 'off'}"
            done = machine.run(command, timeout=60 * MINUTES_FOR_A_GENERATION)
            for name, problems, _seconds in map(json.loads, done.stdout.splitlines()):
                results[generation, name] = problems
        return results


@pytest.fixture(scope="module")
def results() -> Results:
    """What came out of all of them; most of the time goes into waiting for the kernel, so machines run side by side."""
    jobs = [*(Job((generation,), iommu=True) for generation in reversed(GENERATIONS)), Job(GENERATIONS, iommu=False)]
    together: Results = {}
    with ThreadPoolExecutor(max_workers=MACHINES) as pool:
        try:
            for part in pool.map(run_on_a_machine, jobs):
                together.update(part)
        except BaseException:
            # The pool waits for its threads, and they for answers that may take minutes: but not from a machine that is gone.
            pool.shutdown(wait=False, cancel_futures=True)
            for job in jobs:
                remove(job.machine)
            raise
    return together


@pytest.mark.parametrize(("case", "generation"), RUNS)
def test_case(results: Results, case: Case, generation: str) -> None:
    assert results[generation, case.name] == []
