# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the device plugin, its role and its unit know every metric, reason, kind of error and flag; and no other."""

from __future__ import annotations

import dataclasses
import re
import typing as t

import pytest
import yaml
from qat_device_plugin.attribution import Attribution
from qat_device_plugin.exposition import _Collector, exposition
from qat_device_plugin.model import Model
from qat_device_plugin.reasons import REASONS
from qat_device_plugin.settings import ENVIRONMENT_PREFIX, Settings, _parser
from qat_device_plugin.statistics import Statistics
from qat_device_plugin.status import Status
from qat_device_plugin.vm_attach import command, decide
from qat_device_plugin.vm_attach import metrics as of_agent
from qat_device_plugin.vm_attach.agent import Counters

from ansible_collections.accel.qat.tests.unit.docs.test_pages import table, text_of
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

PREFIX = "qat_device_plugin_"
STATUS, STATISTICS = Status(Model(), 0.0, {}, {}, attribution=Attribution()), Statistics()
FLAGS = [action for action in _parser()._actions if action.dest not in ("help", "version")]
OF_NO_UNIT = {
    *("sysfs_root", "dev_root", "proc_root", "cdi_dir", "nfd_dir", "log_format", "validate", "run_dir", "take_over"),
    *("deployment", "instance"),
}
"""What a service of the host, whose log is the journal's, needs not, or gets by its command line."""

OF_NO_POD = {"registration"}
"""What a DaemonSet leaves as it is: a pod registers by kubelet.sock alone."""

SET_BY_THE_FILTER = {"config", "kubelet_dir", "metrics_address"}
"""What the role sets in the DaemonSet by other means than `__qat_device_plugin_of_the_pod`, or leaves: metrics are at the pod's address."""

ROLE_PAGES = [
    f"roles/qat_device_plugin/{name}" for name in ("README.md", "meta/argument_specs.yml", "defaults/main.yml")
]


def metrics() -> dict[str, str]:
    """The type of each metric by its name."""
    lines = exposition(STATUS, STATISTICS).decode().splitlines()
    found = {words[2]: words[3] for words in map(str.split, lines) if words[:2] == ["#", "TYPE"]}
    return {name[len(PREFIX) :]: kind for name, kind in found.items() if name.startswith(PREFIX)}


def own_lines(statistics: Statistics) -> list[str]:
    """What the plugin says of itself and not of the process; the time since the last scan changes without an event."""
    lines = exposition(STATUS, statistics).decode().splitlines()
    return [line for line in lines if line.startswith(PREFIX) and "scan_age" not in line]


def sources() -> dict[str, str]:
    """The text of each file of the plugin."""
    return {path.name: path.read_text() for path in (CHECKOUT / "device_plugin/src/qat_device_plugin").glob("*.py")}


def test_metrics() -> None:
    rows = table("docs/metrics.md", "name")
    types = {name: cells[0].partition(",")[0] for name, cells in rows.items()}
    assert types == metrics(), "docs/metrics.md needs a row for each metric, with its type"


