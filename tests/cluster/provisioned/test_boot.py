# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A device plugin that does not start is no reason for kubelet not to; what a boot may cost no pod is in boots.py."""

from __future__ import annotations

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY
from ansible_collections.accel.qat.tests.cluster.steps import UNIT, with_drop_in, without_drop_in
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node


def test_a_plugin_that_fails_keeps_no_kubelet_from_its_start(cluster: Cluster, node: Node) -> None:
    with_drop_in(node, "ExecStart=\nExecStart=false")
    try:
        node.machine.reboot()
        cluster.wait_until_ready()
    finally:
        without_drop_in(node)
    node.run(f"systemctl restart {UNIT}")
    cluster.wait_for_offer(CY, 16)
