# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service: one task that scans the node, one for each resource, and what operators and systemd want."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
import typing as t
from dataclasses import replace
from pathlib import Path

from . import cdi
from ._node.devices.read import read_devices
from ._node.devices.rules import Rule
from ._node.errors import NodeError
from ._node.facts.paths import VFIO
from ._node.facts.services import is_for_vms
from ._node.kernel.live import LiveKernel
from ._node.printable import printable
from ._node.users.pods import Checkpoint, Pods, address_of
from .attribution import Attribution, ask, attributed
from .catalogue import Claims, Given, Groups, Snapshot, claims_of
from .claims import ClaimsLook
from .configuration import Configuration
from .events import DeviceWatch, DirectoryWatch, remedy_for
from .handover import Reporter
from .kernel_thread import KernelThread
from .model import (
    CHECKPOINT_SECONDS,
    Model,
    Scan,
    advance,
    changes,
    nothing_to_offer,
    with_claims,
    with_rules,
    without_vfs,
)
from .nfd import Labeler
from .probe import Prober, names_in, read_groups
from .registration import Registrar, SocketRegistrar, WatcherRegistrar
from .server import Behaviour, Offer, ResourceServer
from .settings import Settings
from .statistics import Statistics
from .status import Status
from .status_page import StatusPage
from .succession import HAS_TAKEN_OVER, Succession
from .systemd import Systemd
from .waiting import Wakeup, end, settle
from .warming import warm_up

log = logging.getLogger(__name__)

_QUIET = 0.05
_QUIET_LIMIT = 0.3
"""Events of one cause come in swarms; this long after the last, and after the first, the node is looked at."""

_WHOLE_SCAN = 12
"""Periods between two whole scans of the node where events report its changes. Without events each period has one."""

_STALE = 30.0
"""Seconds after which the last scan is too old for readiness, besides three periods."""

_NO_VFS = "create them on the host, as qat-node.service does at each boot; qatctl status says why it has not"
_NO_CDI_NAMES = "cannot write the CDI specification; until it is written containers get no CDI names"
_NO_CDI = "cannot write the CDI specification; until it is written Kata's cold plug does not find the VFs"
_NO_CHECKPOINT = "kubelet's checkpoint cannot be read"
_OTHER_ROOT = "where kubelet has another root directory (--root-dir), name it with --kubelet-root"
_NO_CLAIMS = "what kubelet keeps of claims cannot be read; what was known of them last counts"


