# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VFs as a resource of a real node: offered, given to pods one by one, refused when there are none left, given back."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, FIRST, SECOND
from ansible_collections.accel.qat.tests.cluster.steps import include
from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

UNIT = "accel-qat-device-plugin.service"
RELEASES = "/opt/accel-qat/device-plugin"
PREVIOUS = "0.0.9-previous"

pytestmark = pytest.mark.usefixtures("no_pods")


@pytest.fixture(scope="module")
def vfs(node: Node, provisioned: Run) -> dict[str, str]:
    """The VFs that do cryptography, each with the number of its VFIO group."""
    assert provisioned.code == 0, provisioned.output
    addresses = [vf["address"] for vf in node.devices()[FIRST]["vfs"]]
    groups = node.run("; ".join(f"basename $(readlink {DEVICES}/{vf}/iommu_group)" for vf in addresses)).split()
    return dict(zip(addresses, groups, strict=True))


def given(cluster: Cluster, pod: str, container: str = "main") -> list[str]:
    """The VFs that a container of a running pod was given, by its environment."""
    environment = cluster.environment(pod, container)
    return [value for name, value in sorted(environment.items()) if name.startswith("QAT")]


def test_the_node_offers_its_vfs(cluster: Cluster) -> None:
    cluster.wait_for_offer(CY, 16)
    cluster.wait_for_offer(DC, 12)


def test_a_pod_gets_one_vf_that_it_can_open(cluster: Cluster, vfs: dict[str, str]) -> None:
    cluster.create_pod("one", {CY: 1})
    cluster.wait_for_phase("one")
    (vf,) = given(cluster, "one")
    assert cluster.execute("one", "ls /dev/vfio").split() == [vfs[vf], "vfio"]
    opened = cluster.execute("one", f"exec 3<> /dev/vfio/{vfs[vf]} 4<> /dev/vfio/vfio && echo opened")
    assert opened.strip() == "opened"


def test_a_pod_that_asks_for_none_gets_none(cluster: Cluster, vfs: dict[str, str]) -> None:
    assert vfs
    cluster.create_pod("none")
    cluster.wait_for_phase("none")
    assert given(cluster, "none") == []
    assert cluster.execute("none", "ls /dev").split().count("vfio") == 0


def test_each_container_gets_its_own(cluster: Cluster, node: Node, vfs: dict[str, str]) -> None:
    cluster.create_pod("two", {CY: 1, DC: 1}, {CY: 2})
    cluster.wait_for_phase("two")
    # Each resource has a QAT0, so these names tell the VFs of a container with two resources apart.
    environment = cluster.environment("two")
    crypto, compression = environment["PCIDEVICE_QAT_INTEL_COM_CY"], environment["PCIDEVICE_QAT_INTEL_COM_DC"]
    second = given(cluster, "two", "second")
    assert len(second) == 2
    assert {crypto, *second} <= {*vfs}
    assert crypto not in second
    assert compression in [vf["address"] for vf in node.devices()[SECOND]["vfs"]][:12]
    nodes = cluster.execute("two", "ls /dev/vfio", "second").split()
    assert sorted(nodes) == sorted([*(vfs[vf] for vf in second), "vfio"])


def test_a_pod_waits_until_another_gives_its_vf_back(cluster: Cluster, vfs: dict[str, str]) -> None:
    cluster.create_pod("one", {CY: 1})
    cluster.create_pod("others", {CY: 15})
    for name in ("one", "others"):
        cluster.wait_for_phase(name)
    one = given(cluster, "one")
    assert sorted(one + given(cluster, "others")) == sorted(vfs)

    cluster.create_pod("late", {CY: 1})
    assert f"Insufficient {CY}" in cluster.wait_until_unschedulable("late")
    assert cluster.pod("late")["status"]["phase"] == "Pending"

    cluster.delete_pod("one")
    cluster.wait_for_phase("late")
    assert given(cluster, "late") == one


def test_a_sick_pf_is_not_offered(cluster: Cluster, node: Node) -> None:
    node.fault(FIRST, "heartbeat", "dead")
    cluster.wait_for_offer(CY, 16, 0)
    node.fault(FIRST, "heartbeat", "alive")
    cluster.wait_for_offer(CY, 16)


def test_a_restart_of_kubelet_costs_no_pod_its_vf(cluster: Cluster) -> None:
    cluster.create_pod("one", {CY: 1})
    started = cluster.wait_for_phase("one")["status"]["containerStatuses"]
    before = given(cluster, "one")
    cluster.restart_kubelet()
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("others", {CY: 15})
    cluster.wait_for_phase("others")
    assert before[0] not in given(cluster, "others")
    assert cluster.pod("one")["status"]["containerStatuses"] == started


def test_a_restart_of_the_plugin_costs_no_pod_its_vf(cluster: Cluster, node: Node) -> None:
    cluster.create_pod("one", {CY: 1})
    started = cluster.wait_for_phase("one")["status"]["containerStatuses"]
    before = given(cluster, "one")
    node.run(f"systemctl restart {UNIT}")
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("others", {CY: 15})
    cluster.wait_for_phase("others")
    assert before[0] not in given(cluster, "others")
    assert cluster.pod("one")["status"]["containerStatuses"] == started


def test_an_upgrade_costs_no_pod_its_vf(cluster: Cluster, node: Node, controller: Controller) -> None:
    newest = node.run(f"readlink {RELEASES}/current").strip()
    node.run(f"cd {RELEASES} && cp -a {newest} {PREVIOUS} && ln -sfn {PREVIOUS} current && systemctl restart {UNIT}")
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("one", {CY: 1})
    started = cluster.wait_for_phase("one")["status"]["containerStatuses"]
    before = given(cluster, "one")

    include(controller, "device_plugin")
    assert node.run(f"readlink {RELEASES}/current").strip() == newest
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("others", {CY: 15})
    cluster.wait_for_phase("others")
    assert before[0] not in given(cluster, "others")
    assert cluster.pod("one")["status"]["containerStatuses"] == started
