# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
import typing as t
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qat_device_plugin.catalogue import OfferedVf, Reason
from qat_device_plugin.preference import POLICIES, prefer


def vf(pf: int, index: int, numa_node: int = 0, healthy: bool = True) -> OfferedVf:
    reasons = () if healthy else (Reason("driver", "it is bound to no driver"),)
    return OfferedVf(f"{pf}.{index}", str(pf), numa_node, "vfio-pci", reasons)


def node(*pfs: tuple[int, int]) -> list[OfferedVf]:
    """PFs by the number of their VFs and their NUMA node."""
    return [vf(pf, index, numa) for pf, (count, numa) in enumerate(pfs) for index in range(count)]


def ids(vfs: t.Iterable[OfferedVf]) -> list[str]:
    return [one.address for one in vfs]


@pytest.mark.parametrize(
    ("policy", "busy", "size", "expected"),
    [
        ("balanced", [], 4, ["0.0", "1.0", "0.1", "1.1"]),
        ("balanced", ["0.0"], 2, ["1.0", "0.1"]),
        ("balanced", ["0.0", "0.1", "0.2"], 3, ["1.0", "1.1", "1.2"]),
        ("packed", [], 3, ["0.0", "0.1", "0.2"]),
        ("packed", ["1.0"], 2, ["1.1", "1.2"]),
        ("packed", ["1.0", "1.1", "1.2"], 2, ["1.3", "0.0"]),
    ],
)
def test_policy_follows_what_is_in_use(policy: str, busy: list[str], size: int, expected: list[str]) -> None:
    vfs = node((4, 0), (4, 0))
    free = [one for one in ids(vfs) if one not in busy]
    assert prefer(vfs, free, [], size, policy) == expected


def test_an_unhealthy_vf_is_not_in_use() -> None:
    vfs = [vf(0, 0, healthy=False), vf(0, 1, healthy=False), vf(0, 2), vf(1, 0), vf(1, 1)]
    assert prefer(vfs, ["0.2", "1.1"], [], 1, "balanced") == ["0.2"]


@pytest.mark.parametrize(
    ("free", "must", "size", "expected"),
    [
        pytest.param(["0.0", "0.1", "1.0", "1.1", "1.2"], [], 3, ["1.0", "1.1", "1.2"], id="the-node-that-has-all"),
        pytest.param(["0.0", "0.1", "1.0", "1.1", "1.2"], ["0.0"], 2, ["0.0", "0.1"], id="the-node-of-the-included"),
        pytest.param(["0.0", "1.0", "1.1"], ["0.0"], 3, ["0.0", "1.0", "1.1"], id="over-the-edge"),
        pytest.param(["0.0", "1.0", "2.0", "2.1"], [], 1, ["1.0"], id="known-node-before-none"),
    ],
)
def test_stays_on_one_numa_node(free: list[str], must: list[str], size: int, expected: list[str]) -> None:
    vfs = [vf(0, index, 0) for index in range(4)] + [vf(1, index, 1) for index in range(4)]
    vfs += [vf(2, index, -1) for index in range(4)]
    if expected == ["1.0"]:
        vfs = [one for one in vfs if one.pf_address != "0"]
        free = [one for one in free if not one.startswith("0")]
    assert prefer(vfs, free, must, size, "packed") == expected


def test_more_to_include_than_wanted() -> None:
    with pytest.raises(ValueError, match="2 VFs must be included in an allocation of 1"):
        prefer(node((4, 0)), ["0.0", "0.1"], ["0.0", "0.1"], 1, "packed")


def test_unknown_ids_come_last() -> None:
    assert prefer(node((2, 0)), ["stranger", "0.1"], [], 2, "packed") == ["0.1", "stranger"]


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[OfferedVf], list[str], list[str], int]:
    pfs = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(-1, 2)), min_size=1, max_size=4))
    vfs = [vf(pf, index, numa, draw(st.booleans())) for pf, (count, numa) in enumerate(pfs) for index in range(count)]
    healthy = ids(one for one in vfs if one.healthy)
    free = draw(st.lists(st.sampled_from(healthy), unique=True)) if healthy else []
    must = draw(st.lists(st.sampled_from(free), unique=True, max_size=3)) if free else []
    size = draw(st.integers(len(must), max(len(must), len(free))))
    return vfs, draw(st.permutations(free)), must, size


@given(requests(), st.sampled_from(POLICIES))
def test_gives_what_was_asked_for(request_: tuple[list[OfferedVf], list[str], list[str], int], policy: str) -> None:
    vfs, free, must, size = request_
    chosen = prefer(vfs, free, must, size, policy)
    assert len(chosen) == len(set(chosen)) == size
    assert chosen[: len(must)] == must
    assert set(chosen) <= set(free)


@given(requests(), st.sampled_from(POLICIES))
def test_the_order_of_the_free_ones_does_not_matter(
    request_: tuple[list[OfferedVf], list[str], list[str], int], policy: str
) -> None:
    vfs, free, must, size = request_
    assert prefer(vfs, free, must, size, policy) == prefer(vfs, sorted(free), must, size, policy)


@given(requests(), st.sampled_from(POLICIES))
def test_one_numa_node_if_any_suffices(
    request_: tuple[list[OfferedVf], list[str], list[str], int], policy: str
) -> None:
    vfs, free, must, size = request_
    numa = {one.address: one.numa_node for one in vfs}
    room = Counter(numa[one] for one in free)
    fitting = [
        key for key, count in room.items() if key >= 0 and count >= size and all(numa[one] == key for one in must)
    ]
    if fitting and size:
        assert len({numa[one] for one in prefer(vfs, free, must, size, policy)}) == 1


@given(requests())
def test_policies_reach_their_aim_within_a_numa_node(
    request_: tuple[list[OfferedVf], list[str], list[str], int],
) -> None:
    """Compared with every choice there is: balanced has the lowest possible peak, packed begins the fewest unused PFs."""
    vfs, free, _must, size = request_
    vfs = [OfferedVf(one.address, one.pf_address, 0, one.driver, one.reasons) for one in vfs]
    size = min(size, 4)
    pf = {one.address: one.pf_address for one in vfs}
    used = Counter(one.pf_address for one in vfs if one.healthy and one.address not in free)

    def peak(chosen: t.Iterable[str]) -> int:
        return max((used + Counter(pf[one] for one in chosen)).values(), default=0)

    def begun(chosen: t.Iterable[str]) -> int:
        return len({pf[one] for one in chosen} - set(used))

    choices = list(itertools.combinations(sorted(free), size))
    assert peak(prefer(vfs, free, [], size, "balanced")) == min(map(peak, choices))
    assert begun(prefer(vfs, free, [], size, "packed")) == min(map(begun, choices))
