# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks on a node of a real Kubernetes: from untouched to verified, a change that waits for a pod with a VF, and back.

The change also makes kubelet's topology manager strict: VFs of one NUMA node for a container, or no start at all.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, FIRST, RULES, SECOND
from ansible_collections.accel.qat.tests.cluster.steps import wait_until_taken
from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.lab.qat_lab.errors import LabError
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

STRICT = {"topologyManagerPolicy": "single-numa-node"}
CONFIGURATION = "/var/lib/kubelet/config.yaml"
DROP_INS = "/etc/kubernetes/kubelet.conf.d"
DROP_IN = f"{DROP_INS}/99-accel-qat.conf"
# The PFs are on two NUMA nodes: 16 VFs on one, 12 on the other.
COMPRESSION = [RULES[0], {"services": ["dc"]}]

# These tests are one story, in this order.
pytestmark = pytest.mark.usefixtures("no_pods")


def test_from_untouched_to_verified(cluster: Cluster, provisioned: Run) -> None:
    # A test before this one may have restarted kubelet just now.
    cluster.wait_for_offer(CY, 16)
    cluster.wait_for_offer(DC, 12)
    (report,) = (
        task.result["ansible_facts"]
        for task in provisioned.tasks
        if task.name.endswith("Make the report of the verification")
    )
    found = {check["check"]: check["ok"] for check in report["qat_verify_result"]["checks"]}
    assert set(found.values()) == {True}
    assert {"the QAT devices", "kubelet and the device plugin", f"allocatable {CY}", f"allocatable {DC}"} <= set(found)
    assert "kubelet's configuration" in found
    assert {"the test pod", f"VF of {CY}", f"VF of {DC}", f"{CY} after the pod", f"{DC} after the pod"} <= set(found)
    assert cluster.pods() == []


def test_a_second_run_changes_nothing(controller: Controller, settings: dict[str, Any]) -> None:
    run = controller.run("accel.qat.site", **settings)
    assert run.code == 0, run.output
    assert [task.name for task in run.tasks if task.changed] == []
    assert in_force(run) == [{"verified": True, "reason": "", "differences": []}]


def in_force(run: Run) -> list[dict[str, Any]]:
    """What came of asking kubelet itself."""
    return [task.result["in_force"] for task in run.tasks if "in_force" in task.result]


def file_of_fields(cluster: Cluster) -> str:
    return DROP_IN if cluster.release.drop_ins else CONFIGURATION


def test_kubelet_has_its_fields_where_an_upgrade_of_it_leaves_them(cluster: Cluster, node: Node) -> None:
    """kubeadm writes its configuration file again, which is all that an older one has."""
    (lacks,) = {DROP_IN, CONFIGURATION} - {file_of_fields(cluster)}
    assert "topologyManagerPolicy: best-effort" in node.run(f"cat {file_of_fields(cluster)}")
    assert "topologyManagerPolicy" not in node.run(f"cat {lacks} || true")
    started = node.run("tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value kubelet.service)/cmdline")
    assert (f"--config-dir={DROP_INS}" in started.splitlines()) is cluster.release.drop_ins


def test_a_kubelet_that_does_not_run_with_its_file_is_reported(
    cluster: Cluster, node: Node, controller: Controller, settings: dict[str, Any]
) -> None:
    path = file_of_fields(cluster)
    node.run(f"cp -p {path} /root/fields.yaml")
    cluster.restart_kubelet(f"sed -i s/best-effort/restricted/ {path}")
    node.run(f"cp -p /root/fields.yaml {path}")
    role = {"name": "accel.qat.qat_kubelet"}
    run = controller.play([{"name": "Role", "ansible.builtin.include_role": role, "vars": settings}])
    assert run.code != 0
    assert run.tasks[-1].message == (
        f"kubelet of node {cluster.nodes[0]}: topologyManagerPolicy is restricted in force and not best-effort, which {path} "
        "says; it may come from kubelet's command line; see what kubelet is started with, and restart it"
    )
    cluster.restart_kubelet()
    again = controller.play([{"name": "Role", "ansible.builtin.include_role": role, "vars": settings}])
    assert in_force(again)[0]["verified"]


def test_kubelet_overwrites_cpus_that_are_reserved_by_number(cluster: Cluster, node: Node) -> None:
    node.run(f"cp -p {CONFIGURATION} /root/config.yaml")
    reserved = 'reservedSystemCPUs: "0"\\nkubeReserved: {cpu: 100m, memory: 64Mi}\\n'
    cluster.restart_kubelet(f"printf '{reserved}' >> {CONFIGURATION}")
    found = cluster.api.get(f"/api/v1/nodes/{cluster.nodes[0]}/proxy/configz")["kubeletconfig"]
    cluster.restart_kubelet(f"cp -p /root/config.yaml {CONFIGURATION}")
    assert (found["reservedSystemCPUs"], found["kubeReserved"]) == ("0", {"memory": "64Mi"})


