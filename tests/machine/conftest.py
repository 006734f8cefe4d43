# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines with the engine on them. One runs at a time: the tests of a module share it and find it untouched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    """What the module's machine has; a module that wants other hardware has a fixture of this name."""
    return Hardware()


@pytest.fixture(scope="module")
def machine(hardware: Hardware) -> Iterator[Machine]:
    """The module's machine."""
    with Machine.start(f"node-{os.getpid()}", hardware) as started:
        yield started


@pytest.fixture
def node(machine: Machine) -> Iterator[Node]:
    """The machine, untouched but for qatctl; put back afterwards."""
    yield Node(machine)
    machine.reset()
