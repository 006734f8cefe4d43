# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_node: its arguments are the schema's, and what it writes onto a node is what the node's tools understand."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours import FLAVOURS
from ansible_collections.accel.qat.plugins.module_utils._module import argument_of
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import SCHEMA
from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import FAMILIES, INTEL
from ansible_collections.accel.qat.plugins.modules import kernel_args
from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf
from ansible_collections.accel.qat.tests.unit.plugins.local import OnThisMachine
from ansible_collections.accel.qat.tools.artifacts.unit_templates import unit_templates
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_node"


def load(name: str) -> t.Any:
    return yaml.safe_load((ROLE / name).read_text())


ENTRY_POINTS = load("meta/argument_specs.yml")["argument_specs"]
OPTIONS = ENTRY_POINTS["main"]["options"]


# Arguments.


def argument(option: dict[str, t.Any]) -> dict[str, t.Any]:
    """An option as an argument spec says it."""
    assert option["description"]
    kept = {name: value for name, value in option.items() if name not in ("description", "options")}
    if "options" in option:
        kept["options"] = {name: argument(one) for name, one in option["options"].items()}
    return kept


def test_devices_are_the_schema() -> None:
    """At every entry point that takes them."""
    of_schema = {**argument_of(SCHEMA["properties"]["devices"]), "required": True}
    said = {
        name: entry["options"].get("qat_node_devices") for name, entry in ENTRY_POINTS.items() if "options" in entry
    }
    other = [name for name, option in said.items() if option and argument(option) != of_schema]
    assert other == [], "meta/argument_specs.yml should say what rules.py says"
    assert said["main"]
    assert said["verify"]


def test_boot_loaders_are_those_of_the_module() -> None:
    module = yaml.safe_load(kernel_args.DOCUMENTATION)["options"]["bootloader"]
    assert [OPTIONS["qat_node_bootloader"][name] for name in ("choices", "default")] == [
        module[name] for name in ("choices", "default")
    ]


def test_defaults_are_documented() -> None:
    """At every entry point that takes the variable."""
    defaults = load("defaults/main.yml")
    options = [pair for entry in ENTRY_POINTS.values() for pair in entry["options"].items()]
    documented = [(name, option["default"]) for name, option in options if "default" in option]
    assert [(name, defaults[name]) for name, _default in documented] == documented
    assert set(defaults) == {name for name, _default in documented}


# Kernel arguments.


def test_teardown_reads_what_is_noted_of_the_kernel_arguments() -> None:
    brought, torn_down = ({task["name"]: task for task in load(f"tasks/{name}.yml")} for name in ("main", "teardown"))
    noted = [
        brought["Set the kernel arguments"]["accel.qat.kernel_args"][f"{what}_file"] for what in ("added", "replaced")
    ]
    assert noted == ["{{ __qat_node_added_arguments }}", "{{ __qat_node_replaced_arguments }}"]
    assert torn_down["Read which kernel arguments were added and replaced"]["loop"] == noted
    removed = torn_down["Remove the notes of the kernel arguments"]["accel.qat.files"]["files"]
    assert [entry["path"] for entry in removed if entry["state"] == "absent"] == noted


# The command.


def test_a_program_of_others_is_refused_before_the_first_change() -> None:
    fits, seen, installed, *_others = load("tasks/main.yml")
    assert "ansible.builtin.assert" in fits
    assert seen["check_mode"] is True
    assert installed["accel.qat.qatctl"]["path"] == "{{ qat_node_qatctl_path }}"


# Templates.


def render(name: str, **variables: t.Any) -> str:
    """A template as Ansible renders it."""
    renderer = unit_templates(ROLE)
    return renderer.get_template(name).render(**{**load("defaults/main.yml"), **variables})


