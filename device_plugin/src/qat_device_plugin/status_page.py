# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serves /metrics, /healthz and /readyz over HTTP: three answers to GET.

Whoever reaches the address may send, hold and not read what he likes. So there are so many connections at most, each with so many bytes
and seconds either way, so many are accepted at a time, and the metrics are made so often at most. asyncio's server has none of these
bounds, and logs each accept that fails.

Where there are enough, it is the oldest that goes, of those that had time to ask and have not before the others: who asks at once, as a
probe of kubelet does, on whose answer it depends whether the container goes on, is answered however many hold a connection, whether they
have asked or say nothing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
import typing as t
from collections import Counter

if t.TYPE_CHECKING:
    from .statistics import Statistics
    from .status import Status

    class Shown(t.Protocol):
        """A service at one moment: what is wrong with it, and why it is not ready."""

        @property
        def unhealthy(self) -> tuple[str, ...]:
            """What is wrong."""

        @property
        def unready(self) -> tuple[str, ...]:
            """That, and what is not ready."""


log = logging.getLogger(__name__)

CONNECTIONS = 40
"""How many may be open; node_exporter's limit for scrapes at the same time."""
FROM_ONE_ADDRESS = 20
HEAD_BYTES = 8192
HEAD_SECONDS = 3.0
ANSWER_SECONDS = 5.0
"""How long a client may take to send its request, and then to read the answer."""
SILENT_SECONDS = 0.5
"""Who has not asked after this goes before those that have. A client of those that come at once is not heard before all have come."""
AT_A_TIME, PACE_SECONDS = 16, 0.05
"""So many connections are accepted, or closed at once, in so many seconds."""
SCRAPE_SECONDS = 0.1
"""The metrics are made once in this time, for all who ask meanwhile."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of metrics, in Prometheus' form."""

_TEXT = "text/plain; charset=utf-8"
_RETRY_SECONDS = 5.0
_REST_SECONDS = 1.0
_QUIET_SECONDS = 60.0
"""How often the log reports connections that were not served."""

Answer = t.Tuple[str, str, bytes]  # noqa: UP006
"""Status, content type and body."""


