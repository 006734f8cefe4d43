# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qat_device_plugin.health import FATAL_SECONDS, PfHealth, Reading, forget_heartbeat, observe, reasons

PF = "0000:6b:00.0"


def after(*readings: Reading, seconds: float = 5.0) -> tuple[PfHealth, float]:
    health, now = PfHealth(), 0.0
    for reading in readings:
        now += seconds
        health = observe(health, reading, now)
    return health, now


def codes(*readings: Reading) -> list[str]:
    health, now = after(*readings)
    return [reason.code for reason in reasons(health, PF, now)]


ALIVE, DEAD, UNREAD = Reading("up", True), Reading("up", False), Reading("up", None)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param([ALIVE], [], id="alive"),
        pytest.param([UNREAD], [], id="unknown-is-not-bad"),
        pytest.param([ALIVE, DEAD], [], id="one-is-not-enough"),
        pytest.param([ALIVE, DEAD, DEAD], ["heartbeat"], id="two-are"),
        pytest.param([DEAD, ALIVE, DEAD, ALIVE], [], id="alternating"),
        pytest.param([DEAD, UNREAD, DEAD], ["heartbeat"], id="what-was-not-read-says-nothing"),
        pytest.param([DEAD, DEAD, ALIVE], ["heartbeat"], id="recovery-needs-two"),
        pytest.param([DEAD, DEAD, ALIVE, ALIVE], [], id="recovered"),
        pytest.param([Reading("down")], ["pf_state"], id="down"),
        pytest.param([Reading("down"), Reading("up")], [], id="up-again"),
        pytest.param([Reading(None)], [], id="no-state-to-read"),
        pytest.param([Reading("up", None, 3)], [], id="old-errors"),
        pytest.param([Reading("up", None, 3), Reading("up", None, 4)], ["ras_fatal"], id="rising-errors"),
        pytest.param(
            [Reading("up", None, 3), Reading("up", None, None), Reading("up", None, 4)], ["ras_fatal"], id="gap"
        ),
        pytest.param([Reading("up", None, 3), Reading("up", None, 4), Reading("up", None, 0)], [], id="counters-reset"),
    ],
)
def test_what_readings_mean(readings: list[Reading], expected: list[str]) -> None:
    assert codes(*readings) == expected


def test_trust_returns_when_no_more_errors_come() -> None:
    health, now = after(Reading("up", None, 0), Reading("up", None, 1))
    assert reasons(health, PF, now + FATAL_SECONDS - 0.1)
    assert not reasons(health, PF, now + FATAL_SECONDS)


@pytest.mark.parametrize(
    ("counts", "codes_by_scan"),
    [
        ([3, 4, 4, 4], ["", "ras_fatal", "ras_fatal", "ras_fatal"]),
        ([3, 3, 3], ["", "", ""]),
        ([0, 0, 1, 1, 0, 0], ["", "", "ras_fatal", "ras_fatal", "", ""]),
        ([3, 4, None, 4], ["", "ras_fatal", "ras_fatal", "ras_fatal"]),
        ([5, 6, 2, 2, 3], ["", "ras_fatal", "", "", "ras_fatal"]),
    ],
)
def test_a_count_that_stays_changes_nothing(counts: list[int | None], codes_by_scan: list[str]) -> None:
    """Neither for the better nor for the worse."""
    readings = [Reading("up", None, count) for count in counts]
    found = [",".join(codes(*readings[: number + 1])) for number in range(len(readings))]
    assert found == codes_by_scan


@pytest.mark.parametrize("rises", [1, 2])
def test_a_minute_counts_from_the_last_rise(rises: int) -> None:
    """And not from a reading that says the same once more."""
    counts = [0, *range(1, rises + 1), rises, rises]
    health, now = after(*(Reading("up", None, count) for count in counts))
    last_rise = now - 2 * 5.0
    assert reasons(health, PF, last_rise + FATAL_SECONDS - 0.1)
    assert not reasons(health, PF, last_rise + FATAL_SECONDS)


def test_a_heartbeat_that_is_gone_is_unknown() -> None:
    health, now = after(DEAD, DEAD)
    assert reasons(forget_heartbeat(health), PF, now) == ()


def test_reasons_name_the_pf() -> None:
    health, now = after(Reading("down", False, 0), Reading("down", False, 2))
    assert [reason.detail for reason in reasons(health, PF, now)] == [
        f"its PF {PF} is down",
        f"its PF {PF} has no heartbeat",
        f"its PF {PF} has had 2 fatal errors",
    ]


@given(st.lists(st.sampled_from([True, False, None])))
def test_the_verdict_is_the_last_pair_that_agreed(beats: list[bool | None]) -> None:
    health, _now = after(*(Reading("up", beat) for beat in beats))
    read = [True, True, *(beat for beat in beats if beat is not None)]
    agreed = [first for first, second in zip(read, read[1:]) if first == second]
    assert health.alive == agreed[-1]
    assert health.undecided == (read[-1] != agreed[-1])


@pytest.mark.parametrize("state", ["down", "failing", "upset", "", "zzz"])
def test_every_state_but_up_is_a_reason(state: str) -> None:
    assert len(reasons(PfHealth(state=state), "0000:6b:00.0", 0.0)) == 1


def test_a_minute_is_a_minute() -> None:
    """As docs and the log say."""
    risen, now = after(Reading("up", None, 0), Reading("up", None, 1))
    assert reasons(risen, PF, now + 59.9)
    assert not reasons(risen, PF, now + 60.0)


def test_a_pf_that_was_never_in_doubt_is_none_at_any_time() -> None:
    assert reasons(PfHealth(), PF, 0.5) == ()
    reset, _now = after(Reading("up", None, 3), Reading("up", None, 4), Reading("up", None, 0))
    assert reasons(reset, PF, 0.5) == ()


def test_a_forgotten_heartbeat_needs_as_many_doubts_again() -> None:
    fresh, forgotten = PfHealth(), forget_heartbeat(PfHealth())
    for _each in range(3):
        fresh, forgotten = (observe(one, Reading("up", False, None), 0.0) for one in (fresh, forgotten))
        assert forgotten == fresh