def test_a_reboot_brings_all_of_it_back(cluster: Cluster, node: Node) -> None:
    node.machine.reboot()
    wait_until_taken(node)
    cluster.wait_until_ready()
    cluster.wait_for_offer(CY, 16)
    cluster.wait_for_offer(DC, 12)
    cluster.create_pod("one", {CY: 1})
    cluster.wait_for_phase("one")
    vf = cluster.environment("one")["QAT0"]
    group = node.run(f"basename $(readlink {DEVICES}/{vf}/iommu_group)").strip()
    assert cluster.execute("one", f"exec 3<> /dev/vfio/{group} && echo opened").strip() == "opened"


def test_a_change_has_the_pods_evicted_that_have_a_vf_and_no_others(
    cluster: Cluster, node: Node, controller: Controller, settings: dict[str, Any]
) -> None:
    cluster.create_pod("one", {CY: 1})
    cluster.wait_for_phase("one")
    refused = controller.run("accel.qat.site", **{**settings, "qat_node_devices": COMPRESSION})
    assert refused.code != 0
    assert "pod default/one (container main) was given 0000:6b:" in refused.tasks[-1].message
    assert node.devices()[FIRST]["services"] == ["sym", "asym"]
    assert json.loads(node.run("cat /etc/accel-qat/node.json"))["devices"][1]["services"] == ["sym", "asym"]

    cluster.create_pod("none")
    cluster.wait_for_phase("none")
    # Pods of tests have no controller that would start them elsewhere.
    draining = {"qat_drain": True, "qat_drain_force": True, "qat_drain_kubeconfig": str(cluster.kubeconfig)}
    changes = {"qat_node_devices": COMPRESSION, "qat_kubelet_configuration": STRICT}
    wanted = {**settings, **draining, "qat_drain_node_name": cluster.nodes[0], **changes}
    checked = controller.run("accel.qat.site", "--check", "--skip-tags", "device_plugin,kubelet", **wanted)
    assert checked.code == 0, checked.output
    assert sorted(cluster.pods()) == ["none", "one"]
    assert not cluster.cordoned()

    run = controller.run("accel.qat.site", **wanted)
    assert run.code == 0, run.output
    evicted = [pods for task in run.tasks if (pods := task.result.get("evicted"))]
    assert evicted == [["default/one"]]
    assert cluster.pods() == ["none"]
    assert not cluster.cordoned()
    cluster.wait_for_offer(DC, 28)


def test_what_fits_no_numa_node_is_refused(cluster: Cluster) -> None:
    # The scheduler knows nothing of NUMA nodes: 17 of 28 are there.
    kubelet_refuses(cluster, "too-much", 17)


def test_what_fits_one_comes_from_one_and_what_is_left_on_two_is_refused(cluster: Cluster) -> None:
    pods = ("one", "other")
    for name in pods:
        cluster.create_pod(name, {DC: 10})
        cluster.wait_for_phase(name)
    given = {name: cluster.environment(name)["PCIDEVICE_QAT_INTEL_COM_DC"] for name in pods}
    buses = {name: {address[:7] for address in value.split(",")} for name, value in given.items()}
    assert sorted(map(sorted, buses.values())) == [["0000:6b"], ["0000:70"]]
    # There are 6 and 2.
    kubelet_refuses(cluster, "third", 8)


def kubelet_refuses(cluster: Cluster, name: str, number: int) -> None:
    cluster.create_pod(name, {DC: number})
    with pytest.raises(LabError, match=f"pod {name} is Failed: TopologyAffinityError"):
        cluster.wait_for_phase(name)


def test_teardown_gives_the_node_back(
    cluster: Cluster, node: Node, controller: Controller, settings: dict[str, Any]
) -> None:
    run = controller.run("accel.qat.teardown", **settings)
    assert run.code == 0, run.output
    cluster.wait_for("that no VF is offered", lambda: cluster.offered(DC)[1], lambda number: number == 0)
    counts = node.run(f"cat {DEVICES}/{FIRST}/sriov_numvfs {DEVICES}/{SECOND}/sriov_numvfs")
    assert counts.split() == ["0", "0"]
    assert "topologyManagerPolicy" not in node.run(f"cat {CONFIGURATION}")
    assert "--config-dir" not in node.run("cat /etc/default/kubelet")
    assert node.machine.run(f"test -e {DROP_INS}", check=False).rc != 0
    cluster.wait_until_ready()