def settings(text: str) -> list[str]:
    """The lines that are no comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("options", "lines"), [({}, []), ({"vfio-pci": "disable_denylist=1"}, ["options vfio-pci disable_denylist=1"])]
)
def test_module_options(options: dict[str, str], lines: list[str]) -> None:
    text = render("modprobe.conf.j2", qat_node_configured={"module_options": options})
    assert settings(text) == lines
    assert text.startswith("# Managed by accel.qat.qat_node\n")


def test_modules_to_load() -> None:
    assert settings(render("modules-load.conf.j2")) == ["vfio-pci"]


def test_the_unit_comes_before_every_kubelet() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(render("qat-node.service.j2"))
    assert unit["Service"]["ExecStart"] == "/usr/local/sbin/qatctl apply --settle"
    assert unit["Service"]["Type"] == "oneshot"
    assert {unit for flavour in FLAVOURS for unit in flavour.units} <= set(unit["Unit"]["Before"].split())
    # Longer than two writes that hang, so that qatctl itself says which one does.
    assert int(unit["Service"]["TimeoutStartSec"]) > 2 * OPTIONS["qat_node_time_limit"]["default"]


def test_systemd_reads_the_path_of_qatctl_as_it_was_given(tmp_path: Path) -> None:
    """systemd-analyze reports what it ignores of a unit, and a program that is not there."""
    program = tmp_path / "a b 100%n {x};#" / "qatctl"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    file = tmp_path / "qat-node.service"
    file.write_text(render(f"{file.name}.j2", qat_node_qatctl_path=str(program)))
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert [line for line in found.stderr.splitlines() if file.name in line] == []


def test_the_unit_may_do_what_qatctl_has_to_and_little_more() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(render("qat-node.service.j2"))
    service = unit["Service"]
    assert f"/var/lib/{service['StateDirectory']}" == load("vars/main.yml")["__qat_node_record_directory"]
    assert service["ProtectSystem"] == "strict"
    # With a network of its own it would have a sysfs of its own, whose lock others do not see; the two others make /sys read-only.
    assert not {"PrivateNetwork", "ProtectKernelTunables", "ProtectKernelModules"} & set(service)
    # To see what others have open.
    assert not {"ProtectProc", "ProcSubset", "PrivateUsers"} & set(service)


class Node(OnThisMachine):
    """Plays the role's first task."""

    def first_task(self, **variables: t.Any) -> Run:
        play = {
            "hosts": "qat_nodes",
            "gather_facts": False,
            "vars_files": [str(ROLE / name) for name in ("defaults/main.yml", "vars/main.yml")],
            "tasks": load("tasks/main.yml")[:1],
        }
        path = self._directory / "play.yml"
        path.write_text(yaml.safe_dump([play]))
        return self.run(str(path), **variables)


@pytest.mark.parametrize(
    ("variable", "given", "said"),
    [
        (
            "qat_node_qatctl_path",
            "/opt/x\nExecStartPre=/bin/sh",
            "path of a program; write an absolute path without control",
        ),
        ("qat_node_qatctl_path", "/opt/qatctl\n", "path of a program; "),
        ("qat_node_qatctl_path", "qatctl", "path of a program; "),
        ("qat_node_qatctl_path", "-/opt/qatctl", "path of a program; "),
        ("qat_node_qatctl_path", '/opt/a"b/qatctl', "path of a program; "),
        ("qat_node_qatctl_path", "/opt/a\\b", "path of a program; "),
        ("qat_node_qatctl_path", "/opt/bin/", "path of a program; "),
        ("qat_node_qatctl_path", "/tmp/qatctl", "path of a program; "),
        ("qat_node_python", "/usr/bin/env python3", "path of a Python; write an absolute path without blanks"),
        ("qat_node_python", "/usr/bin/python3\n", "path of a Python; "),
        ("qat_node_load_modules", ["vfio-pci", "a\nb"], "name of a kernel module; write one module an entry"),
        ("qat_node_load_modules", ["vfio-pci qat_4xxx"], "name of a kernel module; "),
        ("qat_node_load_modules", ["#vfio-pci"], "name of a kernel module; "),
        ("qat_node_load_modules", [""], "name of a kernel module; "),
        ("qat_node_load_modules", "vfio-pci,qat_4xxx", "list; write one module an entry"),
        ("qat_node_units_after", ["kubelet.service\n[Service]"], "name of a unit; write it as systemctl list-units"),
        ("qat_node_units_after", ["kubelet.service\n"], "name of a unit; "),
        ("qat_node_units_after", ["kubelet"], "name of a unit; "),
        ("qat_node_units_after", ["a b.service"], "name of a unit; "),
        ("qat_node_units_after", ["100%.service"], "name of a unit; "),
    ],
)
def test_what_the_files_cannot_hold_is_refused_first(tmp_path: Path, variable: str, given: t.Any, said: str) -> None:
    run = Node(tmp_path).first_task(**{variable: given})
    assert run.code != 0
    bad = given[-1] if isinstance(given, list) else given
    assert run.tasks[-1].message.startswith(f"{variable}: {json.dumps(bad)} is no {said}")


