# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of YAML for nodes beside the library that the controller has: it reads the same, or gives up."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._kubelet.small_yaml import (
    UNCLEAR,
    NotUnderstoodError,
    read_mapping,
)
from ansible_collections.accel.qat.tests.unit.kubelet.test_small_yaml import READ

# Tabs where this library does not take them, and others do.
ALIKE = {name: text for name, (text, _data) in READ.items() if "\t" not in text}


@pytest.mark.parametrize("text", ALIKE.values(), ids=list(ALIKE))
def test_it_reads_the_same(text: str) -> None:
    assert read_mapping(text) == reference(text)


PIECES = [
    "kubelet-arg", "kubelet-arg+", "token", "b: ", ":", " ", ": ", "- ", "-", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", "[", "]", "{", "}",
    ", ", ",", '"', "'", "\\", "#", " #", "|\n", "> \n", ">-\n  x\n", "|\n  y", "&x ", "*x", "a=b,c=d", "---\n", "...\n", "<<: ", "!t ",
    "? ",     "\r\n", "\\x41", '\\"', "''", "x<5%", "~", "null",
    "%", "@", "`", "é",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.booleans())
def test_it_never_reads_what_the_library_reads_otherwise(text: str, named: bool) -> None:
    text = f"kubelet-arg: {text}" if named else text
    try:
        expected = reference(text)
        mine = read_mapping(text)
    except (yaml.YAMLError, ValueError, NotUnderstoodError):
        return
    assert same(mine, expected)


def same(mine: t.Any, expected: t.Any) -> bool:
    if mine is UNCLEAR:
        return isinstance(expected, str)
    if isinstance(mine, dict) and isinstance(expected, dict):
        return list(mine) == list(expected) and all(same(mine[name], expected[name]) for name in mine)
    if isinstance(mine, list) and isinstance(expected, list):
        return len(mine) == len(expected) and all(map(same, mine, expected))
    return bool(mine == expected)


def reference(text: str) -> dict[str, t.Any]:
    """By the library, with texts for scalars. Raises ValueError for what is more than names and values."""
    roots = list(yaml.compose_all(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader))
    if len(roots) > 1:
        raise ValueError("documents")
    data = constructed(roots[0]) if roots and roots[0] is not None else {}
    if not isinstance(data, dict):
        raise ValueError("not names and values")
    return data


def constructed(node: yaml.Node) -> t.Any:
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == "tag:yaml.org,2002:null" else node.value
    if isinstance(node, yaml.SequenceNode):
        return [constructed(one) for one in node.value]
    if any(not isinstance(name, yaml.ScalarNode) or name.tag == "tag:yaml.org,2002:merge" for name, _one in node.value):
        raise ValueError("another name")
    found = {name.value: constructed(one) for name, one in node.value}
    if len(found) != len(node.value):
        raise ValueError("a name twice")
    return found
