# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a change of kubelet's configuration has in hand. Stands on the node from before the first write until kubelet runs with the last.

A run that was cut off leaves it, so that the next one knows what was there before, and that kubelet may be stopped.
"""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import asdict, dataclass

from .._host.edits import FileEdit
from .._host.machine import Machine
from .._host.one_run import one_run
from .._node.document import read_object
from .._node.errors import ConfigurationError, NodeError

_FORMAT = 1
# In /run, where nobody but root makes files; a process that ends lets go of it.
_LOCK = "/run/accel-qat-kubelet.lock"
_BOOT_ID = "sys/kernel/random/boot_id"


def journal_of(record: str) -> str:
    """Where the journal stands, beside the record."""
    return f"{record}.pending"


@dataclass(frozen=True)
class Started:
    """A moment of the node's clock: the boot, and seconds since then."""

    boot: str
    at: float


@dataclass(frozen=True)
class Journal:
    """One change. `written` once all files stand and nothing is left but a restart that was not asked for."""

    unit: str
    restart: bool
    # What was there before the run and is to be there after it; of files that go, mode and owner, too.
    changes: tuple[FileEdit, ...] = ()
    # The same of the state files that were taken away.
    states: tuple[FileEdit, ...] = ()
    written: Started | None = None

    def back(self) -> t.Iterator[FileEdit]:
        """The ways back."""
        return (edit.reversed() for edit in (*self.changes, *self.states))

    def text(self) -> str:
        """The journal as a file."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str, where: str) -> Journal:
        """Raises ConfigurationError."""
        try:
            top = read_object(text)
            number = top.get("format", int)
            if number != _FORMAT:
                raise ValueError(f"format {number} is not known")
            written = None if top.value("written") is None else top.part("written")
            return cls(
                top.get("unit", str),
                top.get("restart", bool),
                tuple(map(FileEdit.parse, top.parts("changes"))),
                tuple(map(FileEdit.parse, top.parts("states"))),
                Started(written.get("boot", str), float(written.get("at", int, float))) if written else None,
            )
        except (ValueError, OverflowError) as error:
            raise ConfigurationError(
                f"what an earlier run had in hand cannot be read: {error}",
                where,
                "see that kubelet's files are right and that it runs with them, then remove this file",
            ) from None


def read_journal(machine: Machine, path: str) -> Journal | None:
    """The journal that stands there, if one does."""
    text = machine.read(path) if path else None
    return None if text is None else Journal.parse(text, path)


def now(proc_root: str) -> Started:
    """This moment."""
    return Started(_boot_id(proc_root), time.monotonic())


def is_later(proc_root: str, started: float, moment: Started) -> bool:
    """Whether what was started in this boot, at so many seconds of it, was started after that moment."""
    return _boot_id(proc_root) != moment.boot or started > moment.at


def _boot_id(proc_root: str) -> str:
    try:
        with open(f"{proc_root}/{_BOOT_ID}", encoding="ascii") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise NodeError(f"cannot be read: {error}", f"{proc_root}/{_BOOT_ID}") from None


def locked(root: str) -> t.ContextManager[None]:
    """Keep other runs away from this node's kubelet. Raises as `one_run` does."""
    return one_run(root, _LOCK, "kubelet's configuration")
