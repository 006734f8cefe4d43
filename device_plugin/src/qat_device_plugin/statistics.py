# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has happened since the start, as plain figures; `exposition` turns them into metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

LATENCY_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1.0)
"""Upper bounds in seconds of the classes in which allocations are counted."""


@dataclass
class Latencies:
    """How long something took: numbers by class, the last class being everything longer, and the sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        position = sum(seconds > bound for bound in LATENCY_BOUNDS)
        self.counts[position] += 1
        self.total += seconds


def _zeros(*names: str) -> Counter[str]:
    return Counter(dict.fromkeys(names, 0))


@dataclass
class Statistics:
    """Counters by resource and result, or by result alone.

    Each is there before its first event: Prometheus takes one that appears with 1 for one that has not increased.
    """

    registrations: Counter[tuple[str, str]] = field(default_factory=Counter)
    allocations: Counter[tuple[str, str]] = field(default_factory=Counter)
    preferences: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, Latencies] = field(default_factory=dict)
    lists: Counter[str] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=lambda: _zeros("succeeded", "failed"))
    errors: Counter[str] = field(
        default_factory=lambda: _zeros("scan", "checkpoint", "claims", "cdi", "nfd", "http", "pods")
    )

    def add_resource(self, resource: str) -> None:
        """Count what happens to this resource from now on."""
        self.registrations.update({(resource, result): 0 for result in ("succeeded", "failed", "lost")})
        self.allocations.update({(resource, result): 0 for result in ("granted", "refused")})
        self.preferences[resource] += 0
        self.lists[resource] += 0
        self.latencies.setdefault(resource, Latencies())

    def allocated(self, resource: str, result: str, seconds: float) -> None:
        """Count an allocation."""
        self.allocations[resource, result] += 1
        self.latencies.setdefault(resource, Latencies()).add(seconds)
