# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The variables of a unit, and its command line with them, as systemd reads them (src/basic/env-file.c, env-util.c)."""

from __future__ import annotations

import re
import shlex
import typing as t

from .shown import Shown

_BLANK = " \t\r\n"
# Of a byte that is no UTF-8, and of one that ends a text of C.
_NOT_TAKEN = re.compile("[\0\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# What a backslash takes its meaning from between double quotes; before anything else it stays.
_ESCAPED = '"\\`$'


class Variables(dict[str, str]):
    """Values by name. Of those in `doubtful` it is not certain whether they count, nor are there names with no value for them."""

    def __init__(self, *values: t.Any) -> None:
        super().__init__(*values)
        self.doubtful: set[str] = set()
        # Whether there may be others, with any name that is not here nor `absent`.
        self.has_others = False
        self.absent: set[str] = set()

    def is_doubtful(self, name: str) -> bool:
        """Whether it is not certain what value a name has, or that it has none."""
        return name in self.doubtful or (self.has_others and name not in self and name not in self.absent)

    def overlay(self, later: Variables) -> None:
        """Take those of a source that counts over what is here."""
        if later.has_others:
            self.doubtful |= set(self)
            self.absent.clear()
        self.doubtful = (self.doubtful - set(later)) | later.doubtful
        self.has_others = self.has_others or later.has_others
        self.update(later)

    def take_away(self, name: str) -> None:
        """Have it unset for certain."""
        self.pop(name, None)
        self.doubtful.discard(name)
        self.absent.add(name)


def read_assignments(shown: Shown) -> Variables:
    """The variables of an environment that systemd shows. What is no assignment stands for one that it does not show."""
    pairs = [text.partition("=") for text in shown.texts]
    variables = Variables({name: value for name, equals, value in pairs if equals})
    variables.has_others = not shown.is_whole or not all(equals for _name, equals, _value in pairs)
    return variables


def read_file(text: str) -> Variables:
    """The assignments of an EnvironmentFile. What systemd takes no notice of, such as a line without `=`, is left out.

    It takes nothing of a file in which a name or a value is no UTF-8; what does not count for it, such as a comment, may be anything.
    """
    file = _File(text)
    return file.variables if file.is_taken else Variables()


def words_of(text: str, name: str) -> list[str] | None:
    """The words that a variable of such a file gives a command line, None where they cannot be made out for certain."""
    variables = read_file(text)
    return None if name in variables.doubtful else _words(variables.get(name, ""))


def with_word(text: str, name: str, word: str) -> str | None:
    """The file with one word more at the end of a variable's value. None where that cannot be done for certain.

    The assignment that counts is the last one. Where there is none, a line is added.
    """
    there = _File(text).places.get(name)
    if there is None:
        end = "\r\n" if "\r\n" in text else "\n"
        between = "" if not text or text.endswith(("\n", "\r")) else end
        return _sure(text, f"{text}{between}{name}={word}{end}", name, [word])
    words = words_of(text, name)
    raw = text[there.value : there.end]  # noqa: E203
    last = there.value + len(raw.rstrip(" \t"))
    # Before the quote that ends the value, or where no quote does.
    for at in (last - 1, last) if raw.rstrip(" \t").endswith(("'", '"')) else (last,):
        blank = "" if not words or text[at - 1] in _BLANK else " "
        changed = _sure(text, f"{text[:at]}{blank}{word}{text[at:]}", name, None if words is None else [*words, word])
        if changed is not None:
            return changed
    return None


def without_word(text: str, name: str, word: str, keep_line: bool = True) -> str | None:
    """The file without that word in a variable's value, and where nothing else is in it maybe without its line. None as above."""
    there = _File(text).places.get(name)
    words = words_of(text, name)
    if there is None or words is None or word not in words:
        return None
    if words == [word] and not keep_line:
        after = re.match(r"\r?\n|\r|", text[there.end :])  # noqa: E203
        changed = text[: there.start] + text[there.end + len(after.group() if after else "") :]  # noqa: E203
        if name not in read_file(changed):
            return _sure(text, changed, name, [])
    number = len(words) - 1 - words[::-1].index(word)
    left = [*words[:number], *words[number + 1 :]]  # noqa: E203
    for match in reversed(list(re.finditer(re.escape(word), text[there.value : there.end]))):  # noqa: E203
        at, end = there.value + match.start(), there.value + match.end()
        for start in (at - 1, at) if text[at - 1] in " \t" else (at,):
            changed_or_none = _sure(text, text[:start] + text[end:], name, left)
            if changed_or_none is not None:
                return changed_or_none
    return None


def assignment(text: str, name: str) -> str:
    """The lines of the assignment that counts, empty where there is none."""
    there = _File(text).places.get(name)
    return f"{text[there.start : there.end]}\n" if there else ""


def _sure(before: str, after: str, name: str, words: list[str] | None) -> str | None:
    """The changed file, if the variable has these words then and nothing else has changed for systemd."""
    old, new = _File(before), _File(after)
    # A file that is no UTF-8 systemd does not take.
    doubtful = name in old.variables.doubtful or old.unclosed or _NOT_TAKEN.search(before)
    if words is None or doubtful or new.unclosed or old.variables.doubtful != new.variables.doubtful:
        return None
    old_value, value = old.variables.pop(name, ""), new.variables.pop(name, "")
    known = _words(old_value) is not None
    return after if known and old.variables == new.variables and _words(value) == words else None


def _words(value: str) -> list[str] | None:
    """As systemd splits a variable that is a word of its own. It takes a backslash otherwise than a shell between single quotes."""
    if "\\" in value and ("'" in value or '"' in value):
        return None
    try:
        return shlex.split(value)
    except ValueError:
        return None


class _Place(t.NamedTuple):
    """Where an assignment begins, its value begins, and both end."""

    start: int
    value: int
    end: int


class _File:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.variables = Variables()
        self.places: dict[str, _Place] = {}
        # Whether a quote is open at the end.
        self.unclosed = False
        self.is_taken = "\0" not in text
        doubtful = False
        while self._at < len(text):
            if text[self._at] in _BLANK:
                self._at += 1
            elif text[self._at] in "#;":
                # Up to version 253 a backslash at its end takes the next line into the comment.
                doubtful = self._line().endswith("\\")
            else:
                self._assignment(doubtful)
                doubtful = False

    def _line(self) -> str:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in "\r\n":
            self._at += 1
        return self._text[start : self._at]  # noqa: E203

    def _assignment(self, doubtful: bool) -> None:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in "=\r\n":
            self._at += 1
        name = self._text[start : self._at].rstrip()  # noqa: E203
        if self._at == len(self._text) or self._text[self._at] != "=":
            return
        self._at += 1
        begins = self._at
        value = self._value()
        self.is_taken = self.is_taken and not _NOT_TAKEN.search(name + value)
        if _NAME.fullmatch(name):
            self.variables[name] = value
            self.places[name] = _Place(start, begins, min(self._at, len(self._text)))
            self.variables.doubtful -= {name}
            if doubtful:
                self.variables.doubtful.add(name)

    def _value(self) -> str:
        """To the end of the line, but for lines that are joined and quotes that are open."""
        value = ""
        while self._at < len(self._text) and self._text[self._at] not in "\r\n":
            char = self._text[self._at]
            if char in "\"'":
                self._at += 1
                value += self._quoted(char)
            elif char in _BLANK:
                self._at += 1
            else:
                # From here on quotes are letters, and blanks count but at the end.
                return value + self._plain()
        return value

    def _quoted(self, quote: str) -> str:
        value = ""
        while self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            if char == quote:
                return value
            if char == "\\" and quote == '"' and self._at < len(self._text):
                char = self._text[self._at]
                self._at += 1
                value += char if char in _ESCAPED else "" if char == "\n" else f"\\{char}"
            else:
                value += char
        self.unclosed = True
        return value

    def _plain(self) -> str:
        value, end = "", 0
        while self._at < len(self._text) and self._text[self._at] not in "\r\n":
            char = self._text[self._at]
            self._at += 1
            if char == "\\":
                char = self._text[self._at : self._at + 1]  # noqa: E203
                self._at += 1
                value += "" if char in "\r\n" else char
                end = len(value)
            else:
                value += char
                end = end if char in _BLANK else len(value)
        return value[:end]


def expand(words: t.Iterable[str], variables: Variables) -> tuple[list[str], set[str]]:
    """The words of a command line, and the names of variables in it that cannot be made out for certain."""
    found: list[str] = []
    doubtful: set[str] = set()
    for word in words:
        names = set(re.findall(r"\$\{(\w+)\}", word))
        alone = re.fullmatch(r"\$(\w+)", word)
        if alone:
            names.add(alone.group(1))
            try:
                found += shlex.split(variables.get(alone.group(1), ""))
            except ValueError:
                doubtful |= names
        else:
            found.append(re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match.group(1), ""), word))
        doubtful |= {name for name in names if variables.is_doubtful(name)}
    return found, doubtful
