# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a module runs commands of the node, and where it finds them."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._node.errors import NodeError
from .._node.kernel.commands import command_directories
from .machine import CommandResult, LiveMachine, Runner


def runner(module: AnsibleModule) -> Runner:
    """The port's way to run commands, through the module. They speak English, so that messages can be searched for."""

    def run_command(command: t.Sequence[str]) -> CommandResult:
        try:
            code, out, err = module.run_command(
                list(command),
                environ_update={"LANG": "C", "LC_ALL": "C"},
                # A dollar in a command is the node's business.
                expand_user_and_vars=False,
                handle_exceptions=False,
            )
        except OSError as error:
            raise NodeError(f"cannot be run: {error.strerror}", command[0], "see that it is installed") from error
        return CommandResult(code, out, err)

    return run_command


def output_of(run: Runner) -> t.Callable[[t.Sequence[str]], str]:
    """What a command prints, nothing where it fails or cannot be run."""

    def output(command: t.Sequence[str]) -> str:
        try:
            result = run(command)
        except NodeError:
            return ""
        return "" if result.code else result.out

    return output


def live_machine(module: AnsibleModule, root: str = "/", more_directories: t.Sequence[str] = ()) -> LiveMachine:
    """The node, mounted at `root`. Commands are looked for as `command_directories` says."""
    return LiveMachine(runner(module), root, command_directories(more_directories))
