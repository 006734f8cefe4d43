# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole module kernel_args on a real directory; only the boot loaders' commands are played."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.accel.qat.plugins.module_utils._host import runner as _runner
from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._host.one_run import one_run
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.modules import kernel_args
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine, fails
from ansible_collections.accel.qat.tests.unit.boot import machines

QAT = ["intel_iommu=on", "iommu=pt"]
DROP_IN = "/etc/default/grub.d/zz-accel-qat.cfg"


class Disk:
    """A machine's files below a directory, and its commands, which see them there."""

    def __init__(self, root: Path, machine: FakeMachine, command_line: str) -> None:
        self.root = root / "host"
        self.machine = machine
        self._put(machine.files)
        for name in machine.commands:
            path = self.root / "usr/sbin" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text("#!/bin/sh\n")
            path.chmod(0o755)
        self.proc = root / "proc"
        self.sys = root / "sys"
        (self.sys / "firmware/efi/efivars").mkdir(parents=True)
        (self.sys / "firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c").write_bytes(bytes(6))
        self.boot(command_line)

    def boot(self, command_line: str) -> None:
        self.proc.mkdir(exist_ok=True)
        (self.proc / "cmdline").write_text(command_line + "\n")

    def files(self) -> dict[str, str]:
        found = (path for path in self.root.rglob("*") if path.is_file() and "usr/sbin" not in str(path))
        return {f"/{path.relative_to(self.root)}": path.read_text() for path in found}

    def run_command(self, command: t.Sequence[str], **_options: t.Any) -> tuple[int, str, str]:
        """In place of AnsibleModule.run_command."""
        assert command[0].endswith("/chroot")
        assert command[1] == str(self.root)
        tools = {path: text for path, text in self.machine.files.items() if path.startswith("/usr/sbin")}
        self.machine.files = {**tools, **self.files()}
        result = self.machine.run(list(command[2:]))
        self._put(self.machine.files)
        return result.code, result.out, result.err

    def _put(self, files: t.Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


Run = t.Callable[..., t.Any]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Disk]:
    def make(machine: FakeMachine, command_line: str = "root=UUID=0d3b7c1e ro quiet") -> Disk:
        disk = Disk(tmp_path, machine, command_line)
        monkeypatch.setattr(
            AnsibleModule, "run_command", lambda _self, args, **options: disk.run_command(args, **options)
        )
        return disk

    return make


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_main(disk: Disk, check: bool = False, **arguments: t.Any) -> t.Any:
        roots = {"root": str(disk.root), "proc_root": str(disk.proc), "sysfs_root": str(disk.sys)}
        internal = {"_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args({**roots, **arguments, **internal}), pytest.raises(SystemExit):
            kernel_args.main()
        return json.loads(capsys.readouterr().out)

    return run_main


@pytest.mark.parametrize("kind", sorted(machines.ALL))
def test_check_do_again_check_again(kind: str, start: t.Callable[..., Disk], run: Run) -> None:
    disk = start(machines.ALL[kind]())
    before = disk.files()

    checked = run(disk, check=True, arguments=QAT)
    assert checked["changed"]
    assert disk.files() == before

    done = run(disk, arguments=QAT)
    assert {key: done[key] for key in checked if key != "invocation"} == {
        key: checked[key] for key in checked if key != "invocation"
    }
    after = disk.files()
    assert after != before
    assert set(QAT) <= set(machines.next_boot(disk.machine).split())

    for check in (False, True):
        again = run(disk, check=check, arguments=QAT)
        assert not again["changed"]
        assert (again["files"], again["commands"], again["diff"]) == ([], [], [])
        assert disk.files() == after


def test_says_all_that_a_role_needs_before_and_after_the_reboot(start: t.Callable[..., Disk], run: Run) -> None:
    disk = start(machines.debian())
    result = run(disk, arguments=QAT)
    result.pop("invocation")
    drop_in = result["diff"][0].pop("after")
    assert drop_in.endswith('GRUB_CMDLINE_LINUX="intel_iommu=on iommu=pt $GRUB_CMDLINE_LINUX"\n')
    assert result == {
        "changed": True,
        "bootloader": "grub",
        "configured": ["intel_iommu=on", "iommu=pt", "quiet"],
        "added": QAT,
        "removed": [],
        "running": ["root=UUID=0d3b7c1e", "ro", "quiet"],
        "missing_now": QAT,
        "lingering_now": [],
        "reboot_required": True,
        "iommu_active": False,
        "files": [DROP_IN],
        "commands": ["update-grub"],
        "diff": [{"before_header": DROP_IN, "after_header": DROP_IN, "before": ""}],
    }

    disk.boot(machines.next_boot(disk.machine))
    for name in ("kernel/iommu_groups/0", "class/iommu/dmar0"):
        (disk.sys / name).mkdir(parents=True)
    result = run(disk, arguments=QAT)
    assert (result["changed"], result["reboot_required"], result["iommu_active"]) == (False, False, True)
    assert result["missing_now"] == []

    result = run(disk, arguments=["intel_iommu"], state="absent")
    assert (result["changed"], result["reboot_required"]) == (True, True)
    assert (result["added"], result["removed"]) == ([], ["intel_iommu=on"])
    assert result["lingering_now"] == ["intel_iommu=on"]


def test_an_argument_in_force_but_not_lasting_is_written_without_a_reboot(
    start: t.Callable[..., Disk], run: Run
) -> None:
    disk = start(machines.debian(), "root=UUID=0d3b7c1e ro intel_iommu=on")
    result = run(disk, arguments=["intel_iommu=on"])
    assert (result["changed"], result["reboot_required"]) == (True, False)


def test_configured_but_not_booted_still_asks_for_the_reboot(start: t.Callable[..., Disk], run: Run) -> None:
    disk = start(machines.debian())
    run(disk, arguments=QAT)
    result = run(disk, arguments=QAT)
    assert (result["changed"], result["reboot_required"]) == (False, True)


def test_keeps_what_the_way_back_needs(start: t.Callable[..., Disk], run: Run) -> None:
    kept = {"added_file": "/var/lib/accel-qat/kernel_arguments", "replaced_file": "/var/lib/accel-qat/replaced"}
    disk = start(machines.debian(settings='GRUB_CMDLINE_LINUX="iommu=off"\n'))
    before = disk.files()
    checked = run(disk, check=True, arguments=QAT, **kept)
    assert disk.files() == before
    done = run(disk, arguments=QAT, **kept)
    assert [done[key] for key in ("files", "diff")] == [checked[key] for key in ("files", "diff")]
    assert set(kept.values()) <= set(done["files"])
    files = disk.files()
    assert [files[path].split() for path in kept.values()] == [QAT, ["iommu=off"]]
    assert not run(disk, arguments=QAT, **kept)["changed"]


def test_warns_when_it_edits_a_file_of_the_administrator(start: t.Callable[..., Disk], run: Run) -> None:
    disk = start(machines.debian(settings='GRUB_CMDLINE_LINUX="iommu=off"\n'))
    (warning,) = run(disk, arguments=["iommu=pt"])["warnings"]
    text = warning if isinstance(warning, str) else json.dumps(warning)
    assert "/etc/default/grub itself is edited, because it has an argument to be changed" in text


def test_what_somebody_has_written_by_hand_needs_no_reboot_on_the_way_back(
    start: t.Callable[..., Disk], run: Run
) -> None:
    machine = machines.debian(machines.DEBIAN_SETTINGS.replace("GRUB_DEFAULT=0", "GRUB_DEFAULT=mine"))
    machine.files["/boot/grub/custom.cfg"] = "menuentry Mine --id mine {\n  linux /vmlinuz ro intel_iommu=on\n}\n"
    disk = start(machine, "ro intel_iommu=on")
    run(disk, arguments=["intel_iommu=on"], added_file="/notes")
    (disk.root / "notes").write_text("intel_iommu=on\n")
    result = run(disk, arguments=["intel_iommu=on"], noted_in="/notes", state="absent")
    assert (result["changed"], result["reboot_required"]) == (True, False)
    assert result["lingering_now"] == ["intel_iommu=on"]
    (warning,) = result["warnings"]
    assert "it is left as it is, and has intel_iommu=on until somebody takes that out by hand" in json.dumps(warning)
    # What the next boot is without, one does need.
    disk.boot("ro intel_iommu=on iommu=pt")
    result = run(disk, arguments=["intel_iommu=on", "iommu=pt"], noted_in="/notes", state="absent")
    assert (result["changed"], result["reboot_required"]) == (False, True)


def test_a_command_changes_lines_shown_one_argument_a_line(start: t.Callable[..., Disk], run: Run) -> None:
    disk = start(machines.core_os())
    (difference,) = run(disk, check=True, arguments=["intel_iommu=on"])["diff"]
    assert difference["before_header"] == "rpm-ostree kargs"
    assert difference["after"] == difference["before"] + "intel_iommu=on\n"


@pytest.mark.parametrize(
    ("arguments", "failure"),
    [
        (
            {"arguments": ["intel_iommu=on", "intel_iommu=off"]},
            {
                "kind": "configuration",
                "where": "arguments[1]",
                "problem": "intel_iommu=off contradicts intel_iommu=on",
                "remedy": "keep one of the two",
            },
        ),
        (
            {"arguments": ["iommu=pt"], "bootloader": "grubby"},
            {
                "kind": "refused",
                "where": "bootloader",
                "problem": "grubby was asked for, but the node has no command grubby",
                "remedy": "install it, or use bootloader: auto",
            },
        ),
        (
            {"arguments": ["iommu=pt"], "proc_root": "/nowhere"},
            {
                "kind": "node",
                "where": "/nowhere/cmdline",
                "problem": "cannot be read: No such file or directory",
                "remedy": "check proc_root",
            },
        ),
    ],
)
def test_fails_with_one_sentence_and_changes_nothing(
    start: t.Callable[..., Disk], run: Run, arguments: dict[str, t.Any], failure: dict[str, str]
) -> None:
    disk = start(machines.debian())
    before = disk.files()
    result = run(disk, **arguments)
    assert result["failed"]
    assert result["msg"] == "{where}: {problem}; {remedy}".format(**failure)
    assert {key: result["failure"][key] for key in failure} == failure
    assert disk.files() == before


def test_puts_the_files_back_when_update_grub_fails(start: t.Callable[..., Disk], run: Run) -> None:
    machine = machines.debian()
    machine.commands["update-grub"] = fails(1, "grub-probe: error: cannot find a device for / (is /dev mounted?).\n")
    disk = start(machine)
    before = disk.files()
    result = run(disk, arguments=QAT)
    assert result["msg"] == (
        "update-grub: failed with exit code 1: grub-probe: error: cannot find a device for / (is /dev mounted?).;"
        " the files were put back as they were; fix this and run again"
    )
    assert not result["changed"]
    assert disk.files() == before


def test_a_failure_after_what_nobody_puts_back_is_a_change(start: t.Callable[..., Disk], run: Run) -> None:
    machine = machines.core_os()
    works = machine.commands["rpm-ostree"]

    def loses(target: FakeMachine, command: t.Sequence[str]) -> CommandResult:
        result = works(target, command)
        target.files["/deployment"] = target.files["/deployment"].replace(" rw intel", " intel")
        return result

    machine.commands["rpm-ostree"] = loses
    disk = start(machine)
    result = run(disk, arguments=QAT)
    assert (result["failed"], result["changed"], result["failure"]["kind"]) == (True, True, "node")
    assert "intel_iommu=on" in disk.files()["/deployment"]


def test_of_two_runs_at_once_the_second_one_refuses(start: t.Callable[..., Disk], run: Run) -> None:
    """Neither would know what the other adds, and teardown would leave it."""
    disk = start(machines.debian())
    (disk.root / "run").mkdir()
    before = disk.files()
    with one_run(str(disk.root), kernel_args.LOCK, "the kernel arguments"):
        lock = disk.root / kernel_args.LOCK.lstrip("/")
        assert lock.stat().st_mode & 0o777 == 0o600
        result = run(disk, arguments=QAT)
        checked = run(disk, check=True, arguments=QAT)
    assert result["msg"] == (
        f"{kernel_args.LOCK}: another run is changing the kernel arguments in this moment; wait for it to end, and run again"
    )
    assert (result["failure"]["kind"], result["changed"], checked["changed"]) == ("refused", False, True)
    assert {path: text for path, text in disk.files().items() if path != kernel_args.LOCK} == before
    assert run(disk, arguments=QAT)["changed"]


def test_a_run_that_has_nothing_to_write_waits_for_nobody_and_needs_no_lock(
    start: t.Callable[..., Disk], run: Run
) -> None:
    """Nor a /run that can be written: a container may have the node mounted read-only."""
    disk = start(machines.debian())
    run(disk, arguments=QAT)
    lock = disk.root / kernel_args.LOCK.lstrip("/")
    lock.parent.mkdir()
    before = disk.files()
    assert run(disk, arguments=QAT)["changed"] is False
    assert disk.files() == before
    with one_run(str(disk.root), kernel_args.LOCK, "the kernel arguments"):
        assert run(disk, arguments=QAT)["changed"] is False
    lock.unlink()
    lock.mkdir()  # where it cannot be opened
    assert run(disk, arguments=QAT)["changed"] is False


def test_what_another_run_has_done_until_the_lock_is_had_is_not_done_once_more(
    start: t.Callable[..., Disk], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = start(machines.debian())
    (disk.root / "run").mkdir()
    before = disk.files()
    run(disk, arguments=QAT)
    theirs = disk.files()
    for path, text in before.items():
        (disk.root / path.lstrip("/")).write_text(text)
    for path in theirs.keys() - before.keys():
        (disk.root / path.lstrip("/")).unlink()
    assert run(disk, check=True, arguments=QAT)["changed"]

    @contextlib.contextmanager
    def after_theirs(*_lock: str) -> t.Iterator[None]:
        disk._put(theirs)
        yield

    monkeypatch.setattr(kernel_args, "one_run", after_theirs)
    result = run(disk, arguments=QAT)
    assert (result["changed"], result["files"], disk.files()) == (False, [], theirs)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.EACCES, "Permission denied; run as root (become: true)"),
        (errno.EPERM, "Operation not permitted; run as root (become: true)"),
        (errno.EROFS, "Read-only file system; mount the node's /run so that it can be written"),
        (errno.ENOSPC, "No space left on device; make room on that file system"),
        (errno.EISDIR, "Is a directory; remove what is there, which is no lock"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_lock_that_cannot_be_opened_is_reported(
    start: t.Callable[..., Disk], run: Run, monkeypatch: pytest.MonkeyPatch, code: int, why: str
) -> None:
    disk = start(machines.debian())
    (disk.root / "run").mkdir()
    opens = os.open

    def refuse(path: t.Any, *arguments: t.Any, **named: t.Any) -> int:
        if str(path) == f"{disk.root}{kernel_args.LOCK}":
            raise OSError(code, os.strerror(code), path)
        return opens(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = run(disk, arguments=QAT)
    assert (result["msg"], result["changed"]) == (f"{kernel_args.LOCK}: the lock cannot be opened: {why}", False)
    assert DROP_IN not in disk.files()


def test_no_memory_for_a_lock(start: t.Callable[..., Disk], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = start(machines.debian())
    (disk.root / "run").mkdir()

    def refuse(descriptor: int, _how: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(kernel_args.LOCK):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    result = run(disk, arguments=QAT)
    assert (result["msg"], result["changed"]) == (
        f"{kernel_args.LOCK}: the lock cannot be taken: No locks available; see what the node lacks, and try again",
        False,
    )


@pytest.mark.parametrize("make", [Path.mkdir, lambda lock: lock.symlink_to("/nowhere")], ids=["directory", "link"])
def test_what_is_in_the_place_of_a_lock_is_reported(
    start: t.Callable[..., Disk], run: Run, make: t.Callable[[Path], None]
) -> None:
    disk = start(machines.debian())
    (disk.root / "run").mkdir()
    make(disk.root / kernel_args.LOCK.lstrip("/"))
    assert run(disk, arguments=QAT)["msg"].endswith("; remove what is there, which is no lock")
    assert DROP_IN not in disk.files()


@pytest.fixture
def runner(tmp_path: Path) -> t.Any:
    with patch_module_args({"arguments": ["ro"], "root": str(tmp_path)}):
        module = AnsibleModule({"arguments": {"type": "list", "elements": "str"}, "root": {"type": "path"}})
    return _runner.runner(module)


def test_commands_get_their_words_as_they_are(runner: t.Any) -> None:
    words = ["$HOME", "~", "a b", 'dyndbg="x +p"', "\u00e4"]
    result = runner(["sh", "-c", 'printf "%s|" "$@"; printf %s "$LC_ALL" >&2; exit 3', "sh", *words])
    assert (result.code, result.out, result.err) == (3, "|".join(words) + "|", "C")


def test_a_command_that_is_not_there_is_reported(runner: t.Any) -> None:
    with pytest.raises(NodeError) as caught:
        runner(["/nowhere/update-grub", "x"])
    assert (
        str(caught.value) == "/nowhere/update-grub: cannot be run: No such file or directory; see that it is installed"
    )
