# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong while something is built, each as one sentence for the person who asked."""

from __future__ import annotations


class ToolError(Exception):
    """Something that the user of a tool can understand and fix."""


class CommandFailed(ToolError):
    """A command on the host, or in a machine, ended with an exit code other than 0."""

    def __init__(self, command: str, code: int, output: str) -> None:
        self.command = command
        self.code = code
        self.output = output
        super().__init__(f"{command!r} failed with exit code {code}: {output.strip() or 'no output'}")
