# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random trouble for a while: whatever happens, the last list that kubelet has is the truth.

SOAK_SECONDS and SOAK_SEED choose how long and which; `make soak-plugin` runs some minutes.
"""

from __future__ import annotations

import os
import random
import time
import typing as t

from harness.process import status_value

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario

PFS = {"0000:6b:00.0": "asym;sym", "0000:70:00.0": "dc", "0000:75:00.0": "sym;asym"}
RESOURCES = {"asym;sym": "qat.intel.com/cy", "sym;asym": "qat.intel.com/cy", "dc": "qat.intel.com/dc"}
VFS = 4
STEADY_SECONDS = 0.3
AGREEMENT_SECONDS = 300.0
"""Each resource may be refused some times in a row, and by then the plugin waits 8 seconds before it tries again."""


class Soak:
    """What was done to the node, and so what is true; and the actions to choose from."""

    def __init__(self, bench: Bench, chance: random.Random) -> None:
        self.bench = bench
        self.chance = chance
        self.advertise = VFS
        self.bad_vfs: set[str] = set()
        self.bad_pfs: dict[str, set[str]] = {pf: set() for pf in PFS}
        self.without_vfs: set[str] = set()
        self.plugin = bench.start()

    def truth(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {resource: {} for resource in RESOURCES.values()}
        for pf, services in PFS.items():
            if pf in self.without_vfs:
                continue
            for vf in self.bench.files.vf_addresses(pf, VFS)[: self.advertise]:
                sick = vf in self.bad_vfs or self.bad_pfs[pf]
                found[RESOURCES[services]][vf] = "Unhealthy" if sick else "Healthy"
        return {resource: vfs for resource, vfs in found.items() if vfs}

    def listed(self) -> dict[str, dict[str, str]]:
        """What kubelet has, but for VFs that are gone, which stay as unhealthy until the plugin starts or reads its rules again."""
        gone = {vf for pf in self.without_vfs for vf in self.bench.files.vf_addresses(pf, VFS)}
        found = {
            resource: {vf: health for vf, health in devices.items() if vf not in gone or health == "Healthy"}
            for resource, devices in self.bench.kubelet.resources().items()
        }
        return {resource: vfs for resource, vfs in found.items() if vfs}

    async def step(self) -> str:
        """Do something; returns what."""
        action = self.chance.choice(
            [
                self._toggle_vf,
                self._toggle_vf,
                self._toggle_state,
                self._toggle_heartbeat,
                self._toggle_vfs,
                self._reload,
                self._restart_kubelet,
                self._drop_streams,
                self._remove_sockets,
                self._restart_plugin,
            ]
        )
        await action()
        return action.__name__

    def _pf(self) -> str:
        return self.chance.choice(sorted(PFS))

    async def _toggle_vf(self) -> None:
        pf = self._pf()
        if pf in self.without_vfs:
            return
        vf = self.chance.choice(self.bench.files.vf_addresses(pf, VFS))
        self.bench.files.bind(vf, "vfio-pci" if vf in self.bad_vfs else self.chance.choice([None, "4xxxvf"]))
        self.bad_vfs ^= {vf}

    async def _toggle_state(self) -> None:
        pf = self._pf()
        self.bad_pfs[pf] ^= {"state"}
        self.bench.files.set_state(pf, "down" if "state" in self.bad_pfs[pf] else "up")

    async def _toggle_heartbeat(self) -> None:
        pf = self._pf()
        self.bad_pfs[pf] ^= {"heartbeat"}
        self.bench.files.set_heartbeat(pf, "-1" if "heartbeat" in self.bad_pfs[pf] else "0")

    async def _toggle_vfs(self) -> None:
        pf = self._pf()
        if pf in self.without_vfs:
            self.bench.files.create_vfs(pf, VFS)
        else:
            self.bench.files.remove_vfs(pf)
            self.bad_vfs -= set(self.bench.files.vf_addresses(pf, VFS))
        self.without_vfs ^= {pf}

    async def _reload(self) -> None:
        # Until it runs, a signal would end it, and so would a bad configuration.
        await self.bench.kubelet.until(lambda: bool(self.plugin.notices()))
        if self.chance.random() < 0.3:
            self.bench.files.config.write_text("{")
        else:
            self.advertise = self.chance.randint(1, VFS)
            self.bench.files.configure([{"advertise": self.advertise}])
        reloads = self.plugin.reloads()
        self.plugin.hang_up()
        await self.bench.kubelet.until(lambda: self.plugin.reloads() > reloads)
        # The next start has to find a good one.
        self.bench.files.configure([{"advertise": self.advertise}])

    async def _restart_kubelet(self) -> None:
        self.bench.kubelet.keeps_stale_streams = self.chance.random() < 0.5
        self.bench.kubelet.refusals = self.chance.randint(0, 2)
        self.bench.kubelet.answers_first = self.chance.random() < 0.5
        await self.bench.kubelet.restart(away=self.chance.random() * 0.5)

    async def _drop_streams(self) -> None:
        for resource in list(self.bench.kubelet.endpoints):
            await self.bench.kubelet.endpoints.pop(resource).close()

    async def _remove_sockets(self) -> None:
        for path in self.bench.kubelet_dir.glob("accel-qat-*.sock"):
            path.unlink(missing_ok=True)  # the plugin takes away those of before itself

    async def _restart_plugin(self) -> None:
        if self.chance.random() < 0.5:
            self.plugin.process.kill()
            self.plugin.process.wait()
        else:
            self.plugin.process.terminate()
        self.plugin = self.bench.start()

    async def agrees(self, done: str) -> None:
        """Wait until kubelet has had the truth for a while: right after some troubles it has it still, not again."""
        self.plugin.notices()  # lest the queue fill
        since: float | None = None

        def steadily() -> bool:
            nonlocal since
            if self.listed() != self.truth():
                since = None
            elif since is None:
                since = time.monotonic()
            return since is not None and time.monotonic() - since > STEADY_SECONDS

        try:
            await self.bench.kubelet.until(steadily, AGREEMENT_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"after {done}: the truth is {self.truth()}; {error}") from None


def test_the_last_list_is_the_truth(run: t.Callable[[Scenario, float], None]) -> None:
    seconds = float(os.environ.get("SOAK_SECONDS", "6"))
    seed = int(os.environ.get("SOAK_SEED", str(random.randrange(10**6))))

    async def scenario(bench: Bench) -> None:
        print(f"SOAK_SEED={seed}")
        for pf, services in PFS.items():
            bench.files.add_pf(pf, services=services, vfs=VFS)
        await bench.kubelet.start()
        soak = Soak(bench, random.Random(seed))
        end = time.monotonic() + seconds
        steps = 0
        done = ["start"]
        while time.monotonic() < end:
            await soak.agrees(", ".join(done))
            done = [await soak.step() for _ in range(soak.chance.randint(1, 3))]
            steps += len(done)
        await soak.agrees(", ".join(done))
        assert status_value(soak.plugin.process, "VmRSS") < 60_000
        print(f"{steps} steps in {seconds:g} seconds")

    run(scenario, seconds + 900)
