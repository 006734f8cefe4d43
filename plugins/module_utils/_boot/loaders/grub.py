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
from dataclasses import dataclass

from ..._host.edits import FileEdit
from ..._host.machine import last_lines
from ..._node.errors import NodeError, RefusedError
from ..._node.fields import lines_in, words_in
from ..arguments import (
    Argument,
    CommandLine,
    Request,
    amend,
    lacking,
    names_of,
    parse,
    satisfied,
    unsatisfied,
)
from ..plan import LineChange, Plan, to_be_made
from ..unharmed import harm
from . import grub_settings
from .entries import GRUB_ENTRIES, grub_reads_entries
from .grub_default import beyond_settings

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

SETTINGS = "/etc/default/grub"
DROP_INS = "/etc/default/grub.d/*.cfg"
# Sorts behind what distributions and kdump-tools put there, so that no later plain assignment discards it.
DROP_IN = "/etc/default/grub.d/zz-accel-qat.cfg"
GENERATED = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
# RHEL 7 and 8 with UEFI, and their kin; elsewhere what is there only leads to one of the above.
GENERATED_FOR_EFI = "/boot/efi/EFI/*/grub.cfg"

_MKCONFIG = ("grub-mkconfig", "grub2-mkconfig")
_READS_DROP_INS = re.compile(r"^[^#\n]*/default/grub\.d", re.MULTILINE)
# On a root of ZFS that of 10_linux_zfs (Ubuntu) has the entries, and that of 10_linux none; an administrator may give another number.
_SECTION = re.compile(
    r"^### BEGIN (?P<script>/etc/grub\.d/[0-9]+_linux\S*) ###$.*?^### END (?P=script) ###$", re.MULTILINE | re.DOTALL
)
_ENTRY = re.compile(
    r"^[ \t]*(?:menuentry[ \t]+(?P<quote>['\"])(?P<title>.*?)(?P=quote)|linux(?:16|efi)?[ \t]+\S+[ \t]+(?P<arguments>.*)$)",
    re.MULTILINE,
)
# GRUB reads these in grub.cfg as its own script language (GRUB manual, "Shell-like scripting", quoting).
_UNSAFE = frozenset("\\$`';&|<>")
# What 10_linux writes by itself, whatever the settings.
_GENERATED_KEYS = frozenset({"root", "ro"})

_MADE = "# There was no such file before.\n"
# The shell that grub-mkconfig is run by; its files are no programs by themselves.
_INTERPRETER = re.compile(r"^#![ \t]*(?:/usr/bin/env[ \t]+)?(?:\S*/)?(?P<name>[a-z]+)")
# A file goes in as /dev/fd/9, so that it is sourced as grub-mkconfig does it: `return` ends it, and nothing else.
_SOURCE = """\
if test -d /dev/fd; then . /dev/fd/9 9<<ACCEL_QAT_END
$accel_qat_{index}
ACCEL_QAT_END
else eval "$accel_qat_{index}"; fi
"""
# Every variable with its value. A line of a value may look like one more variable, which is empty then.
_PRINT_ALL = """\
set +eu
IFS='
'
for accel_qat_name in $(set | LC_ALL=C sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'); do
eval "printf '%s=%s\\036' $accel_qat_name \\"\\${$accel_qat_name-}\\"" >&8
done
"""
_SEPARATOR = "\x1e"
# What a shell sets by itself, other at each look.
_OF_THE_SHELL = re.compile(r"_|accel_qat_.*|BASH.*|EPOCH.*|IFS|LINENO|PIPESTATUS|PPID|RANDOM|SECONDS|SRANDOM")

Files = dict[str, str]


@dataclass(frozen=True)
class _Computed:
    """What the settings come to: the variables with kernel arguments, in order, and all others."""

    lines: tuple[CommandLine, ...]
    others: t.Mapping[str, str]

    @property
    def line(self) -> CommandLine:
        """The command line of a normal entry."""
        return parse(" ".join(line.render() for line in self.lines))


