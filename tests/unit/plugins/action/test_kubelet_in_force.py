# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubelet_config, by ansible-playbook, with an API server: the node is ready again, and kubelet says what it has in force."""

from __future__ import annotations

import json
import re
import threading
import typing as t
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tests.fakes.kubelet_node import examples
from ansible_collections.accel.qat.tests.unit.plugins.action.making import RECORD, TOPOLOGY, Make

CONFIG_PATH = examples.CONFIG


class Api:
    """An API server, as far as reading one node goes, and what its kubelet says of itself: fields, or an HTTP status for none."""

    def __init__(self, status: str, heard: timedelta, *in_force: dict[str, t.Any] | int) -> None:
        self.in_force = list(in_force or [403])
        # What is answered first about the node, in place of it.
        self.refusals: list[int] = []
        self.node = {
            "metadata": {"name": "node1"},
            "status": {
                "conditions": [
                    {
                        "type": "Ready",
                        "status": status,
                        "message": "container runtime is down",
                        "lastHeartbeatTime": (datetime.now(timezone.utc) + heard).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    }
                ]
            },
        }

    def answer(self, path: str) -> tuple[int, t.Any]:
        if path == "/api/v1/nodes/node1":
            return (self.refusals.pop(0), {"kind": "Status"}) if self.refusals else (200, self.node)
        if path != "/api/v1/nodes/node1/proxy/configz":
            return 404, {"kind": "Status", "code": 404, "message": f"{path} is unknown"}
        found = self.in_force.pop(0) if len(self.in_force) > 1 else self.in_force[0]
        if isinstance(found, int):
            return found, {"kind": "Status", "code": found, "message": "not now"}
        return 200, {"kubeletconfig": {"syncFrequency": "1m0s", **found}}

    def __enter__(self) -> Api:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, found = answer(self.path)
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: t.Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, path: Path) -> str:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self._server.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        document = {
            "clusters": [cluster],
            "contexts": [context],
            "users": [{"name": "u", "user": {}}],
            "current-context": "c",
        }
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **document}))
        return str(path)


LATER, EARLIER = timedelta(hours=1), timedelta(hours=-1)


def test_the_node_is_ready_again(make: Make, tmp_path: Path) -> None:
    node, controller = make(**examples.kubeadm())
    with Api("True", LATER) as api:
        arguments = {"configuration": TOPOLOGY, "timeout": 20, "kubeconfig": api.kubeconfig(tmp_path / "kubeconfig")}
        (done,) = controller.config(arguments)
        assert done.outcome == "ok", done.message
    assert node.read(RECORD) is not None
    assert node.read(f"{RECORD}.pending") is None


@pytest.mark.parametrize(
    ("status", "heard", "message"),
    [
        ("False", LATER, "node node1: the node is not Ready within 3 seconds: container runtime is down; "),
        (
            "True",
            EARLIER,
            "node node1: the node is not Ready within 3 seconds: kubelet has not reported since it was started; ",
        ),
    ],
)
def test_a_node_that_does_not_become_ready_is_put_back(
    make: Make, tmp_path: Path, status: str, heard: timedelta, message: str
) -> None:
    node, controller = make(**examples.kubeadm())
    untouched = node.state()
    with Api(status, heard) as api:
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig")
        (task,) = controller.config({"configuration": TOPOLOGY, "timeout": 3, "kubeconfig": kubeconfig})
    assert task.message == f"{message}the configuration is as it was and kubelet runs again; correct what was wanted"
    assert (node.state(), node.is_active()) == (untouched, True)


