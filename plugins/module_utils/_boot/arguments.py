# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel arguments as text: taking a command line apart, changing it, putting it together. No input or output.

The rules are the kernel's own: lib/cmdline.c (next_arg: quotes, what a value is), kernel/params.c (parse_args: what
follows `--` is for init; parameq: `-` and `_` are the same in a name), and
Documentation/admin-guide/kernel-parameters.txt (what may be repeated).
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from .._node.errors import ConfigurationError

State = t.Literal["present", "absent"]

INIT_SEPARATOR = "--"

_SPACE = " \t\n\v\f\r"

# Given more than once, these add to each other instead of the last one winning
# (kernel-parameters.txt, dracut.cmdline(7), systemd(1)).
REPEATABLE = frozenset(
    {
        "acpi_osi",
        "cgroup_disable",
        "cgroup_enable",
        "console",
        "crashkernel",  # a second one with the suffix ,high or ,low
        "dyndbg",
        "earlycon",
        "earlyprintk",
        "hugepages",
        "hugepagesz",
        "ifname",
        "ip",
        "memmap",
        "modprobe.blacklist",
        "module_blacklist",
        "nameserver",
        "rd.driver.blacklist",
        "rd.driver.pre",
        "rd.luks.name",
        "rd.luks.options",
        "rd.luks.uuid",
        "rd.lvm.lv",
        "rd.md.uuid",
        "rd.route",
        "systemd.setenv",
        "video",
    }
)


class _List(t.NamedTuple):
    """A value that is a list. All of its places are read, from left to right."""

    rivals: tuple[frozenset[str], ...] = ()  # of each of these the last item counts
    final: frozenset[str] = frozenset()  # with one of these no other item counts, wherever it stands


# drivers/iommu/intel/iommu.c, intel_iommu_setup; drivers/iommu/amd/init.c, parse_amd_iommu_options; arch/x86/kernel/pci-dma.c,
# iommu_setup; drivers/pci/pci.c, pci_setup.
LISTS: t.Mapping[str, _List] = {
    "amd_iommu": _List((frozenset({"on", "off"}), frozenset({"pgtbl_v1", "pgtbl_v2"})), frozenset({"off"})),
    "intel_iommu": _List((frozenset({"on", "off"}), frozenset({"sm_on", "sm_off"}))),
    "iommu": _List(
        (
            frozenset({"pt", "nopt", "off"}),
            frozenset({"force", "noforce"}),
            frozenset({"merge", "nomerge"}),
            frozenset({"panic", "nopanic"}),
        ),
        frozenset({"off"}),
    ),
    "pci": _List(),
}

# A key that says the same as an item of a list: the list, the item where it is true, and where it is false. All of one switch are read
# as one, from left to right: drivers/iommu/iommu.c, iommu_set_def_domain_type, and iommu_setup both set the default domain, from
# Linux 5.4 on.
SWITCHES: t.Mapping[str, tuple[str, str, str]] = {"iommu.passthrough": ("iommu", "pt", "nopt")}
# With this item of another list one has no effect, wherever the two stand: drivers/iommu/intel/iommu.c, intel_iommu_init;
# drivers/iommu/amd/init.c, amd_iommu_detect.
STOPPED_BY: t.Mapping[tuple[str, str], tuple[str, str]] = {
    ("intel_iommu", "on"): ("iommu", "off"),
    ("amd_iommu", "on"): ("iommu", "off"),
}
# lib/kstrtox.c, kstrtobool: by the first character, or by the first two.
_TRUE = re.compile(r"[yYtT1]|[oO][nN]")
_FALSE = re.compile(r"[nNfF0]|[oO][fF]")


