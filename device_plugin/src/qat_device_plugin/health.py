# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of a PF over time: what single readings mean together. Decisions only.

Sources: Linux qat_common/adf_heartbeat.c and adf_heartbeat_dbgfs.c, Documentation/ABI/testing/sysfs-driver-qat_ras and
debugfs-driver-qat. A status of -1 can be a false alarm, because a second reader or a restart gives it too, so it counts only
when the next reading confirms it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import reasons as why
from .reasons import Reason

CONFIRMATIONS = 2
"""How many readings in a row change the verdict on the heartbeat, either way."""

FATAL_SECONDS = 60.0
"""How long a PF is distrusted after its last fatal error."""


class Reading(t.NamedTuple):
    """One reading of a PF; None is what could not be read. `beats` is None also when it was not time to look."""

    state: str | None = None
    beats: bool | None = None
    fatal_errors: int | None = None


@dataclass(frozen=True)
class PfHealth:
    """What is known of a PF. `doubts` counts the readings in a row that contradict `alive`."""

    state: str | None = None
    alive: bool = True
    doubts: int = 0
    fatal_errors: int | None = None
    distrusted_until: float = 0.0

    @property
    def undecided(self) -> bool:
        """Whether the heartbeat should be read again soon, to confirm what it said."""
        return self.doubts > 0


def observe(health: PfHealth, reading: Reading, now: float) -> PfHealth:
    """The health after one more reading at the time `now`, in seconds of any clock that only goes forward."""
    return _with_errors(_with_beat(replace(health, state=reading.state), reading), reading, now)


def forget_heartbeat(health: PfHealth) -> PfHealth:
    """The health once the driver shows no heartbeat any more: unknown, which is neither good nor bad."""
    return replace(health, alive=True, doubts=0)


def reasons(health: PfHealth, address: str, now: float) -> tuple[Reason, ...]:
    """Why the VFs of the PF at `address` cannot be used."""
    found = []
    if health.state is not None and health.state != "up":
        found.append(why.pf_state(address, health.state))
    if not health.alive:
        found.append(why.no_heartbeat(address))
    if now < health.distrusted_until:
        found.append(why.fatal_errors(address, health.fatal_errors))
    return tuple(found)


def _with_beat(health: PfHealth, reading: Reading) -> PfHealth:
    if reading.beats is None:
        return health
    if reading.beats == health.alive:
        return replace(health, doubts=0)
    if health.doubts + 1 < CONFIRMATIONS:
        return replace(health, doubts=health.doubts + 1)
    return replace(health, alive=reading.beats, doubts=0)


def _with_errors(health: PfHealth, reading: Reading, now: float) -> PfHealth:
    count, before = reading.fatal_errors, health.fatal_errors
    if count is None:
        return health
    if before is not None and count > before:
        return replace(health, fatal_errors=count, distrusted_until=now + FATAL_SECONDS)
    if before is not None and count < before:  # somebody looked at the errors and reset the counters
        return replace(health, fatal_errors=count, distrusted_until=0.0)
    return replace(health, fatal_errors=count)
