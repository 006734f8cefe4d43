# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's scenarios as tests, so that they can run beside those that have machines of their own."""
