# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules document is what they take and return."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._host.file_set import STATES
from ansible_collections.accel.qat.plugins.module_utils._module import argument_of
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import SCHEMA
from ansible_collections.accel.qat.plugins.modules import (
    files,
    node_prerequisites,
    pci_driver,
    qat_devices,
    qat_info,
    qat_restore,
    sriov_vfs,
    support_bundle,
)
from ansible_collections.accel.qat.tests.fakes import pf, vf
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4
from ansible_collections.accel.qat.tests.unit.plugins.modules.run import Player

# Ansible's own, and what only some states of a node make a module say.
COMMON = {"changed", "diff", "invocation"}


def documented(option: dict[str, t.Any]) -> dict[str, t.Any]:
    """What a documented option says to Ansible, as an argument spec says it."""
    assert option["description"]
    names = ("type", "elements", "choices", "default", "required")
    kept: dict[str, t.Any] = {name: option[name] for name in names if name in option}
    if "suboptions" in option:
        kept["options"] = {name: documented(one) for name, one in option["suboptions"].items()}
    return kept


def test_options_of_qat_devices_are_the_schema() -> None:
    options = yaml.safe_load(qat_devices.DOCUMENTATION)["options"]
    of_schema = {**argument_of(SCHEMA["properties"]["devices"]), "required": True}
    assert documented(options["devices"]) == of_schema, "the documentation of qat_devices should say what rules.py says"


def test_states_of_files_are_the_engines() -> None:
    entry = yaml.safe_load(files.DOCUMENTATION)["options"]["files"]["suboptions"]
    assert entry["state"]["choices"] == list(STATES)


@pytest.fixture
def player(play: t.Any) -> Player:
    made: Player = play(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=1, vfs=vf("vfio-pci", held_by="qemu-kvm"))))
    return made


CALLS: tuple[tuple[t.Any, dict[str, t.Any]], ...] = (
    (qat_info, {}),
    (node_prerequisites, {"root": "/nowhere"}),
    (support_bundle, {"root": "/nowhere", "plugin_address": "", "exporter_address": ""}),
    (qat_devices, {"devices": [{"services": ["dc"], "when_in_use": "force"}]}),
    (qat_restore, {}),
    (sriov_vfs, {"devices": [{"address": GEN4, "count": 0}], "when_in_use": "skip"}),
    (pci_driver, {"devices": [{"address": GEN4}], "when_in_use": "skip"}),
)


@pytest.mark.parametrize(("module", "arguments"), CALLS, ids=[call[0].__name__.rpartition(".")[2] for call in CALLS])
def test_results_are_documented(player: Player, module: t.Any, arguments: dict[str, t.Any]) -> None:
    result = player.run(module, check=True, **arguments)
    described = yaml.safe_load(module.RETURN)
    expected = {name for name in described if described[name]["returned"] != "failure"}
    assert set(result) - COMMON == expected


def test_facts_are_documented(player: Player) -> None:
    node = player.run(qat_info)["accel_qat"]
    described = yaml.safe_load(qat_info.RETURN)["accel_qat"]["contains"]
    assert set(node) == set(described)
    device = described["devices"]["contains"]
    assert set(node["devices"][0]) == set(device)
    vf_ = device["vfs"]["contains"]
    assert set(node["devices"][0]["vfs"][0]) == set(vf_)
    assert set(node["devices"][0]["vfs"][0]["held_by"][0]) == set(vf_["held_by"]["sample"][0])


def test_steps_and_failures_are_documented(player: Player) -> None:
    returned = yaml.safe_load(qat_devices.RETURN)
    forced: dict[str, t.Any] = {
        "devices": [{"services": ["dc"], "when_in_use": "force"}],
        "time_limit": 3,
        "record": player.record,
    }
    steps = player.run(qat_devices, check=True, **forced)["steps"]
    assert all(set(step) == set(returned["steps"]["contains"]) for step in steps)
    failure = player.run(qat_devices, **forced)["failure"]
    assert set(failure) == set(returned["failure"]["contains"])
