# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unix sockets in a directory that others share: the ones of this process, and what is left of dead ones."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import logging
import os
import socket
import stat
import typing as t
import zlib
from pathlib import Path

from ._node.absence import is_absent
from ._node.errors import NodeError
from ._node.facts.paths import SECOND_NAMES
from ._node.files import is_still_at

log = logging.getLogger(__name__)

PREFIX = "accel-qat-"

LONGEST_PATH = 107
"""Bytes of the path in a socket's address (unix(7), with the NUL byte at its end), for kubelet's side too."""

_TOKEN_LETTERS = 6
_LONGEST_SIGNATURE = 4096


class Identity(t.NamedTuple):
    """What distinguishes a file from another one that has taken its name.

    `changed` differs also after chmod or restorecon, but distinguishes two files of which the second got the inode of the first.
    """

    device: int
    inode: int
    changed: int

    def is_file_of(self, other: Identity | None) -> bool:
        """Whether both are one file. Sure only as long as something keeps the first one's inode, as who listens on a socket does."""
        return other is not None and (self.device, self.inode) == (other.device, other.inode)


def identity(path: Path, unseen: Identity | None = None) -> Identity | None:
    """The identity of the file, or None where there is none; `unseen` where that is not known."""
    try:
        status = path.stat()
    except OSError as error:
        return None if is_absent(error) else unseen
    return Identity(status.st_dev, status.st_ino, status.st_ctime_ns)


def why_away(directory: Path) -> str:
    """Why nothing can be done in a directory, in words; empty where it is there."""
    try:
        is_there = stat.S_ISDIR(directory.stat().st_mode)
    except OSError as error:
        return f"{directory} {_in_words(error)}"
    return "" if is_there else f"{directory} is no directory"


def why_unseen(path: Path) -> str:
    """Why a file has no identity, in words."""
    try:
        path.stat()
    except OSError as error:
        return f"{path.name} {_in_words(error)}"
    return f"{path.name} is there only now"


def _in_words(error: OSError) -> str:
    return "is not there" if is_absent(error) else f"cannot be seen: {error.strerror or error}"


def fresh_token() -> str:
    """Letters that no other start has used."""
    return base64.b32encode(os.urandom(5)).decode().lower()[:_TOKEN_LETTERS]


def fresh_name(resource: str, room: int = 255) -> str:
    """A file name for a resource's socket that no other start has used. It shows the resource if `room` has the bytes for that."""
    token = fresh_token()
    name = f"{PREFIX}{resource.rpartition('/')[2]}-{token}.sock"
    return name if len(name) <= room else f"{PREFIX}{token}.sock"


def room_in(directory: Path) -> int:
    """How many bytes the name of a socket in this directory may have."""
    return LONGEST_PATH - len(os.fsencode(directory)) - 1


def hidden_path(path: Path) -> Path:
    """Where the socket is until it may be used. It is never longer than the path that it gets then."""
    return path.with_name(f".{PREFIX}{path.stem[-_TOKEN_LETTERS:]}")


