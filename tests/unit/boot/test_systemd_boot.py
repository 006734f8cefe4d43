# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-boot: the entry that boots has the arguments, or nothing is written."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    State,
    parse,
    read_request,
    satisfied,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import Outcome, ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.plan import UNFINISHED, WRITTEN
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running, read_running
from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine, fails, says
from ansible_collections.accel.qat.tests.unit.boot import machines

QAT = ["intel_iommu=on", "iommu=pt"]
FIRMWARE = Firmware(True, "systemd-boot 252.39-1~deb12u1")
NEWEST = f"{machines.MACHINE_ID}-{machines.KERNELS[-1]}.conf"


def run(
    machine: FakeMachine,
    wanted: list[str],
    state: State = "present",
    entry: str = "",
    line: str = "ro",
    rehearse: bool = False,
    noted_in: str | None = None,
) -> Outcome:
    return ensure(
        machine, read_request(wanted, state, noted_in), Running(parse(line), False, entry), FIRMWARE, rehearse=rehearse
    )


def refused(machine: FakeMachine, entry: str = "") -> str:
    """The sentence with which the arguments are refused; nothing is written."""
    before = dict(machine.files)
    with pytest.raises(RefusedError) as caught:
        run(machine, QAT, entry=entry)
    assert (machine.files, machine.done) == (before, [])
    return str(caught.value)


# Proxmox VE.


@pytest.mark.parametrize(
    "line", ["initrd=\\EFI\\proxmox root=ZFS=rpool/ROOT/pve-1 boot=zfs", "ro iommu=pt intel_iommu=on"]
)
def test_proxmox_writes_its_own_boot_partitions(line: str) -> None:
    machine = machines.proxmox()
    before = dict(machine.files)
    entry = "proxmox-6.8.12-9-pve.conf"
    checked = run(machine, QAT, entry=entry, line=line, rehearse=True)
    assert (machine.files, machine.done) == (before, [])
    done = run(machine, QAT, entry=entry, line=line)
    assert done.plan == checked.plan
    assert done.plan.commands == (("proxmox-boot-tool", "refresh"),)
    assert done.plan.files == ["/etc/kernel/cmdline"]
    assert machines.next_boot(machine) == "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on iommu=pt"
    assert run(machine, QAT, entry=entry, line=line).plan.empty
    run(machine, QAT, "absent", entry=entry, line=line)
    del machine.files[WRITTEN]
    assert machine.files == before


def test_proxmox_that_was_cut_off_is_finished() -> None:
    machine = machines.proxmox()
    machine.commands["proxmox-boot-tool"] = dies
    with pytest.raises(KeyboardInterrupt):
        run(machine, QAT)
    assert machine.files[UNFINISHED] == "proxmox-boot-tool refresh\n"
    works = machines.proxmox()
    machine.commands = works.commands
    assert run(machine, QAT, rehearse=True).plan.commands == (("proxmox-boot-tool", "refresh"),)
    run(machine, QAT)
    assert satisfied(parse(machines.next_boot(machine)), read_request(QAT, "present"))
    assert UNFINISHED not in machine.files
    assert run(machine, QAT).plan.empty


def dies(_machine: FakeMachine, _command: t.Sequence[str]) -> CommandResult:
    raise KeyboardInterrupt


def test_proxmox_whose_line_may_have_been_edited_by_hand_is_written_again() -> None:
    """Nobody sees whether that was before its boot partitions were written; they are what boots."""
    machine = machines.proxmox()
    machine.files["/etc/kernel/cmdline"] = "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on iommu=pt\n"
    assert run(machine, QAT, line="ro intel_iommu=on iommu=pt").plan.empty
    plan = run(machine, QAT).plan
    assert (plan.edits, plan.commands, plan.notes) == ((), (("proxmox-boot-tool", "refresh"),), ())
    assert machines.next_boot(machine) == "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on iommu=pt"
    # Until the reboot this run is known, and one more line of somebody else is seen.
    assert run(machine, QAT).plan.empty
    machine.files["/etc/kernel/cmdline"] = "root=ZFS=rpool/ROOT/pve-1 intel_iommu=on iommu=pt quiet\n"
    assert run(machine, QAT).plan.commands == (("proxmox-boot-tool", "refresh"),)
    del machine.files[WRITTEN]  # as a reboot does, with another kernel command line again
    assert run(machine, QAT).plan.commands == (("proxmox-boot-tool", "refresh"),)


