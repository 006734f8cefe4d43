# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No pod loses its VF for good because the node boots, whether in order or not, and with a device plugin that takes its time.

`make test-pods` runs this, and `make test` does not: an emulated kubelet takes two tenths of a second from Register to the list, on a host
with other work seconds, and may refuse pods meanwhile. ACCEL_QAT_BOOT_ROUNDS says how many reboots and power cuts there are, one of each
by default. All of them are made, so that what fails says after how many of them, and with whose delay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from ansible_collections.accel.qat.tests.cluster.admissions import create_waiting_pod
from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY
from ansible_collections.accel.qat.tests.cluster.steps import UNIT, wait_until_taken, with_drop_in, without_drop_in
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

REBOOTS, CUTS = map(int, os.environ.get("ACCEL_QAT_BOOT_ROUNDS", "1 1").split())
NAMES = [f"pod-{number}" for number in range(8)]
REGISTERED = re.compile(r"asked_after=.*")

# Kubelets before 1.37 have not been tried with so many.
pytestmark = pytest.mark.releases(releases.NEWEST)


@pytest.fixture
def pods(cluster: Cluster) -> Iterator[None]:
    """So many pods with a VF that nobody makes again."""
    make(cluster, NAMES)
    yield
    cluster.delete_pods()


def make(cluster: Cluster, names: list[str]) -> None:
    for name in names:
        create_waiting_pod(cluster, name, CY)
        is_admitted(cluster, name)


def is_admitted(cluster: Cluster, name: str) -> None:
    """Wait until kubelet has said what becomes of the pod, which is not that it is refused."""
    cluster.wait_for(f"word of pod {name}", lambda: cluster.pod(name)["status"].get("startTime", ""), bool)
    assert cluster.pod(name)["status"]["phase"] == "Pending", cluster.pod(name)["status"]


def refused_at_boot(cluster: Cluster, node: Node) -> list[str]:
    """The pods that kubelet has refused; they are made again. Prints them and what the plugin has measured of its registrations."""
    wait_until_taken(node)
    cluster.wait_until_ready()
    cluster.wait_for_offer(CY, 16)
    # Kubelet admits pods in the order in which they were made: after this one it has seen them all.
    make(cluster, ["witness"])
    cluster.delete_pod("witness")
    refused = [name for name in NAMES if cluster.pod(name)["status"]["phase"] != "Pending"]
    print(refused, *REGISTERED.findall(node.run(f"journalctl --boot --output=cat --unit={UNIT}")), sep="\n")
    for name in refused:
        cluster.delete_pod(name)
    make(cluster, refused)
    return refused


@pytest.mark.usefixtures("pods")
def test_reboots(cluster: Cluster, node: Node) -> None:
    lost = []
    for _ in range(REBOOTS):
        node.machine.reboot()
        lost.append(refused_at_boot(cluster, node))
    assert lost == [[]] * REBOOTS


@pytest.mark.usefixtures("pods")
def test_power_cuts_and_a_plugin_that_starts_slowly(cluster: Cluster, node: Node) -> None:
    lost = []
    with_drop_in(node, "ExecStartPre=sleep 10")
    try:
        for _ in range(CUTS):
            node.machine.cut_power()
            lost.append(refused_at_boot(cluster, node))
    finally:
        without_drop_in(node)
    assert lost == [[]] * CUTS


@pytest.mark.usefixtures("no_pods")
def test_a_pod_runs_again_with_its_vf(cluster: Cluster, node: Node) -> None:
    cluster.create_pod("lasts", {CY: 1}, restartPolicy="Always")
    cluster.wait_for_phase("lasts")
    vf = cluster.environment("lasts")["QAT0"]
    node.machine.reboot()

    def restarts() -> int:
        status = cluster.pod("lasts")["status"]
        assert status["phase"] != "Failed", status
        (main,) = status["containerStatuses"]
        return int(main["restartCount"]) if main["ready"] else 0

    cluster.wait_for("that the pod runs again", restarts, lambda number: number == 1)
    assert cluster.environment("lasts")["QAT0"] == vf
    group = node.run(f"basename $(readlink {DEVICES}/{vf}/iommu_group)").strip()
    assert cluster.execute("lasts", f"exec 3<> /dev/vfio/{group} && echo opened").strip() == "opened"
