# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same without an IOMMU. The distribution's kernel has no CONFIG_VFIO_NOIOMMU, so that no VF can be given away."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.machine.node import Node
from ansible_collections.accel.qat.tests.machine.test_vfs_without_pf import FIRST, VFS


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware(pfs=VFS, iommu=False)


def test_refused(node: Node) -> None:
    before = node.state()
    answer = node.apply({})
    assert (answer.code, answer.sentence.split(";")[0]) == (
        1,
        f"{FIRST}: the IOMMU is off, and vfio-pci takes no device without it",
    )
    assert node.state() == before


def test_the_kernel_cannot_do_without(node: Node) -> None:
    """Which is seen once VFIO is there."""
    answer = node.apply({"noiommu": True})
    assert (answer.code, answer.sentence.split(" (CONFIG")[0]) == (
        1,
        "devices[0].noiommu: this kernel's VFIO cannot do without an IOMMU",
    )
    assert {one["driver"] for one in node.devices().values()} == {None}
