# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rows as a table for people."""

from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.module_utils._node.printable import aligned, printable

WIDEST = 60


def table(rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """A line for each row, its cells below each other; no cell is wider than a person reads, nor of several lines."""
    return aligned([[_cell(cell) for cell in row] for row in rows])


def one_line(text: str) -> str:
    """The text as it may go to a terminal, in one line."""
    return printable(" ".join(text.split()))


def _cell(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 3]}..."
