# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the device plugin has of its own where it is a DaemonSet, and the way back to the service; the rest is in test_conformance.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.admissions import Admissions
from ansible_collections.accel.qat.tests.cluster.provisioned.daemonset import DAEMONSET as OBJECT
from ansible_collections.accel.qat.tests.cluster.provisioned.daemonset import DaemonSet, changed, gives_a_vf
from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, PAUSE, access_to
from ansible_collections.accel.qat.tests.cluster.provisioned.ways import DAEMONSET, SERVICE, Deployment
from ansible_collections.accel.qat.tests.cluster.steps import UNIT, include, wait_until_taken
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.api import ApiError
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

RULES = "/etc/accel-qat/node.json"

# These tests are one story, in this order. Before 1.37 kubelet has a gap of its own whenever a process of a plugin follows another.
pytestmark = [pytest.mark.usefixtures("no_pods"), pytest.mark.releases(releases.NEWEST)]


@pytest.fixture(scope="module")
def way(deployment: Deployment) -> DaemonSet:
    """The node has it, of the tests before these or from now on."""
    deployment.have(DAEMONSET)
    return deployment.daemonset


def test_a_second_run_changes_nothing_and_the_node_is_verified(
    controller: Controller, settings: dict[str, Any], way: DaemonSet
) -> None:
    verifying = {**settings, **way.settings, "qat_verify": True, "qat_verify_pod": False}
    assert changed(controller.run("accel.qat.site", "--tags", "device_plugin,verify", **verifying)) == []


@pytest.mark.usefixtures("way")
def test_neither_unit_nor_package_is_left(node: Node) -> None:
    assert node.machine.run(f"systemctl cat {UNIT}", check=False).rc != 0
    left = f"/usr/lib/accel-qat /etc/systemd/system/{UNIT}.d/accel-qat.conf /var/cache/accel-qat*.deb"
    assert node.run(f"ls -d {left} 2> /dev/null || true") == ""


@pytest.mark.usefixtures("way")
def test_other_rules_of_the_host_are_read_at_once(cluster: Cluster, node: Node) -> None:
    rules = node.run(f"cat {RULES}")
    document = json.loads(rules)
    document["devices"][0]["advertise"] = 4
    node.machine.put(json.dumps(document).encode(), f"{RULES}.new")
    node.run(f"cp -p {RULES} /root/node.json && mv {RULES}.new {RULES}")
    cluster.wait_for_offer(DC, 4)
    node.run(f"mv /root/node.json {RULES}")
    cluster.wait_for_offer(DC, 12)


@pytest.mark.usefixtures("way")
def test_a_service_beside_the_pod_ends_with_one_sentence(node: Node) -> None:
    """Of the release that is still on the node."""
    program = "/opt/accel-qat/device-plugin/current/bin/qat-device-plugin"
    answer = node.machine.run(f"python3 -I {program}", check=False)
    assert answer.rc == 2, answer
    assert "is a pod of a DaemonSet already, and a service of the host cannot run beside it" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_drain_leaves_it(cluster: Cluster, controller: Controller, way: DaemonSet) -> None:
    pod = way.pod()
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
    assert way.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    drain["accel.qat.node_drain"] |= {"state": "schedulable"}
    assert changed(controller.play([drain])) == ["Drain"]


@pytest.mark.usefixtures("way")
def test_the_service_takes_over_from_the_pod(
    cluster: Cluster, node: Node, controller: Controller, deployment: Deployment
) -> None:
    with Admissions(cluster, CY, PAUSE) as admissions:
        deployment.have(SERVICE)
        admissions.wait_for(2)
    assert admissions.refused == [], str(admissions)
    assert admissions.admitted >= 2
    wait_until_taken(node)
    with pytest.raises(ApiError, match="404"):
        cluster.api.get(OBJECT)
    assert "accel.qat/device-plugin" not in cluster.node()["metadata"]["labels"]
    cluster.wait_for_offer(CY, 16)
    gives_a_vf(cluster, node, "one")
    assert changed(include(controller, "qat_device_plugin", **access_to(cluster))) == []
