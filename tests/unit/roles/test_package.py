# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The device plugin from the package of the operating system, as the role qat_device_plugin has it run."""

from __future__ import annotations

import os
import re
import typing as t
from pathlib import Path

import yaml

from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.roles.complaints import complaints_of_systemd
from ansible_collections.accel.qat.tests.unit.roles.test_device_plugin import Plugin, shows, systemctl
from ansible_collections.accel.qat.tools.artifacts import packages
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_device_plugin"
UNIT = "accel-qat-device-plugin.service"
START = "Start the device plugin of the package, and wait until kubelet has taken every resource"


def load(name: str) -> t.Any:
    return yaml.safe_load((ROLE / name).read_text())


class Node:
    """This machine, whose places of units are below a directory, and which has the package."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.program = systemctl(directory)
        # A process of another unit.
        for name in (".shows", ".then"):
            self.program.with_suffix(name).write_text(shows(os.getpid()))
        self.drop_in = directory / "etc" / f"{UNIT}.d/accel-qat.conf"
        self.unit = directory / "etc" / UNIT
        self.link = directory / "etc/wants"
        self._controller = Plugin(directory)

    def role(self, *options: str, **variables: t.Any) -> Run:
        """Run it, with a package that is there already."""
        values = {
            "qat_device_plugin_deploy": "package",
            "qat_device_plugin_packages": [],
            "qat_device_plugin_wait": False,
            "__qat_device_plugin_drop_in": str(self.drop_in),
            "__qat_device_plugin_units": {"unit": str(self.unit), "transient": str(self.directory / "run" / UNIT)},
            "__qat_device_plugin_unit_link": str(self.link),
            "__qat_device_plugin_run": str(self.directory / "run"),
            "__qat_device_plugin_exporter_units": dict.fromkeys(("unit", "transient"), str(self.directory / "none")),
            **variables,
        }
        return self._controller.role(*options, **values)


def changed(run: Run) -> list[str]:
    assert run.code == 0, run.output
    return [task.name.rpartition(" : ")[2] for task in run.tasks if task.changed]


def test_the_unit_of_the_role_makes_way_for_that_of_the_package(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.unit.parent.mkdir(parents=True)
    node.unit.write_text("# Managed by accel.qat.qat_device_plugin\n")
    left = node.directory / "run/next"
    left.parent.mkdir()
    left.write_text("daemonset\n")
    wanted = ["Have the unit of the package at work, with the settings of the role", START]
    assert changed(node.role("--check")) == wanted
    assert node.unit.exists()
    assert changed(node.role()) == wanted
    assert not left.exists()
    assert (node.unit.exists(), str(node.link.readlink())) == (False, f"/usr/lib/systemd/system/{UNIT}")
    assert [line for line in node.program.with_suffix(".commands").read_text().splitlines() if "restart" in line] == [
        f"restart --no-block {UNIT}"
    ]


def test_settings_are_those_of_the_role(tmp_path: Path) -> None:
    """They come after those of the package, and systemd takes both together."""
    node = Node(tmp_path)
    given = {"qat_device_plugin_metrics_address": ":9000", "qat_device_plugin_kubelet_dir": "/data/kubelet/plugins"}
    given["qat_device_plugin_kubelet_root"] = "/home/kubelet"
    assert node.role(**given, qat_device_plugin_config="/etc/other.json").code == 0
    text = node.drop_in.read_text()
    assert text.startswith("# Managed by accel.qat.qat_device_plugin\n# For /etc/other.json ")
    for line in (
        "ConditionPathExists=\nConditionPathExists=/etc/other.json",
        "RequiresMountsFor=/data/kubelet/plugins /home/kubelet",
        "Environment=QAT_DEVICE_PLUGIN_KUBELET_ROOT=/home/kubelet",
        "ProtectHome=read-only",
        "EnvironmentFile=\nEnvironment=QAT_DEVICE_PLUGIN_CONFIG=/etc/other.json",
        "Environment=QAT_DEVICE_PLUGIN_METRICS_ADDRESS=:9000",
        "IPAddressAllow=any",
    ):
        assert f"\n{line}\n" in text
    settings = set(re.findall(r"^Environment=(QAT_\w+)=", text, re.M))
    (_name, unit), *_others = packages._plugin_units("package", "3.11")
    assert settings == set(re.findall(r"^Environment=(QAT_\w+)=", unit, re.M))
    place = tmp_path / "verified" / UNIT
    (place.parent / f"{UNIT}.d").mkdir(parents=True)
    place.write_text(re.sub(r"(?m)^(Exec\w+=[-+]?)/usr/\S+", r"\1/bin/true", unit))
    (place.parent / f"{UNIT}.d/accel-qat.conf").write_text(text)
    assert complaints_of_systemd(place) == []


def test_files_and_names_are_installed_by_what_knows_them(tmp_path: Path) -> None:
    """Nothing is installed in check mode, and nothing that is not asked for."""
    tasks = {module: task for task in load("tasks/install.yml") for module in task if "." in module}
    assert tasks["ansible.builtin.apt"]["loop"].count("deb") == 1
    assert tasks["ansible.builtin.dnf"]["loop"].count("rpm") == 1
    given = ["files/a.deb", "b.rpm", "accel-qat-device-plugin"]
    show = {
        "name": "Show",
        "ansible.builtin.debug": {
            "msg": "{{ [__qat_device_plugin_package_files, __qat_device_plugin_package_names] }}"
        },
    }
    include = {"name": "accel.qat.qat_device_plugin", "tasks_from": "gather", "public": True}
    task = {"name": "Role", "ansible.builtin.include_role": include, "vars": {"qat_device_plugin_packages": given}}
    run = Plugin(tmp_path).play([task, {**show, "vars": {"qat_device_plugin_packages": given}}])
    assert run.code == 0, run.output
    assert run.tasks[-1].result["msg"] == [given[:2], given[2:]]


def test_every_way_that_leaves_the_package_removes_it() -> None:
    """Where the role has installed it, which its settings show."""
    for way in ("systemd", "none", "daemonset", "teardown"):
        (task,) = (
            one for one in load(f"tasks/{way}.yml") if one.get("ansible.builtin.include_tasks") == "no_package.yml"
        )
        assert [task["when"]] == ["__qat_device_plugin_packaged.stat.exists"] or way == "daemonset"
        assert "__qat_device_plugin_packaged.stat.exists" in task["when"]
    names = [one["name"] for one in load("tasks/systemd.yml")]
    assert names.index("Have the device plugin run") < names.index("Have no package of the device plugin")
