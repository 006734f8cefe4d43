# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a test runs its scenario: on a node of its own, from one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import tempfile
import typing as t
from pathlib import Path

import pytest
from harness.bench import Bench, Scenario
from harness.pod_resources import KubeletThread


@pytest.fixture(autouse=True)
def _as_it_was() -> t.Iterator[None]:
    """The program sets up its log and blocks signals while it starts, which tests that call it in this process must not leave behind."""
    loggers = [logging.getLogger(name) for name in ("qat_device_plugin", "asyncio")]
    before = [(one.handlers, one.propagate, one.level) for one in loggers]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for one, (handlers, propagate, level) in zip(loggers, before):
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


@pytest.fixture
def run() -> t.Iterator[t.Callable[..., None]]:
    """Run a scenario, and end what it has started."""
    with tempfile.TemporaryDirectory(prefix="qdp") as directory:  # short: the path of a socket has at most 107 bytes

        async def whole(scenario: Scenario, seconds: float) -> None:
            bench = Bench(Path(directory))
            try:
                await asyncio.wait_for(scenario(bench), seconds)
            except BaseException:
                for plugin in bench.plugins:
                    print(plugin.last_words())
                for log in sorted(Path(directory).glob("reload-*.log")):
                    print(log.read_text())
                raise
            finally:
                for plugin in bench.plugins:
                    plugin.close()
                with contextlib.suppress(asyncio.CancelledError):
                    await bench.kubelet.close()

        def start(scenario: Scenario, seconds: float = 600.0) -> None:
            asyncio.run(whole(scenario, seconds))

        yield start


@pytest.fixture
def kubelet() -> t.Iterator[KubeletThread]:
    """A kubelet's root directory, with a PodResources socket once it is started."""
    with tempfile.TemporaryDirectory(prefix="qpr") as directory:
        made = KubeletThread(Path(directory))
        yield made
        made.close()
