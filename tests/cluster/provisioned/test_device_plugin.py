# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VFs as a resource of a real node: offered, given to pods one by one, refused when there are none left, given back."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, FIRST, SECOND
from ansible_collections.accel.qat.tests.cluster.steps import given
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

pytestmark = pytest.mark.usefixtures("no_pods")


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


def test_each_container_gets_its_own_and_who_asks_for_none_gets_none(
    cluster: Cluster, node: Node, vfs: dict[str, str]
) -> None:
    cluster.create_pod("three", {CY: 1, DC: 1}, {CY: 2}, {})
    cluster.wait_for_phase("three")
    # Each resource has a QAT0, so these names distinguish the VFs of a container with two resources.
    environment = cluster.environment("three")
    crypto, compression = environment["PCIDEVICE_QAT_INTEL_COM_CY"], environment["PCIDEVICE_QAT_INTEL_COM_DC"]
    second = given(cluster, "three", "second")
    assert len(second) == 2
    assert {crypto, *second} <= {*vfs}
    assert crypto not in second
    assert compression in [vf["address"] for vf in node.devices()[SECOND]["vfs"]][:12]
    nodes = cluster.execute("three", "ls /dev/vfio", "second").split()
    assert sorted(nodes) == sorted([*(vfs[vf] for vf in second), "vfio"])
    assert given(cluster, "three", "third") == []
    assert cluster.execute("three", "ls /dev", "third").split().count("vfio") == 0


def test_a_pod_waits_until_another_gives_its_vf_back(cluster: Cluster, vfs: dict[str, str]) -> None:
    cluster.create_pod("one", {CY: 1})
    cluster.create_pod("others", {CY: 15})
    for name in ("one", "others"):
        cluster.wait_for_phase(name)
    one = given(cluster, "one")
    assert sorted(one + given(cluster, "others")) == sorted(vfs)

    cluster.create_pod("late", {CY: 1})
    cluster.wait_until_unschedulable("late", f"Insufficient {CY}")
    assert cluster.pod("late")["status"]["phase"] == "Pending"

    cluster.delete_pod("one")
    cluster.wait_for_phase("late")
    assert given(cluster, "late") == one


def test_a_sick_pf_is_not_offered(cluster: Cluster, node: Node) -> None:
    node.fault(FIRST, "heartbeat", "dead")
    cluster.wait_for_offer(CY, 16, 0)
    node.fault(FIRST, "heartbeat", "alive")
    cluster.wait_for_offer(CY, 16)
