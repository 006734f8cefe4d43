# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators see of the service over HTTP: its metrics, and whether it is ready."""

from __future__ import annotations

import asyncio
import re
import time
import typing as t

import grpc
import pytest
from harness.process import fetch, free_port

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario

Run = t.Callable[["Scenario"], None]

CY = "qat.intel.com/cy"
PF = "0000:6b:00.0"


def test_a_pf_whose_services_were_never_readable_is_reported(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        port = free_port()

        async def get(path: str) -> str:
            return (await asyncio.get_running_loop().run_in_executor(None, fetch, port, path))[1]

        bench.files.add_pf(PF, services=None)
        bench.files.add_pf("0000:70:00.0", services=None)
        bench.files.configure([{"select": {"address": PF}}])
        await bench.kubelet.start()
        plugin = bench.start("--period=0.05", f"--metrics-address=127.0.0.1:{port}")
        why = (
            "its driver 4xxx does not show its services (qat/cfg_services): this kernel is too old "
            "(Linux before 6.0, RHEL before 8.7 or 9.2), or the driver is not the one in Linux"
        )
        await bench.kubelet.until(lambda: why in plugin.log.read_text())
        # The node is as the rules want it, so no other command shows it.
        status = f"STATUS=not ready; no VF to offer; the PF {PF} is left out: {why}"
        await bench.kubelet.until(lambda: status in plugin.notices())
        assert await get("/readyz") == f"there is no VF to offer\nthe PF {PF} is left out: {why}\n"
        metrics = (await get("/metrics")).splitlines()
        assert [line for line in metrics if "left_out_pfs{" in line] == [
            f'qat_device_plugin_left_out_pfs{{pf="{PF}"}} 1.0'
        ]
        (bench.files.devices / PF / "qat").mkdir()
        bench.files.set_state(PF, "up")
        bench.files.set_services(PF, "asym;sym")
        await bench.ready(CY, 16)
        assert "left_out_pfs{" not in await get("/metrics")
        assert plugin.log.read_text().count("PF is left out") == 1

    run(scenario)


def test_lost_vfs_can_be_seen_in_the_metrics(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        port = free_port()

        async def metrics() -> dict[str, float]:
            text = (await asyncio.get_running_loop().run_in_executor(None, fetch, port, "/metrics"))[1]
            lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
            return {name.removeprefix("qat_device_plugin_"): float(value) for name, _space, value in lines}

        async def figures() -> dict[str, float]:
            return {name: value for name, value in (await metrics()).items() if "vfs{" in name}

        async def scanned() -> None:
            """A scan has begun and ended since: the second that ends, at the latest."""
            for _ in range(2):
                begin = asked = time.monotonic()
                while asked - (await metrics())["scan_age_seconds"] < begin:
                    await asyncio.sleep(0.02)
                    asked = time.monotonic()

        def expected(of_all: float, healthy: float) -> dict[str, float]:
            labels = f'numa_node="0",pf="{PF}",resource="{CY}"'
            vfs = sorted(bench.files.vf_addresses(PF, int(of_all)))[int(healthy) :]
            lost = {f'unhealthy_vfs{{pf="{PF}",reason="vanished",resource="{CY}",vf="{vf}"}}': 1.0 for vf in vfs}
            return {
                f'expected_vfs{{pf="{PF}",resource="{CY}"}}': of_all,
                f'vfs{{health="healthy",{labels}}}': healthy,
                f'vfs{{health="unhealthy",{labels}}}': of_all - healthy,
                **lost,
            }

        bench.files.add_pf(PF)
        bench.files.configure([{"advertise": 12}])
        await bench.kubelet.start()
        plugin = bench.start(f"--metrics-address=127.0.0.1:{port}")
        await bench.ready(CY, 12)
        assert await figures() == expected(12.0, 12.0)
        bench.files.remove_vfs(PF)
        await bench.kubelet.until(lambda: len(bench.kubelet.unhealthy(CY)) == 12)
        assert await figures() == expected(12.0, 0.0)
        (bench.files.devices / PF).rename(bench.files.root / "gone")
        # A reload before the scan that misses the PF would leave it among those that the configuration wants.
        await scanned()
        assert await figures() == expected(12.0, 0.0)
        plugin.hang_up()
        await bench.kubelet.until(lambda: plugin.reloads() == 1)
        await bench.ready(CY, 0)
        # What was seen last stands until the next scan, which sees that the PF has gone.
        while await figures():
            await asyncio.sleep(0.02)
        assert plugin.log.read_text().count("event=withdrawn") == 12

    run(scenario)


def test_metrics_and_readiness(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        loop = asyncio.get_running_loop()
        port = free_port()

        async def get(path: str) -> tuple[int, str]:
            return await loop.run_in_executor(None, fetch, port, path)

        vfs = bench.files.add_pf(PF)
        bench.files.bind(vfs[0], None)
        plugin = bench.start(f"--metrics-address=127.0.0.1:{port}", watchdog=1.0)
        await bench.kubelet.until(lambda: "WATCHDOG=1" in plugin.notices())
        assert await get("/healthz") == (200, "ok\n")
        assert await get("/readyz") == (503, f"{CY} is not registered\n")
        assert (await get("/"))[0] == 404
        metrics = (await get("/metrics"))[1]
        counters = [line for line in metrics.splitlines() if re.match("qat_device_plugin_.*(_total|_count)[{ ]", line)]
        assert len(counters) == 17
        without_kubelet = 'qat_device_plugin_errors_total{kind="pods"}'
        assert all(line.endswith(" 0.0") or line.startswith(without_kubelet) for line in counters)
        await bench.kubelet.start()
        await bench.ready(CY, 16)
        # READY is bounded, so it may have come without kubelet.
        await bench.kubelet.until(plugin.is_ready)
        assert await get("/readyz") == (200, "ok\n")
        await bench.kubelet.allocate(CY, [vfs[1]])
        with pytest.raises(grpc.RpcError, match="bound to no driver"):
            await bench.kubelet.allocate(CY, [vfs[0]])
        plugin.hang_up()
        await bench.kubelet.until(lambda: plugin.reloads() == 1)
        lines = (await get("/metrics"))[1].splitlines()
        for wanted in (
            f'vfs{{health="healthy",numa_node="0",pf="{PF}",resource="{CY}"}} 15.0',
            f'vfs{{health="unhealthy",numa_node="0",pf="{PF}",resource="{CY}"}} 1.0',
            f'unhealthy_vfs{{pf="{PF}",reason="driver",resource="{CY}",vf="{vfs[0]}"}} 1.0',
            f'registered{{resource="{CY}"}} 1.0',
            f'streams{{resource="{CY}"}} 1.0',
            f'registrations_total{{resource="{CY}",result="succeeded"}} 1.0',
            f'allocations_total{{resource="{CY}",result="granted"}} 1.0',
            f'allocations_total{{resource="{CY}",result="refused"}} 1.0',
            f'allocation_duration_seconds_bucket{{le="+Inf",resource="{CY}"}} 2.0',
            f'allocation_duration_seconds_count{{resource="{CY}"}} 2.0',
            f'lists_sent_total{{resource="{CY}"}} 1.0',
            'reloads_total{result="succeeded"} 1.0',
        ):
            assert f"qat_device_plugin_{wanted}" in lines
        names = {line.split("{")[0].split(" ")[0] for line in lines}
        assert {"qat_device_plugin_scan_age_seconds", "qat_device_plugin_build_info"} <= names
        assert "process_resident_memory_bytes" in names

    run(scenario)


def test_an_address_in_use_does_not_end_the_service(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start(f"--metrics-address=127.0.0.1:{port}")
        await bench.ready(CY, 16)
        await bench.kubelet.until(lambda: "cannot listen for HTTP" in plugin.log.read_text())
        server.close()

    run(scenario)
