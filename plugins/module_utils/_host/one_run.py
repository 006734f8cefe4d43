# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps two runs apart that would change the same files of a node, by a lock that only root can take."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import typing as t
from functools import partial

from .._node.absence import if_there
from .._node.errors import NodeError, RefusedError, remedy_for
from .._node.fields import lines_in, words_in
from .._node.files import is_still_at, read_whole

_REMEDIES = {
    errno.EROFS: "mount the node's /run so that it can be written",
    **dict.fromkeys((errno.EISDIR, errno.ELOOP), "remove what is there, which is no lock"),
}


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_DELETED = " (deleted)"


@contextlib.contextmanager
def one_run(root: str, path: str, what: str, proc_root: str = "/proc") -> t.Iterator[None]:
    """Keep other runs from `what` of the node mounted at `root` meanwhile; `path` is the file of the lock, on the node.

    Somebody may remove that file, before it is locked or while it is. Raises RefusedError where another run is at work, NodeError.
    """
    place = root.rstrip("/") + path
    descriptor = _locked(place, path, what)
    try:
        if _is_held_by_one_that_was_removed(descriptor, place, proc_root):
            raise _another(path, what)
        yield
    finally:
        os.close(descriptor)


def _locked(place: str, path: str, what: str) -> int:
    """The lock, on the file that others find there too."""
    while True:
        try:
            descriptor = os.open(place, _FLAGS, 0o600)
        except OSError as error:
            remedy = _REMEDIES.get(error.errno or 0) or remedy_for(error)
            raise NodeError(f"the lock cannot be opened: {error.strerror or error}", path, remedy) from None
        try:
            _take(descriptor, path, what)
            if is_still_at(place, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take(descriptor: int, path: str, what: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _another(path, what) from None
    except OSError as error:  # no memory for a lock, or a file system without any
        raise NodeError(
            f"the lock cannot be taken: {error.strerror}", path, "see what the node lacks, and try again"
        ) from None


def _another(path: str, what: str) -> RefusedError:
    return RefusedError(f"another run is changing {what} in this moment", path, "wait for it to end, and run again")


def _is_held_by_one_that_was_removed(descriptor: int, place: str, proc_root: str) -> bool:
    """Whether a process has the lock on a former file of this name and owner, which was removed under it.

    By /proc/locks (proc(5)), which has a lock for as long as it is held. Where a process cannot be looked at, nothing is known. Another
    user may lock a file of such a name, but cannot have made one of ours.
    """
    ours = os.fstat(descriptor)
    file_system = f"{os.major(ours.st_dev):02x}:{os.minor(ours.st_dev):02x}:"
    try:
        locks = read_whole(f"{proc_root}/locks").decode("ascii", "replace")
    except (OSError, ValueError):
        return False
    # 1: FLOCK  ADVISORY  WRITE 4711 00:17:9438 0 EOF
    lines = [words for words in map(words_in, lines_in(locks)) if len(words) > 5 and words[1] == "FLOCK"]
    holders = {words[4] for words in lines if words[5].startswith(file_system)}
    return any(_has_open(f"{proc_root}/{pid}/fd", os.path.basename(place) + _DELETED, ours) for pid in holders)


def _has_open(descriptors: str, name: str, ours: os.stat_result) -> bool:
    try:
        numbers: list[str] = if_there(lambda: os.listdir(descriptors), [])
        named = [f"{descriptors}/{one}" for one in numbers if _leads_to(f"{descriptors}/{one}", name)]
        found = [if_there(partial(os.stat, link), None) for link in named]
    except OSError:
        return False
    return any(one and (one.st_dev, one.st_uid) == (ours.st_dev, ours.st_uid) for one in found)


def _leads_to(link: str, name: str) -> bool:
    return os.path.basename(if_there(lambda: os.readlink(link), "")) == name
