# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose answer over HTTP is believed, and how much of it is waited for."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet import audit as device_plugins
from ansible_collections.accel.qat.plugins.module_utils._kubelet import listener
from ansible_collections.accel.qat.plugins.module_utils._kubelet.listener import BadAnswer, NotBelieved, fetch

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


@contextlib.contextmanager
def server(say: t.Callable[[socket.socket], object], family: int = socket.AF_INET) -> t.Iterator[int]:
    """Somebody who listens, and says this to each who comes; gives the port."""
    with socket.socket(family) as listening:
        listening.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        listening.listen(8)
        thread = threading.Thread(target=_serve, args=(listening, say))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listening: socket.socket, say: t.Callable[[socket.socket], object]) -> None:
    while True:
        try:
            connection = listening.accept()[0]
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            say(connection)


def ask(port: int, seconds: float = 10.0, host: str = "127.0.0.1") -> list[tuple[int, str]]:
    return fetch(f"{host}:{port}", ("/readyz",), seconds)


def test_an_answer() -> None:
    with server(lambda one: one.sendall(OK)) as port:
        assert ask(port) == [(200, "ok\n")]
        assert ask(port, host="localhost") == [(200, "ok\n")]


def test_by_ipv6() -> None:
    with server(lambda one: one.sendall(OK.replace(b"200 OK", b"503 No")), socket.AF_INET6) as port:
        assert ask(port, host="[::1]") == [(503, "ok\n")]


def test_nobody_listens() -> None:
    with server(lambda one: one.sendall(OK)) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        ask(port)


def table(path: Path, *rows: tuple[int, int]) -> str:
    """A table of listening sockets, each a port and a user."""
    lines = [
        f"   {number}: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 {uid:5d} 0 {4711 + number} 1"
        for number, (port, uid) in enumerate(rows)
    ]
    path.write_text("\n".join(["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when ...", *lines, ""]))
    return str(path)


@pytest.mark.parametrize("others", [(), (0,)])
def test_another_user_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: tuple[int, ...]) -> None:
    user = os.geteuid() + 1000
    with server(lambda one: one.sendall(OK)) as port:
        rows = [(port, user), *((port, other) for other in others), (port + 1, 0)]
        monkeypatch.setattr(listener, "_TABLES", (table(tmp_path / "tcp", *rows), str(tmp_path / "tcp6")))
        with pytest.raises(NotBelieved) as caught:
            ask(port)
    assert str(caught.value) == f"the user with id {user} listens on port {port}, not root"


def test_a_container_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its root is root, too; it has its own processes, or no process of this machine has the socket."""
    with server(lambda one: one.sendall(OK)) as port:
        with monkeypatch.context() as patched:
            patched.setattr(listener, "_is_of_this_machine", lambda process: process == "/proc/1")
            with pytest.raises(NotBelieved, match="a container may"):
                ask(port)
        monkeypatch.setattr(listener, "_TABLES", (table(tmp_path / "tcp", (port, 0)),))
        with pytest.raises(NotBelieved, match="a container may"):
            ask(port)


def test_a_descriptor_that_is_closed_while_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of the socket, which the same process has."""
    names = os.listdir
    monkeypatch.setattr(os, "listdir", lambda directory: ["1000000", *names(directory)])
    with server(lambda one: one.sendall(OK)) as port:
        assert ask(port) == [(200, "ok\n")]


def test_a_listener_that_is_replaced_while_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the plugin is in an upgrade: nothing is known of who has answered, so the one that listens now is asked."""
    sockets = tmp_path / "tcp"

    def say(connection: socket.socket) -> None:
        sockets.unlink()
        sockets.symlink_to("/proc/net/tcp")
        connection.sendall(OK)

    monkeypatch.setattr(listener, "_TABLES", (str(sockets),))
    with server(say) as port:
        table(sockets, (port, os.geteuid() + 1000))
        assert ask(port) == [(200, "ok\n")]


def test_a_listener_that_is_replaced_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = tmp_path / "tcp"
    users = itertools.count(os.geteuid() + 1)

    def say(connection: socket.socket) -> None:
        table(sockets, (connection.getsockname()[1], next(users)))
        connection.sendall(OK)

    monkeypatch.setattr(listener, "_TABLES", (str(sockets),))
    with server(say) as port:
        table(sockets, (port, os.geteuid()))
        with pytest.raises((BadAnswer, socket.timeout), match=r"it does not come to an end|timed out"):
            ask(port, seconds=0.5)


def test_nothing_says_who_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_TABLES", (table(tmp_path / "tcp"),))
    with server(lambda one: one.sendall(OK)) as port, pytest.raises(NotBelieved, match="nothing says who listens"):
        ask(port)


def flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"a" * 65536)


def drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (flood, "it sends more than"),
        (drip, "it does not come to an end|timed out"),
        (lambda one: one.sendall(b"x" * 100_000), "it does not speak HTTP"),
        (lambda one: one.sendall(b"SSH-2.0-OpenSSH\r\n"), "it does not speak HTTP"),
        (lambda one: one.sendall(b"HTTP/1.1\r\n\r\n"), "it does not speak HTTP"),
        (lambda one: one.sendall(b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n"), "it does not speak HTTP"),
        (lambda one: one.sendall(b""), "it does not speak HTTP"),
    ],
)
def test_what_is_no_answer(say: t.Callable[[socket.socket], object], why: str) -> None:
    begin = time.monotonic()
    with server(say) as port, pytest.raises((BadAnswer, socket.timeout), match=why):
        ask(port, seconds=2.0 if say is drip else 60.0)
    assert time.monotonic() - begin < 50


def test_a_silent_one() -> None:
    with server(lambda _one: time.sleep(1)) as port, pytest.raises((BadAnswer, TimeoutError, socket.timeout)):
        ask(port, seconds=0.3)


def test_a_redirection_is_not_followed() -> None:
    text = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"
    with server(lambda one: one.sendall(text)) as port:
        assert ask(port) == [(302, "")]


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.0.0.1:http", ":", "a:-1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(BadAnswer, match="is no address such as"):
        fetch(address, ("/",), 1.0)


@pytest.mark.parametrize(
    "metrics",
    [
        'qat_device_plugin_registered{name="x"} 1',
        "qat_device_plugin_registered{} 1",
        'qat_device_plugin_registered{resource="a"} many',
        'qat_device_plugin_vfs{resource="a",health="unhealthy"} inf',
        'qat_device_plugin_vfs{resource="a"} 1',
    ],
)
def test_metrics_of_another_form(metrics: str) -> None:
    answer = f"HTTP/1.1 200 OK\r\n\r\n{metrics}\n".encode()
    with server(lambda one: one.sendall(answer)) as port:
        plugin = device_plugins._ask_plugin(f"127.0.0.1:{port}")
    assert not plugin.answers
    assert plugin.doubt == (
        f"what answers for the device plugin at 127.0.0.1:{port} is not it: its metrics are of another form"
    )


def test_who_is_not_believed_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid() + 1000
    with server(lambda one: one.sendall(OK)) as port:
        monkeypatch.setattr(listener, "_TABLES", (table(tmp_path / "tcp", (port, user)),))
        plugin = device_plugins._ask_plugin(f"127.0.0.1:{port}")
    assert (plugin.answers, plugin.resources) == (False, {})
    assert plugin.doubt == (
        f"what answers for the device plugin is not believed: the user with id {user} listens on port {port}, not root"
    )
