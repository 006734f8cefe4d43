# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach a machine by ssh, over one connection that is kept open between commands."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.accel.qat.tools.building.errors import CommandFailed

from . import image
from .errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

USER = "root"
HOST = "127.0.0.1"

# The machines' host keys mean nothing: they are the same in all of them, and reachable from this host only.
TRUST = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
COMMAND_SECONDS = 600
"""No command takes so long, on the slowest host: what does hangs."""


@dataclass(frozen=True)
class Result:
    """What a command in a machine did; text is UTF-8, with what is not UTF-8 kept by surrogates."""

    stdout: str
    stderr: str
    rc: int


@dataclass(frozen=True)
class Connection:
    """How to reach the sshd of one machine."""

    port: int

    @property
    def options(self) -> list[str]:
        """Options for ssh, without host and user."""
        return ["-p", str(self.port), "-i", str(image.ssh_key()), *TRUST, "-o", "BatchMode=yes"]

    @property
    def _shared(self) -> list[str]:
        """Options that share one connection; its socket has a short path because addresses are short."""
        directory = Path(tempfile.gettempdir()) / f"accel-qat-{os.getuid()}"
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.stat().st_uid != os.getuid():
            raise LabError(f"{directory} belongs to another user; set TMPDIR to a directory of your own.")
        name = hashlib.sha256(f"{image.ssh_key()} {self.port}".encode()).hexdigest()[:16]
        return ["-o", "ControlMaster=auto", "-o", "ControlPersist=120", "-o", f"ControlPath={directory}/{name}"]

    def command(self, words: Sequence[str] = ()) -> list[str]:
        """The ssh command line for a shell or a command in the machine."""
        return ["ssh", *self.options, f"{USER}@{HOST}", *words]

    def run(self, command: str, check: bool = True, timeout: float = COMMAND_SECONDS, stdin: bytes = b"") -> Result:
        """Run a shell command in the machine.

        CommandFailed if it fails and check is true; LabError if it takes longer than timeout seconds.
        """
        words = ["ssh", *self.options, *self._shared, f"{USER}@{HOST}", command]
        try:
            done = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{command!r} did not end within {timeout:.0f} s.") from error
        result = Result(
            done.stdout.decode(errors="surrogateescape"), done.stderr.decode(errors="surrogateescape"), done.returncode
        )
        if check and result.rc:
            raise CommandFailed(command, result.rc, result.stderr or result.stdout)
        return result

    def forward(self, address: str) -> list[str]:
        """The command line that connects standard input and output to HOST:PORT as the machine sees it."""
        return ["ssh", *self.options, *self._shared, "-W", address, f"{USER}@{HOST}"]

    def put(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file in the machine, in one step: it is there completely or not at all."""
        target, aside = shlex.quote(path), shlex.quote(f"{path}.put")
        self.run(f"cat > {aside} && chmod {mode:o} {aside} && mv {aside} {target}", stdin=data)

    def close(self) -> None:
        """End the shared connection; it is no error if there is none."""
        command = ["ssh", *self._shared, "-O", "exit", "-p", str(self.port), f"{USER}@{HOST}"]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def answers(self, patience: float) -> bool:
        """Whether an sshd greets us within so many seconds; QEMU alone accepts connections, but says nothing."""
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=patience) as probe:
            probe.settimeout(patience)
            return probe.recv(4) == b"SSH-"
        return False
