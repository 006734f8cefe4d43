# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of others is parted as the kernel and a shell part it, wherever a node is looked at."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.fields import is_number, lines_in, words_in

ROOT = Path(__file__).parents[3]
# Where no process of a node says anything: answers of the API server, and what is taken for a secret, which is rather more than less.
ITSELF = "plugins/module_utils/_node/fields.py"
ELSEWHERE = ("plugins/module_utils/_cluster/", "plugins/module_utils/_support/secrets.py")
FORGED = "\x0b\x0c\r\x1c\x1d\x1e\x85\xa0\u2007\u2028\u2029\u3000"


@pytest.mark.parametrize("character", FORGED)
def test_a_name_is_one_word_of_one_line(character: str) -> None:
    text = f"Name:\ta{character}b\nUid:\t1\n"
    assert lines_in(text) == [f"Name:\ta{character}b", "Uid:\t1"]
    assert words_in(text) == ["Name:", f"a{character}b", "Uid:", "1"]
    assert words_in(f"{character}\n") == [character]


@pytest.mark.parametrize(
    ("text", "lines"), [("", []), ("\n", [""]), ("a", ["a"]), ("a\n\nb", ["a", "", "b"]), ("a\r\n", ["a\r"])]
)
def test_lines(text: str, lines: list[str]) -> None:
    assert lines_in(text) == lines


@pytest.mark.parametrize(
    ("text", "most", "words"),
    [
        ("", 0, []),
        (" \t\n", 0, []),
        (" a \t b\nc ", 0, ["a", "b", "c"]),
        ("a  b  c ", 2, ["a", "b  c"]),
        ("a", 2, ["a"]),
    ],
)
def test_words(text: str, most: int, words: list[str]) -> None:
    assert words_in(text, most) == words


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("0", True), ("0482", True), ("", False), ("-1", False), ("1 ", False), ("²", False), ("٣", False)],
)
def test_numbers(text: str, is_one: bool) -> None:
    assert is_number(text) is is_one


def _parted_by_python(source: str) -> t.Iterator[str]:
    """What parts a text as Python does. Words that are put together again at once are one line that is shown."""
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    put_together = {id(word) for call in calls if ast.unparse(call.func) == "' '.join" for word in call.args}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("splitlines", "isdigit", "isdecimal", "isnumeric"):
            yield ast.unparse(node)
    for call in calls:
        is_split = isinstance(call.func, ast.Attribute) and call.func.attr == "split" and id(call) not in put_together
        if is_split and (not call.args or ast.unparse(call.args[0]) == "None"):
            yield ast.unparse(call)


def _files() -> t.Iterator[tuple[str, Path]]:
    for directory in ("plugins/module_utils", "plugins/modules", "device_plugin/src"):
        for path in sorted((ROOT / directory).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name != ITSELF and not name.startswith(ELSEWHERE):
                yield name, path


def test_nothing_else_parts_it() -> None:
    found = [(name, what) for name, path in _files() for what in _parted_by_python(path.read_text(encoding="utf-8"))]
    assert not found, f"take lines_in, words_in or is_number of {ITSELF}"


def test_the_search_finds_each_form() -> None:
    source = "a.splitlines()\nfilter(str.isdigit, b)\nc.split()\nd.split(None, 2)\n' '.join(e.split())\nf.split(',')"
    assert list(_parted_by_python(source)) == ["a.splitlines", "str.isdigit", "c.split()", "d.split(None, 2)"]
