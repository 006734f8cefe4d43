# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test that has several machines at work, asked to end in the midst of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.accel.qat.tests.lab.qat_lab import machine

CHECKOUT = Path(__file__).parents[3]
SECONDS = 300.0
"""What takes longer hangs."""


def machines_of(pytest_process: int) -> list[str]:
    """Those whose name has the process id of a worker."""
    children = Path(f"/proc/{pytest_process}/task/{pytest_process}/children").read_text().split()
    return [name for name in machine.names() if set(children).intersection(name.split("-"))]


def test_no_machine_is_left_after_sigterm() -> None:
    command = [sys.executable, "-m", "pytest", "--numprocesses=1", "--dist=loadfile", "tests/behaviour/test_machine.py"]
    # Nothing of the run that this is a part of.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    deadline = time.monotonic() + SECONDS
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True) as running:
        while len(machines_of(running.pid)) < 2:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        worker = machines_of(running.pid)[0].split("-")[1]
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=SECONDS)
    assert "KeyboardInterrupt" in said
    assert [name for name in machine.names() if worker in name.split("-")] == []