def test_what_cannot_be_put_back_is_a_change(make: Make, tmp_path: Path) -> None:
    """Here since the file that says what was there before was damaged meanwhile. Both reasons are said."""
    node, controller = make(**examples.kubeadm())
    pending = node.root / f"{RECORD}.pending".lstrip("/")

    class DamagesIt(Api):
        def answer(self, path: str) -> tuple[int, t.Any]:
            if pending.exists():
                pending.write_text("{")
            return super().answer(path)

    with DamagesIt("False", LATER) as api:
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig")
        (task,) = controller.config({"configuration": TOPOLOGY, "timeout": 3, "kubeconfig": kubeconfig})
    assert (task.outcome, task.changed) == ("ignored", True)
    assert task.message.startswith(
        "node node1: the node is not Ready within 3 seconds: container runtime is down; and nothing was put back: "
        f"{RECORD}.pending: what an earlier run had in hand cannot be read: "
    )
    assert "topologyManagerPolicy" in (node.read(CONFIG_PATH) or "")


def test_a_cluster_that_cannot_be_asked_is_reported_before_anything_is_written(make: Make, tmp_path: Path) -> None:
    node, controller = make(**examples.kubeadm())
    untouched = node.state()
    with Api("True", LATER) as api:
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig")
        wanted = {"configuration": TOPOLOGY, "timeout": 3}
        other, none = controller.config(
            {**wanted, "kubeconfig": kubeconfig, "node_name": "node9"}, {**wanted, "kubeconfig": "/nowhere"}
        )
    assert other.message == (
        "node node9: the API server answers 404: /api/v1/nodes/node9 is unknown; set node_name to the node's name in the cluster, "
        "and kubeconfig to one that may read nodes; nothing was written"
    )
    assert re.match(
        r"kubeconfig /nowhere: cannot be used: .*; name the file of this cluster with kubeconfig$", none.message
    )
    assert (node.state(), node.asked()) == (untouched, ["restart kubelet.service"])


def test_an_api_server_that_cannot_answer_for_a_moment_is_asked_again(make: Make, tmp_path: Path) -> None:
    _node, controller = make(**examples.kubeadm())
    with Api("True", LATER) as api:
        api.refusals = [500, 503]
        arguments = {"configuration": TOPOLOGY, "timeout": 60, "kubeconfig": api.kubeconfig(tmp_path / "kubeconfig")}
        (done,) = controller.config(arguments)
    assert (done.outcome, done.changed) == ("ok", True), done.message
    assert api.refusals == []


def test_kubelet_says_that_it_is_in_force(make: Make, tmp_path: Path) -> None:
    """Also where nothing is to be done, and not where nothing was done, or where it was not restarted with it."""
    node, controller = make(**examples.kubeadm())
    with Api("True", LATER, 503, TOPOLOGY) as api:
        wanted = {"configuration": TOPOLOGY, "timeout": 20, "kubeconfig": api.kubeconfig(tmp_path / "kubeconfig")}
        checked, done, again, without, check_again = controller.config(
            {**wanted, "_check_mode": True},
            wanted,
            wanted,
            {"configuration": TOPOLOGY},
            {**wanted, "_check_mode": True},
        )
        later = {"configuration": {**TOPOLOGY, "topologyManagerScope": "pod"}, "kubeconfig": wanted["kubeconfig"]}
        left, still_left = controller.config({**later, "restart": False}, {**later, "restart": False})
    reported = [task.result["in_force"] for task in (checked, done, again, without, check_again, left, still_left)]
    assert [(one["verified"], one["reason"]) for one in reported] == [
        (False, "kubelet is not asked in check mode"),
        (True, ""),
        (True, ""),
        (False, "kubelet is not asked without a kubeconfig"),
        (False, "kubelet is not asked in check mode"),
        (False, "kubelet was not restarted"),
        (False, "kubelet was not restarted"),
    ]
    gates = [f"featureGates.{name}" for name in ("DevicePlugins", "KubeletPodResources")]
    assert [one["field"] for one in done.result["asked"]] == ["topologyManagerPolicy", *gates]
    assert node.read(f"{RECORD}.pending") is not None  # of the restart that is left


