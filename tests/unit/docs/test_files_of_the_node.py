# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each file that the role qat_node leaves on a node is written by it, removed by its teardown, and on the page."""

from __future__ import annotations

import re
import typing as t

import yaml

from ansible_collections.accel.qat.tests.unit.docs.test_pages import table
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_node"
REMOVED = ("absent", "absent_if_empty")
WRITTEN = ("path", "configuration_file", "added_file", "replaced_file")
"""Arguments of our modules that name a file which they write."""
_VARIABLE = re.compile(r"\{\{ ([\w.]+) \}\}")


def flat(values: dict[str, t.Any], before: str = "") -> t.Iterator[tuple[str, str]]:
    """Texts by the name that tasks use for them, such as `__qat_node_files.unit`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        elif isinstance(value, str):
            yield before + name, value


def paths() -> dict[str, str]:
    """Every path below the root that the role has a variable for."""
    texts: dict[str, str] = {}
    for name in ("vars/main.yml", "defaults/main.yml"):
        texts.update(flat(yaml.safe_load((ROLE / name).read_text())))
    rendered = {name: _VARIABLE.sub(lambda match: texts.get(match[1], ""), text) for name, text in texts.items()}
    return {name: text for name, text in rendered.items() if re.fullmatch(r"(/[\w.-]+)+", text)}


def named_in(tasks: str, removed: bool) -> set[str]:
    """The variables whose files the tasks write, or remove."""
    return set(_named(yaml.safe_load((ROLE / "tasks" / tasks).read_text()), removed))


def _named(value: t.Any, removed: bool) -> t.Iterator[str]:
    if isinstance(value, dict):
        if (value.get("state") in REMOVED) is removed:
            names = ("path",) if removed else WRITTEN
            yield from (match[1] for name in names if (match := _VARIABLE.fullmatch(str(value.get(name)))))
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from _named(entry, removed)


def test_each_is_written() -> None:
    assert named_in("main.yml", removed=False) == set(paths()), "write each in tasks/main.yml, by its variable"


def test_each_is_removed() -> None:
    assert named_in("teardown.yml", removed=True) == set(paths()), "remove each in tasks/teardown.yml, by its variable"


def test_each_has_its_row() -> None:
    rows = table("docs/persistence.md", "file")
    # A directory is where its files are; a link to the unit is not worth a line.
    files = {path for name, path in paths().items() if not name.endswith(("_directory", "_link"))}
    assert files - set(rows) == set(), "docs/persistence.md needs a row for each"


def test_each_template_is_used() -> None:
    tasks = (ROLE / "tasks/main.yml").read_text()
    templates = [path.name for path in (ROLE / "templates").iterdir()]
    assert templates
    unused = [name for name in templates if f"'{name}'" not in tasks]
    assert unused == [], "tasks/main.yml makes no file of these templates"
