# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages explain messages that the code has, and the code has no refusal that no page explains.

A message that says itself what to do about a malformed value needs no page. A refusal does, since what was asked is sound; and so does
an error without a remedy.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.unit.docs.messages import (
    FILL,
    PAGES,
    Error,
    Message,
    errors,
    kinds,
    messages,
    sentences,
)
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

MESSAGES = messages()


@pytest.fixture(scope="module", name="found")
def found_errors() -> list[Error]:
    """Every place of the code that makes an error."""
    return errors()


def links(name: str) -> set[str]:
    page = CHECKOUT / "docs" / name
    found = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    return {str((page.parent / path).resolve().relative_to(CHECKOUT)) for path in found}


def unexplained(error: Error) -> list[str]:
    """Those of its sentences of which no page has anything."""
    return [
        sentence
        for sentence in error.sentences
        if says_something(sentence) and not any(message.is_of(sentence) for message in MESSAGES)
    ]


def says_something(sentence: str) -> bool:
    """Not so where the words come from somewhere else."""
    return len(re.findall(r"[a-z]{2,}", sentence)) > 1


def test_code_has_every_message() -> None:
    texts = sentences()
    assert len(MESSAGES) > 150
    missing = {
        f"{message.page}: {message.text}": clause.text
        for message in MESSAGES
        for clause in message.clauses()
        if not any(map(clause.is_of, texts))
    }
    assert missing == {}, "the code says it otherwise by now"


def test_every_refusal_is_explained(found: list[Error]) -> None:
    refusals = [error for error in found if error.kind == "refused"]
    assert len(refusals) > 60
    missing = {error.place: unexplained(error) for error in refusals if unexplained(error)}
    assert missing == {}, "docs/errors.md or the page of its area needs a row for each"


def test_every_error_says_what_to_do_or_a_page_does(found: list[Error]) -> None:
    assert len(found) > 200
    missing = {error.place: unexplained(error) for error in found if not error.has_remedy and unexplained(error)}
    assert missing == {}, "give each a remedy, or docs/errors.md or the page of its area a row"


def test_kinds_of_errors() -> None:
    page = (CHECKOUT / "docs/errors.md").read_text()
    rows = page.partition("| kind | meaning |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", rows, re.M)) == set(kinds().values())


def test_page_of_errors_leads_to_every_table_of_messages() -> None:
    near = links("errors.md")
    near |= {found for name in near for found in links(Path(name).name) if name.startswith("docs/")}
    with_messages = {str(page.relative_to(CHECKOUT)) for page in PAGES if page.name in {one.page for one in MESSAGES}}
    assert {name for name in with_messages if "README" not in name} <= near | {"docs/errors.md"}


@pytest.mark.parametrize(
    ("message", "sentence", "is_of"),
    [
        ("... cannot have VFs", f"{FILL} cannot have VFs", True),
        ("... has ... open", f"{FILL} has {FILL} open", True),
        ("... cannot be read: ...", f"the record cannot be read: {FILL}", True),
        ("cannot be read: ...", f"the record cannot be read: {FILL}", False),
        ("the API server answers 403: ...", f"the API server answers {FILL}: {FILL}", True),
        ("... has 3 open", f"{FILL} has {FILL} open", True),
        ("... cannot have VFs", f"{FILL} cannot have virtual functions", False),
        ("... cannot have VFs", f"{FILL} cannot have VFs that are bound", False),
        ("cannot have VFs", f"{FILL} cannot have VFs", False),
        ("these credentials may not ...", f"nobody lets these credentials {FILL}", False),
        ("these credentials may not ...", f"{FILL} is set here", False),
        ("... has ... open", f"{FILL} has {FILL} open or held", False),
        ("VFs ... open", f"open {FILL} VFs", False),
        ("the node has no QAT device", f"{FILL} has {FILL}", False),
    ],
)
def test_message_and_sentence(message: str, sentence: str, is_of: bool) -> None:
    assert Message("a page", message).is_of(sentence) is is_of
