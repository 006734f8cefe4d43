# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text as systemd reads it back from a unit (systemd.syntax(7), systemd.service(5))."""

from __future__ import annotations

import json
import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[][A-Za-z0-9_./:@=+,-]+")


def word(text: object) -> str:
    """One word of an assignment. Raises ValueError for a control character: a unit has one assignment a line."""
    plain = str(text)
    if _CONTROL.search(plain):
        raise ValueError(f"{json.dumps(plain)} has a control character, such as a line break, which no unit can hold")
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'


def argument(text: object) -> str:
    """One argument of a command, in which `$` has a meaning, too."""
    return word(str(text).replace("$", "$$"))
