# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a command prints: its output, which may be full, closed, or read by nobody, and its errors."""

from __future__ import annotations

import os
import sys
import typing as t

from .errors import NodeError, remedy_for

_OUTPUT = "standard output"
EXIT_UNWRITTEN = 1


class NobodyReads(Exception):
    """Whoever was to read the output has gone, as `head` does when it has seen enough."""


def write_out(text: str) -> None:
    """Print on standard output, at once. Raises NodeError where it cannot be written, NobodyReads where nobody reads it."""
    if sys.stdout is None:  # so it is where the descriptor was closed
        raise NodeError("is closed", where=_OUTPUT, remedy="open it; for no output, name /dev/null")
    _write(sys.stdout, text)


def write_error(text: str) -> None:
    """Print on standard error. Where that cannot be written, nobody is there to see it."""
    try:
        if sys.stderr is not None:
            _write(sys.stderr, text)
    except (NodeError, NobodyReads):
        pass


def ending_well(name: str, run: t.Callable[[], int]) -> int:
    """The exit code of a command that is called so, also where what it prints cannot be written.

    That ends with a sentence, and with none where nobody reads it.
    """
    try:
        try:
            return run()
        finally:
            # argparse prints, and what is left in a buffer is written when nobody looks at it any more.
            if sys.stdout is not None:
                _write(sys.stdout, "")
    except NobodyReads:
        pass
    except NodeError as error:
        write_error(f"{name}: {error}\n")
    return EXIT_UNWRITTEN


def _write(stream: t.TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _give_up(stream)
        raise NobodyReads from None
    except OSError as error:
        _give_up(stream)
        raise NodeError(
            f"cannot be written: {error.strerror}", where=_OUTPUT, remedy=remedy_for(error, "see where it goes")
        ) from None


def _give_up(stream: t.TextIO) -> None:
    """The interpreter would write the rest of its buffer at its end, and report the failure (docs of Python's signal, on SIGPIPE)."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
