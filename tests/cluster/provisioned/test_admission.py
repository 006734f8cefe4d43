# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No pod is refused because of the device plugin, neither while it is reloaded nor while the role replaces it, to the good or not.

ACCEL_QAT_ADMISSION_ROUNDS says how many reloads and how many upgrades there are, an even number of these. By default there is none: on
an emulated node that admits pods all the while the role takes minutes for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ansible_collections.accel.qat.tests.cluster.admissions import Admissions
from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC
from ansible_collections.accel.qat.tests.cluster.steps import UNIT, include, process
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

RELEASES = "/opt/accel-qat/device-plugin"
OTHER, BROKEN = "0.0.9-other", "0.0.9-broken"
RELOADS, UPGRADES = map(int, os.environ.get("ACCEL_QAT_ADMISSION_ROUNDS", "3 0").split())

# Kubelets before 1.37 have a gap of their own whenever one process of a plugin follows another.
pytestmark = [pytest.mark.usefixtures("no_pods"), pytest.mark.releases(releases.NEWEST)]


@pytest.fixture(scope="module", autouse=True)
def other_releases(cluster: Cluster, node: Node) -> Iterator[None]:
    """One more that works, and one that does not. At the end there is no trace of them."""
    for resource, number in ((CY, 16), (DC, 12)):
        cluster.wait_for_offer(resource, number)
    newest = release(node)
    node.run(f"cd {RELEASES}; for other in {OTHER} {BROKEN}; do cp -a {newest} $other; done")
    node.run(f"echo 'raise SystemExit(\"no service today\")' > {RELEASES}/{BROKEN}/bin/qat-device-plugin")
    yield
    node.run(f"cd {RELEASES}; rm -r {OTHER} {BROKEN}")


def release(node: Node) -> str:
    """The release that is current."""
    return node.run(f"readlink {RELEASES}/current").strip()


def state(node: Node) -> str:
    """What systemd says of the unit."""
    return node.run(f"systemctl show --property=ActiveState,SubState,Result,NRestarts {UNIT}")


def test_no_pod_is_refused_over_reloads_and_upgrades(cluster: Cluster, node: Node, controller: Controller) -> None:
    newest, before = release(node), state(node)
    with Admissions(cluster, CY) as crypto:
        for _ in range(RELOADS):
            was = process(node)
            node.run(f"systemctl reload {UNIT}")
            assert process(node) != was
            crypto.wait_for(2)
        if UPGRADES:
            does_not_come_up(node, controller)
        # From the files of the one that has not come up. The last one is the newest again.
        for number in reversed(range(UPGRADES)):
            was = process(node)
            wanted = {"qat_device_plugin_release": OTHER} if number % 2 else {}
            assert any(task.changed for task in include(controller, "qat_device_plugin", **wanted).tasks)
            assert process(node) != was
            assert release(node) == wanted.get("qat_device_plugin_release", newest)
        crypto.wait_for(2)
    print(f"{RELOADS} reloads, {UPGRADES} upgrades: {crypto}")
    assert crypto.refused == []
    assert state(node) == before


def does_not_come_up(node: Node, controller: Controller) -> None:
    """The role, with a release that ends at once: the process before it stays in charge."""
    was, before = process(node), state(node)
    task = {"name": "accel.qat.qat_device_plugin"}
    run = controller.play([{"include_role": task, "vars": {"qat_device_plugin_release": BROKEN}}])
    assert run.code != 0
    assert "no service today" in run.tasks[-1].message
    assert "the one before it goes on" in run.tasks[-1].message
    assert (process(node), state(node)) == (was, before)
