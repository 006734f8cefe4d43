# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GRUB's menu as grub.cfg has it, and which entry of it is started. No input or output.

Sources: the GRUB manual, "menuentry" and "default" (a number, a title or an id, `>` before those of a submenu, which is written twice
where a title has one), grub-core/normal/menu.c (get_entry_number; what is not found is the first entry).
"""

from __future__ import annotations

import re
import shlex
import typing as t
from dataclasses import dataclass, field

from ..._node.fields import is_number, lines_in
from ..arguments import CommandLine, parse

_BEGIN = re.compile(r"### BEGIN (?P<script>\S+) ###")
_ITEM = re.compile(r"(?P<kind>menuentry|submenu)[ \t]+(?P<words>.*)\{")
_LINUX = re.compile(r"linux(?:16|efi)?[ \t]+\S+(?:[ \t]+(?P<arguments>.*))?")
_LEVEL = re.compile(r"(?<!>)>(?!>)")
_ID_OPTIONS = ("--id", "$menuentry_id_option")


@dataclass
class Item:
    """An entry, or a submenu with others; `head` is the line that it begins with, `script` what has made it.

    `start` is the line that loads its kernel, and `line` what that is given; an entry that loads no Linux has none.
    """

    title: str
    id: str
    script: str
    head: str
    is_submenu: bool
    start: str = ""
    line: CommandLine | None = None
    items: list[Item] = field(default_factory=list)


def read_menu(text: str, script: str = "") -> list[Item]:
    """The menu of a grub.cfg; `script` is what it is from where that does not say so. What is no entry is passed over."""
    menu = Item("", "", "", "", True)
    open_ = [menu]
    for line in map(str.strip, lines_in(text)):
        begin, item = _BEGIN.fullmatch(line), _ITEM.fullmatch(line)
        script = begin.group("script") if begin else script
        above = open_[-1]
        if item is not None:
            found = _item(item, script, line)
            above.items.append(found)
            open_.append(found)
        elif line.endswith("{") and not line.startswith("#"):
            open_.append(above)
        elif line == "}" and len(open_) > 1:
            open_.pop()
        elif above.line is None and not above.is_submenu:
            linux = _LINUX.fullmatch(line)
            if linux is not None:
                above.start, above.line = line, parse(linux.group("arguments") or "")
    return menu.items


def started(items: t.Sequence[Item], default: str) -> Item | None:
    """The entry that is started where this is the default; None in an empty menu."""
    first, *others = _LEVEL.split(default, maxsplit=1)
    found = _found(items, first.replace(">>", ">"))
    if found is None or not found.is_submenu:
        return found
    return started(found.items, others[0] if others else "0")


def named(items: t.Sequence[Item], name: str) -> Item | None:
    """The entry at the top of the menu that has this title or id."""
    wanted = name.replace(">>", ">")
    return next((item for item in items if wanted in (item.title, item.id) and not item.is_submenu), None)


def _found(items: t.Sequence[Item], wanted: str) -> Item | None:
    if is_number(wanted) and int(wanted) < len(items):
        return items[int(wanted)]
    named = (item for item in items if wanted and wanted in (item.title, item.id))
    return next(named, items[0] if items else None)


def _item(match: re.Match[str], script: str, head: str) -> Item:
    try:
        words = shlex.split(match.group("words"))
    except ValueError:
        words = []
    ids = [after for word, after in zip(words, words[1:]) if word in _ID_OPTIONS]
    ids += [word.partition("=")[2] for word in words if word.startswith("--id=")]
    return Item(words[0] if words else "", ids[0] if ids else "", script, head, match.group("kind") == "submenu")
