# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service: looks at the PFs when somebody asks for metrics, and goes round the VFs of pods where that is wanted.

All that reads the kernel is in one thread, which can hang for as long as the kernel lets it; the page is made without it then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
import typing as t
from dataclasses import dataclass

from .._node.devices.activity import activity_of
from .._node.devices.read import read_devices
from .._node.devices.telemetry import SAMPLE_SECONDS
from .._node.errors import NodeError
from .._node.facts.paths import KUBELET_ROOTS
from ..attribution import Attribution, ask, attributed
from ..kernel_thread import KernelThread
from ..status_page import Page
from ..systemd import Systemd
from ..waiting import end
from . import collection
from .collection import Collection
from .exposition import exposition
from .sampling import TURN_SECONDS, Sampler
from .switches import switch_off

if t.TYPE_CHECKING:
    from .._node.devices.activity import PfActivity
    from .._node.devices.snapshot import QatDevice
    from .._node.kernel.live import Kernel
    from .switches import Switches

log = logging.getLogger(__name__)

ANSWER_SECONDS = 4.0
"""So long a page waits for the kernel. Below what a client is given for its answer (status_page.ANSWER_SECONDS)."""

FRESH_SECONDS = SAMPLE_SECONDS
"""How old a look may be that a page is made of: telemetry has no more samples, and whoever reaches the page has the firmware asked."""

LOOK_SECONDS = 10.0
"""How often to look which PFs and VFs there are, and which of these pods have, for samples of VFs."""

STUCK_SECONDS = 60.0
"""A look at the PFs that takes longer is reported as a fault."""

END_SECONDS = 10.0
"""How long the end waits for the kernel to switch telemetry off. What is left then is in the record."""


@dataclass(frozen=True)
class Settings:
    """What an operator can set. `switches` says whether telemetry is switched on; `kubelet_roots` are for `per_vf` alone."""

    metrics_address: tuple[str, int]
    switches: bool = True
    per_vf: bool = False
    kubelet_roots: tuple[str, ...] = KUBELET_ROOTS


@dataclass(frozen=True)
class Health:
    """How the service is itself. Both are empty where nothing is wrong."""

    unhealthy: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()


