# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema is a JSON Schema, and the engine's own checker, made for nodes without any library, judges as the library does."""

from __future__ import annotations

import typing as t

from hypothesis import event, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import (
    RULE,
    SCHEMA,
    SELECT,
    check,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import FAMILY_NAMES
from ansible_collections.accel.qat.plugins.module_utils._node.facts.services import SERVICES
from ansible_collections.accel.qat.tests.fakes.strategies import scenarios

VALIDATOR = Draft202012Validator(SCHEMA)

# Not 16.0, which is an integer to JSON Schema and none to Ansible, and no line feed at the end, where Python's `$` differs.
NUMBERS = st.integers() | st.integers(-20, 20).map(lambda number: number + 0.5)
WORDS = st.sampled_from(
    (
        *SERVICES,
        *FAMILY_NAMES,
        *("present", "absent", "fail", "skip", "force", "vfio-pci", "", "sym;asym"),
        *("0000:6b:00.0", "6B:1f.7", "0000:6b:20.0", "6b:00.8", "00006b00.0", "4940", "0x4940", "494", "0x49400"),
    )
)
TEXTS = WORDS | st.text(max_size=8).filter(lambda text: not text.endswith("\n"))
SCALARS = st.none() | st.booleans() | st.sampled_from((-2, -1, 0, 1, 16)) | NUMBERS | TEXTS
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(WORDS, SCALARS, max_size=2)


def _mostly(right: st.SearchStrategy[t.Any], wrong: st.SearchStrategy[t.Any] = VALUES) -> st.SearchStrategy[t.Any]:
    """So that a wrong value comes to light deep inside of a right document."""
    return st.integers(0, 15).flatmap(lambda chance: right if chance else wrong)


def _like(schema: t.Mapping[str, t.Any]) -> st.SearchStrategy[t.Any]:
    if "oneOf" in schema:
        return st.one_of(*map(_like, schema["oneOf"]))
    if schema["type"] == "array":
        return st.lists(_mostly(_like(schema["items"])), max_size=3)
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], 40)
    if schema["type"] == "boolean":
        return st.booleans()
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: not text.endswith("\n"))


def _objects(properties: t.Mapping[str, t.Any], **nested: st.SearchStrategy[t.Any]) -> st.SearchStrategy[t.Any]:
    known = {name: _mostly(nested[name] if name in nested else _like(properties[name])) for name in properties}
    strange = st.dictionaries(st.sampled_from(("service", "count", *known)), VALUES, max_size=2)
    return _mostly(st.fixed_dictionaries({}, optional=known), strange)


RULES = _objects(RULE["properties"], select=_objects(SELECT["properties"]))
DOCUMENTS = _mostly(st.fixed_dictionaries({"devices": _mostly(st.lists(_mostly(RULES), max_size=2))}))


def _accepts(document: t.Any) -> bool:
    try:
        check(document, SCHEMA, "")
    except ConfigurationError:
        return False
    return True


def test_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@given(DOCUMENTS)
def test_judges_as_the_library(document: t.Any) -> None:
    verdict = VALIDATOR.is_valid(document)
    event("valid" if verdict else "not valid")
    assert _accepts(document) == verdict


@given(scenarios())
def test_every_drawn_configuration_fits(scenario: tuple[t.Any, t.Any]) -> None:
    _node, document = scenario
    assert list(VALIDATOR.iter_errors(document)) == []
    assert _accepts(document)
