# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kubernetes device plugin that offers the VFs of QAT devices, as a service of the host."""

from __future__ import annotations

__version__ = "1.0.0"
