# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's scenarios as tests, which are ended and counted as all others."""
