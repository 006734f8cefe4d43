# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text of others as it may go to a terminal, the journal, a message or a table. The only place that escapes it."""

from __future__ import annotations

import textwrap
import typing as t

WIDTH = 80
"""Columns of a terminal that nobody has made wider."""


def printable(text: str) -> str:
    r"""The text in one line, each character that is not printed as itself as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    That covers control characters, line breaks of every kind, those that turn the direction of writing, and what was no UTF-8.
    """
    return text if text.isprintable() else "".join(one if one.isprintable() else _escaped(ord(one)) for one in text)


def shortened(text: str, longest: int = 1500) -> str:
    """The text, of which the middle is left out where it has more characters than anybody reads."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 3 // 4]} [...] {text[-longest // 8 :]}"


def aligned(rows: t.Sequence[t.Sequence[str]], width: int = 0) -> list[str]:
    """A line for each row, its cells below each other. All rows have as many cells; these are printable.

    Two blanks are between them, one where they need it to fit into `width` columns.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    gap = " " if 0 < width < sum(widths) + 2 * (len(widths) - 1) else "  "
    return [gap.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def wrapped(text: str) -> list[str]:
    """The lines of a text in the columns of a terminal, all but the first indented. A longer word stays whole, to be copied."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _escaped(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
