# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubelet says of its configuration, through the API server, be it whatever."""

from __future__ import annotations

import time

import pytest
from kubernetes import client

from ansible_collections.accel.qat.plugins.module_utils._cluster import api, configz
from ansible_collections.accel.qat.plugins.module_utils._cluster.api import ClusterError
from ansible_collections.accel.qat.plugins.module_utils._cluster.configz import LONGEST, read_configz
from ansible_collections.accel.qat.plugins.modules import cluster_node_info
from ansible_collections.accel.qat.tests.unit.cluster.api_server import (
    TOKEN,
    FakeCluster,
    Refusal,
    drops,
    endless,
    raw_server,
)
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller

PATH = "GET /api/v1/nodes/node1/proxy/configz"
ANSWER = {"kubeletconfig": {"syncFrequency": "1m0s", "topologyManagerPolicy": "restricted", "port": 10250}}
KUBELET = "kubelet of node node1"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.05)


def core(url: str) -> client.CoreV1Api:
    configuration = client.Configuration()
    configuration.host = url
    configuration.api_key = {"authorization": f"Bearer {TOKEN}"}
    configuration.retries = False
    return client.CoreV1Api(client.ApiClient(configuration))


def asked(cluster: FakeCluster) -> int:
    return sum(path.endswith("/configz") for _method, path, _body in cluster.requests)


def test_it_is_read(cluster: FakeCluster) -> None:
    cluster.configz = [ANSWER]
    assert read_configz(core(cluster.url), "node1") == ANSWER


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_kubelet_that_is_starting_is_asked_again(cluster: FakeCluster, status: int) -> None:
    away = Refusal(status, "InternalError", "error trying to reach service: connection refused")
    cluster.configz = [away, away, ANSWER]
    cluster.absences[PATH] = 1
    assert read_configz(core(cluster.url), "node1", 120) == ANSWER
    assert asked(cluster) == 4


def test_a_kubelet_that_stays_away_is_given_up(cluster: FakeCluster) -> None:
    with pytest.raises(ClusterError) as caught:
        read_configz(core(cluster.url), "node1", 3)
    assert caught.value.sentence().startswith(f"{KUBELET}: the API server answers 503: no kubelet; ")
    assert asked(cluster) > 2
    with pytest.raises(ClusterError):
        read_configz(core(cluster.url), "node1")


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (
            Refusal(403, "Forbidden", 'nodes "node1" is forbidden'),
            (
                f'{KUBELET}: the API server answers 403: nodes "node1" is forbidden; let these credentials get nodes/proxy, see '
                "docs/verify.md"
            ),
        ),
        (
            Refusal(404, "NotFound", "404 page not found"),
            (
                f"{KUBELET}: the API server answers 404: 404 page not found; see that the Node's name is right, and that kubelet's "
                "enableDebuggingHandlers is not false"
            ),
        ),
        (
            Refusal(401, "Unauthorized", "Unauthorized"),
            (
                f"{KUBELET}: the API server answers 401: Unauthorized; see that the credentials of the kubeconfig or api_key are valid"
            ),
        ),
    ],
)
def test_a_refusal_is_reported_at_once(cluster: FakeCluster, refusal: Refusal, message: str) -> None:
    cluster.configz = [refusal]
    with pytest.raises(ClusterError) as caught:
        read_configz(core(cluster.url), "node1", 10)
    assert caught.value.sentence() == message
    assert asked(cluster) == 1


def test_another_node_is_not_there(cluster: FakeCluster) -> None:
    cluster.configz = [ANSWER]
    with pytest.raises(ClusterError, match=r"^kubelet of node node9: the API server answers 404: "):
        read_configz(core(cluster.url), "node9")


@pytest.mark.parametrize("answer", ["", "<html>", "[]", "null", "1", '{"kubeletconfig": ', "[" * 100_000, "\x00"])
def test_what_is_no_json_object(cluster: FakeCluster, answer: str) -> None:
    cluster.configz = [answer]
    with pytest.raises(ClusterError, match=f"^{KUBELET}: its answer is no JSON object; "):
        read_configz(core(cluster.url), "node1", 10)


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error", "403 Forbidden"])
@pytest.mark.parametrize("headers", [(), (f"Content-Length: {10**15}",)])
def test_an_answer_without_end_is_not_read_to_its_end(status: str, headers: tuple[str, ...]) -> None:
    url, thread = raw_server(endless(status, *headers))
    with pytest.raises(ClusterError) as caught:
        read_configz(core(url), "node1", 10)
    thread.join(10)
    assert not thread.is_alive()
    assert (
        caught.value.sentence()
        == f"/configz: the answer is longer than {LONGEST} bytes; see what answers in kubelet's place"
    )


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\x00", b'{"message": 5, "details": []}', b""])
def test_a_refusal_of_any_form_is_reported(body: bytes) -> None:
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    url, thread = raw_server([head + body])
    with pytest.raises(ClusterError, match=f"^{KUBELET}: the API server answers 403: "):
        read_configz(core(url), "node1")
    thread.join(10)


def test_an_answer_by_drops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configz, "REQUEST_SECONDS", 0.3)

    url, thread = raw_server(drops())
    client = core(url)  # which may have to be loaded first
    start = time.monotonic()
    with pytest.raises(ClusterError, match=r"^/configz: the answer is not whole after 0\.3 seconds; "):
        read_configz(client, "node1")
    assert time.monotonic() - start < 60
    thread.join(20)


def test_an_answer_that_points_elsewhere_is_not_followed(cluster: FakeCluster) -> None:
    cluster.configz = [ANSWER]
    elsewhere = (
        f"HTTP/1.1 302 Found\r\nLocation: {cluster.url}/api/v1/nodes/node1/proxy/configz\r\nContent-Length: 0\r\n\r\n"
    )
    url, thread = raw_server([elsewhere.encode()])
    with pytest.raises(ClusterError, match="the API server answers 302"):
        read_configz(core(url), "node1")
    thread.join(10)
    assert asked(cluster) == 0


def test_the_module_reports_what_is_in_force(controller: Controller, cluster: FakeCluster) -> None:
    cluster.configz = [Refusal(503, "ServiceUnavailable", "starting"), ANSWER]
    found = controller.run(cluster_node_info, node="node1", kubelet_configuration=True, wait_timeout=120)
    assert found["kubelet"] == {"configuration": {"topologyManagerPolicy": "restricted"}, "problem": ""}


def test_the_module_does_not_fail_where_kubelet_does_not_report(controller: Controller, cluster: FakeCluster) -> None:
    for answer, problem in (
        (
            Refusal(403, "Forbidden", "no"),
            f"{KUBELET}: the API server answers 403: no; let these credentials get nodes/proxy",
        ),
        ({"kubeletconfig": {}}, "/configz: what it answers is no KubeletConfiguration of v1beta1"),
    ):
        cluster.configz = [answer]
        found = controller.run(cluster_node_info, node="node1", kubelet_configuration=True)
        assert found["kubelet"]["configuration"] is None
        assert found["kubelet"]["problem"].startswith(problem)
    cluster.requests.clear()
    found = controller.run(cluster_node_info, node="node1")
    assert found["kubelet"] == {"configuration": None, "problem": "kubelet was not asked"}
    assert asked(cluster) == 0
