# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whoever has a TCP port may answer what he likes: who that is, by the kernel, and what he says, in bounded time and size."""

from __future__ import annotations

import os
import re
import socket
import time
import typing as t

from .._node.absence import if_there
from .._node.fields import is_number, lines_in, words_in
from .._node.kernel.descriptors import has_open

LARGEST_ANSWER = 4 << 20
"""Bytes. A page of metrics has some hundred for each VF that cannot be used."""

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENS = "0A"
"""TCP_LISTEN (include/net/tcp_states.h)."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9]+ ([0-9]{3})(?= |\r|$)")


class NotBelieved(Exception):
    """Somebody listens whom nobody should believe; the message says why."""


class BadAnswer(Exception):
    """What was said is no answer over HTTP, too long, or took too long."""


class _Socket(t.NamedTuple):
    uid: int
    inode: str


def fetch(address: str, paths: t.Sequence[str], seconds: float) -> list[tuple[int, str]]:
    """Status and text of each page at `HOST:PORT`, whose listener has to be root's, or this process's own user's, and no container's.

    Raises NotBelieved, BadAnswer, or OSError where nobody answers.
    """
    host, _colon, port = address.rpartition(":")
    if not is_number(port):
        raise BadAnswer(f"{address} is no address such as 127.0.0.1:9482")
    deadline = time.monotonic() + seconds
    while True:
        listeners = _listeners(int(port))
        answers = [_fetch(host.strip("[]") or "127.0.0.1", int(port), path, deadline) for path in paths]
        fault = _fault(listeners, port)
        # Whoever listened all the time has answered. Of one that was replaced meanwhile, as in an upgrade, nothing is known.
        if _listeners(int(port)) == listeners:
            break
        _left(deadline)
    if fault:
        raise NotBelieved(fault)
    return answers


def _fault(listeners: t.Collection[_Socket], port: str) -> str:
    """Why nobody should believe them; empty where they may be believed."""
    if not listeners:
        return f"nothing says who listens on port {port}"
    for one in listeners:
        if one.uid not in (0, os.geteuid()):
            return f"the user with id {one.uid} listens on port {port}, not root"
    inodes = {one.inode for one in listeners}
    if not any(_is_of_this_machine(process) for process in _processes_with(inodes)):
        return f"no process of this machine's own listens on port {port}: a container may"
    return ""


def _listeners(port: int) -> set[_Socket]:
    """The sockets that listen on the port, by whatever address."""
    found = set()
    for table in _TABLES:
        for line in lines_in(_read(table))[1:]:
            words = words_in(line)
            # sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode (Documentation/networking/proc_net_tcp.rst).
            if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                found.add(_Socket(int(words[7]), words[9]))
    return found


def _read(path: str) -> str:
    """The table; empty where this kernel has none, as without IPv6."""

    def text() -> str:
        with open(path, encoding="ascii") as stream:
            return stream.read()

    return if_there(text, "")


def _processes_with(inodes: t.Collection[str]) -> t.Iterator[str]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for name in filter(is_number, os.listdir("/proc")):
        process = f"/proc/{name}"
        try:
            if has_open(process, wanted):
                yield process
        except OSError:
            continue  # what cannot be seen is not believed


def _is_of_this_machine(process: str) -> bool:
    """Whether it is in the same PID namespace: containers have their own."""
    return if_there(lambda: os.readlink(f"{process}/ns/pid"), "") == os.readlink("/proc/self/ns/pid")


def _fetch(host: str, port: int, path: str, deadline: float) -> tuple[int, str]:
    with socket.create_connection((host, port), timeout=_left(deadline)) as connection:
        request = f"GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        return _parsed(_received(connection, deadline))


def _received(connection: socket.socket, deadline: float) -> bytes:
    answer = b""
    while True:
        connection.settimeout(_left(deadline))
        piece = connection.recv(65536)
        if not piece:
            return answer
        answer += piece
        if len(answer) > LARGEST_ANSWER:
            raise BadAnswer(f"it sends more than {LARGEST_ANSWER} bytes")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise BadAnswer("it does not come to an end")
    return left


def _parsed(answer: bytes) -> tuple[int, str]:
    """Status and text of an answer. A redirection is not followed."""
    head, end, body = answer.partition(b"\r\n\r\n")
    status = _STATUS_LINE.match(head)
    if not end or status is None:
        raise BadAnswer("it does not speak HTTP")
    return int(status[1]), body.decode("utf-8", "replace")
