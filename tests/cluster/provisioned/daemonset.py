# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DaemonSet as a way to deploy the device plugin, with the image that `make image` makes; and what tests of it do besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, SECONDS, access_to
from ansible_collections.accel.qat.tests.cluster.steps import given, include
from ansible_collections.accel.qat.tests.machine.node import DEVICES
from ansible_collections.accel.qat.tools.artifacts import image

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
    from ansible_collections.accel.qat.tests.machine.node import Node

NAME, NAMESPACE = "accel-qat-device-plugin", "accel-qat"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
DAEMONSET = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{NAME}"


class DaemonSet:
    """The way `daemonset`: the node has the image under two names, of which the second stands for that of another release."""

    def __init__(self, cluster: Cluster, node: Node, controller: Controller, directory: Path) -> None:
        self._cluster = cluster
        self._node = node
        self._controller = controller
        self._directory = directory
        self._images: tuple[str, ...] = ()
        self._is_upgraded = False

    def prepare(self) -> None:
        """Have the images on the node."""
        if self._images:
            return
        archive = image.write(image.build("amd64").image, self._directory)
        self._node.machine.put(archive.read_bytes(), "/root/image.tar")
        self._node.run("ctr --namespace k8s.io images import /root/image.tar && rm /root/image.tar")
        names = self._node.run("ctr --namespace k8s.io images list --quiet").split()
        (first,) = (name for name in names if name.startswith(f"localhost/{NAME}:"))
        second = f"localhost/{NAME}:next"
        self._node.run(f"ctr --namespace k8s.io images tag {first} {second}")
        self._images = (first, second)

    @property
    def settings(self) -> dict[str, Any]:
        """What the inventory says besides where nodes have the DaemonSet."""
        return {
            **access_to(self._cluster),
            "qat_device_plugin_deploy": "daemonset",
            "qat_device_plugin_image": self._images[self._is_upgraded],
            "qat_device_plugin_image_pull_policy": "Never",
        }

    def move_here(self) -> None:
        """Have the pod take over."""
        self.prepare()
        include(self._controller, "qat_device_plugin", **self.settings)

    def kill(self) -> None:
        """Kill the process in the container, and wait until the same pod is ready again."""
        pod = self.pod()
        before = restarts(pod)
        self._node.run("kill -9 $(pgrep --oldest --full '[b]in/qat-device-plugin')")
        self._cluster.wait_for(
            "that the container runs again",
            lambda: restarts(pods_of_it(self._cluster)[0]),
            lambda number: number == before + 1,
            SECONDS,
        )
        assert self.pod()["metadata"]["uid"] == pod["metadata"]["uid"]

    def upgrade(self) -> None:
        """Have a pod of the other image take over."""
        before = self.pod()["metadata"]["uid"]
        self._is_upgraded = not self._is_upgraded
        self.move_here()
        pod = self.pod()
        assert pod["metadata"]["uid"] != before
        assert pod["spec"]["containers"][0]["image"] == self._images[self._is_upgraded]
        assert restarts(pod) == 0

    def log(self) -> str:
        """What the pod has printed."""
        return self._cluster.api.text(f"{PODS}/{self.pod()['metadata']['name']}/log")

    def pod(self) -> dict[str, Any]:
        """The one pod of the DaemonSet, once it is ready and alone."""

        def is_it(pods: list[dict[str, Any]]) -> bool:
            conditions = pods[0]["status"].get("conditions", ()) if len(pods) == 1 else ()
            return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

        pods = self._cluster.wait_for("the pod of the DaemonSet", lambda: pods_of_it(self._cluster), is_it, SECONDS)
        pod: dict[str, Any] = pods[0]
        return pod

    def remove_images(self) -> None:
        """Have the node without them, if it had them."""
        if self._images:
            self._node.run(f"ctr --namespace k8s.io images remove {' '.join(self._images)}")


def pods_of_it(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.api.get(PODS)["items"]
    return found


def restarts(pod: dict[str, Any]) -> int:
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


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
