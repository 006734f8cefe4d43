# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fakes for tests. `FakeKernel` behaves as the Linux kernel does towards QAT devices; tests/behaviour compares the two."""

from __future__ import annotations

from .kernel import Crash, FakeKernel, Write
from .node import OWN, LoneVf, Nic, NodeSpec, Pf, Vf, lone_vf, nic, pf, vf

__all__ = [
    "OWN",
    "Crash",
    "FakeKernel",
    "LoneVf",
    "Nic",
    "NodeSpec",
    "Pf",
    "Vf",
    "Write",
    "lone_vf",
    "nic",
    "pf",
    "vf",
]
