# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that lack something: the IOMMU, any QAT device. SR-IOV off in the BIOS is a case of test_faults."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.node import Node

LACKS = {
    "iommu": (
        Hardware(iommu=False),
        1,
        (
            "0000:6b:00.1: the IOMMU is off, and vfio-pci takes no device without it; enable VT-d in the BIOS, or a virtual IOMMU on the "
            "host of a virtual machine, boot with intel_iommu=on (the role accel.qat.qat_node sets it), and try again"
        ),
    ),
    "qat": (
        Hardware(pfs=""),
        2,
        (
            "devices[0]: the node has no QAT device; see that BIOS has it enabled, in a virtual machine that its host gives it VFs, or "
            "take the node out of the group"
        ),
    ),
}


@pytest.fixture(params=LACKS)
def lacking(request: pytest.FixtureRequest) -> Iterator[tuple[Node, int, str]]:
    """A machine that lacks something, the exit code and the sentence that follow."""
    hardware, code, sentence = LACKS[request.param]
    with Machine.start(f"lacks-{request.param}-{os.getpid()}", hardware) as machine:
        yield Node(machine), code, sentence


def test_one_sentence_and_no_change(lacking: tuple[Node, int, str]) -> None:
    node, code, sentence = lacking
    before = node.state()
    answer = node.apply({})
    assert (answer.code, answer.sentence) == (code, sentence)
    assert node.state() == before
