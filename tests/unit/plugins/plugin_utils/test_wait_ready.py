# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs that cannot be used, and how long a request may take; all else is tried with kubelet_config itself."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet import wait_ready
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.wait_ready import Api
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Clock, kubeconfig_of

CONTEXT = "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
CLUSTER = "clusters: [{name: c, cluster: {server: 'https://192.0.2.1'}}]\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "current-context: [",
        "\x00",
        "- a list\n",
        "a text\n",
        "current-context: c\n",
        "current-context: c\ncontexts: [{name: c, context: c}]\nclusters: []\nusers: []\n",
        f"{CONTEXT}clusters: []\nusers: []\n",
        f"{CONTEXT}clusters: [{{name: c, cluster: {{server: 6443}}}}]\nusers: [{{name: u, user: {{}}}}]\n",
        f"{CONTEXT}{CLUSTER}users: [{{name: u, user: {{client-certificate-data: a, client-key-data: b}}}}]\n",
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        Api(str(path), "node1")
    assert caught.value.sentence().startswith(f"kubeconfig {path}: cannot be used: ")
    assert caught.value.remedy in ("correct the file", "name the file of this cluster with kubeconfig")


def test_no_request_takes_longer_than_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    given: list[float] = []

    def answer(_core: object, where: str, *_arguments: object, _request_timeout: float) -> str:
        given.append(_request_timeout)
        if len(given) == 1:
            return "{}"
        clock.now += _request_timeout  # nobody says anything
        raise api.ClusterError("the API server cannot be reached: timed out", where, away=True, heard=True)

    monkeypatch.setattr(api, "answer", answer)
    monkeypatch.setattr(api, "time", clock)
    monkeypatch.setattr(wait_ready, "time", clock)
    node = Api(kubeconfig_of(tmp_path / "kubeconfig", "http://192.0.2.1"), "node1")
    with pytest.raises(NodeError, match="the node is not Ready within 40 seconds: the API server cannot be reached"):
        node.wait_until_ready(0.0, 40)
    # A pause of a second is between the two.
    assert (given, clock.now) == ([30, 30, 9], 1040)


@pytest.mark.parametrize("renewed", [True, False])
def test_a_clock_that_was_set_back_makes_no_report_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renewed: bool
) -> None:
    """Kubelet's reports have the node's time of day, which may be another one since it was started: a new report has another one."""
    clock = Clock()

    def answer(_core: object, _where: str, *_arguments: object, **_options: object) -> str:
        second = 10 if renewed and clock.now > 1003 else 0
        heartbeat = f"2026-11-30T11:00:{second:02}Z"
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}
        return json.dumps({"status": {"conditions": [ready]}})

    monkeypatch.setattr(api, "answer", answer)
    monkeypatch.setattr(api, "time", clock)
    monkeypatch.setattr(wait_ready, "time", clock)
    node = Api(kubeconfig_of(tmp_path / "kubeconfig", "http://192.0.2.1"), "node1")
    started = datetime(2026, 11, 30, 12, tzinfo=timezone.utc).timestamp()
    if renewed:
        node.wait_until_ready(started, 40)
        assert clock.now == 1004
    else:
        with pytest.raises(NodeError, match="kubelet has not reported since it was started"):
            node.wait_until_ready(started, 40)
