# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's machine protocol (QMP): JSON lines over a Unix socket."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from .errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_SECONDS = 300


def connect(directory: Path, name: str) -> socket.socket:
    """Connect to a Unix socket in a directory whose path may be longer than an address can be."""
    handle = os.open(directory, os.O_PATH)
    try:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"/proc/self/fd/{handle}/{name}")
        except BaseException:
            connection.close()
            raise
        return connection
    finally:
        os.close(handle)


class Qmp:
    """A session with one QEMU process."""

    def __init__(self, directory: Path) -> None:
        """Connect to qmp.sock in the directory of a machine; LabError if nobody answers there."""
        try:
            self._socket = connect(directory, "qmp.sock")
        except OSError as error:
            raise LabError(f"QEMU does not answer in {directory}: {error.strerror}.") from error
        self._socket.settimeout(ANSWER_SECONDS)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        try:
            self._next()
            self.do("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Qmp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session; QEMU goes on."""
        self._lines.close()
        self._socket.close()

    def do(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its result; LabError if QEMU refuses it or is gone."""
        request = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise LabError(f"QEMU ended before {command}.") from error
        while True:
            answer = self._next()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise LabError(f"QEMU refused {command}: {answer['error']['desc']}")

    def load_state(self, limit: float) -> None:
        """Wait until the saved state that QEMU was started with is loaded, then let the processors run."""
        deadline = time.monotonic() + limit
        while self.do("query-status")["status"] == "inmigrate":
            if time.monotonic() > deadline:
                raise LabError(f"the saved state was not loaded within {limit:.0f} s.")
            time.sleep(0.05)
        self.do("cont")

    def save_state(self, command: str, limit: float) -> None:
        """Stop the machine and pipe its state into a shell command of the host."""
        self.do("stop")
        # Nobody else uses the host's disk for this, so let it go as fast as it can.
        self.do("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.do("migrate", uri=f"exec:{command}")
        deadline = time.monotonic() + limit
        while (state := self.do("query-migrate"))["status"] != "completed":
            if state["status"] in ("failed", "cancelled"):
                raise LabError(f"saving the state failed: {state.get('error-desc', 'QEMU gives no reason')}.")
            if time.monotonic() > deadline:
                raise LabError(f"saving the state took more than {limit:.0f} s.")
            time.sleep(0.05)

    def _next(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise LabError("QEMU does not answer.") from error
        if not line:
            raise LabError("QEMU closed the connection.")
        answer: dict[str, Any] = json.loads(line)
        return answer
