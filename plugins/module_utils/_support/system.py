# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of the machine itself is of use, and the files in which kernel arguments and options of modules stand."""

from __future__ import annotations

import re
import typing as t

from .._boot.detect import detect, read_firmware
from .._boot.loaders.entries import GRUB_ENTRIES
from .._boot.loaders.grub import DROP_INS, GENERATED, GENERATED_FOR_EFI, SETTINGS
from .._boot.loaders.systemd_boot import BOOT_ROOTS, CMDLINE, VENDOR_CMDLINE
from .._boot.plan import UNFINISHED
from .._kubelet.observe import cgroup_version
from .files import LeftOut, seen
from .redaction import Form

if t.TYPE_CHECKING:
    from .._host.machine import Machine
    from .._node.kernel.live import Kernel

# Of ours, of distributions, and of Intel's package.
MODPROBE_FILES = tuple(
    f"/etc/modprobe.d/{name}.conf" for name in ("vfio", "vfio-pci", "qat", "blacklist-qat", "blacklist-qat-vf-drivers")
)
_MOST_OF_A_PATTERN = 20
_OS_RELEASE = re.compile(
    r"(?m)^(NAME|VERSION|VERSION_ID|ID|ID_LIKE|PRETTY_NAME|VARIANT_ID|BUILD_ID|PLATFORM_ID)=\"?([\w .()/:+\-]*)\"?$"
)
_DMI = ("sys_vendor", "product_name", "bios_vendor", "bios_version", "bios_date", "board_vendor", "board_name")
_STATES = {
    "lockdown": "/sys/kernel/security/lockdown",
    "selinux_enforce": "/sys/fs/selinux/enforce",
    "tainted": "/proc/sys/kernel/tainted",
}
_MEMORY = re.compile(r"(?m)^(?:MemTotal|MemAvailable|HugePages_\w+|Hugepagesize|Hugetlb):.*$")


def distribution(text: str) -> dict[str, str]:
    """What os-release says of it."""
    return dict(_OS_RELEASE.findall(text))


def hardware(kernel: Kernel) -> dict[str, str]:
    """The machine, without numbers that only one has, and what restricts its kernel."""
    places = {name: f"/sys/class/dmi/id/{name}" for name in _DMI}
    return {name: seen(lambda path=path: kernel.read(path)) for name, path in {**places, **_STATES}.items()}  # type: ignore[misc]


def memory(text: str) -> str:
    """What of /proc/meminfo is about hugepages, and how much there is."""
    return "".join(f"{line}\n" for line in _MEMORY.findall(text))


def boot_loader(machine: Machine, sysfs_root: str) -> str:
    """Its name, as kernel_args finds it, and the version of cgroups. Raises NodeError, LeftOut."""
    name = detect(machine, read_firmware(sysfs_root))
    if name is None:
        raise LeftOut("no boot loader is found")
    return f"boot loader: {name}\ncgroups: {cgroup_version(machine) or 'not seen'}\n"


def boot_files(machine: Machine) -> t.Iterator[tuple[str, Form]]:
    """The files that say with which arguments the kernel is booted."""
    yield CMDLINE, Form.KERNEL
    yield VENDOR_CMDLINE, Form.KERNEL
    yield UNFINISHED, Form.KERNEL
    yield SETTINGS, Form.BOOT
    entries = dict.fromkeys([GRUB_ENTRIES, *(f"{root}/loader/entries/*.conf" for root in BOOT_ROOTS)])
    for pattern in (DROP_INS, *GENERATED, GENERATED_FOR_EFI, *entries):
        for path in machine.glob(pattern)[:_MOST_OF_A_PATTERN]:
            yield path, Form.BOOT
    for root in BOOT_ROOTS:
        yield f"{root}/loader/loader.conf", Form.BOOT
