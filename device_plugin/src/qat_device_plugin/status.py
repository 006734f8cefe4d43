# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service at one moment, as operators are shown it. Plain data."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .attribution import Attribution
from .model import Model


@dataclass(frozen=True)
class Status:
    """What the service knows, and how it is itself.

    `scan_age` is in seconds since the last scan that saw the whole node, and `is_stale` says whether that is too long. `registered` and
    `streams` are by resource: whether kubelet has taken the registration, and how many streams it has open. `unhealthy` says why a new
    process is needed, `unready` that and why kubelet has not got everything as it is now; both are empty where nothing is wrong.
    `attribution` is who has which VF, None where that is not asked, and `attribution_age` how old it is in
    seconds, None while kubelet has not said it so far.
    """

    model: Model
    scan_age: float
    registered: t.Mapping[str, bool]
    streams: t.Mapping[str, int]
    unhealthy: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()
    attribution: Attribution | None = None
    attribution_age: float | None = None
    is_stale: bool = False
