# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines for the tests of the lab, each started once for the whole run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def own_name() -> str:
    """A prefix for the names of machines that no other run uses at the same time."""
    return f"test-{os.getpid()}"


@pytest.fixture(scope="session")
def plain_machine(own_name: str) -> Iterator[Machine]:
    """A machine with the default hardware."""
    with Machine.start(f"{own_name}-plain") as machine:
        yield machine
