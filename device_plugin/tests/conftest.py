# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running node: files, a kubelet and the plugin as a process, driven from one event loop a test."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import typing as t
from pathlib import Path

import pytest
from harness.kubelet import FakeKubelet
from harness.node_files import NodeFiles
from harness.process import Plugin

Scenario = t.Callable[["Bench"], t.Awaitable[None]]


class Bench:
    """What a test works with. `start` starts a plugin, and a test may start several."""

    def __init__(self, root: Path) -> None:
        self.files = NodeFiles(root)
        self.kubelet_dir = root / "k"
        self.kubelet = FakeKubelet(self.kubelet_dir)
        self.plugins: list[Plugin] = []

    def start(self, *flags: str, watchdog: float | None = None) -> Plugin:
        plugin = Plugin(self.files, self.kubelet_dir, *flags, watchdog=watchdog)
        self.plugins.append(plugin)
        return plugin

    async def ready(self, resource: str, count: int) -> None:
        """Wait until kubelet has so many devices of a resource."""
        await self.kubelet.until(lambda: len(self.kubelet.devices(resource)) == count)


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
                raise
            finally:
                for plugin in bench.plugins:
                    plugin.close()
                with contextlib.suppress(asyncio.CancelledError):
                    await bench.kubelet.close()

        def start(scenario: Scenario, seconds: float = 120.0) -> None:
            asyncio.run(whole(scenario, seconds))

        yield start
