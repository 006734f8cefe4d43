# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of the module that applies a plan: apart from the others, since that needs no flavour and no field on the node."""

from __future__ import annotations

import typing as t

from .._node.facts.paths import KUBELET_DEVICE_PLUGINS

# What the controller asks the node to do.
APPLY: dict[str, dict[str, t.Any]] = {
    "writes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "str", "required": True},
            "before": {"type": "str"},
            "after": {"type": "str"},
            "mode": {"type": "int"},
            "owner": {"type": "list", "elements": "int"},
        },
    },
    "put_back": {"type": "str"},
    "journal": {"type": "path"},
    "confirmed": {"type": "bool", "default": True},
    "restart_later": {"type": "bool", "default": False},
    "unit": {"type": "str", "default": ""},
    "restart": {"type": "bool", "default": True},
    "state_files": {"type": "list", "elements": "path", "default": []},
    "device_plugins_dir": {"type": "path", "default": KUBELET_DEVICE_PLUGINS},
    "serves_device_plugins": {"type": "bool", "default": True},
    "started_with": {"type": "list", "elements": "str", "default": []},
    "directories": {"type": "list", "elements": "path", "default": []},
    "timeout": {"type": "float", "default": 120.0},
    "proof": {
        "type": "dict",
        "options": {
            "program": {"type": "str", "required": True},
            "config": {"type": "str", "default": ""},
            "config_dir": {"type": "str", "default": ""},
            "flags": {"type": "list", "elements": "str", "default": []},
        },
    },
    "backup": {"type": "bool", "default": False},
    "root": {"type": "path", "default": "/"},
}
