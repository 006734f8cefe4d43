# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Entries that are started and that get nothing of what is written here, as those that an administrator has written. No input or output."""

from __future__ import annotations

import typing as t

from ..._node.errors import NodeError, RefusedError
from ..arguments import Argument, CommandLine, Request, matches, unsatisfied


class ByHand(t.NamedTuple):
    """Such an entry: what to say where it lacks what is requested, and its line."""

    refusal: RefusedError
    line: CommandLine

    def note(self, request: Request) -> str:
        """The sentence for who has asked for the way back."""
        if request.state == "present":
            stays = f"lacks {_texts(unsatisfied(self.line, request).arguments)} until somebody sets that"
        else:
            kept = (each for each in self.line.arguments if any(matches(each, one) for one in request.arguments))
            stays = f"has {_texts(kept)} until somebody takes that out"
        left = f"it is left as it is, and {stays} by hand"
        return NodeError(self.refusal.problem, self.refusal.where, left).sentence()


class OutOfReach(t.NamedTuple):
    """What such entries keep from being as requested: a sentence for each, and the arguments of the request at the next boot."""

    notes: tuple[str, ...]
    arguments: tuple[Argument, ...]


def out_of_reach(next_boot: t.Sequence[ByHand], later: t.Sequence[ByHand], request: Request) -> OutOfReach:
    """What the entries of the next boot, and of later ones, are not as requested.

    Raises RefusedError for the first of them that is not, except on the way back: what is ours goes then, and what is theirs stays.
    """
    wrong = [entry for entry in (*next_boot, *later) if unsatisfied(entry.line, request).arguments]
    if wrong and not request.is_way_back:
        raise wrong[0].refusal
    pending = [each for entry in next_boot for each in unsatisfied(entry.line, request).arguments]
    notes = dict.fromkeys(entry.note(request) for entry in wrong)
    return OutOfReach(tuple(notes), tuple(dict.fromkeys(pending)))


def _texts(arguments: t.Iterable[Argument]) -> str:
    return " ".join(each.text for each in arguments)
