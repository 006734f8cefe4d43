# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests stay together when they run side by side; and those asked to end clear away first: SIGTERM is to them what ctrl-C is."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

PATIENCE = 300.0
"""Seconds that processes which run tests side by side have to clear away, such as a cluster with its pods."""

ASKED_TO_END = pytest.StashKey[list[int]]()
"""Whether this process was asked to end: with the ids of those that it has asked in its turn."""


@pytest.fixture(scope="session")
def is_asked_to_end(pytestconfig: pytest.Config) -> Callable[[], bool]:
    """Whether the run was asked to end: then what goes with a machine need not be put back in it, which can take minutes."""
    return lambda: ASKED_TO_END in pytestconfig.stash


def pytest_configure(config: pytest.Config) -> None:
    """Handle SIGTERM, in this process and in those that run tests side by side."""
    has_workers = bool(config.getoption("numprocesses", None))

    def stop(_number: int, _frame: object) -> None:
        # Once: a second one would cut the clearing away short. Not SIG_IGN, which programs started from now on would inherit.
        signal.signal(signal.SIGTERM, lambda *_: None)
        config.stash[ASKED_TO_END] = _end_workers() if has_workers else []
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Wait for the processes that were asked to end: xdist would have them killed after some seconds."""
    deadline = time.monotonic() + PATIENCE
    for pid in session.config.stash.get(ASKED_TO_END, []):
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.1)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End, where xdist would have a process that was asked to end wait for more to do."""
    if ASKED_TO_END in config.stash and hasattr(config, "workerinput"):
        os._exit(pytest.ExitCode.INTERRUPTED)


_RELEASE = re.compile(r"\[(\d+\.\d+)\b.*\]$")
"""How the name of a test begins its parameters that is on a cluster of a release of Kubernetes."""


class Scheduling(LoadFileScheduling):
    """Keeps the tests of a file together, for what they share, and all that share a cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if not file.startswith("tests/cluster/"):
            return file
        release = _RELEASE.search(nodeid)
        return f"tests/cluster {release[1]}" if release else "tests/cluster"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Answer xdist, which asks how tests are shared out."""
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def _end_workers() -> list[int]:
    """Ask the processes that xdist has started to end, which it would not; returns their ids."""
    ended = []
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                ended.append(pid)
    return ended


def _runs(pid: int) -> bool:
    """Whether a child has not ended yet."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
    except ChildProcessError:
        return False
