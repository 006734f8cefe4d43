# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several files of tests of the engine need."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.unit.node.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> t.Iterator[Tree]:
    one = Tree(tmp_path)
    yield one
    one.kernel.close()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of the children, in the order in which they are made."""
    made: list[int] = []
    fork = os.fork

    def counted() -> int:
        pid = fork()
        if pid:
            made.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", counted)
    return made
