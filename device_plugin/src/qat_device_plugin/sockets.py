# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unix sockets in a directory that others share: the ones of this process, and what is left of dead ones."""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import socket
import stat
import typing as t
from pathlib import Path

from ._node.absence import is_absent

log = logging.getLogger(__name__)

PREFIX = "accel-qat-"

LONGEST_PATH = 107
"""Bytes of the path in a socket's address (unix(7), with the NUL byte at its end), for kubelet's side too."""

_TOKEN_LETTERS = 6


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


def identity(path: Path, unseen: Identity | None = None) -> Identity | None:
    """The identity of the file, or None where there is none; `unseen` where that cannot be told."""
    try:
        status = path.stat()
    except OSError as error:
        return None if is_absent(error) else unseen
    return Identity(status.st_dev, status.st_ino, status.st_ctime_ns)


def fresh_name(resource: str, room: int = 255) -> str:
    """A file name for a resource's socket that no other start has used. It shows the resource if `room` has the bytes for that."""
    token = base64.b32encode(os.urandom(5)).decode().lower()[:_TOKEN_LETTERS]
    name = f"{PREFIX}{resource.rpartition('/')[2]}-{token}.sock"
    return name if len(name) <= room else f"{PREFIX}{token}.sock"


def room_in(directory: Path) -> int:
    """How many bytes the name of a socket in this directory may have."""
    return LONGEST_PATH - len(os.fsencode(directory)) - 1


def hidden_path(path: Path) -> Path:
    """Where the socket is until it may be used. It is never longer than the path that it gets then."""
    return path.with_name(f".{PREFIX}{path.stem[-_TOKEN_LETTERS:]}")


def why_no_socket(path: Path) -> OSError:
    """What the kernel says against a socket at this path, where a library does not pass that on."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
    except OSError as error:
        return OSError(f"cannot make a socket in {path.parent}: {error.strerror or error}")
    _remove(path)
    return OSError(f"cannot make a socket in {path.parent}")


def refuse_long(path: Path) -> None:
    """Raises OSError where a socket cannot have this path."""
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise OSError(f"the path of the socket is too long: {path} has {length} bytes, {LONGEST_PATH} at most")


def remove_own(path: Path, own: Identity | None) -> None:
    """Remove the file unless it is no longer the one that we made."""
    if own is not None and own.is_file_of(identity(path)):
        _remove(path)


def remove_dead(directory: Path) -> list[str]:
    """Remove the sockets of this program that nobody listens on, as a crash leaves them; returns their names.

    What cannot be removed is left, and told: it harms nobody.
    """
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    ours = (directory / name for name in names if name.startswith(PREFIX) and name.endswith(".sock"))
    return [path.name for path in ours if _is_dead(path) and _remove(path)]


def _remove(path: Path) -> bool:
    """Whether it is gone by us. Nothing that is in the way of tidying up is in the way of the service."""
    try:
        path.unlink()
    except OSError as error:
        if not is_absent(error):
            fields = {"path": path, "problem": error.strerror or str(error)}
            log.warning("a socket cannot be removed", extra={"fields": fields})
        return False
    return True


def _is_dead(path: Path) -> bool:
    """Whether surely nobody listens on it."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
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
