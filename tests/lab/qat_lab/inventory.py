# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Ansible inventory of running machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import image
from .ssh import HOST, TRUST, USER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .machine import Machine

GROUP = "qat_nodes"


def inventory(machines: Iterable[Machine]) -> str:
    """YAML text with every machine in one group, and all that Ansible needs to reach it."""
    lines = [f"{GROUP}:", "  hosts:"]
    for machine in machines:
        lines += [f"    {machine.name}:", f"      ansible_port: {machine.record.port}"]
    common = {
        "ansible_host": HOST,
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(image.ssh_key()),
        "ansible_ssh_common_args": " ".join(TRUST),
        # Ansible's own default also compresses, which costs an emulated processor more than it saves.
        "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
        # A machine on a busy host may take longer than the usual 10 s to greet.
        "ansible_ssh_timeout": 60,
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    # JSON strings are YAML strings.
    lines += ["  vars:", *(f"    {name}: {json.dumps(value)}" for name, value in common.items())]
    return "\n".join(lines) + "\n"
