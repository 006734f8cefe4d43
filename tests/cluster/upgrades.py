# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A provisioned node that becomes one of the next release of Kubernetes, by kubeadm: it loses nothing, and no run has to follow.

`make test-releases` runs this, and `make test` does not: it needs the programs of two releases.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, settings_for
from ansible_collections.accel.qat.tests.cluster.steps import wait_until_taken
from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.releases import Release
from ansible_collections.accel.qat.tests.machine.node import Node

if TYPE_CHECKING:
    from pathlib import Path

ASKED = os.environ.get("ACCEL_QAT_RELEASES", " ".join(releases.RELEASES)).split()
# From the packaged one Kubernetes itself has no way to the next that is here.
PAIRS = [
    pair
    for pair in itertools.pairwise(releases.RELEASES.values())
    if not pair[0].packaged and {release.name for release in pair} <= {*ASKED}
]


def changed(run: Run) -> list[str]:
    assert run.code == 0, run.output
    return [task.name for task in run.tasks if task.changed]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].name} to {pair[1].name}")
def test_an_upgrade_costs_nothing(pair: tuple[Release, Release], tmp_path: Path) -> None:
    before, after = pair
    with Cluster.up(f"upgrade-{os.getpid()}", release=before) as cluster:
        node, controller = Node(cluster.machine()), Controller(cluster.machine(), tmp_path)
        settings = settings_for(cluster)
        assert changed(controller.run("accel.qat.site", **settings, qat_verify=True))
        cluster.create_pod("stays", {CY: 1}, restartPolicy="Always")
        cluster.wait_for_phase("stays")
        vf = cluster.environment("stays")["QAT0"]
        assert changed(controller.run("accel.qat.site", "--check", **settings, qat_kubelet_version=after.name)) == []

        cluster.upgrade(after)

        wait_until_taken(node)
        cluster.wait_for_offer(CY, 16)
        cluster.wait_for_offer(DC, 12)
        in_force = cluster.api.get(f"/api/v1/nodes/{cluster.nodes[0]}/proxy/configz")["kubeletconfig"]
        assert in_force["topologyManagerPolicy"] == "best-effort"
        cluster.wait_for_phase("stays")
        assert cluster.environment("stays")["QAT0"] == vf
        assert changed(controller.run("accel.qat.site", **settings, qat_verify=True)) == []
