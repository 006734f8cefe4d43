# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests stay together when they run side by side; and those told to end clear away first: SIGTERM is to them what ctrl-C is."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling


def pytest_configure(config: pytest.Config) -> None:
    """Handle SIGTERM, in this process and in those that run tests side by side."""
    has_workers = bool(config.getoption("numprocesses", None))

    def stop(_number: int, _frame: object) -> None:
        # Once: a second one would cut the clearing away short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if has_workers:
            _tell_workers()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


class Scheduling(LoadFileScheduling):
    """Keeps the tests of a file together, for what they share, and all that share the one cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "tests/cluster" if file.startswith("tests/cluster/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Answer xdist, which asks how tests are shared out."""
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def _tell_workers() -> None:
    """xdist kills its workers after some seconds, and does not tell them before."""
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
