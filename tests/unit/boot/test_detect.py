# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which boot loader a machine has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import parse
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import (
    LOADER_INFO,
    Firmware,
    detect,
    nothing_found,
    read_firmware,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError
from ansible_collections.accel.qat.tests.fakes.host import Command, FakeMachine, fails, says
from ansible_collections.accel.qat.tests.unit.boot import machines

BIOS = Firmware(efi=False, loader="")
EFI = Firmware(efi=True, loader="")
SYSTEMD = Firmware(efi=True, loader="systemd-boot 252.39-1~deb12u2")
GRUB = Firmware(efi=True, loader="GRUB 2.12")


def image_mode(incompatible: bool = False) -> Command:
    booted = {"image": {"image": {"image": "quay.example/os", "transport": "registry"}}, "incompatible": incompatible}
    return says(json.dumps({"apiVersion": "org.containers.bootc/v1", "status": {"staged": None, "booted": booted}}))


def ostree(**commands: Command) -> FakeMachine:
    files = {"/run/ostree-booted": "", "/etc/os-release": "ID=rhel\n"}
    return FakeMachine(
        files, {name.replace("_", "-"): command for name, command in commands.items()}, reading=["bootc"]
    )


def rhel8_with_efi() -> FakeMachine:
    machine = machines.rhel8()
    machine.files["/boot/efi/EFI/rocky/grub.cfg"] = machine.files.pop("/boot/grub2/grub.cfg")
    return machine


@pytest.mark.parametrize(
    ("machine", "firmware", "expected"),
    [
        (machines.debian(), BIOS, "grub"),
        (machines.debian(), EFI, "grub"),
        (machines.debian(), SYSTEMD, "systemd-boot"),
        (machines.suse(), GRUB, "grub"),
        (machines.rhel9(), EFI, "grubby"),
        (machines.rhel8(), BIOS, "grubby"),
        (rhel8_with_efi(), EFI, "grubby"),
        (machines.core_os(), EFI, "rpm-ostree"),
        (machines.systemd_boot(), EFI, "systemd-boot"),
        (machines.systemd_boot(), BIOS, None),
        (machines.tumbleweed(), EFI, "systemd-boot"),
        (FakeMachine({}, {}), EFI, None),
        (ostree(rpm_ostree=says("")), EFI, "rpm-ostree"),
        (ostree(rpm_ostree=says(""), bootc=fails(1, "not bootc")), EFI, "rpm-ostree"),
        (ostree(rpm_ostree=says(""), bootc=says("not JSON")), EFI, "rpm-ostree"),
        (ostree(rpm_ostree=says(""), bootc=says("[" * 100_000)), EFI, "rpm-ostree"),
        (ostree(rpm_ostree=says(""), bootc=says('{"status": {"booted": null}}')), EFI, "rpm-ostree"),
        (ostree(rpm_ostree=says(""), bootc=image_mode(incompatible=True)), EFI, "rpm-ostree"),
    ],
)
def test_detects(machine: FakeMachine, firmware: Firmware, expected: str | None) -> None:
    assert detect(machine, firmware) == expected


def both() -> FakeMachine:
    machine = machines.debian()
    machine.files["/boot/efi/EFI/systemd/systemd-bootx64.efi"] = "MZ"
    return machine


UNSEEN = Firmware(efi=True, loader="", is_seen=False)


def test_grub_is_not_taken_for_the_loader_where_nothing_says_so() -> None:
    """As on Proxmox VE, which has a grub.cfg too, or with efi=noruntime."""
    by_grub = parse("BOOT_IMAGE=/boot/vmlinuz-6.1.0 root=/dev/vda1 ro")
    by_systemd_boot = parse("initrd=\\EFI\\proxmox\\initrd.img root=ZFS=rpool/ROOT/pve-1 boot=zfs")
    assert detect(machines.debian(), UNSEEN, by_grub) == "grub"
    assert detect(machines.systemd_boot(), UNSEEN, by_systemd_boot) == "systemd-boot"
    assert detect(machines.rhel9(), UNSEEN, by_systemd_boot) == "grubby"
    for machine in (machines.debian(), machines.proxmox()):
        for line in (by_systemd_boot, None):
            with pytest.raises(RefusedError) as caught:
                detect(machine, UNSEEN, line)
            assert str(caught.value) == (
                "bootloader: GRUB (/boot/grub/grub.cfg) is installed, and whether it has started this node cannot be seen: there are no EFI"
                " variables (/sys/firmware/efi/efivars); mount efivarfs there, or say which with the option bootloader"
            )


@pytest.mark.parametrize(("firmware", "expected"), [(SYSTEMD, "systemd-boot"), (GRUB, "grub"), (BIOS, "grub")])
def test_the_firmware_decides_between_two(firmware: Firmware, expected: str) -> None:
    assert detect(both(), firmware) == expected


@pytest.mark.parametrize("loader", ["rEFInd 0.14.2", "Limine 8.6.0"])
def test_another_loader_that_the_firmware_names_is_not_taken_for_grub(loader: str) -> None:
    with pytest.raises(RefusedError) as caught:
        detect(machines.debian(), Firmware(True, loader))
    assert str(caught.value) == (
        f"bootloader: GRUB (/boot/grub/grub.cfg) is installed, but the firmware says that {loader} has started this node; say which with"
        " the option bootloader"
    )


def test_a_grub_that_may_read_the_entries_of_sdbootutil_is_not_taken_for_the_other() -> None:
    machine = machines.tumbleweed()
    assert detect(machine, GRUB) == "systemd-boot"
    machine.files["/boot/grub2/grub.cfg"] = "left by an installation without entries"
    with pytest.raises(RefusedError) as caught:
        detect(machine, GRUB)
    assert str(caught.value) == (
        "bootloader: the next boot has its arguments from GRUB (/boot/grub2/grub.cfg) or from sdbootutil (/etc/kernel/cmdline), and the"
        " firmware does not say; say which with the option bootloader"
    )


def without_grubby() -> FakeMachine:
    machine = machines.rhel9()
    del machine.commands["grubby"]
    return machine


BOTH = (
    "bootloader: GRUB (/boot/grub/grub.cfg) and systemd-boot (/boot/efi/EFI/systemd/systemd-bootx64.efi) are both"
    " installed, and the firmware names neither; say which with the option bootloader"
)
NO_GRUBBY = (
    "bootloader: GRUB takes its menu from /boot/loader/entries/*.conf (/boot/grub2/grub.cfg calls blscfg), but the"
    " command grubby is missing; install grubby, or set the arguments in the image"
)
IMAGE_MODE = (
    "bootloader: this node runs a bootc image, and its kernel arguments belong in the image; write them to"
    ' /usr/lib/bootc/kargs.d/10-qat.toml in the image, as kargs = ["KEY=VALUE"]'
)
OR_HERE = ", or set them on this node alone with bootloader: rpm-ostree"
NO_RPM_OSTREE = (
    "bootloader: this node runs an ostree image without rpm-ostree; set the arguments where the image is built"
)


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        (both(), BOTH),
        (without_grubby(), NO_GRUBBY),
        (ostree(bootc=image_mode()), IMAGE_MODE),
        (ostree(bootc=image_mode(), rpm_ostree=says("")), IMAGE_MODE + OR_HERE),
        (ostree(), NO_RPM_OSTREE),
    ],
    ids=["ambiguous", "no-grubby", "bootc", "bootc-and-rpm-ostree", "ostree-alone"],
)
def test_refuses(machine: FakeMachine, sentence: str) -> None:
    with pytest.raises(RefusedError) as caught:
        detect(machine, EFI)
    assert str(caught.value) == sentence
    assert machine.done == []


