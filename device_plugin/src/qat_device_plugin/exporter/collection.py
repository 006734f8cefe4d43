# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the metrics show: plain data, as it was when somebody asked for them."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ..attribution import shown_name

if t.TYPE_CHECKING:
    from .._node.devices.activity import PfActivity
    from .._node.users.pods import Assignments
    from .sampling import VfSample


class Container(t.NamedTuple):
    """A container that has a VF, by names as labels have them."""

    namespace: str
    pod: str
    container: str


@dataclass(frozen=True)
class Pods:
    """Which container has which VF, by its address. `problem` says why kubelet has not said it; None where nobody asks."""

    by_vf: t.Mapping[str, Container] = field(default_factory=dict)
    problem: str | None = None


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


def containers(vfs: t.Iterable[tuple[str, str | None]], assignments: Assignments) -> dict[str, Container]:
    """Who has which of these VFs, each with its IOMMU group. Of several containers of a pod that share a VF the first by name."""
    found = {}
    for address, group in vfs:
        holders = sorted((one for one in assignments.of(address, group, else_unknown=False) if one.pod), key=str)
        if holders:
            namespace, slash, pod = holders[0].pod.partition("/")
            names = (namespace, pod, holders[0].container) if slash else ("", namespace, holders[0].container)
            found[address] = Container(*map(shown_name, names))
    return found
