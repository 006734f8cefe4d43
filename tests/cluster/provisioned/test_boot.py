# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No pod loses its VF for good because the node boots, whether in order or not, and with a device plugin that takes its time.

ACCEL_QAT_BOOT_ROUNDS says how many reboots and power cuts there are, one of each by default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.accel.qat.tests.cluster.admissions import create_waiting_pod
from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

UNIT = "accel-qat-device-plugin.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/test.conf"
REBOOTS, CUTS = map(int, os.environ.get("ACCEL_QAT_BOOT_ROUNDS", "1 1").split())
NAMES = [f"pod-{number}" for number in range(8)]
REGISTERED = re.compile(r"asked_after=(\S+) took=(\S+)")

# Kubelets before 1.37 have not been tried with so many.
pytestmark = pytest.mark.releases(releases.NEWEST)

Boot = Callable[[], None]


@pytest.fixture
def pods(cluster: Cluster) -> Iterator[None]:
    """So many pods with a VF that nobody makes again."""
    for name in NAMES:
        create_waiting_pod(cluster, name, CY)
        is_admitted(cluster, name)
    yield
    cluster.delete_pods()


def is_admitted(cluster: Cluster, name: str) -> None:
    """Wait until kubelet has said what becomes of the pod, which is not that it is refused."""
    cluster.wait_for(f"word of pod {name}", lambda: cluster.pod(name)["status"].get("startTime", ""), bool)
    assert cluster.pod(name)["status"]["phase"] == "Pending", cluster.pod(name)["status"]


def all_live(cluster: Cluster, node: Node) -> None:
    """See after a boot that kubelet has admitted each of the pods again."""
    # What the API has of the node may still be from before the boot.
    node.run(f"until systemctl show --property=StatusText {UNIT} | grep -q '=ready;'; do sleep 0.5; done")
    cluster.wait_until_ready()
    cluster.wait_for_offer(CY, 16)
    # Kubelet admits pods in the order in which they were made: after this one it has seen them all.
    create_waiting_pod(cluster, "witness", CY)
    is_admitted(cluster, "witness")
    cluster.delete_pod("witness")
    phases = {name: cluster.pod(name)["status"]["phase"] for name in NAMES}
    said = node.run(f"journalctl --boot --output=cat --unit={UNIT}")
    print("seconds from kubelet.sock to Register, and to its answer:", *REGISTERED.findall(said))
    assert phases == dict.fromkeys(NAMES, "Pending"), said


@pytest.mark.usefixtures("pods")
def test_reboots(cluster: Cluster, node: Node) -> None:
    for _ in range(REBOOTS):
        node.machine.reboot()
        all_live(cluster, node)


@pytest.mark.usefixtures("pods")
def test_power_cuts_and_a_plugin_that_starts_slowly(cluster: Cluster, node: Node) -> None:
    with_drop_in(node, "ExecStartPre=sleep 10")
    try:
        for _ in range(CUTS):
            node.machine.cut_power()
            all_live(cluster, node)
    finally:
        without_drop_in(node)


def test_a_plugin_that_fails_keeps_no_kubelet_from_its_start(cluster: Cluster, node: Node) -> None:
    with_drop_in(node, "ExecStart=\nExecStart=false")
    try:
        node.machine.reboot()
        cluster.wait_until_ready()
    finally:
        without_drop_in(node)
    node.run(f"systemctl restart {UNIT}")
    cluster.wait_for_offer(CY, 16)


def with_drop_in(node: Node, lines: str) -> None:
    text = f"[Service]\n{lines}\n"
    node.run(f"mkdir -p $(dirname {DROP_IN}); printf %s '{text}' > {DROP_IN}; sync; systemctl daemon-reload")


def without_drop_in(node: Node) -> None:
    node.run(f"rm -r $(dirname {DROP_IN}); sync; systemctl daemon-reload")