def kept_path(path: Path) -> Path | None:
    """Where the socket has another name that a kubelet which starts leaves alone: it removes files, but no directories.

    None where there can be no such place, or where it is somebody else's. It is never longer than the path.
    """
    directory = path.with_name(SECOND_NAMES)
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(0o700)
        status = directory.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return directory / f".{path.stem[-_TOKEN_LETTERS:]}" if ours else None


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

    What cannot be removed is left, and reported: it harms nobody.
    """
    ours = [path for path in _entries(directory) if path.name.startswith(PREFIX) and path.suffix == ".sock"]
    if not (directory / SECOND_NAMES).is_symlink():
        ours += _entries(directory / SECOND_NAMES)
    return [path.name for path in ours if is_dead(path) and _remove(path)]


def _entries(directory: Path) -> list[Path]:
    try:
        return [directory / name for name in sorted(os.listdir(directory))]
    except OSError:
        return []


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


def is_dead(path: Path) -> bool:
    """Whether it is a socket, and surely nobody listens on it.

    Who listens does not notice: a connection of another type than its own is refused in another way (af_unix.c, unix_find_bsd).
    """
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

    It is on a file below a directory that only its owner may enter: kubelet's own directories are open to the pods of other plugins.
    It ends with the last process that has its descriptor, so that it can be handed on without a moment in which nobody has it.
    """

    def __init__(self, run_dir: Path, directory: Path, taken: t.Callable[[], None] = lambda: None) -> None:
        self.directory = directory
        self._run_dir = run_dir
        self._taken = taken
        self._descriptor: int | None = None
        self._path = Path()  # of the file that the descriptor is of
        self._is_refused = False

    def held(self) -> bool:
        """Whether this process has the lock, after trying to get it; raises NodeError where there can be none."""
        self.keep()
        if self._descriptor is None:
            self._descriptor = self._try()
            self._is_refused = self._descriptor is None
            if self._descriptor is not None:
                self._taken()
        return self._descriptor is not None

    def keep(self) -> None:
        """Have it again where this process has it and its file was removed meanwhile, unless another process has it by now."""
        if self._descriptor is not None and self._is_removed():
            self._have_again()

    @property
    def is_of_another(self) -> bool:
        """Whether it could not be had when this process tried last. To try without wanting it would be in the way of who wants it."""
        return self._is_refused and self._descriptor is None

    def share(self) -> int | None:
        """The descriptor that goes to a successor, if this process has the lock."""
        return self._descriptor

    def inherit(self, descriptor: int) -> None:
        """Have the lock together with the process that gave this descriptor of its own."""
        self._descriptor, self._path = descriptor, self._place()

    def sign(self, text: str) -> None:
        """Have others read this of who has the lock; raises OSError."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode()[:_LONGEST_SIGNATURE], 0)

    def signature(self) -> str:
        """What the last one that had the lock has signed with, empty where there is nothing; raises NodeError."""
        return beginning_of(self._place(), _LONGEST_SIGNATURE)

    def signatures_beside(self) -> list[str]:
        """What those have signed with who have a lock for another directory, which can be the same by another name; raises NodeError.

        A symbolic link of the host is none in a container, where the directory is mounted.
        """
        try:
            names = sorted(os.listdir(self._run_dir))
        except OSError as error:
            if is_absent(error):
                return []
            raise NodeError(f"cannot be read: {error.strerror}", where=str(self._run_dir)) from None
        ours = self._place().name
        others = [self._run_dir / name for name in names if name.endswith(".lock") and name != ours]
        return [beginning_of(path, _LONGEST_SIGNATURE) for path in others if _is_had(path)]

    def release(self) -> None:
        """Have it no longer; another process can, unless one shares it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_removed(self) -> bool:
        """Whether others find no file in its place, or another one, as below another /run that was mounted since.

        Then the lock keeps nobody away.
        """
        assert self._descriptor is not None
        try:
            return not is_still_at(str(self._path), self._descriptor)
        except OSError:
            return False  # that is not known

    def _have_again(self) -> None:
        """Lock the file that is there now, or let go where another process has that. Where there can be none, that of before counts."""
        with contextlib.suppress(NodeError):
            descriptor = self._try()
            self._is_refused = descriptor is None
            self.release()
            self._descriptor = descriptor
            if descriptor is not None:
                self._taken()

    def _place(self) -> Path:
        return self._run_dir / _lock_name(self.directory)

    def _try(self) -> int | None:
        make_private(self._run_dir)
        path = self._place()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise NodeError(f"cannot be opened: {error.strerror}", where=str(path)) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_still_at(str(path), descriptor):
                self._path = path
                return descriptor
        except BlockingIOError:
            pass  # another process has it; or the file was removed, which the next try shows
        except OSError as error:
            os.close(descriptor)
            raise NodeError(f"cannot be locked: {error.strerror}", where=str(path)) from None
        os.close(descriptor)
        return None


def _is_had(path: Path) -> bool:
    """Whether a process has the lock on this file, or that cannot be seen; no for a file that is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return not is_absent(error)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def beginning_of(path: Path, most: int) -> str:
    """So many bytes of a file, empty where there is none; raises NodeError. A FIFO in its place is not waited for, and gives nothing."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found: bytes | None = file.read(most)  # None of a FIFO that somebody may write into
            return (found or b"").decode("utf-8", "replace")
    except OSError as error:
        if is_absent(error):
            return ""
        raise NodeError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _lock_name(directory: Path) -> str:
    """A name for each directory of kubelet, however it is spelled. Not by hashlib, which loads OpenSSL: 3.5 MB for a name."""
    # Nor by Path.resolve, which fails in its own way for links that lead in a circle.
    return f"{zlib.crc32(os.fsencode(os.path.realpath(directory))):08x}.lock"


def make_private(directory: Path) -> None:
    """See that the directory is there, and nobody else's; raises NodeError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        if status.st_uid == os.geteuid() and status.st_mode & 0o077 and not status.st_mode & 0o022:
            # As kubelet makes a directory of the host for a pod.
            directory.chmod(0o700)
    except OSError as error:
        remedy = "name another directory with --run-dir"
        raise NodeError(f"cannot be made: {error.strerror}", where=str(directory), remedy=remedy) from None
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise NodeError(
            "others can write to the directory of the lock",
            where=str(directory),
            remedy="remove it, or name another directory with --run-dir",
        )
