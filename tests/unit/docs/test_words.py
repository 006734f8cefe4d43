# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that were given up for those of the field, and do not come back."""

from __future__ import annotations

import ast
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.unit.docs.messages import sentences
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

INSTEAD = {
    r"(?i:anew)": "again",
    r"(?i:shall)": "should, must, is to",
    r"(?i:mend(s|ed|ing)?)": "fix",
    r"(?i:pictures?)": "snapshot",
    r"(?i:wish(es)?)": "desired",
    r"PfTarget": "DesiredPf",
    r"carry_out\w*": "apply",
    r"(?i:carr(y|ies|ied|ying)( (it|them|this|that))? out)": "apply",
    r"(?i:br(ings?|inging|ought) (\w+ ){0,7}?(to|into) (its|their|a|the|kubelet's) configuration)": "configure, set",
    r"class (Found|Ownership|Target)": "baseline, desired",
    r"_?see_that_\w+": "require_...",
    r"Sights?": "Snapshot",
    r"class Look": "Scan",
    r"(Share|shares_of)": "Allotment",
    r"(?i:bells?)": "Wakeup, event",
    r"(?i:muted?)": "without heartbeat",
    r"(?i:keepers?)": "the VF that is offered of its group",
    r"(?i:strangers?)": "others, unknown",
    r"(?i:outlook)": "what a later boot does",
    r"(?i:deeds?)": "act",
    r"(?i:(held|holds?|holding)\b[^.;]{0,60} against)": "compare with",
    r"(?i:stands twice)": "is given twice",
    r"(?i:tell(s|ing|ers?)?|(un)?told)": "report; say where it is a message",
}
STANDS = re.compile(r"(?<![`\w])st(ands?|ood)\b(?!`| (in )?for\b| in (the way|front)\b|:)")
"""What is in a file does not stand there. It may stand for something, in the way or in front; `stands` is a value that modules return."""

OF_PODS = {
    "plugins/module_utils/_cluster/verification.py",
    "plugins/module_utils/_kubelet/audit.py",
    *(f"plugins/module_utils/_node/users/{name}.py" for name in ("podresources", "pods")),
    *(f"device_plugin/src/qat_device_plugin/{name}.py" for name in ("attribution", "catalogue", "model", "service")),
    *(f"device_plugin/src/qat_device_plugin/exporter/{name}.py" for name in ("sampling", "service")),
    "device_plugin/src/qat_device_plugin/vm_attach/kubelet.py",
}
"""The files in which `given` is a name: what kubelet has given to pods."""

FOR_USERS = ("README.md", "docs/", "roles/", "playbooks/", "examples/", "plugins/modules/", "plugins/doc_fragments/")
PLACES = (
    "plugins",
    "device_plugin",
    "roles",
    "playbooks",
    "docs",
    "molecule",
    "tests",
    "tools",
    "examples",
    "deploy",
    "meta",
    ".github",
)
AT_THE_ROOT = ("Makefile", "galaxy.yml", "conftest.py", "pyproject.toml")
# Texts that this project has not written.
OTHERS = ("go.mod", "go.sum")


def texts() -> t.Iterator[Path]:
    """The files in which people read: code and pages, without what is made of them."""
    yield from (path for path in CHECKOUT.glob("*.md") if path.name not in ("CODE_OF_CONDUCT.md", "CHANGELOG.md"))
    yield from (CHECKOUT / name for name in AT_THE_ROOT)
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


def test_nothing_stands_in_a_file(lines: list[tuple[str, str]]) -> None:
    places = [place for place, line in lines if place.startswith(FOR_USERS) and STANDS.search(line)]
    assert places == [], "write: is"
    assert [sentence for sentence in sentences() if STANDS.search(sentence)] == [], "write: is"


def place_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def names_in(path: Path) -> set[str]:
    """What a file's code calls things: variables, arguments, attributes, functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        found |= {
            getattr(node, name) for name in ("id", "arg", "attr", "name") if isinstance(getattr(node, name, None), str)
        }
    return found


def test_given_is_what_kubelet_has_given_to_pods() -> None:
    """What is passed to a function has a name of its own."""
    files = [path for place in ("plugins", "device_plugin/src") for path in (CHECKOUT / place).rglob("*.py")]
    own = [path for path in files if place_of(path).startswith("plugins") or "_node" not in path.parts]
    calling = {place_of(path) for path in own if "given" in names_in(path)}
    assert calling == OF_PODS, "name what is passed to a function by what it is"
