# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose device plugin is a pod boots: the host makes the VFs, and the pod offers them. The service is back at the end.

`make test-nightly` runs this, and `make test` does not, for the minutes that a boot takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.daemonset import changed, gives_a_vf
from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC
from ansible_collections.accel.qat.tests.cluster.provisioned.ways import DAEMONSET
from ansible_collections.accel.qat.tests.cluster.steps import UNIT
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases

if TYPE_CHECKING:
    from ansible_collections.accel.qat.tests.cluster.provisioned.ways import Deployment
    from ansible_collections.accel.qat.tests.controller.controller import Controller
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
    from ansible_collections.accel.qat.tests.machine.node import Node

pytestmark = [pytest.mark.usefixtures("no_pods"), pytest.mark.releases(releases.NEWEST)]


def test_a_boot_brings_vfs_and_pod_back(
    cluster: Cluster, node: Node, controller: Controller, settings: dict[str, Any], deployment: Deployment
) -> None:
    deployment.have(DAEMONSET)
    daemonset = deployment.daemonset
    uid = daemonset.pod()["metadata"]["uid"]
    node.machine.reboot()
    cluster.wait_until_ready()
    assert node.machine.run(f"systemctl cat {UNIT}", check=False).rc != 0
    cluster.wait_for_offer(CY, 16)
    cluster.wait_for_offer(DC, 12)
    assert daemonset.pod()["metadata"]["uid"] == uid
    gives_a_vf(cluster, node, "one")
    assert changed(controller.run("accel.qat.site", "--tags", "device_plugin", **settings, **daemonset.settings)) == []
