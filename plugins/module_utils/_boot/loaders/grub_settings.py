# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GRUB's settings as text: finding and changing arguments inside the assignments of shell files. No input or output.

/etc/default/grub and its drop-ins are shell scripts that grub-mkconfig sources, so only a shell knows what they come
to; that is asked elsewhere, of each text made here too. Only assignments that look plain are changed, and everything
else stays byte for byte.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..._node.fields import lines_in
from ..arguments import (
    INIT_SEPARATOR,
    Argument,
    Request,
    amend,
    read_argument,
)

# The one that normal and recovery entries have in common comes first (GRUB manual, "Simple configuration").
ALWAYS = "GRUB_CMDLINE_LINUX"
VARIABLES = (ALWAYS, "GRUB_CMDLINE_LINUX_DEFAULT")

_ASSIGNMENT = re.compile(
    r"""^(?P<head>[ \t]*(?:export[ \t]+)?(?P<variable>GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=)
    (?P<value>"(?:[^"\\`\n]|\\[^\n])*"|'[^'\n]*'|[^\s"'\\`$;&|<>()\#]*)
    (?=[ \t]*$|[ \t]+\#.*$)""",
    re.ASCII | re.MULTILINE | re.VERBOSE,
)
_ESCAPED = re.compile(r'\\([$`"\\])')
_COMPUTED = re.compile(r"(?<!\\)(?:\\\\)*\$")
_HEADER = """\
# Written by accel.qat.kernel_args; what is changed here by hand is lost.
# The arguments stand in front so that none of them gets behind a "--".
"""
_OWN = rf'{re.escape(_HEADER)}{ALWAYS}="(?:[^"\\\n]|\\.)*"'
# Our part of another file. It has no line end if that one had none, so that taking it away leaves what was. An editor may have taken
# the end of a file that has nothing else.
_OWN_PART = re.compile(rf"^{_OWN}\n|(?:\n|\A){_OWN}\Z", re.MULTILINE)
# What follows is no part of the script, though it may look like it.
_HERE_DOCUMENT = "<<"


@dataclass(frozen=True)
class _Word:
    """One word of an assignment's value: where it stands in the file, and what the shell makes of it."""

    start: int
    end: int
    argument: Argument


def is_one_plain_line(text: str) -> bool:
    """Whether kernel arguments are set in at most one line, and that is a plain assignment to GRUB_CMDLINE_LINUX."""
    lines = [line for line in lines_in(text) if ALWAYS in line and not line.startswith("#")]
    matches = [_ASSIGNMENT.fullmatch(line) for line in lines if not _COMPUTED.search(line)]
    if len(lines) > 1 or len(matches) != len(lines):
        return False
    return all(each and each.group("variable") == ALWAYS for each in matches)


def edit(text: str, request: Request) -> str:
    """The file with those arguments changed or taken out that contradict the request; none is added."""
    if _HERE_DOCUMENT in text:
        return text
    for match in reversed(list(_ASSIGNMENT.finditer(text))):
        text = text[: match.start("value")] + _edit_value(match.group("value"), request) + text[match.end("value") :]  # noqa: E203
    return text


def add(text: str, arguments: t.Sequence[Argument]) -> str | None:
    """The file with arguments put first in its last plain assignment to GRUB_CMDLINE_LINUX.

    None where there is none with quotes, between which they can be put and taken out again.
    """
    assignments = [match for match in _ASSIGNMENT.finditer(text) if match.group("variable") == ALWAYS]
    value = assignments[-1].group("value") if assignments else ""
    if _HERE_DOCUMENT in text or not value.startswith(('"', "'")):
        return None
    words = _quoted(" ".join(argument.text for argument in arguments), value[0])
    inside = " ".join(filter(None, [words, value[1:-1]]))
    return text[: assignments[-1].start("value")] + value[0] + inside + value[0] + text[assignments[-1].end("value") :]  # noqa: E203


def with_own_part(text: str, arguments: t.Sequence[Argument]) -> str:
    """The file with a part of our own at its end that has these arguments, and keeps what the file itself has set."""
    text = without_own_part(text)
    if not arguments:
        return text
    if text and not text.endswith("\n"):
        return f"{text}\n{drop_in(arguments)[:-1]}"
    return text + drop_in(arguments)


def without_own_part(text: str) -> str:
    """The file as it was before that part came."""
    return _OWN_PART.sub("", text)


def own_part_arguments(text: str) -> list[Argument]:
    """The arguments that this part holds."""
    return [argument for part in _OWN_PART.findall(text) for argument in drop_in_arguments(part)]


def drop_in(arguments: t.Sequence[Argument]) -> str:
    """A file of our own for /etc/default/grub.d."""
    return f'{_HEADER}{ALWAYS}="{_in_double_quotes(arguments)} ${ALWAYS}"\n'


def drop_in_arguments(text: str) -> list[Argument]:
    """The arguments that such a file holds."""
    return [word.argument for match in _ASSIGNMENT.finditer(text) for word in _words(match.group("value"))]


def _edit_value(value: str, request: Request) -> str:
    if not value.startswith(('"', "'")):
        edited = _edit_value(f'"{value}"', request)
        return value if edited == f'"{value}"' else edited
    words = _words(value)
    places = amend([word.argument for word in words], request, in_front=True)
    for word, place in reversed(list(zip(words, places))):
        if place is None:
            value = _without(value, word)
        elif place is not word.argument:
            value = value[: word.start] + _quoted(place.text, value[0]) + value[word.end :]  # noqa: E203
    return value


def _without(value: str, word: _Word) -> str:
    """The value without a word and the white space that parted it from its neighbour."""
    before, after = value[: word.start].rstrip(" \t"), value[word.end :]  # noqa: E203
    first = len(before) == 1 and after[0] in " \t"
    return before + (after[1:] if first else after)


def _words(value: str) -> list[_Word]:
    """The words of a quoted value that are plain arguments: not computed by the shell, and not behind `--`."""
    double = value[0] == '"'
    words: list[_Word] = []
    for start, raw in _raw_words(value, double):
        text = _ESCAPED.sub(r"\1", raw) if double else raw
        if text == INIT_SEPARATOR:
            break
        if not (double and _COMPUTED.search(raw)):
            words.append(_Word(start, start + len(raw), read_argument(text)))
    return words


def _raw_words(value: str, double: bool) -> t.Iterator[tuple[int, str]]:
    r"""Position and shell text of each word.

    White space between a kernel's quotes parts no words; between the shell's double quotes those are written \".
    """
    raw, quoted, position = "", False, 1
    for piece in re.findall(r"\\.|[^\\]" if double else r".", value[1:-1]):
        if piece in (" ", "\t") and not quoted:
            if raw:
                yield position - len(raw), raw
            raw = ""
        else:
            quoted = quoted != (piece in ('"', '\\"'))
            raw += piece
        position += len(piece)
    if raw:
        yield position - len(raw), raw


def _in_double_quotes(arguments: t.Sequence[Argument]) -> str:
    return _quoted(" ".join(argument.text for argument in arguments), '"')


def _quoted(text: str, quote: str) -> str:
    return re.sub(r'([$`"\\])', r"\\\1", text) if quote == '"' else text
