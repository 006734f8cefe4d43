# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role qat_drain works out of rules and of who holds VFs."""

from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import forced_rules, pods_with_vfs
from ansible_collections.accel.qat.tests.unit.cluster.site import VF0, VF1


def test_forced_rules() -> None:
    rules: list[dict[str, t.Any]] = [
        {"services": ["dc"]},
        {"when_in_use": "skip"},
        {"when_in_use": "fail"},
        {"when_in_use": "force"},
    ]
    forced = ["force", "skip", "force", "force"]
    assert [rule["when_in_use"] for rule in forced_rules(rules)] == forced
    assert rules[0] == {"services": ["dc"]}


def test_pods_with_vfs() -> None:
    def holder(pod: str, pid: int | None = None) -> dict[str, t.Any]:
        return {"pid": pid, "command": "", "container": "", "pod": pod, "note": ""}

    vfs = [
        {"address": VF0, "held_by": [holder("default/b"), holder("", 7), holder("default/a")]},
        {"address": VF1, "held_by": [holder("with uid 11-22"), holder("default/c"), holder("default/b")]},
    ]
    node = {"devices": [{"vfs": vfs}]}
    assert pods_with_vfs(node) == ["default/a", "default/b", "default/c"]
    assert pods_with_vfs(node, [VF0]) == ["default/a", "default/b"]
    assert pods_with_vfs(node, []) == []
    assert pods_with_vfs({}) == []
