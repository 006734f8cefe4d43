# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look at claims before a VF is given: how often, how long it is waited for, and what of it counts."""

from __future__ import annotations

import asyncio
import threading
import time
import typing as t

import pytest
from qat_device_plugin import claims
from qat_device_plugin.catalogue import Claims
from qat_device_plugin.claims import ClaimsLook

OLD, NEW = Claims({"0000:6b:00.1": "qat.intel.com"}), Claims({"0000:6b:00.2": "qat.intel.com"})


class Disk:
    """Gives what kubelet keeps once it is let go on. `looks` counts who has begun to read."""

    def __init__(self) -> None:
        self.looks = 0
        self.goes_on = threading.Event()
        self.keeps: Claims | None = NEW

    def see(self) -> Claims | None:
        self.looks += 1
        self.goes_on.wait()
        return self.keeps


@pytest.fixture
def disk() -> t.Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.goes_on.set()  # what waits for it is a thread


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LOOK_SECONDS", 600.0)


def test_one_that_hangs_is_not_waited_for_without_end_and_not_followed_by_others(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubelet waits for the answer."""
    found: list[Claims] = []

    async def scenario() -> None:
        look = ClaimsLook(disk.see, found.append)
        with monkeypatch.context() as patched:
            patched.setattr(claims, "LOOK_SECONDS", 0.01)
            for _ in range(3):
                await look.again()
        assert (disk.looks, found) == (1, [])
        disk.goes_on.set()
        await look.again()
        assert (disk.looks, found) == (2, [NEW, NEW])

    run(scenario())


def test_answers_that_wait_at_once_look_once_more_together(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun before they were asked may have seen too little. All of it takes a second at most."""
    ends: list[float] = []
    waits = claims._is_done

    async def is_done(look: asyncio.Future[None], end: float) -> bool:
        ends.append(end)
        return await waits(look, end)

    async def scenario() -> None:
        monkeypatch.setattr(claims, "_is_done", is_done)
        look = ClaimsLook(disk.see, lambda _claims: None)
        answers = []
        for _ in range(4):
            answers.append(asyncio.ensure_future(look.again()))
            await asyncio.sleep(0)
        disk.goes_on.set()
        await asyncio.gather(*answers)
        assert disk.looks == 2
        assert len(ends) == 7
        assert len(set(ends)) == 4

    run(scenario())


def test_what_was_seen_last_counts(disk: Disk) -> None:
    found: list[Claims] = []

    async def scenario() -> None:
        look = ClaimsLook(disk.see, found.append)
        before = time.monotonic()
        answer = asyncio.ensure_future(look.again())
        while not disk.looks:
            await asyncio.sleep(0.001)
        # Of a scan that began after it.
        assert look.of_scan(OLD, time.monotonic()) == OLD
        disk.goes_on.set()
        await answer
        assert found == []
        await look.again()
        assert found == [NEW]
        # Of one that began before.
        assert look.of_scan(OLD, before) is None
        assert look.of_scan(OLD, time.monotonic()) == OLD

    run(scenario())


def test_what_could_not_be_seen_says_nothing_against_what_was(disk: Disk) -> None:
    found: list[Claims] = []

    async def scenario() -> None:
        look = ClaimsLook(disk.see, found.append)
        disk.goes_on.set()
        disk.keeps = None
        before = time.monotonic()
        await look.again()
        assert found == []
        assert look.of_scan(None, time.monotonic()) is None
        assert look.of_scan(OLD, before) == OLD

    run(scenario())


def test_without_a_thread_what_was_seen_last_counts(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are as many as there may be."""

    def refuse(_thread: threading.Thread) -> t.NoReturn:
        raise RuntimeError("can't start new thread")

    async def scenario() -> None:
        found: list[Claims] = []
        disk.goes_on.set()
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            look = ClaimsLook(disk.see, found.append)
            await look.again()
        assert found == []
        await look.again()
        assert found == [NEW]

    run(scenario())


def test_a_fault_of_the_program_is_raised_where_it_is_waited_for() -> None:
    def see() -> Claims:
        raise ZeroDivisionError

    async def scenario() -> None:
        with pytest.raises(ZeroDivisionError):
            await ClaimsLook(see, lambda _claims: None).again()

    run(scenario())


def run(scenario: t.Coroutine[t.Any, t.Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 600))