def test_what_is_not_in_force_after_the_restart_is_put_back(make: Make, tmp_path: Path) -> None:
    node, controller = make(**examples.kubeadm(flags=["--v=2"]))
    untouched = node.state()
    with Api("True", LATER, {"topologyManagerPolicy": "best-effort"}) as api:
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig")
        (task,) = controller.config({"configuration": TOPOLOGY, "timeout": 20, "kubeconfig": kubeconfig})
    assert task.result["failure"]["kind"] == "apply"
    assert task.message == (
        f"kubelet of node node1: topologyManagerPolicy is best-effort in force and not restricted, which {CONFIG_PATH} says; it may come "
        "from kubelet's command line; see what kubelet is started with, and restart it; the configuration is as it was and kubelet runs "
        "again; correct what was wanted"
    )
    assert task.result["in_force"]["differences"] == [
        {
            "field": "topologyManagerPolicy",
            "wanted": "restricted",
            "in_force": "best-effort",
            "where": CONFIG_PATH,
            "layer": "kubelet's command line",
        }
    ]
    assert (node.state(), node.is_active()) == (untouched, True)


@pytest.mark.parametrize("in_force", [{"topologyManagerPolicy": "none"}, {}])
def test_a_kubelet_that_runs_with_something_else_is_reported(
    make: Make, tmp_path: Path, in_force: dict[str, t.Any]
) -> None:
    """The file has what is wanted already, as of somebody who has not restarted kubelet."""
    node, controller = make(**examples.kubeadm(f"{examples.CONFIGURATION}topologyManagerPolicy: restricted\n"))
    untouched = node.state()
    with Api("True", LATER, in_force) as api:
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig")
        (task,) = controller.config({"configuration": TOPOLOGY, "timeout": 20, "kubeconfig": kubeconfig})
    assert (task.outcome, task.changed, task.result["failure"]["kind"]) == ("ignored", False, "node")
    assert task.message == (
        f"kubelet of node node1: topologyManagerPolicy is none in force and not restricted, which {CONFIG_PATH} says; it may come from "
        "kubelet's own default; see what kubelet is started with, and restart it"
    )
    assert task.result["in_force"]["verified"] is False
    assert (node.state(), node.asked()) == (untouched, ["restart kubelet.service"])


def test_a_kubelet_that_nobody_can_ask_is_not_verified(make: Make, tmp_path: Path) -> None:
    node, controller = make(**examples.kubeadm())
    with Api("True", LATER) as api:
        wanted = {"configuration": TOPOLOGY, "timeout": 3, "kubeconfig": api.kubeconfig(tmp_path / "kubeconfig")}
        done, again = controller.config(wanted, wanted)
    (alone,) = controller.config(wanted)  # nobody listens there any more
    for task in (done, again):
        assert (task.outcome, task.result["in_force"]["verified"]) == ("ok", False)
        assert task.result["in_force"]["reason"] == (
            "kubelet of node node1: the API server answers 403: not now; let these credentials get nodes/proxy, see docs/verify.md"
        )
    assert "It is not verified that kubelet has in force what was wanted: kubelet of node" in done.result["warnings"][0]
    assert (alone.outcome, alone.changed, alone.result["in_force"]["verified"]) == ("ok", False, False)
    assert alone.result["in_force"]["reason"].startswith("the API server cannot be reached: ")
    assert "topologyManagerPolicy: restricted" in (node.read(CONFIG_PATH) or "")


def test_on_openshift_4_the_operator_is_waited_for_by_nobody(make: Make, tmp_path: Path) -> None:
    _node, controller = make(start=False, **examples.openshift4())
    with Api("True", LATER, {}) as api:
        kubeconfig = api.kubeconfig(tmp_path / "kubeconfig")
        (done,) = controller.config({"configuration": TOPOLOGY, "kubeconfig": kubeconfig})
    assert done.result["in_force"]["reason"].startswith("the Machine Config Operator brings it")
    assert [one["wanted"] for one in done.result["asked"]] == ["restricted"]
