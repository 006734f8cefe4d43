# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module extended_resource, on an API server and a kubelet over HTTP."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._cluster import api, client
from ansible_collections.accel.qat.plugins.modules import extended_resource
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, FakeCluster, Refusal
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller
from ansible_collections.accel.qat.tests.unit.cluster.real_api_server import RealCluster

DONGLE = "example.com/dongle"
OTHER = "example.com/other"
PLUGIN = "qat.intel.com/cy"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extended_resource, "LOOK_SECONDS", 0.02)


def present(name: str = DONGLE, quantity: t.Any = 4) -> dict[str, t.Any]:
    return {"name": name, "quantity": quantity}


def absent(name: str = DONGLE) -> dict[str, t.Any]:
    return {"name": name, "state": "absent"}


def resources(*entries: dict[str, t.Any], **others: t.Any) -> dict[str, t.Any]:
    return {"node": "node1", "resources": list(entries), **others}


# What it does.


def test_adds(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    done = any_controller.change(extended_resource, **resources(present()))
    assert done["diff"] == {"before": {"capacity": {}}, "after": {"capacity": {DONGLE: "4"}}}
    assert done["resources"] == [{"name": DONGLE, "before": None, "capacity": 4, "allocatable": 4}]
    assert any_cluster.allocatable() == {DONGLE: "4"}


def test_changes_and_removes_and_leaves_others_alone(
    any_cluster: FakeCluster | RealCluster, any_controller: Controller
) -> None:
    any_cluster.give(DONGLE, 2)
    any_cluster.give(OTHER, 1)
    any_cluster.give("example.com/third", 3)
    done = any_controller.change(extended_resource, **resources(present(quantity="1k"), absent(OTHER)))
    assert done["diff"] == {"before": {"capacity": {DONGLE: "2", OTHER: "1"}}, "after": {"capacity": {DONGLE: "1000"}}}
    assert any_cluster.allocatable() == any_cluster.capacity() == {DONGLE: "1k", "example.com/third": "3"}


def test_nothing_to_do(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    any_cluster.give(DONGLE, 4)
    done = any_controller.run(extended_resource, **resources(present(quantity="4000m"), absent(OTHER)))
    assert not done["changed"]
    assert "warnings" not in done
    assert any_cluster.patches() == []


def test_a_node_without_any_capacity(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    any_cluster.sync_seconds = None
    any_cluster.remove_status()
    assert any_controller.run(extended_resource, **resources(present(), wait=False))["changed"]
    assert any_cluster.capacity() == {DONGLE: "4"}


def test_a_quantity_of_none(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    any_controller.change(extended_resource, **resources(present(quantity=0)))
    assert any_cluster.allocatable() == {DONGLE: "0"}


def test_shows_what_a_restart_of_kubelet_does(any_controller: Controller) -> None:
    done = any_controller.run(extended_resource, **resources(present(), absent(OTHER)))
    (warning,) = done["warnings"]
    assert warning["event"]["msg"] == (
        f"node1: kubelet keeps {DONGLE} over its restarts as long as it has its device-manager checkpoint; where that is gone, "
        "as after a new installation of the node, its start sets them to 0 until this is run again"
    )


def test_comes_back_after_kubelet_lost_its_checkpoint(
    any_cluster: FakeCluster | RealCluster, any_controller: Controller
) -> None:
    any_controller.run(extended_resource, **resources(present()))
    any_cluster.forget_resources()
    assert any_cluster.capacity() == {DONGLE: "0"}
    any_controller.change(extended_resource, **resources(present()))
    assert any_cluster.allocatable() == {DONGLE: "4"}


def test_one_patch_with_escaped_names(cluster: FakeCluster, controller: Controller) -> None:
    cluster.give(OTHER, 1)
    controller.run(extended_resource, **resources(present(), absent(OTHER)))
    assert cluster.patches() == [
        [
            {"op": "add", "path": "/status/capacity/example.com~1dongle", "value": "4"},
            {"op": "remove", "path": "/status/capacity/example.com~1other"},
        ]
    ]


# Waiting.


def test_does_not_wait_when_asked_not_to(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    any_cluster.sync_seconds = None
    done = any_controller.run(extended_resource, **resources(present(), wait=False))
    assert done["resources"][0]["allocatable"] is None
    assert any_cluster.capacity() == {DONGLE: "4"}


def test_waits_even_when_only_kubelet_is_late(
    any_cluster: FakeCluster | RealCluster, any_controller: Controller
) -> None:
    any_cluster.sync_seconds = None
    any_controller.run(extended_resource, **resources(present(), wait=False))
    failed = any_controller.run(extended_resource, **resources(present(), wait_timeout=0.1))
    assert not failed["changed"]
    assert failed["msg"].startswith("node1: what is allocatable has not followed")


def test_an_api_server_that_is_away_for_a_while(
    cluster: FakeCluster, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before it has answered once, and not where nobody is to wait."""
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.02)
    cluster.absences = {"PATCH .*": 2}
    assert "cannot be reached" in controller.run(extended_resource, **resources(present(), wait=False))["msg"]
    assert controller.run(extended_resource, **resources(present()))["changed"]


@pytest.mark.parametrize(
    ("ready", "remedy"),
    [
        (True, "see that kubelet runs, or raise wait_timeout"),
        (False, "the node is not Ready: Kubelet stopped posting node status."),
    ],
)
def test_kubelet_does_not_follow(
    any_cluster: FakeCluster | RealCluster, any_controller: Controller, ready: bool, remedy: str
) -> None:
    any_cluster.give(OTHER, 1)
    assert any_controller.run(extended_resource, **resources(present(OTHER, 1)))["changed"] is False
    any_cluster.sync_seconds = None
    any_cluster.set_ready(ready, "Kubelet stopped posting node status.")
    failed = any_controller.run(extended_resource, **resources(present(), absent(OTHER), wait_timeout=0.2))
    assert failed["changed"]
    assert failed["msg"] == (
        f"node1: what is allocatable has not followed after 0.2 seconds: {DONGLE} is not there and should be 4; "
        f"{OTHER} is 1 and should be gone; {remedy}"
    )


# Names that device plugins have.


@pytest.mark.parametrize("entry", [present(PLUGIN, 4), absent(PLUGIN)])
def test_refuses_what_a_device_plugin_has(
    any_cluster: FakeCluster | RealCluster, any_controller: Controller, entry: dict[str, t.Any]
) -> None:
    any_cluster.plugins[PLUGIN] = 16
    until_allocatable(any_cluster, PLUGIN)
    for check in (True, False):
        failed = any_controller.run(extended_resource, check=check, **resources(present(), entry))
        assert failed["failure"]["kind"] == "refused"
        assert failed["msg"] == (
            f"resources[1]: a device plugin on node1 has {PLUGIN}, kubelet itself wrote its capacity of 16 and would write it "
            "again; choose another name, or stop that device plugin and wait until the capacity is 0"
        )
    assert any_cluster.patches() == []


def test_the_same_number_as_the_device_plugin_has_is_no_change(
    any_cluster: FakeCluster | RealCluster, any_controller: Controller
) -> None:
    any_cluster.plugins[PLUGIN] = 16
    until_allocatable(any_cluster, PLUGIN)
    assert not any_controller.run(extended_resource, **resources(present(PLUGIN, 16)))["changed"]


def test_takes_over_what_a_device_plugin_left(
    any_cluster: FakeCluster | RealCluster, any_controller: Controller
) -> None:
    any_cluster.plugins[PLUGIN] = 0
    until_allocatable(any_cluster, PLUGIN)
    any_cluster.plugins.clear()
    any_controller.change(extended_resource, **resources(absent(PLUGIN)))
    assert any_cluster.allocatable() == {}


def test_a_device_plugin_that_the_api_does_not_show(capsys: pytest.CaptureFixture[str]) -> None:
    old = FakeCluster(has_managed_fields=False)
    try:
        old.plugins[PLUGIN] = 16
        until_allocatable(old, PLUGIN)
        controller = Controller({"host": old.url, "api_key": TOKEN}, capsys)
        failed = controller.run(extended_resource, **resources(present(PLUGIN, 4)))
    finally:
        old.close()
    assert failed["changed"]
    assert failed["msg"] == (
        f"resources[0]: the capacity of {PLUGIN} on node1 was patched to 4 and is 16 by now; "
        "a device plugin of the node has this name, or somebody else patches it; choose another name"
    )


def until_allocatable(cluster: FakeCluster | RealCluster, name: str) -> None:
    end = time.monotonic() + 120
    while name not in cluster.allocatable():
        assert time.monotonic() < end
        time.sleep(0.01)


# Arguments.


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([present(quantity="1.5")], "resources[0].quantity: 1.5 is not a whole number, "),
        ([present(quantity="many")], "resources[0].quantity: 'many' is not a quantity; correct it"),
        ([present(quantity=-1)], "resources[0].quantity: -1 is not between 0 and "),
        ([{"name": DONGLE}], "resources[0].quantity: the key is missing; add it"),
        (
            [{**absent(), "quantity": 1}],
            "resources[0].quantity: a resource that should be absent has no quantity; remove it",
        ),
        ([present(), present("dongle")], "resources[1].name: 'dongle' is not the name of an extended resource, "),
        ([present(), absent()], f"resources[1].name: {DONGLE} is named by resources[0] too; keep one of the two"),
    ],
)
def test_bad_arguments_reach_no_server(
    cluster: FakeCluster, controller: Controller, entries: list[dict[str, t.Any]], message: str
) -> None:
    failed = controller.run(extended_resource, **resources(*entries))
    assert failed["msg"].startswith(message)
    assert failed["failure"]["kind"] == "configuration"
    assert cluster.requests == []


# The API server.


def test_no_such_node(controller: Controller) -> None:
    failed = controller.run(extended_resource, node="node9", resources=[present()])
    assert (
        failed["msg"] == 'node node9: the API server answers 404: nodes "node9" not found; see that the name is right'
    )
    assert failed["failure"]["kind"] == "cluster"


def test_wrong_credentials(controller: Controller) -> None:
    failed = controller.run(extended_resource, **resources(present(), api_key="wrong"))
    assert failed["msg"] == (
        "node node1: the API server answers 401: Unauthorized; "
        "see that the credentials of the kubeconfig or api_key are valid"
    )


def test_no_right_to_patch(cluster: FakeCluster, controller: Controller) -> None:
    forbidden = 'nodes "node1" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "nodes/status"'
    cluster.refusals["PATCH .*"] = Refusal(403, "Forbidden", forbidden)
    failed = controller.run(extended_resource, **resources(present()))
    assert not failed["changed"]
    assert failed["msg"] == (
        f"node node1: the API server answers 403: {forbidden}; "
        "give these credentials the right to do that, see docs/extended_resources.md, docs/verify.md, "
        "docs/drain.md and docs/daemonset.md"
    )


def test_removed_by_somebody_else_meanwhile(
    cluster: FakeCluster, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server refuses to remove what is not there."""
    cluster.give(DONGLE, 1)
    monkeypatch.setattr(
        extended_resource, "patch_of", lambda *_: [{"op": "remove", "path": "/status/capacity/gone~1x"}]
    )
    failed = controller.run(extended_resource, **resources(absent()))
    assert not failed["changed"]
    assert failed["msg"].startswith("node node1: the API server answers 422: the server rejected our request")


def test_nobody_listens(controller: Controller) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        failed = controller.run(extended_resource, **resources(present(), host=url))
    assert failed["msg"] == (
        f"{url}: the API server cannot be reached: Connection refused; "
        "see that the address is right and that the controller may connect to it"
    )


@pytest.mark.parametrize("text", ["<html>welcome</html>", "[" * 100_000], ids=["a page", "a deep nest"])
def test_something_else_listens(controller: Controller, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(FakeCluster, "answer", lambda *_: text)
    failed = controller.run(extended_resource, **resources(present()))
    assert failed["msg"] == ("node node1: the API server's answer is not JSON; see what else listens at its address")


# How the cluster is found.


def kubeconfig(cluster: FakeCluster, path: Path) -> str:
    entry = {"cluster": {"server": cluster.url}, "name": "c"}
    contexts = [{"name": name, "context": {"cluster": "c", "user": name}} for name in ("good", "bad")]
    users = [{"name": "good", "user": {"token": TOKEN}}, {"name": "bad", "user": {"token": "wrong"}}]
    config = {"kind": "Config", "clusters": [entry], "contexts": contexts, "users": users, "current-context": "good"}
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_by_a_kubeconfig(cluster: FakeCluster, controller: Controller, tmp_path: Path) -> None:
    controller.access = {"kubeconfig": kubeconfig(cluster, tmp_path / "config")}
    assert controller.run(extended_resource, **resources(present()))["changed"]
    assert "401" in controller.run(extended_resource, **resources(present(), context="bad"))["msg"]


def test_by_the_environment(
    cluster: FakeCluster, controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller.access = {}
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", kubeconfig(cluster, tmp_path / "config"))
    assert controller.run(extended_resource, **resources(present()))["changed"]


@pytest.mark.parametrize("variable", ["", "K8S_AUTH_PROXY"])
def test_by_a_proxy(controller: Controller, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Which gets the address whole, and answers nothing here."""
    asked: list[bytes] = []

    def take(server: socket.socket) -> None:
        connection, _address = server.accept()
        with connection:
            asked.append(connection.recv(65536).partition(b"\r\n")[0])

    controller.access = {"host": "http://cluster.example:6443", "api_key": TOKEN}
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = threading.Thread(target=take, args=[server], daemon=True)
        proxy.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        if variable:
            monkeypatch.setenv(variable, url)
        given = {"wait_timeout": 0, **({} if variable else {"proxy": url})}
        failed = controller.run(extended_resource, **resources(present(), **given))
        # Where nobody has come, so that the wait ends.
        with contextlib.suppress(OSError), socket.create_connection(server.getsockname()):
            pass
        proxy.join()
    assert asked == [b"GET http://cluster.example:6443/api/v1/nodes/node1 HTTP/1.1"]
    assert failed["msg"].startswith("http://cluster.example:6443: the API server cannot be reached: ")


def test_some_are_reached_without_the_proxy(controller: Controller) -> None:
    past = {"proxy": "http://127.0.0.1:9", "no_proxy": "cluster.example,127.0.0.1"}
    assert controller.run(extended_resource, **resources(present(), **past))["changed"]


def test_by_a_certificate() -> None:
    """As the client has it; the fake API server speaks no TLS."""
    given = {
        "host": "https://cluster.example:6443",
        "client_cert": "/c.pem",
        "client_key": "/k.pem",
        "ca_cert": "/a.pem",
    }
    configuration = client.client_of({**dict.fromkeys(client.ACCESS), **given}).configuration
    found = (configuration.host, configuration.cert_file, configuration.key_file, configuration.ssl_ca_cert)
    assert found == tuple(given.values())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be used: Invalid kube-config file. No configuration found.; name the file of this cluster"),
        ("{}", "cannot be used: Invalid kube-config file. "),
        ("current-context: [", "cannot be used: "),
        ("current-context: c\ncontexts: [{name: c, context: c}]\n", "cannot be used: "),
    ],
)
def test_a_kubeconfig_that_is_none(controller: Controller, tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    controller.access = {"kubeconfig": str(path)}
    failed = controller.run(extended_resource, **resources(present()))
    assert failed["failure"]["kind"] == "configuration"
    assert failed["msg"].startswith(f"kubeconfig {path}: {problem}")


def test_results_are_documented(controller: Controller) -> None:
    described = yaml.safe_load(extended_resource.RETURN)
    done = controller.run(extended_resource, check=True, **resources(present()))
    assert set(done) - {"changed", "diff", "invocation", "warnings"} == set(described) - {"failure"}
    assert set(done["resources"][0]) == set(described["resources"]["contains"])
    failed = controller.run(extended_resource, **resources(present("x")))
    assert set(described["failure"]["sample"]) <= set(failed["failure"])
    assert TOKEN not in json.dumps(done["invocation"])
