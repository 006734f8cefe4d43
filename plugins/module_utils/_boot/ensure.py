# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one thing to call: see that the node's next boot has the arguments, and say how that compares with this boot."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._node.errors import NodeError, RefusedError
from .arguments import (
    Request,
    parse,
    satisfied,
    unsatisfied,
)
from .detect import Firmware, detect, nothing_found
from .loaders import LOADERS
from .notes import Notes
from .plan import (
    LeftError,
    LineChange,
    Plan,
    apply,
)
from .unharmed import harm

if t.TYPE_CHECKING:
    from .._host.machine import Machine
    from .plan import BootLoader
    from .running import Running

NO_NOTES = Notes()
AUTO = "auto"
NONE = "none"
CHOICES: tuple[str, ...] = (AUTO, *sorted(LOADERS))

# The command without which a boot loader that was named cannot be given arguments; GRUB's own plan looks for its several.
_NEEDS = {"grubby": "grubby", "rpm-ostree": "rpm-ostree"}


@dataclass(frozen=True)
class Outcome:
    """What was done, or in a rehearsal would be."""

    bootloader: str
    plan: Plan


def ensure(
    machine: Machine,
    request: Request,
    running: Running,
    firmware: Firmware,
    bootloader: str = AUTO,
    rehearse: bool = False,
    notes: Notes = NO_NOTES,
) -> Outcome:
    """Make the node's next boots have the arguments as requested.

    `rehearse` stops before the first write. What is added and replaced is written to `notes` first. Raises RefusedError
    before anything is written, NodeError when something failed, LeftError where what was done then stays.
    """
    name = detect(machine, firmware, running.line) if bootloader == AUTO else _named(machine, bootloader)
    if name is None:
        return _from_elsewhere(running, request)
    loader = LOADERS[name](machine, running)
    planned = loader.plan(request)
    _see_unharmed(planned, request)
    plan = notes.first(planned, machine)
    if not (rehearse or plan.empty):
        puts_back = planned.can_be_put_back and not planned.unseen

        def look() -> None:
            now = loader.plan(request)
            _see_left(now, planned, request)
            if puts_back:
                _check(now, request, planned, "the files were put back; ")

        # Of what cannot be put back the notes have to stay.
        apply(machine, plan, look if planned.can_be_put_back else lambda: None)
        if not puts_back:
            _look_at_what_stays(loader, request, planned)
    return Outcome(name, plan)


def _look_at_what_stays(loader: BootLoader, request: Request, planned: Plan) -> None:
    try:
        now = loader.plan(request)
        _see_left(now, planned, request)
        _check(now, request, planned)
    except NodeError as error:
        raise LeftError(error.problem, error.where, error.remedy) from error


def _from_elsewhere(running: Running, request: Request) -> Outcome:
    """For a machine that gets its arguments from a boot server or a hypervisor: fine as long as they are right."""
    if running.needs_reboot(request):
        raise nothing_found()
    note = "no boot loader was found: the kernel arguments, which are as requested, come from outside this machine"
    return Outcome(NONE, Plan(running.line, running.line, notes=(note,)))


def _named(machine: Machine, bootloader: str) -> str:
    command = _NEEDS.get(bootloader)
    if command is not None and machine.command(command) is None:
        raise RefusedError(
            f"{bootloader} was asked for, but the node has no command {command}",
            "bootloader",
            "install it, or use bootloader: auto",
        )
    return bootloader


def _see_unharmed(plan: Plan, request: Request) -> None:
    """Refuse a plan that does not bring what it should to every line that it changes, or does not leave what it should."""
    changed = (LineChange("the next boot", plan.before, plan.after), *plan.changes)
    for change in (*changed, *plan.lines):
        wrong = harm(change.before, change.after, request, exact=not change.again)
        if wrong is None and change in changed and parse(change.after.render()) != change.after:
            wrong = "has a quote that is not closed, so that the kernel would read what comes behind as one with it"
        if wrong is None and change in changed and not satisfied(change.after, request):
            wrong = f"would still not be {_in_words(request, unsatisfied(change.after, request))}"
        if wrong is not None:
            raise RefusedError(
                f"{change.label} {wrong}", "bootloader", "set the arguments by hand where this node boots from"
            )


def _see_left(now: Plan, planned: Plan, request: Request) -> None:
    """See that the commands have left what was to be left; what a boot loader makes again nobody knows before."""
    found = {line.label: line.before for line in (*planned.changes, *planned.lines)}
    for line in now.lines:
        wrong = harm(found[line.label], line.before, request, exact=False) if line.label in found else None
        if wrong is not None:
            did = " and ".join(" ".join(command) for command in planned.commands)
            remedy = "" if planned.can_be_put_back else f"see what {did} has made of it before the next boot"
            raise NodeError(f"with what it has written {line.label} {wrong}", did, remedy)


def _in_words(request: Request, pending: Request) -> str:
    texts = [each.text for each in pending.arguments or request.arguments]
    return ("with " if request.state == "present" else "without ") + " ".join(texts)


def _check(again: Plan, request: Request, done: Plan, stands: str = "") -> None:
    """Once done, the plan must be empty; commands have been known to report success and change nothing."""
    if again.empty:
        return
    did = " and ".join(dict.fromkeys(command[0] for command in done.commands)) or "writing"
    wanted = _in_words(request, unsatisfied(again.before, request))
    raise NodeError(
        f"{did} reported success, but the next boot would still not be {wanted}",
        "bootloader",
        f"{stands}see what else writes the boot loader's files",
    )
