# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What costs no pod its VF: one pod lives through all of it, and no other ever gets what it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY
from ansible_collections.accel.qat.tests.cluster.steps import UNIT, given, include
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

RELEASES = "/opt/accel-qat/device-plugin"
PREVIOUS = "0.0.9-0123456789"


See = Callable[[], None]


def containers_of(cluster: Cluster, pod: str) -> list[dict[str, Any]]:
    """What changes with each start of a container; the health of what it has been given comes later than the start."""
    kept = ("name", "containerID", "restartCount", "state")
    return [{key: one[key] for key in kept} for one in cluster.pod(pod)["status"]["containerStatuses"]]


@pytest.fixture(scope="module")
def see_the_pod(cluster: Cluster, vfs: dict[str, str]) -> Iterator[See]:
    """Sees that the pod is what it was, and that another gets all VFs but its own."""
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("one", {CY: 1})
    cluster.wait_for_phase("one")
    started = containers_of(cluster, "one")
    (own,) = given(cluster, "one")

    def see() -> None:
        cluster.wait_for_offer(CY, 16)
        cluster.create_pod("others", {CY: 15})
        cluster.wait_for_phase("others")
        assert sorted([own, *given(cluster, "others")]) == sorted(vfs)
        assert containers_of(cluster, "one") == started
        cluster.delete_pod("others")

    yield see
    cluster.delete_pods()


def test_a_restart_of_kubelet(cluster: Cluster, see_the_pod: See) -> None:
    cluster.restart_kubelet()
    see_the_pod()


def test_a_restart_of_the_plugin(node: Node, see_the_pod: See) -> None:
    node.run(f"systemctl restart {UNIT}")
    see_the_pod()


def test_an_upgrade(cluster: Cluster, node: Node, controller: Controller, see_the_pod: See) -> None:
    newest = node.run(f"readlink {RELEASES}/current").strip()
    node.run(f"cd {RELEASES} && cp -a {newest} {PREVIOUS} && ln -sfn {PREVIOUS} current && systemctl restart {UNIT}")
    cluster.wait_for_offer(CY, 16)
    include(controller, "qat_device_plugin")
    assert node.run(f"readlink {RELEASES}/current").strip() == newest
    see_the_pod()
