# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine in memory: a few files, and commands that do to them what the real ones do."""

from __future__ import annotations

import re
import subprocess
import typing as t

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.module_utils._node.files import Owner

Command = t.Callable[["FakeMachine", t.Sequence[str]], CommandResult]


class FakeMachine:
    """Implements the port Machine.

    `done` lists what changed something, in order: `write PATH`, `remove PATH`, `run COMMAND`. Commands in `reading` do not count.
    """

    def __init__(
        self, files: t.Mapping[str, str], commands: t.Mapping[str, Command], reading: t.Collection[str] = ()
    ) -> None:
        self.files = dict(files)
        self.commands = dict(commands)
        self.reading = {"sh", *reading}
        self.read_only: set[str] = set()
        self.shell = "sh"
        # Those that are not 0644 and root's.
        self.given: dict[str, tuple[int, Owner]] = {}
        self.done: list[str] = []

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return path in self._paths()

    def glob(self, pattern: str) -> list[str]:
        expression = re.compile(re.escape(pattern).replace(r"\*", "[^/]*"))
        return sorted(path for path in self._paths() if expression.fullmatch(path))

    def attributes(self, path: str) -> tuple[int, Owner] | None:
        return self.given.get(path, (0o644, (0, 0))) if path in self.files else None

    def write(self, path: str, text: str, mode: int | None = None, owner: Owner | None = None) -> None:
        if path in self.read_only:
            raise NodeError("cannot be written: Read-only file system", path)
        self.files[path] = text
        if mode is not None:
            self.given[path] = (mode, owner or (0, 0))
        self.done.append(f"write {path}")

    def remove(self, path: str) -> None:
        self.given.pop(path, None)
        if self.files.pop(path, None) is not None:
            self.done.append(f"remove {path}")

    def command(self, name: str) -> str | None:
        return f"/usr/sbin/{name}" if name in self.commands else None

    def run(self, command: t.Sequence[str]) -> CommandResult:
        line = " ".join(command)
        if command[0] not in self.reading and line not in self.reading:
            self.done.append(f"run {line}")
        if command[0] == "sh":
            return real([self.shell, *command[1:]])
        if command[0] not in self.commands:
            raise NodeError("cannot be run: No such file or directory", command[0])
        return self.commands[command[0]](self, command)

    def _paths(self) -> set[str]:
        parts = [path.split("/") for path in self.files]
        return {"/".join(part[:length]) for part in parts for length in range(2, len(part) + 1)}


def real(command: t.Sequence[str]) -> CommandResult:
    """Run a command of the machine the test runs on."""
    done = subprocess.run(list(command), capture_output=True, check=False)
    said = (stream.decode("utf-8", "surrogateescape") for stream in (done.stdout, done.stderr))
    return CommandResult(done.returncode, *said)


def says(out: str) -> Command:
    """A command that prints this and does nothing."""
    return lambda _machine, _command: CommandResult(0, out)


def fails(code: int, err: str) -> Command:
    """A command that fails and does nothing."""
    return lambda _machine, _command: CommandResult(code, "", err)
