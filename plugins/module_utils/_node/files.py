# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are replaced as a whole: a power cut leaves the old one or the new one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
import typing as t

from .absence import if_there, is_absent

Owner = tuple[int, int]
"""User and group id."""

_SELINUX_LABEL = "security.selinux"
_SELINUX = "/sys/fs/selinux/enforce"
"""Which is there where SELinux is at work, also without being enforced."""
_ACCESS_LIST = "system.posix_acl_access"
_PREFIX = ".accel-qat-"
_DRAFT_SECONDS = 10.0
"""The age from which a draft that nobody holds is what a crash has left: between its making and its lock pass microseconds."""


_DESCRIPTORS = "/proc/self/fd"
"""The descriptors of this process (proc(5))."""

_NULL = os.makedev(1, 3)
"""The null device (Documentation/admin-guide/devices.txt)."""

LARGEST = 4 << 20
"""Bytes of a file of this collection's own. A node with 500 VFs has some 100 000."""


def read_whole(path: str, most: int = LARGEST) -> bytes:
    """What is in a regular file. Raises OSError, and ValueError where that is more than so many bytes."""
    with open(path, "rb", opener=open_regular) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most} bytes")
    return content


def open_regular(path: str, flags: int) -> int:
    """As os.open, for files that others may replace: what is no regular file is not even opened.

    A FIFO would be waited for without end, and a device may do something when it is opened, but for the null device: a link to
    that is how an empty file is put in the place of another one (systemd.unit(5), masking). Raises OSError.
    """
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not _can_be_read_whole(os.fstat(place)):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        return os.open(f"{_DESCRIPTORS}/{place}", flags)
    except OSError as error:
        if is_absent(error) and if_there(lambda: os.stat(_DESCRIPTORS), None) is None:
            raise OSError(errno.EOPNOTSUPP, "/proc is not mounted", path) from None
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(place)


def _can_be_read_whole(status: os.stat_result) -> bool:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    return stat.S_ISREG(status.st_mode) or (stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL)


def is_still_at(path: str, descriptor: int) -> bool:
    """Whether the open file is the one at the path, and was not removed or replaced. Raises OSError."""
    there = if_there(lambda: os.stat(path, follow_symlinks=False), None)
    return there is not None and os.path.samestat(there, os.fstat(descriptor))


def json_bytes(document: t.Mapping[str, t.Any]) -> bytes:
    """The document as a file's content, for people to read too."""
    return json.dumps(document, indent=2).encode() + b"\n"


