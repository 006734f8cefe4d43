# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy that leads to the API server: how it is named, and what it answers."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import socketserver
import sys
import threading
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3.exceptions

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.plugins.modules import cluster_access, node_drain
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, raw_server
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller, kubeconfig_of

HOST = "https://cluster.example:6443"
NO_URL = "proxy: is no URL of an HTTP proxy; write http://HOST:PORT, with % for special characters of a password"

# How one is named.


@pytest.mark.parametrize("secret", ["p#ss", "1234#ss", "1234/ss", "1234?ss", "1/2@3"])
@pytest.mark.parametrize("way", ["argument", "variable", "kubeconfig"])
def test_a_password_that_breaks_the_address_is_not_shown(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str, way: str
) -> None:
    proxy = f"http://user:{secret}@proxy.example:3128"
    controller.access = {"host": HOST, "api_key": TOKEN}
    if way == "argument":
        controller.access["proxy"] = proxy
    elif way == "variable":
        monkeypatch.setenv("K8S_AUTH_PROXY", proxy)
    else:
        controller.access = {"kubeconfig": kubeconfig_of(tmp_path / "config", server=HOST, proxy=proxy)}
    failed = controller.run(node_drain, node="node1", wait_timeout=0)
    assert (failed["msg"], failed["failure"]["kind"]) == (NO_URL, "configuration")
    answer = controller.run(cluster_access, questions=[{"purpose": "drain", "node": "node1"}], wait_timeout=0)
    assert answer["answers"][0]["missing"] == [NO_URL]
    assert secret not in json.dumps([failed, answer])


@pytest.mark.parametrize(
    "proxy", ["proxy.example:3128", "ftp://proxy.example", "https://", "http://:3128", "socks9://proxy"]
)
def test_an_address_that_is_none(controller: Controller, proxy: str) -> None:
    failed = controller.run(node_drain, node="node1", proxy=proxy, wait_timeout=0)
    assert (failed["msg"], failed["failure"]["kind"]) == (NO_URL, "configuration")


def test_a_kubeconfig_whose_proxy_is_no_text(controller: Controller, tmp_path: Path) -> None:
    path = Path(kubeconfig_of(tmp_path / "config", HOST, proxy="x"))
    path.write_text(path.read_text().replace("proxy-url: x", "proxy-url: 3128"))
    controller.access = {"kubeconfig": str(path)}
    assert controller.run(node_drain, node="node1", wait_timeout=0)["msg"] == NO_URL


def test_a_kind_of_proxy_that_takes_a_package_which_is_missing(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "urllib3.contrib.socks", None)
    failed = controller.run(node_drain, node="node1", proxy="socks5://proxy.example:1080", wait_timeout=0)
    assert failed["msg"] == NO_URL


def test_a_host_that_is_no_url(controller: Controller) -> None:
    failed = controller.run(node_drain, node="node1", host="https://[::1", wait_timeout=0)
    assert failed["msg"] == "host: is no URL; write https://HOST:PORT"


# What one answers.


@contextlib.contextmanager
def proxy_that_says(*answers: str) -> t.Iterator[tuple[str, list[bytes]]]:
    """One that answers each CONNECT with the next of these, and the last one for good; an empty one is no answer. Yields what it got."""
    got: list[bytes] = []
    left = list(answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines = []
            while line := self.rfile.readline().strip():
                lines.append(line)
            got.append(b"\n".join(lines))
            answer = left.pop(0) if len(left) > 1 else left[0]
            if answer:
                self.wfile.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", got
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(name="at_once")
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.01)


