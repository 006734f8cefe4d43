# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""rpm-ostree: Fedora CoreOS, Silverblue, IoT, RHEL for Edge.

Source: rpm-ostree(1) and its src/daemon/rpmostreed-transaction-types.cxx (kernel_arg_transaction_execute: deletes come
before appends). What to change is computed here and given as --delete and --append: releases differ in what
--append-if-missing and --delete-if-present do with a key that has another value (rpm-ostree issue 4718).
"""

from __future__ import annotations

import typing as t

from ..._host.machine import last_lines
from ..._node.errors import NodeError, RefusedError
from ..arguments import (
    LISTS,
    CommandLine,
    Request,
    difference,
    merge,
    parse,
    read_argument,
    satisfied,
)
from ..plan import LineChange, Plan

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

_COMMAND = ("rpm-ostree", "kargs")
_LABEL = " ".join(_COMMAND)


class RpmOstree:
    """`rpm-ostree kargs`: shows the arguments of the next deployment, and makes a new one with others."""

    name = "rpm-ostree"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def plan(self, request: Request) -> Plan:
        """See BootLoader."""
        before = self._next()
        if satisfied(before, request):
            return Plan(before, before, lines=(LineChange(_LABEL, before, before),))
        if before.init:
            raise RefusedError(
                "the deployment passes arguments to init behind --, and rpm-ostree would add the kernel's behind them",
                " ".join(_COMMAND),
                "change them by hand with rpm-ostree kargs --editor",
            )
        leaving, coming = _difference(before, merge(before, request))
        after = _as_appended(before, leaving, coming)
        options = [*(f"--delete={text}" for text in leaving), *(f"--append={text}" for text in coming)]
        return Plan(
            before,
            after,
            commands=((*_COMMAND, *options),),
            changes=(LineChange(_LABEL, before, after),),
        )

    def _next(self) -> CommandLine:
        result = self._machine.run(_COMMAND)
        if result.code:
            raise NodeError(f"failed: {last_lines(result)}", " ".join(_COMMAND), "see rpm-ostree status")
        return parse(result.out)


def _difference(before: CommandLine, after: CommandLine) -> tuple[list[str], list[str]]:
    """The texts that leave, and those that come and get behind all others.

    Of a list the last items count, so where one place of it gets another text, all of them are written again in their order.
    """
    leaving, coming = difference(before, after)
    of_leaving, of_coming = ({read_argument(text).in_list.name for text in texts} for texts in (leaving, coming))
    lists = of_leaving & of_coming & set(LISTS)
    again_before, again_after = (
        [each.text for each in line.arguments if each.in_list.name in lists] for line in (before, after)
    )
    others = difference(
        *(
            CommandLine(tuple(each for each in line.arguments if each.in_list.name not in lists))
            for line in (before, after)
        )
    )
    return [*again_before, *others[0]], [*again_after, *others[1]]


def _as_appended(line: CommandLine, leaving: t.Sequence[str], coming: t.Sequence[str]) -> CommandLine:
    """The line without one of each that leaves, the first, and with what comes at its end."""
    kept = list(line.arguments)
    for text in leaving:
        kept.remove(read_argument(text))
    return CommandLine((*kept, *map(read_argument, coming)), line.init)


def booted_image_mode(status: t.Any) -> bool:
    """Whether `bootc status --json` speaks of a node that bootc alone may change (bootc-status(8)).

    `incompatible` means that there are layered packages, so that only rpm-ostree can change the node.
    """
    try:
        booted = status["status"]["booted"]
        return bool(booted["image"]) and not booted.get("incompatible", False)
    except (KeyError, TypeError, AttributeError):
        return False
