# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the device plugin, its role and its unit know every metric, reason, kind of error and flag; and no other."""

from __future__ import annotations

import re
import types
import typing as t

import pytest
from qat_device_plugin.exposition import _Collector, exposition
from qat_device_plugin.model import Model
from qat_device_plugin.reasons import REASONS
from qat_device_plugin.settings import ENVIRONMENT_PREFIX, _parser
from qat_device_plugin.statistics import Statistics

from ansible_collections.accel.qat.tests.unit.docs.test_pages import table, text_of

PREFIX = "qat_device_plugin_"
SERVICE: t.Any = types.SimpleNamespace(model=Model(), registrars={}, statistics=Statistics(), last_look=0.0)
FLAGS = [action for action in _parser()._actions if action.dest not in ("help", "version")]
OF_NO_UNIT = {"sysfs_root", "dev_root", "proc_root", "cdi_dir", "log_format", "validate", "run_dir", "take_over"}
"""What a service of the host, whose log is the journal's, needs not, or gets by its command line."""


def metrics() -> dict[str, str]:
    """The type of each metric by its name."""
    lines = exposition(SERVICE).decode().splitlines()
    found = {words[2]: words[3] for words in map(str.split, lines) if words[:2] == ["#", "TYPE"]}
    return {name[len(PREFIX) :]: kind for name, kind in found.items() if name.startswith(PREFIX)}


def test_metrics() -> None:
    rows = table("docs/metrics.md", "name")
    assert {name: cells[0].partition(",")[0] for name, cells in rows.items()} == metrics()


def test_labels_of_metrics() -> None:
    rows = table("docs/metrics.md", "name")
    for family in _Collector(SERVICE).collect():
        name = family.name[len(PREFIX) :] + {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = list(getattr(family, "_labelnames", ()))
        labels += sorted(family.samples[0].labels, reverse=True) if family.type == "info" else []
        assert re.findall(r"`(\w+)`", rows[name][1]) == labels, name


def test_reasons() -> None:
    assert sorted(table("docs/metrics.md", "reason")) == sorted(REASONS)


def test_kinds_of_errors() -> None:
    meaning = table("docs/metrics.md", "name")["errors_total"][2]
    assert set(re.findall(r"`(\w+)`", meaning)) == set(SERVICE.statistics.errors)


def test_alerts_are_about_metrics_that_there_are() -> None:
    names = set(metrics())
    said = re.findall(PREFIX + r"(\w+)", text_of("docs/metrics.md").partition("## Alerts")[2])
    assert said
    assert set(said) <= names


def test_what_modules_read_are_metrics_that_there_are() -> None:
    source = text_of("plugins/module_utils/_node/device_plugins.py")
    said = set(re.findall(PREFIX + r"(\w+)", source))
    assert said
    assert said <= set(metrics())


@pytest.mark.parametrize("action", FLAGS, ids=lambda action: action.dest)
def test_flags(action: t.Any) -> None:
    (flag,) = action.option_strings
    rows = "\n".join(line for line in text_of("docs/device_plugin.md").splitlines() if line.startswith("| `--"))
    assert re.search(rf"`{flag}[ `]", rows), flag
    in_unit = f"{ENVIRONMENT_PREFIX}{action.dest.upper()}=" in text_of(
        "roles/device_plugin/templates/accel-qat-device-plugin.service.j2"
    )
    assert in_unit is (action.dest not in OF_NO_UNIT)
    variable = f"device_plugin_{action.dest}"
    for page in ("roles/device_plugin/README.md", "roles/device_plugin/meta/argument_specs.yml"):
        assert (re.search(rf"\b{variable}\b", text_of(page)) is not None) is in_unit, page


def test_flags_that_pages_name_are_those_of_the_program() -> None:
    flags = {flag for action in _parser()._actions for flag in action.option_strings}
    rows = [line for line in text_of("docs/device_plugin.md").splitlines() if line.startswith("| `--")]
    assert {flag for line in rows for flag in re.findall(r"`(--[a-z-]+)", line.split(" | ")[0])} <= flags
