# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter, as the role qat_device_plugin has it run, with the device plugin and without."""

from __future__ import annotations

import re
import shlex
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from qat_device_plugin.exporter import command

from ansible_collections.accel.qat.tests.unit.roles.complaints import complaints_of_systemd
from ansible_collections.accel.qat.tests.unit.roles.test_device_plugin import PYTHON, Plugin, systemctl
from ansible_collections.accel.qat.tools.artifacts.unit_templates import unit_templates
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_device_plugin"
UNIT = "accel-qat-exporter.service"


def load(name: str) -> t.Any:
    return yaml.safe_load((ROLE / name).read_text())


DEFAULTS, VARIABLES = load("defaults/main.yml"), load("vars/main.yml")
STAMP = VARIABLES["__qat_device_plugin_stamp"]
PREFIX = "qat_device_plugin_exporter"


def rendered(**variables: t.Any) -> str:
    """The text of the unit."""
    values = {
        **DEFAULTS,
        "__qat_device_plugin_stamp": STAMP,
        "__qat_device_plugin_exporter_run": VARIABLES["__qat_device_plugin_exporter_run"],
        "__qat_device_plugin_exporter_hidden": VARIABLES["__qat_device_plugin_exporter_hidden"],
        "__qat_device_plugin_current": "/opt/accel-qat/device-plugin/current",
        "__qat_device_plugin_chosen": "0.1.0-py3.11-e7e7937c13",
        "__qat_device_plugin_kubelet_root": "",
        **variables,
    }
    return unit_templates(ROLE).get_template(f"{UNIT}.j2").render(**values)


def settings(text: str) -> dict[str, str]:
    """The settings of the unit, of which the last one counts."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def flags(text: str, name: str = "ExecStart") -> list[str]:
    """What the program is given."""
    return shlex.split(settings(text)[name])[3:]


def test_the_program_understands_what_the_unit_gives_it() -> None:
    found = command._parser().parse_args(flags(rendered()))
    assert vars(found) == vars(command._parser().parse_args([]))
    given = {
        f"{PREFIX}_address": "[::]:9000",
        f"{PREFIX}_telemetry": "read",
        f"{PREFIX}_per_vf": True,
        "__qat_device_plugin_kubelet_root": "/data/a kubelet",
    }
    found = command._parser().parse_args(flags(rendered(**given)))
    assert (found.metrics_address, found.telemetry, found.per_vf) == (("::", 9000), "read", True)
    assert found.kubelet_root == ["/data/a kubelet"]
    assert settings(rendered(**given))["ProtectHome"] == "yes"
    at_home = rendered(__qat_device_plugin_kubelet_root="/home/kubelet")
    assert settings(at_home)["ProtectHome"] == "read-only"  # to be seen there
    assert command._parser().parse_args(flags(rendered(**given), "ExecStopPost")).switch_off


def test_choices_are_those_of_the_program() -> None:
    options = load("meta/argument_specs.yml")["argument_specs"]["exporter"]["options"]
    (action,) = (one for one in command._parser()._actions if one.dest == "telemetry")
    assert options[f"{PREFIX}_telemetry"]["choices"] == list(action.choices or ())


def test_the_record_is_where_the_program_looks_and_outlives_it() -> None:
    found = settings(rendered())
    assert f"/run/{found['RuntimeDirectory']}" == str(command._parser().parse_args([]).run_dir)
    assert (found["RuntimeDirectoryMode"], found["RuntimeDirectoryPreserve"]) == ("0700", "yes")


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "a b 100% $x" / "python"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    file = tmp_path / UNIT
    file.write_text(rendered(qat_device_plugin_python=str(program)))
    assert complaints_of_systemd(file) == []


@pytest.mark.parametrize("address", ["127.0.0.1:9483", ":9483"])
def test_it_may_do_little(tmp_path: Path, address: str) -> None:
    file = tmp_path / UNIT
    file.write_text(rendered(**{f"{PREFIX}_address": address}))
    found = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", found.stdout)
    assert exposure is not None, found.stderr
    assert float(exposure[1]) <= 2.5


def test_nothing_is_written_but_debugfs_and_the_record() -> None:
    found = settings(rendered())
    assert (found["ProtectSystem"], found["CapabilityBoundingSet"]) == ("strict", "")
    assert found["ReadWritePaths"] == "-/sys/kernel/debug"
    assert found["ReadOnlyPaths"].split()[0] == "/sys"


def test_of_debugfs_what_changes_the_kernel_as_a_whole_is_not_there() -> None:
    hidden = re.findall("^InaccessiblePaths=(.*)$", rendered(), re.MULTILINE)
    assert {"-/sys/kernel/debug/tracing", "-/sys/kernel/debug/kprobes", "-/sys/kernel/debug/apei"} <= set(hidden)
    # Kernels differ in what they have.
    assert all(one.startswith("-/sys/kernel/debug/") for one in hidden)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1:9483", "localhost"), ("localhost:1", "localhost"), ("[::1]:1", "localhost"), (":9483", "any")],
)
def test_only_who_may_reads_the_metrics(address: str, allowed: str) -> None:
    found = settings(rendered(**{f"{PREFIX}_address": address}))
    assert (found["IPAddressDeny"], found["IPAddressAllow"]) == ("any", allowed)


def test_another_release_is_another_unit() -> None:
    stamps = [settings(rendered(__qat_device_plugin_chosen=one))["Environment"] for one in ("0.1.0", "0.1.0", "0.1.1")]
    assert stamps[0] == stamps[1] != stamps[2]
    assert all(re.fullmatch(f"{STAMP}=[0-9a-f]{{40}}", one) for one in stamps)


def names(tasks: t.Any) -> list[str]:
    """What a file of tasks includes, in order."""
    return [value for task in tasks for name, value in task.items() if name.endswith(("import_tasks", "include_tasks"))]


def test_a_host_without_kubernetes_has_the_exporter_alone() -> None:
    alone = names(load("tasks/exporter.yml"))
    assert alone == ["release.yml", "exporter_service.yml", "tidy.yml"]
    beside = names(load("tasks/beside.yml"))
    assert beside.index("exporter_service.yml") < beside.index("tidy.yml")
    for way in ("systemd", "daemonset", "none"):
        with_plugin = names(load(f"tasks/{way}.yml"))
        assert with_plugin.index("release.yml") < with_plugin.index("beside.yml")


def test_teardown_ends_it_first() -> None:
    """Its last process switches telemetry off, and is of a release that is still there."""
    tasks = load("tasks/teardown.yml")
    includes = [task.get("ansible.builtin.include_tasks") for task in tasks]
    removes = [index for index, task in enumerate(tasks) if "accel.qat.files" in task]
    assert includes.index("no_exporter.yml") < min(removes)


def test_in_check_mode_the_role_says_what_it_would_do(tmp_path: Path) -> None:
    release = tmp_path / f"0.1.0-py{PYTHON}-e7e7937c13"
    release.mkdir()
    (release / ".complete").touch()
    systemctl(tmp_path)
    given = {"entry_point": "exporter", "qat_device_plugin_release": release.name}
    checked = Plugin(tmp_path).role("--check", **given)
    assert checked.code == 0, checked.output
    changed = [task.name.rpartition(" : ")[2] for task in checked.tasks if task.changed]
    assert changed == [
        "Make current the release that has the exporter",
        "Write the unit of the exporter",
        "Start the exporter",
    ]
    refused = Plugin(tmp_path).role("--check", **given, qat_device_plugin_exporter_address="a\nb")
    assert "a variable of the role qat_device_plugin" in refused.tasks[-1].message
    assert not any(task.changed for task in refused.tasks)
