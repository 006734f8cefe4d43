# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a boot loader plans, and how that is applied."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._host.edits import FileEdit, Transaction
from .._host.machine import Machine, last_lines
from .._node.errors import NodeError

if t.TYPE_CHECKING:
    from .arguments import Argument, CommandLine, Request


# Has the commands that are still to run. Beside the notes, so that an update of the boot loader's files leaves it alone.
UNFINISHED = "/var/lib/accel-qat/kernel_arguments_unfinished"
# Has the line with which such commands have run since this boot. A reboot takes it away, and shows what has come of them.
WRITTEN = "/run/accel-qat-kernel-arguments"


@dataclass(frozen=True)
class LineChange:
    """A command line that a boot loader's own command changes; `label` says whose it is.

    One that is made `again` from elsewhere may get what already stands there.
    """

    label: str
    before: CommandLine
    after: CommandLine
    again: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything to do, in order: the edits, then the commands.

    `before` and `after` are the command line that the next boot would have and will have. `rewritten` are the files
    that the commands change; they are put back when a command fails, and so are the `guarded` ones, which are made again.
    `notes` are for the person who asked. `out_of_reach` is of what was requested what the entry of the next boot, which is others',
    has or lacks all the same. `lines` are all command lines that the plan touches, whether they change or not.
    `unseen` says that what the commands make cannot be looked at, so that a mark stands until they have run; it is written
    behind the first edits, `noting` of them, that are notes for the way back.
    """

    before: CommandLine
    after: CommandLine
    edits: tuple[FileEdit, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    rewritten: tuple[str, ...] = ()
    changes: tuple[LineChange, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[LineChange, ...] = ()
    guarded: tuple[str, ...] = ()
    unseen: bool = False
    noting: int = 0
    out_of_reach: tuple[Argument, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.edits or self.commands)

    @property
    def added(self) -> list[str]:
        """The arguments that the next boot would not have had."""
        return _beyond(self.after.texts(), self.before.texts())

    @property
    def removed(self) -> list[str]:
        """The arguments that the next boot would have had."""
        return _beyond(self.before.texts(), self.after.texts())

    @property
    def files(self) -> list[str]:
        """The files that change."""
        return sorted({*(edit.path for edit in self.edits), *self.rewritten})

    @property
    def can_be_put_back(self) -> bool:
        """Whether there are files that can: what commands alone have done stays."""
        return bool(self.files or self.guarded)


def _beyond(items: t.Sequence[str], others: t.Sequence[str]) -> list[str]:
    return [item for item in items if item not in others]


class LeftError(NodeError):
    """It failed, and what was done before stays."""

    @property
    def has_changed(self) -> bool:
        return True


class BootLoader(t.Protocol):
    """One way of giving the next kernel its arguments. A boot loader reads and plans; it writes nothing."""

    @property
    def name(self) -> str:
        """What users call it."""

    def plan(self, request: Request) -> Plan:
        """What is to be done. Raises RefusedError when it cannot be done; asked again afterwards, the plan is empty."""


def to_be_made(machine: Machine, line: CommandLine, is_running: bool) -> bool:
    """Whether commands are still to run whose effect cannot be seen, for the line that is configured.

    A run may have been cut off before them, or somebody may have written the line by hand and nothing more: so it is where neither the
    running kernel nor a run since its boot shows otherwise.
    """
    return machine.exists(UNFINISHED) or not (is_running or machine.read(WRITTEN) == _noted(line))


def _noted(line: CommandLine) -> str:
    return f"{line.render()}\n"


def apply(machine: Machine, plan: Plan, look: t.Callable[[], None] = lambda: None) -> None:
    """Carry the plan out, and `look` at what has come of it.

    When anything fails the files are put back; NodeError says what failed and its last words, and LeftError that they cannot be.
    """
    transaction = Transaction(machine)
    transaction.note(*plan.files, *plan.guarded, UNFINISHED, WRITTEN)
    try:
        _take(machine, plan, transaction)
        look()
        machine.remove(UNFINISHED)
    except NodeError as error:
        try:
            transaction.put_back()
        except NodeError as second:
            remedy = f"the files could not be put back either ({second}); fix this before the next boot"
            raise LeftError(error.problem, error.where, remedy) from error
        remedy = error.remedy or "the files were put back as they were; fix this and run again"
        raise NodeError(error.problem, error.where, remedy) from error


def _take(machine: Machine, plan: Plan, transaction: Transaction) -> None:
    for index, edit in enumerate((*plan.edits, None)):
        if index == plan.noting and plan.unseen and plan.commands:
            machine.write(UNFINISHED, "".join(f"{' '.join(command)}\n" for command in plan.commands))
        if edit is not None:
            transaction.make(edit)
    for command in plan.commands:
        result = machine.run(command)
        if result.code:
            raise NodeError(f"failed with exit code {result.code}: {last_lines(result)}", " ".join(command))
    if plan.unseen and plan.commands:
        machine.write(WRITTEN, _noted(plan.after))
