# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's log."""

from __future__ import annotations

import os

from ..fields import is_number

_WARNING = 4


class Log:
    """The kernel's warnings and errors (Documentation/ABI/testing/dev-kmsg); none for those who may not read them."""

    def __init__(self, path: str) -> None:
        self._lines: list[str] = []
        try:
            self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError:
            self._descriptor = None

    def forget(self) -> None:
        """Begin again with what comes from now on."""
        self._drain()
        self._lines.clear()

    def lines(self, device: str) -> list[str]:
        """The messages that name the device, without the kernel's record header."""
        self._drain()
        return [line for line in self._lines if device in line]

    def _drain(self) -> None:
        while self._descriptor is not None:
            try:
                record = os.read(self._descriptor, 8192)
            except BrokenPipeError:
                continue  # records were overwritten before they were read; the next read gives the oldest that is left
            except OSError:
                return  # nothing more yet
            if not record:
                return  # no log at all: containers have /dev/null in its place
            header, _semicolon, message = record.decode("utf-8", "replace").partition(";")
            level = header.partition(",")[0]
            if is_number(level) and int(level) & 7 <= _WARNING:
                self._lines.append(message.partition("\n")[0])

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
