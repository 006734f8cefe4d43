# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a change of a command line must leave: every argument that was not asked about. No input or output.

The only place that judges this, for all boot loaders, of what is planned as of what was done.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from .arguments import CommandLine, Request, amend, names_of

# What one of these means, the one before it says (kernel-parameters.txt, hugepagesz).
_TOGETHER = frozenset({"default_hugepagesz", "hugepages", "hugepagesz"})


def harm(before: CommandLine, after: CommandLine, request: Request, exact: bool = True) -> str | None:
    """What the change does to arguments that the request does not speak of, as "would ...", or None.

    They are there in the same order, written alike, as often. With `exact` none comes either that was not asked for.
    """
    kept = [
        new.text for old, new in zip(before.arguments, amend(before.arguments, request, in_front=True)) if old is new
    ]
    lost = _beyond(kept, after.texts())
    if lost:
        return f"would lose {' '.join(lost)}"
    if before.init != after.init:
        return (
            f"would have {' '.join(after.init) or 'nothing'} for init in place of {' '.join(before.init) or 'nothing'}"
        )
    names = {name for wanted in request.arguments for name in names_of(wanted)}
    others = [[each.text for each in line.arguments if each.name not in names] for line in (before, after)]
    if exact and _beyond(*reversed(others)):
        return f"would get {' '.join(_beyond(*reversed(others)))}, for which nobody asked"
    if not (_within(*others) and _same_order(before, after, names, kept)):
        return "would have its arguments in another order"
    return None


def _beyond(texts: t.Sequence[str], others: t.Sequence[str]) -> list[str]:
    """The texts that the others lack, each as often as it lacks there."""
    rest = Counter(others)
    rest.subtract(texts)
    lacking: list[str] = []
    for text in reversed(texts):
        if rest[text] < 0:
            rest[text] += 1
            lacking.insert(0, text)
    return lacking


def _within(texts: t.Sequence[str], others: t.Iterable[str]) -> bool:
    """Whether the texts stand among the others in this order."""
    left = iter(others)
    return all(text in left for text in texts)


def _same_order(before: CommandLine, after: CommandLine, names: t.Collection[str], kept: t.Sequence[str]) -> bool:
    """Whether what stays of the names that were asked about has kept its order too, of each name by itself."""
    groups = [_TOGETHER if name in _TOGETHER else {name} for name in names]
    for group in groups:
        stays = [each.text for each in before.arguments if each.name in group and each.text in kept]
        now = [each.text for each in after.arguments if each.name in group]
        if not _within(stays, now):
            return False
        if group is _TOGETHER and stays not in (now[: len(stays)], now[len(now) - len(stays) :]):  # noqa: E203
            return False
    return True
