# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small services of the host: commands, locks, progress."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .errors import CommandFailed, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MARK = "==> "
SILENCE_SECONDS = 30

_begin = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - _begin:6.1f}s] {text}", file=sys.stderr, flush=True)


def follow(command: Sequence[str | Path], what: str, **options: Any) -> None:
    """Run a command of the host that takes minutes, and say how it goes.

    Lines it prints that begin with MARK are said; of all others only the number is, every half minute. CommandFailed with
    its last lines if it fails; if this process is interrupted, so is the command.
    """
    tail: deque[str] = deque(maxlen=15)
    lines, reported = 0, time.monotonic()
    words = [str(word) for word in command]
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        **options,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                tail.append(line.rstrip())
                lines += 1
                if line.startswith(MARK):
                    say(line.removeprefix(MARK).strip())
                    reported = time.monotonic()
                elif time.monotonic() > reported + SILENCE_SECONDS:
                    say(f"{what}: {lines} lines so far")
                    reported = time.monotonic()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            raise
    if process.returncode:
        raise CommandFailed(words[0], process.returncode, "\n".join(tail))


def run(command: Sequence[str | Path], **options: Any) -> str:
    """Run a command of the host to its end and return what it printed.

    ToolError if it is not installed, CommandFailed with its last lines if it fails.
    """
    words = [str(word) for word in command]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            words,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**options.pop("env", os.environ), "PATH": path, "LC_ALL": "C.UTF-8"},
            **options,
        )
    except FileNotFoundError as error:
        raise ToolError(f"{words[0]} is not installed: install the packages in tests/lab/packages.txt.") from error
    if done.returncode:
        raise CommandFailed(words[0], done.returncode, "\n".join(done.stdout.splitlines()[-15:]))
    output: str = done.stdout
    return output


def _same_file(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def lock(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is gone afterwards; says so when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path, waiting_for):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path, waiting_for: str) -> IO[str]:
    reported = False
    while True:
        file = path.open("w")
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not reported:
                    say(f"waiting for another process: {waiting_for}")
                reported = True
                fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever held it before us has removed the file; then ours is not the one that others will find.
            if _same_file(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


class Interrupted(BaseException):
    """A signal asked this process to end; a BaseException so that nothing but clean-up catches it."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an exception, so that clean-up runs as it does for ctrl-C."""

    def stop(number: int, _frame: object) -> None:
        raise Interrupted(signal.Signals(number).name)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
