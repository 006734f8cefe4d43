# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real pod at work, and a Prometheus that scraped the node as the page of monitoring says: who makes an engine busy."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness.process import free_port, listens

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, FIRST
from ansible_collections.accel.qat.tests.cluster.steps import given, include
from ansible_collections.accel.qat.tests.monitoring.board import asked
from ansible_collections.accel.qat.tests.monitoring.programs import Prometheus
from ansible_collections.accel.qat.tests.monitoring.scenario import BUSY_PKE, configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.accel.qat.tests.controller.controller import Controller
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
    from ansible_collections.accel.qat.tests.machine.node import Node

pytestmark = pytest.mark.usefixtures("no_pods")

PORTS = ("9482", "9483")


@pytest.fixture
def exporter(controller: Controller) -> Iterator[None]:
    """The node's exporter follows the VFs of pods."""
    include(controller, "qat_device_plugin", "exporter", qat_device_plugin_exporter_per_vf=True)
    yield
    include(controller, "qat_device_plugin", "no_exporter")


@pytest.fixture
def prometheus(node: Node, tmp_path: Path) -> Iterator[Prometheus]:
    """It reaches the node's own address by a tunnel, and takes it for the node that Kubernetes lists."""
    ports = {port: free_port() for port in PORTS}
    tunnels = [word for port, here in ports.items() for word in ("-L", f"127.0.0.1:{here}:127.0.0.1:{port}")]
    tunnel = subprocess.Popen(["ssh", *node.machine.ssh_options, "-N", *tunnels, "root@127.0.0.1"])
    server = Prometheus(tmp_path, configuration(ports, seconds=5), free_port())
    try:
        server.until(lambda: all(map(listens, ports.values())))
        server.wait_until_ready()
        yield server
    finally:
        server.close()
        tunnel.terminate()
        tunnel.wait()


@contextlib.contextmanager
def working(node: Node, vf: str, percent: int, megabits: int) -> Iterator[None]:
    """The VF's first ring pair, which is for asym, has the engine pke work."""
    vfs = [one["address"] for one in node.devices()[FIRST]["vfs"]]
    ring_pair = 4 * vfs.index(vf)
    moved = "; ".join(f"rp {ring_pair} {name} {megabits}" for name in ("bw_in", "bw_out"))
    node.fault(FIRST, "load", shlex.quote(f"pke {percent}; {moved}"))
    try:
        yield
    finally:
        node.fault(FIRST, "load", shlex.quote(moved.replace(str(megabits), "0") + "; pke 0"))


@pytest.mark.usefixtures("exporter")
def test_prometheus_says_which_pod_makes_an_engine_busy(cluster: Cluster, node: Node, prometheus: Prometheus) -> None:
    for pod in ("idle", "signing"):
        cluster.create_pod(pod, {CY: 1})
    for pod in ("idle", "signing"):
        cluster.wait_for_phase(pod)
    (vf,) = given(cluster, "signing")

    def pods() -> dict[str, float]:
        return {one["metric"]["pod"]: float(one["value"][1]) for one in prometheus.query(BUSY_PKE)}

    with working(node, vf, percent=83, megabits=800):
        prometheus.until(lambda: pods().get("signing"))
        assert {pod: moved for pod, moved in pods().items() if moved} == {"signing": 2 * 800 * 125_000}
        found = prometheus.query(f'qat_device_plugin_vf_info{{vf="{vf}"}}')
        assert [(one["metric"]["namespace"], one["metric"]["pod"], one["metric"]["container"]) for one in found] == [
            ("default", "signing", "main")
        ]
        busy = prometheus.query(asked()["Pods behind busy engines 0"])
        assert [(one["metric"]["service"], one["metric"]["pod"]) for one in busy] == [("asym", "signing")]
    cluster.delete_pod("signing")
    prometheus.until(lambda: prometheus.query(f'qat_device_plugin_vf_info{{vf="{vf}", pod=""}}'))
