# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps one resource known to kubelet, in one of the two ways that kubelet offers.

Kubelet never tries again by itself: after its restart, a refusal or the end of the stream it waits for the plugin. So each
registrar serves, makes itself known, watches for what ends that, and begins again with a fresh server. Facts of kubelet are from
k8s.io/kubernetes pkg/kubelet/cm/devicemanager and pkg/kubelet/pluginmanager.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import os
import time
import typing as t
from pathlib import Path

from ._node.errors import NodeError
from ._node.facts.paths import KUBELET_SOCKET
from ._node.users.grpc_call import RpcError, call
from .kernel_thread import KernelThread
from .messages import REGISTRATION_SERVICE, VERSION
from .messages import v1beta1 as api
from .server import Offer, ResourceServer, options
from .sockets import Identity, InstanceLock, identity, why_away, why_unseen
from .statistics import Statistics
from .waiting import Wakeup, complete

log = logging.getLogger(__name__)

FIRST_DELAY = 0.1
LONGEST_DELAY = 8.0
STREAM_SECONDS = 5.0
"""How long kubelet may take to open ListAndWatch once it knows the plugin."""
_AT_ONCE = 5
"""How often in a row a registration that kubelet ends is followed by the next at once.

Kubelets before 1.37 end it once or twice when another instance of ours ends, and until the next they refuse pods for good.
"""
_FIRST_KNOCK, _LAST_KNOCK = 0.0005, 2.0
"""Seconds between tries while nobody listens on kubelet.sock: kubelet makes the file a moment before it listens."""
SETTLED_SECONDS = 10.0
"""A registration that held this long was a good one: after its end the delays start small again."""
_REPORT_SECONDS = 2.0
"""How long the log waits for the list, to report it too."""
_LOOK_SECONDS = 2.0
"""How often to look even if no event came."""
UNFOUND_SECONDS = 120.0
"""How long kubelet may take to find a socket. One whose event it has lost, as under a limit of inotify, it never finds."""
_STANDBY_SECONDS = 0.5
_REGISTER_SECONDS = 15.0
"""Kubelet dials back before it answers, for which it allows itself 10 seconds."""

MakeServer = t.Callable[[str, Path, Offer, t.Callable[[], None]], ResourceServer]


class _Lost(Exception):
    """The registration is over; the message says why. `waits` says whether to wait before the next one."""

    def __init__(self, why: str, waits: bool) -> None:
        super().__init__(why)
        self.waits = waits


class _Refused(Exception):
    """Kubelet did not take the registration; the message is what it said."""


class _Gone(Exception):
    """Our socket is not there, and cannot be had again."""


class _Asked(t.NamedTuple):
    """A call of Register that was answered: by which kubelet, and the moments of the call and the answer in nanoseconds."""

    kubelet: Identity
    begin: int
    end: int


