# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubelet's topology manager with the policy single-numa-node: VFs of one NUMA node for a container, or no start at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.accel.qat.tests.cluster.steps import include
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.lab.qat_lab.errors import LabError
from ansible_collections.accel.qat.tests.machine.controller import Controller
from ansible_collections.accel.qat.tests.machine.node import Node

CY = "qat.intel.com/cy"
FIRST, SECOND = "0000:6b:00.0", "0000:70:00.0"


@pytest.fixture(scope="module", autouse=True)
def one_numa_node_only(cluster: Cluster, node: Node, controller: Controller) -> Iterator[None]:
    """A node with a PF on each of its NUMA nodes, and a kubelet that is strict; all of it is taken back."""
    assert node.apply({"services": ["sym", "asym"]}).code == 0
    assert [node.devices()[pf]["numa_node"] for pf in (FIRST, SECOND)] == [0, 1]
    node.run("mkdir /etc/accel-qat; cp /root/node.json /etc/accel-qat")
    policy = {"topologyManagerPolicy": "single-numa-node"}
    include(controller, "kubelet", kubelet_configuration=policy, kubelet_timeout=300)
    include(controller, "device_plugin")
    cluster.wait_for_offer(CY, 32)
    yield
    include(controller, "device_plugin", "teardown")
    include(controller, "kubelet", "teardown", kubelet_timeout=300)
    node.run("rm -r /etc/accel-qat")
    assert node.apply({"vfs": 0}).code == 0
    cluster.wait_for("that no VF is offered", lambda: cluster.offered(CY)[1], lambda number: number == 0)


@pytest.mark.usefixtures("no_pods")
def test_what_fits_a_numa_node_comes_from_one(cluster: Cluster) -> None:
    for name in ("half", "other-half"):
        cluster.create_pod(name, {CY: 16})
        cluster.wait_for_phase(name)
    given = {name: cluster.environment(name)["PCIDEVICE_QAT_INTEL_COM_CY"] for name in ("half", "other-half")}
    buses = {name: {address[:7] for address in value.split(",")} for name, value in given.items()}
    assert sorted(map(sorted, buses.values())) == [["0000:6b"], ["0000:70"]]


@pytest.mark.usefixtures("no_pods")
def test_what_fits_none_is_refused(cluster: Cluster) -> None:
    # The scheduler knows nothing of NUMA nodes: 17 of 32 are there.
    cluster.create_pod("too-much", {CY: 17})
    with pytest.raises(LabError, match="pod too-much is Failed: TopologyAffinityError"):
        cluster.wait_for_phase("too-much")


@pytest.mark.usefixtures("no_pods")
def test_what_is_left_on_two_numa_nodes_is_refused(cluster: Cluster) -> None:
    for name, number in (("first", 10), ("second", 10)):
        cluster.create_pod(name, {CY: number})
        cluster.wait_for_phase(name)
    cluster.create_pod("third", {CY: 10})
    with pytest.raises(LabError, match="pod third is Failed: TopologyAffinityError"):
        cluster.wait_for_phase("third")