def test_core_os_is_changed_by_rpm_ostree_though_built_by_bootc() -> None:
    machine = machines.core_os()
    machine.commands["bootc"] = image_mode()
    assert detect(machine, EFI) == "rpm-ostree"


def test_nothing_found_names_all_that_was_looked_for() -> None:
    assert str(nothing_found()) == (
        "bootloader: no boot loader was found that can be given kernel arguments: looked for /run/ostree-booted, the EFI"
        " variable LoaderInfo, /boot/grub/grub.cfg, /boot/grub2/grub.cfg, /boot/efi/EFI/*/grub.cfg, and systemd-boot"
        " below /efi, /boot, /boot/efi;"
        " say which with the option bootloader, or set the arguments where this machine boots from"
    )


def test_reads_the_loader_from_an_efi_variable(tmp_path: Path) -> None:
    assert read_firmware(str(tmp_path)) == BIOS
    variable = tmp_path / LOADER_INFO
    variable.parent.parent.mkdir(parents=True)
    assert read_firmware(str(tmp_path)) == UNSEEN
    variable.parent.mkdir()
    assert read_firmware(str(tmp_path)) == UNSEEN
    (variable.parent / "BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c").write_bytes(b"\7\0\0\0\0\0")
    assert read_firmware(str(tmp_path)) == EFI
    variable.write_bytes(b"\x06\0\0\0" + "GRUB 2.12\0".encode("utf-16-le"))
    assert read_firmware(str(tmp_path)) == GRUB
