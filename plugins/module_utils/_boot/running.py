# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the running kernel was booted with, and whether its IOMMU works."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from .._node.absence import if_there
from .._node.errors import NodeError, remedy_for
from .arguments import (
    Argument,
    CommandLine,
    Request,
    in_force,
    matches,
    parse,
)

_ENTRY = "firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_Seen = t.TypeVar("_Seen")


@dataclass(frozen=True)
class Running:
    """The running kernel's state."""

    line: CommandLine
    iommu_active: bool
    entry: str = ""  # the boot entry that it was started from, where a boot loader has left its name

    def missing(self, request: Request) -> list[Argument]:
        """The wanted arguments that the running kernel does not follow."""
        if request.state == "absent":
            return []
        return [wanted for wanted in request.arguments if not in_force(self.line, wanted)]

    def lingering(self, request: Request) -> list[Argument]:
        """The unwanted arguments that the running kernel was booted with all the same."""
        if request.state == "present":
            return []
        return [each for each in self.line.arguments if any(matches(each, unwanted) for unwanted in request.arguments)]

    def needs_reboot(self, request: Request) -> bool:
        """Whether only a reboot brings what is requested; what holds already needs none, wherever it came from."""
        return bool(self.missing(request) or self.lingering(request))


def read_running(proc_root: str = "/proc", sysfs_root: str = "/sys") -> Running:
    """Read /proc/cmdline and the IOMMU's state. Raises NodeError when there is no command line to read."""
    path = os.path.join(proc_root, "cmdline")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            line = parse(stream.read())
    except OSError as error:
        raise NodeError(f"cannot be read: {error.strerror}", path, "check proc_root") from None
    return Running(line, iommu_active(sysfs_root), read_efi_text(sysfs_root, _ENTRY))


def read_efi_text(sysfs_root: str, variable: str) -> str:
    """A text of the Boot Loader Interface, empty where there is none. Raises NodeError when it cannot be read.

    An EFI variable is four bytes of attributes, then, here, UTF-16.
    """
    path = os.path.join(sysfs_root, variable)
    return look(path, lambda: if_there(lambda: _content(path), b""))[4:].decode("utf-16-le", "replace").rstrip("\0")


def look(path: str, see: t.Callable[[], _Seen]) -> _Seen:
    """What `see` gives. Raises NodeError where it cannot see."""
    try:
        return see()
    except OSError as error:
        raise NodeError(f"cannot be read: {error.strerror}", path, remedy_for(error, "check sysfs_root")) from None


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def iommu_active(sysfs_root: str = "/sys") -> bool:
    """Whether an Intel IOMMU translates: there are IOMMU groups and a DMA remapping unit.

    The command line does not say: kernels differ in their default (CONFIG_INTEL_IOMMU_DEFAULT_ON), and firmware may
    have VT-d off.
    """
    groups = _names(os.path.join(sysfs_root, "kernel", "iommu_groups"))
    units = _names(os.path.join(sysfs_root, "class", "iommu"))
    return bool(groups) and any(name.startswith("dmar") for name in units)


def _names(path: str) -> list[str]:
    return look(path, lambda: if_there(lambda: os.listdir(path), []))
