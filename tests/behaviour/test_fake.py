# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table on the fake kernel."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.tests.behaviour.runner import Runner
from ansible_collections.accel.qat.tests.behaviour.steps import NO_SRIOV, NODE, Case
from ansible_collections.accel.qat.tests.behaviour.table import CASES
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf

RUNS = [
    pytest.param(case, generation, id=f"{generation}: {case.name}")
    for case in CASES
    if not case.machine_only
    for generation in case.generations
]


class FakePrograms:
    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel
        self._pids: list[int] = []

    def hold(self, address: str) -> None:
        self._pids.append(self._kernel.open_vf(address))

    def hide(self, address: str) -> None:
        self.hold(address)
        self._kernel.hide(self._pids[-1])

    def hold_group(self, address: str) -> None:
        self.hold(address)
        self._kernel.close_device(self._pids[-1])

    def let_go(self) -> None:
        while self._pids:
            self._kernel.end(self._pids.pop())

    def write_bare(self, path: str, text: str) -> None:
        self._kernel.write_bare(path, text)

    def settle(self, seconds: float) -> None:
        """The fake kernel's udev has handled an event as soon as it came."""


@pytest.mark.parametrize(("case", "generation"), RUNS)
def test_case(case: Case, generation: str) -> None:
    pfs = [
        pf(slot.family, slot.address, numa_node=slot.numa_node, total_vfs=0 if slot.address == NO_SRIOV else None)
        for slot in NODE
    ]
    kernel = FakeKernel.with_pfs(*pfs, iommu=case.iommu)
    assert Runner(kernel, FakePrograms(kernel)).run(case, generation) == []


def test_names_distinguish_cases() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)
