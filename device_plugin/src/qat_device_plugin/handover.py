# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands the service from one process to the next, so that at each moment kubelet has a process that answers.

The successor asks its predecessor for the lock, registers beside it, and says that it serves once kubelet has its lists. Then the
predecessor names it to systemd as the main process, and ends. Until then the predecessor stays in charge, whatever befalls the
successor; and should the predecessor die, the successor has the lock already.

A predecessor whose end would only have it started again, as the container of a pod is, stays instead, and does nothing, until it is ended
or the successor has gone (docs/adr/0006_hand_over_of_pods.md).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
import sys
import typing as t
from pathlib import Path

from ._node.errors import NodeError
from ._node.printable import printable
from .sockets import PREFIX, is_dead

log = logging.getLogger(__name__)

SECONDS = 30.0
"""How long the successor may take until it serves. Less than the unit gives a reload."""
END_SECONDS = 10.0
"""How long the successor waits for its predecessor's end."""
_REST_SECONDS = 1.0
_LARGEST = 65536
_CREDENTIALS = struct.Struct("3i")

Message = t.Dict[str, t.Any]  # noqa: UP006


class Gone(Exception):
    """The other side has closed the connection."""


class Line:
    """A connection on which each message is one packet: an object of JSON, perhaps with descriptors."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.setblocking(False)

    def peer(self) -> tuple[int, int]:
        """Process and user of the other side, as the kernel has them (unix(7), SO_PEERCRED)."""
        found = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, user, _group = _CREDENTIALS.unpack(found)
        return pid, user

    def send(self, message: Message, *descriptors: int) -> None:
        """Send it, or nothing where the other side has gone or does not read."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        with contextlib.suppress(OSError):
            self._connection.sendmsg([json.dumps(message).encode()], rights)

    async def receive(self) -> tuple[Message, list[int]]:
        """The next message; raises Gone where none comes any more, or none that can be understood."""
        await _readable(self._connection)
        try:
            data, descriptors, _flags, _address = socket.recv_fds(self._connection, _LARGEST, 1)
        except OSError:
            raise Gone from None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        try:
            message = json.loads(data) if data else None
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            for descriptor in descriptors:
                os.close(descriptor)
            raise Gone
        return message, list(descriptors)

    def shut(self) -> None:
        """Have both sides find that the other has gone."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


async def _readable(connection: socket.socket) -> None:
    """Return when there is something to receive, be it the end."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(connection, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(connection)


class Inheritance(t.NamedTuple):
    """What a successor gets. `registered` are the resources that kubelet has from the predecessor."""

    lock: int
    directory: Path
    registered: frozenset[str]
    notify: str
    watchdog: float | None


