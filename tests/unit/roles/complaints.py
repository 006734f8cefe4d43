# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says against a unit."""

from __future__ import annotations

import subprocess
from pathlib import Path


def complaints_of_systemd(file: Path) -> list[str]:
    """What systemd says is wrong with this unit, a line each. What it says of units of the machine does not count."""
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False, timeout=300
    )
    return [line for line in found.stderr.splitlines() if file.name in line]
