# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a document that somebody may have altered; found.json as a whole is in test_baseline.py."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.document import (
    Part,
    is_content,
    is_path,
    read_object,
)

TEXT = '{"a": {"b": [{"c": 1}], "yes": true}, "none": null, "words": ["x"]}'


def test_what_is_as_it_should_be() -> None:
    top = read_object(TEXT)
    assert (top.has("a"), top.has("b"), top.value("none"), top.text("none", bool)) == (True, False, None, None)
    assert top.part("a").parts("b")[0].get("c", int) == 1
    assert top.part("a").get("yes", bool, int) is True
    assert top.texts("words", bool) == ["x"]
    assert read_object('{"a": {"b": {"c": 2}}}').named("a")["b"].get("c", int) == 2


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (lambda top: top.value("b"), "b is missing"),
        (lambda top: top.part("none"), "none is not an object"),
        (lambda top: top.part("a").get("yes", int), "a.yes is of another kind than it should be"),
        (lambda top: top.part("a").get("b", dict, str), "a.b is of another kind than it should be"),
        (lambda top: top.part("a").named("b"), "a.b is of another kind than it should be"),
        (lambda top: top.named("a"), "a.b is not an object"),
        (lambda top: top.part("a").parts("b")[0].value("d"), r"a.b\[0\].d is missing"),
        (lambda top: top.texts("words", str.isupper), "words has something that does not belong there"),
    ],
)
def test_what_is_not(look: t.Callable[[Part], object], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        look(read_object(TEXT))


@pytest.mark.parametrize("text", ["", "[]", "5", "[" * 100_000, '{"a": ' * 100_000])
def test_what_is_no_object(text: str) -> None:
    with pytest.raises(ValueError, match=r"^\S"):
        read_object(text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [("/etc/x", True), ("/\udcff", True), ("etc", False), ("", False), ("/a\0b", False), ("/\ud800", False)],
)
def test_paths(text: str, fits: bool) -> None:
    assert is_path(text) is fits


def test_contents() -> None:
    assert [is_content(text) for text in ("", "\0é\udcff", "\ud800")] == [True, True, False]
