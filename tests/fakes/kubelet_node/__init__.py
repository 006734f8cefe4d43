# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with a kubelet, as a directory: its files, and programs that behave as kubelet, systemctl and journalctl do.

A real kubelet can take the place of the one here for what can be tried without root: ACCEL_QAT_KUBELET names it.
"""

from __future__ import annotations

from .node import KubeletNode, Service

__all__ = ["KubeletNode", "Service"]
