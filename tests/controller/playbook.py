# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-playbook, in a copy of a process that has loaded Ansible already.

`ACCEL_QAT_CONTROLLER` names the Python of another ansible-core to run it with than that of the tests: `tools/checks` makes some.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PROGRAM = Path(__file__).with_name("loaded_ansible.py")
SETTINGS = Path(__file__).with_name("ansible.cfg")
SECONDS = 1800
CONTROLLER = os.environ.get("ACCEL_QAT_CONTROLLER") or sys.executable

# Those that have nothing to do. Ansible takes its settings from the environment once, so each serves those that it was started with.
_idle: dict[tuple[tuple[str, str], ...], list[_LoadedAnsible]] = {}
_lock = threading.Lock()


class TooSlow(Exception):
    """The playbook did not end in its time, and was ended."""


class _LoadedAnsible:
    """One such process. It ends when its standard input does, and so with this one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [CONTROLLER, PROGRAM],
            env=environment,
            cwd=SETTINGS.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, order: Mapping[str, object]) -> int | None:
        """The exit code; None for a playbook that took too long."""
        stdin, stdout = _streams(self._process)
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError(f"{PROGRAM} ended with {self._process.wait()}")
        code: int | None = json.loads(answer)
        return code

    def end(self) -> None:
        """Also of the playbook that it runs."""
        stdin, stdout = _streams(self._process)
        stdin.close()
        self._process.wait()
        stdout.close()


def run_playbook(
    words: Sequence[str], environment: Mapping[str, str], directory: Path, seconds: float = SECONDS
) -> tuple[int, str]:
    """Run it with these words after its name; returns the exit code, and what it printed.

    Raises TooSlow.
    """
    environment = {**environment, "ANSIBLE_CONFIG": str(SETTINGS)}
    settings = tuple(sorted((name, text) for name, text in environment.items() if name.startswith("ANSIBLE_")))
    with _lock:
        waiting = _idle.setdefault(settings, [])
        ansible = waiting.pop() if waiting else None
    if ansible is None:
        ansible = _LoadedAnsible(environment)
    with tempfile.NamedTemporaryFile("r", dir=directory, prefix="output-", errors="replace") as output:
        order = {
            "words": ["ansible-playbook", *words],
            "environment": environment,
            "directory": str(directory),
            "output": output.name,
            "seconds": seconds,
        }
        try:
            code = ansible.run(order)
        except BaseException:
            ansible.end()
            raise
        with _lock:
            waiting.append(ansible)
        said = output.read()
    if code is None:
        raise TooSlow(f"ansible-playbook {' '.join(words)} did not end in {seconds:g} seconds: {said}")
    return code, said


@atexit.register
def _end_all() -> None:
    for waiting in _idle.values():
        while waiting:
            waiting.pop().end()


def _streams(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise TypeError("it was started without pipes")
    return process.stdin, process.stdout