class Exporter:
    """Runs until SIGTERM or SIGINT."""

    def __init__(
        self, settings: Settings, kernel: Kernel, switches: Switches, environment: t.Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._kernel = kernel
        self._switches = switches
        self._systemd = Systemd(environment)
        self._thread = KernelThread()
        self._stop = asyncio.Event()
        self._sampler = Sampler(kernel)
        self._attribution = Attribution()
        self._looked = float("-inf")
        self._devices: tuple[QatDevice, ...] = ()
        self._collecting: asyncio.Future[Collection] | None = None
        self._switching: asyncio.Future[None] | None = None
        self._last = Collection(problem="nobody has looked so far")
        self._began = time.monotonic()
        self._ending = False
        self._unwritten = ""
        self.errors = collection.errors()

    async def run(self) -> None:
        """Serve until asked to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        page = Page(self.health, self.errors, self._metrics, *self._settings.metrics_address)
        tasks = [asyncio.ensure_future(page.run())]
        if self._settings.per_vf:
            tasks += [asyncio.ensure_future(one) for one in (self._ask_kubelet(), self._go_round())]
        if self._systemd.watchdog_seconds:
            tasks.append(asyncio.ensure_future(self._watchdog(self._systemd.watchdog_seconds / 3)))
        first = asyncio.ensure_future(self._collected())  # so that telemetry is on when the first one asks
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([first, stopped], return_when=asyncio.FIRST_COMPLETED)
        self._systemd.ready()
        await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        self._systemd.stopping()
        failed = [task for task in tasks if task.done()]
        await asyncio.gather(*(end(task) for task in (*tasks, first, stopped)))
        self._ending = True
        await self._switch_off()
        for task in failed:
            task.result()  # an error of the program, which ends with it and is started again

    def stop(self) -> None:
        """End after what is being done."""
        self._stop.set()

    def health(self) -> Health:
        """How it is now."""
        waited = time.monotonic() - self._began if self._collecting is not None else 0.0
        stuck = (f"the kernel has not answered for {waited:.0f} seconds",) if waited > STUCK_SECONDS else ()
        problem = self._last.problem
        return Health(stuck, ((problem,) if problem else ()) + stuck)

    async def _metrics(self) -> bytes:
        found = await self._collected()
        return exposition(found, self.errors, time.monotonic())

    async def _collected(self) -> Collection:
        """The PFs as they were a moment ago; without any where the kernel does not say it in time, so that no series is old."""
        asked = time.monotonic()
        while self._last.problem or self._last.begun < asked - FRESH_SECONDS:
            if self._collecting is None:
                self._begin()
            assert self._collecting is not None
            left = asked + ANSWER_SECONDS - time.monotonic()
            done, _pending = await asyncio.wait([self._collecting], timeout=max(left, 0.0))
            if not done:
                self.errors["collection"] += 1
                return Collection(seconds=time.monotonic() - self._began, problem="the kernel has not answered in time")
            # It may have been begun for somebody else, long before this one asked.
            if self._last.begun >= asked - FRESH_SECONDS:
                break
        return self._last

    def _begin(self) -> None:
        self._began = time.monotonic()
        self._collecting = asyncio.ensure_future(self._collect())

    async def _collect(self) -> Collection:
        try:
            found = await self._thread.run(self._look)
        except Exception as error:
            # Whatever it is, the page says that nothing is known, and the next one asks again.
            found = Collection(begun=self._began, problem=_words(error))
        finally:
            self._collecting = None
        before, self._last = self._last, found
        if not found.problem:
            # After the page, which it may hold up for seconds, and before the next look: work of the thread is done in turn.
            self._switching = asyncio.ensure_future(self._switched(found.pfs))
        if found.problem:
            self.errors["collection"] += 1
            if found.problem != before.problem:
                log.error("nothing is known of the PFs", extra={"fields": {"problem": found.problem}})
        on = sum(one.telemetry.sample is not None for one in found.pfs)
        self._systemd.status(found.problem or f"ready; {len(found.pfs)} PFs, the telemetry of {on} is on")
        self._systemd.say_again()
        return found

    def _look(self) -> Collection:
        """In the thread: all PFs. Raises NodeError or OSError where nothing can be seen."""
        begun = time.monotonic()
        pfs = activity_of(self._kernel, read_devices(self._kernel))
        samples = tuple(self._sampler.samples.values())
        return Collection(pfs, samples, self._pods(one.device for one in pfs), begun, time.monotonic() - begun)

    def _pods(self, devices: t.Iterable[QatDevice]) -> collection.Pods:
        if not self._settings.per_vf:
            return collection.Pods()
        known = self._attribution
        return collection.Pods(known.containers(_vfs(devices)), known.problem, known.seen)

    async def _switched(self, pfs: t.Sequence[PfActivity]) -> None:
        try:
            await self._thread.run(lambda: self._switch(pfs))
        except Exception:
            log.exception("telemetry cannot be switched")

    def _switch(self, pfs: t.Sequence[PfActivity]) -> None:
        """In the thread: switch telemetry on where it is off."""
        # A look for a page that nobody waits for any more may come after all was switched off.
        if self._ending:
            return
        try:
            if self._settings.switches:
                self._switches.switch_on(pfs)
            elif self._switches.ours:
                # An exporter before this one may have been killed.
                self._switches.switch_off([one.device for one in pfs])
        except OSError as error:
            # Nothing is switched on that would not be in the record.
            self.errors["record"] += 1
            problem = error.strerror or str(error)
            if problem != self._unwritten:
                log.error("the record cannot be written", extra={"fields": {"problem": problem}})
            self._unwritten = problem
        else:
            self._unwritten = ""

    async def _ask_kubelet(self) -> None:
        """Ask now and then which pods have VFs."""
        thread = KernelThread("pods")
        while True:
            named = await ask(thread, self._settings.kubelet_roots)
            before, self._attribution = self._attribution, attributed(self._attribution, named, time.monotonic())
            problem = self._attribution.problem
            if problem:
                self.errors["pods"] += 1
                if problem != before.problem:
                    log.warning("which pods have VFs is not known", extra={"fields": {"problem": problem}})
            await asyncio.sleep(LOOK_SECONDS)

    async def _go_round(self) -> None:
        while True:
            with contextlib.suppress(NodeError, OSError):  # the metrics say so, whose reading fails as well
                await self._thread.run(self._turn)
            await asyncio.sleep(TURN_SECONDS)

    def _turn(self) -> None:
        """In the thread: the next VFs, of those PFs whose telemetry this exporter has switched on."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._devices = tuple(one for one in read_devices(self._kernel).qat if not one.is_vf)
            self._looked = now
        ours = self._switches.ours
        given = self._attribution.containers(_vfs(self._devices))
        self._sampler.step([one for one in self._devices if one.address in ours], given, now)

    async def _switch_off(self) -> None:
        task = asyncio.ensure_future(self._thread.run(lambda: switch_off(self._kernel, self._switches)))
        done, _pending = await asyncio.wait([task], timeout=END_SECONDS)
        problem = (
            "" if done and not task.exception() else _words(task.exception()) if done else "the kernel does not answer"
        )
        if problem or not task.result():
            fields = {"problem": problem or "the kernel refuses it"}
            log.error("telemetry stays on; the next start, or --switch-off, knows where", extra={"fields": fields})

    async def _watchdog(self, pause: float) -> None:
        while True:
            self._systemd.alive()
            await asyncio.sleep(pause)


def _vfs(devices: t.Iterable[QatDevice]) -> t.Iterator[tuple[str, str | None]]:
    """Each VF by its address and its IOMMU group."""
    return ((vf.address, vf.iommu_group) for one in devices for vf in one.vfs)


def _words(error: BaseException | None) -> str:
    return error.sentence() if isinstance(error, NodeError) else str(error) or type(error).__name__