def test_proxmox_that_fails_to_write_again_is_not_taken_for_done() -> None:
    machine = machines.proxmox()
    machine.files["/etc/kernel/cmdline"] = "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on iommu=pt\n"
    machine.commands["proxmox-boot-tool"] = fails(1, "No space left on device")
    for _again in range(2):
        with pytest.raises(NodeError, match="No space left on device"):
            run(machine, QAT)
    assert WRITTEN not in machine.files


def test_proxmox_whose_tool_fails_is_as_before() -> None:
    machine = machines.proxmox()
    machine.commands["proxmox-boot-tool"] = fails(1, "No space left on device")
    before = dict(machine.files)
    with pytest.raises(
        NodeError, match="proxmox-boot-tool refresh: failed with exit code 1: No space left on device; the files"
    ):
        run(machine, QAT)
    assert machine.files == before


def test_proxmox_without_its_tool_is_refused() -> None:
    machine = machines.proxmox()
    del machine.commands["proxmox-boot-tool"]
    assert refused(machine) == (
        "bootloader: only proxmox-boot-tool writes the boot partitions that /etc/kernel/proxmox-boot-uuids names, and this node has no"
        " such command; install proxmox-kernel-helper"
    )


@pytest.mark.parametrize(
    "text", ["root=ZFS=rpool/ROOT/pve-1\nboot=zfs\n", "# ours\nboot=zfs\n", "#boot=zfs\n", " # boot=zfs\n"]
)
def test_proxmox_with_more_than_one_line_is_refused(text: str) -> None:
    machine = machines.proxmox()
    machine.files["/etc/kernel/cmdline"] = text
    assert refused(machine) == (
        "/etc/kernel/cmdline: has more than one line, of which proxmox-boot-tool would have only the first in force; write all"
        " arguments on one line, without comments"
    )


def test_proxmox_without_a_line_starts_from_the_running_one() -> None:
    machine = machines.proxmox()
    del machine.files["/etc/kernel/cmdline"]
    run(machine, QAT, line="initrd=\\EFI\\x root=ZFS=a boot=zfs")
    assert machines.next_boot(machine) == "root=ZFS=a boot=zfs intel_iommu=on iommu=pt"


# The entry that boots.


@pytest.mark.parametrize("character", ["\x85", "\x0c", "\u2028", "\x1d"])
def test_characters_that_end_no_line_hide_no_arguments(character: str) -> None:
    machine = machines.systemd_boot()
    path = f"/efi/loader/entries/{NEWEST}"
    machine.files[path] += f"options {character}nosmt\n"
    before = dict(machine.files)
    with pytest.raises(NodeError, match="nosmt"):
        run(machine, QAT, entry=NEWEST)
    assert machine.files == before


@pytest.mark.parametrize("entry", [NEWEST, NEWEST[: -len(".conf")], NEWEST.upper()])
def test_an_entry_that_kernel_install_makes_is_enough(entry: str) -> None:
    machine = machines.systemd_boot()
    run(machine, QAT, entry=entry)
    assert satisfied(parse(machines.next_boot(machine)), read_request(QAT, "present"))
    assert run(machine, QAT, entry=entry).plan.empty


def test_an_entry_with_tries_left_is_known_without_them() -> None:
    machine = machines.systemd_boot()
    path = f"/efi/loader/entries/{NEWEST}"
    machine.files[path.replace(".conf", "+2-1.conf")] = machine.files.pop(path)
    assert run(machine, QAT, entry=NEWEST, rehearse=True).plan.commands


def by_hand(options: str = "root=UUID=0d3b7c1e rw") -> FakeMachine:
    """A machine whose administrator has written an entry, which boots by default."""
    machine = machines.systemd_boot()
    machine.files["/efi/loader/entries/arch.conf"] = (
        f"title Arch Linux\nlinux /vmlinuz-linux\ninitrd /initrd\noptions {options}\n"
    )
    return machine


BY_HAND = (
    "bootloader: systemd-boot starts /efi/loader/entries/arch.conf, which kernel-install does not write; set the arguments in its line"
    " options by hand, or have systemd-boot start an entry of an installed kernel"
)


@pytest.mark.parametrize("entry", ["arch.conf", "arch"])
def test_a_started_entry_that_nobody_makes_again_is_refused(entry: str) -> None:
    assert refused(by_hand(), entry) == BY_HAND


@pytest.mark.parametrize("default", ["arch.conf", "arch", "Arch*", "a?ch.conf"])
@pytest.mark.parametrize("entry", ["", NEWEST])
def test_a_default_that_nobody_makes_again_is_refused(default: str, entry: str) -> None:
    machine = by_hand()
    machine.files["/efi/loader/loader.conf"] = f"timeout 3\n#default none\ndefault  {default}\n"
    assert refused(machine, entry) == BY_HAND


