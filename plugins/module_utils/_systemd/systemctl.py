# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The node's systemd, by its command."""

from __future__ import annotations

from .._host.machine import CommandResult, Machine, last_lines
from .._node.errors import NodeError
from .._node.fields import lines_in


class Systemctl:
    """Asks systemd, and gives it orders."""

    def __init__(self, machine: Machine) -> None:
        """Raises NodeError where the node has no systemctl."""
        program = machine.command("systemctl")
        if program is None:
            raise NodeError("the node has no such command", "systemctl", "this needs a node that systemd runs")
        self._machine = machine
        self._program = program

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """These properties of a unit, also of one that there is not. Raises NodeError where one is not reported."""
        found = self.properties(unit, *properties)
        missing = [name for name in properties if name not in found]
        if missing:
            raise NodeError(f"systemctl show does not report {' and '.join(missing)}", unit, "see systemctl --version")
        return found

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Those of the properties that the unit has. Raises NodeError."""
        result = self._do("show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in lines_in(result.out) if line.partition("=")[0] in names)

    def reload_units(self) -> None:
        """Have systemd read all units again. Raises NodeError."""
        self._do("daemon-reload")

    def do(self, verb: str, unit: str) -> None:
        """Have it done, without waiting until it is. Raises NodeError."""
        self._do(verb, unit, "--no-block")

    def try_to(self, verb: str, unit: str, seconds: int | None = None) -> CommandResult:
        """Wait until it is done, or for so many seconds; whoever calls knows what it means that it is not."""
        timeout = self._machine.command("timeout") if seconds is not None else None
        limit = [timeout, str(seconds)] if timeout else []
        return self._machine.run([*limit, self._program, verb, unit])

    def _do(self, verb: str, unit: str = "", *options: str) -> CommandResult:
        result = self._machine.run([self._program, verb, *options, *filter(None, [unit])])
        if result.code != 0:
            raise NodeError(f"systemctl {verb} fails: {last_lines(result)}", unit, "see that systemd runs on the node")
        return result
