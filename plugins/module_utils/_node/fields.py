# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lines, words and numbers of a text of others, as the kernel, a shell and C programs part it. The only place on a node that does so.

Python's own str.splitlines, str.split and str.isdigit also go by characters that these take for letters, and leave in the names of
processes, mounts and files: form feeds, U+0085, U+00A0, U+2028, superscripts. By such a name a process would write lines of its own
into what the kernel says of it (fs/proc/array.c, proc_task_name, escapes line feeds and backslashes alone).
"""

from __future__ import annotations

import re

from .errors import NodeError

_BLANKS = re.compile(r"[ \t\n]+")


def lines_in(text: str) -> list[str]:
    """The lines, each ended by a line feed, without that. A carriage return is part of its line, also at its end."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def words_in(text: str, most: int = 0) -> list[str]:
    """The words between blanks, tabs and line feeds. With `most`, two or more, the last of so many is all that is left."""
    bare = text.strip(" \t\n")
    return _BLANKS.split(bare, most - 1 if most else 0) if bare else []


def is_number(text: str) -> bool:
    """Whether it is decimal digits and nothing else, which `int` takes."""
    return text.isascii() and text.isdigit()


def number_of(text: str, where: str, base: int = 10) -> int:
    """The number that a file of sysfs holds. Raises NodeError where it holds none, which names the file, `where`."""
    try:
        return int(text, base)
    except ValueError:
        raise NodeError(f"{text!r} is no number", where=where, remedy="see that sysfs is mounted there") from None