class Page:
    """Listens until it is cancelled. An address in use is tried again: the old instance may be on its way out.

    `errors` counts what could not be served, as `http`; `metrics` makes the page of that name.
    """

    def __init__(
        self,
        status: t.Callable[[], Shown],
        errors: Counter[str],
        metrics: t.Callable[[], t.Awaitable[bytes]],
        host: str,
        port: int,
    ) -> None:
        self._status = status
        self.errors = errors
        self._exposition = metrics
        self._host = host
        self._port = port
        self._open: dict[_Connection, None] = {}  # in the order in which they came
        self._by_address: Counter[str] = Counter()
        self._metrics: asyncio.Task[bytes] | None = None
        self._made_at = float("-inf")
        self._unreported = 0
        self._quiet_until = float("-inf")

    async def run(self) -> None:
        """Serve; a problem with the address is logged, once, and never ends the service."""
        problem = ""
        while True:
            try:
                doors = [_Door(one, self) for one in await self._listen()]
            except OSError as error:
                self.errors["http"] += 1
                before, problem = problem, error.strerror or str(error)
                if problem != before:
                    fields = {"address": f"{self._host}:{self._port}", "problem": problem}
                    log.error("cannot listen for HTTP", extra={"fields": fields})
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                for door in doors:
                    door.close()
                for connection in list(self._open):
                    connection.abort()

    async def _listen(self) -> list[socket.socket]:
        """The sockets of all addresses that the host's name has, each with a queue of its own."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(asyncio.Protocol, self._host or None, self._port, start_serving=False)
        except RuntimeError as error:  # it gets no thread to look up the host's name
            raise OSError(errno.EAGAIN, str(error)) from None
        listeners = [one.dup() for one in server.sockets]
        server.close()
        try:
            for listener in listeners:
                listener.setblocking(False)
                listener.listen(CONNECTIONS)
        except OSError:
            for listener in listeners:
                listener.close()
            raise
        return listeners

    def came(self, client: socket.socket, address: str) -> None:
        """Serve this client, in the place of another one where there are enough: of its own address where that one has enough."""
        if self._by_address[address] >= FROM_ONE_ADDRESS:
            self._make_room(one for one in self._open if one.address == address)
        elif len(self._open) >= CONNECTIONS:
            self._make_room(self._open)
        connection = _Connection(self, address)
        self._open[connection] = None
        self._by_address[address] += 1
        connection.beginning = asyncio.ensure_future(connection.begin(client))
        connection.beginning.add_done_callback(
            lambda task: connection.never_began(client) if task.cancelled() else None
        )

    def _make_room(self, among: t.Iterable[_Connection]) -> None:
        now = time.monotonic()
        connection = min(among, key=lambda one: not one.is_silent(now))  # the first that came of those that are alike
        self.went(connection)
        connection.abort()
        self.not_served("there are enough of them")

    def went(self, connection: _Connection) -> None:
        """The connection is closed, or about to be."""
        if connection in self._open:
            del self._open[connection]
            self._by_address -= Counter([connection.address])

    def not_served(self, why: str) -> None:
        """Count a connection that could not be served; the log reports them now and then."""
        self.errors["http"] += 1
        self._unreported += 1
        now = time.monotonic()
        if now >= self._quiet_until:
            fields = {"count": self._unreported, "problem": why}
            log.warning("connections for HTTP were not served", extra={"fields": fields})
            self._unreported, self._quiet_until = 0, now + _QUIET_SECONDS

    async def answer(self, head: bytes) -> bytes:
        """What to send back."""
        method, target = [*head.split(b" ", 2), b"", b""][:2]
        try:
            status, kind, body = await self._page(method, target.decode("latin-1").partition("?")[0])
        except Exception:
            log.exception("cannot make a page")
            status, kind, body = "500 Internal Server Error", _TEXT, b"see the log\n"
        lines = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == b"HEAD" else body)

    async def _page(self, method: bytes, path: str) -> Answer:
        if method not in (b"GET", b"HEAD"):
            return "405 Method Not Allowed", _TEXT, b"only GET\n"
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE, await self._scrape()
        if path in ("/healthz", "/readyz"):
            now = self._status()
            problems = now.unhealthy if path == "/healthz" else now.unready
            status = "503 Service Unavailable" if problems else "200 OK"
            return status, _TEXT, ("\n".join(problems or ("ok",)) + "\n").encode()
        return "404 Not Found", _TEXT, b"there are /metrics, /healthz and /readyz\n"

    async def _scrape(self) -> bytes:
        """The metrics as they are after this was asked."""
        if self._metrics is None:
            self._metrics = asyncio.ensure_future(self._make_metrics())
        return await asyncio.shield(self._metrics)

    async def _make_metrics(self) -> bytes:
        await asyncio.sleep(self._made_at + SCRAPE_SECONDS - time.monotonic())
        self._metrics = None  # whoever asks from now on gets others
        try:
            return await self._exposition()
        finally:
            self._made_at = time.monotonic()


class StatusPage(Page):
    """The page of the device plugin."""

    def __init__(self, status: t.Callable[[], Status], statistics: Statistics, host: str, port: int) -> None:
        async def metrics() -> bytes:
            # Imported here: most of its time and memory is spent on things that only a scrape needs.
            from .exposition import exposition  # noqa: PLC0415

            return exposition(status(), statistics)

        super().__init__(status, statistics.errors, metrics, host, port)


class _Door:
    """A listening socket, through which a few come at a time."""

    def __init__(self, listener: socket.socket, page: Page) -> None:
        self._listener = listener
        self._page = page
        self._pause: asyncio.TimerHandle | None = None
        self._since = float("-inf")
        self._came = 0
        self._open()

    def close(self) -> None:
        """Let in nobody any more."""
        self._shut()
        if self._pause:
            self._pause.cancel()
        self._listener.close()

    def _open(self) -> None:
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _shut(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)

    def _rest(self, seconds: float) -> None:
        self._shut()
        self._pause = asyncio.get_running_loop().call_later(seconds, self._open)

    def _accept(self) -> None:
        now = time.monotonic()
        if now >= self._since + PACE_SECONDS:
            self._since, self._came = now, 0
        while self._came < AT_A_TIME:
            try:
                client, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:  # there are no descriptors, or there is no memory
                self._page.not_served(error.strerror or str(error))
                self._rest(_REST_SECONDS)
                return
            self._came += 1
            client.setblocking(False)
            self._page.came(client, str(address[0]))
        self._rest(self._since + PACE_SECONDS - now)


class _Connection(asyncio.BufferedProtocol):
    """One client, with as much memory as a request may have."""

    def __init__(self, page: Page, address: str) -> None:
        self.address = address
        self.came_at = time.monotonic()
        self.beginning: asyncio.Future[None] | None = None
        self._answering: asyncio.Future[None] | None = None
        self._page = page
        self._head = bytearray(HEAD_BYTES)
        self._size = 0
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None

    async def begin(self, client: socket.socket) -> None:
        """Take over the socket."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self, client)
        except BaseException as error:
            self.never_began(client)
            if not isinstance(error, OSError):
                raise

    def never_began(self, client: socket.socket) -> None:
        """Close what was to be taken over. What is cancelled before its first step does not do so itself."""
        client.close()
        self._page.went(self)

    @property
    def has_asked(self) -> bool:
        """Whether its request has come."""
        return self._answering is not None

    def is_silent(self, now: float) -> bool:
        """Whether it has not asked by now, in the time that every client has for it."""
        return not self.has_asked and now - self.came_at > SILENT_SECONDS

    def abort(self) -> None:
        """End it now, whatever is on its way."""
        if self._transport:
            self._transport.abort()
        elif self.beginning:
            self.beginning.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        self._transport = t.cast("asyncio.Transport", transport)
        self._within(HEAD_SECONDS)

    def get_buffer(self, _hint: int) -> memoryview:
        """Where the request goes."""
        return memoryview(self._head)[self._size :]

    def buffer_updated(self, count: int) -> None:
        """Answer when the head of the request is whole, or fills its place."""
        assert self._transport is not None
        self._size += count
        if b"\r\n\r\n" in memoryview(self._head)[: self._size].tobytes():
            self._transport.pause_reading()
            self._within(ANSWER_SECONDS)
            self._answering = asyncio.ensure_future(self._answer(bytes(self._head[: self._size])))
        elif self._size == HEAD_BYTES:
            self._send(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")

    def eof_received(self) -> bool:
        """Whether to keep the other direction open: for an answer that is being made."""
        return self._answering is not None and not self._answering.done()

    def connection_lost(self, _error: Exception | None) -> None:
        """Make room for another one."""
        if self._limit:
            self._limit.cancel()
        if self._answering:
            self._answering.cancel()
        self._page.went(self)

    async def _answer(self, head: bytes) -> None:
        self._send(await self._page.answer(head))

    def _send(self, answer: bytes) -> None:
        """The last that is done. Who does not read it in time loses it."""
        assert self._transport is not None
        self._within(ANSWER_SECONDS)
        self._transport.write(answer)
        self._transport.close()

    def _within(self, seconds: float) -> None:
        assert self._transport is not None
        if self._limit:
            self._limit.cancel()
        self._limit = asyncio.get_running_loop().call_later(seconds, self._transport.abort)
