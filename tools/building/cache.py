# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where costly results live from run to run, outside of any checkout."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Directory of everything that can be made again: images, saved states, the ssh key, environments of Python."""
    if own := os.environ.get("ACCEL_QAT_CACHE"):
        return Path(own).absolute()
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user).absolute() / "accel-qat"
