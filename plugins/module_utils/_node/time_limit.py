# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may be given as the time that something may take."""

from __future__ import annotations

from .errors import ConfigurationError

_LEAST_SECONDS, _MOST_SECONDS = 0.1, 3600.0


def refuse_time_limit(seconds: float, where: str, least: float = _LEAST_SECONDS, most: float = _MOST_SECONDS) -> None:
    """Raises ConfigurationError where nothing can be given so long: what is given up at once is left half done.

    To the kernel a negative time is one without end (poll(2)), and no number can be compared with what is none (nan).
    """
    if not least <= seconds <= most:
        raise ConfigurationError(
            f"{seconds:g} seconds are no time limit", where=where, remedy=f"use {least:g} to {most:g}"
        )
