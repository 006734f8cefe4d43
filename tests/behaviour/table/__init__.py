# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cases, by what they are about. Their source is the Linux kernel: the files named at the head of each part."""

from __future__ import annotations

from ..steps import Case
from . import drivers, hanging, health, hotplug, services, sriov, state, telemetry, vf_count, vfio

CASES: tuple[Case, ...] = tuple(
    one
    for part in (state, services, health, telemetry, vf_count, sriov, drivers, vfio, hanging, hotplug)
    for one in part.CASES
)
"""All of them."""