class Registrar:
    """Keeps one resource registered until it is cancelled. `directory` is where its sockets are.

    `wakeup.wake` has to be called when something happens in the directory; `changed` is called when `registered` may have changed, or
    `obstacle`, which says what stands in the way of a registration.
    """

    def __init__(
        self,
        resource: str,
        directory: Path,
        offer: Offer,
        make_server: MakeServer,
        lock: InstanceLock,
        statistics: Statistics,
        changed: t.Callable[[], None],
    ) -> None:
        self.resource = resource
        self.wakeup = Wakeup()
        self.registered = False
        self.obstacle = ""
        self._directory = directory
        self._offer = offer
        self._make_server = make_server
        self._lock = lock
        self._statistics = statistics
        self._changed = changed
        self._server: ResourceServer | None = None
        self._delay = FIRST_DELAY
        self._lost_in_a_row = 0
        self._on_hold = False

    @property
    def prepared(self) -> bool:
        """Whether all is done that does not depend on others: it serves, or something is in the way."""
        return self._server is not None or bool(self.obstacle)

    def hold(self, on_hold: bool) -> None:
        """Serve on, but begin no other registration: a successor is about to have its own."""
        self._on_hold = on_hold
        self.wakeup.wake()

    @property
    def streams(self) -> int:
        """How many streams kubelet has open."""
        return self._server.streams if self._server else 0

    def publish(self, offer: Offer) -> None:
        """Serve this list from now on."""
        self._offer = offer
        if self._server:
            self._server.publish(offer)

    async def run(self) -> None:
        """Serve and register, again and again. Raises NodeError where that has no prospect in this process."""
        while True:
            await self._alone()
            try:
                await self._once()
            except _Lost as lost:
                self._set_obstacle(str(lost))
                self._say(logging.WARNING, "registration lost", why=str(lost))
                self._statistics.registrations[self.resource, "lost"] += 1
                if lost.waits:
                    await self._pause()
            except _Refused as refused:
                self._failed("kubelet did not take the registration", str(refused))
                await self._pause()
            except OSError as error:
                _refuse_lost(self._directory)
                self._failed("cannot serve", str(error))
                await self._pause()

    async def _alone(self) -> None:
        """Wait while another process serves from this directory, or while there is none."""
        reported = False
        while True:
            away = why_away(self._directory)
            if not (away or self._on_hold) and self._lock.held():
                return
            self._set_obstacle(away or "another instance serves")
            if not (reported or away or self._on_hold):
                self._say(
                    logging.WARNING, "another instance serves here; waiting for its end", directory=self._directory
                )
                reported = True
            await self.wakeup.wait(_STANDBY_SECONDS)

    async def _once(self) -> None:
        server = self._make_server(self.resource, self._directory, self._offer, self.wakeup.wake)
        try:
            await server.start()
            self._server = server
            server.publish(self._offer)  # another list may have come meanwhile
            self._changed()
            await self._keep(server)
        finally:
            self._server = None
            self._set_registered(False)
            await complete(server.stop())

    async def _keep(self, server: ResourceServer) -> None:
        """Make the server known, and return or raise _Lost when that is over."""
        raise NotImplementedError

    async def _stays_registered(
        self, server: ResourceServer, lost: t.Callable[[], None], succeeded: t.Callable[[], None]
    ) -> None:
        """Watch the stream; `lost` raises _Lost when something else ends the registration.

        Until kubelet has the list nothing else is done here: it admits pods meanwhile. So `succeeded` is called, which reports the
        registration, when kubelet has it, or when that takes long.
        """
        loop = asyncio.get_running_loop()
        begin = loop.time()
        reported = False
        try:
            while True:
                lost()
                waited = loop.time() - begin
                if server.streams:
                    if waited > SETTLED_SECONDS:
                        self._delay, self._lost_in_a_row = FIRST_DELAY, 0
                elif server.streams_opened:
                    self._lost_in_a_row += 1
                    raise _Lost("kubelet has ended its stream", waits=self._lost_in_a_row > _AT_ONCE)
                elif waited > STREAM_SECONDS:
                    raise _Lost("kubelet has no stream open", waits=True)
                elif waited > FIRST_DELAY:
                    self._set_obstacle("kubelet has not asked for the list yet")
                self._set_registered(server.has_list)
                if not reported and (server.has_list or waited > _REPORT_SECONDS):
                    reported = True
                    succeeded()
                await self.wakeup.wait(_LOOK_SECONDS if server.streams and reported else FIRST_DELAY)
        finally:
            if not reported:
                succeeded()

    def _set_registered(self, registered: bool) -> None:
        if registered != self.registered:
            self.registered = registered
            self.obstacle = ""
            self._changed()

    def _set_obstacle(self, obstacle: str) -> None:
        if obstacle != self.obstacle:
            self.obstacle = obstacle
            self._changed()

    async def _pause(self) -> None:
        """Wait, each time longer, but not past the moment at which kubelet makes its socket again."""
        loop = asyncio.get_running_loop()
        kubelet = self._kubelet()
        end = loop.time() + self._delay
        self._delay = min(self._delay * 2, LONGEST_DELAY)
        while loop.time() < end and self._kubelet() == kubelet:
            await self.wakeup.wait(end - loop.time())

    def _kubelet(self) -> Identity | None:
        """Which kubelet.sock there is, and since when."""
        return identity(self._directory / KUBELET_SOCKET)

    def _failed(self, what: str, problem: str) -> None:
        self._statistics.registrations[self.resource, "failed"] += 1
        self._set_obstacle(f"{what}: {problem}")
        self._say(logging.WARNING, what, problem=problem)

    def _succeeded(self, **fields: t.Any) -> None:
        self._statistics.registrations[self.resource, "succeeded"] += 1
        self._say(logging.INFO, "registered", vfs=len(self._offer), **fields)

    def _say(self, level: int, message: str, **fields: t.Any) -> None:
        log.log(level, message, extra={"fields": {"resource": self.resource, **fields}})


def _refuse_lost(directory: Path) -> None:
    """Raises NodeError where the directory is on a mount that is read-only, or is the rest of one that was removed.

    Under systemd the directory is a mount of its own below a root that is read-only. It goes when the directory is removed, and one
    that is made again has none until the service starts again. In a container the mount stays, of what is no longer there.
    """
    with contextlib.suppress(OSError):
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            raise NodeError(
                "the directory is read-only for this process, as it is when it was made again since the start",
                where=str(directory),
                remedy="start the device plugin again, as systemd does by itself",
            )
        if directory.stat().st_nlink == 0:
            raise NodeError(
                "the directory was removed since it was mounted for this container",
                where=str(directory),
                remedy="have the container start again, as kubelet does by itself",
            )


