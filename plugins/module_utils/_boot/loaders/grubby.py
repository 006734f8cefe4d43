# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Boot Loader Specification entries that grubby keeps: RHEL and its kin, Fedora.

Source: grubby's grubby-bls script and grubby(8). What matters of it here: `--args` first removes every argument of the
same spelling of a key, so adding one `console=` would lose the others; it appends at the very end, behind a `--`; it
splits at white space, whatever the quotes; `--remove-args=key` removes the key with any value. With ALL it also keeps
/etc/kernel/cmdline, GRUB_CMDLINE_LINUX in /etc/default/grub and, on RHEL 8, kernelopts in grubenv, which is why no file
is edited here. It reads and writes lines that begin with `options` and a space, not a tab, joins several, and takes white
space and quotes for nothing but white space and characters; so what it will make of a line is computed here first.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import dataclass, replace

from ..._host.machine import last_lines
from ..._node.errors import NodeError, RefusedError
from ..._node.fields import lines_in, words_in
from ..arguments import (
    Argument,
    CommandLine,
    Request,
    amend,
    matches,
    merge,
    parse,
    satisfied,
    unsatisfied,
)
from ..plan import LineChange, Plan
from . import grub_settings
from .entries import GRUB_ENTRIES
from .grub import generated_file
from .grub_default import SAVED, beyond_settings

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

FOR_NEW_KERNELS = "/etc/kernel/cmdline"
ENVIRONMENT = "/boot/grub2/grubenv"
GRUB_SETTINGS = "/etc/default/grub"

