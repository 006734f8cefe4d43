# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where lines are shown over and over: in the place of the ones before on a terminal, else one after the other."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
import typing as t

from ..streams import write_out

# Sequences of ECMA-48, and of xterm for the second screen, which every terminal of today knows.
_SECOND_SCREEN, _FIRST_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_END_KEYS = "qQ"
_NO_SIZE = (80, 24)


class Plain:
    """Blocks of lines, with an empty one between them where they have several."""

    _has_shown = False

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing was changed."""

    def show(self, lines: t.Sequence[str]) -> None:
        """Print them behind those before."""
        between = "\n" if self._has_shown and len(lines) > 1 else ""
        self._has_shown = True
        write_out(between + "\n".join(lines) + "\n")

    def wait(self, seconds: float) -> bool:
        """Let time pass. Returns whether somebody wants an end, which nobody can say here."""
        time.sleep(seconds)
        return False


class Screen:
    """The second screen of a terminal, which is left as it was found; the keyboard ends it with q."""

    def __init__(self) -> None:
        self._keyboard = sys.stdin.fileno()
        self._before: list[t.Any] = []

    @classmethod
    def of_terminal(cls) -> Plain | Screen:
        """The terminal, or blocks of lines where there is none, or one that can do no more."""
        streams = (sys.stdin, sys.stdout)  # None where they were closed
        is_terminal = all(stream and stream.isatty() for stream in streams)
        return cls() if is_terminal and os.environ.get("TERM", "dumb") != "dumb" else Plain()

    def __enter__(self) -> Screen:
        self._before = termios.tcgetattr(self._keyboard)
        tty.setcbreak(self._keyboard)
        write_out(_SECOND_SCREEN)
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            write_out(_FIRST_SCREEN)
        finally:
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._before)

    def show(self, lines: t.Sequence[str]) -> None:
        """Show them in the place of those before, as much as there is room for."""
        shown = fitted(lines, *_size())
        earlier = "".join(f"{line}{_REST_OF_LINE}\r\n" for line in shown[:-1])
        write_out(f"{_HOME}{earlier}{shown[-1]}{_REST_OF_LINE}{_REST_OF_SCREEN}")

    def wait(self, seconds: float) -> bool:
        """Wait for the time, or for somebody to press q. Returns whether that was pressed, or the terminal has gone."""
        end = time.monotonic() + seconds
        while True:
            ready, _writable, _failed = select.select([self._keyboard], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return False
            keys = os.read(self._keyboard, 64).decode(errors="replace")
            if not keys or any(key in keys for key in _END_KEYS):
                return True


def fitted(lines: t.Sequence[str], columns: int, rows: int) -> list[str]:
    """What a terminal of this size has room for; the last line says how many are left out, if any are."""
    cut = [line[:columns] for line in lines]
    if len(cut) <= rows:
        return cut
    left = len(cut) - (rows - 1)
    return [*cut[: rows - 1], f"... {left} more lines; make the terminal higher, or call with --once"[:columns]]


def _size() -> tuple[int, int]:
    """Columns and rows; a terminal that says neither, such as a serial line, is taken for one of the usual size."""
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    return (columns, rows) if columns > 0 and rows > 0 else _NO_SIZE
