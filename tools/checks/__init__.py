# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's checks, in stages: `python -m tools.checks STAGE...`, or `make STAGE`."""

from __future__ import annotations
