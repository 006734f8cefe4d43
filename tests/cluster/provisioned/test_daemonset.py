# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The device plugin as a DaemonSet on a real Kubernetes: from the service to it, an update under pods that are made, other rules, and back.

The image is the one that `make image` makes, imported on the node.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.admissions import Admissions
from ansible_collections.accel.qat.tests.cluster.provisioned.daemonset import (
    DAEMONSET,
    SECONDS,
    changed,
    gives_a_vf,
    imported,
    log_of,
    pods_of_it,
    settings_of_it,
    the_pod,
)
from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, FIRST
from ansible_collections.accel.qat.tests.cluster.steps import UNIT, given, include, wait_until_taken
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.api import ApiError
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

RULES = "/etc/accel-qat/node.json"

# These tests are one story, in this order. Before 1.37 kubelet has a gap of its own whenever a process of a plugin follows another.
pytestmark = [pytest.mark.usefixtures("no_pods"), pytest.mark.releases(releases.NEWEST)]


@pytest.fixture(scope="module")
def images(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two names of the image on the node."""
    with imported(node, tmp_path_factory.mktemp("image")) as names:
        yield names


@pytest.fixture(scope="module")
def deployed(cluster: Cluster, controller: Controller, images: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """What the inventory says besides while the DaemonSet runs."""
    with settings_of_it(cluster, controller, images[0]) as settings:
        yield settings


def test_the_pod_takes_over_from_the_service(
    cluster: Cluster, node: Node, controller: Controller, settings: dict[str, Any], deployed: dict[str, Any]
) -> None:
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("stays", {CY: 1})
    cluster.wait_for_phase("stays")
    vf = given(cluster, "stays")
    with Admissions(cluster, CY) as admissions:
        assert changed(controller.run("accel.qat.site", "--tags", "device_plugin", **settings, **deployed))
        admissions.wait_for(2)
    pod = the_pod(cluster)
    assert admissions.refused == [], (str(admissions), log_of(cluster, pod))
    assert admissions.admitted >= 2
    assert node.machine.run(f"systemctl cat {UNIT}", check=False).rc != 0
    assert given(cluster, "stays") == vf
    assert cluster.offered(CY) == (16, 16)
    assert cluster.offered(DC) == (12, 12)
    assert "has taken over" in log_of(cluster, pod)
    gives_a_vf(cluster, node, "one")


def test_a_second_run_changes_nothing_and_the_node_is_verified(
    controller: Controller, settings: dict[str, Any], deployed: dict[str, Any]
) -> None:
    verifying = {**settings, **deployed, "qat_verify": True, "qat_verify_pod": False}
    assert changed(controller.run("accel.qat.site", "--tags", "device_plugin,verify", **verifying)) == []


def test_an_event_of_the_node_reaches_the_pod(cluster: Cluster, node: Node) -> None:
    """A VF that is unbound; the heartbeat is in debugfs."""
    vf = node.devices()[FIRST]["vfs"][-1]["address"]
    node.run(f"echo {vf} > {DEVICES}/{vf}/driver/unbind")
    cluster.wait_for_offer(CY, 16, 15)
    node.run(f"echo {vf} > /sys/bus/pci/drivers/vfio-pci/bind")
    cluster.wait_for_offer(CY, 16)
    node.fault(FIRST, "heartbeat", "dead")
    cluster.wait_for_offer(CY, 16, 0)
    node.fault(FIRST, "heartbeat", "alive")
    cluster.wait_for_offer(CY, 16)


def test_no_pod_is_refused_while_the_image_is_replaced(
    cluster: Cluster, node: Node, controller: Controller, deployed: dict[str, Any], images: tuple[str, str]
) -> None:
    before = the_pod(cluster)["metadata"]["uid"]
    with Admissions(cluster, CY) as admissions:
        include(controller, "qat_device_plugin", **{**deployed, "qat_device_plugin_image": images[1]})
        admissions.wait_for(2)
    pod = the_pod(cluster)
    assert pod["metadata"]["uid"] != before
    assert pod["spec"]["containers"][0]["image"] == images[1]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert admissions.refused == [], (str(admissions), log_of(cluster, pod))
    assert admissions.admitted >= 2
    gives_a_vf(cluster, node, "one")


def test_other_rules_of_the_host_are_read_at_once(cluster: Cluster, node: Node) -> None:
    rules = node.run(f"cat {RULES}")
    document = json.loads(rules)
    document["devices"][0]["advertise"] = 4
    node.machine.put(json.dumps(document).encode(), f"{RULES}.new")
    node.run(f"cp -p {RULES} /root/node.json && mv {RULES}.new {RULES}")
    cluster.wait_for_offer(DC, 4)
    node.run(f"mv /root/node.json {RULES}")
    cluster.wait_for_offer(DC, 12)


def test_a_container_that_is_killed_is_back_and_a_kubelet_that_restarts_finds_it(cluster: Cluster, node: Node) -> None:
    pod = the_pod(cluster)
    node.run("kill -9 $(pgrep --oldest --full '[b]in/qat-device-plugin')")

    def restarts() -> int:
        return int(pods_of_it(cluster)[0]["status"]["containerStatuses"][0]["restartCount"])

    cluster.wait_for("that the container runs again", restarts, lambda number: number == 1, SECONDS)
    assert the_pod(cluster)["metadata"]["uid"] == pod["metadata"]["uid"]
    cluster.wait_for_offer(CY, 16)
    cluster.restart_kubelet()
    cluster.wait_for_offer(CY, 16)
    gives_a_vf(cluster, node, "one")


def test_a_service_beside_the_pod_ends_with_one_sentence(node: Node) -> None:
    """Of the release that is still on the node."""
    program = "/opt/accel-qat/device-plugin/current/bin/qat-device-plugin"
    answer = node.machine.run(f"python3 -I {program}", check=False)
    assert answer.rc == 2, answer
    assert "is a pod of a DaemonSet already, and a service of the host cannot run beside it" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_drain_leaves_it(cluster: Cluster, controller: Controller) -> None:
    pod = the_pod(cluster)
    drain: dict[str, Any] = {
        "accel.qat.node_drain": {"node": cluster.nodes[0], "force": True, "kubeconfig": str(cluster.kubeconfig)},
        "delegate_to": "localhost",
        "become": False,
        "name": "Drain",
    }
    cluster.create_pod("goes", {CY: 1})
    cluster.wait_for_phase("goes")
    assert changed(controller.play([drain])) == ["Drain"]
    assert cluster.pods() == []
    assert the_pod(cluster)["metadata"]["uid"] == pod["metadata"]["uid"]
    drain["accel.qat.node_drain"] |= {"state": "schedulable"}
    assert changed(controller.play([drain])) == ["Drain"]


def test_the_service_takes_over_from_the_pod(
    cluster: Cluster, node: Node, controller: Controller, settings: dict[str, Any], deployed: dict[str, Any]
) -> None:
    back = {**settings, **deployed, "qat_device_plugin_deploy": "systemd"}
    with Admissions(cluster, CY) as admissions:
        assert changed(controller.run("accel.qat.site", "--tags", "device_plugin", **back))
        admissions.wait_for(2)
    assert admissions.refused == [], str(admissions)
    assert admissions.admitted >= 2
    wait_until_taken(node)
    with pytest.raises(ApiError, match="404"):
        cluster.api.get(DAEMONSET)
    assert "accel.qat/device-plugin" not in cluster.node()["metadata"]["labels"]
    cluster.wait_for_offer(CY, 16)
    gives_a_vf(cluster, node, "one")
    again = {**deployed, "qat_device_plugin_deploy": "systemd"}
    assert changed(include(controller, "qat_device_plugin", **again)) == []
