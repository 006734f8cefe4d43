# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's PFs, what is wanted of them, and what it offers then."""

from __future__ import annotations

from typing import Any

FIRST, SECOND = "0000:6b:00.0", "0000:70:00.0"
CY, DC = "qat.intel.com/cy", "qat.intel.com/dc"
RULES: list[dict[str, Any]] = [
    {"select": {"address": [SECOND]}, "services": ["dc"], "advertise": 12},
    {"services": ["sym", "asym"]},
]
