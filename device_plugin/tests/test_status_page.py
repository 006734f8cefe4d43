# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics page under those who only want to harm: nothing that kubelet gets depends on them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
import time
import typing as t

import pytest
from harness.process import Plugin, fetch, free_port, listens, status_value
from qat_device_plugin import exposition, status_page
from qat_device_plugin.model import Model
from qat_device_plugin.statistics import Statistics
from qat_device_plugin.status import Status
from qat_device_plugin.status_page import AT_A_TIME, CONNECTIONS, FROM_ONE_ADDRESS, HEAD_BYTES, StatusPage
from qat_device_plugin.waiting import end

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario

Run = t.Callable[["Scenario"], None]

CY = "qat.intel.com/cy"
PF = "0000:6b:00.0"

FEW_DESCRIPTORS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
from qat_device_plugin.cli import main
sys.exit(main())
"""


class Clients:
    """Many connections of one machine, opened again when they are closed. `says` is what each of them sends, piece by piece."""

    def __init__(self, port: int, count: int, says: bytes = b"", host: str = "127.0.0.1") -> None:
        self._address = (host, port)
        self._says = says
        self._sockets = [self._open() for _ in range(count)]
        self._sent = [0] * count
        self.closed = 0

    def _open(self) -> socket.socket:
        one = socket.socket(socket.AF_INET)
        one.setblocking(False)
        one.connect_ex(self._address)
        return one

    def once(self) -> None:
        """Send a byte each, read nothing, and replace what was closed."""
        for number, one in enumerate(self._sockets):
            try:
                if self._sent[number] < len(self._says):
                    self._sent[number] += one.send(self._says[self._sent[number] :][:1])
                alive = one.recv(1, socket.MSG_PEEK) != b""
            except BlockingIOError:
                alive = True
            except OSError as error:
                alive = error.errno == errno.ENOTCONN
            if not alive:
                one.close()
                self.closed += 1
                self._sockets[number], self._sent[number] = self._open(), 0

    async def press(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            await loop.run_in_executor(None, self.once)
            await asyncio.sleep(0.02)

    def close(self) -> None:
        for one in self._sockets:
            one.close()


def descriptors(plugin: Plugin) -> int:
    return len(os.listdir(f"/proc/{plugin.process.pid}/fd"))


@pytest.mark.parametrize(
    "says",
    [b"", b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 99999, b"GET /metrics HTTP/1.1\r\n\r\n"],
    ids=["silent", "slow", "no-reader"],
)
def test_clients_of_the_page_change_nothing_that_kubelet_gets(run: Run, says: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        port = free_port()
        vfs = bench.files.add_pf(PF)
        bench.files.add_pf("0000:70:00.0", services="dc")
        await bench.kubelet.start()
        flags = (f"--metrics-address=127.0.0.1:{port}",)
        plugin = Plugin(bench.files, bench.kubelet_dir, *flags, program=("-c", FEW_DESCRIPTORS))
        bench.plugins.append(plugin)
        await bench.ready(CY, 16)
        await bench.kubelet.until(lambda: listens(port))
        before = descriptors(plugin)
        with contextlib.closing(Clients(port, 1100, says)) as clients:
            await clients.press(6.0)
            assert descriptors(plugin) <= before + CONNECTIONS + 5
            await bench.kubelet.allocate(CY, [vfs[0]])
            assert clients.closed
        assert [len(endpoint.lists) for endpoint in bench.kubelet.endpoints.values()] == [1, 1]
        assert len(bench.kubelet.registrations) == 2
        log = plugin.log.read_text()
        assert "Traceback" not in log
        assert 1 <= log.count("connections for HTTP were not served") <= 2
        assert len(log.splitlines()) < 20
        assert status_value(plugin.process, "VmRSS") < 60_000
        # And the page is back, once what they left is cleared.
        answer = None
        while answer is None:
            with contextlib.suppress(ConnectionError):
                answer = await asyncio.get_running_loop().run_in_executor(None, fetch, port, "/readyz")
        assert answer == (200, "ok\n")

    run(scenario)


# The bounds, one by one.


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page in this process cuts anybody off for the time that a test takes."""
    for name in ("HEAD_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(status_page, name, 600.0)


def fake() -> Status:
    """The service, which is none."""
    return Status(Model(), 0.0, {}, {}, unready=("it is a fake",))


class Page:
    """A page in this process."""

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.port = free_port()
        self.page = StatusPage(fake, self.statistics, "127.0.0.1", self.port)

    async def connect(self, host: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(host, 0))

    def hold_metrics(self) -> asyncio.Event:
        """Let the metrics be made when the event is set."""
        may_be_made = asyncio.Event()

        async def metrics() -> bytes:
            await may_be_made.wait()
            return b"metrics"

        self.page._exposition = metrics
        return may_be_made

    @property
    def asking(self) -> int:
        """How many have asked, and have no answer."""
        return sum(one.has_asked for one in self.page._open)

    async def ask(self, *pieces: bytes, pause: float = 0.0) -> bytes:
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        answer = await reader.read()
        writer.close()
        return answer


def with_page(scenario: t.Callable[[Page], t.Awaitable[None]]) -> None:
    async def whole() -> None:
        page = Page()
        running = asyncio.ensure_future(page.page.run())
        while not listens(page.port):
            await asyncio.sleep(0.01)
        await scenario(page)
        await end(running)
        assert not listens(page.port)
        await asyncio.sleep(0.05)
        assert not page.page._open

    asyncio.run(asyncio.wait_for(whole(), 600))


def status(answer: bytes) -> str:
    return answer.partition(b"\r\n")[0].decode()


def test_answers() -> None:
    async def scenario(page: Page) -> None:
        assert await page.ask(b"GET /healthz HTTP/1.1\r\n\r\n") == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
        )
        assert (await page.ask(b"GET /readyz?x=y HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\nit is a fake\n")
        assert (await page.ask(b"HEAD /readyz HTTP/1.1\r\n\r\n")).endswith(b"Connection: close\r\n\r\n")
        assert status(await page.ask(b"GET /readyz HTTP/1.1\r\n\r\n")) == "HTTP/1.1 503 Service Unavailable"
        assert status(await page.ask(b"POST /metrics HTTP/1.1\r\n\r\n")) == "HTTP/1.1 405 Method Not Allowed"
        assert status(await page.ask(b"GET /x\xff HTTP/1.1\r\n\r\n")) == "HTTP/1.1 404 Not Found"
        assert status(await page.ask(b"\r\n\r\n")) == "HTTP/1.1 405 Method Not Allowed"
        assert status(await page.ask(b"GET /heal", b"thz HTTP/1.1\r", b"\n\r\n", pause=0.05)) == "HTTP/1.1 200 OK"

    with_page(scenario)


def test_a_client_that_says_all_it_will_say_is_answered() -> None:
    """As `nc -N` does."""

    async def scenario(page: Page) -> None:
        reader, writer = await page.connect()
        writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
        writer.write_eof()
        assert status(await reader.read()) == "HTTP/1.1 200 OK"
        writer.close()
        reader, writer = await page.connect()
        writer.write(b"GET /healthz")
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()

    with_page(scenario)


@pytest.mark.parametrize("length", [HEAD_BYTES, HEAD_BYTES * 40])
def test_a_head_that_is_too_long(length: int) -> None:
    async def scenario(page: Page) -> None:
        reader, writer = await page.connect()
        with contextlib.suppress(ConnectionError):
            writer.write(b"GET /healthz HTTP/1.1\r\nX: " + b"y" * length)
            assert status(await reader.read(40)).startswith("HTTP/1.1 431 Request Header Fields Too")
        writer.close()
        assert status(await page.ask(b"GET /healthz HTTP/1.1\r\n\r\n")) == "HTTP/1.1 200 OK"

    with_page(scenario)


async def is_closed(reader: asyncio.StreamReader, seconds: float) -> bool:
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(1), seconds) == b""
    return True


