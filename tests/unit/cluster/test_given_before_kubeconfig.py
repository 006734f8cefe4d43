# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is given goes before what a kubeconfig says, at each request: the client loads one with a token again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._cluster import api, client
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError
from ansible_collections.accel.qat.plugins.modules import cluster_node_info
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.wait_ready import Api
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, FakeCluster
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller, kubeconfig_of

ELSEWHERE = "http://127.0.0.1:9"
KUBELET = {"kubeletconfig": {"syncFrequency": "1m0s", "topologyManagerPolicy": "restricted", "port": 10250}}


@pytest.mark.parametrize("token", ["wrong", TOKEN])
def test_host_and_token(cluster: FakeCluster, controller: Controller, tmp_path: Path, token: str) -> None:
    """Also of the client that is made later to ask kubelet."""
    cluster.configz = [KUBELET]
    given = {"host": cluster.url, **({} if token == TOKEN else {"api_key": TOKEN})}
    controller.access = {"kubeconfig": kubeconfig_of(tmp_path / "config", ELSEWHERE, token), **given}
    found = controller.run(cluster_node_info, node="node1", kubelet_configuration=True, wait_timeout=0)
    assert not found.get("failed"), found
    assert found["kubelet"] == {"configuration": {"topologyManagerPolicy": "restricted"}, "problem": ""}


@pytest.mark.parametrize("way", ["proxy", "host"])
def test_who_waits_for_the_node_goes_by_the_environment_too(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    """As whoever has proved before the drain that the API server can be reached."""
    variables = {"proxy": {"PROXY": cluster.url}, "host": {"HOST": cluster.url, "API_KEY": TOKEN}}[way]
    for name, value in variables.items():
        monkeypatch.setenv(f"K8S_AUTH_{name}", value)
    token = TOKEN if way == "proxy" else "wrong"
    Api(kubeconfig_of(tmp_path / "config", "http://cluster.invalid:6443", token), "node1")
    assert [path for _method, path, _body in cluster.requests] == ["/api/v1/nodes/node1"]


def test_a_variable_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("K8S_AUTH_VERIFY_SSL", "perhaps")
    with pytest.raises(ConfigurationError, match=r"^K8S_AUTH_\.\.\.: .*perhaps.*; correct the variable$"):
        Api(kubeconfig_of(tmp_path / "config", ELSEWHERE), "node1")


def test_who_waits_for_the_node_asks_again(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.01)
    cluster.absences["GET /api/v1/nodes/node1"] = 6
    kubeconfig = kubeconfig_of(tmp_path / "config", cluster.url)
    Api(kubeconfig, "node1", 3600)
    assert len(cluster.requests) == 7
    cluster.absences["GET /api/v1/nodes/node1"] = 1
    with pytest.raises(NodeError, match="the API server cannot be reached: "):
        Api(kubeconfig, "node1")


def test_all_else(tmp_path: Path) -> None:
    given = {
        "kubeconfig": kubeconfig_of(tmp_path / "config", "https://192.0.2.1", proxy="http://192.0.2.9:1"),
        "host": "https://192.0.2.2",
        "proxy": "http://192.0.2.3:3128",
        "no_proxy": "example.com",
        "client_cert": "/c.pem",
        "client_key": "/k.pem",
        "ca_cert": "/a.pem",
        "validate_certs": False,
    }
    configuration = client.client_of({**dict.fromkeys(client.ACCESS), **given}).configuration
    for _request in range(2):  # as the client does before each
        assert configuration.get_api_key_with_prefix("BearerToken", alias="authorization") == f"Bearer {TOKEN}"
    names = ("host", "proxy", "no_proxy", "cert_file", "key_file", "ssl_ca_cert", "verify_ssl")
    assert [getattr(configuration, name) for name in names] == list(given.values())[1:]


def test_the_token_of_a_kubeconfig_may_be_another_by_then(tmp_path: Path) -> None:
    """Where none is given."""
    kubeconfig = kubeconfig_of(tmp_path / "config", "https://192.0.2.1")
    configuration = client.client_of({**dict.fromkeys(client.ACCESS), "kubeconfig": kubeconfig}).configuration
    configuration.api_key.clear()
    assert configuration.get_api_key_with_prefix("BearerToken", alias="authorization") == f"Bearer {TOKEN}"
