# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process that serves follows another: whom it meets at its start, from whom it takes over, and who takes over from it.

`handover.py` has the words that the two exchange, `deployment.py` decides who may take over from whom. Here is when: the lock, its
signature, the socket for a successor, and which process systemd knows as the main one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
import typing as t
from pathlib import Path

from ._node.errors import NodeError
from .deployment import NEXT, SERVICE, Holder, holder_of, takes_over
from .handover import (
    END_SECONDS,
    SECONDS,
    Gone,
    Inheritance,
    Line,
    Nobody,
    Predecessor,
    Reception,
    Reporter,
    socket_of,
)
from .kernel_thread import KernelThread
from .sockets import InstanceLock, beginning_of, fresh_token, make_private, remove_dead, why_away
from .waiting import Wakeup, end

if t.TYPE_CHECKING:
    from .settings import Settings
    from .systemd import Systemd

log = logging.getLogger(__name__)

HAS_TAKEN_OVER = "another process has taken over"

_CHILD_SECONDS = 2.0
"""How long a child of a process that was killed can take to end."""

_MEET_SECONDS = 0.1
"""How often to look again at another instance that is about to end, or to say who it is."""

_LONGEST_NAME = 64
"""Bytes of the name of a deployment that are read."""

_UNSIGNED_SECONDS = 2.0
"""How long one may take to say who it is; it does so at once when it has got the lock."""


class Serving(t.Protocol):
    """What a succession needs of the service of its process."""

    def registered(self) -> list[str]:
        """The resources that kubelet has from here."""

    def serves(self, wanted: frozenset[str]) -> bool:
        """Whether kubelet has from here each list of these that is offered, and nothing that it could have is still to come."""

    def summary(self) -> str:
        """One line on what is offered."""

    def hold(self, on: bool) -> None:
        """Look at nothing and register nothing again while it is on; go on where it is not."""

    async def leave(self) -> None:
        """Serve no longer, for good. The page of its status stays, and says why it is not ready."""