@pytest.mark.parametrize("default", ["@saved", "auto-windows", f"{machines.MACHINE_ID}-*"])
def test_another_default_is_no_obstacle(default: str) -> None:
    machine = by_hand()
    machine.files["/efi/loader/loader.conf"] = f"default {default}\n"
    run(machine, QAT, entry=NEWEST)
    assert run(machine, QAT, entry=NEWEST).plan.empty


def test_an_entry_by_hand_that_has_the_arguments_is_enough() -> None:
    machine = by_hand("root=UUID=0d3b7c1e\noptions rw intel_iommu=on iommu=pt")
    run(machine, QAT, entry="arch.conf")
    assert run(machine, QAT, entry="arch.conf").plan.empty


def alone() -> FakeMachine:
    machine = by_hand()
    for path in machine.glob("/efi/loader/entries/*.conf"):
        if machines.MACHINE_ID in path:
            del machine.files[path]
    return machine


def without_partition() -> FakeMachine:
    machine = machines.systemd_boot()
    machine.files = {path: text for path, text in machine.files.items() if not path.startswith("/efi")}
    return machine


UNSEEN = (
    ", and there is none in /efi/loader/entries, /boot/loader/entries, /boot/efi/loader/entries: the boot partition is not mounted, or"
    " another one boots; mount it, and reboot first where the kernel of that entry is no longer installed"
)


@pytest.mark.parametrize("make", [alone, without_partition])
def test_where_no_entry_is_of_an_installed_kernel_it_is_refused(make: t.Callable[[], FakeMachine]) -> None:
    assert refused(make()) == f"bootloader: the next boot is by an entry of an installed kernel{UNSEEN}"


def test_where_the_started_entry_is_not_seen_it_is_refused() -> None:
    assert refused(machines.systemd_boot(), "other.conf") == f"bootloader: systemd-boot has started other.conf{UNSEEN}"


def test_a_unified_image_is_refused() -> None:
    assert refused(machines.systemd_boot(), "linux-6.11.efi") == (
        "bootloader: systemd-boot has started linux-6.11.efi, a unified kernel image, which has its arguments in itself; set them where"
        " the image is built, and sign it again"
    )


@pytest.mark.parametrize("entry", ["", "linux-6.11.efi", "other.conf"])
def test_what_has_come_to_the_running_kernel_needs_no_entry(entry: str) -> None:
    machine = without_partition()
    machine.files["/etc/kernel/cmdline"] = "root=UUID=0d3b7c1e intel_iommu=on iommu=pt\n"
    assert run(machine, QAT, entry=entry, line="ro iommu=pt intel_iommu=on").plan.empty
    assert "intel_iommu=on" in refused_for(machine, entry)


def refused_for(machine: FakeMachine, entry: str) -> str:
    with pytest.raises(RefusedError):
        run(machine, QAT, entry=entry, line="ro iommu=pt")
    return machine.files["/etc/kernel/cmdline"]


def test_kernel_install_that_does_nothing_is_caught() -> None:
    machine = machines.systemd_boot()
    machine.commands["kernel-install"] = says("")
    with pytest.raises(
        NodeError, match="kernel-install reported success, but the next boot would still not be with intel_iommu=on"
    ):
        run(machine, QAT, entry=NEWEST)


# What the entries have and /etc/kernel/cmdline has not.


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("ro quiet", "ro quiet rd.lvm.lv=vg/root", "would lose rd.lvm.lv=vg/root"),
        ("ro quiet", "ro quiet\noptions rd.lvm.lv=vg/root", "would lose rd.lvm.lv=vg/root"),
        ("ro quiet", "\trd.lvm.lv=vg/root\tro quiet", "would lose rd.lvm.lv=vg/root"),
        ("ro quiet", "quiet ro", "would have its arguments in another order"),
        ("ro quiet", 'ro quiet dyndbg="file a.c +p"', 'would lose dyndbg="file a.c +p"'),
    ],
)
def test_what_only_an_entry_has_is_not_lost(old: str, new: str, wrong: str) -> None:
    machine = machines.systemd_boot()
    path = f"/efi/loader/entries/{NEWEST}"
    machine.files[path] = machine.files[path].replace(old, new)
    assert refused(machine) == (
        f"bootloader: {path}, made again from /etc/kernel/cmdline, {wrong}; set the arguments by hand where this node boots from"
    )


