# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VFs as a resource of a real node: a pod is not scheduled when there are none left, and is once one is given back."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY
from ansible_collections.accel.qat.tests.cluster.steps import given
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster

pytestmark = pytest.mark.usefixtures("no_pods")


def test_a_pod_waits_until_another_gives_its_vf_back(cluster: Cluster, vfs: dict[str, str]) -> None:
    cluster.wait_for_offer(CY, 16)
    cluster.create_pod("one", {CY: 1})
    cluster.create_pod("others", {CY: 15})
    for name in ("one", "others"):
        cluster.wait_for_phase(name)
    one = given(cluster, "one")
    assert sorted(one + given(cluster, "others")) == sorted(vfs)

    cluster.create_pod("late", {CY: 1})
    cluster.wait_until_unschedulable("late", f"Insufficient {CY}")
    assert cluster.pod("late")["status"]["phase"] == "Pending"

    cluster.delete_pod("one")
    cluster.wait_for_phase("late")
    assert given(cluster, "late") == one