@pytest.mark.core
def test_what_the_files_can_hold_is_taken(tmp_path: Path) -> None:
    """Blanks and percent signs in a path, and the names that systemd gives to units of snaps."""
    run = Node(tmp_path).first_task(
        qat_node_qatctl_path="/opt/a b/100% $x/qatctl",
        qat_node_python="/opt/py3.12/bin/python3",
        qat_node_load_modules=["vfio-pci", "qat_4xxx", "pci:v00008086d00004940sv*"],
        qat_node_units_after=["kubelet.service", "snap.a\\x2db@1.service", "multi-user.target"],
    )
    assert run.code == 0, run.output
    assert Node(tmp_path).first_task().code == 0


def test_the_rules_for_udev_are_for_qat() -> None:
    kernel = FakeKernel.with_pfs(*(pf(one.name, f"0000:{bus:02x}:00.0") for bus, one in enumerate(FAMILIES, 0x10)))
    *rules, gone = settings(render("udev.rules.j2"))
    # What has gone has the words of its event alone (drivers/pci/pci-driver.c, pci_uevent: %04X:%04X and %04X).
    assert gone.startswith('ACTION=="remove", SUBSYSTEM=="pci", ENV{PCI_ID}=="8086:*", ENV{PCI_CLASS}=="B4000", ')
    assert gone.endswith('RUN+="/bin/systemctl --no-block start qat-node.service"')
    for rule in rules:
        conditions = dict(re.findall(r"ATTR\{(\w+)\}==\"(\w+)\"", rule))
        assert conditions["vendor"] == f"{INTEL:#06x}"
        # A co-processor (PCI Code and ID Assignment, base class 0B, sub-class 40), as `lspci -n` shows each QAT device.
        assert conditions["class"] == "0x0b4000"
        assert {one.device_class for one in kernel.machine.bus.functions.values()} == {int(conditions["class"], 16)}
    starting = 'TAG+="systemd", ENV{SYSTEMD_WANTS}+="qat-node.service"'
    vfs, given, pfs, without_driver = rules
    assert vfs.startswith('ACTION=="add"')
    assert vfs.endswith(f'TEST=="physfn", {starting}')
    assert given.startswith('ACTION=="add"')
    assert given.endswith(f'TEST!="physfn", TEST!="sriov_totalvfs", {starting}')
    assert pfs.startswith('ACTION=="bind"')
    assert pfs.endswith(f'TEST=="sriov_numvfs", {starting}')
    assert without_driver.endswith('TEST=="sriov_numvfs", TAG+="systemd", ENV{SYSTEMD_READY}="0"')


@pytest.mark.parametrize("name", ["main", "teardown"])
def test_systemd_hears_of_the_unit_in_the_task_that_changes_it(name: str) -> None:
    """A run that was cut off after that task would leave it unheard of."""
    written = [task["accel.qat.files"] for task in load(f"tasks/{name}.yml") if "accel.qat.files" in task]
    about = [
        one.get("units")
        for one in written
        if "{{ __qat_node_files.unit }}" in [entry["path"] for entry in one["files"]]
    ]
    assert about == [["qat-node.service"]]
