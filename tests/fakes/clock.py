# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time, which passes only when a test lets it, and the kernel threads that wait for something."""

from __future__ import annotations

import contextlib
import typing as t

from .tree import Wait, Working


class Clock:
    """Seconds since the machine was made. Also runs the operations that did not finish at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._waiting: list[tuple[Working, Wait]] = []

    def start(self, work: Working) -> None:
        """Run an operation in a thread of its own, as far as it gets."""
        self._resume(work)

    def work_off(self, work: Working, seconds: float) -> bool:
        """Run an operation for at most so long; False when it has not ended, and goes on in the background. Raises OSError."""
        end = self.now + seconds
        for wait in work:
            self._wait(wait, end)
            if not wait.over():
                self._waiting.append((work, wait))
                return False
        return True

    def _wait(self, wait: Wait, end: float) -> None:
        """Let time pass until the wait is over, at most until the end."""
        while not wait.over() and self.now < end:
            left = wait.seconds()
            moment = min(self._moments(), default=end) if left is None else self.now + left
            self.pass_time(min(moment, end) - self.now)

    def _moments(self) -> t.Iterator[float]:
        return (self.now + left for left in (wait.seconds() for _work, wait in self._waiting) if left is not None)

    def pass_time(self, seconds: float) -> None:
        """Let time pass; what waits for a moment in it goes on."""
        end = self.now + seconds
        while (moment := min(self._moments(), default=end)) < end:
            self.now = max(self.now, moment)
            self.look()
        self.now = end
        self.look()

    def look(self) -> None:
        """Resume what has nothing to wait for any more."""
        again = True
        while again:
            ready = [pair for pair in self._waiting if pair[1].over()]
            self._waiting = [pair for pair in self._waiting if pair not in ready]
            for work, _wait in ready:
                self._resume(work)
            again = bool(ready)

    def _resume(self, work: Working) -> None:
        # Nobody is left to learn of an error.
        with contextlib.suppress(OSError):
            for wait in work:
                if not wait.over():
                    self._waiting.append((work, wait))
                    return


class Moment(Wait):
    """Waits for a point in time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.now + seconds

    def over(self) -> bool:
        return self._clock.now >= self._end

    def seconds(self) -> float | None:
        return max(0.0, self._end - self._clock.now)
