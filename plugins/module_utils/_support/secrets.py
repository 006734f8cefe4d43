# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What looks like a secret in a text of any form: by its name, or by its own shape. Pure functions.

Where a name is of a secret, all that follows it in the line goes, and in the lines that belong to it: what a value is depends on quotes,
escapes and indentation of the form, and to take too much harms nobody.
"""

from __future__ import annotations

import re
import typing as t

MARK = "[redacted]"

Cleaned = tuple[str, int]
"""A text without secrets, and how many were taken out."""

# Wherever they stand, in whatever spelling.
_WORDS = (
    r"token|passw(?:ord|d)?|passphrase|passcode|passkey|secret|credential|bearer|cookie|jwt|psk|pwd|dsn|urlheader"
    r"|(?:api|private|access|account|encryption|signing)[-_ .]?key|connection[-_ .]?string|session[-_ .]?id"
    r"|(?-i:[a-z](?:Key|Auth|Pass|Pin|Pw)|[-_](?:key|auth|pass|pin|pw|creds?|KEY|AUTH|PASS|PIN|PW|CREDS?))(?![A-Za-z])"
    # The header of HTTP, also before a list of values; kubelet's own field begins with a small letter.
    r"|(?-i:Authorization)(?=[\"'\\]*\s*[:=])"
)
# Common words, which count only with a value behind them,
_WITH_VALUE = (
    r"(?:key|auth|pass|pin|pw|otp|creds?|seed|sig|signature|salt|[-_]data)(?=[\"'\\]*\s*(?:[:=]|%3[AD]))"
    r"|authorization(?=[\"'\\]*\s*[:=]\s*[^\s{])"
)
# or as an option of a command.
_OPTION = r"(?<![^\s\"'])--?[\w-]*(?:key|auth|pass|pin|pw|creds?)(?=[\s\"',]|$)"
# What repeats the command line or the environment of something else.
_OF_OTHERS = r"envvar|\benv(?:ironment)?[\"'\\]*\s*[:=]|\bargs?[\"'\\]*:|\bcommand[\"'\\]*[:=]|command[ -]?line|cmdline|proctitle"

_NAME = re.compile(f"(?i){_WORDS}|{_WITH_VALUE}|{_OPTION}")
_NAME_IN_LOG = re.compile(f"(?i){_WORDS}|{_WITH_VALUE}|{_OPTION}|{_OF_OTHERS}")
# A value that is no secret, after which the line goes on with another name or ends.
_HARMLESS = re.compile(
    r"[\w.\-]*[\"'\\]*\s*[:=]\s*[\"'\\]*(?i:true|false|null)[\"'\\]*(?=[\s;}\])]*$|\s*,\s*[\"'\\]*[\w.\-]+[\"'\\]*\s*[:=])"
)
# "name: TOKEN": the value is somewhere else in the line, or in a line before or after.
_NAMING = re.compile(r"(?i)\b(?:name|key|variable|field|header|option)[\"'\\]*\s*[:=]\s*[\"'\\]*([\w.\-]+)")
_COMPLEX_KEY = re.compile(r"\s*\? ")
_BEFORE_VALUE = re.compile(r"[\w.\-]*[\"'\\]*\s*[:=]?\s*")
_BLOCK = re.compile(r"[|>][\d+\-]*")
# What YAML allows between a name and a value in the lines that follow: a tag, an anchor, a comment.
_PROPERTIES = re.compile(r"(?:[!&]\S*\s*)*(?:#.*)?")
_QUOTED = re.compile(r"(?<![\w\\])([\"'])(?:\\.|(?!\1)[^\\])*\1")
_ITEM = re.compile(r"[ \t]*-[ \t]+")
# "key: node-role.kubernetes.io/x" is the name of a label or a taint.
_LABEL = re.compile(r"[\s\-]*[\"']?key[\"']?\s*:\s*[\"']?(?:[a-z0-9\-]+\.)+[a-z0-9\-]+/[\w.\-]+[\"']?,?\s*")
_MOST_OF_ENTRY = 200
"""Lines of an entry in which a value is looked for before its name."""

# Letters of a part of a URL. Without a bound a text of others that begins one at each letter would take hours.
_MOST_OF_URL = 512

_SHAPES = re.compile(
    "|".join(
        (
            r"\$(?:[1567]|2[abxy]?|y|gy|argon2\w*|scrypt)\$\S+",  # crypt(5)
            r"grub\.pbkdf2\.\S+",
            r"\beyJ[\w\-]{8,}[\w.\-=]*",  # JWT, and any JSON in base64
            r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b",  # a bootstrap token of kubeadm
            r"\bK10[0-9a-f]{8,}\S*",  # of K3s and RKE2
            rf"(?<=://)[^\s\"'<>]{{0,{_MOST_OF_URL}}}@",
            rf"(?<![\w@/.])[\w.+%~\-]{{1,{_MOST_OF_URL}}}:[^\s@/\"'\\]{{1,{_MOST_OF_URL}}}@(?=[\w\[])",
            r"(?i:\b(?:bearer|basic|digest|negotiate)\s+[\w+/=.~\-]{6,})",
            r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}",
            r"\bgh[pousr]_\w{16,}|\bgithub_pat_\w+|\bglpat-[\w\-]{16,}|\bxox[abprs]-\S+|\bhv[sb]\.[\w\-]{16,}",
            r"\bAIza[\w\-]{30,}|\bnpm_\w{30,}|\bdckr_pat_\S+|\bsk-[\w\-]{16,}|\bage-secret-key-\w+",
            r"(?<!\S)-u\s*[^\s:]+:\S+",
        )
    )
)
_QUERY = re.compile(rf"(://[^\s?\"'<>]{{0,{_MOST_OF_URL}}}\?)[^\s\"'<>]+")
_LONG = re.compile(r"[A-Za-z0-9+/_\-]{24,}={0,2}")
_BASE64_LINE = re.compile(r"\s*(?:[-\"']\s*)?[A-Za-z0-9+/]{16,}={0,2}[\"',\\]*\s*")
_BASE64_END = re.compile(r"\s*[A-Za-z0-9+/]+={0,2}[\"',\\]*\s*")
_PEM = re.compile(r"-----BEGIN[^\n]*?-----.*?(?:-----END[^\n]*?-----|\Z)", re.DOTALL)


def names_secret(name: str) -> bool:
    """Whether something of this name, as a key or an option, is taken for a secret."""
    return _NAME.search(f"{name}=") is not None


def without_shapes(text: str) -> Cleaned:
    """The text without what shows by itself that it is a secret."""
    count = 0

    def mark(_match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return MARK

    def mark_random(match: re.Match[str]) -> str:
        return mark(match) if _is_random(match.group()) else match.group()

    def mark_query(match: re.Match[str]) -> str:
        return match.group(1) + mark(match)

    text = _PEM.sub(mark, text)
    text = _QUERY.sub(mark_query, text)
    text = _SHAPES.sub(mark, text)
    return _LONG.sub(mark_random, text), count


def _is_random(word: str) -> bool:
    """Whether letters and figures change places as often as in what no person has written. Numbers in hexadecimal do not count."""
    kinds = ["0" if one.isdigit() else "A" if one.isupper() else "a" if one.islower() else "-" for one in word]
    changes = sum(one != other for one, other in zip(kinds, kinds[1:]))
    return {"0", "A", "a"} <= set(kinds) and changes * 3 >= len(word)


class _Value:
    """What of the lines that follow belongs to a value that was cut off: `line` is its line, `rest` what follows the name there."""

    def __init__(self, line: str, rest: str) -> None:
        self.is_of_entry = False
        self._indent = _indent(line)
        self._is_item = line.lstrip().startswith("-")
        value = _PROPERTIES.sub("", _BEFORE_VALUE.sub("", rest, count=1).strip(), count=1)
        quote = value[:1] if value[:1] in ("'", '"') else ""
        self._quote = quote if quote and _unescaped(value, quote) % 2 else ""
        self._depth = 0 if self._quote else _depth(value)
        self._joined = line.rstrip().endswith("\\")
        self._is_empty = not value.strip("\"',\\[{(") or bool(_BLOCK.fullmatch(value))
        self._next = self._is_empty

    def takes(self, line: str) -> bool:
        """Whether the next line is part of it."""
        if self._quote:
            self._quote = "" if _unescaped(line, self._quote) % 2 else self._quote
        elif self._depth > 0:
            self._depth += _depth(line)
        elif self._joined:
            self._joined = line.rstrip().endswith("\\")
        elif _is_comment(line):
            pass  # it may stand anywhere, and ends nothing
        elif line.strip() and not self._next:
            return _indent(line) > self._indent or self._goes_on(line)
        elif line.strip():
            self._next = False
        return True

    def _goes_on(self, line: str) -> bool:
        """Whether a line that is no deeper is a value too: that of a complex key, or a list that stands as deep as its name."""
        start = line.lstrip()[:1]
        is_list = start == "-" and self._is_empty and not self._is_item
        return _indent(line) == self._indent and (start == ":" or is_list)


def without_named(text: str) -> Cleaned:
    """The text of a file without secrets, be they named or shown by their shape."""
    value: _Value | None = None
    count, was_base64 = 0, False
    kept: list[str] = []
    text, found = without_shapes(text)
    for line in text.split("\n"):
        if value is not None and value.takes(line):
            kept.append(MARK if line.strip() else "")
            continue
        cleaned, value, cuts, was_base64 = _cut(line, _NAME, was_base64)
        count += cuts
        if value is not None and value.is_of_entry:
            _mark_entry(kept, line)
        kept.append(cleaned)
    return "\n".join(kept), count + found


def _mark_entry(kept: list[str], line: str) -> None:
    """Take out what stands in the same entry before the name that says of what it is the value."""
    column = _indent(line)
    for number in reversed(range(max(0, len(kept) - _MOST_OF_ENTRY), len(kept))):
        other = kept[number]
        if not other.strip() or other == MARK or _is_comment(other):
            continue
        begins = _ITEM.match(other)
        at = len(begins.group()) if begins else _indent(other)
        if at < column:
            return
        kept[number] = MARK
        if begins and at == column:
            return


# What begins a message of a log: klog's header, a time, JSON, or a logger's first field.
_BEGINS = re.compile(r"[IWEF]\d{4} \d\d:|\d{4}-\d\d-\d\d[T ]|time=|level=|ts=|\{\"|\[\s*\d+\.\d+\]|systemd\[1\]:")


def without_logged(text: str, prefix: t.Pattern[str]) -> Cleaned:
    """The text of a log without secrets. A message may have several lines, and each its own `prefix`."""
    value: _Value | None = None
    kept, count, was_base64 = [], 0, False
    text, found = without_shapes(text)
    for line in text.split("\n"):
        head = prefix.match(line)
        before = head.group() if head else ""
        said = line[len(before) :]  # noqa: E203
        if value is not None and not _BEGINS.match(said) and value.takes(said):
            kept.append(before + (MARK if said.strip() else ""))
            continue
        said, value, cuts, was_base64 = _cut(said, _NAME_IN_LOG, was_base64)
        count += cuts
        kept.append(before + said)
    return "\n".join(kept), count + found


def _cut(line: str, name: t.Pattern[str], was_base64: bool) -> tuple[str, _Value | None, int, bool]:
    """The line up to a secret, the value that was cut off, how many these are, and whether it was of base64 alone."""
    if line.strip() == MARK:
        return line, None, 0, True
    if _BASE64_END.fullmatch(line) if was_base64 else _BASE64_LINE.fullmatch(line) and _looks_encoded(line):
        return MARK, None, 1, True
    naming = next((one for one in _NAMING.finditer(line) if names_secret(one[1])), None)
    if naming is not None:
        value = _Value(line, line[naming.end() :])  # noqa: E203
        value.is_of_entry = not line.lstrip().startswith("- ")
        return " " * _indent(line) + MARK, value, 1, False
    at = _end_of_name(line, name)
    if at is None:
        return line, None, 0, False
    rest = line[at:]
    # A name without a value here: what follows in other lines goes.
    has_value = bool(_BEFORE_VALUE.sub("", rest, count=1).strip())
    return line[:at] + MARK if has_value else line, _Value(line, rest), 1, False


def _end_of_name(line: str, name: t.Pattern[str]) -> int | None:
    """Where the name of the first secret in the line ends, None where there is none."""
    if _COMPLEX_KEY.match(line) and names_secret(line.strip()):
        return len(line)
    match = None if _LABEL.fullmatch(line) else name.search(line)
    while match is not None:
        harmless = _HARMLESS.match(line, match.end())
        if harmless is None:
            return match.end()
        match = name.search(line, harmless.end())
    return None


def _looks_encoded(line: str) -> bool:
    """Whether it may be a line of base64, and is no plain word."""
    word = line.strip(" \t\"',\\-")
    return all(any(map(has, word)) for has in (str.isupper, str.islower, lambda one: one in "0123456789+/"))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _depth(text: str) -> int:
    """By how many levels it goes down, more than up. Brackets between quotes are letters."""
    text = _QUOTED.sub("", text)
    return sum(text.count(one) for one in "{[(") - sum(text.count(one) for one in "}])")


def _unescaped(text: str, quote: str) -> int:
    """How often a quote stands there without a backslash before it."""
    return len(re.findall(rf"(?<!\\)(?:\\\\)*{quote}", text))
