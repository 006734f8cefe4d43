# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the code can say, read from its source, and the messages that pages explain."""

from __future__ import annotations

import ast
import functools
import itertools
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

FILL = "\N{HORIZONTAL ELLIPSIS}"
"""In a sentence of the code, what it fills in. Pages write three dots."""

HEADING = "message"
PAGES = [*sorted((CHECKOUT / "docs").glob("*.md")), *sorted((CHECKOUT / "roles").glob("*/README.md"))]
CODE = [
    path
    for place in ("plugins", "device_plugin/src")
    for path in sorted((CHECKOUT / place).rglob("*.py"))
    # The device plugin has the engine by a link.
    if place == "plugins" or "_node" not in path.relative_to(CHECKOUT).parts
]
CODE.append(CHECKOUT / "device_plugin/bundle.py")
YAML = [
    path for place in ("roles", "playbooks") for path in (CHECKOUT / place).rglob("*.yml") if "meta" not in path.parts
]


@dataclass(frozen=True)
class Message:
    """One that a page explains: `... has ... open`."""

    page: str
    text: str

    def is_of(self, sentence: str) -> bool:
        """Whether this is about that sentence as a whole, or one of its clauses: each can stand for what the other fills in."""
        text = self.text.replace("...", FILL)
        return any(_has_words_of(clause, text) and _can_be_the_same(text, clause) for clause in _with_clauses(sentence))

    def clauses(self) -> list[Message]:
        """What may come from several places of the code, as in `perhaps ... (why)`, without single words of others."""
        return [Message(self.page, text) for text in _clauses(self.text) if len(_WORD.findall(text)) > 1]


def _clauses(text: str) -> list[str]:
    return [clause.strip(" :;,") for clause in re.split(r"[:;,] | \(", text.rstrip(")"))]


@functools.cache
def _with_clauses(sentence: str) -> list[str]:
    """Without those that are hardly more than what is filled in, which could be anything."""
    return [text for text in {sentence.strip(), *_clauses(sentence)} if len(_WORD.findall(text)) > 1]


def _has_words_of(clause: str, text: str) -> bool:
    """Whether most of a message is said by the code itself: what it fills in could be anything."""
    words = set(_WORD.findall(text))
    return 2 * len(words & set(_WORD.findall(clause))) >= len(words)


def _can_be_the_same(one: str, other: str) -> bool:
    """Whether there is a text that both can be, where each may have anything for `FILL`."""
    for end in (slice(None), slice(None, None, -1)):
        begins, others = (text[end].partition(FILL)[0] for text in (one, other))
        if not begins.startswith(others) and not others.startswith(begins):
            return False
    if FILL not in one:
        one, other = other, one
    return _meet(one, other) if FILL in other else _pattern(one).fullmatch(other) is not None


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split(FILL))), re.DOTALL)


@functools.cache
def _meet(one: str, other: str) -> bool:
    # `meets[n]`: what is behind us of `one` can be the first n letters of `other`.
    meets = [True, *(set(other[: n + 1]) == {FILL} for n in range(len(other)))]
    for letter in one:
        before, meets = meets, [meets[0] and letter == FILL]
        for n, theirs in enumerate(other):
            if FILL in (letter, theirs):
                meets.append(before[n + 1] or meets[n] or before[n])
            else:
                meets.append(before[n] and letter == theirs)
    return meets[-1]


_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Error:
    """A place in the code that makes one: its kind, what it can say, whether it also says what to do."""

    place: str
    kind: str
    sentences: tuple[str, ...]
    has_remedy: bool


def messages() -> list[Message]:
    """Of all tables of messages on all pages."""
    found = []
    for page in PAGES:
        in_table = False
        for line in page.read_text().splitlines():
            cells = line.strip("|").split(" | ")
            in_table = line.startswith("|") and (in_table or cells[0].strip().startswith(HEADING))
            if in_table:
                # What is in brackets is another word for the one before.
                first = re.sub(r" \((or )?`.*?\)", "", cells[0])
                found += [Message(page.name, text) for text in re.findall(r"`([^`]+)`", first)]
    return found


