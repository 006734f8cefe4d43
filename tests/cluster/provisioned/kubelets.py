# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubelets that are set otherwise than by default: that watch for plugins, with options of the topology manager, with swap, with a cgroup
driver that is not their runtime's.

`make test-releases` runs this, and `make test` does not, for the time that so many starts of kubelet take on an emulated node.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY
from ansible_collections.accel.qat.tests.cluster.steps import given, include, kubelet_configured, wait_until_taken
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

CONFIGURATION = "/var/lib/kubelet/config.yaml"
REGISTRY = "/var/lib/kubelet/plugins_registry"
SWAP = "/swap"
SWAP_DROP_IN = "/etc/kubernetes/kubelet.conf.d/50-swap.conf"
CGROUPS_OF_FILES = "/sys/fs/cgroup/kubepods"
"""What kubelet makes with the driver cgroupfs; with that of systemd it is kubepods.slice."""

pytestmark = pytest.mark.usefixtures("no_pods")


def in_force(cluster: Cluster) -> dict[str, Any]:
    """What kubelet says of its configuration."""
    found: dict[str, Any] = cluster.api.get(f"/api/v1/nodes/{cluster.nodes[0]}/proxy/configz")["kubeletconfig"]
    return found


def get_a_vf(cluster: Cluster, name: str, vfs: dict[str, str]) -> None:
    """Make a pod that asks for a VF, and see that it can open what it gets."""
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod(name, {CY: 1})
    cluster.wait_for_phase(name)
    (vf,) = given(cluster, name)
    opened = cluster.execute(name, f"exec 3<> /dev/vfio/{vfs[vf]} && echo opened")
    assert opened.strip() == "opened"


@pytest.fixture
def watcher(cluster: Cluster, node: Node, controller: Controller) -> Iterator[None]:
    """The device plugin waits until kubelet has found it; afterwards it registers again."""
    include(controller, "qat_device_plugin", qat_device_plugin_registration="watcher")
    wait_until_taken(node)
    yield
    cluster.delete_pods()
    include(controller, "qat_device_plugin")
    wait_until_taken(node)


@pytest.mark.usefixtures("watcher")
def test_kubelet_finds_the_plugin_by_watching(cluster: Cluster, node: Node, vfs: dict[str, str]) -> None:
    assert node.run(f"ls {REGISTRY}").split()
    get_a_vf(cluster, "found", vfs)
    cluster.restart_kubelet()
    cluster.wait_for_offer(CY, 16)


@pytest.fixture
def preferring(controller: Controller, settings: dict[str, Any]) -> Iterator[None]:
    """The topology manager has an option; afterwards it has none."""
    options = {"prefer-closest-numa-nodes": "true"}
    fields = {**settings["qat_kubelet_configuration"], "topologyManagerPolicyOptions": options}
    with kubelet_configured(controller, settings, fields) as run:
        reported = [task.result["in_force"] for task in run.tasks if task.changed and "in_force" in task.result]
        assert [one["verified"] for one in reported] == [True]
        yield


@pytest.mark.releases(releases.NEWEST)
@pytest.mark.usefixtures("preferring")
def test_an_option_of_the_topology_manager(cluster: Cluster, vfs: dict[str, str]) -> None:
    assert in_force(cluster)["topologyManagerPolicyOptions"] == {"prefer-closest-numa-nodes": "true"}
    get_a_vf(cluster, "closest", vfs)
    cluster.delete_pods()


@pytest.fixture
def swap(cluster: Cluster, node: Node) -> Iterator[None]:
    """The node has swap, of which kubelet lets pods use some; afterwards all is as before."""
    node.run(f"dd if=/dev/zero of={SWAP} bs=1M count=64 status=none && chmod 600 {SWAP}")
    node.run(f"mkswap {SWAP} && swapon {SWAP}")
    fields = {"failSwapOn": False, "memorySwap": {"swapBehavior": "LimitedSwap"}}
    header = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    node.machine.put(json.dumps({**header, **fields}).encode(), SWAP_DROP_IN)
    try:
        cluster.restart_kubelet()
        yield
    finally:
        cluster.delete_pods()
        cluster.restart_kubelet(f"rm {SWAP_DROP_IN}; swapoff {SWAP} && rm {SWAP}")


@pytest.mark.releases(releases.NEWEST)
@pytest.mark.usefixtures("swap")
def test_a_node_with_swap_gives_vfs_away_as_ever(cluster: Cluster, vfs: dict[str, str]) -> None:
    assert in_force(cluster)["memorySwap"] == {"swapBehavior": "LimitedSwap"}
    get_a_vf(cluster, "swaps", vfs)


@pytest.fixture
def other_cgroup_driver(cluster: Cluster) -> Iterator[None]:
    """Kubelet's file has the driver that its runtime has not; afterwards it is as before."""
    edit = f"sed -i 's/^cgroupDriver: .*/cgroupDriver: cgroupfs/' {CONFIGURATION}"
    try:
        cluster.restart_kubelet(f"cp -p {CONFIGURATION} /root/config.yaml && {edit}")
        yield
    finally:
        remove = f"find {CGROUPS_OF_FILES} -depth -type d -exec rmdir {{}} +"
        cluster.restart_kubelet(f"cp -p /root/config.yaml {CONFIGURATION}; {remove} 2> /dev/null || true")


@pytest.mark.usefixtures("other_cgroup_driver")
def test_a_runtime_that_can_say_its_cgroup_driver_is_believed(
    cluster: Cluster, node: Node, vfs: dict[str, str]
) -> None:
    """Of one that cannot, as containerd 1, kubelet believes its own file, and no pod would run."""
    is_asked = bool(cluster.release.containerd)
    made = node.machine.run(f"test -d {CGROUPS_OF_FILES}", check=False).rc == 0
    assert made is not is_asked
    if is_asked:
        get_a_vf(cluster, "runs", vfs)
        cluster.delete_pods()
