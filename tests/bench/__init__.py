# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks on the virtual QAT machine: this project against other ways to do the same."""

from __future__ import annotations
