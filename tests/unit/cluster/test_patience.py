# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server that cannot answer for a moment, as one whose etcd chooses a leader: each module that waits asks it again."""

from __future__ import annotations

import contextlib
import ssl
import typing as t
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import urllib3.exceptions

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.plugins.module_utils._cluster.tls import TlsError
from ansible_collections.accel.qat.plugins.modules import (
    cluster_access,
    cluster_node_info,
    extended_resource,
    node_daemonset,
    node_drain,
    probe_pod,
)
from ansible_collections.accel.qat.tests.unit.cluster.api_server import FakeCluster, Refusal
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Clock, Controller
from ansible_collections.accel.qat.tests.unit.cluster.daemonset_cluster import DaemonsetCluster

MODULES = Path(api.__file__).parents[2] / "modules"
NODE = {"node": "node1"}
WAITING: list[tuple[ModuleType, dict[str, t.Any]]] = [
    (cluster_node_info, NODE),
    (extended_resource, {**NODE, "resources": [{"name": "example.com/dongle", "state": "absent"}]}),
    (node_daemonset, {**NODE, "name": "d", "namespace": "n", "label": "l", "value": "v", "state": "absent"}),
    (node_drain, NODE),
    (node_drain, {**NODE, "state": "schedulable"}),
    (probe_pod, {"name": "p", "state": "absent"}),
]
NAMES = [module.__name__.rpartition(".")[2] for module, _arguments in WAITING]
AWAY = [Refusal(500, "InternalError", "etcdserver: leader changed"), Refusal(503, "ServiceUnavailable", "not ready")]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.01)


@pytest.fixture
def cluster() -> t.Iterator[DaemonsetCluster]:
    made = DaemonsetCluster()
    yield made
    made.close()


@pytest.mark.parametrize(("module", "arguments"), WAITING, ids=NAMES)
def test_it_is_asked_again_from_the_beginning(
    cluster: DaemonsetCluster, controller: Controller, module: ModuleType, arguments: dict[str, t.Any]
) -> None:
    cluster.first = list(AWAY)
    result = controller.run(module, **arguments, wait_timeout=60)
    assert not result.get("failed"), result
    assert cluster.first == []


@pytest.mark.parametrize("seconds", ["nan", -1, "inf"])
@pytest.mark.parametrize(("module", "arguments"), WAITING, ids=NAMES)
def test_a_time_that_nothing_can_be_given(
    cluster: DaemonsetCluster, controller: Controller, module: ModuleType, arguments: dict[str, t.Any], seconds: t.Any
) -> None:
    failed = controller.run(module, **arguments, wait_timeout=seconds)
    assert failed["msg"] == f"wait_timeout: {seconds} seconds are no time limit; use 0 to 86400"
    assert cluster.requests == []


@pytest.mark.parametrize(("module", "arguments"), WAITING, ids=NAMES)
def test_no_longer_than_it_is_to_wait(
    cluster: DaemonsetCluster, controller: Controller, module: ModuleType, arguments: dict[str, t.Any]
) -> None:
    cluster.first = list(AWAY)
    failed = controller.run(module, **arguments, wait_timeout=0)
    assert "the API server answers 500: etcdserver: leader changed" in failed["msg"]
    assert len(cluster.requests) == 1


@pytest.mark.parametrize(
    ("module", "arguments", "message", "seconds"),
    [
        (node_drain, {**NODE, "wait_timeout": 300}, "cannot be evicted within 300 seconds", 300),
        # Deleting it may take as long again.
        (probe_pod, {**NODE, "name": "p", "image": "i", "wait_timeout": 300}, "after 300 seconds", 600),
    ],
    ids=["node_drain", "probe_pod"],
)
def test_one_deadline_is_for_all_of_a_module(
    controller: Controller,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    arguments: dict[str, t.Any],
    message: str,
    seconds: float,
) -> None:
    """What the API server was away for at first is not given once more to what comes then."""
    clock = Clock()
    for place in (api, module):
        monkeypatch.setattr(place, "time", clock)
        monkeypatch.setattr(place, "AWAY_SECONDS" if place is api else "LOOK_SECONDS", 20.0)
    with contextlib.closing(FakeCluster()) as cluster:
        cluster.add_pod("default/web")
        cluster.keep("default/web")
        cluster.run_pod = lambda _pod: ({"phase": "Unknown"}, "")
        cluster.delete_takes = None
        cluster.first = [AWAY[1]] * 10
        failed = controller.run(module, host=cluster.url, **arguments)
    assert message in failed["msg"], failed["msg"]
    assert clock.now - 1000 <= seconds + 40


def test_no_pause_goes_beyond_what_is_left(
    cluster: DaemonsetCluster, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(api, "time", clock)
    monkeypatch.setattr(api, "AWAY_SECONDS", 20.0)
    cluster.first = [AWAY[1]] * 10
    assert controller.run(cluster_node_info, node="node1", wait_timeout=50)["failed"]
    assert (len(cluster.requests), clock.now) == (4, 1050)


def test_what_is_asked_before_all_else_is_asked_again(cluster: DaemonsetCluster, controller: Controller) -> None:
    """It reports what it was refused, and does not fail."""
    asked = [{"purpose": "drain", **NODE}]
    for seconds, missing in ((60, 0), (0, 1)):
        cluster.first = list(AWAY)
        (answer,) = controller.run(cluster_access, questions=asked, wait_timeout=seconds)["answers"]
        assert (len(cluster.first), len(answer["missing"])) == (missing, missing)


def test_a_load_balancer_that_closes_at_once_is_asked_again(cluster: DaemonsetCluster, controller: Controller) -> None:
    """From the first request on: somebody is at that address."""
    cluster.absences["GET /api/v1/nodes/node1"] = 2
    assert not controller.run(node_drain, node="node1", pods=[], wait_timeout=3600).get("failed")


def test_what_closed_at_once_is_reported(cluster: DaemonsetCluster, controller: Controller) -> None:
    cluster.absences["GET /api/v1/nodes/node1"] = float("inf")
    failed = controller.run(node_drain, node="node1", pods=[], wait_timeout=0)
    assert failed["msg"] == (
        f"{cluster.url}: the API server cannot be reached: Remote end closed connection without response; "
        "see that the address is right and that the controller may connect to it"
    )


def test_each_module_that_waits_for_the_cluster_is_here() -> None:
    words = ("wait_timeout", "_cluster.api import")
    waiting = {path.stem for path in MODULES.glob("*.py") if all(word in path.read_text() for word in words)}
    assert waiting == {*NAMES, "cluster_access"}


@pytest.mark.parametrize(
    ("error", "heard"),
    [
        (urllib3.exceptions.ReadTimeoutError(t.cast("t.Any", None), "/", "The handshake operation timed out"), True),
        (urllib3.exceptions.ConnectTimeoutError("connection timed out"), False),
        (urllib3.exceptions.NewConnectionError(t.cast("t.Any", None), "Connection refused"), False),
        (urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset")), True),
        (TlsError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")), True),
    ],
)
def test_who_takes_a_connection_and_says_nothing_is_there(error: Exception, heard: bool) -> None:
    """As while TLS takes long on a busy host, or a load balancer has no API server; where nobody takes one, the address may be wrong."""

    def method(**_options: t.Any) -> t.NoReturn:
        raise error

    core = SimpleNamespace(api_client=SimpleNamespace(configuration=SimpleNamespace(host="https://192.0.2.1")))
    with pytest.raises(api.ClusterError) as caught:
        api.answer(core, "node node1", method)
    assert (caught.value.away, caught.value.heard) == (True, heard)
