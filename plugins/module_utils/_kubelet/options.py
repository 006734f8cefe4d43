# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of the modules that read and plan for kubelet, one table for each; the documentation is compared with it."""

from __future__ import annotations

import typing as t

from .fields import argument_spec
from .flavours import AUTO, CHOICES

Spec = dict[str, dict[str, t.Any]]

# Whether the fields go into a drop-in whose directory kubelet has to be given.
ALWAYS, NEVER = "always", "never"

RECORD = "/var/lib/accel-qat/kubelet.json"

# What says which kubelet is meant, where that is not found out.
READ: Spec = {
    "flavour": {"type": "str", "choices": list(CHOICES), "default": AUTO},
    "config": {"type": "path"},
    "config_dir": {"type": "path"},
    "kubelet": {"type": "path"},
    "kubelet_version": {"type": "str"},
    "service": {"type": "str"},
    "when_missing": {"type": "str", "choices": ["fail", "skip"], "default": "fail"},
    "record": {"type": "path", "default": RECORD},
    "root": {"type": "path", "default": "/"},
}

# What only the module that reads takes.
ONLY_READ: Spec = {
    "if_recorded": {"type": "bool", "default": False},
    "offered": {"type": "bool", "default": True},
}

# What the controller alone needs.
CONFIG: Spec = {
    "configuration": {"type": "dict", "default": {}, "options": argument_spec()},
    "device_plugin_gates": {"type": "bool", "default": True},
    "drop_in": {"type": "str", "choices": [AUTO, ALWAYS, NEVER], "default": AUTO},
    "state": {"type": "str", "choices": ["present", "found"], "default": "present"},
    "drained": {"type": "bool", "default": False},
    "restart": {"type": "bool", "default": True},
    "prove": {"type": "bool", "default": True},
    "backup": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 120.0},
    "kubeconfig": {"type": "path"},
    "node_name": {"type": "str"},
    "machine_config_pool": {"type": "str", "default": "worker"},
}
