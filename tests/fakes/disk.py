# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a fake kernel on the disk, for what reads files itself. They stand still: nothing happens when they are written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .files import root_of
from .machine import Machine
from .tree import Directory, Entry, File, Link


def put_on_disk(machine: Machine, root: Path) -> None:
    """Write /sys, /proc and /dev of the machine below a directory."""
    _write(root_of(machine), root)


def _write(entry: Entry, place: Path) -> None:
    if place.is_symlink() or (place.exists() and not isinstance(entry, Directory)):
        return
    if isinstance(entry, Directory):
        place.mkdir(parents=True, exist_ok=True)
        for name in entry.names():
            inner = entry.entry(name)
            if inner is not None:
                _write(inner, place / name)
    elif isinstance(entry, Link):
        place.symlink_to(entry.text)
        # Where a link leads to in the model there need not be another way.
        target = Path(os.path.normpath(place.parent / entry.text))
        if not entry.text.startswith("/") and entry.leads_somewhere and not target.exists():
            _write(entry.enter(), target)
    elif isinstance(entry, File):
        place.write_text(_text(entry))
    else:
        place.touch()


def _text(file: File) -> str:
    try:
        return file.read() + "\n"
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EINVAL, errno.EPERM):
            raise
        return ""