def test_a_connection_that_is_over_the_bound_takes_the_place_of_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    """Of one address, and of all together. Whether its container goes on depends on the answers that kubelet's probes get."""
    ask = b"GET /healthz HTTP/1.1\r\n\r\n"

    async def scenario(page: Page) -> None:
        opened = [await page.connect() for _ in range(FROM_ONE_ADDRESS)]
        others = [await page.connect(f"127.0.1.{number}") for number in range(CONNECTIONS - FROM_ONE_ADDRESS - 1)]
        over = await page.connect()
        assert await is_closed(opened[0][0], 60.0)
        last = await page.connect("127.0.2.1")
        further = await page.connect("127.0.3.1")
        assert await is_closed(opened[1][0], 60.0)
        assert len(page.page._open) == CONNECTIONS
        assert page.statistics.errors["http"] == 2
        for reader, writer in (further, last, over, opened[2], *others):
            writer.write(ask)
            assert status(await reader.read()) == "HTTP/1.1 200 OK"
        for _reader, writer in (*opened, *others, over, last, further):
            writer.close()

    with_page(scenario)
    (record,) = caplog.records
    assert (record.message, record.__dict__["fields"]) == (
        "connections for HTTP were not served",
        {"count": 1, "problem": "there are enough of them"},
    )


