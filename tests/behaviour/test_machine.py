# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table on a real kernel, in the virtual machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from ansible_collections.accel.qat.tests.behaviour.payload import payload
from ansible_collections.accel.qat.tests.behaviour.steps import Case
from ansible_collections.accel.qat.tests.behaviour.table import CASES
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine

PFS = "4xxx@6b:0,420xx@70:1,c6xx@75:0,dh895xcc@7a:1,c6xx@80:0/0"
"""The devices of steps.NODE."""

MINUTES_FOR_A_GENERATION = 15

RUNS = [
    pytest.param(case, generation, id=f"{generation}: {case.name}")
    # Grouped as the machines run them.
    for iommu in (True, False)
    for generation in ("6.1", "6.12", "6.16")
    for case in CASES
    if generation in case.generations and case.iommu == iommu
]

Results = dict[str, list[str]]


class Machines:
    """The machines that cases run on, one with an IOMMU and one without, and what came out."""

    def __init__(self) -> None:
        self._machines: dict[bool, Machine] = {}
        self._results: dict[tuple[str, bool], Results] = {}

    def results(self, generation: str, iommu: bool) -> Results:
        """The problems of every case of a generation, by name; the first call runs them all."""
        if (generation, iommu) not in self._results:
            self._results[generation, iommu] = self._run(generation, iommu)
        return self._results[generation, iommu]

    def _run(self, generation: str, iommu: bool) -> Results:
        command = f"python3 /root/behaviour.zip {generation} {'on' if iommu else 'off'}"
        done = self._machine(iommu).run(command, timeout=60 * MINUTES_FOR_A_GENERATION)
        return {name: problems for name, problems, _seconds in map(json.loads, done.stdout.splitlines())}

    def _machine(self, iommu: bool) -> Machine:
        if iommu not in self._machines:
            name = f"behaviour-{os.getpid()}{'' if iommu else '-no-iommu'}"
            machine = self._machines[iommu] = Machine.start(name, Hardware(pfs=PFS, iommu=iommu))
            machine.put(payload(), "/root/behaviour.zip")
        return self._machines[iommu]

    def stop(self) -> None:
        """Stop all of them."""
        for machine in self._machines.values():
            machine.stop()


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Started when needed, stopped at the end."""
    machines = Machines()
    try:
        yield machines
    finally:
        machines.stop()


@pytest.mark.parametrize(("case", "generation"), RUNS)
def test_case(machines: Machines, case: Case, generation: str) -> None:
    assert machines.results(generation, case.iommu)[case.name] == []
