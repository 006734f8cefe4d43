# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of others as they may come to us: a real one, altered as accidents, editors, crashes and attackers alter texts.

How long a test of them takes is bounded by its number of examples: `examples(cost)` is so many that the nightly run takes about a minute
on one core, where an example costs `cost` milliseconds.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import time
import typing as t

from hypothesis import settings
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError

LONGEST = 5000
"""More of a message nobody reads, whatever a file has in it."""

_SECONDS = 5.0
_PIECES = (
    *(b"\0", b"\t", b"\r", b"\r\n", b"\n", b"\n\n", b"\x1b[2J", b"\x07", b"\x7f", b"\xff", b"\xc3", b"\xed\xa0\x80"),
    *("\x85".encode(), "\u2028".encode(), "\u202e".encode(), "\ufeff".encode(), "é".encode(), "\ufffe".encode()),
    *(b'"', b"'", b"\\", b"\\\n", b"`", b"$", b"${", b"$x", b"{", b"}", b"[", b"]", b",", b":", b": ", b"- ", b"#", b" #"),
    *(b"=", b"+=", b"--", b" -- ", b"*", b"&", b"&a ", b"*a", b"!", b"!!int ", b"!x ", b"|\n", b">\n", b"? ", b"---\n", b"...\n"),
    *(b"<<: ", b"null", b"~", b"true", b"-1", b"0", b"1e999", b"NaN", b"0x", b"2001-13-45", b"1_0", b".inf", b"\\u0000"),
    *(b" ", b"  ", b"\t ", b";", b"(", b")", b"%s", b"%", b"{0}", b"../", b"/", b"@"),
    *(b"9" * 400, b"9" * 5000, b"a" * 5000, b"[" * 3000, b"{" * 3000, b'{"a":' * 2000, b"- " * 1500, b"\n" * 500),
)  # fmt: skip
_LINE_ENDS = (b"\r\n", b"\r", b"\n\r", b"", "\u2028".encode(), "\x85".encode())

Change = t.Callable[[bytes], bytes]


def examples(cost: float) -> t.Callable[[t.Any], t.Any]:
    """So many examples of this cost in milliseconds that they take a minute in the nightly run, and seconds otherwise."""
    nightly = settings.default is not None and settings.default.max_examples > 1000
    return settings(max_examples=int((60_000 if nightly else 2_000) / cost))


def altered(texts: t.Sequence[str], words: t.Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """One of the texts with some changes; `words` are what stands in such files, to be put at other places."""
    changes = st.one_of(*_changes([word.encode() for word in words]))
    many = st.lists(changes, max_size=4) | st.lists(changes, min_size=1, max_size=1)
    return st.tuples(st.sampled_from([text.encode() for text in texts]), many).map(_applied)


def altered_texts(texts: t.Sequence[str], words: t.Sequence[str] = ()) -> st.SearchStrategy[str]:
    """The same as readers of files have it that keep bytes which are no UTF-8."""
    return altered(texts, words).map(lambda content: content.decode("utf-8", "surrogateescape"))


def altered_documents(documents: t.Sequence[t.Any]) -> st.SearchStrategy[bytes]:
    """JSON of which some values, names or entries are others: what is wrong lies in what it says, not in its form."""
    return st.tuples(st.sampled_from([json.dumps(one) for one in documents]), st.lists(_EDITS, max_size=3)).map(_edited)


def _applied(drawn: tuple[bytes, list[Change]]) -> bytes:
    content, changes = drawn
    for change in changes:
        content = change(content)
    return content


def _changes(words: t.Sequence[bytes]) -> t.Iterator[st.SearchStrategy[Change]]:
    place = st.integers(0, 2**16)
    yield st.builds(_put, place, st.sampled_from([*_PIECES, *words]))
    yield st.builds(_put, place, st.binary(min_size=1, max_size=3))
    yield st.builds(_replaced, place, st.integers(1, 40), st.sampled_from([b"", *_PIECES, *words]))
    yield st.builds(_flipped, place, st.integers(0, 7))
    yield st.builds(_lines, place, place, st.sampled_from(["double", "swap", "drop", "indent", "move"]))
    yield st.builds(lambda at: lambda content: content[: at % (len(content) + 1)], place)
    yield st.builds(lambda at: lambda content: content[at % (len(content) + 1) :], place)
    yield st.builds(lambda end: lambda content: content.replace(b"\n", end), st.sampled_from(_LINE_ENDS))
    yield st.builds(_numbered, place, st.sampled_from([b"-1", b"9" * 30, b"9" * 5000, b"1e400", b"1.5", b"true", b""]))
    yield st.just(lambda content: "\ufeff".encode() + content)
    yield st.just(lambda content: content + content)
    yield st.just(lambda content: content.decode("utf-8", "replace").encode("utf-16"))
    yield st.just(lambda content: content.rstrip(b"\n"))


def _put(place: int, piece: bytes) -> Change:
    return _replaced(place, 0, piece)


def _replaced(place: int, length: int, piece: bytes) -> Change:
    def change(content: bytes) -> bytes:
        at = place % (len(content) + 1)
        return content[:at] + piece + content[at + length :]

    return change


def _flipped(place: int, bit: int) -> Change:
    def change(content: bytes) -> bytes:
        if not content:
            return content
        at = place % len(content)
        return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]

    return change


