# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-fleet` measures whole runs: one in which a node failed, or was spared something, is no measurement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.bench.fleet import WAYS, Cost, Fleet, Untrue, fleet, table, tasks_of_each


@pytest.fixture(name="nodes")
def _nodes() -> Iterator[Fleet]:
    with fleet(2) as made:
        yield made


def qatctl_of(nodes: Fleet) -> list[int]:
    return [Path(node["node_directory"], "qatctl").stat().st_size for node in nodes.nodes.values()]


def test_a_run_is_measured_on_nodes_of_their_own(nodes: Fleet) -> None:
    cost = nodes.cost(WAYS["first"])
    # The last ones look for an exporter.
    assert (cost.nodes, cost.tasks) == (2, 14)
    # Each has its own qatctl, of which the first run sends the parts; seconds are of this machine.
    assert cost.sent > max(qatctl_of(nodes)) > 100_000
    assert cost.there > 0
    assert cost.controller > 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"qat_node_load_modules": ["a b"]}, 'node2.*"a b" is no name of a kernel module'),
        # Comes to its end, but not by the same way.
        ({"qat_node_kernel_arguments": []}, "not the same tasks"),
    ],
)
def test_a_node_that_is_not_like_the_others_ends_it(nodes: Fleet, variables: dict[str, object], said: str) -> None:
    nodes.nodes["node2"].update(variables)
    with pytest.raises(Untrue, match=f"(?s){said}"):
        nodes.cost(WAYS["first"])


RECAP = "{} : ok={}  changed={}  unreachable={}  failed={}  skipped={}  rescued={}  ignored={}\n"


@pytest.mark.parametrize(
    "second",
    [
        (12, 4, 1, 0, 0, 0, 0),
        (12, 4, 0, 1, 0, 0, 0),
        (12, 4, 0, 0, 0, 1, 0),
        (12, 4, 0, 0, 0, 0, 1),
        (11, 4, 0, 0, 0, 0, 0),
        (12, 3, 0, 0, 0, 0, 0),
        (12, 4, 0, 0, 1, 0, 0),
        None,
    ],
)
def test_what_ansible_says_at_the_end(second: tuple[int, ...] | None) -> None:
    nodes, well = {"node1", "node2"}, RECAP.format("node1", 12, 4, 0, 0, 0, 0, 0)
    assert tasks_of_each(well + RECAP.format("node2", 12, 4, 0, 0, 0, 0, 0), nodes) == 12
    with pytest.raises(Untrue):
        tasks_of_each(well + (RECAP.format("node2", *second) if second else ""), nodes)


def test_ratios_are_of_further_nodes() -> None:
    """The start of Ansible is of no node."""
    costs = [Cost(1, 12, 3.0, 5, 1000, 1, 1), Cost(11, 12, 13.0, 20, 1000, 1, 1), Cost(21, 12, 33.0, 90, 1500, 1, 1)]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(costs)[2:]]
    assert [row[2:4] for row in rows] == [["", ""], ["1.00 s", "1.00"], ["2.00 s", "2.00"]]
    assert [row[6] for row in rows] == ["1.00", "1.00", "1.50"]
