# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd-boot, and the boot entries that kernel-install or SUSE's sdbootutil write for it.

Sources: kernel-install(8) and 90-loaderentry.install (reads /etc/kernel/cmdline, else /usr/lib/kernel/cmdline, else
/proc/cmdline without BOOT_IMAGE= and initrd=), the Boot Loader Specification (fields of an entry), sdbootutil
(update_all_entries: the options of the entries with the root= and the rootflags=subvol= of the running snapshot;
create_boot_options: since March 2026 the files of /usr/kernel/cmdline.d and /etc/kernel/cmdline.d come behind),
loader.conf(5) (default), Proxmox VE's proxmox-boot-tool (its EFI system partitions are mounted by itself alone; it takes
/etc/kernel/cmdline as it is, which has to be one line).
"""

from __future__ import annotations

import fnmatch
import re
import typing as t
from dataclasses import dataclass

from ..._host.edits import FileEdit
from ..._node.errors import RefusedError
from ..._node.fields import lines_in, words_in
from ..arguments import (
    CommandLine,
    Request,
    merge,
    parse,
    satisfied,
    unsatisfied,
)
from ..plan import LineChange, Plan, to_be_made
from .by_hand import ByHand, OutOfReach, out_of_reach
from .entries import read_entry

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

CMDLINE = "/etc/kernel/cmdline"
VENDOR_CMDLINE = "/usr/lib/kernel/cmdline"
MACHINE_ID = "/etc/machine-id"
SDBOOTUTIL = "sdbootutil"
MORE = "/etc/kernel/cmdline.d"
VENDOR_MORE = "/usr/kernel/cmdline.d"
PROXMOX = "/etc/kernel/proxmox-boot-uuids"
PROXMOX_TOOL = "proxmox-boot-tool"
BOOT_ROOTS = ("/efi", "/boot", "/boot/efi")
_MODULES = "/lib/modules"
_FROM_THE_LOADER = ("BOOT_IMAGE", "initrd")
_ROOT = ("root", "rootflags")
_MACHINE_ID = "systemd.machine_id"  # kernel-install and sdbootutil add it by themselves
_READS_MORE = re.compile(r"^[^#\n]*/etc/kernel/cmdline\.d", re.MULTILINE)
# sed of sdbootutil gives these a meaning when it writes the options of an entry (update_entry_conf).
_UNSAFE = frozenset("&|\\")
_DEFAULT = re.compile(r"^[ \t]*default[ \t]+(?P<pattern>\S+)", re.MULTILINE)
# How often a new entry may still be tried, automatic boot assessment.
_TRIES = re.compile(r"\+[0-9]+(-[0-9]+)?(?=\.conf$)")


@dataclass(frozen=True)
class _Entry:
    path: str
    line: CommandLine

    @property
    def name(self) -> str:
        """What systemd-boot calls it."""
        return _TRIES.sub("", self.path.rpartition("/")[2]).lower()


class SystemdBoot:
    """/etc/kernel/cmdline, then the entries of the installed kernels made again.

    `started` is the entry that systemd-boot says it has started, empty where it says none.
    """

    name = "systemd-boot"

    def __init__(self, machine: Machine, running: CommandLine, started: str = "") -> None:
        self._machine = machine
        self._running = running
        self._started = started.lower()

    def plan(self, request: Request) -> Plan:
        """See BootLoader."""
        text = self._machine.read(CMDLINE)
        before = self._configured(text)
        after = merge(before, request)
        if self._machine.exists(PROXMOX):
            return self._proxmox(text, before, after, request)
        more = self._more()
        self._see_no_contradiction(after, more, request)
        ours = self._ours()
        stale = [entry for entry in ours if not satisfied(entry.line, request)]
        # Without a file new entries copy the running line, which may have been typed at the boot menu.
        write = after != before or (text is None and bool(stale))
        commands = self._rebuild_commands() if write or stale else ()
        beyond = self._beyond(ours, request, bool(commands))
        written = _render(text, after) if write else text or after.render()
        if commands:
            self._see_written_back(f"{written}\n{more}")
        return Plan(
            before,
            after,
            (FileEdit(CMDLINE, text, written),) if write else (),
            commands,
            rewritten=tuple(entry.path for entry in stale),
            changes=tuple(LineChange(entry.path, entry.line, merge(entry.line, request)) for entry in stale),
            lines=(
                LineChange(CMDLINE, before, self._configured(written)),
                *(
                    self._made_again(entry, _made(entry, f"{written}\n{more}") if commands else entry.line)
                    for entry in ours
                ),
            ),
            notes=beyond.notes,
            guarded=tuple(entry.path for entry in ours),
            out_of_reach=beyond.arguments,
        )

    def _proxmox(self, text: str | None, before: CommandLine, after: CommandLine, request: Request) -> Plan:
        """Proxmox VE: nobody sees its boot partitions, so they are written again where nothing shows that they have the line."""
        if self._machine.command(PROXMOX_TOOL) is None:
            raise RefusedError(
                f"only {PROXMOX_TOOL} writes the boot partitions that {PROXMOX} names, and this node has no such command",
                "bootloader",
                "install proxmox-kernel-helper",
            )
        lines = [line for line in lines_in(text or "") if line.strip()]
        if len(lines) > 1 or any(line.lstrip().startswith("#") for line in lines):
            raise RefusedError(
                f"has more than one line, of which {PROXMOX_TOOL} would have only the first in force",
                CMDLINE,
                "write all arguments on one line, without comments",
            )
        write = after != before
        refresh = write or to_be_made(self._machine, after, satisfied(self._running, request))
        return Plan(
            before,
            after,
            (FileEdit(CMDLINE, text, after.render() + "\n"),) if write else (),
            ((PROXMOX_TOOL, "refresh"),) if refresh else (),
            unseen=True,
        )

    def _beyond(self, ours: t.Sequence[_Entry], request: Request, again: bool) -> OutOfReach:
        """What the entry of the next boot has or lacks where nobody makes it again. Raises RefusedError as `out_of_reach` does.

        That is the entry which was started, and the one that loader.conf names. Raises RefusedError, too, where it cannot be seen.
        """
        entries = [entry for entry, _fields in self._entries()]
        names = (self._started, f"{self._started}.conf")
        chosen = [entry for entry in entries if self._started and entry.name in names]
        by_default = self._by_default(entries)
        images = self._image(request) if self._started and not (chosen or self._runs_so(request, again)) else []
        made = [entry.path for entry in ours] if again else []
        before, later = (
            [self._by_hand(entry) for entry in some if entry.path not in made] for some in (chosen, by_default)
        )
        before += images
        beyond = out_of_reach(later, before, request) if by_default else out_of_reach(before, (), request)
        if not (chosen or ours or images or self._machine.command(SDBOOTUTIL) or self._runs_so(request, again)):
            raise self._unseen("the next boot is by an entry of an installed kernel")
        return beyond

    def _image(self, request: Request) -> list[ByHand]:
        """The unified kernel image that was started. Raises RefusedError unless it is one, and the way back is asked for."""
        unseen = self._unseen(f"systemd-boot has started {self._started}")
        if not (request.is_way_back and self._is_image()):
            raise unseen
        return [ByHand(unseen, self._running)]

    def _by_hand(self, entry: _Entry) -> ByHand:
        refusal = RefusedError(
            f"systemd-boot starts {entry.path}, which {self._maker()} does not write",
            "bootloader",
            "set the arguments in its line options by hand, or have systemd-boot start an entry of an installed kernel",
        )
        return ByHand(refusal, entry.line)

    def _is_image(self) -> bool:
        """Whether a unified kernel image was started, which has its arguments in itself."""
        return self._started.endswith(".efi")

    def _runs_so(self, request: Request, again: bool) -> bool:
        """Whether nothing is to be done, and the running kernel shows that what is configured gets there."""
        return not again and satisfied(self._running, request)

    def _unseen(self, what: str) -> RefusedError:
        roots = ", ".join(f"{root}/loader/entries" for root in BOOT_ROOTS)
        if self._is_image():
            return RefusedError(
                f"{what}, a unified kernel image, which has its arguments in itself",
                "bootloader",
                "set them where the image is built, and sign it again",
            )
        return RefusedError(
            f"{what}, and there is none in {roots}: the boot partition is not mounted, or another one boots",
            "bootloader",
            "mount it, and reboot first where the kernel of that entry is no longer installed",
        )

    def _by_default(self, entries: t.Sequence[_Entry]) -> list[_Entry]:
        """The entries that loader.conf has started first; with a name such as @saved nobody knows."""
        patterns: list[str] = []
        for root in BOOT_ROOTS:
            patterns += _DEFAULT.findall(self._machine.read(f"{root}/loader/loader.conf") or "")[-1:]
        return [
            entry
            for entry in entries
            if any(
                fnmatch.fnmatchcase(entry.name, form.lower()) for each in patterns for form in (each, f"{each}.conf")
            )
        ]

    def _maker(self) -> str:
        return SDBOOTUTIL if self._machine.command(SDBOOTUTIL) else "kernel-install"

    def _configured(self, text: str | None) -> CommandLine:
        """The line kernel-install gives a new entry."""
        text = text if text is not None else self._machine.read(VENDOR_CMDLINE)
        if text is not None:
            return parse(_without_comments(text))
        kept = tuple(each for each in self._running.arguments if each.key not in _FROM_THE_LOADER)
        return CommandLine(kept, self._running.init)

    def _made_again(self, entry: _Entry, after: CommandLine) -> LineChange:
        return LineChange(
            f"{entry.path}, made again from {' and '.join(self._sources())},", entry.line, after, again=True
        )

    def _sources(self) -> list[str]:
        return [CMDLINE, *([MORE] if self._reads_more() else [])]

    def _reads_more(self) -> bool:
        """Whether what makes the entries again adds the files of a directory: newer sdbootutil, and not kernel-install."""
        tool = self._machine.command(SDBOOTUTIL)
        return tool is not None and _READS_MORE.search(self._machine.read(tool) or "") is not None

    def _more(self) -> str:
        """What comes behind the line; a file of the administrator stands for the vendor's of the same name."""
        if not self._reads_more():
            return ""
        files = self._machine.glob(f"{MORE}/*")
        names = {path.rpartition("/")[2] for path in files}
        vendor = [path for path in self._machine.glob(f"{VENDOR_MORE}/*") if path.rpartition("/")[2] not in names]
        # It looks through two directories, of which one is mostly the other: with those of a snapshot, that is.
        return 2 * "".join(self._lines_read(path) for path in [*vendor, *files])

    def _lines_read(self, path: str) -> str:
        """The lines as `read` of a shell takes them: the last one is none without its end."""
        whole, _newline, _rest = (self._machine.read(path) or "").rpartition("\n")
        return "".join(f"{line.strip()}\n" for line in lines_in(whole))

    def _see_written_back(self, text: str) -> None:
        unsafe = " ".join(sorted(_UNSAFE.intersection(text)))
        if unsafe and self._machine.command(SDBOOTUTIL):
            raise RefusedError(
                f"has characters that {SDBOOTUTIL} does not write back ({unsafe})",
                " or ".join(self._sources()),
                "set that argument in the entries by hand",
            )

    def _see_no_contradiction(self, line: CommandLine, more: str, request: Request) -> None:
        """Refuse what a file of that directory would take back, for it comes behind. Which file it is the administrator knows."""
        whole = CommandLine((*line.arguments, *parse(_without_comments(more)).arguments), line.init)
        pending = unsatisfied(whole, request)
        if pending.arguments and self._reads_more():
            wanted = " ".join(each.text for each in pending.arguments)
            raise RefusedError(
                f"has arguments with which {wanted} ({request.state}) could not be, and {SDBOOTUTIL} puts them behind those of {CMDLINE}",
                f"{MORE}, {VENDOR_MORE}",
                "change them there",
            )

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
                "systemd-boot's entries cannot be made again: looked for the command kernel-install, and for kernels"
                f" in {_MODULES}/VERSION/vmlinuz and /boot/vmlinuz-VERSION",
                "bootloader",
                "install kernel-install (systemd), or set the arguments in the image",
            )
        return tuple(("kernel-install", "add", version, image) for version, image in sorted(kernels.items()))

    def _ours(self) -> list[_Entry]:
        """The entries that are made again. One may not be as requested: an earlier run may have ended before it."""
        return list(self._of_running_root() if self._machine.command(SDBOOTUTIL) else self._of_installed_kernels())

    def _of_running_root(self) -> t.Iterator[_Entry]:
        """The entries that sdbootutil makes again: it keeps those of other snapshots, and of other systems, as they were."""
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


def _made(entry: _Entry, text: str) -> CommandLine:
    """What kernel-install makes of the text of /etc/kernel/cmdline in place of this entry.

    White space is all alike to it, it adds the machine's id, and that of systemd 252 knows no comments.
    """
    knows_comments = not any(word.startswith("#") for word in entry.line.texts())
    line = parse(" ".join(words_in(_without_comments(text) if knows_comments else text)))
    added = [word for word in (*entry.line.texts(), *entry.line.init) if word.startswith(f"{_MACHINE_ID}=")]
    if any(word.startswith(f"{_MACHINE_ID}=") for word in (*line.texts(), *line.init)):
        return line
    return parse(" ".join([line.render(), *added]))


def _without_comments(text: str) -> str:
    return " ".join(line for line in lines_in(text) if not line.startswith("#"))


def _root(line: CommandLine) -> dict[str, str | None]:
    """What says where the root file system is; `rootflags` names the snapshot."""
    return {each.key: each.value for each in line.arguments if each.key in _ROOT}


def _render(text: str | None, line: CommandLine) -> str:
    comments = [each + "\n" for each in lines_in(text or "") if each.startswith("#")]
    return "".join(comments) + line.render() + "\n"