def _lines(first: int, second: int, what: str) -> Change:
    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        if not lines:
            return content
        one, other = first % len(lines), second % len(lines)
        if what == "double":
            lines.insert(other, lines[one])
        elif what == "swap":
            lines[one], lines[other] = lines[other], lines[one]
        elif what == "drop":
            del lines[one]
        elif what == "indent":
            lines[one] = b"  " + lines[one]
        else:
            lines.insert(other, lines.pop(one))
        return b"".join(lines)

    return change


def _numbered(place: int, number: bytes) -> Change:
    def change(content: bytes) -> bytes:
        found = list(re.finditer(rb"[0-9]+", content))
        if not found:
            return content
        match = found[place % len(found)]
        return content[: match.start()] + number + content[match.end() :]

    return change


_STRANGE: st.SearchStrategy[t.Any] = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 10**4000, 1.5, float("inf"), float("nan"), "", " ", "x", "\0", "\x1b[2J", "é\n", "\ud800",),
        "a" * 9000,
        *([], [None], [[]], {}, {"": {}}, {"\n": 1}, {"b" * 9000: 0}, ["0"], [1, "1"], {"a": None}, {"0": ["x"]}, {"-1": [None]}),
    ]
)  # fmt: skip
_EDITS = st.tuples(st.integers(0, 2**16), st.sampled_from(["value", "name", "drop", "double"]), _STRANGE)


def _edited(drawn: tuple[str, list[tuple[int, str, t.Any]]]) -> bytes:
    text, edits = drawn
    document = json.loads(text)
    for place, what, one in edits:
        strange = copy.deepcopy(one)
        places = list(_places(document))
        if not places:
            return json.dumps(strange).encode()
        holder, key = places[place % len(places)]
        if what == "drop":
            del holder[key]
        elif what == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif what == "name" and isinstance(holder, dict):
            holder[strange if isinstance(strange, str) else "unknown"] = holder.pop(key)
        else:
            holder[key] = strange
    return json.dumps(document).encode()


def _places(value: t.Any) -> t.Iterator[tuple[t.Any, t.Any]]:
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for key, one in pairs:
        yield value, key
        yield from _places(one)


@contextlib.contextmanager
def in_time() -> t.Iterator[None]:
    """Whatever is done ends in a time that nobody minds, by the processor's clock."""
    begin = time.process_time()
    yield
    assert time.process_time() - begin < _SECONDS


def see_sentence(refusal: NodeError) -> None:
    """A refusal is one line that can be printed and read."""
    sentence = str(refusal)
    assert refusal.problem
    assert sentence.isprintable(), sentence
    assert len(sentence) <= LONGEST, f"{len(sentence)}: {sentence[:300]}"
