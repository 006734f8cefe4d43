# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is a directory, and its controller."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode
from ansible_collections.accel.qat.tests.unit.plugins.action.making import Make
from ansible_collections.accel.qat.tests.unit.plugins.local import LocalController


@pytest.fixture
def make(tmp_path: Path) -> t.Iterator[Make]:
    """Makes a node and its controller, and ends what runs on the node."""
    made: list[KubeletNode] = []

    def make_one(start: bool = True, **settings: t.Any) -> tuple[KubeletNode, LocalController]:
        node = KubeletNode(tmp_path / "node", **settings)
        made.append(node)
        if start:
            node.start(next(iter(node.services)))
        return node, LocalController(node, tmp_path)

    yield make_one
    for node in made:
        node.end()
