# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A child process that touches the files on which the kernel can block, and what it does there."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import mmap
import os
import select
import socket
import struct
import typing as t

from ..absence import is_absent

NOTHING = ("", "(null)")
"""What a file says that has no value: `driver_override` prints a null pointer (drivers/pci/pci-sysfs.c)."""


_PROGRESS_SECONDS = 0.5
"""How often to look how far a child has come with what it was asked."""

_PIECE = 65536

LARGEST_FILE = 1 << 20
"""Bytes of a file: what is read here has a few thousand at most, and what somebody has mounted in its place may have no end."""


class NotAnswered(OSError):
    """Child `pid` was killed, or has not answered in time; `reached` is the place in the request of what it was doing."""

    def __init__(self, code: int, pid: int, reached: int) -> None:
        super().__init__(code, os.strerror(code))
        self.pid = pid
        self.reached = reached


class StillBlocked(NotAnswered):
    """The child has not answered in time."""


_PROGRESS = struct.Struct("Q")
"""How many pieces of a request are done."""


class Child:
    """A child process that touches the files on which the kernel can block, where no signal reaches a process.

    One child serves all requests, so a request costs no fork. A child that does not answer in time is left behind: it ends by
    itself when the kernel lets it go, and it holds none of the parent's pipes open meanwhile. Raises OSError where it cannot be made.
    """

    def __init__(self) -> None:
        # In shared memory, so that the child is not stopped by reporting how far it is.
        self._progress = mmap.mmap(-1, _PROGRESS.size)
        ours, theirs = socket.socketpair()
        try:
            self.pid = _fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if self.pid == 0:
            ours.close()
            _serve(theirs, self._progress)
        theirs.close()
        self._socket = ours
        self._answers = ours.makefile("rb")

    def ask(self, operation: str, work: t.Sequence[t.Any], seconds: float) -> t.Any:
        """What the child returns of `_OPERATIONS`; raises StillBlocked where one piece of the work takes longer than `seconds`.

        Raises another OSError where the child is no more.
        """
        _PROGRESS.pack_into(self._progress, 0, 0)
        try:
            self._socket.sendall(json.dumps([operation, work]).encode() + b"\n")
        except OSError:
            raise self._not_answered(errno.EIO) from None
        self._await_answer(seconds)
        try:
            line = self._answers.readline()
        except OSError:  # it ended with a request that it had not read
            raise self._not_answered(errno.EIO) from None
        if not line.endswith(b"\n"):  # it ended, perhaps in the midst of its answer
            raise self._not_answered(errno.EIO)
        return json.loads(line)

    def _await_answer(self, seconds: float) -> None:
        reached, left = 0, seconds
        while True:
            # Counted by what was waited, not by the clock: where the whole machine has stood still, the child had no time either.
            wait = min(left, _PROGRESS_SECONDS)
            if _is_readable(self._socket, wait):
                return
            left -= wait
            if self._reached() != reached:
                reached, left = self._reached(), seconds
            elif left <= 0:
                raise StillBlocked(errno.ETIMEDOUT, self.pid, reached)

    def _reached(self) -> int:
        return int(_PROGRESS.unpack_from(self._progress)[0])

    def _not_answered(self, code: int) -> NotAnswered:
        return NotAnswered(code, self.pid, self._reached())

    def let_go(self) -> None:
        """Close our end, at which the child ends as soon as it can."""
        self._answers.close()
        self._socket.close()
        self._progress.close()


def _fork() -> int:
    """As os.fork. The child collects no garbage: the end of an object may wait for a thread, which the child does not have.

    A server of grpc.aio does so without limit.
    """
    collects = gc.isenabled()
    gc.disable()
    pid = -1
    try:
        pid = os.fork()
    finally:
        if collects and pid != 0:
            gc.enable()
    return pid


def _serve(requests: socket.socket, progress: mmap.mmap) -> t.NoReturn:
    """The child: one request a line, one answer back, until the parent closes its end."""
    try:
        os.setsid()
        _close_all_but(requests.fileno())
        with requests.makefile("rb") as lines:
            for line in lines:
                operation, work = json.loads(line)
                answer = _OPERATIONS[operation](_done_in_turn(work, progress), requests)
                requests.sendall(json.dumps(answer).encode() + b"\n")
    finally:
        os._exit(0)


def _done_in_turn(work: t.Sequence[t.Any], progress: mmap.mmap) -> t.Iterator[tuple[int, t.Any]]:
    for number, piece in enumerate(work):
        _PROGRESS.pack_into(progress, 0, number)
        yield number, piece


def _read_all(paths: t.Iterable[tuple[int, str]], _requests: socket.socket) -> list[tuple[int, str]]:
    """For each file 0 and its text, or an errno."""
    return [_attempt(read_once, path) for _number, path in paths]


def _write_all(
    writes: t.Iterable[tuple[int, t.Sequence[str]]], requests: socket.socket
) -> tuple[int, int, tuple[int, str]]:
    """How many took, up to the first that did not; the last one's errno, and what came of reading it back."""
    number, code, found = -1, 0, (0, "")
    for number, (path, text, shows, after) in writes:
        code = _attempt(_write_once, path, text)[0]
        # A parent that has given up wants nothing more written, and reading may block in its turn.
        if _has_closed(requests):
            return number, code, found
        found = _look(shows) if shows else (0, "")
        shown = clean(found[1])
        is_known = not found[0] or is_absent(OSError(found[0], ""))
        if not is_known or ("" if shown in NOTHING else shown) != after:
            return number, code, found
    return number + 1, code, found


_OPERATIONS: dict[str, t.Callable[[t.Any, socket.socket], t.Any]] = {"read": _read_all, "write": _write_all}


def _has_closed(requests: socket.socket) -> bool:
    """Whether the parent has: it sends nothing before it is answered."""
    return _is_readable(requests, 0.0)


def _is_readable(connection: socket.socket, seconds: float) -> bool:
    """Whether there is something to read, or the end, within so many seconds. Takes any descriptor: select(2) takes those below 1024."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _look(path: str) -> tuple[int, str]:
    """0 and what a file says, or the last component of what a link does; or an errno."""
    code, target = _attempt(os.readlink, path)
    # So a file that is no link refuses.
    return _attempt(read_once, path) if code == errno.EINVAL else (code, last(target))


def _attempt(work: t.Callable[..., str], *words: str) -> tuple[int, str]:
    try:
        return 0, work(*words)
    except OSError as error:
        return error.errno or errno.EIO, ""


def last(path: str) -> str:
    return path.rpartition("/")[2]


def clean(text: str) -> str:
    return text.replace("\0", "").strip()


def read_once(path: str) -> str:
    # Hundreds of small files are read at a time, for which open() takes several times as long.
    descriptor = os.open(path, os.O_RDONLY)
    found = bytearray()
    try:
        while True:
            piece = os.read(descriptor, _PIECE)
            found += piece
            if len(found) > LARGEST_FILE:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
            if not piece:
                return found.decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def _write_once(path: str, text: str) -> str:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
    return ""


def _close_all_but(kept: int) -> None:
    """Let go of everything inherited: whoever reads this process's output must not wait for a child stuck in the kernel."""
    null = os.open(os.devnull, os.O_RDWR)
    # Where a parent was started with some of these closed, what it opened first has their numbers.
    for standard in {0, 1, 2} - {kept}:
        os.dup2(null, standard)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor != kept:
            # The listing's own descriptor is gone by now.
            with contextlib.suppress(OSError):
                os.close(descriptor)
