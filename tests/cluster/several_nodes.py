# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes that are changed one after the other, under pods that must not all be gone at once.

`make test-releases` runs this, and `make test` does not, for the time that two emulated nodes take.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, FIRST, settings_for
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster, container

DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
LABELS = {"app": "crypto"}
PODS, AT_LEAST = 6, 3
CRYPTO = {"services": ["sym", "asym"]}

# These tests are one story, in this order.


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Controller, dict[str, Any]]]:
    """A cluster of two provisioned nodes, its controller, and what the inventory says of the nodes."""
    with Cluster.up(f"two-{os.getpid()}", nodes=2) as cluster:
        first, second = map(cluster.machine, cluster.nodes)
        controller = Controller(first, tmp_path_factory.mktemp("controller"), second)
        draining = {"qat_drain": True, "qat_drain_kubeconfig": str(cluster.kubeconfig), "qat_serial": 1}
        node = {"qat_drain_node_name": "{{ inventory_hostname }}", "qat_node_devices": [CRYPTO]}
        settings = {**settings_for(cluster), **draining, **node}
        run = controller.run("accel.qat.site", **settings)
        assert run.code == 0, run.output
        yield cluster, controller, settings


def make_pods(cluster: Cluster) -> None:
    """A deployment that needs more VFs than one PF has, and a budget that keeps half of it running."""
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [container("main", {CY: 1})], "terminationGracePeriodSeconds": 5},
    }
    selector = {"matchLabels": LABELS}
    deployment = {"replicas": PODS, "selector": selector, "template": template}
    cluster.api.post(DEPLOYMENT, {"metadata": {"name": "crypto"}, "spec": deployment})
    cluster.api.post(BUDGETS, {"metadata": {"name": "half"}, "spec": {"minAvailable": AT_LEAST, "selector": selector}})
    cluster.wait_for("all pods of the deployment", lambda: ready(cluster), PODS.__eq__)


def ready(cluster: Cluster) -> int:
    return int(cluster.api.get(f"{DEPLOYMENT}/crypto")["status"].get("readyReplicas", 0))


class Fewest:
    """As a context manager it knows how few pods of the deployment were ready at once."""

    def __init__(self, cluster: Cluster) -> None:
        self.number = PODS
        self._cluster = cluster
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Fewest:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self.number = min(self.number, ready(self._cluster))


def test_pods_find_room_on_the_other_node(
    two: tuple[Cluster, Controller, dict[str, Any]],
) -> None:
    """One PF of each node changes its service, so that half of the VFs go, node by node."""
    cluster, controller, settings = two
    make_pods(cluster)
    changed = [{"select": {"address": [FIRST]}, "services": ["dc"]}, CRYPTO]
    with Fewest(cluster) as fewest:
        run = controller.run("accel.qat.site", **{**settings, "qat_node_devices": changed})
    assert run.code == 0, run.output
    assert fewest.number >= AT_LEAST
    assert [node for node in cluster.nodes if cluster.cordoned(node)] == []
    for node in cluster.nodes:
        cluster.wait_for_offer(CY, 16, node=node)
        cluster.wait_for_offer(DC, 16, node=node)
    cluster.wait_for("all pods of the deployment", lambda: ready(cluster), PODS.__eq__)


def test_a_budget_that_cannot_be_kept_stops_the_run_at_the_second_node(
    two: tuple[Cluster, Controller, dict[str, Any]],
) -> None:
    """No node offers the resource any more once the second has changed too; with the pods gone the next run finishes."""
    cluster, controller, settings = two
    none = {**settings, "qat_node_devices": [{"services": ["dc"]}], "qat_drain_timeout": 240}
    run = controller.run("accel.qat.site", **none)
    assert run.code != 0
    message = next(task.message for task in run.tasks if task.outcome == "failed")
    assert "stays cordoned" in message
    assert "half" in message
    assert ready(cluster) >= AT_LEAST
    assert sum(cluster.cordoned(node) for node in cluster.nodes) == 1
    cluster.api.delete(f"{DEPLOYMENT}/crypto")
    cluster.wait_for("that the pods are gone", cluster.pods, lambda names: not names)
    again = controller.run("accel.qat.site", **none)
    assert again.code == 0, again.output
    assert [node for node in cluster.nodes if cluster.cordoned(node)] == []
    for node in cluster.nodes:
        cluster.wait_for_offer(DC, 32, node=node)


def test_teardown_takes_all_of_it_from_both(two: tuple[Cluster, Controller, dict[str, Any]]) -> None:
    cluster, controller, settings = two
    run = controller.run("accel.qat.teardown", **settings)
    assert run.code == 0, run.output
    for node in cluster.nodes:
        cluster.wait_for(f"nothing offered by {node}", lambda: cluster.offered(DC, node)[1], (0).__eq__)  # noqa: B023
        assert cluster.machine(node).run("test -e /etc/accel-qat", check=False).rc != 0
