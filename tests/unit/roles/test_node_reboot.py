# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reboot of the role qat_node, on a machine of files: its own tasks, but for the reboot itself, which gives /proc a command line."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.boot.machines import KERNELS, systemd_boot
from ansible_collections.accel.qat.tests.unit.plugins.local import OnThisMachine
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

TASKS = CHECKOUT / "roles/qat_node/tasks"
QAT = ["intel_iommu=on", "iommu=pt"]
INCLUDES = {
    "main.yml": "Reboot where the kernel arguments need a reboot",
    "teardown.yml": "Reboot where the kernel arguments that went need a reboot",
}
REBOOT = "Reboot into the new kernel arguments, and wait for the node"


class Booted(OnThisMachine):
    """Ansible as the controller of a machine whose boot loader has the arguments `lasting`, and whose kernel was started with `line`."""

    def __init__(self, root: Path, lasting: t.Sequence[str], line: str) -> None:
        super().__init__(root)
        self.root, self.proc, self.sys = (root / name for name in ("node", "proc", "sys"))
        for directory in (self.proc, self.sys):
            directory.mkdir()
        self.command_line = self.proc / "cmdline"
        self.command_line.write_text(f"{line}\n")
        machine = systemd_boot()
        machine.files["/etc/kernel/cmdline"] = " ".join(["root=UUID=0d3b7c1e ro quiet", *lasting]) + "\n"
        for version in KERNELS:
            machine.run(["kernel-install", "add", version, ""])
        for name, text in machine.files.items():
            path = self.root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def reboots(self, file: str, starts: str, *flags: str, noted: t.Sequence[t.Sequence[str]] = ((), ())) -> Run:
        """The role's tasks around its reboot, which starts a kernel with this line; `noted` is what teardown has read before."""
        reboot, *others = yaml.safe_load((TASKS / "reboot.yml").read_text())
        del reboot["ansible.builtin.reboot"]
        reboot["ansible.builtin.copy"] = {"content": f"{starts}\n", "dest": str(self.command_line)}
        reboot["changed_when"] = True
        played = self._directory / "reboot.yml"
        played.write_text(yaml.safe_dump([reboot, *others]))
        arguments = [task for task in yaml.safe_load((TASKS / file).read_text()) if "accel.qat.kernel_args" in task]
        (include,) = (task for task in yaml.safe_load((TASKS / file).read_text()) if task["name"] == INCLUDES[file])
        include["ansible.builtin.include_tasks"] = str(played)
        roots = {"root": str(self.root), "proc_root": str(self.proc), "sysfs_root": str(self.sys)}
        play = {
            "hosts": "qat_nodes",
            "gather_facts": False,
            "vars_files": [str(TASKS.parent / "defaults/main.yml"), str(TASKS.parent / "vars/main.yml")],
            "module_defaults": {"accel.qat.kernel_args": roots},
            "tasks": [*arguments, include],
        }
        path = self._directory / "play.yml"
        path.write_text(yaml.safe_dump([play]))
        read = {"results": [{"stdout_lines": list(lines)} for lines in noted]}
        return self.run(
            str(path), *flags, qat_node_bootloader="systemd-boot", qat_node_reboot=True, __qat_node_noted=read
        )


NOT_STARTED = (
    "it is not started by what systemd-boot writes; see what starts it (kexec with the former arguments, another boot loader, an older "
    "deployment), name that boot loader in qat_node_bootloader or set the arguments there, and run again"
)


def outcomes(run: Run) -> dict[str, str]:
    return {task.name: task.outcome for task in run.tasks}


@pytest.mark.parametrize(
    ("starts", "lacking"), [("ro quiet", "intel_iommu=on iommu=pt"), ("ro intel_iommu=on", "iommu=pt")]
)
def test_a_reboot_that_does_not_bring_the_arguments_fails(tmp_path: Path, starts: str, lacking: str) -> None:
    node = Booted(tmp_path, QAT, "ro quiet")
    run = node.reboots("main.yml", starts)
    assert run.code != 0
    assert run.task(REBOOT).changed
    assert run.tasks[-1].message == f"after the reboot the running kernel still lacks {lacking}: {NOT_STARTED}"


@pytest.mark.core
def test_a_reboot_that_brings_them_is_enough(tmp_path: Path) -> None:
    node = Booted(tmp_path, QAT, "ro quiet")
    run = node.reboots("main.yml", "ro quiet intel_iommu=on iommu=pt")
    assert run.code == 0, run.output
    assert [task.name for task in run.tasks if task.changed] == [REBOOT]


@pytest.mark.core
def test_check_mode_shows_the_reboot_and_looks_no_further(tmp_path: Path) -> None:
    node = Booted(tmp_path, QAT, "ro quiet")
    run = node.reboots("main.yml", "ro quiet", "--check")
    assert run.code == 0, run.output
    assert run.task(REBOOT).changed
    assert outcomes(run)["Fail unless the running kernel has its arguments as they are set"] == "skipped"


def test_nothing_to_reboot_for_is_no_task_more(tmp_path: Path) -> None:
    node = Booted(tmp_path, QAT, "ro intel_iommu=on iommu=pt")
    run = node.reboots("main.yml", "ro quiet")
    assert [(task.name, task.outcome) for task in run.tasks] == [
        ("Set the kernel arguments", "ok"),
        (INCLUDES["main.yml"], "skipped"),
    ]


@pytest.mark.parametrize(
    ("starts", "still"),
    [
        ("ro intel_iommu=on iommu=pt", "lacks intel_iommu=off and has intel_iommu=on iommu=pt"),
        ("ro intel_iommu=off iommu=pt", "has iommu=pt"),
        ("ro intel_iommu=off", None),
    ],
)
def test_teardown_looks_too(tmp_path: Path, starts: str, still: str | None) -> None:
    node = Booted(tmp_path, ["intel_iommu=off"], "ro intel_iommu=on iommu=pt")
    run = node.reboots("teardown.yml", starts, noted=(QAT, ["intel_iommu=off"]))
    assert run.task(REBOOT).changed
    assert run.code == (2 if still else 0), run.output
    if still:
        assert run.tasks[-1].message == f"after the reboot the running kernel still {still}: {NOT_STARTED}"


def test_teardown_of_added_arguments_alone_looks_too(tmp_path: Path) -> None:
    node = Booted(tmp_path, [], "ro intel_iommu=on iommu=pt")
    run = node.reboots("teardown.yml", "ro iommu=pt", noted=(QAT, []))
    assert run.tasks[-1].message == f"after the reboot the running kernel still has iommu=pt: {NOT_STARTED}"


def test_teardown_ends_where_an_entry_written_by_hand_has_the_arguments(tmp_path: Path) -> None:
    """It is not ours, and would be started by each reboot again."""
    node = Booted(tmp_path, [], "ro intel_iommu=on iommu=pt")
    for name, text in (
        ("entries/mine.conf", "title Mine\nlinux /vmlinuz\noptions ro intel_iommu=on iommu=pt\n"),
        ("loader.conf", "default mine.conf\n"),
    ):
        (node.root / "efi/loader" / name).write_text(text)
    run = node.reboots("teardown.yml", "ro intel_iommu=on iommu=pt", noted=(QAT, []))
    assert run.code == 0, run.output
    assert outcomes(run)[INCLUDES["teardown.yml"]] == "skipped"
    assert "which kernel-install does not write; it is left as it is" in " ".join(run.output.split())
