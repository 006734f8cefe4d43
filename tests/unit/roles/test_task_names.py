# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a task is read alone, in a log: it says by itself what is done to what."""

from __future__ import annotations

import re
import typing as t

import yaml

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

NEEDS_ANOTHER = re.compile(r"\b(it|them|that|one|ones|not|this|these|so)$|^(Ship|Fill|Do)\b|^\w+ (it|them)\b")
FILES = [path for place in ("roles", "playbooks", "molecule") for path in sorted((CHECKOUT / place).rglob("*.yml"))]


def names(value: t.Any) -> t.Iterator[str]:
    """Of plays, blocks, tasks and handlers, however deep they are."""
    if isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                yield entry["name"]
            yield from names(list(entry.values()) if isinstance(entry, dict) else entry)


def test_a_task_is_understood_by_its_name_alone() -> None:
    named = {str(path.relative_to(CHECKOUT)): list(names(yaml.safe_load(path.read_text()))) for path in FILES}
    assert sum(map(len, named.values())) > 50
    unclear = [f"{path}: {name}" for path, each in named.items() for name in each if NEEDS_ANOTHER.search(name)]
    assert unclear == []
