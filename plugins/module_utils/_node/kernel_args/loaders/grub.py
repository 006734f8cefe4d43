# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GRUB with a generated grub.cfg: Debian, Ubuntu, SUSE.

Sources: util/grub-mkconfig.in (sources /etc/default/grub, then, in Debian's and newer ones, /etc/default/grub.d/*.cfg,
under set -e; replaces grub.cfg only after grub-script-check), util/grub.d/10_linux.in (the line is GRUB_CMDLINE_LINUX
GRUB_CMDLINE_LINUX_DEFAULT; the first entry is the newest kernel's), update-grub(8), transactional-update(8).
"""

from __future__ import annotations

import re
import typing as t

from ...errors import NodeError, RefusedError
from ..arguments import Argument, CommandLine, Request, parse, satisfied, unsatisfied
from ..machine import last_lines
from ..plan import FileEdit, Plan
from . import grub_settings
from .entries import GRUB_ENTRIES, grub_reads_entries

if t.TYPE_CHECKING:
    from ..machine import Machine

SETTINGS = "/etc/default/grub"
DROP_INS = "/etc/default/grub.d/*.cfg"
# Sorts behind what distributions and kdump-tools put there, so that no later plain assignment discards it.
DROP_IN = "/etc/default/grub.d/zz-accel-qat.cfg"
GENERATED = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
# RHEL 7 and 8 with UEFI, and their kin; elsewhere what is there only leads to one of the above.
GENERATED_FOR_EFI = "/boot/efi/EFI/*/grub.cfg"

_MKCONFIG = ("grub-mkconfig", "grub2-mkconfig")
_SECTION = re.compile(r"^### BEGIN /etc/grub\.d/10_linux.*?^### END /etc/grub\.d/10_linux", re.MULTILINE | re.DOTALL)
_LINUX = re.compile(r"^[ \t]*linux(?:16|efi)?[ \t]+\S+[ \t]+(?P<arguments>.*)$", re.MULTILINE)
# GRUB reads these in grub.cfg as its own script language (GRUB manual, "Shell-like scripting", quoting).
_UNSAFE = frozenset("\\$`';&|<>")
# What 10_linux writes by itself, whatever the settings.
_GENERATED_KEYS = frozenset({"root", "ro"})

Files = dict[str, str]


class Grub:
    """A drop-in of our own where grub-mkconfig reads drop-ins, /etc/default/grub where not."""

    name = "grub"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def plan(self, request: Request) -> Plan:
        """See BootLoader."""
        _refuse_what_cannot_be_set(request)
        rebuild = self._rebuild_command()
        files = self._settings()
        before = self._evaluate(files)
        edited = files if satisfied(before, request) else self._edited(files, before, request)
        after = before if edited == files else self._evaluate(edited)
        if not satisfied(after, request):
            raise _cannot_edit(files, before, unsatisfied(after, request))
        edits = _edits(files, edited)
        needed = bool(edits) or not self._generated_is_current(request)
        return Plan(before, after, edits, (rebuild,) if needed else (), notes=self._notes(edits))

    def _rebuild_command(self) -> tuple[str, ...]:
        generated = generated_file(self._machine)
        if generated is not None and grub_reads_entries(self._machine, generated):
            raise RefusedError(
                f"this GRUB takes its menu from {GRUB_ENTRIES}, so its settings would change nothing",
                "bootloader",
                "use bootloader: grubby",
            )
        if self._in_snapshots():
            return ("transactional-update", "--non-interactive", "--continue", "grub.cfg")
        if self._machine.command("update-grub"):
            return ("update-grub",)
        mkconfig = self._mkconfig()
        if mkconfig is None or generated is None:
            raise RefusedError(
                "GRUB cannot be told kernel arguments here: looked for the commands update-grub, {}, and for {}".format(
                    ", ".join(_MKCONFIG), " and ".join(GENERATED)
                ),
                "bootloader",
                "install GRUB's tools (grub2-common, grub2), or name the boot loader that is in use",
            )
        return (mkconfig, "-o", generated)

    def _mkconfig(self) -> str | None:
        return next((name for name in _MKCONFIG if self._machine.command(name)), None)

    def _in_snapshots(self) -> bool:
        """Whether / is a read-only snapshot that only transactional-update may succeed (SUSE MicroOS, SL Micro)."""
        if not self._machine.command("transactional-update"):
            return False
        mounts = [line.split() for line in (self._machine.read("/proc/1/mounts") or "").splitlines()]
        roots = [fields[3] for fields in mounts if len(fields) > 3 and fields[1] == "/"]
        return bool(roots) and "ro" in roots[-1].split(",")

    def _has_drop_ins(self) -> bool:
        name = self._mkconfig()
        path = self._machine.command(name) if name else None
        return path is not None and "/default/grub.d" in (self._machine.read(path) or "")

    def _settings(self) -> Files:
        """The files that grub-mkconfig sources, in its order."""
        paths = [SETTINGS, *(self._machine.glob(DROP_INS) if self._has_drop_ins() else [])]
        texts = {path: self._machine.read(path) for path in paths}
        return {path: text for path, text in texts.items() if text is not None}

    def _evaluate(self, files: Files) -> CommandLine:
        """The arguments that the files come to. They are shell scripts, so a shell is asked, as grub-mkconfig does."""
        script = "set -e\n{}printf '%s %s' {}".format(
            "".join(f'eval "${{{index}}}" >&2\n' for index in range(1, len(files) + 1)),
            " ".join(f'"${variable}"' for variable in grub_settings.VARIABLES),
        )
        result = self._machine.run(["sh", "-c", script, "sh", *(text for _path, text in _in_order(files))])
        if result.code:
            raise NodeError(
                f"GRUB's settings do not run as a shell script: {last_lines(result)}",
                ", ".join(files),
                "mend them; update-grub would fail too",
            )
        return parse(result.out)

    def _edited(self, files: Files, before: CommandLine, request: Request) -> Files:
        """The files as they shall be: contradictions changed where they stand, the rest in a place of our own."""
        pending = unsatisfied(before, request)
        edited = {path: grub_settings.edit(text, pending) for path, text in files.items()}
        own = grub_settings.drop_in_arguments(edited.get(DROP_IN, ""))
        if request.state == "present":
            line = self._evaluate(edited)
            missing = [wanted for wanted in pending.arguments if not satisfied(line, request.only([wanted]))]
            if missing and not self._has_drop_ins():
                return {**edited, SETTINGS: grub_settings.add(edited.get(SETTINGS, ""), missing)}
            own += missing
        return _with_drop_in(edited, own)

    def _generated_is_current(self, request: Request) -> bool:
        """Whether grub.cfg already says so: an earlier run may have ended between the settings and update-grub.

        Only the first Linux entry is looked at: recovery entries lack half of the settings, other systems' entries all
        of them. In a snapshot grub.cfg stays old until the reboot.
        """
        if self._in_snapshots():
            return True
        generated = generated_file(self._machine)
        section = _SECTION.search(self._machine.read(generated) or "") if generated else None
        entry = _LINUX.search(section.group()) if section else None
        return entry is None or satisfied(parse(entry.group("arguments")), request)

    def _notes(self, edits: t.Sequence[FileEdit]) -> tuple[str, ...]:
        """A word on each file that is not ours, except where /etc/default/grub is the only place there is."""
        place = DROP_IN if self._has_drop_ins() else SETTINGS
        others = [edit.path for edit in edits if edit.path not in (DROP_IN, place)]
        return tuple(f"{path} itself is edited, because an argument to be changed stands in it" for path in others)


def _cannot_edit(files: Files, before: CommandLine, pending: Request) -> RefusedError:
    names = {wanted.name for wanted in pending.arguments}
    now = " ".join(each.text for each in before.arguments if each.name in names) or "a line without it"
    wanted = " ".join(each.text for each in pending.arguments)
    return RefusedError(
        f"no edit that is safe to make brings {wanted} ({pending.state}): the files compute {now}",
        ", ".join(files),
        "change it by hand in the file that computes it",
    )


def _refuse_what_cannot_be_set(request: Request) -> None:
    for index, wanted in enumerate(request.arguments):
        where = f"arguments[{index}]"
        unsafe = " ".join(sorted(_UNSAFE.intersection(wanted.text)))
        if unsafe:
            problem = f"{wanted.text} has characters that mean something else to GRUB ({unsafe})"
            raise RefusedError(problem, where, "set this argument in GRUB's files by hand")
        if wanted.key in _GENERATED_KEYS:
            raise RefusedError(f"GRUB writes {wanted.key} by itself", where, "leave it out of the list")


def generated_file(machine: Machine) -> str | None:
    """The grub.cfg that GRUB boots by, or None."""
    return next(filter(machine.exists, [*GENERATED, *machine.glob(GENERATED_FOR_EFI)]), None)


def _in_order(files: Files) -> list[tuple[str, str]]:
    return sorted(files.items(), key=lambda item: (item[0] != SETTINGS, item[0]))


def _with_drop_in(files: Files, own: t.Sequence[Argument]) -> Files:
    others = {path: text for path, text in files.items() if path != DROP_IN}
    if not own:
        return others
    before = files.get(DROP_IN, "")
    unchanged = [each.text for each in grub_settings.drop_in_arguments(before)] == [each.text for each in own]
    return {**others, DROP_IN: before if before and unchanged else grub_settings.drop_in(own)}


def _edits(files: Files, edited: Files) -> tuple[FileEdit, ...]:
    paths = sorted(path for path in {*files, *edited} if files.get(path) != edited.get(path))
    return tuple(FileEdit(path, files.get(path), edited.get(path)) for path in paths)
