# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with pods, its device plugin and its exporter, and a Prometheus that scrapes both as the example says."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import typing as t
from pathlib import Path

import yaml
from harness.bench import Bench
from harness.pod_resources import FakePodResources
from harness.process import free_port
from qat_device_plugin.exporter.service import Exporter, Settings
from qat_device_plugin.exporter.switches import Switches

from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf
from ansible_collections.accel.qat.tests.monitoring.board import PLACE
from ansible_collections.accel.qat.tests.monitoring.programs import Prometheus
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

CY, DC = "qat.intel.com/cy", "qat.intel.com/dc"
PF, OTHER = "0000:6b:00.0", "0000:70:00.0"
WEB, TILL, FREE = "0000:6b:00.1", "0000:6b:00.2", "0000:6b:00.3"
BACKUP = "0000:70:00.1"

_PAGE = (CHECKOUT / "docs/monitoring.md").read_text()
(BUSY_PKE,) = re.findall(r"of PF 0000:6b:00\.0 busy\?\n\n```\n(.*?)```", _PAGE, re.DOTALL)
"""The question of the page, which pod made engine pke of this PF busy."""

T = t.TypeVar("T")


class TickingKernel(FakeKernel):
    """A fake kernel whose clock goes with that of this machine, as far as anybody looks."""

    began: float | None = None

    def read(self, path: str) -> str:
        self.began = self.began or time.monotonic()
        self.sleep(max(time.monotonic() - self.began - self.slept, 0.0))
        return super().read(path)


class Monitored:
    """The parts, each as a test changes it: `kernel` is what the exporter sees, `bench` what the plugin and kubelet have."""

    def __init__(self, root: Path) -> None:
        self.bench = Bench(root)
        self.pods = FakePodResources(root)
        self.kernel = TickingKernel.with_pfs(
            pf("4xxx", PF, services="sym;asym", vfs="vfio-pci", total_vfs=4),
            pf("4xxx", OTHER, services="dc", vfs="vfio-pci", total_vfs=2),
        )
        self.server: Prometheus
        self._root = root

    async def start(self, ends: contextlib.AsyncExitStack) -> None:
        """Start all of it; what is to be ended goes into `ends`."""
        files = self.bench.files
        files.add_pf(PF, vfs=4)
        files.add_pf(OTHER, services="dc", vfs=2)
        await self.bench.kubelet.start()
        ends.push_async_callback(self.bench.kubelet.close)
        await self.pods.start()
        ends.push_async_callback(self.pods.stop)
        ports = {"9482": free_port(), "9483": free_port()}
        ends.callback(self.bench.start(f"--metrics-address=127.0.0.1:{ports['9482']}").close)
        await self.bench.ready(CY, 4)
        await self._export(ends, ports["9483"])
        self.server = Prometheus(self._root, configuration(ports), free_port())
        ends.callback(self.server.close)
        await self.elsewhere(self.server.wait_until_ready)

    async def _export(self, ends: contextlib.AsyncExitStack, port: int) -> None:
        run_dir = self._root / "exporter"
        run_dir.mkdir()
        settings = Settings(("127.0.0.1", port), per_vf=True, kubelet_roots=(str(self._root),))
        kernel: t.Any = self.kernel  # its types are those of the engine by the name that it has in the collection
        exporter = Exporter(settings, kernel, Switches(kernel, run_dir), environment={})
        task = asyncio.ensure_future(exporter.run())

        async def end() -> None:
            exporter.stop()
            await task

        ends.push_async_callback(end)

    def work(self, address: str, engine: str, percent: int, ring_pairs: t.Mapping[int, int]) -> None:
        """Have a PF work: an engine so much, and ring pairs so many Mbit/s each way."""
        load = self.kernel.load(address)
        load.engines[engine] = percent
        moved = sum(ring_pairs.values())
        load.device.update(bw_in=moved, bw_out=moved, gp_lat_acc_avg=20_000 + 400 * percent)
        for number, one in ring_pairs.items():
            load.ring_pairs[number] = {"bw_in": one, "bw_out": one, "gp_lat_acc_avg": 20_000 + 400 * percent}

    async def elsewhere(self, work: t.Callable[[], T]) -> T:
        """What blocks, in a thread, while the services here go on."""
        return await asyncio.get_running_loop().run_in_executor(None, work)


def configuration(ports: t.Mapping[str, int], seconds: int = 1) -> str:
    """The example, with this machine as the node that Kubernetes lists, and each service at its port in place of the usual one.

    It is scraped so often, and a scrape may take as long.
    """
    example = yaml.safe_load((PLACE / "scrape.yml").read_text())
    node = {
        "__meta_kubernetes_node_name": "node1",
        "__meta_kubernetes_node_address_InternalIP": "127.0.0.1",
        "__meta_kubernetes_node_label_feature_node_kubernetes_io_pci_0b40_8086_present": "true",
    }
    for job in example["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "node"}]
        job["static_configs"] = [{"targets": ["127.0.0.1:10250"], "labels": node}]
    example["rule_files"] = [str(PLACE / "rules.yml")]
    example["global"] = {"scrape_interval": f"{seconds}s", "evaluation_interval": f"{seconds}s"}
    text = yaml.safe_dump(example)
    for usual, port in ports.items():
        assert f":{usual}" in text
        text = text.replace(f":{usual}", f":{port}")
    return text