_FIELD = re.compile(r'^(?P<name>[a-z]+)=(?P<quote>"?)(?P<value>.*)(?P=quote)$')
# It passes words through unquoted shell expansions and sed; what it removes is besides a regular expression.
_UNSAFE = frozenset(" \\&$`'\"*[]^|")
_UNSAFE_TO_REMOVE = _UNSAFE.union("+?(){}")
# sed gives these a meaning when grubby writes a line back (set_bls_value).
_UNSAFE_TO_KEEP = frozenset("&\\")
# What is white space to some of its tools and not to others, and what is no UTF-8, which `.` of sed does not match.
_WHITE = frozenset(" \t\n")
_NOT_TEXT = "has control characters, or bytes that are no UTF-8, and grubby may not write them back"
_OPTIONS = re.compile(r"^[ \t]*options[ \t].*$", re.MULTILINE)
_HIDDEN = re.compile(r"\r(?!\n|\r|\Z)")
_KERNEL_OPTIONS = re.compile(r"^kernelopts=(?P<text>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class _Place:
    """A command line and where it is kept; `text` is how it is written there, with root=, which grubby shows apart."""

    label: str
    path: str
    line: CommandLine
    text: str


class Grubby:
    """`grubby --update-kernel=ALL`, for all entries at once."""

    name = "grubby"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def plan(self, request: Request) -> Plan:
        """See BootLoader."""
        places = self._places()
        self._see_lines()
        beyond = beyond_settings(self._machine, generated_file(self._machine), SAVED, request, self.name, has_more=True)
        first = places[0].line
        wrong = [place for place in places if not satisfied(place.line, request)]
        if not wrong:
            return Plan(first, first, notes=beyond.notes, lines=_lines(places, ()), out_of_reach=beyond.arguments)
        command = _command([place.line for place in wrong], [place.line for place in places], request)
        self._see_readable(places)
        return Plan(
            first,
            merge(first, request),
            commands=((*command, *self._keeping_settings()),),
            rewritten=self._rewritten(places),
            changes=tuple(LineChange(place.label, place.line, merge(place.line, request)) for place in wrong),
            notes=beyond.notes,
            lines=_lines(places, command),
            out_of_reach=beyond.arguments,
        )

    def _places(self) -> list[_Place]:
        """Every entry, grubby's newest first, and the line that future kernels get."""
        result = self._machine.run(["grubby", "--info=ALL"])
        entries = [] if result.code else read_info(result.out)
        if not entries:
            raise NodeError(
                f"shows no boot entries: {last_lines(result)}",
                "grubby --info=ALL",
                f"see that {GRUB_ENTRIES} has entries of installed kernels",
            )
        return [*map(self._as_written, entries), *self._beside(entries)]

    def _as_written(self, entry: _Place) -> _Place:
        """The entry with its line as the file has it, where no variable of GRUB stands in it."""
        written = _OPTIONS.findall(self._machine.read(entry.path) or "")
        texts = [words_in(text, 2)[1] for text in written if len(words_in(text)) > 1]
        return entry if not texts or "$" in " ".join(texts) else replace(entry, text=" ".join(texts))

    def _beside(self, entries: t.Sequence[_Place]) -> t.Iterator[_Place]:
        """The lines of future kernels, and that of entries without one of their own."""
        future = self._machine.read(FOR_NEW_KERNELS)
        if future is not None:
            yield _Place(FOR_NEW_KERNELS, FOR_NEW_KERNELS, parse(future), future)
        shared = _KERNEL_OPTIONS.search(self._machine.read(ENVIRONMENT) or "")
        if shared is not None and not all(self._has_own_line(entry.path) for entry in entries):
            yield _Place(ENVIRONMENT, ENVIRONMENT, parse(shared.group("text")), shared.group("text"))

    def _see_lines(self) -> None:
        """Refuse entries of which GRUB reads more than grubby: it passes over each carriage return (grub_file_getline)."""
        for path in self._machine.glob(GRUB_ENTRIES):
            if _HIDDEN.search(self._machine.read(path) or ""):
                raise RefusedError(_NOT_TEXT, path, "write it as text, or remove that entry")

    def _see_readable(self, places: t.Sequence[_Place]) -> None:
        """Refuse entries that grubby does not read as the boot loader does, and what it does not write back as it was."""
        labels = {place.label for place in places}
        referring = next((place.path for place in places if not self._has_own_line(place.path)), None)
        if referring is not None and ENVIRONMENT not in labels:
            raise RefusedError(
                f"takes its arguments from kernelopts, which {ENVIRONMENT} does not have",
                referring,
                "set kernelopts with grub2-editenv, or write the arguments into the entries",
            )
        for path in self._machine.glob(GRUB_ENTRIES):
            # grubby goes by the names of the files, also of those that it does not list.
            if "\0" in (self._machine.read(path) or ""):
                raise RefusedError(_NOT_TEXT, path, "write it as text, or remove that entry")
        for place in places:
            written = _OPTIONS.findall(self._machine.read(place.path) or "")
            if len(written) > 1 or any(not text.startswith("options ") for text in written):
                problem = "grubby reads no other than one line that begins with `options` and a space"
            elif _UNSAFE_TO_KEEP.intersection(place.text):
                problem = f"has characters that grubby does not write back ({' '.join(sorted(_UNSAFE_TO_KEEP))})"
            elif not all(one.isprintable() or one in _WHITE for one in "".join([place.text, *written])):
                problem = _NOT_TEXT
            else:
                continue
            raise RefusedError(problem, place.path, "write the line so, or edit the entries by hand")

    def _keeping_settings(self) -> tuple[str, ...]:
        """What keeps grubby from writing each line that begins with GRUB_CMDLINE_LINUX again, whatever it goes on with.

        It does no harm to one plain assignment, and otherwise is not needed: entries do not come from there.
        """
        text = self._machine.read(GRUB_SETTINGS) or ""
        return () if grub_settings.is_one_plain_line(text) else ("--no-etc-grub-update",)

    def _rewritten(self, places: t.Sequence[_Place]) -> tuple[str, ...]:
        """The files that grubby will write; it may move arguments in entries that are right already."""
        paths = {place.path if self._has_own_line(place.path) else ENVIRONMENT for place in places}
        settings = self._machine.read(GRUB_SETTINGS) or ""
        if not self._keeping_settings() and re.search(r"^GRUB_CMDLINE_LINUX=.*[^\"'=]", settings, re.MULTILINE):
            paths.add(GRUB_SETTINGS)
        return tuple(sorted({*paths, FOR_NEW_KERNELS}))

    def _has_own_line(self, path: str) -> bool:
        return "$kernelopts" not in (self._machine.read(path) or "")


def _lines(places: t.Sequence[_Place], command: t.Sequence[str]) -> tuple[LineChange, ...]:
    """Each line as it is written, and as it will be after this command."""
    texts = ((each.path, each.text, as_grubby_does(each.text, command) if command else each.text) for each in places)
    return tuple(LineChange(path, parse(before), parse(after)) for path, before, after in texts)


def read_info(text: str) -> list[_Place]:
    """The entries that `grubby --info=ALL` lists. The argument root= is printed apart and left out here."""
    entries: list[dict[str, str]] = []
    for text_line in lines_in(text):
        field = _FIELD.match(text_line)
        if field is None:
            continue
        if field.group("name") == "index":
            entries.append({})
        if entries:
            entries[-1][field.group("name")] = field.group("value")
    return [
        _Place(
            entry["kernel"], GRUB_ENTRIES.replace("*", entry["id"]), parse(entry.get("args", "")), entry.get("args", "")
        )
        for entry in entries
        if "kernel" in entry and "id" in entry
    ]


def as_grubby_does(text: str, command: t.Sequence[str]) -> str:
    """What the function update_args of grubby makes of a line."""
    options = dict(option.split("=", 1) for option in command[1:])
    remove, add = (words_in(options.get(name, "")) for name in ("--remove-args", "--args"))
    anything = r"(^|\s){}((\s|$)|(=[^ ]*))"
    for argument in remove:
        line = " ".join(words_in(text))
        whole, count = (rf"(^|\s){argument}(\s|$)", 1) if "=" in argument else (anything.format(argument), 0)
        text = re.sub(whole, " ", line, count=count)
    for argument in add:
        text = re.sub(anything.format(argument.partition("=")[0]), " ", " ".join(words_in(text)))
    return " ".join([*words_in(text), *add])


def _command(wrong: t.Sequence[CommandLine], every: t.Sequence[CommandLine], request: Request) -> tuple[str, ...]:
    if any(line.init for line in every):
        raise RefusedError(
            "a boot entry passes arguments to init behind --, and grubby would add the kernel's behind them",
            "grubby",
            f"edit the entries in {GRUB_ENTRIES} by hand",
        )
    pending = tuple(
        wanted
        for wanted in request.arguments
        if any(unsatisfied(line, request.only([wanted])).arguments for line in wrong)
    )
    if request.state == "absent":
        options = {"--remove-args": _removed(every, pending)}
    else:
        options = {"--remove-args": _respelled(every, pending), "--args": _added(every, pending)}
    for option, texts in options.items():
        for text in texts:
            _refuse_unsafe(text, _UNSAFE if option == "--args" else _UNSAFE_TO_REMOVE)
    arguments = ["{}={}".format(option, " ".join(texts)) for option, texts in options.items() if texts]
    return ("grubby", "--update-kernel=ALL", *arguments)


def _added(every: t.Sequence[CommandLine], pending: t.Sequence[Argument]) -> list[str]:
    """What to pass as --args: a key of which several places count with all it should have, since grubby drops those first."""
    texts: list[str] = []
    for wanted in pending:
        several = wanted.repeatable or bool(wanted.items)
        texts += [text for text in (_all_of(every, wanted) if several else [wanted.text]) if text not in texts]
    return texts


def _all_of(every: t.Sequence[CommandLine], wanted: Argument) -> list[str]:
    merged = [merge(line, Request((wanted,))) for line in every]
    lists = {tuple(each.text for each in line.arguments if each.key == wanted.key) for line in merged}
    if len(lists) > 1:
        raise RefusedError(
            f"the boot entries differ in {wanted.key}, and grubby can only give all of them the same",
            wanted.text,
            "make the entries alike, or add it to each with grubby --update-kernel=KERNEL",
        )
    return list(lists.pop())


def _respelled(every: t.Sequence[CommandLine], pending: t.Sequence[Argument]) -> list[str]:
    """Keys that mean a wanted one but are spelled otherwise, as with - for _: grubby takes them for others."""
    keys = [
        each.key
        for line in every
        for wanted in pending
        for each, new in zip(line.arguments, amend(line.arguments, Request((wanted,))))
        if each.rivals(wanted) and each.key != wanted.key and (new is None or each.name == wanted.name)
    ]
    return sorted(set(keys))


def _removed(every: t.Sequence[CommandLine], pending: t.Sequence[Argument]) -> list[str]:
    texts: list[str] = []
    for unwanted in pending:
        if unwanted.value is None and unwanted.repeatable:
            raise RefusedError(
                f"grubby would remove every {unwanted.key}= together with the bare {unwanted.key}",
                unwanted.text,
                f"edit the entries in {GRUB_ENTRIES} by hand",
            )
        if unwanted.value is None:
            texts += sorted({each.key for line in every for each in line.arguments if matches(each, unwanted)})
        else:
            texts += _as_often(every, unwanted)
    return texts


def _as_often(every: t.Sequence[CommandLine], unwanted: Argument) -> list[str]:
    """Each spelling as often as one line has it: grubby takes out one at a time."""
    counts = Counter[str]()
    for line in every:
        counts |= Counter(each.text for each in line.arguments if matches(each, unwanted))
    return sorted(counts.elements())


def _refuse_unsafe(text: str, characters: frozenset[str]) -> None:
    unsafe = sorted(characters.intersection(text))
    if unsafe:
        raise RefusedError(
            "{} has characters that grubby does not carry unharmed ({})".format(text, " ".join(map(repr, unsafe))),
            "grubby",
            f"set this argument in {GRUB_ENTRIES} by hand",
        )