@dataclass(frozen=True)
class Argument:
    """One argument: `text` as it is written, quotes included; `key` and `value` as the kernel reads them.

    `value` is None for a key alone.
    """

    text: str
    key: str
    value: str | None

    @property
    def name(self) -> str:
        """The key in the one spelling under which the kernel compares it."""
        return self.key.replace("-", "_")

    @property
    def repeatable(self) -> bool:
        """Whether several of the same key stand side by side."""
        return self.name in REPEATABLE or self.name.endswith(".dyndbg")

    @property
    def items(self) -> tuple[str, ...]:
        """The items of a value that is a list; none where it is no list."""
        return tuple(filter(None, (self.value or "").split(","))) if self.name in LISTS else ()

    @property
    def in_list(self) -> Argument:
        """The same as an item of a list, where that can say it; otherwise the argument itself."""
        if self.name not in SWITCHES or self.value is None:
            return self
        name, on, off = SWITCHES[self.name]
        item = on if _TRUE.match(self.value) else off if _FALSE.match(self.value) else ""
        return read_argument(f"{name}={item}") if item else self

    def stops(self, other: Argument) -> bool:
        """Whether an item here leaves one of the other list without effect."""
        stopping = {STOPPED_BY.get((other.name, item)) for item in other.items}
        return any((self.name, item) in stopping for item in self.items)

    def with_items(self, items: t.Sequence[str]) -> Argument | None:
        """The same with this list as its value, None with an empty one."""
        return read_argument(f"{self.key}={','.join(items)}") if items else None

    def same_as(self, other: Argument) -> bool:
        """Whether the kernel reads both alike, however they are written."""
        return self.name == other.name and self.value == other.value

    def rivals(self, other: Argument) -> bool:
        """Whether only one of the two can be in force."""
        if self.name == other.name and self.name not in LISTS:
            return not self.repeatable
        one, another = self.in_list, other.in_list
        if one.stops(another) or another.stops(one):
            return True
        return one.name == another.name and any(
            _contradicts(one.name, item, other_item) for item in one.items for other_item in another.items
        )


@dataclass(frozen=True)
class CommandLine:
    """A kernel command line; `init` is what stands from `--` on, which is not the kernel's business."""

    arguments: tuple[Argument, ...] = ()
    init: tuple[str, ...] = ()

    def texts(self) -> list[str]:
        """The kernel's arguments as they are written, in order."""
        return [argument.text for argument in self.arguments]

    def render(self) -> str:
        """The whole line."""
        return " ".join([*self.texts(), *self.init])


@dataclass(frozen=True)
class Request:
    """What a command line should have (present) or be free of (absent).

    On the way back to what was found (`is_way_back`) others' entries are left as they are.
    """

    arguments: tuple[Argument, ...]
    state: State = "present"
    is_way_back: bool = False

    def only(self, arguments: t.Iterable[Argument]) -> Request:
        """The same for some of the arguments."""
        return replace(self, arguments=tuple(arguments))


def split(text: str) -> list[str]:
    """The words of a command line; white space inside double quotes does not part them."""
    words: list[str] = []
    start = None
    quoted = False
    for position, character in enumerate(text):
        if character in _SPACE and not quoted:
            if start is not None:
                words.append(text[start:position])
            start = None
            continue
        start = position if start is None else start
        quoted = quoted != (character == '"')
    if start is not None:
        words.append(text[start:])
    return words


def read_argument(word: str) -> Argument:
    """One word as the kernel reads it (next_arg): quotes may stand around the value or around the whole word."""
    body = word[1:] if word.startswith('"') else word
    if word.startswith('"') and body.endswith('"'):
        body = body[:-1]
    # A `=` in front is no separator for the kernel, which takes position 0 for "none seen".
    equals = body.find("=", 1)
    if equals == -1:
        return Argument(word, body, None)
    value = body[equals + 1 :]  # noqa: E203
    if value.startswith('"'):
        value = value[1:-1] if value.endswith('"') else value[1:]
    return Argument(word, body[:equals], value)


def parse(text: str) -> CommandLine:
    """A whole command line."""
    words = split(text)
    end = words.index(INIT_SEPARATOR) if INIT_SEPARATOR in words else len(words)
    return CommandLine(tuple(read_argument(word) for word in words[:end]), tuple(words[end:]))


def merge(line: CommandLine, request: Request) -> CommandLine:
    """The line as requested. What is not asked for keeps its place; new arguments come last, before `--`."""
    arguments = tuple(each for each in amend(line.arguments, request) if each is not None)
    return CommandLine((*arguments, *lacking(CommandLine(arguments), request)), line.init)


def lacking(line: CommandLine, request: Request) -> list[Argument]:
    """What has to be added to a line in which nothing contradicts: of lists the items that are missing."""
    arguments: list[Argument] = []
    for wanted in request.arguments if request.state == "present" else ():
        present = [*line.arguments, *(each for each in arguments if each.name == wanted.name)]
        items = _items(present, wanted)
        missing = wanted.with_items([item for item in wanted.items if not _counts(wanted.name, items, item)])
        if not wanted.items and not any(map(wanted.same_as, present)):
            arguments.append(wanted)
        elif missing is not None:
            arguments.append(wanted if missing.items == wanted.items else missing)
    return arguments


