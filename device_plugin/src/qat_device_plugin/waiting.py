# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two small tools for tasks: the latest value of something, and a wake-up."""

from __future__ import annotations

import asyncio
import typing as t

Value = t.TypeVar("Value")

_ASK_AGAIN_SECONDS = 0.5


class Latest(t.Generic[Value]):
    """A value that changes. Each reader sees the newest one; none takes anything away from another."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self._changed = asyncio.Event()
        self._closed = False

    def set(self, value: Value) -> bool:
        """Change the value; returns whether it is another one."""
        if value == self.value:
            return False
        self.value = value
        self._wake()
        return True

    def close(self) -> None:
        """Let every reader come to its end."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def values(self) -> t.AsyncIterator[Value]:
        """The value as it is, and then each newer one, without those that came and went while the reader was busy."""
        while not self._closed:
            changed = self._changed
            yield self.value
            await changed.wait()


class Wakeup:
    """Wakes the one task that waits. Those that nobody waits for are kept as one.

    Not made of asyncio.wait_for, which before Python 3.12 can lose a cancellation that comes together with what it waits for.
    """

    def __init__(self) -> None:
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Wake the task, or spare it the next wait."""
        self._woken = True
        self._wake()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait to be woken, at most this long; returns whether there was one."""
        loop = asyncio.get_running_loop()
        if not self._woken:
            self._waiter = loop.create_future()
            timer = None if seconds is None else loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer:
                    timer.cancel()
        woken, self._woken = self._woken, False
        return woken

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


async def settle(wakeup: Wakeup, quiet: float, limit: float) -> None:
    """Wait until the wakeup has been quiet for a while, at most `limit` seconds: events come in swarms."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while loop.time() < end and await wakeup.wait(quiet):
        pass


async def complete(work: t.Coroutine[t.Any, t.Any, None]) -> None:
    """Do the work to its end, also when the task is cancelled meanwhile; then it is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def end(task: asyncio.Task[t.Any]) -> None:
    """Cancel a task and wait until it is over. Asks again, since a library in between can lose a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_ASK_AGAIN_SECONDS)
