# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be done gives one sentence, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.accel.qat.tests.machine.node import CONFIG, Node

PF = "0000:6b:00.0"

WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "unknown service": (
        [{"services": ["sym", "zip"]}],
        f"{CONFIG}: devices[0].services[1]: 'zip' is not known; use one of sym, asym, dc, dcc, decomp",
    ),
    "contradiction in a rule": (
        [{"state": "absent", "vfs": 16}],
        f"{CONFIG}: devices[0].vfs: 16 VFs contradict state absent; remove vfs, or set state to present",
    ),
    "contradictory rules": (
        [{"services": ["dc"]}, {"select": {"address": PF}, "services": ["sym"]}],
        (
            f"{CONFIG}: devices[1]: the rule is never used: devices[0] takes every PF that it selects; put the narrower rule first, "
            "or remove one"
        ),
    ),
    "no QAT PF": (
        [{"select": {"address": "0000:00:00.0"}}],
        "devices[0].select.address: 0000:00:00.0 is not a QAT device of this node; the node's QAT devices are: 0000:6b:00.0, 0000:70:00.0",
    ),
    "count between": (
        [{"vfs": 8}],
        (
            "devices[0].vfs: 0000:6b:00.0 cannot have 8 VFs, the kernel's driver creates all 16 or none; leave the count out, and use "
            "advertise to offer Kubernetes fewer VFs"
        ),
    ),
    "too many services": (
        [{"services": ["sym", "asym", "dc"]}],
        "devices[0].services: 0000:6b:00.0: a 4xxx device offers at most 2 services at once; choose other services for this PF",
    ),
    "unknown key": (
        [{"numvfs": 16}],
        (
            f"{CONFIG}: devices[0].numvfs: unknown key; known here are select, state, services, driver, vfs, advertise, attach, "
            "provision, noiommu, when_in_use"
        ),
    ),
}


@pytest.fixture(scope="module")
def untouched(machine: Any) -> tuple[Node, str]:
    """A machine for all of these, since none may change it."""
    node = Node(machine)
    return node, node.state()


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence_and_no_change(untouched: tuple[Node, str], name: str) -> None:
    node, before = untouched
    rules, sentence = WRONG[name]
    answer = node.apply(*rules)
    assert (answer.code, answer.sentence) == (2, sentence)
    assert node.state() == before


def test_malformed_json(untouched: tuple[Node, str]) -> None:
    node, before = untouched
    node.machine.put(b'{"devices": [{]}', CONFIG)
    answer = node.ask(f"apply --config {CONFIG}")
    assert answer.code == 2
    assert answer.sentence.startswith(f"{CONFIG}: not valid JSON: ")
    assert "line 1 column 15" in answer.sentence
    assert node.state() == before


def test_missing_file(untouched: tuple[Node, str]) -> None:
    node, before = untouched
    answer = node.ask("apply --config /nowhere/node.json")
    assert (answer.code, answer.sentence) == (
        2,
        "/nowhere/node.json: there is no such file; run the role accel.qat.qat_node, or name another file with --config",
    )
    assert node.state() == before


def test_no_permission(untouched: tuple[Node, str]) -> None:
    node, before = untouched
    node.machine.put(b'{"devices": [{}]}', "/tmp/node.json", 0o644)
    answer = node.ask("apply --config /tmp/node.json", user="nobody")
    assert answer.code == 1
    assert "the lock on this node's devices cannot be taken: Permission denied" in answer.sentence
    assert "run as root" in answer.sentence
    assert node.state() == before