@pytest.mark.parametrize("shown", [False, True], ids=["known", "taken-for-arguments"])
def test_comments_are_what_kernel_install_takes_them_for(shown: bool) -> None:
    machine = machines.systemd_boot()
    machine.files["/etc/kernel/cmdline"] = "# ours\nroot=UUID=0d3b7c1e ro quiet\n"
    for path in machine.glob("/efi/loader/entries/*.conf") if shown else ():
        machine.files[path] = machine.files[path].replace("root=UUID", "# ours root=UUID")
    machine.commands["kernel-install"] = lambda target, command: _install(target, command, shown)
    run(machine, QAT)
    assert ("# ours" in machines.next_boot(machine)) is shown
    assert run(machine, QAT).plan.empty


def _install(machine: FakeMachine, command: t.Sequence[str], shown: bool) -> CommandResult:
    text = machine.files["/etc/kernel/cmdline"]
    line = " ".join((text if shown else text.split("\n", 1)[1]).split())
    path = f"/efi/loader/entries/{machines.MACHINE_ID}-{command[2]}.conf"
    machine.files[path] = f"version {command[2]}\noptions {line} systemd.machine_id={machines.MACHINE_ID}\n"
    return CommandResult(0)


def test_blanks_within_quotes_would_not_stay() -> None:
    machine = machines.systemd_boot()
    for path, text in machine.files.items():
        machine.files[path] = text.replace("ro quiet", 'ro x="a  b"')
    assert 'would lose x="a  b"' in refused(machine)


def test_what_the_line_has_beyond_an_entry_may_come() -> None:
    machine = machines.systemd_boot()
    machine.files["/etc/kernel/cmdline"] = "root=UUID=0d3b7c1e ro quiet nosmt\n"
    run(machine, QAT)
    assert "nosmt" in machines.next_boot(machine)


# The firmware's word.


def test_reads_the_started_entry(tmp_path: Path) -> None:
    (tmp_path / "cmdline").write_text("ro\n")
    assert read_running(str(tmp_path), str(tmp_path)).entry == ""
    path = tmp_path / "firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x06\0\0\0" + "arch.conf\0".encode("utf-16-le"))
    assert read_running(str(tmp_path), str(tmp_path)).entry == "arch.conf"
    path.unlink()
    path.mkdir()
    with pytest.raises(NodeError) as caught:
        read_running(str(tmp_path), str(tmp_path))
    assert str(caught.value) == f"{path}: cannot be read: Is a directory; check sysfs_root"


# openSUSE's directory of more arguments.

RUNNING = f"BOOT_IMAGE=/vmlinuz {machines.SNAPSHOT_ROOT} ro"
ADDS_MORE = 'for i in "${subvol:1}"/etc/kernel/cmdline.d/* /etc/kernel/cmdline.d/*; do\n'


def with_more(text: str, tool: str = ADDS_MORE) -> FakeMachine:
    machine = machines.tumbleweed()
    machine.files["/usr/sbin/sdbootutil"] = tool
    machine.files["/etc/kernel/cmdline.d/50-site.conf"] = text
    machine.commands["sdbootutil"](machine, ["sdbootutil", "update-all-entries"])
    return machine


def test_what_sdbootutil_adds_of_a_directory_is_not_lost() -> None:
    machine = with_more("mitigations=auto\n")
    outcome = run(machine, QAT, line=RUNNING)
    assert outcome.plan.commands == (("sdbootutil", "update-all-entries"),)
    assert machines.next_boot(machine) == (
        f"splash=silent quiet security=selinux {machines.SNAPSHOT_ROOT} intel_iommu=on iommu=pt mitigations=auto mitigations=auto"
        f" systemd.machine_id={machines.MACHINE_ID}"
    )
    assert run(machine, QAT, line=RUNNING).plan.empty


def test_what_sdbootutil_does_not_read_would_be_lost() -> None:
    """An older one, with an entry that has the argument all the same; or a file whose last line has no end, which is none for `read`."""
    for tool, text in (("# without\n", "mitigations=auto\n"), (ADDS_MORE, "mitigations=auto")):
        machine = with_more("mitigations=auto\n")
        machine.files["/usr/sbin/sdbootutil"] = tool
        machine.files["/etc/kernel/cmdline.d/50-site.conf"] = text
        with pytest.raises(
            RefusedError, match=r"made again from /etc/kernel/cmdline.*, would lose mitigations=auto mitigations=auto"
        ):
            run(machine, QAT, line=RUNNING)


