# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves the pages to the controller's Python: a managed node has no YAML to read them with."""

from __future__ import annotations

import sys

OLDEST_CONTROLLER = (3, 11)

collect_ignore_glob = ["test_*.py"] if sys.version_info < OLDEST_CONTROLLER else []
