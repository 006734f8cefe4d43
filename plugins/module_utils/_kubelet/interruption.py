# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Has a signal that would end a run in the midst of a change put things back first."""

from __future__ import annotations

import contextlib
import signal
import types
import typing as t

from .._node.errors import NodeError

# A lost connection, timeout(1) and whoever ends it, Ctrl-C.
_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class InterruptedRunError(NodeError):
    """Somebody wants this run to end."""


class Interruptions:
    """The first signal is raised where the work is; further ones, and all while things are put back, come to nothing."""

    def __init__(self) -> None:
        self._held = False

    def hold(self) -> None:
        """From here on there is no interruption."""
        self._held = True

    @contextlib.contextmanager
    def raised(self) -> t.Iterator[None]:
        """Have signals raise InterruptedRunError meanwhile."""
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: types.FrameType | None) -> None:
        if self._held:
            return
        self._held = True
        raise InterruptedRunError(f"the run was ended by {signal.Signals(number).name}")
