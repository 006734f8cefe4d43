# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection `local` for nodes that are directories here. Counts what goes to each node, and the time that it takes there.

Each call of a node is a line of the file that COUNTED_FILE names: the node, bytes to it, and the seconds of processor time of what ran
there, which would be another machine's.
"""

from __future__ import annotations

import os
import resource
import typing as t

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: counted
short_description: Directories of this machine as nodes
description:
  - As the connection local, and counts what it is used for.
options: {}
extends_documentation_fragment:
  - connection_pipelining
"""


class Connection(Local):
    """What a connection to one node does."""

    transport = "counted"

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command there."""
        before = _seconds()
        code, output, errors = super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._note(len(cmd.encode()) + len(in_data or b""), _seconds() - before)
        return code, output, errors

    def put_file(self, in_path: str, out_path: str) -> None:
        """Send a file there."""
        super().put_file(in_path, out_path)
        self._note(os.path.getsize(in_path), 0.0)

    def get_option(self, option: str, hostvars: dict[str, t.Any] | None = None) -> t.Any:
        """Those that only the original has are as they are by default."""
        defaults = {"become_success_timeout": 10, "become_strip_preamble": True}
        return defaults[option] if option in defaults else super().get_option(option, hostvars)  # type: ignore[no-untyped-call]

    def _note(self, sent: int, seconds: float) -> None:
        line = f"{self._play_context.remote_addr} {sent} {seconds:.6f}\n"
        # In one write, as others write there at the same time.
        descriptor = os.open(os.environ["COUNTED_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _seconds() -> float:
    """Of the processes that this one has started, and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