class Service:
    """Runs until SIGTERM or SIGINT, or until a successor has taken over. `rules` are the configuration as it was at the start.

    With `settings.take_over` it is such a successor itself, and reports what becomes of it; or it finds at its start that it is one.
    """

    def __init__(
        self,
        settings: Settings,
        rules: tuple[Rule, ...],
        environment: t.Mapping[str, str],
        reporter: Reporter | None = None,
    ) -> None:
        self.statistics = Statistics()
        self.registrars: dict[str, Registrar] = {}
        self.model = Model()
        self.last_scan = time.monotonic()
        self._last_end = self.last_scan  # of a scan that failed, too
        self._settings = settings
        self._configuration = Configuration(settings.config, rules, self.statistics.reloads)
        self._kernel = LiveKernel(settings.sysfs_root, settings.proc_root, settings.dev_root)
        self._prober = Prober(self._kernel)
        self._pods = Pods(settings.kubelet_roots)
        self._kept_problems: dict[str, str] = {}
        self._thread = KernelThread()
        self._claims_look = ClaimsLook(self._see_claims, self._claims_found)
        self._attribution = Attribution() if settings.pod_labels else None
        # Not the main process yet, which is the only one that systemd listens to.
        self._systemd = Systemd({} if settings.take_over is not None else environment)
        self._wakeup = Wakeup()
        self._stop = asyncio.Event()
        self._succession = Succession(settings, self._systemd, reporter or Reporter(), self, self._stop)
        self._tasks: list[asyncio.Task[None]] = []
        self._lasting: list[asyncio.Task[None]] = []  # that go on when another process has taken over
        self._has_events = False
        self._specifications = cdi.Specifications(settings.cdi_dir)
        self._cdi_problem = ""
        self._labeler = self._make_labeler() if settings.nfd else None
        self._failure: BaseException | None = None

    @property
    def stale_after(self) -> float:
        """The age in seconds at which the last scan no longer counts."""
        return max(_STALE, 3 * self._settings.period)

    def status(self) -> Status:
        """How it is now."""
        unhealthy, stale = self._unhealthy(), self._stale()
        return Status(
            self.model,
            time.monotonic() - self.last_scan,
            {name: registrar.registered for name, registrar in self.registrars.items()},
            {name: registrar.streams for name, registrar in self.registrars.items()},
            unhealthy,
            (*self._unready(), *stale, *unhealthy),
            self._attribution,
            self._attribution_age(),
            bool(stale),
        )

    def _attribution_age(self) -> float | None:
        seen = self._attribution.seen if self._attribution else None
        return None if seen is None else time.monotonic() - seen

    def _unready(self) -> list[str]:
        if self._succession.is_retired:
            return [HAS_TAKEN_OVER]
        problems = []
        if not self.registrars and not self._nothing_to_offer():
            problems = ["there is no VF to offer", *self._left_out()]
        for resource, registrar in self.registrars.items():
            if not registrar.registered:
                problems.append(f"{resource} is not registered")
            elif not registrar.streams:
                problems.append(f"{resource} has no stream")
        return problems

    def _nothing_to_offer(self) -> bool:
        """Whether it is by the configuration that there is no VF to offer."""
        return self.model.snapshot is not None and nothing_to_offer(self._configuration.rules, self.model.snapshot.node)

    def _stale(self) -> tuple[str, ...]:
        if self._succession.is_retired:
            return ()
        age = time.monotonic() - self.last_scan
        return (f"the last scan that saw the whole node was {age:.0f} seconds ago",) if age > self.stale_after else ()

    def _unhealthy(self) -> tuple[str, ...]:
        """For what watches over the process, as a pod's liveness probe: a new one has to be better than the list that kubelet has."""
        fine = self._succession.is_retired or self._ends_scans()
        return () if fine else ("the kernel does not let a scan come to its end",)

    def _ends_scans(self) -> bool:
        """Whether scans come to an end. That they fail is another thing: those of a new process would fail, too."""
        return self._succession.has_successor or time.monotonic() - self._last_end <= self.stale_after

    async def run(self) -> None:
        """Serve until asked to stop; raises NodeError where the node cannot be read at all."""
        self._handle_signals()
        await self._succession.meet()
        with contextlib.ExitStack() as watches:
            watches.callback(self._succession.close)
            self._watch_node(watches)
            self._watch_directory(watches, self._settings.socket_dir, self._socket_dir_changed)
            await warm_up(self._settings.run_dir, self._kernel)
            if not await self._first_scan():
                return
            self._watch_directory(watches, self._settings.config.parent, self._config_dir_changed)
            self._start(self._scan_loop())
            if self._succession.has_predecessor:
                self._start(self._take_over())
            else:
                self._take_charge()
            await self._stop.wait()
            log.info("stopping")
            if not self._succession.has_successor:
                self._systemd.stopping()
            await asyncio.gather(*(end(task) for task in (*self._tasks, *self._lasting)))
            if self._labeler:
                await self._labeler.end()
            self._succession.lock.release()
        self._systemd.close()
        if self._failure:
            raise self._failure

    async def _take_over(self) -> None:
        """Serve in place of the predecessor, once kubelet has its lists from here."""
        await self._succession.take_over()
        self._take_charge()
        self._notify_systemd()
        self._wakeup.wake()  # to see what the predecessor has given to pods last
        self._succession.report()

    def _take_charge(self) -> None:
        """Do what only one instance can do at a time."""
        self._succession.open()
        if self._systemd.watchdog_seconds:
            self._start(self._watchdog(self._systemd.watchdog_seconds / 3), lasting=True)
        if self._settings.metrics_address:
            page = StatusPage(self.status, self.statistics, *self._settings.metrics_address)
            self._start(page.run(), lasting=True)
        if self._settings.pod_labels and (self._settings.metrics_address or self._labeler):
            self._start(self._attribution_loop())
        if self._labeler:
            self._start(self._labeler.run())

    def _make_labeler(self) -> Labeler:
        # Two that write by turns would change the node's labels each time.
        serves = self._succession.is_in_charge
        return Labeler(self._settings.nfd_dir, self._settings.period, self.statistics, self.status, serves)

    def registered(self) -> list[str]:
        """The resources that kubelet has from here."""
        return [name for name, registrar in self.registrars.items() if registrar.registered]

    def serves(self, wanted: frozenset[str]) -> bool:
        """Whether kubelet has from here each list of these that is offered, and nothing that it could have is still to come."""
        if wanted and not self._succession.is_reload and not self.registrars and not self._nothing_to_offer():
            return False  # an update stops at a pod that sees nothing where the one before it serves
        return self._is_prepared() and all(
            registrar.registered for resource, registrar in self.registrars.items() if resource in wanted
        )

    def hold(self, on: bool) -> None:
        """Look at nothing and register nothing again while it is on; go on where it is not."""
        self.last_scan = self._last_end = time.monotonic()
        for registrar in self.registrars.values():
            registrar.hold(on)
        if not on:
            self._wakeup.wake()

    async def leave(self) -> None:
        """Serve no longer, for good. The page of its status stays, and says why it is not ready."""
        leaving, self._tasks = self._tasks, []
        await asyncio.gather(*(end(task) for task in leaving))
        self.registrars.clear()
        self.model = Model()
        self._attribution = None

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        # Those that came while the program was starting are handled now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))

    async def _first_scan(self) -> bool:
        """Scan, and return True; or False when asked to stop before the kernel has answered."""
        scan = asyncio.ensure_future(self._scan(whole=True))
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([scan, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not scan.done():
            await end(scan)
            return False
        try:
            scan.result()
        except OSError as error:
            raise NodeError(f"cannot scan the node: {error}", remedy="systemd starts the service again") from None
        return True

    def _start(self, work: t.Coroutine[t.Any, t.Any, None], lasting: bool = False) -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)
        (self._lasting if lasting else self._tasks).append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """No task ends by itself but by an error of the program, which should end the service and be seen."""
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
            self._stop.set()

    def _watch_directory(self, watches: contextlib.ExitStack, path: Path, changed: t.Callable[[], None]) -> None:
        """Without a watch the directory is still looked at, every few seconds."""
        try:
            watches.callback(DirectoryWatch(path, changed).close)
        except OSError as error:
            fields = {"directory": path, "problem": error.strerror, "remedy": remedy_for(error)}
            log.warning("changes of a directory are seen late", extra={"fields": fields})

    def _watch_node(self, watches: contextlib.ExitStack) -> None:
        self._watch_directory(watches, Path(self._settings.dev_root) / "vfio", self._wakeup.wake)
        try:
            devices = DeviceWatch(self._wakeup.wake)
        except OSError as error:
            log.warning("the kernel's device events cannot be had", extra={"fields": {"problem": error.strerror}})
            return
        watches.callback(devices.close)
        self._has_events = events_are_about(self._settings.sysfs_root)

    def _socket_dir_changed(self) -> None:
        for registrar in self.registrars.values():
            registrar.wakeup.wake()

    def _config_dir_changed(self) -> None:
        """The look at it waits until all is quiet: an editor takes several steps to write a file again."""
        if self._configuration.is_written():
            self._wakeup.wake()

    async def _scan_loop(self) -> None:
        """Scan when something happened, and each period at what gives no event."""
        self._follow_configuration()
        whole_every = self._settings.period * (_WHOLE_SCAN if self._has_events else 1)
        next_whole = time.monotonic() + whole_every
        problem = ""
        while True:
            woken = await self._wakeup.wait(self._pause())
            if woken:
                await settle(self._wakeup, _QUIET, _QUIET_LIMIT)
            if self._succession.has_successor:
                continue
            self._succession.lock.keep()
            self._follow_configuration()
            # Of the end of what blocks a device there may be no event, or one that comes too early.
            whole = woken or time.monotonic() >= next_whole or self.model.is_blocked
            try:
                await self._scan(whole)
            except (NodeError, OSError) as error:
                self.statistics.errors["scan"] += 1
                before, problem = problem, error.sentence() if isinstance(error, NodeError) else str(error)
                if problem != before:
                    log.error("cannot scan the node", extra={"fields": {"problem": problem}})
            else:
                problem = ""
            if whole:
                next_whole = time.monotonic() + whole_every

    async def _attribution_loop(self) -> None:
        """Ask kubelet each period who has which VF, however often that is scraped."""
        thread = KernelThread("pods")
        attribution, is_late, is_there = Attribution(), False, False
        while True:
            was_there, is_there = is_there, bool(self.registered())
            named = await ask(thread, self._settings.kubelet_roots)
            before, was_late = attribution, is_late
            self._attribution = attribution = attributed(before, named, time.monotonic())
            is_late = is_late or (was_there and is_there)
            if attribution.problem:
                self.statistics.errors["pods"] += 1
                if (attribution.problem, is_late) != (before.problem, was_late):
                    _say_unknown(attribution, is_late)
            await asyncio.sleep(self._settings.period)

    def _pause(self) -> float:
        """Seconds to the next scan: a period, or less where a heartbeat, or what was given by the former rules, needs to be confirmed."""
        # Those that are left to another reader are decided by nothing that this process does.
        undecided = () if self._succession.lock.is_of_another else self.model.undecided
        soonest = [self._prober.next_heartbeat(address) for address in undecided]
        if self.model.given_until > self.last_scan:
            # Not at once after one that failed.
            soonest.append(max(self.model.given_until, self._last_end + CHECKPOINT_SECONDS))
        wait = min(soonest, default=float("inf")) - time.monotonic()
        return min(self._settings.period, max(wait, 0.0) + 0.01)

    async def _scan(self, whole: bool) -> None:
        """Scan the node and report to everybody what follows."""
        snapshot = self.model.snapshot
        try:
            scan = await self._thread.run(lambda: self._see(whole, snapshot))
        finally:
            self._last_end = time.monotonic()
        self.last_scan = scan.now
        self._systemd.say_again()
        scan = replace(scan, claims=self._claims_look.of_scan(scan.claims, scan.now))
        self._become(advance(self.model, scan, self._configuration.rules))

    def _see(self, whole: bool, known: Snapshot | None) -> Scan:
        """In the thread: read what there is to read. Raises NodeError or OSError where any of it cannot be seen."""
        if whole or known is None:
            node = read_devices(self._kernel)
            groups: Groups = read_groups(self._kernel, node)
        else:
            node, groups = known.node, known.groups
        # After the drivers: what is bound by then has its node.
        names = names_in(self._kernel, VFIO)
        now = time.monotonic()
        # One that waits for the end of another leaves them to that one.
        readings, without_heartbeat = self._prober.probe(
            node.qat, now, heartbeats=not self._succession.lock.is_of_another
        )
        snapshot = Snapshot(node, frozenset(names), groups)
        kept = self._pods.kept()
        return Scan(
            now,
            snapshot,
            readings,
            without_heartbeat,
            self._given(kept.devices),
            self._named(),
            self._claims(kept.claims),
        )

    def _named(self) -> frozenset[str] | None:
        """The devices of which kubelet has said last that pods have them, None while it has said nothing. It is not asked here."""
        attribution = self._attribution
        return frozenset(attribution.by_device) if attribution and attribution.seen is not None else None

    def _given(self, kept: Checkpoint) -> Given | None:
        """The resources by which pods have VFs, by kubelet's checkpoint. None where it cannot be read."""
        if not self._is_read(kept, _NO_CHECKPOINT):
            self.statistics.errors["checkpoint"] += 1
            return None
        given: dict[str, frozenset[str]] = {}
        for one in kept.given:
            address = address_of(one.device)
            given[address] = given.get(address, frozenset()) | {one.resource}
        return given

    def _claims(self, kept: Checkpoint) -> Claims | None:
        """What pods have by claims, by what kubelet keeps of them. None where it cannot be read.

        What kubelet answers when it is asked decides nothing: it is not known yet at a start, and may be of a while ago.
        """
        if not self._is_read(kept, _NO_CLAIMS):
            self.statistics.errors["claims"] += 1
            return None
        return claims_of((one.resource, address_of(one.device)) for one in kept.given)

    def _see_claims(self) -> Claims | None:
        """The same, in the thread of a look."""
        return self._claims(self._pods.kept_claims())

    def _claims_found(self, claims: Claims) -> None:
        """A look has seen these besides the scans."""
        if claims != self.model.claims and self.model.snapshot is not None:
            self._become(with_claims(self.model, claims, self._configuration.rules, time.monotonic()))

    def _is_read(self, kept: Checkpoint, otherwise: str) -> bool:
        """Whether it could be read. Where it could not, the log says so once for each reason."""
        if kept.problem and kept.problem != self._kept_problems.get(otherwise):
            log.warning(otherwise, extra={"fields": {"problem": kept.problem}})
        self._kept_problems[otherwise] = kept.problem
        return not kept.problem

    def _become(self, model: Model) -> None:
        for change in changes(self.model, model):
            log.log(logging.WARNING if change["event"] == "unhealthy" else logging.INFO, "VF", extra={"fields": change})
        for address, why in model.left_out.items():
            if why != self.model.left_out.get(address):
                log.warning("PF is left out", extra={"fields": {"pf": address, "why": why}})
        missing, before = without_vfs(model), without_vfs(self.model)
        for address, count in missing.items():
            if address not in before:
                fields = {"pf": address, "expected": count, "remedy": _NO_VFS}
                log.warning("PF has no VFs", extra={"fields": fields})
        self.model = model
        for resource, offer in model.offers.items():
            if resource in self.registrars:
                self.registrars[resource].publish(offer)
            else:
                self._add_registrar(resource, offer)
        self._write_cdi()
        self._notify_systemd()

    def _add_registrar(self, resource: str, offer: Offer) -> None:
        self.statistics.add_resource(resource)
        kind = SocketRegistrar if self._settings.registration == "socket" else WatcherRegistrar
        registrar = kind(
            resource,
            self._settings.socket_dir,
            offer,
            self._make_server,
            self._succession.lock,
            self.statistics,
            self._notify_systemd,
        )
        self.registrars[resource] = registrar
        self._start(registrar.run())

    def _make_server(
        self, resource: str, directory: Path, offer: Offer, changed: t.Callable[[], None]
    ) -> ResourceServer:
        behaviour = Behaviour(self._settings.allocation_policy, self._names_by_cdi, self._claims_look.again)
        # In the other directory kubelet looks into subdirectories, and removes nothing.
        keep = self._settings.registration == "socket"
        return ResourceServer(resource, directory, offer, self._kernel, behaviour, self.statistics, changed, keep)

    def _names_by_cdi(self) -> bool:
        """Whether the runtime can find VFs by their CDI names: it refuses a container with a name that it does not find."""
        return self._settings.cdi and not self._cdi_problem

    def _write_cdi(self) -> None:
        """Write what runtimes need to find VFs, if it differs. What kubelet hands out names it with `--cdi` only."""
        offers = {
            # A container that has a VF by a former rule may start again.
            resource: [vf.address for vf in offer if not is_for_vms(resource) or vf.given_otherwise]
            for resource, offer in self.model.offers.items()
        }
        try:
            self._specifications.write(self._kernel, offers, by_name=self._settings.cdi)
            problem = ""
        except OSError as error:
            problem = error.strerror or str(error)
            self.statistics.errors["cdi"] += 1
        before, self._cdi_problem = self._cdi_problem, problem
        fields = {"directory": self._settings.cdi_dir, **({"problem": problem} if problem else {})}
        if problem and problem != before:
            log.error(_NO_CDI_NAMES if self._settings.cdi else _NO_CDI, extra={"fields": fields})
        elif before and not problem:
            log.info("the CDI specification is written again", extra={"fields": fields})

    def _follow_configuration(self) -> None:
        """Reload the configuration if its file was written again, unless it says the same."""
        if self._configuration.differs():
            self._reload()

    def _reload(self) -> None:
        """Take the configuration again, or keep the one there is and say why."""
        self._systemd.reloading()
        if self._configuration.reload():
            self._become(with_rules(self.model, self._configuration.rules, time.monotonic()))
        self._systemd.reloaded()

    def _notify_systemd(self) -> None:
        """READY is for the start alone: kubelet, which starts after it, finds all in place. The status says how it is now.

        Its first words are what the role waits for.
        """
        self._systemd.status(f"{'ready' if self._is_taken() else 'not ready'}; {self.summary()}")
        if self._is_prepared():
            self._systemd.ready()
        self._succession.progress()

    def _is_prepared(self) -> bool:
        """Whether nothing is left to do before kubelet comes."""
        return self.model.snapshot is not None and all(registrar.prepared for registrar in self.registrars.values())

    def _is_taken(self) -> bool:
        """Whether kubelet has taken everything that is offered, if anything should be, from nobody but this process."""
        registered = [registrar.registered for registrar in self.registrars.values()]
        return (
            not self._succession.is_taking_over and all(registered) and (bool(registered) or self._nothing_to_offer())
        )

    def summary(self) -> str:
        """One line on what is offered."""
        parts = []
        for resource, offer in self.model.offers.items():
            healthy = sum(vf.healthy for vf in offer)
            parts.append(f"{resource}: {healthy} of {len(offer)} VFs healthy{_state(self.registrars[resource])}")
        return "; ".join(parts or self._why_nothing())

    def _why_nothing(self) -> list[str]:
        if self._nothing_to_offer():
            return ["nothing to offer by the configuration"]
        left_out = self._left_out()
        return ["no VF to offer", *left_out] if left_out else ["no VF to offer (qatctl status says why)"]

    def _left_out(self) -> list[str]:
        return [f"the PF {address} is left out: {why}" for address, why in self.model.left_out.items()]

    async def _watchdog(self, pause: float) -> None:
        """Feed systemd's watchdog while scans come to an end."""
        while True:
            if self._ends_scans():
                self._systemd.alive()
            await asyncio.sleep(pause)


def _say_unknown(attribution: Attribution, is_late: bool) -> None:
    """Log why it is not known who has which VF. A kubelet that has had a list for a while is not only about to start."""
    fields = {"problem": attribution.problem}
    if attribution.seen is None and is_late:
        fields["remedy"] = _OTHER_ROOT
    level = logging.INFO if attribution.seen is None and not is_late else logging.WARNING
    log.log(level, "which pods have VFs is not known", extra={"fields": fields})


def _state(registrar: Registrar) -> str:
    if registrar.registered:
        return ""
    obstacle = printable(" ".join(registrar.obstacle.split()))  # one line, whatever kubelet has said
    return ", not registered" + (f" ({obstacle})" if obstacle else "")


def events_are_about(sysfs_root: str) -> bool:
    """Whether the kernel's events are about this sysfs: they are of this machine and its network namespace."""
    return sysfs_root == "/sys"


async def serve(settings: Settings, rules: tuple[Rule, ...], reporter: Reporter) -> None:
    """Run a service in this process."""
    await Service(settings, rules, os.environ, reporter).run()
