# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the device plugin is tested against: a node on disk, a kubelet, and the service as a process."""

from __future__ import annotations
