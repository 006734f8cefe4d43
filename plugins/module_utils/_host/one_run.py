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

from .._node.errors import NodeError, RefusedError

_REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "run as root (become: true)"),
    errno.EROFS: "mount the node's /run so that it can be written",
    errno.ENOSPC: "make room on that file system",
    **dict.fromkeys((errno.EISDIR, errno.ELOOP), "remove what is there, which is no lock"),
}


@contextlib.contextmanager
def one_run(root: str, path: str, what: str) -> t.Iterator[None]:
    """Keep other runs from `what` of the node mounted at `root` meanwhile; `path` is the file of the lock, on the node.

    Raises RefusedError where another run is at work, NodeError.
    """
    try:
        descriptor = os.open(root.rstrip("/") + path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise NodeError(f"the lock cannot be opened: {error.strerror or error}", path, remedy) from None
    try:
        _take(descriptor, path, what)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: str, what: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RefusedError(
            f"another run is changing {what} in this moment", path, "wait for it to end, and run again"
        ) from None
    except OSError as error:  # no memory for a lock, or a file system without any
        raise NodeError(
            f"the lock cannot be taken: {error.strerror}", path, "see what the node lacks, and try again"
        ) from None
