# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role qat_node does with kernel arguments, but for the reboot: the role's own tasks, on a machine of files."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.roles.test_node_reboot import QAT, TASKS, Booted

DEVICES = "accel.qat.qat_devices"
IOMMU_OFF = "0000:6b:00.0: the IOMMU is off, and vfio-pci takes no device without it"


class Node(Booted):
    """Plays tasks of the role, with what the devices module says in its place."""

    def plays(
        self, file: str, names: t.Sequence[str], devices: t.Mapping[str, t.Any], *flags: str, **variables: t.Any
    ) -> Run:
        tasks = [task for task in yaml.safe_load((TASKS / file).read_text()) if task["name"] in names]
        assert [task["name"] for task in tasks] == list(names)
        for task in tasks:
            # What it includes, with its condition, as the devices module has to be replaced there too.
            if included := task.pop("ansible.builtin.include_tasks", None):
                task["block"] = yaml.safe_load((TASKS / included).read_text())
        for task in (inner for outer in tasks for inner in outer.get("block", [outer])):
            if task.pop(DEVICES, None) is not None:
                task.update(devices)
        play = {
            "hosts": "qat_nodes",
            "gather_facts": False,
            "vars_files": [str(TASKS.parent / "defaults/main.yml"), str(TASKS.parent / "vars/main.yml")],
            "vars": {"qat_node_devices": []},
            "module_defaults": {
                "accel.qat.kernel_args": {
                    "root": str(self.root),
                    "proc_root": str(self.proc),
                    "sysfs_root": str(self.sys),
                }
            },
            "tasks": [*tasks, {"name": "Then", "ansible.builtin.debug": {"var": "qat_node_reboot_required"}}],
        }
        path = self._directory / "play.yml"
        path.write_text(yaml.safe_dump([play]))
        return self.run(str(path), *flags, qat_node_bootloader="systemd-boot", **variables)


SET, SAY, _INCLUDED = BEFORE_DEVICES = (
    "Set the kernel arguments",
    "Say whether a reboot is left to do",
    "See that the QAT devices need no reboot first",
)
SEE, FAIL = (
    "See whether the QAT devices can be configured before the reboot",
    "Fail where only the reboot is left to do",
)
CANNOT = {"ansible.builtin.fail": {"msg": IOMMU_OFF}}


def brings(node: Node, devices: t.Mapping[str, t.Any], *flags: str, **variables: t.Any) -> Run:
    # The notes are written below the root of the machine.
    return node.plays("main.yml", BEFORE_DEVICES, devices, *flags, **variables)


@pytest.mark.core
@pytest.mark.parametrize(("flags", "verb"), [((), "are"), (("--check",), "would be")])
def test_with_the_iommu_off_only_the_reboot_is_said_to_be_left(
    tmp_path: Path, flags: tuple[str, ...], verb: str
) -> None:
    node = Node(tmp_path, [] if flags else QAT, "ro quiet")
    command = node.root / "usr/bin/kernel-install"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    run = brings(node, CANNOT, *flags)
    assert run.code == 2, run.output
    assert run.task(FAIL).message == (
        f"the kernel arguments intel_iommu=on iommu=pt {verb} set, and the reboot that brings them is left to do, before which the QAT"
        f" devices cannot be configured ({IOMMU_OFF}): reboot the node, or set qat_node_reboot to true, and run again"
    )
    assert run.task(SAY).result["ansible_facts"] == {"qat_node_reboot_required": True}


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("ro intel_iommu=on iommu=pt", {}),
        ("ro quiet", {"qat_node_reboot": True}),
        ("ro quiet", {"qat_node_kernel_arguments": []}),
    ],
    ids=["booted", "reboots", "none"],
)
def test_without_a_reboot_left_nothing_more_is_looked_at(
    tmp_path: Path, line: str, variables: dict[str, t.Any]
) -> None:
    run = brings(Node(tmp_path, QAT, line), CANNOT, **variables)
    assert run.code == 0, run.output
    assert [run.task(name).outcome for name in (SEE, FAIL)] == ["skipped", "skipped"]
    assert run.task("Then").result["qat_node_reboot_required"] is False


def test_with_the_iommu_at_work_the_reboot_can_wait(tmp_path: Path) -> None:
    node = Node(tmp_path, QAT, "ro quiet")
    for name in ("kernel/iommu_groups/0", "class/iommu/dmar0"):
        (node.sys / name).mkdir(parents=True)
    run = brings(node, CANNOT)
    assert run.code == 0, run.output
    assert run.task("Then").result["qat_node_reboot_required"] is True


# Teardown.

READ = "Read which kernel arguments were added and replaced"
GIVE, REMOVE = "Give the replaced kernel arguments back", "Remove the kernel arguments that were added"


def tears_down(node: Node, tmp_path: Path, added: str | None, replaced: str | None = None) -> Run:
    paths = {}
    for name, text in (("added", added), ("replaced", replaced)):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        paths[f"__qat_node_{name}_arguments"] = str(path)
    return node.plays("teardown.yml", [READ, GIVE, REMOVE], {}, qat_node_reboot_required=False, **paths)


def test_a_damaged_line_of_the_notes_is_reported_with_its_file(tmp_path: Path) -> None:
    run = tears_down(Node(tmp_path, QAT, "ro quiet"), tmp_path, "intel_iommu=on\niommu=pt quiet\n")
    assert run.code == 2
    assert run.task(REMOVE).message == (
        f"{tmp_path}/added line 2: 'iommu=pt quiet' is more than one argument; fix or remove that line, and see to its argument by hand"
    )


def test_a_damaged_line_of_what_was_replaced_is_reported_too(tmp_path: Path) -> None:
    run = tears_down(Node(tmp_path, QAT, "ro quiet"), tmp_path, "intel_iommu=on\n", 'a="b\n')
    assert run.code == 2
    assert run.task(GIVE).message.startswith(
        f"{tmp_path}/replaced line 1: 'a=\"b' has an unpaired quote or a control character; fix"
    )


def test_notes_that_cannot_be_read_are_not_missing(tmp_path: Path) -> None:
    (tmp_path / "added").mkdir()
    run = tears_down(Node(tmp_path, QAT, "ro quiet"), tmp_path, None)
    assert run.code == 2
    assert "Is a directory" in run.output
    assert REMOVE not in [task.name for task in run.tasks]


@pytest.mark.core
def test_without_notes_nothing_is_removed(tmp_path: Path) -> None:
    run = tears_down(Node(tmp_path, QAT, "ro quiet"), tmp_path, None)
    assert run.code == 0, run.output
    assert [run.task(name).outcome for name in (GIVE, REMOVE)] == ["skipped", "skipped"]
