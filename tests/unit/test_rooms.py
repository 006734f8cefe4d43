# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms of the code: which may import which, by the page of the architecture; and what the engine carries about."""

from __future__ import annotations

import ast
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

UTILS = CHECKOUT / "plugins/module_utils"
PLUGIN = CHECKOUT / "device_plugin/src/qat_device_plugin"
TOOLS = CHECKOUT / "tools"
ENGINE = "_node"
COLLECTION = "ansible_collections.accel.qat."


def modules() -> dict[str, Path]:
    """The files of `module_utils` by their names in imports."""
    found = {}
    for path in UTILS.rglob("*.py"):
        parts = path.relative_to(UTILS).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path, name: str) -> set[str]:
    """The modules of `module_utils` that a file imports, whose name is this; also those that only type checkers read."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        whole = [*base, *(node.module.split(".") if node.module else [])]
        target = ".".join(whole).rpartition("plugins.module_utils.")[2]
        for alias in node.names:
            inner = f"{target}.{alias.name}" if target else alias.name
            found |= {next((one for one in (inner, target) if one in MODULES), name)}
    return found


IMPORTS = {name: imported(path, name) - {name} for name, path in MODULES.items()}


def room(name: str) -> str:
    """The room of a module, as the page calls it."""
    first, _dot, rest = name.partition(".")
    if first != ENGINE:
        return first
    return f"{ENGINE}/{rest.partition('.')[0]}" if "." in rest else ENGINE


def rows() -> list[list[str]]:
    """The rooms from below to above, of those rows of the page that name several."""
    text = (CHECKOUT / "docs/architecture.md").read_text().partition("## The rooms")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    found = []
    for cell in cells:
        names = [name.rstrip("/") for name in re.findall(r"`([\w./]+)`", cell)]
        found.append([ENGINE] if f"{ENGINE}/errors.py" in names else [name.removesuffix(".py") for name in names])
    return found


def test_page_has_each_room_once() -> None:
    named = [name for row in rows() for name in row]
    assert sorted(named) == sorted({room(name) for name in MODULES if name not in {ENGINE, "", "__init__"}} | {ENGINE})


def test_no_room_imports_one_above_it() -> None:
    height = {name: number for number, row in enumerate(rows()) for name in row}
    upwards = {
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if height[room(other)] > height[room(name)]
    }
    assert upwards == set()


def reachable(names: t.Iterable[str], imports: t.Mapping[str, set[str]] = IMPORTS) -> set[str]:
    """These modules with all that they import."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += imports[name]
    return found


def test_no_module_imports_itself_by_others() -> None:
    circular = {name for name in MODULES if name in reachable(IMPORTS[name])}
    assert circular == set(), "these import each other in a circle: take what both need into a file of its own"


def modules_of_the_plugin() -> dict[str, Path]:
    """The files of the device plugin and of the commands beside it, by their names in its imports; without the engine."""
    found = {}
    for path in PLUGIN.rglob("*.py"):
        parts = path.relative_to(PLUGIN).with_suffix("").parts
        if parts[0] != ENGINE and parts != ("__init__",):
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_of_its_own(name: str, path: Path, own: t.Container[str]) -> set[str]:
    """The modules of the device plugin that one of them imports; also those that only type checkers read."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                found |= {".".join(parts) for parts in (base, [*base, alias.name]) if ".".join(parts) in own}
    return found


def test_no_module_of_the_device_plugin_imports_itself_by_others() -> None:
    own = modules_of_the_plugin()
    imports = {name: imported_of_its_own(name, path, own) - {name} for name, path in own.items()}
    assert "vm_attach.decide" in imports["vm_attach.agent"]
    assert "exporter.collection" in imports["exporter.service"]
    assert "status_page" in imports["exporter.service"]
    circular = {name for name in imports if name in reachable(imports[name], imports)}
    assert circular == set(), "these import each other in a circle: take what both need into a file of its own"


def imports_of_the_controller() -> dict[str, set[str]]:
    """What the files of the controller and the tools import of each other, by their names below the collection."""
    paths = [path for place in (CHECKOUT / "plugins", TOOLS) for path in place.rglob("*.py")]
    own = {".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    found: dict[str, set[str]] = {name: set() for name in own}
    for name, path in own.items():
        package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                base = [*package[: len(package) - node.level + 1]] if node.level else []
                whole = ".".join([*base, *([node.module] if node.module else [])]).removeprefix(COLLECTION)
                for alias in node.names:
                    found[name] |= {next((one for one in (f"{whole}.{alias.name}", whole) if one in own), name)}
    return {name: others - {name} for name, others in found.items()}


def test_no_file_of_the_controller_and_no_tool_imports_itself_by_others() -> None:
    imports = imports_of_the_controller()
    assert "plugins.plugin_utils._kubelet.wait_ready" in imports["plugins.action.kubelet_config"]
    assert "tools.checks.shell" in imports["tools.checks.stages"]
    circular = {name for name in imports if name in reachable(imports[name], imports)}
    assert circular == set(), "these import each other in a circle: take what both need into a file of its own"


def of_the_plugin() -> set[str]:
    """What the device plugin, and the commands beside it, import of the engine."""
    found: set[str] = set()
    for name, path in modules_of_the_plugin().items():
        found |= {one for one in imported(path, name) if one.startswith(ENGINE)}
    return found


def test_the_engine_has_what_travels_and_nothing_else() -> None:
    """`qatctl` and the device plugin carry all of `_node`."""
    carried = {name for name, path in MODULES.items() if name.startswith(f"{ENGINE}.") and path.name != "__init__.py"}
    used = reachable({f"{ENGINE}.cli.qatctl", *of_the_plugin()})
    used -= {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert used == carried, "neither qatctl nor the device plugin imports it: a module's own room is beside _node"


def python_of_tools() -> list[Path]:
    """Also commands, whose names do not say that they are Python."""
    files = [path for path in TOOLS.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return [path for path in files if path.suffix == ".py" or path.read_bytes().startswith(b"#!/usr/bin/env python3")]


def of_tests(text: str, package: t.Sequence[str]) -> set[str]:
    """What the text of a module of this package imports of tests, be they the collection's or those of the device plugin."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            whole = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{whole}.{alias.name}" for alias in node.names}
    return {name for name in found if {"tests", "harness", "qat_lab"}.intersection(name.split("."))}


@pytest.mark.parametrize(
    "line",
    [
        "import tests.conftest",
        "from ansible_collections.accel.qat.tests.fakes import FakeKernel",
        "from ansible_collections.accel.qat import tests",
        "from ...tests import fakes",
        "from ... import tests",
        "def late():\n    from qat_lab import image",
        "from harness.kubelet import Kubelet",
    ],
)
def test_an_import_of_tests_is_noticed(line: str) -> None:
    assert len(of_tests(line, ["tools", "artifacts"])) == 1


def test_tools_import_nothing_of_tests() -> None:
    files = python_of_tools()
    assert {TOOLS / "mutants", TOOLS / "artifacts/image.py", TOOLS / "building/host.py"} <= set(files)
    found = {
        f"{path.relative_to(CHECKOUT)} imports {name}"
        for path in files
        for name in of_tests(path.read_text(), path.relative_to(CHECKOUT).parent.parts)
    }
    assert found == set()
