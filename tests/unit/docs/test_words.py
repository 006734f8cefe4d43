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
    r"anew": "again",
    r"shall": "should, must, is to",
    r"mend(s|ed|ing)?": "fix",
    r"pictures?": "snapshot",
    r"[Ww]ish(es)?": "desired",
    r"PfTarget": "DesiredPf",
    r"carry_out\w*": "apply",
    r"_?see_that_\w+": "require_...",
    r"Sight": "Snapshot",
    r"Bell": "Wakeup",
    r"keepers?": "the VF that is offered of its group",
    r"strangers": "others, unknown",
    r"outlook": "what a later boot does",
    r"deed": "act",
    r"(held|holds?) against": "compared with",
    r"stands twice": "is given twice",
    # Also in names, as in `is_told`.
    r"(?i:([\w-]*[_-])?(tell(s|ing|ers?)?|(un)?told)([_-][\w-]*)?)": "report; say where it is a message",
}
PLACES = ("plugins", "device_plugin", "roles", "playbooks", "docs", "molecule", "tests", "tools", "examples", ".github")
# Texts that this project has not written.
OTHERS = ("go.mod", "go.sum")


def texts() -> t.Iterator[Path]:
    """The files in which people read: code and pages, without what is made of them."""
    yield from (path for path in CHECKOUT.glob("*.md") if path.name != "CODE_OF_CONDUCT.md")
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
    pattern = re.compile(rf"(?<![\w-]){word}(?![\w-])")
    assert [place for place, line in lines if pattern.search(line)] == [], f"write: {INSTEAD[word]}"
