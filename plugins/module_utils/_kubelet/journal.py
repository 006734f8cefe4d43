# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a change of kubelet's configuration has in hand. Stands on the node from before the first write until kubelet runs with the last.

A run that was cut off leaves it, so that the next one knows what was there before, and that kubelet may be stopped.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import typing as t
from dataclasses import asdict, dataclass

from .._host.edits import FileEdit
from .._host.machine import Machine
from .._node.document import read_object
from .._node.errors import ConfigurationError, NodeError, RefusedError

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


@contextlib.contextmanager
def locked(root: str) -> t.Iterator[None]:
    """Keep other runs away from this node's kubelet. Raises RefusedError where one is at work, NodeError."""
    path = root.rstrip("/") + _LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise NodeError(f"cannot be opened: {error.strerror}", _LOCK, "run as root (become: true)") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
            raise
        raise RefusedError(
            "another run is changing kubelet's configuration in this moment", _LOCK, "wait for it to end, and run again"
        ) from None
    finally:
        os.close(descriptor)
