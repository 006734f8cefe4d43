# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
import time
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
    assert prefer(node((2, 0)), ["unknown", "0.1"], [], 2, "packed") == ["0.1", "unknown"]


@pytest.mark.parametrize("policy", POLICIES)
def test_an_unknown_id_that_is_a_pfs_address_has_nothing_of_that_pf(policy: str) -> None:
    vfs = node((2, 0), (2, -1))
    assert prefer(vfs, ["1.0", "0", "1"], [], 3, policy) == ["1.0", "0", "1"]
    assert prefer(vfs, ["1.0", "1.1", "a", "1"], [], 3, policy) == ["1.0", "1.1", "1"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        # Node 0 has just enough, node 1 has more, node 2 has too little.
        pytest.param("packed", ["0.0", "0.1", "0.2"], id="packed-takes-the-fullest-that-suffices"),
        pytest.param("balanced", ["1.0", "1.1", "1.2"], id="balanced-takes-the-emptiest"),
    ],
)
def test_which_of_the_numa_nodes_that_suffice(policy: str, expected: list[str]) -> None:
    vfs = node((3, 0), (5, 1), (2, 2))
    assert prefer(vfs, ids(vfs), [], 3, policy) == expected
    # The same whichever has the lower number.
    vfs = node((5, 0), (3, 1), (2, 2))
    swapped = [one.translate(str.maketrans("01", "10", "")) for one in (name[0] for name in expected)]
    assert prefer(vfs, ids(vfs), [], 3, policy) == [f"{pf}.{index}" for index, pf in enumerate(swapped)]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_largest_share_first_where_no_numa_node_suffices(policy: str) -> None:
    vfs = node((1, 0), (3, 1), (2, 2))
    assert prefer(vfs, ids(vfs), [], 5, policy) == ["1.0", "1.1", "1.2", "2.0", "2.1"]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_still_wanted_decides_whether_a_numa_node_suffices(policy: str) -> None:
    """Two of three are included, of nodes 0 and 1: both have the one that is left to find, and more than one is left on node 1."""
    vfs = node((2, 0), (3, 1), (9, 2))
    found = {"packed": "0.1", "balanced": "1.1"}[policy]
    assert prefer(vfs, ids(vfs), ["0.0", "1.0"], 3, policy) == ["0.0", "1.0", found]
    # None is included: nothing suffices for 4 but node 1.
    vfs = node((3, 0), (4, 1))
    assert prefer(vfs, ids(vfs), [], 4, policy) == ["1.0", "1.1", "1.2", "1.3"]


@pytest.mark.parametrize("policy", POLICIES)
def test_unknown_vfs_come_after_all_that_are_known_without_numa_node(policy: str) -> None:
    vfs = node((2, -1))
    assert prefer(vfs, ["a", "0.1", "b", "0.0"], [], 3, policy) == ["0.0", "0.1", "a"]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "vfs",
    [[vf(0, 0), vf(1, 0), vf(1, 1), vf(0, 1)], [vf(9, 0), vf(10, 0), vf(9, 1), vf(10, 1)]],
    ids=["first", "listed"],
)
def test_of_pfs_alike_the_one_whose_next_vf_is_listed_first(vfs: list[OfferedVf], policy: str) -> None:
    assert prefer(vfs, ids(vfs), [], 1, policy) == [vfs[0].address]


def before(
    vfs: t.Sequence[OfferedVf], available: t.Sequence[str], must_include: t.Sequence[str], size: int, policy: str
) -> list[str]:
    """What `prefer` says, by looking through everything for each VF."""
    chosen = list(dict.fromkeys(must_include))
    place = {vf.address: position for position, vf in enumerate(vfs)}
    known = {vf.address: vf for vf in vfs}
    free = sorted(set(available) - set(chosen), key=lambda one: (place.get(one, len(place)), one))
    used = Counter(vf.pf_address for vf in vfs if vf.healthy and vf.address not in free)

    def numa(one: str) -> int:
        return known[one].numa_node if one in known else -1

    def pf(one: str) -> str:
        return known[one].pf_address if one in known else f"of {one} alone"

    wanted = size - len(chosen)
    included = Counter(map(numa, chosen))
    groups = {key: [one for one in free if numa(one) == key] for key in dict.fromkeys(map(numa, free))}

    def rank(key: int) -> t.Any:
        room = len(groups[key])
        suffices = room >= wanted
        return key == -1, -included[key], not suffices, room if suffices and policy == "packed" else -room, key

    for key in sorted(groups, key=rank):
        left, room = list(groups[key]), Counter(map(pf, groups[key]))
        while left and len(chosen) < size:
            orders = {
                one: (-used[pf(one)], -room[pf(one)]) if policy == "packed" else (used[pf(one)], 0) for one in left
            }
            best = min(left, key=lambda one: (one not in known, *orders[one]))
            left.remove(best)
            chosen.append(best)
            used[pf(best)] += 1
    return chosen


@pytest.mark.parametrize("policy", POLICIES)
def test_as_many_as_kubelet_can_ask_for(policy: str) -> None:
    """In the event loop, in which lists wait meanwhile: no more work for each than for the one before."""
    vfs = node(*((250, number % 2) for number in range(64)))
    begin = time.process_time()
    chosen = prefer(vfs, ids(vfs), ids(vfs)[:10], 16000, policy)
    assert time.process_time() - begin < 2.0
    assert sorted(chosen) == sorted(ids(vfs))


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


@given(requests(), st.sampled_from(POLICIES), st.lists(st.sampled_from(["a", "0", "1", "b"]), unique=True))
def test_is_what_a_search_of_all_gives(
    request_: tuple[list[OfferedVf], list[str], list[str], int], policy: str, unknown: list[str]
) -> None:
    vfs, free, must, size = request_
    size += len(unknown)
    assert prefer(vfs, [*free, *unknown], must, size, policy) == before(vfs, [*free, *unknown], must, size, policy)


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
