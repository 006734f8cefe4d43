# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Notes for the way back: the arguments that were added, and those that had to go for them, each an argument a line.

They are written before the change, so that a run that is cut off leaves none unnoted, and outlive later changes.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._host.edits import FileEdit
from .._node.fields import lines_in
from .arguments import CommandLine, in_force, read_argument
from .plan import Plan

if t.TYPE_CHECKING:
    from .._host.machine import Machine


@dataclass(frozen=True)
class Notes:
    """The files of the notes, paths of the node; what has no file is not noted."""

    added: str | None = None
    replaced: str | None = None

    def first(self, plan: Plan, machine: Machine) -> Plan:
        """The plan with its notes in front. Where it fails they are put back with the other files."""
        added, replaced = (machine.read(path) if path else None for path in (self.added, self.replaced))
        ours, found = _lines(added), _lines(replaced)
        edits = [
            *_edit(self.added, added, [*ours, *(text for text in plan.added if text not in ours)]),
            *_edit(self.replaced, replaced, _with_replaced(found, plan.removed, ours)),
        ]
        return replace(plan, edits=(*edits, *plan.edits), noting=len(edits))


def _with_replaced(found: t.Sequence[str], leaving: t.Sequence[str], ours: t.Collection[str]) -> list[str]:
    """What was found and what is replaced now, of each key one value: the first that was found.

    What leaves and is `ours` was added by an earlier run, not found. Of two that leave, the one that the kernel follows.
    """
    noted = list(found)
    last_first = leaving[::-1]
    for text in sorted(last_first, key=lambda text: not _counts(leaving, text)):
        argument = read_argument(text)
        known = any(each == text or read_argument(each).rivals(argument) for each in noted)
        if text not in ours and not known:
            noted.append(text)
    return noted


def _counts(texts: t.Sequence[str], text: str) -> bool:
    """Whether the kernel follows this one of them, or an item of it: mostly the last, but iommu=off wherever it stands."""
    line = CommandLine(tuple(map(read_argument, texts)))
    argument = read_argument(text)
    items = [argument.with_items([item]) for item in argument.items] or [argument]
    return any(one is not None and in_force(line, one) for one in items)


def _lines(text: str | None) -> list[str]:
    return [line for line in lines_in(text or "") if line]


def _edit(path: str | None, before: str | None, lines: t.Sequence[str]) -> list[FileEdit]:
    if path is None or list(lines) == _lines(before):
        return []
    return [FileEdit(path, before, "".join(f"{line}\n" for line in lines))]
