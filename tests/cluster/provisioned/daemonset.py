# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the DaemonSet do: its image on the node, the node with its pod, and what becomes of that."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY
from ansible_collections.accel.qat.tests.cluster.steps import given, include
from ansible_collections.accel.qat.tests.machine.node import DEVICES
from ansible_collections.accel.qat.tools.artifacts import image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
    from ansible_collections.accel.qat.tests.machine.node import Node

NAME, NAMESPACE = "accel-qat-device-plugin", "accel-qat"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
DAEMONSET = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{NAME}"
SECONDS = 600.0
"""How long an emulated node may take to start a pod."""


@contextlib.contextmanager
def imported(node: Node, directory: Path) -> Iterator[tuple[str, str]]:
    """Have the image on the node; gives two names of it."""
    archive = image.write(image.build("amd64").image, directory)
    node.machine.put(archive.read_bytes(), "/root/image.tar")
    node.run("ctr --namespace k8s.io images import /root/image.tar && rm /root/image.tar")
    names = node.run("ctr --namespace k8s.io images list --quiet").split()
    (first,) = (name for name in names if name.startswith(f"localhost/{NAME}:"))
    second = f"localhost/{NAME}:next"
    node.run(f"ctr --namespace k8s.io images tag {first} {second}")
    try:
        yield first, second
    finally:
        node.run(f"ctr --namespace k8s.io images remove {first} {second}")


@contextlib.contextmanager
def settings_of_it(cluster: Cluster, controller: Controller, name: str) -> Iterator[dict[str, Any]]:
    """What the inventory says besides where nodes have the DaemonSet. At the end the node has the service, whatever has failed."""
    access: dict[str, Any] = {
        "qat_device_plugin_kubeconfig": str(cluster.kubeconfig),
        "qat_device_plugin_node_name": cluster.nodes[0],
        "qat_device_plugin_wait_timeout": int(SECONDS),
    }
    how = {
        "qat_device_plugin_deploy": "daemonset",
        "qat_device_plugin_image": name,
        "qat_device_plugin_image_pull_policy": "Never",
    }
    try:
        yield {**access, **how}
    finally:
        include(controller, "qat_device_plugin", **access)


def pods_of_it(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.api.get(PODS)["items"]
    return found


def the_pod(cluster: Cluster) -> dict[str, Any]:
    """The one pod of the DaemonSet, once it is ready and alone."""

    def is_it(pods: list[dict[str, Any]]) -> bool:
        conditions = pods[0]["status"].get("conditions", ()) if len(pods) == 1 else ()
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    pods = cluster.wait_for("the pod of the DaemonSet", lambda: pods_of_it(cluster), is_it, SECONDS)
    pod: dict[str, Any] = pods[0]
    return pod


def log_of(cluster: Cluster, pod: dict[str, Any]) -> str:
    return cluster.api.text(f"{PODS}/{pod['metadata']['name']}/log")


def changed(run: Run) -> list[str]:
    assert run.code == 0, run.output
    return [task.name for task in run.tasks if task.changed]


def gives_a_vf(cluster: Cluster, node: Node, name: str) -> None:
    """A pod gets a VF, and can open it."""
    cluster.create_pod(name, {CY: 1})
    cluster.wait_for_phase(name)
    (vf,) = given(cluster, name)
    group = node.run(f"basename $(readlink {DEVICES}/{vf}/iommu_group)").strip()
    assert cluster.execute(name, f"exec 3<> /dev/vfio/{group} && echo opened").strip() == "opened"