def amend(arguments: t.Sequence[Argument], request: Request, in_front: bool = False) -> list[Argument | None]:
    """For each argument what takes its place so that nothing contradicts the request, None where it goes.

    Nothing is added. A key that has another value than the wanted one gets that in its first place, and its further
    places go. Of a list only the items that contradict are changed. What overrules by another key stays where that which is
    to be added comes behind it, so not where it comes `in_front`.
    """
    result: list[Argument | None] = list(arguments)
    for wanted in request.arguments:
        result = _drop(result, wanted) if request.state == "absent" else _replace(result, wanted, in_front)
    return result


def satisfied(line: CommandLine, request: Request) -> bool:
    """Whether the line is as requested."""
    return merge(line, request) == line


def unsatisfied(line: CommandLine, request: Request) -> Request:
    """The part of the request that the line does not meet."""
    return request.only(each for each in request.arguments if not satisfied(line, request.only([each])))


def in_force(line: CommandLine, argument: Argument) -> bool:
    """Whether a kernel booted with this line follows the argument: of several with one key the last one counts.

    Of lists every one counts, and the last of those items that contradict each other, under whichever key.
    """
    wanted = argument.in_list
    if wanted.items:
        items = _items(line.arguments, wanted)
        is_stopped = any(each.stops(wanted) for each in line.arguments)
        return not is_stopped and all(_counts(wanted.name, items, item) for item in wanted.items)
    same_key = [each for each in line.arguments if each.name == argument.name]
    if argument.repeatable or argument.name in LISTS:
        return any(map(argument.same_as, same_key))
    return bool(same_key) and same_key[-1].same_as(argument)


def matches(argument: Argument, unwanted: Argument) -> bool:
    """Whether an unwanted argument means this one: a key alone means any value, unless the key may be repeated."""
    if unwanted.value is None and not unwanted.repeatable:
        return argument.name == unwanted.name
    return argument.same_as(unwanted)


def names_of(wanted: Argument) -> set[str]:
    """The names under which arguments stand that can contradict this one."""
    switches = {name for name, (in_list, _on, _off) in SWITCHES.items() if in_list == wanted.in_list.name}
    stopping = {STOPPED_BY[wanted.name, item][0] for item in wanted.items if (wanted.name, item) in STOPPED_BY}
    return {wanted.name, wanted.in_list.name, *switches, *stopping}


def difference(before: CommandLine, after: CommandLine) -> tuple[list[str], list[str]]:
    """The texts that leave and the texts that come, each as often as it does."""
    leaving = before.texts()
    coming: list[str] = []
    for text in after.texts():
        if text in leaving:
            leaving.remove(text)
        else:
            coming.append(text)
    return leaving, coming


def read_request(texts: t.Sequence[str], state: State, noted_in: str | None = None) -> Request:
    """The request a user wrote as a list of arguments, or that a file has, an argument a line.

    Raises ConfigurationError, which names the item or the line, for anything but one argument an item, and for contradictions: a
    kernel can be without several values of a key, and have only one.
    """
    try:
        return _read_request(texts, state, noted_in)
    except ConfigurationError as error:
        if noted_in is None:
            raise
        remedy = "fix or remove that line, and see to its argument by hand"
        raise ConfigurationError(error.problem, error.where, remedy) from None


def _read_request(texts: t.Sequence[str], state: State, noted_in: str | None) -> Request:
    if not texts:
        raise ConfigurationError("the list is empty", "arguments", "name at least one kernel argument")
    wanted: list[Argument] = []
    for index, text in enumerate(texts):
        where = f"arguments[{index}]" if noted_in is None else f"{noted_in} line {index + 1}"
        argument = _read_wanted(text, where)
        if noted_in is not None:
            # What was found may have contradicted itself; what counted of it is to come back.
            counted = [each for each in argument.items if _counts(argument.name, argument.items, each)]
            argument = argument.with_items(counted) or argument
        rival = next((each for each in wanted if each.rivals(argument) and not each.same_as(argument)), None)
        if rival is not None and state == "present":
            raise ConfigurationError(f"{argument.text} contradicts {rival.text}", where, "keep one of the two")
        if state == "present" and not in_force(CommandLine((argument,)), argument):
            raise ConfigurationError(f"{argument.text} contradicts itself", where, "keep one of the two")
        if not any(map(argument.same_as, wanted)):
            wanted.append(argument)
    return Request(tuple(wanted), state, noted_in is not None)


def _replace(places: list[Argument | None], wanted: Argument, in_front: bool) -> list[Argument | None]:
    same_key = _replace_items(places, wanted) if wanted.items else _replace_values(places, wanted)
    return _without_what_stops(_without_what_overrules(same_key, wanted, in_front), wanted)