class Succession:
    """The place of this process among those that serve one after the other.

    At its start it `meet`s who serves. Then it either has a predecessor to `take_over` from, or takes charge; in both cases it is to
    `open` its door for a successor once it is in charge. From then on a successor is served by itself, and `stop` is set where this
    process is to end for it. With `settings.take_over` it has been started as the successor of that process, and reports what becomes
    of it.
    """

    def __init__(
        self, settings: Settings, systemd: Systemd, reporter: Reporter, serving: Serving, stop: asyncio.Event
    ) -> None:
        self.lock = InstanceLock(settings.run_dir, settings.socket_dir, self._lock_taken)
        self.is_reload = settings.take_over is not None
        self.is_taking_over = False  # from another process that goes on until then
        self.has_successor = False
        self.is_retired = False
        self._settings = settings
        self._systemd = systemd
        self._reporter = reporter
        self._serving = serving
        self._stop = stop
        self._predecessor: Predecessor | None = None
        self._inheritance: Inheritance | None = None
        self._progress = Wakeup()
        is_pod = settings.deployment != SERVICE  # the processes of several pods can have one id
        self._door = Path(f"{fresh_token()}.sock") if is_pod else socket_of(Path(), os.getpid())
        self._holder = Holder(settings.deployment, self._door.name, settings.instance)
        self._reception: Reception | None = None
        self._notifier: KernelThread | None = None

    @property
    def has_predecessor(self) -> bool:
        """Whether there is a process to take over from."""
        return self._predecessor is not None and self._inheritance is not None

    def is_in_charge(self) -> bool:
        """Whether this process has the lock, and nobody is about to take over; raises NodeError."""
        return not self.has_successor and self.lock.held()

    def progress(self) -> None:
        """Something has changed of what the service of this process offers, or of what kubelet has taken."""
        self._progress.wake()

    async def meet(self) -> None:
        """Get from a predecessor what it has: the lock above all. From then on it looks at no device. Raises NodeError."""
        if self._settings.take_over is None:
            inheritance = await self._meet()
        else:
            path = socket_of(self._settings.run_dir, self._settings.take_over)
            self._predecessor = Predecessor(path, self._settings.take_over)
            inheritance = await self._predecessor.ask()
        if inheritance and inheritance.directory == self._settings.socket_dir:
            self.lock.inherit(inheritance.lock)
        self._inheritance = inheritance

    async def take_over(self) -> None:
        """Serve beside the predecessor until kubelet has every list that it has from there, then in its place; raises NodeError."""
        predecessor, inheritance = self._predecessor, self._inheritance
        assert predecessor
        assert inheritance
        died = asyncio.ensure_future(predecessor.died())
        abandoned = asyncio.ensure_future(self._reporter.watched())
        for task in (died, abandoned):
            task.add_done_callback(lambda _task: self._progress.wake())
        try:
            await self._serves_beside(inheritance.registered, died, abandoned)
        finally:
            await asyncio.gather(end(died), end(abandoned), return_exceptions=True)
        await predecessor.release(stays=not self.is_reload)
        if self.is_reload:
            self._systemd.take_over(inheritance.notify, inheritance.watchdog)
            await predecessor.ended()
        # Otherwise the connection stays: its end has a predecessor that is still there begin again.
        # One that was killed may have left a child that still has its sockets for a moment.
        asyncio.get_running_loop().call_later(_CHILD_SECONDS, self._remove_dead)
        self._inheritance = None
        self.is_taking_over = False
        self._sign()

    def report(self) -> None:
        """Have it known that this process has taken over."""
        assert self._predecessor
        log.info("has taken over", extra={"fields": {"from": self._predecessor.name}})
        self._reporter.serves()

    def open(self) -> None:
        """Listen for a successor. Where that cannot be, it is logged: the service serves without."""
        try:
            make_private(self._settings.run_dir)
            self._reception = Reception(self._settings.run_dir / self._door, self._serve_successor)
            self._reception.open()
        except OSError as error:
            fields = {"directory": self._settings.run_dir, "problem": error.strerror or str(error)}
            log.warning("no other instance can take over from this one", extra={"fields": fields})

    def close(self) -> None:
        """Listen no longer, and refuse a successor that is about to take over."""
        if self._reception:
            self._reception.close()

    async def _meet(self) -> Inheritance | None:
        """See who serves here. None where nobody does, or another one does whose end is waited for; raises NodeError."""
        self._refuse_beside()
        signed_by = time.monotonic() + _UNSIGNED_SECONDS
        while not self._stop.is_set() and not why_away(self._settings.socket_dir) and not self.lock.held():
            holder = holder_of(self.lock.signature())
            if holder is None and time.monotonic() >= signed_by:
                return None  # it is of a release that does not say who it is
            if holder is not None:
                run_dir, settings = self._settings.run_dir, self._settings
                if not takes_over(holder, settings.deployment, settings.instance, self._expected(), str(run_dir)):
                    return None
                predecessor = Predecessor(run_dir / holder.door)
                with contextlib.suppress(Nobody):  # it has ended since
                    inheritance = await predecessor.ask()
                    self._predecessor = predecessor
                    self.is_taking_over = True
                    self._holder = holder.followed_by(settings.deployment, self._door.name, settings.instance)
                    return inheritance
            await asyncio.sleep(_MEET_SECONDS)
        return None

    def _refuse_beside(self) -> None:
        """Raises OtherDeployment where another deployment serves that has kubelet's directory by another name, or another directory."""
        settings = self._settings
        for holder in map(holder_of, self.lock.signatures_beside()):
            if holder is not None and holder.deployment != settings.deployment:
                takes_over(holder, settings.deployment, settings.instance, self._expected(), str(settings.run_dir))

    def _expected(self) -> str:
        """The deployment that may take over from another one, empty where none may; raises NodeError."""
        return beginning_of(self._settings.run_dir / NEXT, _LONGEST_NAME).strip()

    def _lock_taken(self) -> None:
        with contextlib.suppress(NodeError):
            before = holder_of(self.lock.signature())
            self._holder = self._holder.after(before) if before else self._holder
        self._sign()
        if not self.has_predecessor:
            self._remove_dead()

    def _sign(self) -> None:
        """Have others know who serves here.

        What has let this deployment take over has served its purpose once it has. Where the file of the lock was removed, this process has
        one of its own before that, and need not come up.
        """
        try:
            self.lock.sign(self._holder.text())
            if not self.has_predecessor and self._expected() == self._settings.deployment:
                (self._settings.run_dir / NEXT).unlink()
        except (NodeError, OSError) as error:
            fields = {"directory": self._settings.run_dir, "problem": str(error)}
            log.warning("another instance cannot see who serves here", extra={"fields": fields})

    def _remove_dead(self) -> None:
        """What another instance has left can be distinguished from what one needs only while none runs: once the lock is had."""
        removed = remove_dead(self._settings.socket_dir)
        if removed:
            log.info("removed sockets of a dead instance", extra={"fields": {"names": removed}})

    async def _serves_beside(
        self, wanted: frozenset[str], died: asyncio.Future[None], abandoned: asyncio.Future[None]
    ) -> None:
        """Wait until this process serves; raises NodeError where it does not in time, or should not any more."""
        deadline = time.monotonic() + SECONDS
        while not self._serving.serves(wanted):
            left = deadline - time.monotonic()
            if left <= 0:
                raise NodeError(f"kubelet has not taken it within {SECONDS:.0f} seconds: {self._serving.summary()}")
            if died.done():
                died.result()
                return
            if abandoned.done():
                raise NodeError("nobody waits for it any more")
            await self._progress.wait(left)

    async def _serve_successor(self, line: Line) -> None:
        """Hand over to the process at the other end once it serves, and go on here if it never does."""
        lock = self.lock.share()
        if self.has_successor or lock is None:
            line.send({"refused": "another process takes over" if lock is not None else "it does not serve itself"})
            return
        pid, _user = line.peer()
        log.info("another process is about to take over", extra={"fields": {"process": pid}})
        timer = asyncio.get_running_loop().call_later(
            SECONDS + END_SECONDS, line.send, {"refused": "it takes too long"}
        )
        late = asyncio.get_running_loop().call_later(SECONDS + END_SECONDS, line.shut)
        self._set_successor(True)
        try:
            line.send(self._estate(), lock)
            message, _descriptors = await line.receive()
            if message.get("serves") is not True:
                raise Gone
            timer.cancel()
            late.cancel()
            if message.get("stays") is True:
                await self._retire(line)
                return
            await self._name_to_systemd(line, pid)
            line.send({"yours": True})
            log.info("another process has taken over", extra={"fields": {"process": pid}})
            self._stop.set()
            await asyncio.get_running_loop().create_future()  # the connection ends with this process
        except Gone:
            log.warning("the other process has not taken over; this one goes on", extra={"fields": {"process": pid}})
            self._set_successor(False)
        except asyncio.CancelledError:
            if self._settings.deployment == SERVICE:  # with which systemd ends the other process, too
                line.send({"refused": "it is stopping"})
            raise
        finally:
            timer.cancel()
            late.cancel()

    async def _name_to_systemd(self, line: Line, pid: int) -> None:
        """Have systemd take the process at the other end for the main one. Raises Gone where that cannot be, and the other knows it."""
        self._notifier = self._notifier or KernelThread("systemd")
        try:
            is_named = await self._notifier.run(lambda: self._systemd.hand_over(pid))
            problem = "" if is_named else "systemd does not listen"
        except OSError as error:  # no descriptor is to be had, or no thread
            problem = f"systemd cannot be notified: {error.strerror or error}"
        if problem:
            line.send({"refused": problem})
            raise Gone

    async def _retire(self, line: Line) -> None:
        """Make way for the process at the other end, and do nothing from then on; end when that has gone.

        Whoever has started this process would start it again at its end, beside the other one.
        """
        self.is_retired = True
        await self._serving.leave()
        if self._reception:
            self._reception.shut()
        self.lock.release()
        self._systemd.status(f"not ready; {HAS_TAKEN_OVER}")
        line.send({"yours": True})
        log.info("another process has taken over; this one does nothing until it is ended")
        with contextlib.suppress(Gone):
            while True:
                await line.receive()
        log.warning("the process that has taken over has gone; this one ends, to be started again")
        self._stop.set()

    def _estate(self) -> dict[str, t.Any]:
        """What a successor is given, see handover.Inheritance."""
        return {
            "directory": str(self._settings.socket_dir),
            "registered": self._serving.registered(),
            "notify": self._systemd.address,
            "watchdog": self._systemd.watchdog_seconds,
        }

    def _set_successor(self, has_one: bool) -> None:
        """While there is one, nothing is looked at, as a heartbeat must have one reader, and nothing is registered again."""
        self.has_successor = has_one
        self._serving.hold(has_one)
