# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report of the playbook site says of a node, out of what the tasks have left."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.plugin_utils._site_report import CHANGES, lines, row_of
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

DEVICE = {"address": "0000:6b:00.0", "rule": "devices[0]", "resource": "qat.intel.com/cy", "advertised": ["a", "b"]}
OTHER = {**DEVICE, "address": "0000:70:00.0", "advertised": ["c"]}
IDLE = {**DEVICE, "address": "0000:75:00.0", "rule": None, "advertised": []}
CONFIGURED = {"changed": True, "accel_qat": {"devices": [DEVICE, OTHER, IDLE]}}


def test_a_node_that_was_configured() -> None:
    left = {"qat_node_configured": CONFIGURED, "qat_node_reboot_required": "False", "qat_verify_result": {"ok": True}}
    row = row_of("node1", {"__qat_begun": {}, **left}, is_alive=True)
    assert row == {
        "node": "node1",
        "run": "ok",
        "pfs": ["0000:6b:00.0", "0000:70:00.0"],
        "vfs": {"qat.intel.com/cy": 3},
        "changed": True,
        "reboot_left": False,
        "verified": True,
    }
    assert lines([row])[1].split() == ["node1", "ok", "2", "qat.intel.com/cy", "3", "yes", "no", "yes"]


@pytest.mark.parametrize(
    ("variables", "alive", "state"),
    [
        ({}, False, "not begun"),
        ({}, True, "not begun"),
        ({"__qat_begun": {}}, False, "lost"),
        ({"__qat_begun": {}, "__qat_held_back": "since"}, True, "held back"),
        ({"__qat_begun": {}}, True, "ok"),
    ],
)
def test_how_far_a_node_came(variables: dict[str, t.Any], alive: bool, state: str) -> None:
    row = row_of("node1", variables, alive)
    assert row["run"] == state
    assert {row[name] for name in ("reboot_left", "verified")} == {None}
    assert row["pfs"] is None


@pytest.mark.parametrize("name", [*CHANGES, "__qat_kubelet_changed"])
def test_each_change_counts_and_is_registered(name: str) -> None:
    given = True if name == "__qat_kubelet_changed" else {"changed": True}
    assert row_of("node1", {name: given}, is_alive=True)["changed"] is True
    texts = [path.read_text() for place in ("roles", "playbooks") for path in (CHECKOUT / place).rglob("*.yml")]
    assert any(re.search(rf"^ *(register: {name}|{name}: .*is changed.*)$", text, re.MULTILINE) for text in texts)


def test_a_task_that_was_skipped_or_failed_changes_nothing() -> None:
    left = {
        "__qat_node_kernel_args": {"skipped": True, "changed": False},
        "qat_node_configured": {"msg": "the node has no QAT device"},
    }
    row = row_of("node1", left, is_alive=False)
    assert (row["changed"], row["pfs"]) == (False, None)
