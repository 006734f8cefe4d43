# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm writes kubelet's file again when the node is upgraded, and knows nothing of what others had put into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

CONFIGURATION = "/var/lib/kubelet/config.yaml"


@pytest.fixture
def written_by_kubeadm(cluster: Cluster, node: Node) -> Iterator[str]:
    """Kubelet's file as kubeadm's upgrade of the node has left it; afterwards it is as before."""
    node.run(f"cp -p {CONFIGURATION} /root/before; echo '# by hand' >> {CONFIGURATION}")
    yield node.run(f"kubeadm upgrade node phase kubelet-config > /dev/null && cat {CONFIGURATION}")
    cluster.restart_kubelet(f"cp -p /root/before {CONFIGURATION}")


def test_an_upgrade_of_the_node_by_kubeadm_costs_no_field_of_a_drop_in(
    cluster: Cluster, controller: Controller, settings: dict[str, Any], written_by_kubeadm: str
) -> None:
    """A kubelet that has none loses its fields, and the next run puts them back."""
    assert "# by hand" not in written_by_kubeadm
    assert "topologyManagerPolicy" not in written_by_kubeadm
    cluster.restart_kubelet()
    in_force = cluster.api.get(f"/api/v1/nodes/{cluster.nodes[0]}/proxy/configz")["kubeletconfig"]
    assert in_force["topologyManagerPolicy"] == ("best-effort" if cluster.release.drop_ins else "none")
    run = controller.run("accel.qat.site", "--check", **settings)
    assert run.code == 0, run.output
    assert any(task.changed for task in run.tasks) is not cluster.release.drop_ins
