# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that were given up for those of the field, and do not come back."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

INSTEAD = {
    r"(?i:anew)": "again",
    r"(?i:shall)": "should, must, is to",
    r"(?i:mend(s|ed|ing)?)": "fix",
    r"(?i:pictures?)": "snapshot",
    r"(?i:wish(es)?)": "desired",
    r"PfTarget": "DesiredPf",
    r"carry_out\w*": "apply",
    r"_?see_that_\w+": "require_...",
    r"Sight": "Snapshot",
    r"Bell": "Wakeup",
    r"(?i:keepers?)": "the VF that is offered of its group",
    r"(?i:strangers?)": "others, unknown",
    r"(?i:outlook)": "what a later boot does",
    r"(?i:deeds?)": "act",
    r"(?i:(held|holds?) against)": "compared with",
    r"(?i:stands twice)": "is given twice",
    r"(?i:tell(s|ing|ers?)?|(un)?told)": "report; say where it is a message",
}
PLACES = ("plugins", "device_plugin", "roles", "playbooks", "docs", "molecule", "tests", "tools", "examples", ".github")
# Texts that this project has not written.
OTHERS = ("go.mod", "go.sum")


def texts() -> t.Iterator[Path]:
    """The files in which people read: code and pages, without what is made of them."""
    yield from (path for path in CHECKOUT.glob("*.md") if path.name not in ("CODE_OF_CONDUCT.md", "CHANGELOG.md"))
    for place in PLACES:
        for path in (CHECKOUT / place).rglob("*"):
            made = {"__pycache__", "_node", "output"} & set(path.relative_to(CHECKOUT).parts[:-1])
            if path.is_file() and path.name not in OTHERS and (not made or place == "plugins"):
                yield path


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    """Each line with its place."""
    found = []
    for path in texts():
        if path == Path(__file__).resolve() or path.suffix == ".pyc":
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        name = str(path.relative_to(CHECKOUT))
        found += [(f"{name}:{number}", line) for number, line in enumerate(text.splitlines(), 1)]
    return found


@pytest.mark.parametrize("word", INSTEAD)
def test_word_is_gone(word: str, lines: list[tuple[str, str]]) -> None:
    # In names, too, as in `is_made_anew`.
    pattern = re.compile(rf"(?<![a-zA-Z]){word}(?![a-zA-Z])")
    assert [place for place, line in lines if pattern.search(line)] == [], f"write: {INSTEAD[word]}"
