# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario works with: a node's files, a kubelet, and plugins as processes."""

from __future__ import annotations

import typing as t

from .kubelet import FakeKubelet
from .node_files import NodeFiles
from .process import Plugin

if t.TYPE_CHECKING:
    from pathlib import Path

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
