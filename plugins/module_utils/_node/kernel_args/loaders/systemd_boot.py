# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd-boot, and the boot entries that kernel-install or SUSE's sdbootutil write for it.

Sources: kernel-install(8) and 90-loaderentry.install (reads /etc/kernel/cmdline, else /usr/lib/kernel/cmdline, else
/proc/cmdline without BOOT_IMAGE= and initrd=), the Boot Loader Specification (fields of an entry), sdbootutil
(update_all_entries: the options of the entries with the root= and the rootflags=subvol= of the running snapshot).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ...errors import RefusedError
from ..arguments import CommandLine, Request, merge, parse, satisfied
from ..plan import FileEdit, LineChange, Plan
from .entries import read_entry

if t.TYPE_CHECKING:
    from ..machine import Machine

CMDLINE = "/etc/kernel/cmdline"
VENDOR_CMDLINE = "/usr/lib/kernel/cmdline"
MACHINE_ID = "/etc/machine-id"
SDBOOTUTIL = "sdbootutil"
BOOT_ROOTS = ("/efi", "/boot", "/boot/efi")
_MODULES = "/lib/modules"
_FROM_THE_LOADER = ("BOOT_IMAGE", "initrd")
_ROOT = ("root", "rootflags")


@dataclass(frozen=True)
class _Entry:
    path: str
    line: CommandLine


class SystemdBoot:
    """/etc/kernel/cmdline, then the entries of the installed kernels made anew."""

    name = "systemd-boot"

    def __init__(self, machine: Machine, running: CommandLine) -> None:
        self._machine = machine
        self._running = running

    def plan(self, request: Request) -> Plan:
        """See BootLoader."""
        text = self._machine.read(CMDLINE)
        before = self._configured(text)
        after = merge(before, request)
        stale = self._stale(request)
        # Without a file new entries copy the running line, which may have been typed at the boot menu.
        write = after != before or (text is None and bool(stale))
        if not (write or stale):
            return Plan(before, before)
        return Plan(
            before,
            after,
            (FileEdit(CMDLINE, text, _render(text, after)),) if write else (),
            self._rebuild_commands(),
            rewritten=tuple(entry.path for entry in stale),
            changes=tuple(LineChange(entry.path, entry.line, merge(entry.line, request)) for entry in stale),
        )

    def _configured(self, text: str | None) -> CommandLine:
        """The line kernel-install gives a new entry."""
        text = text if text is not None else self._machine.read(VENDOR_CMDLINE)
        if text is not None:
            return parse(" ".join(line for line in text.splitlines() if not line.startswith("#")))
        kept = tuple(each for each in self._running.arguments if each.key not in _FROM_THE_LOADER)
        return CommandLine(kept, self._running.init)

    def _kernels(self) -> dict[str, str]:
        """Version and image of every installed kernel: Fedora keeps the image with the modules, Debian in /boot."""
        kernels: dict[str, str] = {}
        for directory in self._machine.glob(_MODULES + "/*"):
            version = directory.rpartition("/")[2]
            images = (f"{directory}/vmlinuz", f"/boot/vmlinuz-{version}")
            image = next(filter(self._machine.exists, images), None)
            if image is not None:
                kernels[version] = image
        return kernels

    def _rebuild_commands(self) -> tuple[tuple[str, ...], ...]:
        if self._machine.command(SDBOOTUTIL):
            return ((SDBOOTUTIL, "update-all-entries"),)
        kernels = self._kernels()
        if not self._machine.command("kernel-install") or not kernels:
            raise RefusedError(
                "systemd-boot's entries cannot be made anew: looked for the command kernel-install, and for kernels"
                f" in {_MODULES}/VERSION/vmlinuz and /boot/vmlinuz-VERSION",
                "bootloader",
                "install kernel-install (systemd), or set the arguments in the image",
            )
        return tuple(("kernel-install", "add", version, image) for version, image in sorted(kernels.items()))

    def _stale(self, request: Request) -> list[_Entry]:
        """The entries that are not as requested: an earlier run may have ended before them."""
        ours = self._of_running_root() if self._machine.command(SDBOOTUTIL) else self._of_installed_kernels()
        return [entry for entry in ours if not satisfied(entry.line, request)]

    def _of_running_root(self) -> t.Iterator[_Entry]:
        """The entries that sdbootutil makes anew: it keeps those of other snapshots, and of other systems, as they were."""
        running = _root(self._running)
        for entry, _fields in self._entries():
            if running and _root(entry.line) == running:
                yield entry

    def _of_installed_kernels(self) -> t.Iterator[_Entry]:
        """This machine's entries of kernels that are still installed."""
        identity = (self._machine.read(MACHINE_ID) or "").strip()
        kernels = self._kernels()
        for entry, fields in self._entries():
            ours = fields.get("machine-id", [identity])[-1] == identity
            if ours and fields.get("version", [""])[-1] in kernels:
                yield entry

    def _entries(self) -> t.Iterator[tuple[_Entry, t.Mapping[str, list[str]]]]:
        """All entries with their fields."""
        for root in BOOT_ROOTS:
            for path in self._machine.glob(root + "/loader/entries/*.conf"):
                fields = read_entry(self._machine.read(path) or "")
                yield _Entry(path, parse(" ".join(fields.get("options", [])))), fields


def _root(line: CommandLine) -> dict[str, str | None]:
    """What says where the root file system is; `rootflags` names the snapshot."""
    return {each.key: each.value for each in line.arguments if each.key in _ROOT}


def _render(text: str | None, line: CommandLine) -> str:
    comments = [each + "\n" for each in (text or "").splitlines() if each.startswith("#")]
    return "".join(comments) + line.render() + "\n"
