# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The variables of a unit, and its command line with them, as systemd reads them (src/basic/env-file.c, env-util.c)."""

from __future__ import annotations

import re
import shlex
import typing as t

_BLANK = " \t\r\n"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# What a backslash takes its meaning from between double quotes; before anything else it stays.
_ESCAPED = '"\\`$'


class Variables(dict[str, str]):
    """Values by name. Of those in `doubtful` it depends on systemd's version whether they count."""

    def __init__(self, *given: t.Any) -> None:
        super().__init__(*given)
        self.doubtful: set[str] = set()


def read_file(text: str) -> Variables:
    """The assignments of an EnvironmentFile. What systemd takes no notice of, such as a line without `=`, is left out."""
    return _File(text).variables


class _File:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.variables = Variables()
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
        return self._text[start : self._at]

    def _assignment(self, doubtful: bool) -> None:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in "=\r\n":
            self._at += 1
        name = self._text[start : self._at].rstrip()
        if self._at == len(self._text) or self._text[self._at] != "=":
            return
        self._at += 1
        value = self._value()
        if _NAME.fullmatch(name):
            self.variables[name] = value
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
                break
            if char == "\\" and quote == '"' and self._at < len(self._text):
                char = self._text[self._at]
                self._at += 1
                value += char if char in _ESCAPED else "" if char == "\n" else f"\\{char}"
            else:
                value += char
        return value

    def _plain(self) -> str:
        value, end = "", 0
        while self._at < len(self._text) and self._text[self._at] not in "\r\n":
            char = self._text[self._at]
            self._at += 1
            if char == "\\":
                char = self._text[self._at : self._at + 1]
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
        doubtful |= names & variables.doubtful
    return found, doubtful