def _replace_values(places: list[Argument | None], wanted: Argument) -> list[Argument | None]:
    rivals = {
        index: each
        for index, each in enumerate(places)
        if each is not None and each.name == wanted.name and each.rivals(wanted)
    }
    if all(each.same_as(wanted) for each in rivals.values()):
        return places
    first = min(rivals)
    return [(wanted if index == first else None) if index in rivals else each for index, each in enumerate(places)]


def _replace_items(places: t.Sequence[Argument | None], wanted: Argument) -> list[Argument | None]:
    """Items that contradict go; where the wanted one stands nowhere, it takes the place of the first of them."""
    result = list(places)
    for item in wanted.items:
        present = [one for each in result if each is not None and each.name == wanted.name for one in each.items]
        if _counts(wanted.name, _items(filter(None, result), wanted), item):
            continue
        to_place = [] if item in present else [item]
        for index, each in enumerate(result):
            if each is not None and each.name == wanted.name:
                result[index] = _without_rivals(each, item, to_place)
    return result


def _without_rivals(argument: Argument, item: str, to_place: list[str]) -> Argument | None:
    """The list without what contradicts the item, which takes the first such place where it is still `to_place`."""
    items: list[str] = []
    for one in argument.items:
        if not _contradicts(argument.name, one, item):
            items.append(one)
        elif to_place:
            items.append(to_place.pop())
    return argument if tuple(items) == argument.items else argument.with_items(items)


def _without_what_overrules(
    places: t.Sequence[Argument | None], wanted: Argument, in_front: bool
) -> list[Argument | None]:
    """Other keys of the same switch go where they overrule the wanted one, and stay where that comes behind them."""
    result = list(places)
    said = wanted.in_list
    for item in said.items:
        items = _items(filter(None, result), said)
        is_there = any(each is not None and each.name == wanted.name and item in each.in_list.items for each in result)
        if not is_there:
            items = [item, *items] if in_front else [*items, item]
        if _counts(said.name, items, item):
            continue
        for index, each in enumerate(result):
            if each is not None and each.name != wanted.name and each.in_list.name == said.name:
                rest = _without_rivals(each.in_list, item, [])
                result[index] = each if rest == each.in_list else rest
    return result


def _without_what_stops(places: t.Sequence[Argument | None], wanted: Argument) -> list[Argument | None]:
    stopping = {STOPPED_BY.get((wanted.name, item)) for item in wanted.items}
    return [
        each.with_items([item for item in each.items if (each.name, item) not in stopping])
        if each is not None and each.stops(wanted)
        else each
        for each in places
    ]


def _items(arguments: t.Iterable[Argument], wanted: Argument) -> list[str]:
    """All items of the list that the wanted argument is one place of, in the order in which the kernel reads them."""
    return [item for each in arguments if each.in_list.name == wanted.name for item in each.in_list.items]


def _contradicts(name: str, item: str, wanted: str) -> bool:
    """Whether the wanted item of this list does not count, or not surely, while the other one stands there."""
    if item == wanted:
        return False
    return item in LISTS[name].final or any({item, wanted} <= group for group in LISTS[name].rivals)


def _counts(name: str, items: t.Sequence[str], wanted: str) -> bool:
    """Whether the kernel follows the item, of all that it is given one after the other."""
    if wanted in LISTS[name].final:
        return wanted in items
    if not LISTS[name].final.isdisjoint(items):
        return False
    rivals = [each for each in items if each == wanted or _contradicts(name, each, wanted)]
    return bool(rivals) and rivals[-1] == wanted


def _drop(places: list[Argument | None], unwanted: Argument) -> list[Argument | None]:
    return [None if each is not None and matches(each, unwanted) else each for each in places]


def _read_wanted(text: str, where: str) -> Argument:
    words = split(text)
    if not words:
        raise ConfigurationError("the argument is empty", where, "write it as key or key=value")
    if not text.isprintable() or text.count('"') % 2:
        raise ConfigurationError(
            f"{text!r} has an unpaired quote or a control character", where, "write it as key or key=value"
        )
    if len(words) > 1:
        raise ConfigurationError(
            f"{text!r} is more than one argument", where, 'give each an item of its own, or quote the value: key="a b"'
        )
    argument = read_argument(words[0])
    if not argument.key or argument.key.startswith("=") or argument.text == INIT_SEPARATOR:
        raise ConfigurationError(f"{text!r} is no kernel argument", where, "write it as key or key=value")
    return argument
