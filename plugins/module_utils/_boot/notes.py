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
from .arguments import Argument, CommandLine, in_force, read_argument
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
        noted = _with_replaced(found, plan, ours)
        # What was found is to stay in the end, also where it has gone for a while and comes again.
        coming = [text for text in plan.added if text not in (*ours, *noted)]
        edits = [
            *_edit(self.added, added, [*ours, *coming]),
            *_edit(self.replaced, replaced, noted),
        ]
        return replace(plan, edits=(*edits, *plan.edits), noting=len(edits))


def _with_replaced(found: t.Sequence[str], plan: Plan, ours: t.Collection[str]) -> list[str]:
    """What was found and is replaced now, of each key one value: the first that was found.

    What leaves and is `ours` was added by an earlier run, not found.
    """
    noted = list(found)
    for text in plan.removed:
        argument = _followed(plan.before, read_argument(text))
        if text in ours or argument is None:
            continue
        if not any(each == argument.text or read_argument(each).rivals(argument) for each in noted):
            noted.append(argument.text)
    return noted


def _followed(line: CommandLine, argument: Argument) -> Argument | None:
    """What of the argument the kernel follows where it stands in this line: what has no effect must have none when it comes back."""
    if not argument.items:
        return argument if in_force(line, argument) else None
    places = {item: argument.with_items([item]) for item in argument.items}
    items = [item for item, place in places.items() if place is not None and in_force(line, place)]
    return argument if set(items) == set(places) else argument.with_items(items)


def _lines(text: str | None) -> list[str]:
    return [line for line in lines_in(text or "") if line]


def _edit(path: str | None, before: str | None, lines: t.Sequence[str]) -> list[FileEdit]:
    if path is None or list(lines) == _lines(before):
        return []
    return [FileEdit(path, before, "".join(f"{line}\n" for line in lines))]
