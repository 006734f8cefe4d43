# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each text that does not fit is reported, all of them at once."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.filter.unfit_texts import FilterModule

unfit: t.Any = FilterModule().filters()["unfit_texts"]
TEXT = {"name": "qat_x", "form": "a+|b", "what": "name", "remedy": "write another"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], []),
        (["a", "aaa", "b"], []),
        (["ac", "a", "cb"], ['"ac" is no name', '"cb" is no name']),
        (["b\n"], ['"b\\n" is no name']),
        ([1, None], ["1 is no name", "null is no name"]),
        ("ab", ['"ab" is no list']),
    ],
)
def test_what_does_not_have_the_form(given: t.Any, said: list[str]) -> None:
    assert unfit([{**TEXT, "given": given}]) == [f"qat_x: {text}; write another" for text in said]


def test_all_texts_at_once() -> None:
    texts = [{**TEXT, "given": ["c"]}, {**TEXT, "name": "qat_y", "given": ["d"]}]
    assert unfit(texts) == ['qat_x: "c" is no name; write another', 'qat_y: "d" is no name; write another']
