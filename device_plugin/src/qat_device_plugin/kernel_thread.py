# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the engine's reads in a thread, since the kernel can take seconds to answer while it works on a device."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import typing as t

from .limits import start_thread

Result = t.TypeVar("Result")


class KernelThread:
    """One thread, so that the engine is never entered twice. Being a daemon it cannot hold up the end of the process."""

    def __init__(self, name: str = "kernel") -> None:
        self._name = name
        self._work: queue.SimpleQueue[t.Callable[[], None]] = queue.SimpleQueue()
        self._is_started = False
        with contextlib.suppress(OSError):
            self._start()

    async def run(self, function: t.Callable[[], Result]) -> Result:
        """The function's result, or the exception it raised. Raises OSError where there are as many threads as there may be."""
        self._start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            try:
                result = function()
            except BaseException as error:
                _deliver(loop, future, future.set_exception, error)
            else:
                _deliver(loop, future, future.set_result, result)

        self._work.put(work)
        return await future

    def _start(self) -> None:
        if not self._is_started:
            start_thread(self._serve, self._name)
            self._is_started = True

    def _serve(self) -> None:
        while True:
            self._work.get()()


def _deliver(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[t.Any], setter: t.Callable[[t.Any], None], value: t.Any
) -> None:
    def deliver() -> None:
        if not future.done():  # it was cancelled meanwhile
            setter(value)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(deliver)