@pytest.mark.parametrize(
    ("text", "state"), [("intel_iommu=off\n", "present"), ("# ours\n  intel_iommu=on\n", "absent")]
)
def test_what_that_directory_would_take_back_is_refused(text: str, state: State) -> None:
    machine = with_more(text)
    before = dict(machine.files)
    with pytest.raises(RefusedError) as caught:
        run(machine, ["intel_iommu=on"], state, line=RUNNING)
    assert str(caught.value) == (
        f"/etc/kernel/cmdline.d, /usr/kernel/cmdline.d: has arguments with which intel_iommu=on ({state}) could not be, and sdbootutil puts"
        " them behind those of /etc/kernel/cmdline; change them there"
    )
    assert machine.files == before


def test_what_the_vendor_adds_gives_way_to_a_file_of_the_same_name() -> None:
    machine = with_more("mitigations=auto\n")
    machine.files["/usr/kernel/cmdline.d/50-site.conf"] = "intel_iommu=off\n"
    assert run(machine, ["intel_iommu=on"], line=RUNNING).plan.commands
    machine.files["/usr/kernel/cmdline.d/60-vendor.conf"] = "intel_iommu=off\n"
    with pytest.raises(RefusedError, match="has arguments with which intel_iommu=on"):
        run(machine, ["intel_iommu=on"], line=RUNNING)


def test_what_sdbootutil_would_not_write_back_is_refused() -> None:
    machine = machines.tumbleweed()
    machine.files["/etc/kernel/cmdline"] = f"quiet a=b&c {machines.SNAPSHOT_ROOT}\n"
    with pytest.raises(RefusedError) as caught:
        run(machine, QAT, line=RUNNING)
    assert str(caught.value) == (
        "/etc/kernel/cmdline: has characters that sdbootutil does not write back (&); set that argument in the entries by hand"
    )


# On the way back what is ours goes, and what others have written stays.

NOTES = "/var/lib/accel-qat/kernel_arguments"
LEFT = "bootloader: systemd-boot {}; it is left as it is, and has intel_iommu=on iommu=pt until somebody takes that out by hand"
BY_KERNEL_INSTALL = "starts /efi/loader/entries/arch.conf, which kernel-install does not write"


@pytest.mark.parametrize(("entry", "default"), [("arch.conf", ""), (NEWEST, "arch.conf")])
def test_the_way_back_leaves_an_entry_written_by_hand(entry: str, default: str) -> None:
    machine = by_hand("root=UUID=0d3b7c1e rw intel_iommu=on iommu=pt")
    machine.files["/efi/loader/loader.conf"] = f"default {default}\n" if default else ""
    before = dict(machine.files)
    run(machine, QAT, entry=entry)
    with pytest.raises(RefusedError, match="which kernel-install does not write"):
        run(machine, QAT, "absent", entry=entry)
    for _again in range(2):
        plan = run(machine, QAT, "absent", entry=entry, noted_in=NOTES).plan
        assert plan.notes == (LEFT.format(BY_KERNEL_INSTALL),)
        assert [each.text for each in plan.out_of_reach] == QAT
    assert plan.empty
    assert machine.files == before


def test_an_entry_by_hand_that_was_started_once_is_no_obstacle() -> None:
    machine = by_hand("rw intel_iommu=on iommu=pt")
    machine.files["/efi/loader/loader.conf"] = f"default {NEWEST}\n"
    run(machine, QAT, entry="arch.conf")
    plan = run(machine, QAT, "absent", entry="arch.conf", noted_in=NOTES).plan
    assert (plan.notes, plan.out_of_reach) == ((LEFT.format(BY_KERNEL_INSTALL),), ())


def test_the_way_back_leaves_a_unified_image() -> None:
    machine = machines.systemd_boot()
    run(machine, QAT, entry=NEWEST)
    image = "arch-linux.efi"
    with pytest.raises(RefusedError, match="a unified kernel image"):
        run(machine, QAT, "absent", entry=image, line="ro intel_iommu=on iommu=pt")
    plan = run(machine, QAT, "absent", entry=image, line="ro intel_iommu=on iommu=pt", noted_in=NOTES).plan
    said = f"has started {image}, a unified kernel image, which has its arguments in itself"
    assert plan.notes == (LEFT.format(said),)
    assert [each.text for each in plan.out_of_reach] == QAT
    assert satisfied(parse(machines.next_boot(machine)), read_request(QAT, "absent"))


def test_entries_that_cannot_be_seen_are_not_left() -> None:
    """They are ours, perhaps."""
    with pytest.raises(RefusedError, match="the boot partition is not mounted, or another one boots"):
        run(without_partition(), QAT, "absent", entry=NEWEST, line="ro iommu=pt", noted_in=NOTES)
