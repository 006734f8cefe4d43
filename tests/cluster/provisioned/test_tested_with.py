# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README says that the tests run on."""

from __future__ import annotations

from ansible_collections.accel.qat.tests.cluster import tested_with
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster


def test_readme_has_a_row_for_this_node(cluster: Cluster) -> None:
    assert tested_with.row_of(cluster.node()["status"]["nodeInfo"]) in tested_with.rows()
