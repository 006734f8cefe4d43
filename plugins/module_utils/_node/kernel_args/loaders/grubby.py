# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Boot Loader Specification entries that grubby keeps: RHEL and its kin, Fedora.

Source: grubby's grubby-bls script and grubby(8). What matters of it here: `--args` first removes every argument of the
same spelling of a key, so adding one `console=` would lose the others; it appends at the very end, behind a `--`; it
splits at white space, whatever the quotes; `--remove-args=key` removes the key with any value. With ALL it also keeps
/etc/kernel/cmdline, GRUB_CMDLINE_LINUX in /etc/default/grub and, on RHEL 8, kernelopts in grubenv, which is why no file
is edited here.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import dataclass

from ...errors import NodeError, RefusedError
from ..arguments import Argument, CommandLine, Request, matches, merge, parse, satisfied, unsatisfied
from ..machine import last_lines
from ..plan import LineChange, Plan
from .entries import GRUB_ENTRIES

if t.TYPE_CHECKING:
    from ..machine import Machine

FOR_NEW_KERNELS = "/etc/kernel/cmdline"
ENVIRONMENT = "/boot/grub2/grubenv"
GRUB_SETTINGS = "/etc/default/grub"

_FIELD = re.compile(r'^(?P<name>[a-z]+)=(?P<quote>"?)(?P<value>.*)(?P=quote)$')
# It passes words through unquoted shell expansions and sed; what it removes is besides a regular expression.
_UNSAFE = frozenset(" \\&$`'\"*[]^|")
_UNSAFE_TO_REMOVE = _UNSAFE.union("+?(){}")


@dataclass(frozen=True)
class _Place:
    """A command line and where it is kept."""

    label: str
    path: str
    line: CommandLine


class Grubby:
    """`grubby --update-kernel=ALL`, for all entries at once."""

    name = "grubby"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def plan(self, request: Request) -> Plan:
        """See BootLoader."""
        places = self._places()
        first = places[0].line
        wrong = [place for place in places if not satisfied(place.line, request)]
        if not wrong:
            return Plan(first, first)
        command = _command([place.line for place in wrong], [place.line for place in places], request)
        return Plan(
            first,
            merge(first, request),
            commands=(command,),
            rewritten=self._rewritten(places),
            changes=tuple(LineChange(place.label, place.line, merge(place.line, request)) for place in wrong),
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
        future = self._machine.read(FOR_NEW_KERNELS)
        if future is not None:
            entries.append(_Place(FOR_NEW_KERNELS, FOR_NEW_KERNELS, parse(future)))
        return entries

    def _rewritten(self, places: t.Sequence[_Place]) -> tuple[str, ...]:
        """The files that grubby will write; it may move arguments in entries that are right already."""
        paths = {place.path if self._has_own_line(place.path) else ENVIRONMENT for place in places}
        if re.search(r"^GRUB_CMDLINE_LINUX=.*[^\"'=]", self._machine.read(GRUB_SETTINGS) or "", re.MULTILINE):
            paths.add(GRUB_SETTINGS)
        return tuple(sorted({*paths, FOR_NEW_KERNELS}))

    def _has_own_line(self, path: str) -> bool:
        return "$kernelopts" not in (self._machine.read(path) or "")


def read_info(text: str) -> list[_Place]:
    """The entries that `grubby --info=ALL` lists. The argument root= is printed apart and left out here."""
    entries: list[dict[str, str]] = []
    for text_line in text.splitlines():
        field = _FIELD.match(text_line)
        if field is None:
            continue
        if field.group("name") == "index":
            entries.append({})
        if entries:
            entries[-1][field.group("name")] = field.group("value")
    return [
        _Place(entry["kernel"], GRUB_ENTRIES.replace("*", entry["id"]), parse(entry.get("args", "")))
        for entry in entries
        if "kernel" in entry and "id" in entry
    ]


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
    given = ["{}={}".format(option, " ".join(texts)) for option, texts in options.items() if texts]
    return ("grubby", "--update-kernel=ALL", *given)


def _added(every: t.Sequence[CommandLine], pending: t.Sequence[Argument]) -> list[str]:
    """What to pass as --args: a repeatable key with all its values of now, since grubby drops those first."""
    texts: list[str] = []
    for wanted in pending:
        if wanted.repeatable:
            texts += [text for text in _values_of(every, wanted) if text not in texts]
        texts.append(wanted.text)
    return texts


def _values_of(every: t.Sequence[CommandLine], wanted: Argument) -> list[str]:
    lists = {tuple(each.text for each in line.arguments if _beside(each, wanted)) for line in every}
    if len(lists) > 1:
        raise RefusedError(
            f"the boot entries differ in {wanted.key}, and grubby can only give all of them the same",
            wanted.text,
            "make the entries alike, or add it to each with grubby --update-kernel=KERNEL",
        )
    return list(lists.pop())


def _beside(each: Argument, wanted: Argument) -> bool:
    return each.key == wanted.key and not each.same_as(wanted)


def _respelled(every: t.Sequence[CommandLine], pending: t.Sequence[Argument]) -> list[str]:
    """Keys that mean a wanted one but are spelled with - for _ or the reverse: grubby takes them for others."""
    keys = [
        each.key
        for line in every
        for each in line.arguments
        for wanted in pending
        if each.rivals(wanted) and each.key != wanted.key
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