class Grub:
    """A drop-in of our own where grub-mkconfig reads drop-ins, /etc/default/grub where not."""

    name = "grub"

    def __init__(self, machine: Machine, running: CommandLine) -> None:
        self._machine = machine
        self._running = running

    def plan(self, request: Request) -> Plan:
        """See BootLoader."""
        _refuse_what_cannot_be_set(request)
        rebuild = self._rebuild_command()
        files = self._settings()
        before = self._evaluate(files)
        edited = files if satisfied(before.line, request) else self._edited(files, before, request)
        after = before if edited == files else self._evaluate(edited)
        edits = _edits(files, edited)
        entries = self._generated_entries()
        default = before.others.get("GRUB_DEFAULT") or "0"
        beyond = beyond_settings(self._machine, generated_file(self._machine), default, request, SETTINGS)
        # An earlier run may have ended between the settings and update-grub.
        current = (
            satisfied(entries[0].before, request)
            if entries
            else not to_be_made(self._machine, after.line, satisfied(self._running, request))
        )
        return Plan(
            before.line,
            after.line,
            edits,
            () if current and not edits else (rebuild,),
            notes=(*self._notes(edits), *beyond.notes),
            lines=(*_changes(before, after), *entries),
            guarded=tuple(filter(None, [None if self._in_snapshots() else generated_file(self._machine)])),
            unseen=not entries,
            out_of_reach=beyond.arguments,
        )

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
                "GRUB cannot be given kernel arguments here: looked for the commands update-grub, {}, and for {}".format(
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
        mounts = [words_in(line) for line in lines_in(self._machine.read("/proc/1/mounts") or "")]
        roots = [fields[3] for fields in mounts if len(fields) > 3 and fields[1] == "/"]
        return bool(roots) and "ro" in roots[-1].split(",")

    def _has_drop_ins(self) -> bool:
        return _READS_DROP_INS.search(self._mkconfig_text()) is not None

    def _mkconfig_text(self) -> str:
        name = self._mkconfig()
        path = self._machine.command(name) if name else None
        return (self._machine.read(path) or "") if path else ""

    def _settings(self) -> Files:
        """The files that grub-mkconfig sources, in its order."""
        paths = [SETTINGS, *(self._machine.glob(DROP_INS) if self._has_drop_ins() else [])]
        texts = {path: self._machine.read(path) for path in paths}
        for path, text in texts.items():
            if "\0" in (text or ""):
                raise NodeError("has a NUL byte, and is no shell script", path, "restore it, e.g. from a backup")
        return {path: text for path, text in texts.items() if text is not None}

    def _evaluate(self, files: Files) -> _Computed:
        """What the files come to. They are shell scripts, so a shell is asked, as grub-mkconfig does."""
        numbers = range(1, len(files) + 1)
        script = "".join(
            [
                "set -e\nexec 8>&1 >&2\n",
                *(f"accel_qat_{index}=$1\nshift\n" for index in numbers),
                *(_SOURCE.format(index=index) for index in numbers),
                "printf 'accel.qat\\036' >&8\n",
                _PRINT_ALL,
            ]
        )
        result = self._machine.run([*self._shell(), script, "sh", *(text for _path, text in _in_order(files))])
        begun, *printed = result.out.split(_SEPARATOR)
        problem = (
            f"do not run as a shell script: {last_lines(result)}" if result.code else "end the shell that reads them"
        )
        if result.code or begun != "accel.qat":
            raise NodeError(f"GRUB's settings {problem}", ", ".join(files), "fix them; update-grub would fail too")
        variables = dict(each.split("=", 1) for each in printed if each)
        lines = tuple(parse(variables.pop(name, "")) for name in grub_settings.VARIABLES)
        return _Computed(lines, {name: value for name, value in variables.items() if not _OF_THE_SHELL.fullmatch(name)})

    def _shell(self) -> tuple[str, ...]:
        """The start of a command that runs a script as grub-mkconfig would."""
        match = _INTERPRETER.match(self._mkconfig_text())
        name = match.group("name") if match else "sh"
        return ("sh", "-c") if name == "sh" else ("sh", "-c", f'exec {name} -c "$@"', "sh")

    def _edited(self, files: Files, before: _Computed, request: Request) -> Files:
        """The files as they should be: contradictions changed where they stand, the rest in a place of our own.

        Of several ways the first that a shell reads as it should be read. Raises RefusedError where there is none.
        """
        pending = unsatisfied(before.line, request)
        reason = ""
        for edited in self._ways(files, pending):
            reason = self._objection(files, before, edited, request)
            if not reason:
                return edited
        raise _cannot_edit(files, pending, reason)

    def _ways(self, files: Files, pending: Request) -> t.Iterator[Files]:
        own = _without_none(amend(_own_arguments(files), pending, in_front=True))
        theirs = {path: grub_settings.edit(text, pending) for path, text in _without_own(files).items()}
        edited = self._with_own(theirs, files, own)
        missing = self._missing(edited, pending)
        if not missing:
            yield edited
            return
        settings = None if self._has_drop_ins() or own else grub_settings.add(theirs.get(SETTINGS, ""), missing)
        if settings is not None:
            yield {**edited, SETTINGS: settings}
        yield self._with_own(theirs, files, [*own, *missing])

    def _missing(self, edited: Files, pending: Request) -> list[Argument]:
        if pending.state == "absent":
            return []
        try:
            line = self._evaluate(edited).line
        except NodeError:
            return list(pending.arguments)
        return lacking(line, pending.only(unsatisfied(line, pending).arguments))

    def _with_own(self, theirs: Files, files: Files, own: t.Sequence[Argument]) -> Files:
        """The files of others with our arguments: in a drop-in, or at the end of the settings."""
        if self._has_drop_ins():
            return _with_drop_in({**theirs, **{path: files[path] for path in files if path == DROP_IN}}, own)
        settings = grub_settings.with_own_part(theirs.get(SETTINGS, ""), own)
        made = SETTINGS not in files or settings.startswith(_MADE)
        rest = settings[len(_MADE) :] if settings.startswith(_MADE) else settings  # noqa: E203
        return {SETTINGS: f"{_MADE}{rest}" if made else rest} if rest or not made else {}

    def _objection(self, files: Files, before: _Computed, edited: Files, request: Request) -> str:
        """Why the edited files may not take the place of those that come to `before`; empty where they may."""
        try:
            after = self._evaluate(edited)
        except NodeError as error:
            return error.problem
        for change in _changes(before, after):
            harmful = harm(change.before, change.after, request)
            if harmful:
                return f"{change.label} {harmful}"
        other = _differing(before, after)
        if other and other - _differing(before, self._evaluate(files)):
            return f"{', '.join(sorted(other))} would change"
        pending = unsatisfied(after.line, request)
        return _still(before.line, pending) if pending.arguments else ""

    def _generated_entries(self) -> list[LineChange]:
        """The Linux entries that grub.cfg has now, the first of which boots; none where they cannot be seen.

        Recovery entries lack half of the settings, and other systems' entries, which are left out, all of them. In a snapshot
        grub.cfg stays old until the reboot.
        """
        generated = generated_file(self._machine)
        if generated is None or self._in_snapshots():
            return []
        sections = _SECTION.finditer(self._machine.read(generated) or "")
        return next(filter(None, (_entries(generated, section.group()) for section in sections)), [])

    def _notes(self, edits: t.Sequence[FileEdit]) -> tuple[str, ...]:
        """A word on each file that is not ours, except where /etc/default/grub is the only place there is."""
        place = DROP_IN if self._has_drop_ins() else SETTINGS
        others = [edit.path for edit in edits if edit.path not in (DROP_IN, place)]
        return tuple(f"{path} itself is edited, because it has an argument to be changed" for path in others)


def _entries(generated: str, section: str) -> list[LineChange]:
    """The entries of one section of grub.cfg."""
    entries: dict[str, LineChange] = {}
    title = ""
    for match in _ENTRY.finditer(section):
        title = match.group("title") or title
        label = f"{generated} ({title})"
        if match.group("title") is None and label not in entries:
            line = parse(match.group("arguments"))
            entries[label] = LineChange(label, line, line)
    return list(entries.values())


def _changes(before: _Computed, after: _Computed) -> tuple[LineChange, ...]:
    """Each variable's change, and that of the whole line."""
    changes = zip(grub_settings.VARIABLES, before.lines, after.lines)
    return (*(LineChange(*each) for each in changes), LineChange("the next boot", before.line, after.line))


def _differing(one: _Computed, another: _Computed) -> set[str]:
    names = {*one.others, *another.others}
    return {name for name in names if one.others.get(name, "") != another.others.get(name, "")}


def _cannot_edit(files: Files, pending: Request, reason: str) -> RefusedError:
    wanted = " ".join(each.text for each in pending.arguments)
    return RefusedError(
        f"no edit that is safe to make brings {wanted} ({pending.state}): {reason}",
        ", ".join(files) or SETTINGS,
        "change it by hand in the file that computes it",
    )


def _still(before: CommandLine, pending: Request) -> str:
    names = {name for wanted in pending.arguments for name in names_of(wanted)}
    now = " ".join(each.text for each in before.arguments if each.name in names) or "a line without it"
    return f"the files compute {now}"


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


def _own_arguments(files: Files) -> list[Argument]:
    """What stands in our own places."""
    own = grub_settings.drop_in_arguments(files.get(DROP_IN, ""))
    return own + grub_settings.own_part_arguments(files.get(SETTINGS, ""))


def _without_own(files: Files) -> Files:
    others = {path: text for path, text in files.items() if path != DROP_IN}
    if SETTINGS in others:
        others[SETTINGS] = grub_settings.without_own_part(others[SETTINGS])
    return others


def _without_none(places: t.Iterable[Argument | None]) -> list[Argument]:
    return [each for each in places if each is not None]


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
