# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unix sockets in a directory that others share: the ones of this process, and what is left of dead ones."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import typing as t
from pathlib import Path

PREFIX = "accel-qat-"


class Identity(t.NamedTuple):
    """What tells a file from another one that has taken its name.

    `changed` differs also after chmod or restorecon, but tells two files apart of which the second got the inode of the first.
    """

    device: int
    inode: int
    changed: int

    def is_file_of(self, other: Identity | None) -> bool:
        """Whether both are one file. Sure only as long as something keeps the first one's inode, as who listens on a socket does."""
        return other is not None and (self.device, self.inode) == (other.device, other.inode)


def identity(path: Path) -> Identity | None:
    """The identity of the file, or None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Identity(status.st_dev, status.st_ino, status.st_ctime_ns)


def fresh_name(resource: str) -> str:
    """A file name for a resource's socket that no other start has used."""
    return f"{PREFIX}{resource.rpartition('/')[2]}-{os.getpid()}-{os.urandom(3).hex()}.sock"


def remove_own(path: Path, own: Identity | None) -> None:
    """Remove the file unless it is no longer the one that we made."""
    if own is not None and own.is_file_of(identity(path)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def remove_dead(directory: Path) -> list[str]:
    """Remove the sockets of this program that nobody listens on, as a crash leaves them; returns their names."""
    removed = []
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(directory.glob(PREFIX + "*.sock")):
            if _is_dead(path):
                path.unlink(missing_ok=True)
                removed.append(path.name)
    return removed


def _is_dead(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


class InstanceLock:
    """Keeps two processes from registering the same resources by turns, which would make kubelet flap.

    It is on the directory itself, so it leaves no file behind, and it ends with the process that holds it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def held(self) -> bool:
        """Whether this process has the lock, after trying to get it."""
        if self._descriptor is not None:
            if self._is_current(self._descriptor):
                return True
            self.release()  # the directory was made anew
        try:
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return self._is_current(descriptor)

    def release(self) -> None:
        """Let another process have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._directory))
        except OSError:
            return False
