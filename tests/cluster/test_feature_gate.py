# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate DevicePlugins does to a kubelet that still has it: with it off, there is nobody to register with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

ARGUMENTS = "/etc/default/kubelet"
SOCKET = "/var/lib/kubelet/device-plugins/kubelet.sock"


@pytest.fixture(scope="module", autouse=True)
def arguments(cluster: Cluster, node: Node) -> Iterator[None]:
    """kubelet's arguments are put back."""
    node.run(f"cp {ARGUMENTS} /root/arguments")
    yield
    cluster.restart_kubelet(f"cp /root/arguments {ARGUMENTS}")


@pytest.mark.parametrize(("gate", "socket"), [("false", False), ("true", True)])
def test_the_socket_is_there_when_the_gate_is_on(cluster: Cluster, node: Node, gate: str, socket: bool) -> None:
    # A kubelet that was stopped leaves its socket behind.
    given = f"echo KUBELET_EXTRA_ARGS=--feature-gates=DevicePlugins={gate} > {ARGUMENTS}"
    cluster.restart_kubelet(f"rm -f {SOCKET}; {given}")
    assert node.machine.run(f"test -S {SOCKET}", check=False).rc == (0 if socket else 1)
