# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on the virtual QAT machine: a real kernel, simulated devices."""

from __future__ import annotations