REACHED = f"{HOST}: the API server cannot be reached: "
WANTS = (
    f"{REACHED}the proxy answers 407 Proxy Authentication Required; "
    "give the proxy's address with a user and password that it takes, as http://USER:PASSWORD@HOST:PORT"
)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("away", [["503 Service Unavailable", "502 Bad Gateway"], ["504 Gateway Timeout", "", ""]])
def test_it_is_asked_again_while_it_cannot_connect(controller: Controller, away: list[str]) -> None:
    """As while the API server's own node reboots; what it says for good is reported."""
    with proxy_that_says(*away, "407 Proxy Authentication Required") as (address, got):
        given: dict[str, t.Any] = {"host": HOST, "proxy": f"http://{address}", "node": "node1"}
        failed = controller.run(node_drain, **given, wait_timeout=3600)
    assert failed["msg"] == WANTS
    assert [one.split()[:2] for one in got] == [[b"CONNECT", b"cluster.example:6443"]] * (len(away) + 1)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            "503 Service Unavailable",
            "the proxy answers 503 Service Unavailable; see why the proxy does not connect to it",
        ),
        (
            "403 Forbidden: by rule 7",
            (
                "the proxy answers 403 Forbidden: by rule 7; "
                "have the proxy let the controller through to the API server, or name that in no_proxy"
            ),
        ),
    ],
)
def test_what_it_answers_is_reported(controller: Controller, answer: str, sentence: str) -> None:
    with proxy_that_says(answer) as (address, _got):
        failed = controller.run(node_drain, host=HOST, proxy=f"http://{address}", node="node1", wait_timeout=0)
    assert failed["msg"] == REACHED + sentence


@pytest.mark.usefixtures("at_once")
def test_it_is_asked_again_where_it_closes_at_once(controller: Controller) -> None:
    with proxy_that_says("", "", "407 Proxy Authentication Required") as (address, got):
        failed = controller.run(node_drain, host=HOST, proxy=f"http://{address}", node="node1", wait_timeout=3600)
    assert (failed["msg"], len(got)) == (WANTS, 3)


@pytest.mark.usefixtures("at_once")
def test_it_is_asked_again_where_the_api_server_closes_behind_it(controller: Controller) -> None:
    with proxy_that_says("200 Connected", "200 Connected", "407 Proxy Authentication Required") as (address, got):
        failed = controller.run(node_drain, host=HOST, proxy=f"http://{address}", node="node1", wait_timeout=3600)
    assert (failed["msg"], len(got)) == (WANTS, 3)


def test_one_that_does_not_speak_tls(controller: Controller) -> None:
    url, thread = raw_server([b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    proxy = url.replace("http:", "https:")
    failed = controller.run(node_drain, host=HOST, proxy=proxy, node="node1", wait_timeout=0)
    thread.join(60)
    assert failed["msg"] == (
        f"{REACHED}the proxy does not answer: what listens at the address does not speak TLS; "
        "see that the port is the right one, and whether the address begins with http:// there"
    )


def test_nobody_listens_there(controller: Controller) -> None:
    """An address that is wrong is reported at once, however long the wait may be."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{probe.getsockname()[1]}"
        failed = controller.run(node_drain, host=HOST, proxy=proxy, node="node1", wait_timeout=3600)
    assert failed["msg"] == (
        f"{REACHED}the proxy does not answer: Connection refused; see that proxy names one to which the controller may connect"
    )


@pytest.mark.parametrize(
    ("error", "away", "heard"),
    [
        (OSError("Tunnel connection failed: 503 Service Unavailable"), True, True),
        (OSError("Tunnel connection failed: 407 Proxy Authentication Required"), False, True),
        (OSError("Tunnel connection failed: 403 Forbidden"), False, True),
        (urllib3.exceptions.NewConnectionError(t.cast("t.Any", None), "Connection refused"), True, False),
        (urllib3.exceptions.ConnectTimeoutError("timed out"), True, False),
    ],
)
def test_whether_it_is_away(error: Exception, away: bool, heard: bool) -> None:
    """One that was there at an earlier request is asked again where it is away by now."""

    def method(**_options: t.Any) -> t.NoReturn:
        raise urllib3.exceptions.ProxyError("Unable to connect to proxy", error)

    core = SimpleNamespace(api_client=SimpleNamespace(configuration=SimpleNamespace(host=HOST)))
    with pytest.raises(api.ClusterError) as caught:
        api.answer(core, "node node1", method)
    assert (caught.value.away, caught.value.heard) == (away, heard)


def test_it_gets_the_user_and_password_of_its_address(controller: Controller) -> None:
    with proxy_that_says("407 Proxy Authentication Required") as (address, got):
        proxy = f"http://user:p%23s%C3%A9@{address}"
        failed = controller.run(node_drain, host=HOST, proxy=proxy, node="node1", wait_timeout=0)
    assert base64.b64encode("user:p#s\u00e9".encode()) in got[0]
    assert failed["msg"] == WANTS
