# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fixture `make` is, and what tests of kubelet's modules have in common."""

from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode
from ansible_collections.accel.qat.tests.unit.plugins.local import LocalController

Make = t.Callable[..., tuple[KubeletNode, LocalController]]

RECORD = "/var/lib/accel-qat/kubelet.json"
TOPOLOGY = {"topologyManagerPolicy": "restricted"}
