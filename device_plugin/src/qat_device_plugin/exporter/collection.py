# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the metrics show: plain data, as it was when somebody asked for them."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from .._node.devices.activity import PfActivity
    from ..attribution import Container
    from .sampling import VfSample


@dataclass(frozen=True)
class Pods:
    """Which container has which VF, by its address, as kubelet has said at the time `seen`; None while it never has.

    `problem` says why its last answer is missing, and is empty where it is not; None where nobody asks.
    """

    by_vf: t.Mapping[str, Container] = field(default_factory=dict)
    problem: str | None = None
    seen: float | None = None


@dataclass(frozen=True)
class Collection:
    """All PFs at one time, which began at `begun` of the monotonic clock and took so many seconds.

    `problem` says why nothing is known of the PFs. `now` is when it is shown.
    """

    pfs: tuple[PfActivity, ...] = ()
    samples: tuple[VfSample, ...] = ()
    pods: Pods = Pods()
    begun: float = 0.0
    seconds: float = 0.0
    problem: str = ""


def errors() -> Counter[str]:
    """Counters of errors by kind. Each is there before its first: Prometheus takes one that appears with 1 for one that stays."""
    return Counter(dict.fromkeys(("collection", "record", "pods", "http"), 0))
