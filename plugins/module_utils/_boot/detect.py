# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finding out which boot loader starts this node's kernel, by evidence, the strongest first.

Sources: ostree (/run/ostree-booted), bootc-status(8), the Boot Loader Interface (the EFI variable LoaderInfo, set by
systemd-boot and by newer GRUBs), GRUB's blscfg module.
"""

from __future__ import annotations

import json
import os
import typing as t

from .._node.absence import if_there
from .._node.errors import RefusedError
from .._node.fields import lines_in
from .._node.printable import printable
from .loaders.entries import GRUB_ENTRIES, grub_reads_entries
from .loaders.grub import (
    GENERATED,
    GENERATED_FOR_EFI,
    Grub,
    generated_file,
)
from .loaders.grubby import Grubby
from .loaders.rpm_ostree import RpmOstree, booted_image_mode
from .loaders.systemd_boot import (
    BOOT_ROOTS,
    CMDLINE,
    SDBOOTUTIL,
    SystemdBoot,
)
from .running import look, read_efi_text

if t.TYPE_CHECKING:
    from .._host.machine import Machine
    from .arguments import CommandLine

OSTREE_BOOTED = "/run/ostree-booted"
OS_RELEASE = "/etc/os-release"
LOADER_INFO = "firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
EFI_VARIABLES = "firmware/efi/efivars"
KARGS_D = "/usr/lib/bootc/kargs.d"
SYSTEMD_BOOT_BINARIES = "/EFI/systemd/systemd-boot*.efi"

_CHOOSE = "say which with the option bootloader"


class Firmware(t.NamedTuple):
    """What the firmware knows of this boot."""

    efi: bool
    loader: str  # such as "systemd-boot 252.39" or "GRUB 2.12"; empty when no loader left its name
    is_seen: bool = True  # whether a loader's name would be seen


def read_firmware(sysfs_root: str = "/sys") -> Firmware:
    """Read it from sysfs. Raises NodeError when it is there and cannot be read."""
    path = os.path.join(sysfs_root, "firmware", "efi")
    efi = look(path, lambda: if_there(lambda: bool(os.stat(path)), False))
    # Of a firmware there always are some, as BootOrder; none with efi=noruntime, which kernels for real time have by default, and none in
    # a container that has /sys without what is mounted below it.
    variables = os.path.join(path, "efivars")
    nothing: list[str] = []
    is_seen = not efi or bool(look(variables, lambda: if_there(lambda: os.listdir(variables), nothing)))
    return Firmware(efi, read_efi_text(sysfs_root, LOADER_INFO), is_seen)


def detect(machine: Machine, firmware: Firmware, running: CommandLine | None = None) -> str | None:
    """The boot loader's name, or None when there is no sign of one.

    `running` is what the running kernel was started with. Raises RefusedError when there is one that cannot be given arguments, or two
    that could be it.
    """
    if machine.exists(OSTREE_BOOTED):
        return _of_ostree(machine)
    if firmware.loader.startswith("systemd-boot"):
        return SystemdBoot.name
    grub = generated_file(machine)
    if grub is not None and grub_reads_entries(machine, grub):
        return _of_entries(machine, grub)
    if grub is not None and not firmware.is_seen and not _started_by_grub(running):
        raise RefusedError(
            f"GRUB ({grub}) is installed, and whether it has started this node cannot be seen: there are no EFI variables"
            f" (/sys/{EFI_VARIABLES})",
            "bootloader",
            f"mount efivarfs there, or {_CHOOSE}",
        )
    systemd = _systemd_boot(machine) if firmware.efi else None
    if grub is not None and systemd is not None and not firmware.loader.startswith("GRUB"):
        raise RefusedError(
            f"GRUB ({grub}) and systemd-boot ({systemd}) are both installed, and the firmware names neither",
            "bootloader",
            _CHOOSE,
        )
    if grub is not None:
        if firmware.loader and not firmware.loader.startswith("GRUB"):
            raise RefusedError(
                f"GRUB ({grub}) is installed, but the firmware says that {printable(firmware.loader)} has started this node",
                "bootloader",
                _CHOOSE,
            )
        if systemd == CMDLINE:
            raise RefusedError(
                f"the next boot has its arguments from GRUB ({grub}) or from {SDBOOTUTIL} ({CMDLINE}), and the firmware does not say",
                "bootloader",
                _CHOOSE,
            )
        return Grub.name
    return SystemdBoot.name if systemd is not None else None


def nothing_found() -> RefusedError:
    """What to say when there is no sign of a boot loader."""
    return RefusedError(
        f"no boot loader was found that can be given kernel arguments: looked for {OSTREE_BOOTED}, the EFI variable"
        f" LoaderInfo, {', '.join((*GENERATED, GENERATED_FOR_EFI))}, and systemd-boot below {', '.join(BOOT_ROOTS)}",
        "bootloader",
        f"{_CHOOSE}, or set the arguments where this machine boots from",
    )


def _started_by_grub(running: CommandLine | None) -> bool:
    """GRUB names the kernel in the line that it starts it with (grub-core/loader/i386/linux.c); systemd-boot and EFI's own do not."""
    return running is not None and any(each.key == "BOOT_IMAGE" for each in running.arguments)


def _of_ostree(machine: Machine) -> str:
    has_rpm_ostree = machine.command("rpm-ostree") is not None
    # Fedora CoreOS is built as a bootc image too, but its documentation changes arguments with rpm-ostree.
    image_mode = _image_mode(machine) and "VARIANT_ID=coreos" not in lines_in(machine.read(OS_RELEASE) or "")
    if has_rpm_ostree and not image_mode:
        return RpmOstree.name
    if image_mode or machine.command("bootc"):
        alternative = ", or set them on this node alone with bootloader: rpm-ostree" if has_rpm_ostree else ""
        raise RefusedError(
            "this node runs a bootc image, and its kernel arguments belong in the image",
            "bootloader",
            f'write them to {KARGS_D}/10-qat.toml in the image, as kargs = ["KEY=VALUE"]{alternative}',
        )
    raise RefusedError(
        "this node runs an ostree image without rpm-ostree", "bootloader", "set the arguments where the image is built"
    )


def _image_mode(machine: Machine) -> bool:
    if machine.command("bootc") is None:
        return False
    result = machine.run(["bootc", "status", "--json"])
    try:
        return result.code == 0 and booted_image_mode(json.loads(result.out))
    except (ValueError, RecursionError):
        return False


def _of_entries(machine: Machine, grub: str) -> str:
    if machine.command("grubby") is None:
        raise RefusedError(
            f"GRUB takes its menu from {GRUB_ENTRIES} ({grub} calls blscfg), but the command grubby is missing",
            "bootloader",
            "install grubby, or set the arguments in the image",
        )
    return Grubby.name


def _systemd_boot(machine: Machine) -> str | None:
    """A sign of systemd-boot: its program on a boot partition, or SUSE's tool for it with its settings."""
    for root in BOOT_ROOTS:
        for path in machine.glob(root + SYSTEMD_BOOT_BINARIES):
            return path
    return CMDLINE if machine.command(SDBOOTUTIL) and machine.exists(CMDLINE) else None
