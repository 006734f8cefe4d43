# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the two modules share that run on the node for kubelet_config."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._module import runner
from .._node.errors import NodeError
from .._node.kernel_args.machine import LiveMachine
from .._node.paths import COMMAND_DIRECTORIES

# /opt/bin is where Flatcar and hand-made installations have kubelet, /var/lib/rancher/rke2/bin where RKE2 has its tools.
_MORE_DIRECTORIES = ("/opt/bin", "/var/lib/rancher/rke2/bin", "/snap/bin")


def live_machine(module: AnsibleModule) -> LiveMachine:
    """The node, mounted at the parameter `root`. Commands are looked for in PATH first."""
    path = [directory for directory in os.environ.get("PATH", "").split(":") if directory.startswith("/")]
    directories = list(dict.fromkeys([*path, *COMMAND_DIRECTORIES, *_MORE_DIRECTORIES]))
    return LiveMachine(runner(module), module.params["root"], directories)


def run(module: AnsibleModule, work: t.Callable[[LiveMachine], dict[str, t.Any]]) -> t.NoReturn:
    """End the module with what `work` returns, or with the one sentence of the NodeError that it raises."""
    try:
        result = work(live_machine(module))
    except NodeError as error:
        module.fail_json(msg=error.sentence(), failure=error.as_dict())
    module.exit_json(**result)
