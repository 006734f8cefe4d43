# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
r"""What systemd's programs print of a list of texts, such as an environment, and which texts these are.

Source: bus_print_property of systemd. 219 (RHEL 7) writes `\x20` for what is special. 239 (RHEL 8) writes `[unprintable]` for a text
with a space or newline, and any other as it is. Later ones have a text with something special between double quotes as a whole, with a
backslash before what is special to a shell, and control characters as in C (shell_maybe_quote); the first of them leave a newline as it is.
"""

from __future__ import annotations

import re
import typing as t

# A newline is the only control character that some versions leave as it is; a tab is no separator.
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[ \n]|\Z)|([^" \n][^ \n]*)', re.S)
_ESCAPED_BARE = re.compile(r"(?:[^\\]|\\x[0-9a-f]{2})*", re.S)
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|[0-7]{3}|.)", re.S)
_CONTROLS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_OF_BUS = re.compile(r"as ([0-9]+)((?: .*)?)\n?", re.S)
_NOT_PRINTED = "[unprintable]"


class Shown(t.NamedTuple):
    """The texts that can be made out, and whether these are all."""

    texts: list[str]
    is_whole: bool


def read_shown(value: str) -> Shown:
    """The texts of a list as systemctl shows it."""
    texts: list[str] = []
    at, is_whole = 0, True
    while at < len(value):
        if value[at] in " \n":
            at += 1
            continue
        word = _WORD.match(value, at)
        if word is None:
            return Shown(texts, False)
        at = word.end()
        quoted, bare = word.groups()
        if bare == _NOT_PRINTED:
            is_whole = False
        else:
            texts.append(_unescaped(quoted) if bare is None else _plain(bare))
    return Shown(texts, is_whole)


def read_bus_texts(printed: str) -> Shown | None:
    """The texts of a list as `busctl get-property` prints it: type, number, and each between quotes, as in C. None for anything else."""
    match = _OF_BUS.fullmatch(printed)
    shown = read_shown(match[2]) if match else None
    return shown if match and shown and len(shown.texts) == int(match[1]) else None


def _plain(bare: str) -> str:
    return _unescaped(bare) if _ESCAPED_BARE.fullmatch(bare) else bare


def _unescaped(text: str) -> str:
    # An escape is of one byte of UTF-8.
    return _ESCAPE.sub(_byte, text.encode(errors="surrogateescape")).decode(errors="surrogateescape")


def _byte(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    if len(code) == 3:
        return bytes([int(code[1:], 16) if code.startswith(b"x") else int(code, 8) & 0xFF])
    return _CONTROLS.get(code, code)
