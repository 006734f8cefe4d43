# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests stay together when they run side by side; and those told to end clear away first: SIGTERM is to them what ctrl-C is."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest


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


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a file together, for what they share, and all that share the one cluster."""
    words = item.path.relative_to(Path(__file__).parent).with_suffix("").parts
    item.add_marker(pytest.mark.xdist_group("cluster" if words[0] == "cluster" else ".".join(words)))


def _tell_workers() -> None:
    """xdist kills its workers after some seconds, and does not tell them before."""
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
