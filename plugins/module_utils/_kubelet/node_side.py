# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the two modules share that run on the node for kubelet_config."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._host.machine import LiveMachine
from .._host.runner import live_machine as live_machine_at
from .._node.facts.paths import KUBELET_COMMAND_DIRECTORIES
from .._run import run_module


def live_machine(module: AnsibleModule) -> LiveMachine:
    """The node, mounted at the parameter `root`."""
    return live_machine_at(module, module.params["root"], KUBELET_COMMAND_DIRECTORIES)


def run(module: AnsibleModule, work: t.Callable[[LiveMachine], dict[str, t.Any]]) -> t.NoReturn:
    """End the module with what `work` returns, or with the one sentence of the NodeError that it raises."""
    run_module(module, lambda: work(live_machine(module)))
