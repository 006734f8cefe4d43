# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's device plugin does for kubelet and for pods is the same whatever way it is deployed, and when the node moves to another.

One pod has its VF from the first of these tests to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.admissions import Admissions
from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, FIRST, PAUSE, SECOND
from ansible_collections.accel.qat.tests.cluster.provisioned.ways import (
    DAEMONSET,
    PACKAGE,
    SERVICE,
    Deployment,
    Way,
)
from ansible_collections.accel.qat.tests.cluster.steps import given
from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

# All of one way, in this order, and then of the next. The last one is that of test_daemonset.py, which comes after this.
pytestmark = pytest.mark.parametrize("moved", [SERVICE, PACKAGE, DAEMONSET], indirect=True, scope="module")


class LastingPod:
    """A pod with a VF."""

    name = "stays"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        cluster.create_pod(self.name, {CY: 1})
        cluster.wait_for_phase(self.name)
        self._started = self._containers()
        (self.vf,) = given(cluster, self.name)

    def _containers(self) -> list[dict[str, Any]]:
        """What changes with each start of a container; the health of what it has been given comes later than the start."""
        kept = ("name", "containerID", "restartCount", "state")
        statuses = self._cluster.pod(self.name)["status"]["containerStatuses"]
        return [{key: one[key] for key in kept} for one in statuses]

    def lives(self) -> bool:
        """Whether it is what it was."""
        return self._containers() == self._started


@dataclass(frozen=True)
class Moved:
    """A way, and what became of pods while the node moved to it, if it was not there."""

    way: Way
    admissions: Admissions


@pytest.fixture(scope="module")
def stays(cluster: Cluster, provisioned: Run) -> Iterator[LastingPod]:
    """The pod."""
    assert provisioned.code == 0, provisioned.output
    # A test before these may have restarted kubelet just now.
    cluster.wait_for_offer(CY, 16)
    cluster.wait_for_offer(DC, 12)
    try:
        yield LastingPod(cluster)
    finally:
        cluster.delete_pods()


@pytest.fixture(scope="module")
def moved(request: pytest.FixtureRequest, cluster: Cluster, deployment: Deployment, stays: LastingPod) -> Moved:
    """The node has its plugin by the way in question."""
    assert stays.lives()
    deployment.prepare(request.param)
    with Admissions(cluster, CY, PAUSE) as admissions:
        way = deployment.have(request.param)
        admissions.wait_for(2)
    return Moved(way, admissions)


@pytest.fixture(scope="module")
def way(moved: Moved) -> Way:
    """That way."""
    return moved.way


@pytest.fixture(autouse=True)
def no_others(cluster: Cluster, stays: LastingPod) -> Iterator[None]:
    """Whatever pods the test makes are gone afterwards."""
    yield
    cluster.delete_pods(but=stays.name)


def none_is_refused(admissions: Admissions, way: Way) -> None:
    assert admissions.refused == [], (str(admissions), way.log())
    assert admissions.admitted >= 2


def test_all_vfs_are_offered_and_no_pod_was_refused_on_the_way_here(
    cluster: Cluster, moved: Moved, way: Way, stays: LastingPod
) -> None:
    none_is_refused(moved.admissions, way)
    assert cluster.offered(CY) == (16, 16)
    assert cluster.offered(DC) == (12, 12)
    assert stays.lives()


@pytest.mark.usefixtures("way")
def test_an_unbound_vf_is_not_offered_nor_any_of_a_sick_pf(
    cluster: Cluster, node: Node, vfs: dict[str, str], stays: LastingPod
) -> None:
    vf = next(vf for vf in reversed(vfs) if vf != stays.vf)
    node.run(f"echo {vf} > {DEVICES}/{vf}/driver/unbind")
    try:
        cluster.wait_for_offer(CY, 16, 15)
        node.fault(FIRST, "heartbeat", "dead")
        cluster.wait_for_offer(CY, 16, 0)
    finally:
        node.run(f"echo {vf} > /sys/bus/pci/drivers/vfio-pci/bind")
        node.fault(FIRST, "heartbeat", "alive")
    cluster.wait_for_offer(CY, 16)


def test_the_plugin_is_killed_and_kubelet_restarted(
    cluster: Cluster, way: Way, vfs: dict[str, str], stays: LastingPod
) -> None:
    way.kill()
    cluster.wait_for_offer(CY, 16)
    with Admissions(cluster, CY, PAUSE) as admissions:
        admissions.wait_for(2)
    none_is_refused(admissions, way)
    cluster.restart_kubelet()
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("others", {CY: 15})
    cluster.wait_for_phase("others")
    assert sorted([stays.vf, *given(cluster, "others")]) == sorted(vfs)
    assert stays.lives()


def test_no_pod_is_refused_while_another_release_takes_over(cluster: Cluster, way: Way, stays: LastingPod) -> None:
    with Admissions(cluster, CY, PAUSE) as admissions:
        way.upgrade()
        admissions.wait_for(2)
    assert "has taken over from=" in way.log()
    # An older kubelet has a gap of its own whenever one process of a plugin follows another.
    if cluster.release == releases.NEWEST:
        none_is_refused(admissions, way)
    assert admissions.admitted >= 2
    assert stays.lives()


@pytest.mark.usefixtures("way")
def test_each_container_gets_its_own_and_who_asks_for_none_gets_none(
    cluster: Cluster, node: Node, vfs: dict[str, str], stays: LastingPod
) -> None:
    """Of the release that has taken over, too."""
    cluster.create_pod("three", {CY: 1, DC: 1}, {CY: 2}, {})
    cluster.wait_for_phase("three")
    # Each resource has a QAT0, so these names distinguish the VFs of a container with two resources.
    environment = cluster.environment("three")
    crypto, compression = environment["PCIDEVICE_QAT_INTEL_COM_CY"], environment["PCIDEVICE_QAT_INTEL_COM_DC"]
    second = given(cluster, "three", "second")
    assert len(second) == 2
    assert len({stays.vf, crypto, *second}) == 4
    assert {crypto, *second} <= {*vfs}
    assert compression in [vf["address"] for vf in node.devices()[SECOND]["vfs"]][:12]
    one, other = (vfs[vf] for vf in second)
    opened = f"ls /dev/vfio && exec 3<> /dev/vfio/{one} 4<> /dev/vfio/{other} 5<> /dev/vfio/vfio && echo opened"
    *nodes, word = cluster.execute("three", opened, "second").split()
    assert sorted(nodes) == sorted([one, other, "vfio"])
    assert word == "opened"
    assert given(cluster, "three", "third") == []
    assert "vfio" not in cluster.execute("three", "ls /dev", "third").split()
