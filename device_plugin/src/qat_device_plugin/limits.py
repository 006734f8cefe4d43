# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limit of this process's descriptors."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def raise_descriptors() -> None:
    """Allow as many as may be allowed: programs are given 1024 at first for the sake of select(2), which nothing here uses.

    Not under a filter of system calls, which may end whoever asks; the unit, which has one, sets the limit.
    """
    with contextlib.suppress(OSError, ValueError):
        if "\nSeccomp:\t0\n" in _STATUS.read_text():
            _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
