# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which free VFs to prefer for a container: GetPreferredAllocation. Decisions only."""

from __future__ import annotations

import heapq
import typing as t
from collections import Counter

from .catalogue import OfferedVf

POLICIES = ("balanced", "packed")
_NO_NUMA_NODE = -1


def prefer(
    vfs: t.Sequence[OfferedVf], available: t.Sequence[str], must_include: t.Sequence[str], size: int, policy: str
) -> list[str]:
    """The ids of `size` VFs, the ones that must be included first; fewer where fewer are available, of which no unhealthy one is.

    Among the rest, those of as few NUMA nodes as possible, beginning with the nodes of the included ones. Within a node `balanced`
    takes the next VF from the PF with the fewest VFs in use, `packed` from the one with the most. A VF is in use when it is
    healthy and not available. Raises ValueError where more must be included than are asked for.
    """
    chosen = list(dict.fromkeys(must_include))
    if len(chosen) > size:
        raise ValueError(f"{len(chosen)} VFs must be included in an allocation of {size}")
    place = {vf.address: position for position, vf in enumerate(vfs)}
    known = {vf.address: vf for vf in vfs}
    left = set(available) - set(chosen)
    # Kubelet may not have the list yet by which one of them is unhealthy.
    left -= {address for address in left if address in known and not known[address].healthy}
    free = sorted(left, key=lambda address: (place.get(address, len(place)), address))
    used = Counter(vf.pf_address for vf in vfs if vf.healthy and vf.address not in left)
    for group in _by_numa_node(free, chosen, known, size - len(chosen), policy):
        chosen += _from_pfs(group, known, used, size - len(chosen), policy)
    return chosen


def _by_numa_node(
    free: t.Sequence[str], chosen: t.Sequence[str], known: t.Mapping[str, OfferedVf], wanted: int, policy: str
) -> list[list[str]]:
    """The free VFs of each NUMA node, the best node first."""
    groups: dict[int, list[str]] = {}
    for address in free:
        groups.setdefault(_numa_node(address, known), []).append(address)
    included = Counter(_numa_node(address, known) for address in chosen)

    def rank(node: int) -> tuple[bool, int, bool, int, int]:
        room = len(groups[node])
        suffices = room >= wanted
        # Of the nodes that suffice, balanced takes the emptiest and packed the fullest; otherwise the largest share first.
        size = room if suffices and policy == "packed" else -room
        return node == _NO_NUMA_NODE, -included[node], not suffices, size, node

    return [groups[node] for node in sorted(groups, key=rank)]


def _from_pfs(
    free: t.Sequence[str], known: t.Mapping[str, OfferedVf], used: Counter[str], wanted: int, policy: str
) -> list[str]:
    """Up to `wanted` of the free VFs, one after the other; counts them in `used`. What is not known comes last."""
    familiar = [address for address in free if address in known]
    taken = _in_turn(familiar, known, used, wanted, policy)
    unknown = [address for address in free if address not in known]
    return taken + _in_turn(unknown, known, Counter(), wanted - len(taken), policy)


def _in_turn(
    free: t.Sequence[str], known: t.Mapping[str, OfferedVf], used: Counter[str], wanted: int, policy: str
) -> list[str]:
    """Up to `wanted` of the free VFs: each time the first one of the PF that comes first. What is not known has a PF of its own."""
    of_pf: dict[str, list[tuple[int, str]]] = {}
    for position, address in enumerate(free):
        of_pf.setdefault(_pf(address, known), []).append((position, address))
    room = {pf: len(vfs) for pf, vfs in of_pf.items()}

    def turn(pf: str) -> tuple[int, int, int, str]:
        # Of the PFs that nobody uses, packed begins the one that can give most.
        order = (-used[pf], -room[pf]) if policy == "packed" else (used[pf], 0)
        return (*order, of_pf[pf][-1][0], pf)

    for vfs in of_pf.values():
        vfs.reverse()  # the next one is the last
    turns = [turn(pf) for pf in of_pf]
    heapq.heapify(turns)
    taken: list[str] = []
    while turns and len(taken) < wanted:
        pf = heapq.heappop(turns)[-1]
        taken.append(of_pf[pf].pop()[1])
        used[pf] += 1
        if of_pf[pf]:
            heapq.heappush(turns, turn(pf))
    return taken


def _numa_node(address: str, known: t.Mapping[str, OfferedVf]) -> int:
    return known[address].numa_node if address in known else _NO_NUMA_NODE


def _pf(address: str, known: t.Mapping[str, OfferedVf]) -> str:
    return known[address].pf_address if address in known else address