def replace_file(path: str, content: bytes, mode: int = 0o644, keep: bool = True, owner: Owner | None = None) -> None:
    """Put a new file in the place of the old one when all of it is on the disk.

    With `keep` it has mode, owner, access list and label of the old one, and `mode` is for a file that was not there. Without, it
    has `mode`, belongs to `owner` or who runs this, and has the label that is usual in its directory. Until it is
    whole nobody else reads it.

    Raises OSError. The file is as it was then, unless the last act failed, which is to have the directory on the disk: the file is
    new then, and may be the old one again after a power cut.
    """
    directory = os.path.dirname(path) or "."
    make_directories(directory)
    remove_drafts(directory)
    # The name ends in no suffix that a boot loader reads, should a crash leave it behind.
    descriptor, temporary = tempfile.mkstemp(prefix=_PREFIX, dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            # Held for as long as it is written: a draft that nobody holds is one that a crash has left.
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
            stream.write(content)
            stream.flush()
            if not keep:
                # In a directory with the bit setgid it has that one's group. Before the mode, as in `_look_like`.
                _give(stream.fileno(), owner or (os.geteuid(), os.getegid()))
            os.fchmod(stream.fileno(), mode)
            if keep:
                _look_like(path, stream.fileno())
            os.fsync(stream.fileno())
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # an interrupt may come when it has its name already
            os.unlink(temporary)
        raise
    sync_directory(directory)


def replace_link(path: str, target: str) -> None:
    """Put a link to `target` in the place of a file or link. Raises OSError as `replace_file` does."""
    directory = os.path.dirname(path) or "."
    make_directories(directory)
    remove_drafts(directory)
    # A name that nobody has; mkstemp makes files only.
    aside = tempfile.mkdtemp(prefix=_PREFIX, dir=directory)
    try:
        os.symlink(target, f"{aside}/link")
        os.replace(f"{aside}/link", path)
    finally:
        shutil.rmtree(aside)
    sync_directory(directory)


def make_directories(path: str) -> None:
    """Make a directory and those above it that are missing, each 0755 whatever the umask is. Raises OSError."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:  # somebody else was quicker, or it is no directory
            if not os.path.isdir(directory):
                raise
        else:
            os.chmod(directory, 0o755)
            sync_directory(os.path.dirname(directory) or ".")


def is_draft(name: str) -> bool:
    """Whether a file of this name is a draft of this module, which a crash has left where nobody writes."""
    return name.startswith(_PREFIX)


def remove_drafts(directory: str, seconds: float = _DRAFT_SECONDS) -> None:
    """Remove what a crash has left of writes of so many seconds ago and more.

    Raises nothing: tidying up never keeps a write from being made.
    """
    names: t.Sequence[str] = ()
    with contextlib.suppress(OSError):
        names = os.listdir(directory)
    for name in filter(is_draft, names):
        with contextlib.suppress(OSError):
            _remove_unheld(os.path.join(directory, name), seconds)


def _remove_unheld(draft: str, seconds: float) -> None:
    status = os.lstat(draft)
    # One of the future is not new: the clock was wrong when the node fell.
    if abs(time.time() - status.st_mtime) < seconds:
        return
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(draft)
        return
    descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(draft)
    finally:
        os.close(descriptor)


def remove_file(path: str) -> None:
    """Remove a file, from the disk too. Raises OSError; one that is not there is no error.

    Also then the directory is synced: the run that removed the file may have been cut off before it was.
    """
    if_there(lambda: os.unlink(path), None)
    if_there(lambda: sync_directory(os.path.dirname(path) or "."), None)


def remove_directory_if_empty(path: str) -> None:
    """Remove a directory in which nothing is, from the disk too. Raises OSError; one that is not there is no error."""
    try:
        if_there(lambda: os.rmdir(path), None)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    else:
        if_there(lambda: sync_directory(os.path.dirname(path) or "."), None)


def _look_like(path: str, descriptor: int) -> None:
    """Give the new file mode, owner, access list and SELinux label of the one it replaces, if there is one."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    # Before the mode, since it takes the bit setuid away.
    _give(descriptor, (old.st_uid, old.st_gid))
    for attribute in (_SELINUX_LABEL, _ACCESS_LIST):
        value = _attribute(path, attribute)
        if value is not None:
            _set_attribute(descriptor, attribute, value)
        elif attribute == _ACCESS_LIST and _attribute(descriptor, attribute) is not None:
            os.removexattr(descriptor, attribute)  # what the directory gives to new files
    # Last: where there is an access list the group's bits are its mask (acl(5)).
    os.fchmod(descriptor, old.st_mode & 0o7777)


def _give(descriptor: int, owner: Owner) -> None:
    """Have the file belong to somebody, if it does not so far.

    FAT (an EFI system partition) has no owners and refuses the call, and a service may be ended for it by its filter of system calls.
    """
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != owner:
        os.fchown(descriptor, *owner)


def _set_attribute(descriptor: int, name: str, value: bytes) -> None:
    """Set it, but for a label that nobody heeds: where SELinux is off, it takes all rights to write one (security/commoncap.c)."""
    try:
        os.setxattr(descriptor, name, value)
    except OSError as error:
        is_heeded = name != _SELINUX_LABEL or if_there(lambda: os.stat(_SELINUX), None) is not None
        if error.errno != errno.EPERM or is_heeded:
            raise


def _attribute(file: str | int, name: str) -> bytes | None:
    try:
        return os.getxattr(file, name)
    except OSError as error:
        # The file has none, or the file system has no such thing.
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return None


def sync_directory(path: str) -> None:
    """Have what was renamed or removed in a directory on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
