# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.accel.qat.tests.unit.kubelet.conftest import make_node

__all__ = ["make_node"]
