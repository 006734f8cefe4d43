# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Type into the serial console of a machine."""

from __future__ import annotations

import os
import selectors
import sys
import termios
import tty
from typing import TYPE_CHECKING

from .errors import LabError
from .qmp import connect

if TYPE_CHECKING:
    from pathlib import Path

END = b"\x1d"
"""ctrl-]"""


def attach(directory: Path) -> None:
    """Connect the terminal to the console until ctrl-] is typed; LabError without a terminal or a machine."""
    if not sys.stdin.isatty():
        raise LabError("attaching to a console needs a terminal.")
    try:
        line = connect(directory, "console.sock")
    except OSError as error:
        raise LabError("the machine does not run, or somebody else is at its console.") from error
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        with line, selectors.DefaultSelector() as ready:
            ready.register(0, selectors.EVENT_READ)
            ready.register(line, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    data = os.read(key.fd, 4096)
                    if not data or (key.fd == 0 and END in data):
                        return
                    os.write(1 if key.fd != 0 else line.fileno(), data)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
