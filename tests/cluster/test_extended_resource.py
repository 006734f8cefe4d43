# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things of a node that no device plugin counts: added, used by pods, kept over a restart of kubelet, removed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster

LICENSES = "example.com/licenses"

# These tests are one story, in this order.


def extended_resource(cluster: Cluster, controller: Controller, *options: str, **resource: Any) -> Run:
    """Run the module on the controller."""
    resources = [{"name": LICENSES, **resource}]
    given = {"node": cluster.nodes[0], "resources": resources, "kubeconfig": str(cluster.kubeconfig)}
    task = {"name": "Set", "accel.qat.extended_resource": given, "delegate_to": "localhost", "become": False}
    return controller.play([task], *options)


def test_check_mode_adds_nothing(cluster: Cluster, controller: Controller) -> None:
    run = extended_resource(cluster, controller, "--check", quantity=3)
    assert run.tasks[-1].changed, run.output
    assert LICENSES not in cluster.node()["status"]["capacity"]


@pytest.mark.usefixtures("no_pods")
def test_pods_use_what_was_added(cluster: Cluster, controller: Controller) -> None:
    run = extended_resource(cluster, controller, quantity=3)
    assert run.tasks[-1].changed, run.output
    assert cluster.offered(LICENSES) == (3, 3)
    cluster.create_pod("two", {LICENSES: 2})
    cluster.wait_for_phase("two")
    cluster.create_pod("more", {LICENSES: 2})
    cluster.wait_until_unschedulable("more", f"Insufficient {LICENSES}")


def test_a_second_run_changes_nothing(cluster: Cluster, controller: Controller) -> None:
    run = extended_resource(cluster, controller, quantity=3)
    assert (run.code, run.tasks[-1].changed) == (0, False), run.output


def test_a_restart_of_kubelet_keeps_it(cluster: Cluster) -> None:
    cluster.restart_kubelet()
    assert cluster.offered(LICENSES) == (3, 3)


def test_it_is_removed(cluster: Cluster, controller: Controller) -> None:
    run = extended_resource(cluster, controller, state="absent")
    assert run.tasks[-1].changed, run.output
    status = cluster.node()["status"]
    assert LICENSES not in {**status["capacity"], **status["allocatable"]}
