# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What templates of units write, systemd reads back as it was given."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.accel.qat.tools.artifacts.unit_templates import UNIT_FILTERS

word = UNIT_FILTERS["accel.qat.unit_word"]


def argument(text: object) -> object:
    return word(text, argument=True)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("/var/lib/kubelet", "/var/lib/kubelet"),
        ("[::1]:9482", "[::1]:9482"),
        (5, "5"),
        ("", '""'),
        ("a b", '"a b"'),
        ("100%", '"100%%"'),
        ('quo"te', '"quo\\"te"'),
        ("it's", '"it\'s"'),
        ("back\\slash", '"back\\\\slash"'),
        ("#comment;", '"#comment;"'),
        ("$HOME", '"$HOME"'),
        ("ü", '"ü"'),
    ],
)
def test_a_word(text: object, written: str) -> None:
    assert word(text) == written


def test_an_argument_has_no_variables() -> None:
    assert argument("${HOME}/a") == '"$${HOME}/a"'
    assert argument("/a") == "/a"


@pytest.mark.parametrize("character", [*map(chr, range(32)), "\x7f"])
def test_a_control_character_is_refused(character: str) -> None:
    for write in (word, argument):
        with pytest.raises(
            AnsibleFilterError, match="has a control character, such as a line break, which no unit can hold"
        ):
            write(f"/a{character}")
