# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight PFs with sixteen VFs each."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.machine.node import Node

BUSES = range(0x30, 0x70, 8)


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware(pfs=",".join(f"4xxx@{bus:02x}:{number % 2}" for number, bus in enumerate(BUSES)))


def test_services_by_numa_node_and_all_128_vfs_bound(node: Node) -> None:
    rules = ({"select": {"numa_node": 1}, "services": ["dc"]}, {"services": ["sym", "asym"]})
    answer = node.apply(*rules)
    assert answer.code == 0, answer.sentence
    devices = node.devices().values()
    assert [device["services"] for device in devices] == [["sym", "asym"], ["dc"]] * 4
    vfs = [vf for device in devices for vf in device["vfs"]]
    assert len(vfs) == 128
    assert {vf["driver"] for vf in vfs} == {"vfio-pci"}
    assert len({vf["iommu_group"] for vf in vfs}) == 128
    assert node.apply(*rules).document["steps"] == []
