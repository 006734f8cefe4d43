# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A flavour is known in its own file alone: everybody else asks it, and compares with none."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet import flavours
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours import FLAVOURS
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import Flavour
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

FOLDER = CHECKOUT / "plugins/module_utils/_kubelet/flavours"
FILES = sorted(FOLDER.glob("[!_]*.py"))
ELSEWHERE = [
    path
    for place in ("plugins", "device_plugin/src")
    for path in sorted((CHECKOUT / place).rglob("*.py"))
    if FOLDER not in path.parents
]
# What may say so: the names by which kubelets sign in at the API server, one list for any node.
EXCEPT = {"plugins/module_utils/_cluster/extended.py": {"k3s", "rke2"}}


def flavours_in(path: Path) -> dict[str, Flavour]:
    module = importlib.import_module(f"{flavours.__name__}.{path.stem}")
    return {name: value for name, value in vars(module).items() if isinstance(value, Flavour)}


VALUES = {name for path in FILES for name in flavours_in(path)}
WORDS = {word for flavour in FLAVOURS for word in (flavour.name, flavour.title)}


def distinguished(source: str) -> list[str]:
    """The lines that know one flavour from another."""
    found = [node for node in ast.walk(ast.parse(source)) if _knows_one(node)]
    return [f"{node.lineno}: {ast.unparse(node)}" for node in found if isinstance(node, (ast.expr, ast.stmt))]


def _knows_one(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value in WORDS
    if isinstance(node, ast.ImportFrom):
        return any(alias.name in VALUES for alias in node.names)
    if isinstance(node, ast.Attribute):
        return node.attr in VALUES
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return any(_is_flavour(side) for side in sides) and not any(_is_none(side) for side in sides)
    return isinstance(node, ast.Match) and _is_flavour(node.subject)


def _is_flavour(node: ast.AST) -> bool:
    """Also its name and title, and that of a snapshot."""
    if isinstance(node, ast.Attribute) and node.attr in ("name", "title"):
        node = node.value
    named = ast.unparse(node) if isinstance(node, (ast.Attribute, ast.Name)) else ""
    return named.rpartition(".")[2] == "flavour" or named.endswith("observed.kind")


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


@pytest.mark.parametrize("path", ELSEWHERE, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_nobody_else_distinguishes_them(path: Path) -> None:
    excepted = EXCEPT.get(str(path.relative_to(CHECKOUT)), set())
    found = distinguished(path.read_text())
    assert {line.partition(": ")[2].strip("'") for line in found} == excepted, found


@pytest.mark.parametrize(
    "source",
    [
        "if observed.flavour == K3S: pass",
        "if flavour.name in (a, b): pass",
        "x = 1 if name == 'rke2' else 2",
        "y = {'microk8s': 1}[name]",
        "match observed.flavour:\n    case other: pass",
        "match name:\n    case 'k0s': pass",
        "from .flavours import KUBEADM",
        "z = flavours.OPENSHIFT4",
        "if flavour is not other: pass",
        "if title != 'OpenShift 4': pass",
        "if name.startswith('openshift3'): pass",
    ],
)
def test_what_is_found(source: str) -> None:
    assert distinguished(source)


@pytest.mark.parametrize(
    "source",
    [
        "if observed.kind.by_manifest: pass",
        "if flavour is None: pass",
        "from .flavours.rancher import arguments_dir",
        "WAYS[observed.kind.files]",
        "if field.kind is Kind.MAP: pass",
        "text = 'of k3s'",
    ],
)
def test_what_is_not(source: str) -> None:
    assert distinguished(source) == []


def test_roles_and_playbooks_do_not_either() -> None:
    pages = [path for place in ("roles", "playbooks") for path in (CHECKOUT / place).rglob("*.yml")]
    compared = re.compile(r"kubelet_flavour\s*(?:[!=]=|(?:not )?in\b|is\b)")
    assert pages
    assert [str(path) for path in pages if compared.search(path.read_text())] == []


def test_every_flavour_of_the_folder_is_in_the_table() -> None:
    found = [flavour for path in FILES for flavour in flavours_in(path).values()]
    assert sorted(flavour.name for flavour in found) == sorted(flavour.name for flavour in FLAVOURS)
    assert [path.stem for path in FILES if not flavours_in(path)] == ["base"]


def test_one_takes_what_no_other_has_started() -> None:
    assert [flavour.name for flavour in FLAVOURS if flavour.is_any] == ["kubeadm"]
