# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules look where the roles install things."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._host.installed import (
    EXPORTER_ADDRESS,
    PLUGIN_ADDRESS,
    PLUGIN_DIRECTORY,
    QATCTL,
    QATCTL_PACKAGE,
)
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

PLACES = {
    "qat_node": {"qat_node_qatctl_path": QATCTL},
    "qat_device_plugin": {
        "qat_device_plugin_directory": PLUGIN_DIRECTORY,
        "qat_device_plugin_metrics_address": PLUGIN_ADDRESS,
        "qat_device_plugin_exporter_address": EXPORTER_ADDRESS,
    },
    "qat_verify": {"qat_verify_plugin_address": PLUGIN_ADDRESS},
}


@pytest.mark.parametrize("role", PLACES)
def test_the_roles_install_there(role: str) -> None:
    defaults = yaml.safe_load((CHECKOUT / "roles" / role / "defaults/main.yml").read_text())
    assert {name: defaults[name] for name in PLACES[role]} == PLACES[role]


def test_teardown_knows_qatctl_by_what_the_action_packs() -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/qat_node/tasks/teardown.yml").read_text())
    entries = [one for task in tasks for one in task.get("accel.qat.files", {}).get("files", ())]
    assert [one["holds"] for one in entries if one["path"] == "{{ qat_node_qatctl_path }}"] == [f"{QATCTL_PACKAGE}/"]
