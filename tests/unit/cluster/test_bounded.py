# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No answer of whoever listens at the API server's address is read without end."""

from __future__ import annotations

import typing as t

import pytest
import urllib3.response

from ansible_collections.accel.qat.plugins.module_utils._cluster import bounded
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.modules import cluster_node_info, node_drain
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.wait_ready import Api
from ansible_collections.accel.qat.tests.unit.cluster.api_server import FakeCluster, drops, endless, raw_server
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller, kubeconfig_of

if t.TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

LONGEST = 100_000
REMEDY = "see what else listens at its address"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "LONGEST", LONGEST)


def long(status: str, *headers: str) -> t.Iterator[bytes]:
    """Not without end, so that whoever reads all of it comes to another message."""
    pieces = endless(status, *headers)
    return (next(pieces) for _number in range(100))


@pytest.mark.parametrize("module", [cluster_node_info, node_drain])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Internal Server Error", "302 Found"])
@pytest.mark.parametrize("headers", [(), (f"Content-Length: {10**15}",)], ids=["unsaid", "said"])
def test_one_that_is_too_long(
    controller: Controller, module: ModuleType, status: str, headers: tuple[str, ...]
) -> None:
    url, thread = raw_server(long(status, *headers))
    failed = controller.run(module, node="node1", host=url)
    thread.join(60)
    assert not thread.is_alive()
    assert failed["msg"] == f"node node1: the API server's answer is longer than {LONGEST} bytes; {REMEDY}"


def without_read1(monkeypatch: pytest.MonkeyPatch) -> None:
    """As releases 1.26 to 2.1 of urllib3 are."""
    for kind in (urllib3.response.HTTPResponse, urllib3.response.BaseHTTPResponse):
        monkeypatch.delattr(kind, "read1")


@pytest.mark.parametrize("release", ["newest", "older"])
def test_one_that_comes_by_drops(controller: Controller, monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    if release == "older":
        without_read1(monkeypatch)
    monkeypatch.setattr(bounded, "SECONDS", 0.3)

    url, thread = raw_server(drops())
    failed = controller.run(cluster_node_info, node="node1", host=url)
    thread.join(60)
    assert failed["msg"] == f"node node1: the API server's answer is not whole after 0.3 seconds; {REMEDY}"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("Content-Length: 2\r\n\r\n{}", ""),
        ("Content-Length: 3\r\n\r\n{}", "the API server cannot be reached: the answer ends before its end; "),
        ("Connection: close\r\n\r\n{}", ""),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", ""),
        ("Transfer-Encoding: chunked\r\n\r\n", "the API server cannot be reached: "),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\n{}", "the API server cannot be reached: "),
        ("Transfer-Encoding: chunked\r\n\r\nnothing\r\n{}", "the API server cannot be reached: "),
    ],
    ids=["whole", "part", "to the end", "chunks", "no chunk", "part of a chunk", "malformed"],
)
def test_by_an_older_release_too(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, answer: str, problem: str
) -> None:
    without_read1(monkeypatch)
    url, thread = raw_server([f"HTTP/1.1 200 OK\r\n{answer}".encode()])
    found = controller.run(cluster_node_info, node="node1", host=url)
    thread.join(60)
    assert bool(found.get("failed")) == bool(problem), found
    assert problem in found.get("msg", "")


def test_one_that_points_elsewhere_is_not_followed(controller: Controller, cluster: FakeCluster) -> None:
    target = f"{cluster.url}/api/v1/nodes/node1"
    head = f"HTTP/1.1 302 Found\r\nLocation: {target}?state=secret\r\nContent-Length: 0\r\n\r\n"
    url, thread = raw_server([head.encode()])
    failed = controller.run(cluster_node_info, node="node1", host=url)
    thread.join(60)
    assert failed["msg"] == (
        f"node node1: the API server answers 302: it points to {target}; give the address of the API server itself"
    )
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://user:secret@login.example/a?b", "it points to https://login.example/a"),
        ("/login#secret", "it points to /login"),
        ("/\x1b[2J" + "a" * 100_000, "it points to /\\x1b[2J" + "a" * 195),
        ("", "without a reason"),
    ],
    ids=["password", "path", "control", "none"],
)
def test_where_one_points(controller: Controller, location: str, words: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {location[:60_000]}\r\nContent-Length: 0\r\n\r\n"
    url, thread = raw_server([head.encode()])
    failed = controller.run(cluster_node_info, node="node1", host=url)
    thread.join(60)
    assert failed["msg"].partition("; ")[0] == f"node node1: the API server answers 302: {words}"


def test_the_wait_for_a_node_too(tmp_path: Path) -> None:
    url, thread = raw_server(long("200 OK"))
    with pytest.raises(NodeError, match=f"longer than {LONGEST} bytes"):
        Api(kubeconfig_of(tmp_path / "kubeconfig", url), "node1")
    thread.join(60)
