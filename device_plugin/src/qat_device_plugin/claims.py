# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pods have by claims, seen again before a VF is given to a pod: a scan may have been a whole period ago."""

from __future__ import annotations

import asyncio
import time
import typing as t

from .kernel_thread import KernelThread

if t.TYPE_CHECKING:
    from .catalogue import Claims

LOOK_SECONDS = 1.0
"""How long an answer to kubelet waits for what kubelet keeps of claims: its disk may hang."""


class ClaimsLook:
    """Looks at claims besides the scans, and has what was seen last count, by either.

    `see` is called in a thread of its own, and returns None where it cannot see them. `found` gets what a look has seen, unless something
    newer was seen meanwhile.
    """

    def __init__(self, see: t.Callable[[], Claims | None], found: t.Callable[[Claims], None]) -> None:
        self._see = see
        self._found = found
        self._thread = KernelThread("claims")
        self._look: asyncio.Future[None] | None = None
        self._newest = float("-inf")  # when what counts was seen

    async def again(self) -> None:
        """Look once more, for an answer to kubelet. Kubelet itself is not asked: it waits for that answer.

        Where this takes long, what was seen last counts, and what this sees when it comes.
        """
        end = time.monotonic() + LOOK_SECONDS
        before = self._look
        if before is not None and not await _is_done(before, end):
            return  # one that hangs is enough
        look = self._look
        if look is None or look is before:  # else another answer has begun to look since
            look = self._look = asyncio.ensure_future(self._once())
        if await _is_done(look, end):
            look.result()

    def of_scan(self, claims: Claims | None, seen: float) -> Claims | None:
        """What counts of the claims that a scan has seen at this time: nothing where they were seen again since."""
        if claims is None or self._newest > seen:
            return None
        self._newest = seen
        return claims

    async def _once(self) -> None:
        begin = time.monotonic()
        try:
            claims = await self._thread.run(self._see)
        except OSError:
            return  # there are as many threads as there may be
        if claims is not None and begin > self._newest:
            self._newest = begin
            self._found(claims)


async def _is_done(look: asyncio.Future[None], end: float) -> bool:
    """Whether it has come to its end, which is waited for until then."""
    done, _late = await asyncio.wait([look], timeout=max(0.0, end - time.monotonic()))
    return bool(done)