class SocketRegistrar(Registrar):
    """Calls Register on kubelet.sock, which is beside the sockets of the plugins."""

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__(*arguments)
        self._thread = KernelThread("register")

    async def _keep(self, server: ResourceServer) -> None:
        asked = await self._register(server)
        if asked is None:
            return  # kubelet has removed the socket: it starts, and will listen soon

        def lost() -> None:
            current = self._kubelet()
            # One that was made again with the same inode comes with a kubelet that has removed our socket and ended its stream.
            if current is not None and not current.is_file_of(asked.kubelet):
                raise _Lost("kubelet.sock was made again", waits=False)
            if not server.socket_stands():
                raise _Lost("the socket was removed", waits=False)

        def succeeded() -> None:
            # How much of the time in which kubelet refuses pods was ours, and how much its own.
            moments = {"asked_after": _seconds(asked.kubelet.changed, asked.begin), "took": _seconds(*asked[1:])}
            self._succeeded(**moments, **{name: _seconds(asked.begin, at) for name, at in server.moments.items()})

        # While kubelet is away there is nobody to open a stream.
        await self._stays_registered(server, lost, succeeded)

    async def _register(self, server: ResourceServer) -> _Asked | None:
        """Register as soon as kubelet listens and accepts; returns how that went, or None if our socket went.

        Between kubelet's socket and the call is as little as can be: a kubelet that starts admits pods within a tenth of a second,
        and refuses for good those whose devices it does not know yet.
        """
        request = api.RegisterRequest(
            version=VERSION, endpoint=server.path.name, resource_name=self.resource, options=options()
        ).SerializeToString()
        refused_by: Identity | None = None
        knock = _FIRST_KNOCK
        while server.socket_stands() or server.stand_again():
            kubelet = self._kubelet()
            if self._on_hold:
                await self.wakeup.wait(_LOOK_SECONDS)
                continue
            if kubelet is None:
                self._set_obstacle(why_unseen(self._directory / KUBELET_SOCKET))
                await self.wakeup.wait(_LOOK_SECONDS)
                continue
            try:
                return await self._thread.run(functools.partial(self._call, server, request))
            except _Gone:
                return None
            except (ConnectionRefusedError, FileNotFoundError):
                knock = _FIRST_KNOCK if kubelet != refused_by else min(knock * 2, _LAST_KNOCK)
                refused_by = kubelet
                if knock > FIRST_DELAY:
                    self._set_obstacle(f"nobody listens on {KUBELET_SOCKET}")
                await self.wakeup.wait(knock)
            except (RpcError, OSError) as error:
                self._failed("kubelet did not take the registration", str(error))
                await self._pause()
        return None

    def _call(self, server: ResourceServer, request: bytes) -> _Asked:
        """In the thread: call Register.

        A kubelet that starts removes our socket before it listens, and that can be since we looked. If the socket is not there when
        kubelet dials, kubelet tries again a second later at best, and no pod with a VF is admitted until then.
        """
        kubelet: Identity | None = None
        begin = 0

        def connected() -> None:
            nonlocal kubelet, begin
            if not (server.socket_stands() or server.stand_again()):
                raise _Gone
            kubelet, begin = self._kubelet(), time.time_ns()
            if kubelet is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

        path = str(self._directory / KUBELET_SOCKET)
        call(path, f"/{REGISTRATION_SERVICE}/Register", request, _REGISTER_SECONDS, connected)
        assert kubelet
        return _Asked(kubelet, begin, time.time_ns())


def _seconds(begin: int, end: int) -> str:
    """Between two moments in nanoseconds. The kernel takes the time of a file from a clock that ticks every few milliseconds."""
    return f"{max(0, end - begin) / 1e9:.4f}"


class WatcherRegistrar(Registrar):
    """Waits for kubelet to find the socket in plugins_registry, as it does by itself after its own restart too."""

    async def _keep(self, server: ResourceServer) -> None:
        self._set_obstacle("kubelet has not found the socket")
        end = asyncio.get_running_loop().time() + UNFOUND_SECONDS
        while server.notified is None and server.socket_stands():
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return  # to another socket
            await self.wakeup.wait(min(left, _LOOK_SECONDS))
        if server.notified is None:
            raise _Lost("the socket was removed", waits=True)

        def lost() -> None:
            accepted, problem = server.notified or (False, "")
            if not accepted:
                raise _Refused(problem)
            if not server.socket_stands():
                raise _Lost("the socket was removed", waits=True)

        lost()
        await self._stays_registered(server, lost, self._succeeded)
