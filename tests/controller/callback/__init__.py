# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible loads to report to the tests what it did."""

from __future__ import annotations
