# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fakes for tests. `FakeKernel` behaves as the Linux kernel does towards QAT devices; tests/behaviour compares the two."""

from __future__ import annotations

from .kernel import Crash, FakeKernel, Write
from .node import OWN, Nic, NodeSpec, Pf, Vf, nic, pf, vf

__all__ = ["OWN", "Crash", "FakeKernel", "Nic", "NodeSpec", "Pf", "Vf", "Write", "nic", "pf", "vf"]
