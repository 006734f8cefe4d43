# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_drain: its arguments are those of the module it calls, and it looks at what the role qat_node does."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.modules import node_drain
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLES = CHECKOUT / "roles"


def load(name: str) -> t.Any:
    return yaml.safe_load((ROLES / name).read_text())


SPECS = load("qat_drain/meta/argument_specs.yml")["argument_specs"]
OPTIONS = SPECS["main"]["options"]


def test_defaults_are_documented() -> None:
    defaults = load("qat_drain/defaults/main.yml")
    assert {name: option["default"] for name, option in OPTIONS.items()} == defaults
    assert SPECS["uncordon"]["options"].items() <= OPTIONS.items()


@pytest.mark.parametrize(("option", "its"), [("qat_drain_force", "force"), ("qat_drain_timeout", "wait_timeout")])
def test_options_are_those_of_the_module(option: str, its: str) -> None:
    module = yaml.safe_load(node_drain.DOCUMENTATION)["options"][its]
    assert [OPTIONS[option].get(key) for key in ("type", "default")] == [module.get(key) for key in ("type", "default")]


def test_what_is_looked_at_beforehand_is_what_the_role_node_does() -> None:
    """The rules as the role takes them first, and its kernel arguments; with a check mode that changes nothing."""
    *looked_at, _said = load("qat_node/tasks/disruption.yml")
    tasks = load("qat_node/tasks/main.yml")
    devices, arguments = "accel.qat.qat_devices", "accel.qat.kernel_args"
    brought = [task for task in tasks if {devices, arguments} & set(task)]
    forced, freed, reboot = looked_at
    assert freed[devices] == {**brought[0][devices], "assume_drained": "{{ __qat_node_disrupted }}"}
    assert forced[devices] == {
        "devices": "{{ qat_node_devices | accel.qat.forced_rules }}",
        "assume_iommu": brought[0][devices]["assume_iommu"],
    }
    assert reboot[arguments].items() <= brought[1][arguments].items()
    for task in looked_at:
        assert (task["check_mode"], task["changed_when"], task["failed_when"]) == (True, False, False)
