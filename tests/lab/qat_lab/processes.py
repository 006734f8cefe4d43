# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of this host that outlive the command which started them. Each runs in a directory, which has its NAME.pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

STOP_SECONDS = 10

# Those that this process started itself: they outlive it; it only has to collect those it ends.
_children: dict[tuple[Path, str], subprocess.Popen[bytes]] = {}

# The process writes its number before it becomes the program, so that there is no moment in which nobody knows it.
_NUMBERED = 'echo $$ > "$0" && exec "$@"'


def start(directory: Path, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program in the background, with what it prints in NAME.log; LabError if it is not installed."""
    if shutil.which(command[0]) is None:
        raise LabError(f"{command[0]} is not installed: install the packages in tests/lab/packages.txt.")
    number = directory / f"{name}.pid"
    number.unlink(missing_ok=True)
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _NUMBERED, f"{name}.pid", *command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children[directory, name] = process
    # The file is there a moment before the number in it is.
    while not (number.exists() and number.read_text()) and process.poll() is None:
        time.sleep(0.001)
    return process


def pid(directory: Path, name: str) -> int | None:
    """Number of the process of this name that runs in the directory, or None."""
    try:
        number = int((directory / f"{name}.pid").read_text())
        # The file may outlive the process, and the number then belong to another one.
        if os.readlink(f"/proc/{number}/cwd") != str(directory):
            return None
    except (OSError, ValueError):
        return None
    return number


def words(directory: Path, name: str) -> str:
    """What it printed."""
    try:
        return (directory / f"{name}.log").read_text(errors="replace").strip()
    except OSError:
        return ""


def stop(directory: Path, name: str) -> None:
    """End the process of this name, if it runs, and wait until it is gone."""
    child = _children.pop((directory, name), None)
    number = child.pid if child else pid(directory, name)
    if number is None:
        return
    _signal(number, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while child.poll() is None if child else pid(directory, name) == number:
        if time.monotonic() > deadline:
            _signal(number, signal.SIGKILL)
        time.sleep(0.02)
    (directory / f"{name}.pid").unlink(missing_ok=True)


def _signal(number: int, kind: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, kind)
