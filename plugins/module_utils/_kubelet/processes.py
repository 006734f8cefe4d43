# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kubelets among a host's processes.

Root runs the program that is found here, and reads the files on its command line. So nothing counts that a process says of itself: it has
to be root's, in the namespaces and under the root directory of process 1, and the kernel names its program.
"""

from __future__ import annotations

import os
import typing as t

from .._node.absence import if_there
from .._node.errors import NodeError
from .._node.fields import is_number, lines_in, words_in
from .._node.printable import printable
from .flavours.base import Process
from .programs import Fault, fault_of

_NAMESPACES = ("mnt", "pid", "user", "cgroup")
# Of a program that was replaced while it runs; what is there now is what a restart would start.
_DELETED = " (deleted)"

_Seen = t.TypeVar("_Seen")


class Processes(t.NamedTuple):
    """The host's kubelets by their pids; those whose program others than root could exchange are apart, with the reason."""

    trusted: list[Process]
    others: list[tuple[Process, Fault]]


class _Status(t.NamedTuple):
    """What the kernel says of a process to everybody."""

    name: str
    parent: int
    users: frozenset[int]
    # 1 in the pid namespace of the procfs, more below it.
    depth: int


def find_kubelets(proc_root: str, root: str, names: t.Collection[str]) -> Processes:
    """The host's processes whose program has one of these names. Raises NodeError where one cannot be distinguished from a kubelet."""
    host: tuple[t.Any, ...] | None = None
    found = Processes([], [])
    for pid in _pids(proc_root):
        directory = f"{proc_root}/{pid}"
        process = _process(directory, pid, names)
        if process is None:
            continue
        host = host or _host(proc_root)
        if host is None or _home(directory) != host:
            continue
        fault = fault_of(root, process.program)
        if fault is None:
            found.trusted.append(process)
        else:
            found.others.append((process, fault))
    return found


def command_line(directory: str) -> tuple[str, ...]:
    """The words of a process, by its directory in /proc; one empty word where it is gone. Raises NodeError."""
    return tuple(_look(directory, lambda: _read(f"{directory}/cmdline"), "").rstrip("\0").split("\0"))


def _pids(proc_root: str) -> list[int]:
    none: list[str] = []
    entries = _look(proc_root, lambda: os.listdir(proc_root), none)
    return sorted(int(entry) for entry in entries if is_number(entry))


def _process(directory: str, pid: int, names: t.Collection[str]) -> Process | None:
    """The process, None where it is not root's or has another program."""
    status = _status(directory)
    if status is None or not _is_roots(status):
        return None
    try:
        program = if_there(lambda: os.readlink(f"{directory}/exe"), "")
    except OSError as error:
        # Some are hidden from root too. No kubelet of root's hides its name, and one that had it must not be overlooked.
        if any(status.name.startswith(name) for name in names):
            raise _cannot(directory, error) from None
        return None
    named = program[: -len(_DELETED)] if program.endswith(_DELETED) else program
    if named.rpartition("/")[2] not in names:
        return None
    words = command_line(directory)
    # A process may have become another one in between: sudo is root's until it has its user's.
    after = _status(directory)
    if after is None or not _is_roots(after):
        return None
    if _look(directory, lambda: os.readlink(f"{directory}/exe"), "") != program:
        return None
    return Process(pid, named, words, status.parent)


def _is_roots(status: _Status) -> bool:
    # Who runs this gains nothing by what it starts itself.
    return status.depth == 1 and status.users <= {0, os.geteuid()}


def _status(directory: str) -> _Status | None:
    text = _look(directory, lambda: _read(f"{directory}/status"), "")
    entries = dict(line.split(":\t", 1) for line in lines_in(text) if ":\t" in line)
    if "Uid" not in entries:
        return None
    users = frozenset(map(int, words_in(entries["Uid"])))
    # The line is there from Linux 4.1 on; the namespaces themselves are compared too.
    depth = len(words_in(entries.get("NSpid", "1")))
    return _Status(entries.get("Name", ""), int(entries.get("PPid", "0")), users, depth)


def _host(proc_root: str) -> tuple[t.Any, ...] | None:
    """Where process 1 is at home, None for a directory that is no procfs."""
    home = _home(f"{proc_root}/1")
    if home[0]:
        return home
    if os.path.lexists(f"{proc_root}/self"):
        raise NodeError(
            "process 1 is hidden here, so that it is not known which processes are the host's",
            proc_root,
            "run as root (become: true), in a container with the host's /proc mounted and named by proc_root",
        )
    return None


def _home(directory: str) -> tuple[t.Any, ...]:
    """Namespaces and root directory of a process."""
    spaces = [_look(directory, lambda name=name: os.readlink(f"{directory}/ns/{name}"), "") for name in _NAMESPACES]  # type: ignore[misc]
    top = _look(directory, lambda: os.stat(f"{directory}/root"), None)
    return (*spaces, (top.st_dev, top.st_ino) if top else None)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace", newline="") as stream:
        return stream.read()


def _look(place: str, look: t.Callable[[], _Seen], otherwise: _Seen) -> _Seen:
    try:
        return if_there(look, otherwise)
    except OSError as error:
        raise _cannot(place, error) from None


def _cannot(place: str, error: OSError) -> NodeError:
    return NodeError(
        f"cannot be read, so that kubelet may be overlooked: {error.strerror}",
        printable(place),
        "run as root (become: true), in a container with CAP_SYS_PTRACE",
    )