class Reception:
    """Where a successor finds the process that serves: a socket below a directory that only root may enter."""

    def __init__(self, path: Path, serve: t.Callable[[Line], t.Awaitable[None]]) -> None:
        self._path = path
        self._serve = serve
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._tasks: set[asyncio.Future[None]] = set()

    def open(self) -> None:
        """Listen; raises OSError."""
        _remove_left(self._path.parent)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()  # of an earlier process with this id
        with _short(self._path) as path:
            self._socket.bind(path)
        self._socket.listen(1)
        self._socket.setblocking(False)
        self._watch()

    def close(self) -> None:
        """Listen no longer, and end what is talked."""
        self.shut()
        for task in self._tasks:
            task.cancel()

    def shut(self) -> None:
        """Listen no longer."""
        if self._socket.fileno() == -1:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _accept(self) -> None:
        try:
            connection = self._socket.accept()[0]
        except OSError:
            # Who waits to be let in waits on where there are no descriptors, and would have this called without pause.
            asyncio.get_running_loop().remove_reader(self._socket)
            asyncio.get_running_loop().call_later(_REST_SECONDS, self._watch)
            return
        task = asyncio.ensure_future(self._talk(Line(connection)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _watch(self) -> None:
        if self._socket.fileno() != -1:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    async def _talk(self, line: Line) -> None:
        try:
            if line.peer()[1] == os.geteuid():
                await self._serve(line)
        finally:
            line.close()


class Nobody(NodeError):
    """Nobody listens where the predecessor should."""


class Predecessor:
    """The process that serves until this one does, by the path of its socket.

    Its id is given where it has been named by that; that of a process of another PID namespace nobody knows here.
    """

    def __init__(self, path: Path, pid: int | None = None) -> None:
        self.pid = pid
        self._path = path
        self._line: Line | None = None

    @property
    def name(self) -> str:
        """What the log calls it."""
        return str(self.pid or self._path.stem)

    async def ask(self) -> Inheritance:
        """Ask for what it has; raises Nobody, or NodeError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with _short(self._path) as path:
                connection.connect(path)
        except OSError as error:
            connection.close()
            raise Nobody(
                f"no instance is there to take over from: {error.strerror}",
                where=str(self._path),
                remedy="restart the service instead",
            ) from None
        self._line = Line(connection)
        pid, user = self._line.peer()
        if user != os.geteuid() or self.pid not in (None, pid):
            self.close()
            raise NodeError(f"the socket is not of process {self.pid or 'root'}", where=str(self._path))
        message, descriptors = await self._receive(SECONDS)
        if not descriptors:
            raise NodeError("the instance that serves gives no lock", where=str(self._path))
        watchdog = message.get("watchdog")
        return Inheritance(
            descriptors[0],
            Path(str(message.get("directory"))),
            frozenset(map(str, message.get("registered") or ())),
            str(message.get("notify") or ""),
            watchdog if isinstance(watchdog, float) else None,
        )

    async def release(self, stays: bool) -> None:
        """Report to it that this process serves, and wait until it has made way; raises NodeError where it does not.

        With `stays` it waits for its own end then.
        """
        assert self._line
        self._line.send({"serves": True, "stays": stays})
        with contextlib.suppress(Gone):  # it has died, which comes to the same
            await self._receive(SECONDS)

    async def died(self) -> None:
        """Return when it has died; raises NodeError when it takes back what it gave."""
        with contextlib.suppress(Gone):
            while True:
                await self._receive()

    async def ended(self) -> None:
        """Wait for its end."""
        assert self._line
        waiting = asyncio.ensure_future(self.died())
        await asyncio.wait([waiting], timeout=END_SECONDS)
        waiting.cancel()
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._line:
            self._line.close()

    async def _receive(self, seconds: float | None = None) -> tuple[Message, list[int]]:
        assert self._line
        try:
            message, descriptors = await asyncio.wait_for(self._line.receive(), seconds)
        except asyncio.TimeoutError:
            raise NodeError("the instance that serves does not answer", where=str(self._path)) from None
        if "refused" in message:
            raise NodeError(f"the instance that serves does not hand over: {message['refused']}", where=str(self._path))
        return message, descriptors


def socket_of(run_dir: Path, pid: int) -> Path:
    """Where the process with this id listens for its successor."""
    return run_dir / f"{pid}.sock"


def _remove_left(run_dir: Path) -> None:
    """Remove the sockets of processes that were killed. Of which process one was says nothing: another PID namespace has its own ids."""
    for path in run_dir.glob("*.sock"):
        if not path.name.startswith(PREFIX) and is_dead(path):
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def _short(path: Path) -> t.Iterator[str]:
    """A path that has room in a socket's address, whatever the directory."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


class Reporter:
    """The way from the process that becomes the service to the one that systemd waits for.

    Without it, as where a service starts by itself, nothing is reported.
    """

    def __init__(self, connection: socket.socket | None = None) -> None:
        self._connection = connection

    def failed(self, words: str) -> bool:
        """Report why this process does not take over; returns whether somebody is there to read it."""
        waits = self._connection is not None
        self._report(words)
        return waits

    def serves(self) -> None:
        """Report that it has taken over."""
        self._report("")

    async def watched(self) -> None:
        """Return when nobody waits any more for what is reported: whoever asked for it has been ended."""
        if self._connection is None:
            await asyncio.get_running_loop().create_future()
        else:
            await _readable(self._connection)

    def _report(self, words: str) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(OSError):
                connection.send(b"!" + words.encode("utf-8", "replace")[: _LARGEST - 1])
            connection.close()


def split() -> tuple[Reporter | None, int]:
    """Go on as a process of its own. There the first value is its reporter; here it is None, and the second the exit code.

    That process is a child of nobody who ends with the reload: systemd watches it as it does what it has started itself. Raises OSError.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        child = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if child == 0:
        ours.close()
        if os.fork():
            os._exit(0)
        return Reporter(theirs), 0
    theirs.close()
    os.waitpid(child, 0)
    with ours:
        return None, _outcome(ours)


def _outcome(connection: socket.socket) -> int:
    """Wait for what the other process reports, and print why it failed."""
    connection.settimeout(SECONDS + END_SECONDS + 5.0)
    try:
        report = connection.recv(_LARGEST)
    except socket.timeout:  # TimeoutError from Python 3.10 on
        report = b"!it has not come up in time"
    words = printable(report[1:].decode("utf-8", "replace")) if report else "it ended without a word"
    if words:
        print(f"qat-device-plugin: {words}; the instance before it goes on", file=sys.stderr)
    return 1 if words else 0
