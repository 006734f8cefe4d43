# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of this process's descriptors and threads."""

from __future__ import annotations

import contextlib
import errno
import resource
import threading
import typing as t
from pathlib import Path

_STATUS = Path("/proc/self/status")


def raise_descriptors() -> None:
    """Allow as many as may be allowed: programs are given 1024 at first for the sake of select(2), which nothing here uses.

    Not under a filter of system calls, which may end whoever asks; the unit, which has one, sets the limit.
    """
    with contextlib.suppress(OSError, ValueError):
        if "\nSeccomp:\t0\n" in _STATUS.read_text():
            _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def start_thread(work: t.Callable[[], None], name: str) -> None:
    """Do this in a thread, which does not hold up the end of the process. Raises OSError where there are as many as there may be."""
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:  # of threading, which has nothing better; whoever catches it elsewhere catches more
        raise OSError(errno.EAGAIN, str(error)) from None
