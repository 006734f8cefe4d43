# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lock that keeps two engines from changing the same devices.

It is on a file of sysfs that only root may open, so nobody else can take it, and no file is left behind. sysfs has its files once
for each network namespace: a container with a sysfs of its own, in a network of its own, has another lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
import typing as t
from functools import partial

from ..absence import if_there
from ..errors import NodeError, RefusedError, remedy_for
from ..facts.paths import DEVICES, DRIVERS_PROBE
from ..fields import lines_in, words_in

_LOOK_SECONDS = 0.05

_AS_ROOT = "run as root (become: true), with /sys writable"


class Lock:
    """A lock on an open file. `is_heeded` says whether whoever has it is to be waited for."""

    def __init__(self, descriptor: int, is_heeded: t.Callable[[int], bool] = lambda _descriptor: True) -> None:
        self._descriptor = descriptor
        self._is_heeded = is_heeded

    def take(self, seconds: float) -> None:
        """Wait until nobody else has it. Raises RefusedError after so many seconds."""
        deadline = time.monotonic() + seconds
        while not _try_lock(self._descriptor):
            if not self._is_heeded(self._descriptor):
                return
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"another change of this node's devices has been running for {seconds:g} seconds",
                    where=DEVICES,
                    remedy="wait for it to end, or see which qatctl or Ansible process hangs",
                )
            time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def open_locks(at: t.Callable[[str], str]) -> t.Iterator[Lock]:
    """The locks to take, one after the other; `at` says where a path is mounted. Raises NodeError.

    Engines before this one have theirs on the directory of devices, which anybody may lock. It is taken too, so that one that is
    still installed does not start in the midst of a change, and waited for while root has it.
    """
    root_only = _open(DRIVERS_PROBE, os.O_WRONLY, at)
    if root_only is not None:
        yield Lock(root_only)
    directory = _open(DEVICES, os.O_RDONLY, at)
    if directory is None:
        raise NodeError(
            "cannot list the PCI devices: No such file or directory", DEVICES, "mount sysfs, or set sysfs_root"
        )
    yield Lock(directory, lambda descriptor: root_only is None or _root_has(descriptor, at))


def _open(path: str, how: int, at: t.Callable[[str], str]) -> int | None:
    """A descriptor; None where there is no such file."""
    try:
        return if_there(lambda: os.open(at(path), how), None)
    except OSError as error:
        raise _cannot_be_taken(path, error) from None


def _cannot_be_taken(path: str, error: OSError) -> RefusedError:
    return RefusedError(
        f"the lock on this node's devices cannot be taken: {error.strerror}",
        where=path,
        remedy=_AS_ROOT
        if error.errno == errno.EROFS
        else remedy_for(error, "see what the node lacks, and try again", _AS_ROOT),
    )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # no memory for a lock
        raise _cannot_be_taken(DEVICES, error) from None
    return True


def _root_has(descriptor: int, at: t.Callable[[str], str]) -> bool:
    """Whether a process that is root in every respect has a lock on the file. What cannot be read counts as such a process."""
    status = os.fstat(descriptor)
    name = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        # 1: FLOCK  ADVISORY  WRITE 4711 00:17:9438 0 EOF
        locks = if_there(partial(_text, at("/proc/locks")), "")
        lines = [words_in(line) for line in lines_in(locks)]
        holders = [line[4] for line in lines if line[1] == "FLOCK" and line[5] == name]
        return any(_is_root(if_there(partial(_text, at(f"/proc/{pid}/status")), "")) for pid in holders)
    except (OSError, IndexError):
        return True


def _is_root(status: str) -> bool:
    """By the real, effective, saved and file system's user: who runs a program with the bit setuid is still the real one."""
    return any(words_in(line) == ["Uid:", *["0"] * 4] for line in lines_in(status))


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