def test_labels_of_metrics() -> None:
    rows = table("docs/metrics.md", "name")
    for family in _Collector(STATUS, STATISTICS).collect():
        name = family.name[len(PREFIX) :] + {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = list(getattr(family, "_labelnames", ()))
        labels += sorted(family.samples[0].labels, reverse=True) if family.type == "info" else []
        assert re.findall(r"`(\w+)`", rows[name][1]) == labels, name


def test_reasons() -> None:
    assert sorted(table("docs/metrics.md", "reason")) == sorted(REASONS), "docs/metrics.md needs a row for each reason"


def test_reasons_are_made_in_one_file_and_all_of_them() -> None:
    made = {name: re.findall(r'\bReason\("(\w+)"', text) for name, text in sources().items()}
    assert sorted(set(made.pop("reasons.py"))) == sorted(REASONS), "reasons.py makes others than REASONS lists"
    assert [name for name, text in sources().items() if name != "reasons.py" and re.search(r"\bReason\(", text)] == []


def test_kinds_of_errors_that_are_counted_are_there_from_the_start() -> None:
    counted = set(re.findall(r'\.errors\["(\w+)"\]', "".join(sources().values())))
    assert counted == set(STATISTICS.errors)


@pytest.mark.parametrize("field", [one.name for one in dataclasses.fields(Statistics)])
def test_everything_that_is_counted_is_a_metric(field: str) -> None:
    statistics = Statistics()
    statistics.add_resource("qat.intel.com/cy")
    before = own_lines(statistics)
    counted: t.Any = getattr(statistics, field)
    for key, value in counted.items():
        if isinstance(value, int):
            counted[key] += 1
        else:
            value.add(0.003)
    assert own_lines(statistics) != before, f"exposition.py does not show {field}"


def test_kinds_of_errors() -> None:
    meaning = table("docs/metrics.md", "name")["errors_total"][2]
    assert set(re.findall(r"`(\w+)`", meaning)) == set(STATISTICS.errors)


def test_what_modules_read_are_metrics_that_there_are() -> None:
    source = text_of("plugins/module_utils/_kubelet/audit.py")
    said = set(re.findall(PREFIX + r"(\w+)", source))
    assert said
    assert said <= set(metrics())


@pytest.mark.parametrize("action", FLAGS, ids=lambda action: action.dest)
def test_flags(action: t.Any) -> None:
    (flag,) = action.option_strings
    rows = "\n".join(line for line in text_of("docs/device_plugin.md").splitlines() if line.startswith("| `--"))
    assert re.search(rf"`{flag}[ `]", rows), f"docs/device_plugin.md needs a row for {flag}"
    in_unit = f"{ENVIRONMENT_PREFIX}{action.dest.upper()}=" in text_of(
        "roles/qat_device_plugin/templates/accel-qat-device-plugin.service.j2"
    )
    assert in_unit is (action.dest not in OF_NO_UNIT), (
        f"set {ENVIRONMENT_PREFIX}{action.dest.upper()} in the unit, or name it in OF_NO_UNIT here"
    )
    variable = f"qat_device_plugin_{action.dest}"
    for page in ROLE_PAGES:
        said = re.search(rf"\b{variable}\b", text_of(page)) is not None
        assert said is in_unit, f"{page} should have {variable}, as the unit has: {in_unit}"


@pytest.mark.parametrize("action", [one for one in FLAGS if one.dest not in OF_NO_UNIT], ids=lambda action: action.dest)
def test_what_a_service_can_be_set_to_a_daemonset_can(action: t.Any) -> None:
    variable = f"{ENVIRONMENT_PREFIX}{action.dest.upper()}"
    chart = text_of("deploy/kubernetes/chart/templates/daemonset.yaml")
    in_chart = f"- name: {variable}\n" in chart
    assert in_chart is (action.dest not in OF_NO_POD), (
        f"the chart should set {variable}, by a value; or name the flag in OF_NO_POD"
    )
    of_the_pod = yaml.safe_load(text_of("roles/qat_device_plugin/vars/main.yml"))["__qat_device_plugin_of_the_pod"]
    by_the_role = action.dest.upper() in of_the_pod
    assert by_the_role is (action.dest not in OF_NO_POD | SET_BY_THE_FILTER), "set it in __qat_device_plugin_of_the_pod"


def test_flags_that_pages_name_are_those_of_the_program() -> None:
    flags = {flag for action in _parser()._actions for flag in action.option_strings}
    rows = [line for line in text_of("docs/device_plugin.md").splitlines() if line.startswith("| `--")]
    assert {flag for line in rows for flag in re.findall(r"`(--[a-z-]+)", line.split(" | ")[0])} <= flags


def test_settings_of_the_unit_are_flags_of_the_program() -> None:
    unit = text_of("roles/qat_device_plugin/templates/accel-qat-device-plugin.service.j2")
    said = set(re.findall(ENVIRONMENT_PREFIX + r"(\w+)=", unit))
    assert said
    assert said <= {action.dest.upper() for action in FLAGS}


def test_settings_have_a_field_for_each_flag() -> None:
    assert sorted(action.dest for action in FLAGS) == sorted(one.name for one in dataclasses.fields(Settings))


@pytest.mark.parametrize("action", [one for one in FLAGS if one.choices], ids=lambda action: action.dest)
def test_choices_of_flags(action: t.Any) -> None:
    flag = action.option_strings[0]
    rows = "\n".join(line for line in text_of("docs/device_plugin.md").splitlines() if line.startswith(f"| `{flag}"))
    rows += "\n".join(line for line in text_of("docs/device_plugin.md").splitlines() if f", `{flag}`" in line)
    assert [choice for choice in action.choices if not re.search(rf"\b{choice}`", rows)] == []


@pytest.mark.parametrize("action", [one for one in FLAGS if one.choices], ids=lambda action: action.dest)
def test_choices_of_the_role_are_those_of_the_program(action: t.Any) -> None:
    specs = yaml.safe_load(text_of("roles/qat_device_plugin/meta/argument_specs.yml"))["argument_specs"]
    option = specs["main"]["options"].get(f"qat_device_plugin_{action.dest}")
    assert (option is None) is (action.dest in OF_NO_UNIT)
    assert option is None or option["choices"] == list(action.choices)


def test_each_file_is_on_the_page_of_the_plugin() -> None:
    page = text_of("device_plugin/README.md").partition("## Where things are")[2].partition("\n## ")[0]
    own = [name for name in sources() if not name.startswith("__")]
    assert [name for name in own if f"`{name}`" not in page] == [], "device_plugin/README.md says what each file is for"


# The agent for virtual machines.


def test_metrics_of_the_agent() -> None:
    text = of_agent.exposition(Counters())
    types = dict(re.findall(r"^# TYPE qat_vm_attach_(\w+) (\w+)$", text, re.MULTILINE))
    labels = {name: sorted(set(re.findall(rf"^qat_vm_attach_{name}\{{(\w+)=", text, re.MULTILINE))) for name in types}
    rows = table("docs/metrics.md", "metric")
    assert {name: cells[0] for name, cells in rows.items()} == types
    assert {name: re.findall(r"`(\w+)`", cells[1]) for name, cells in rows.items()} == labels


def test_reasons_of_the_agent() -> None:
    """Each is in the page's table, and each is given by the code."""
    page = text_of("docs/virtual_machines.md")
    assert {row.split(" | ")[1].strip(" `|") for row in page.splitlines() if re.match(r"\|.* \| `\w+` \|", row)} >= set(
        decide.REASONS
    )
    directory = CHECKOUT / "device_plugin/src/qat_device_plugin/vm_attach"
    made = {reason for path in directory.glob("*.py") for reason in re.findall(r'Problem\("(\w+)"', path.read_text())}
    assert made == set(decide.REASONS)


def test_the_unit_of_the_agent_knows_its_flags() -> None:
    unit = text_of("roles/qat_device_plugin/templates/accel-qat-vm-attach.service.j2")
    known = {flag for action in command._parser()._actions for flag in action.option_strings}
    used = set(re.findall(r" (--[a-z-]+)", unit))
    assert used == {"--metrics-file"}
    assert used <= known
