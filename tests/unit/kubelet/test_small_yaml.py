# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of YAML for nodes: what it reads, and what it gives up on. Beside the library it is tried in plugin_utils."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.small_yaml import (
    UNCLEAR,
    NotUnderstoodError,
    read_mapping,
)

READ: dict[str, tuple[str, dict[str, t.Any]]] = {
    "nothing": ("", {}),
    "comments alone": ("\ufeff# a\n\n  # b\n", {}),
    "no value": ("a:\nb: ~\nc: # null\n", {"a": None, "b": None, "c": None}),
    "blocks": ("a:\n- b: c\n  d:\n  - e\n  -\n    - f\ng:\n  h: i\n", {"a": [{"b": "c", "d": ["e", ["f"]]}], "g": {"h": "i"}}),
    "all names indented alike": ("  a: b\n  c:\n  - d\n", {"a": "b", "c": ["d"]}),
    "a bracket in the first column": ("a: [\n  b=c,d,\n# why\n]\ne: f\n", {"a": ["b=c", "d"], "e": "f"}),
    "a list in brackets over lines": ("a: [b,\nc, 'd'\n  , \"e\" ]", {"a": ["b", "c", "d", "e"]}),
    "braces": ("{a: [b, c], 'd': {e: f,}, g}", {"a": ["b", "c"], "d": {"e": "f"}, "g": None}),
    "quotes": ("\"a\\x2db\": 'it''s'\n'c' : \"d\\te\\u00e9\\\n   f\"\n", {"a-b": "it's", "c": "d\teéf"}),
    "text over lines": ("a: b\n  c\n\n  d\ne: 'f\n\n  g'\n", {"a": "b c\nd", "e": "f\ng"}),
    "blocks of text": ("a: |\n  b\n  # c\nd:\n- >-\n  e\n  f\n# g\nh: |+\n", {"a": "b\n# c\n", "d": ["e f"], "h": ""}),
    "an anchor and its alias": ("a: &x\n- b\nc: *x\nd: &y e\nf: [*y]\n", {"a": ["b"], "c": ["b"], "d": "e", "f": ["e"]}),
    "a document with its marks": ("--- # one\na: b\n...\n# end\n", {"a": "b"}),
    "other line ends": ("a:\r\n- b\r\nc: d\r\n", {"a": ["b"], "c": "d"}),
    "signs inside of a text": ("a: b<5%,c:d#e [f] \"g\" #h\nhttp://x: -i\n", {"a": 'b<5%,c:d#e [f] "g"', "http://x": "-i"}),
    "tabs where they may be": ("a:\tb\t# c\n\t\n- \n".replace("- \n", "d: [\t'e']\n"), {"a": "b", "d": ["e"]}),
}  # fmt: skip

NOT_UNDERSTOOD: dict[str, tuple[str, int]] = {
    "two documents": ("a: b\n---\nc: d\n", 2),
    "a directive": ("%YAML 1.2\n---\na: b\n", 1),
    "a list": ("- a\n", 2),
    "a text": ("a b c\n", 1),
    "a tag": ("a: !!str b\n", 1),
    "an alias without its anchor": ("a: b\nc: *x\n", 2),
    "a merge key": ("a: b\n<<: c\n", 2),
    "a question mark": ("? a\n: b\n", 1),
    "a name twice": ("a: b\nc: d\na: e\n", 3),
    "a tab in the indentation": ("a:\n\t- b\n", 2),
    "an indentation that fits to nothing": ("a:\n    b: c\n  d: e\n", 3),
    "a bracket that is not closed": ("a: [b\nc: d\n", 2),
    "a quote that is not closed": ("a: 'b\nc: d\n", 3),
    "a colon inside of a text": ("a: b: c\n", 1),
    "an unknown escape": ('a: "\\q"\n', 1),
    "a text with another indentation of its own": ("a: |2\n    b\n", 1),
    "a foreign line end": ("a: b\u2028c: d\n", 1),
    "a control character": ("a: b\x1b[2J\n", 1),
    "too many levels": ("a: " + "[" * 60, 1),
    "what comes after a value": ("a: 'b' c\n", 1),
}


@pytest.mark.parametrize(("text", "data"), READ.values(), ids=list(READ))
def test_what_is_read(text: str, data: dict[str, t.Any]) -> None:
    assert read_mapping(text) == data


@pytest.mark.parametrize(("text", "line"), NOT_UNDERSTOOD.values(), ids=list(NOT_UNDERSTOOD))
def test_what_is_not_understood(text: str, line: int) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        read_mapping(text)
    assert caught.value.line == line


def test_a_text_that_takes_more_than_lines_joined() -> None:
    assert read_mapping("a: >\n  b\n\n   c\nd: e\n") == {"a": UNCLEAR, "d": "e"}
