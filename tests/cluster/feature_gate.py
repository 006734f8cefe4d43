# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate DevicePlugins of a kubelet that still has it: off, there is nobody to register with, and the role switches it on.

By `make test-releases`: such a kubelet is years old, and its programs alone take ten minutes to compile.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.accel.qat.tests.cluster.steps import include
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

CONFIGURATION = "/var/lib/kubelet/config.yaml"
SOCKET = "/var/lib/kubelet/device-plugins/kubelet.sock"
OFF = """
# Somebody's decision.
featureGates:
  DevicePlugins: false  # for now
"""

# These tests are one story, in this order.
pytestmark = pytest.mark.releases(*(release for release in releases.RELEASES.values() if release.plugins_gate))


@pytest.fixture(scope="module", autouse=True)
def switched_off(cluster: Cluster, node: Node) -> Iterator[None]:
    """A kubelet whose configuration has the gate off. Afterwards it is as it was."""
    node.run(f"cp -p {CONFIGURATION} /root/config.yaml")
    node.machine.put((node.run(f"cat {CONFIGURATION}") + OFF).encode(), "/root/off.yaml")
    # A kubelet that was stopped leaves its socket behind.
    cluster.restart_kubelet(f"rm -f {SOCKET}; cp /root/off.yaml {CONFIGURATION}")
    yield
    cluster.restart_kubelet(f"cp -p /root/config.yaml {CONFIGURATION}")


def has_socket(node: Node) -> bool:
    return node.machine.run(f"test -S {SOCKET}", check=False).rc == 0


def wait_for_socket(cluster: Cluster, node: Node) -> None:
    """Kubelet makes it after it has begun to answer."""
    cluster.wait_for("kubelet's socket", lambda: has_socket(node), bool)


def test_without_the_gate_there_is_no_socket(node: Node) -> None:
    assert not has_socket(node)


def test_the_role_switches_it_on(cluster: Cluster, node: Node, controller: Controller) -> None:
    api = {"qat_kubelet_kubeconfig": str(cluster.kubeconfig), "qat_kubelet_node_name": cluster.nodes[0]}
    run = include(controller, "qat_kubelet", qat_kubelet_timeout=300, **api)
    (result,) = (task.result for task in run.tasks if task.changed)
    assert (result["kubelet_version"], result["restarted"], result["proven"]) == ("1.20.2", True, True)
    # On is what this kubelet has it without a word.
    verdicts = {gate["gate"]: gate["verdict"] for gate in result["gates"]}
    assert verdicts["DevicePlugins"] == "remove"
    assert "DevicePlugins" not in node.run(f"cat {CONFIGURATION}")
    wait_for_socket(cluster, node)
    # The controller manager may have given the node up meanwhile, and hears of it a moment later than the role.
    cluster.wait_until_ready()
    # By its own word too, which names no gate that nobody has set.
    assert result["in_force"] == {"verified": True, "reason": "", "differences": []}
    assert "featureGates.DevicePlugins" in {one["field"] for one in result["asked"]}


def test_a_second_run_changes_nothing(controller: Controller) -> None:
    assert [task for task in include(controller, "qat_kubelet", qat_kubelet_timeout=300).tasks if task.changed] == []


def test_a_gate_that_kubelet_does_not_know_is_refused(cluster: Cluster, node: Node, controller: Controller) -> None:
    before = node.run(f"cat {CONFIGURATION}")
    task = {"name": "accel.qat.qat_kubelet"}
    wanted = {"qat_kubelet_configuration": {"featureGates": {"DevicePlugin": True}}}
    run = controller.play([{"name": "Role", "ansible.builtin.include_role": task, "vars": wanted}])
    assert run.code != 0
    assert run.tasks[-1].message == (
        "configuration.featureGates.DevicePlugin: kubelet 1.20 is not known to have a gate DevicePlugin, "
        "and with it would not start; leave it out; nothing was written"
    )
    assert node.run(f"cat {CONFIGURATION}") == before
    cluster.wait_until_ready()


def test_teardown_puts_the_decision_back(cluster: Cluster, node: Node, controller: Controller) -> None:
    include(controller, "qat_kubelet", "teardown", qat_kubelet_timeout=300)
    assert "DevicePlugins: false  # for now" in node.run(f"cat {CONFIGURATION}")
    # The role has waited for kubelet itself, which may need a moment to say that it is ready.
    cluster.wait_until_ready()


def test_the_role_names_it_where_another_gate_decides(cluster: Cluster, node: Node, controller: Controller) -> None:
    off = "featureGates: {AllBeta: false}"
    cluster.restart_kubelet(f"rm -f {SOCKET}; cp /root/config.yaml {CONFIGURATION}; echo '{off}' >> {CONFIGURATION}")
    assert not has_socket(node)
    api = {"qat_kubelet_kubeconfig": str(cluster.kubeconfig), "qat_kubelet_node_name": cluster.nodes[0]}
    run = include(controller, "qat_kubelet", qat_kubelet_timeout=300, **api)
    (result,) = (task.result for task in run.tasks if task.changed)
    named = node.run(f"tail -n 5 {CONFIGURATION}")
    assert result["in_force"]["verified"], named
    wait_for_socket(cluster, node)
    include(controller, "qat_kubelet", "teardown", qat_kubelet_timeout=300)
    assert node.run(f"tail -n 1 {CONFIGURATION}").strip() == off
    cluster.wait_until_ready()