def test_who_has_asked_stays_before_who_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where all have, the oldest goes as well: an answer that nobody reads holds no place."""
    monkeypatch.setattr(status_page, "SILENT_SECONDS", 0.0)

    async def scenario(page: Page) -> None:
        may_be_made = page.hold_metrics()
        opened = [await page.connect() for _ in range(FROM_ONE_ADDRESS)]

        async def ask(number: int) -> None:
            asking = page.asking
            opened[number][1].write(b"GET /metrics HTTP/1.1\r\n\r\n")
            while page.asking == asking:
                await asyncio.sleep(0.01)

        await ask(0)
        opened.append(await page.connect())
        assert await is_closed(opened[1][0], 60.0)
        for number in range(2, len(opened)):
            await ask(number)
        opened.append(await page.connect())
        assert await is_closed(opened[0][0], 60.0)
        may_be_made.set()
        for reader, _writer in opened[2:-1]:
            assert (await reader.read()).endswith(b"\r\n\r\nmetrics")
        for _reader, writer in opened:
            writer.close()

    with_page(scenario)


def test_who_comes_with_many_has_the_time_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are accepted without hearing what the first of them say, and those whose places they take have all asked."""
    monkeypatch.setattr(status_page, "SILENT_SECONDS", 600.0)

    async def scenario(page: Page) -> None:
        page.hold_metrics()
        holding = [await page.connect(f"127.0.{1 + number // 8}.1") for number in range(CONNECTIONS)]
        for _reader, writer in holding:
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        while page.asking < CONNECTIONS:
            await asyncio.sleep(0.01)
        # What stands in the queue of the socket is one batch: nothing runs here between them.
        with contextlib.ExitStack() as clients:
            batch = [
                clients.enter_context(socket.create_connection(("127.0.0.1", page.port))) for _ in range(AT_A_TIME)
            ]
            probe = batch[AT_A_TIME // 2]
            probe.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            probe.setblocking(False)
            answer = await asyncio.get_running_loop().sock_recv(probe, 4096)
        assert status(answer) == "HTTP/1.1 200 OK"
        for _reader, writer in holding:
            writer.close()

    with_page(scenario)


def test_a_connection_that_goes_before_it_was_begun_is_closed() -> None:
    async def scenario(page: Page) -> None:
        client, other = socket.socketpair()
        for one in (client, other):
            one.setblocking(False)
        page.page.came(client, "127.0.0.9")
        (connection,) = (one for one in page.page._open if one.address == "127.0.0.9")
        connection.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert client.fileno() == -1
        assert connection not in page.page._open
        other.close()

    with_page(scenario)


def test_who_sends_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time since the connection, whatever comes meanwhile."""
    monkeypatch.setattr(status_page, "HEAD_SECONDS", 0.4)
    head = b"GET /healthz HTTP/1.1"

    async def scenario(page: Page) -> None:
        begin = time.monotonic()
        reader, writer = await page.connect()
        silent, _writer = await page.connect()
        sent = 0
        for letter in head:
            writer.write(bytes([letter]))
            sent += 1
            if await is_closed_within(reader, 0.1):
                break
        assert await is_closed(reader, 60.0)
        assert await is_closed(silent, 60.0)
        assert time.monotonic() - begin > 0.3
        # Each takes a tenth of a second or more: what comes does not put the end off.
        assert sent < len(head)
        writer.close()
        _writer.close()

    with_page(scenario)


async def is_closed_within(reader: asyncio.StreamReader, seconds: float) -> bool:
    try:
        return await is_closed(reader, seconds)
    except asyncio.TimeoutError:
        return False


def test_who_does_not_read_the_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_page, "ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(exposition, "exposition", lambda _status, _statistics: b"#" * (16 << 20))

    async def scenario(page: Page) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", page.port))
            await loop.sock_sendall(client, b"GET /metrics HTTP/1.1\r\n\r\n")
            begin = time.monotonic()
            while not page.page._open:
                await asyncio.sleep(0.01)
            while page.page._open:
                await asyncio.sleep(0.01)
            assert 0.3 < time.monotonic() - begin < 60.0

    with_page(scenario)


def test_scrapes_at_the_same_time_share_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is as new as its request."""
    made: list[float] = []

    def make(_status: object, _statistics: object) -> bytes:
        made.append(time.monotonic())
        return str(len(made)).encode()

    monkeypatch.setattr(exposition, "exposition", make)

    async def scenario(page: Page) -> None:
        async def body() -> bytes:
            return (await page.ask(b"GET /metrics HTTP/1.1\r\n\r\n")).rpartition(b"\r\n")[2]

        assert await body() == b"1"
        begin = time.monotonic()
        assert set(await asyncio.gather(*(body() for _ in range(10)))) <= {b"2", b"3"}
        for _ in range(3):
            asked = time.monotonic()
            await body()
            assert made[-1] >= asked
        assert len(made) <= 2 + (time.monotonic() - begin) / status_page.SCRAPE_SECONDS

    with_page(scenario)


def test_so_many_connections_are_taken_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood leaves the processor to others: here of 100 connections those of one turn come at once."""
    monkeypatch.setattr(status_page, "PACE_SECONDS", 0.5)
    monkeypatch.setattr(status_page, "AT_A_TIME", 8)

    async def scenario(page: Page) -> None:
        begin = time.monotonic()
        numbers = [0]
        with contextlib.closing(Clients(page.port, 30)):
            while numbers[-1] <= 16:
                await asyncio.sleep(0.01)
                numbers.append(len(page.page._open))
        assert max(after - before for before, after in zip(numbers, numbers[1:])) <= 8
        assert time.monotonic() - begin >= 2 * 0.5

    with_page(scenario)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_an_accept_that_fails_is_reported_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    monkeypatch.setattr(status_page, "_REST_SECONDS", 0.05)
    accept = socket.socket.accept
    failures = [code] * 5

    def fails(listener: socket.socket) -> t.Any:
        if failures:
            raise OSError(failures[0], os.strerror(failures.pop()))
        return accept(listener)

    async def scenario(page: Page) -> None:
        monkeypatch.setattr(socket.socket, "accept", fails)
        assert status(await page.ask(b"GET /healthz HTTP/1.1\r\n\r\n")) == "HTTP/1.1 200 OK"
        assert page.statistics.errors["http"] == 5

    with_page(scenario)
    (record,) = caplog.records
    assert record.__dict__["fields"] == {"count": 1, "problem": os.strerror(code)}


def test_an_address_that_stays_in_use_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not each few seconds, for as long as another program has it."""
    monkeypatch.setattr(status_page, "_RETRY_SECONDS", 0.01)

    async def scenario() -> None:
        statistics = Statistics()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            page = StatusPage(lambda: t.cast("Status", None), statistics, *taken.getsockname())
            running = asyncio.ensure_future(page.run())
            while statistics.errors["http"] < 3:
                await asyncio.sleep(0.01)
            await end(running)

    asyncio.run(asyncio.wait_for(scenario(), 600))
    (record,) = caplog.records
    assert record.getMessage() == "cannot listen for HTTP"


@pytest.mark.parametrize("host", ["", "localhost"])
def test_without_a_thread_to_look_up_a_name_it_listens_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    """asyncio has a thread for each look-up, which may be one more than there may be."""
    monkeypatch.setattr(status_page, "_RETRY_SECONDS", 0.01)

    def refuse(_thread: threading.Thread) -> t.NoReturn:
        raise RuntimeError("can't start new thread")

    async def scenario() -> None:
        statistics, port = Statistics(), free_port()
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            running = asyncio.ensure_future(StatusPage(fake, statistics, host, port).run())
            while statistics.errors["http"] < 3 and not running.done():
                await asyncio.sleep(0.01)
        while not listens(port) and not running.done():
            await asyncio.sleep(0.01)
        await end(running)

    asyncio.run(asyncio.wait_for(scenario(), 600))
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["fields"]["problem"]) == (
        "cannot listen for HTTP",
        "can't start new thread",
    )


def test_a_page_that_cannot_be_made_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_status: object, _statistics: object) -> t.NoReturn:
        raise RuntimeError("no such metric")

    monkeypatch.setattr(exposition, "exposition", fails)

    async def scenario(page: Page) -> None:
        assert status(await page.ask(b"GET /metrics HTTP/1.1\r\n\r\n")) == "HTTP/1.1 500 Internal Server Error"
        assert status(await page.ask(b"GET /metrics HTTP/1.1\r\n\r\n")) == "HTTP/1.1 500 Internal Server Error"

    with_page(scenario)
    assert [record.message for record in caplog.records] == ["cannot make a page"] * 2


def test_all_addresses_of_the_machine() -> None:
    async def scenario() -> None:
        port = free_port()
        running = asyncio.ensure_future(StatusPage(fake, Statistics(), "", port).run())
        while not listens(port):
            await asyncio.sleep(0.01)
        for host in ("127.0.0.1", "127.0.0.2"):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert status(await reader.read()) == "HTTP/1.1 200 OK"
            writer.close()
        await end(running)

    asyncio.run(asyncio.wait_for(scenario(), 600))
