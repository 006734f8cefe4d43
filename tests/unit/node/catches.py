# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds in a source text whatever could take a failed read for absence: handlers that swallow an OSError, and calls that do."""

from __future__ import annotations

import ast
import builtins
import typing as t

_PROVES_ABSENCE = frozenset({"FileNotFoundError", "ProcessLookupError"})
"""Exceptions of one errno each, ENOENT and ESRCH."""

_ALIASES = frozenset({"error", "timeout", "gaierror", "herror", "Error"})
"""Names of other modules for an OSError or a subclass, such as socket.timeout and shutil.Error."""

_SWALLOWING = frozenset(
    {"exists", "lexists", "isdir", "isfile", "islink", "ismount", "access", "walk", "glob", "iglob", "rglob", "which"}
    | {"is_dir", "is_file", "is_symlink", "is_socket", "is_mount", "is_char_device", "is_block_device", "is_fifo"}
)
"""Functions and methods of Python that answer "no" or "nothing" where they cannot look."""

_PORTS = frozenset({"kernel", "_kernel", "machine", "_machine", "disk", "_disk", "host", "_host"})
"""What has methods of these names that raise."""

_Handled = t.Union[ast.ExceptHandler, ast.Call]


def catches(source: str) -> list[str]:
    """`function: what` for each place, in the order of the text."""
    finder = _Finder()
    finder.visit(ast.parse(source))
    return finder.found


class _Finder(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[str] = []
        self._inside: list[str] = []

    def _visit_named(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _visit_named  # noqa: N815

    def _note(self, what: str) -> None:
        self.found.append(f"{'.'.join(self._inside)}: {what}")

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if _catches_more(node.type) and not _raises(node.body) and not _asks_for_absence(node):
            self._note(f"except {ast.unparse(node.type)}" if node.type else "except")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name, of = _called(node.func)
        if name == "suppress" and any(map(_catches_more, node.args)):
            self._note(ast.unparse(node))
        elif name in _SWALLOWING and of not in _PORTS and not any(word.arg == "onerror" for word in node.keywords):
            self._note(f"{of}.{name}" if of else name)
        for word in node.args:
            # A function that is handed over, as to map().
            if isinstance(word, ast.Attribute) and word.attr in _SWALLOWING and _called(word.value)[0] == "path":
                self._note(f"path.{word.attr}")
        self.generic_visit(node)


def _called(function: ast.expr) -> tuple[str, str]:
    """The name of what is called, and the last name of what it is called of."""
    if isinstance(function, ast.Name):
        return function.id, ""
    if isinstance(function, ast.Attribute):
        return function.attr, _called(function.value)[0] or "?"
    return "", ""


def _catches_more(kind: ast.expr | None) -> bool:
    """Whether the type of a handler takes an OSError for another reason than absence."""
    if kind is None:
        return True
    if isinstance(kind, ast.Tuple):
        return any(map(_catches_more, kind.elts))
    name = _called(kind)[0]
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, BaseException):
        return name not in _PROVES_ABSENCE and (issubclass(known, OSError) or issubclass(OSError, known))
    # A name in capitals, or a variable, is a tuple of types that is written somewhere else.
    bare = name.lstrip("_")
    return name in _ALIASES or bare.isupper() or not bare[:1].isupper()


def _raises(body: t.Sequence[ast.stmt]) -> bool:
    """Whether a handler ends in raising on every way through it."""
    leaves = (ast.Return, ast.Continue, ast.Break, ast.Yield)
    if any(isinstance(node, leaves) for statement in body for node in ast.walk(statement)):
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _raises(last.body) and _raises(last.orelse)
    return isinstance(last, ast.Raise)


def _asks_for_absence(handler: ast.ExceptHandler) -> bool:
    """Whether it begins with `if not is_absent(error): raise`."""
    first = handler.body[0]
    return (
        isinstance(first, ast.If)
        and isinstance(first.body[-1], ast.Raise)
        and isinstance(first.test, ast.UnaryOp)
        and isinstance(first.test.op, ast.Not)
        and isinstance(first.test.operand, ast.Call)
        and _called(first.test.operand.func)[0] == "is_absent"
    )