def sentences() -> set[str]:
    """Every text in the code but for its documentation, also in YAML, whole and by its clauses."""
    found: set[str] = set()
    for path in CODE:
        module = _Module(path)
        for node in ast.walk(module.tree):
            if (
                isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp, ast.Call))
                and node not in module.documentation
            ):
                found.update(module.texts(node))
    for path in YAML:
        text = path.read_text()
        found.update(re.sub(r"\{\{.*?\}\}", FILL, line) for line in text.splitlines())
        found.update(re.findall(r"'([^'\n]+)'", text))
    return found | {clause for text in found for clause in _clauses(text)}


def errors() -> list[Error]:
    """Every place that makes a NodeError."""
    kind_of = kinds()
    found = []
    for path in CODE:
        module = _Module(path)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kind_of and node.args:
                place = f"{path.relative_to(CHECKOUT)}:{node.lineno}"
                remedy = [word.value for word in node.keywords if word.arg == "remedy"] or node.args[2:3]
                has_remedy = any(not isinstance(value, ast.Constant) or bool(value.value) for value in remedy)
                found.append(Error(place, kind_of[node.func.id], tuple(module.texts(node.args[0])), has_remedy))
    return found


def kinds() -> dict[str, str]:
    """The classes of errors, with the kind that `failure` has."""
    found = {"NodeError": "node"}
    classes = [
        node for path in CODE for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    ]
    for _depth in range(3):
        for node in classes:
            for base in (base.id for base in node.bases if isinstance(base, ast.Name) and base.id in found):
                own = [
                    line.value.value
                    for line in node.body
                    if isinstance(line, ast.Assign)
                    and isinstance(line.value, ast.Constant)
                    and ast.unparse(line.targets[0]) == "kind"
                ]
                found[node.name] = str(own[0]) if own else found[base]
    return found


class _Module:
    """A file, with the values of its names: those of the same function, or of the head of a file."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text())
        self.documentation = {node.value for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        functions = (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef))
        self._functions = [range(node.lineno, (node.end_lineno or node.lineno) + 1) for node in functions]
        self._values: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._values.setdefault(node.targets[0].id, []).append(node.value)
        self.documentation.update(value for name in _DOCUMENTATION for value in self._values.get(name, ()))

    def _valued(self, name: ast.Name) -> list[ast.expr]:
        values = self._values.get(name.id, [])
        near = [function for function in self._functions if name.lineno in function]
        local = [value for value in values if any(value.lineno in function for function in near)]
        return local or [value for value in values if not any(value.lineno in one for one in self._functions)]

    def texts(self, node: ast.AST, depth: int = 0) -> list[str]:
        """What an expression can come to; a single FILL where nothing is known of it."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [node.value]
        if isinstance(node, ast.JoinedStr):
            return self._joined(node.values, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._joined([node.left, node.right], depth)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            return [re.sub(r"\{.*?\}", FILL, text) for text in self.texts(node.func.value, depth)]
        return [text for value in self._one_of(node, depth) for text in self.texts(value, depth + 1)] or [FILL]

    def _one_of(self, node: ast.AST, depth: int) -> t.Sequence[ast.expr]:
        """The expressions of which it is one."""
        if isinstance(node, ast.FormattedValue):
            return [node.value]
        if isinstance(node, ast.IfExp):
            return [node.body, node.orelse]
        return self._valued(node) if isinstance(node, ast.Name) and depth < _DEEPEST else ()

    def _joined(self, parts: t.Sequence[ast.expr], depth: int) -> list[str]:
        each = (self.texts(part, depth)[:_MOST] for part in parts)
        return ["".join(one) for one in itertools.islice(itertools.product(*each), _MOST)]


_DOCUMENTATION = ("DOCUMENTATION", "EXAMPLES", "RETURN")
_DEEPEST = 6
_MOST = 64
"""Of the values of a name, and of what a sentence can come to."""
