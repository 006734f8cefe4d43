# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.plugins.modules import cluster_node_info
from ansible_collections.accel.qat.tests.unit.cluster.api_server import FakeCluster
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller

CY = 'status.allocatable."qat.intel.com/cy"'


@pytest.fixture(autouse=True)
def with_vfs(cluster: FakeCluster) -> None:
    cluster.sync_seconds = None
    cluster._node["status"]["allocatable"] = {"cpu": "8", "qat.intel.com/cy": "16"}


def checks(controller: Controller, *expectations: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    result = controller.run(cluster_node_info, node="node1", expectations=list(expectations))
    assert not result.get("failed"), result
    assert not result["changed"]
    found: list[dict[str, t.Any]] = result["checks"]
    return found


def test_an_api_server_that_is_away_for_a_while(
    cluster: FakeCluster, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.05)
    cluster.absences = {"GET .*": 2}
    assert "cannot be reached" in controller.run(cluster_node_info, node="node1")["msg"]
    assert controller.run(cluster_node_info, node="node1", wait_timeout=60)["allocatable"]["cpu"] == "8"


@pytest.mark.parametrize(
    ("query", "equals"),
    [
        (CY, 16),
        (CY, "16"),
        ("'2k'", 2000),
        ("'8Gi'", "8192Mi"),
        (f"to_number({CY}) >= `12`", None),
        (f"to_number({CY}) >= `12`", True),
        ("status.conditions[?type == 'Ready'].status | [0]", "True"),
        ("status.conditions[?type == 'Ready'].status | [0]", True),
        ("metadata.name", "node1"),
        ("status.allocatable.none == null", None),
        ("keys(status.allocatable)", ["cpu", "qat.intel.com/cy"]),
    ],
)
def test_met(controller: Controller, query: str, equals: t.Any) -> None:
    (check,) = checks(controller, {"query": query, "equals": equals})
    assert (check["ok"], check["reason"], check["name"]) == (True, "", query)


@pytest.mark.parametrize(
    ("query", "equals", "reason"),
    [
        (CY, 32, "VFs is 16 and should be 32"),
        (CY.replace("cy", "dc"), 32, "VFs is not there and should be 32"),
        (f"to_number({CY}) >= `17`", None, "VFs is False and should be True"),
        ("metadata.name", 16, "VFs is node1 and should be 16"),
        ("metadata.nothing", None, "VFs is not there and should be True"),
        (
            "contains(metadata.nothing, 'x')",
            None,
            "In function contains(), invalid type for value: None, expected one of: ['array', 'string'], received: \"null\"",
        ),
    ],
)
def test_not_met(controller: Controller, query: str, equals: t.Any, reason: str) -> None:
    (check,) = checks(controller, {"name": "VFs", "query": query, "equals": equals})
    assert (check["ok"], check["reason"]) == (False, reason)


def test_what_is_no_query(cluster: FakeCluster, controller: Controller) -> None:
    failed = controller.run(cluster_node_info, node="node1", expectations=[{"query": CY}, {"query": "a["}])
    assert failed["msg"].startswith("expectations[1].query: 'a[' is not JMESPath: ")
    assert failed["msg"].endswith("; correct it")
    assert cluster.requests == []


def test_no_such_node(controller: Controller) -> None:
    failed = controller.run(cluster_node_info, node="node9")
    assert (
        failed["msg"] == 'node node9: the API server answers 404: nodes "node9" not found; see that the name is right'
    )


def test_results_are_documented(controller: Controller) -> None:
    described = yaml.safe_load(cluster_node_info.RETURN)
    result = controller.run(cluster_node_info, node="node1", expectations=[{"query": CY}])
    assert set(result) - {"changed", "invocation"} == set(described) - {"failure"}
    assert set(result["checks"][0]) == set(described["checks"]["contains"])
