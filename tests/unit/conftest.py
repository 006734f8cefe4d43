# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves to the controller's Python what runs on the controller only: a managed node has neither all of Ansible nor YAML."""

from __future__ import annotations

import sys

OLDEST_CONTROLLER = (3, 11)

collect_ignore = (
    [
        "cluster",
        "fakes",  # of which no node runs any
        "kubelet/flavours/test_only_here.py",  # of all code, which has newer syntax
        "kubelet/test_cut_off.py",
        "kubelet/test_owned_by_others.py",
        "plugins/action",
        "plugins/plugin_utils",
        "plugins/modules/test_documentation.py",
        "roles",
    ]
    if sys.version_info < OLDEST_CONTROLLER
    else []
)
