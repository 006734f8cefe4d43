# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What virtual machines that run as pods get for their VFs: those of Virtlet by `attach: vm`, and those of Kata by names of CDI."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, RULES
from ansible_collections.accel.qat.tests.cluster.steps import given
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

VM_CY = "qat.intel.com/vm-cy"
CONFIGURATION = "/etc/accel-qat/node.json"
CDI_DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""Where a runtime looks, the second one before the first (SPEC.md of CDI, "Priority")."""

# What Kata's runtimes do: src/runtime/virtcontainers/device_cold_plug.go, src/libs/pod-resources-rs.
NAMES_OF_A_POD = """
import sys
sys.path.insert(0, "/opt/accel-qat/device-plugin/current/lib")
from qat_device_plugin._node.users.grpc_call import call, fields_of

def parts(message, number):
    return [value for field, value in fields_of(message) if field == number]

name, namespace = sys.argv[1].encode(), b"default"
request = b"\\x0a" + bytes([len(name)]) + name + b"\\x12" + bytes([len(namespace)]) + namespace
answer = call("/var/lib/kubelet/pod-resources/kubelet.sock", "/v1.PodResourcesLister/Get", request, 60)
for pod in parts(answer, 1):
    for container in parts(pod, 3):
        for devices in parts(container, 2):
            for device in parts(devices, 2):
                print(f"{parts(devices, 1)[0].decode()}={device.decode()}")
"""


@pytest.fixture(scope="module")
def pod(cluster: Cluster) -> Iterator[str]:
    """A pod that has a VF as containers have one."""
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("one", {CY: 1})
    cluster.wait_for_phase("one")
    yield "one"
    cluster.delete_pods()


@pytest.mark.releases(releases.NEWEST)
def test_kata_finds_the_nodes_of_a_pods_vfs_by_what_kubelet_says(
    cluster: Cluster, node: Node, vfs: dict[str, str], pod: str
) -> None:
    """Kubelet has the call Get since 1.34; CDI is not switched on in the device plugin."""
    (vf,) = given(cluster, pod)
    names = node.run(f"python3 - {pod} <<'END'{NAMES_OF_A_POD}END").split()
    assert names == [f"{CY}={vf}"]
    found = [node_ for name in names for node_ in resolved(name, specifications(node))]
    assert found == [f"/dev/vfio/{vfs[vf]}", "/dev/vfio/vfio"]
    node.run(" && ".join(f"test -c {path}" for path in found))


def specifications(node: Node) -> list[list[dict[str, Any]]]:
    """The CDI specifications of the node, directory by directory."""
    found = []
    for directory in CDI_DIRECTORIES:
        paths = node.run(f"ls {directory}/*.json 2> /dev/null || true").split()
        found.append([json.loads(node.run(f"cat {path}")) for path in paths])
    return found


def resolved(name: str, by_directory: list[list[dict[str, Any]]]) -> list[str]:
    """The device nodes that a CDI name stands for: one device of one specification, in the last directory that has any."""
    kind, _equals, device = name.partition("=")
    for documents in reversed(by_directory):
        found = [
            (one["containerEdits"], document.get("containerEdits", {}))
            for document in documents
            for one in document["devices"]
            if (document["kind"], one["name"]) == (kind, device)
        ]
        if found:
            (edits,) = found
            return [node["path"] for edit in edits for node in edit.get("deviceNodes", ())]
    raise AssertionError(f"unresolvable CDI device {name}")


@pytest.fixture
def for_vms(cluster: Cluster, node: Node) -> Iterator[None]:
    """The VFs that do cryptography are for virtual machines; afterwards nobody has any, and all is as before."""
    node.run(f"cp -p {CONFIGURATION} /root/node.json")
    node.machine.put(json.dumps({"devices": [RULES[0], {**RULES[1], "attach": "vm"}]}).encode(), CONFIGURATION)
    yield
    cluster.delete_pods()
    node.run(f"mv /root/node.json {CONFIGURATION}")
    cluster.wait_for_offer(CY, 16)


@pytest.mark.usefixtures("for_vms")
def test_a_pod_is_named_the_vf_for_its_virtual_machine_and_gets_no_node(
    cluster: Cluster, node: Node, vfs: dict[str, str], pod: str
) -> None:
    """Virtlet would make a disk of a node. What another pod has had by the former rule nobody gets before that has ended."""
    (taken,) = given(cluster, pod)
    cluster.wait_for_offer(VM_CY, 16, 15)
    cluster.create_pod("machine", {VM_CY: 15})
    cluster.wait_for_phase("machine")
    # A shell hands no variable on whose name has a dash.
    environment = cluster.execute("machine", "tr '\\0' '\\n' < /proc/1/environ").splitlines()
    (own,) = (line.partition("=")[2] for line in environment if line.startswith("PCIDEVICE_QAT_INTEL_COM_VM-CY="))
    assert sorted([taken, *own.split(",")]) == sorted(vfs)
    assert "vfio" not in cluster.execute("machine", "ls /dev").split()
    request, specification = asked_of_the_runtime(cluster, node, "machine")
    assert request["annotations"]["qat.intel.com/vfs"] == own
    assert not request.get("devices")
    assert "vfio" not in json.dumps(specification["linux"])
    cluster.delete_pod(pod)
    cluster.wait_for_offer(VM_CY, 16)


def asked_of_the_runtime(cluster: Cluster, node: Node, pod: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What kubelet asked for in CreateContainer, as containerd has kept it, and the OCI specification that it made of that."""
    (status,) = cluster.pod(pod)["status"]["containerStatuses"]
    container = status["containerID"].removeprefix("containerd://")
    kept = json.loads(node.run(f"ctr --namespace k8s.io containers info {container}"))
    extension = kept["Extensions"]["io.cri-containerd.container.metadata"]["value"]
    return json.loads(base64.b64decode(extension))["Metadata"]["Config"], kept["Spec"]
