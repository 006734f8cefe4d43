# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual page of qatctl, man(7), of what the command itself says of its commands and options."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator

from ansible_collections.accel.qat.plugins.module_utils._node.cli import qatctl
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import RECORD
from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import NODE_JSON

_NAME = "qatctl"
_EXIT_STATUS = {
    0: "done",
    qatctl.EXIT_FAILED: "a step failed or was refused, or the node cannot be read",
    qatctl.EXIT_USAGE: "wrong options or configuration",
    qatctl.EXIT_DIFFERS: "status: the node is not as configured",
    qatctl.EXIT_INTERRUPTED: "interrupted",
}
_FILES = {NODE_JSON: "the configuration", RECORD: "what was found before the first change"}


def page(version: str, place: str) -> bytes:
    """The page, compressed as Debian wants it. `place` is where the project is."""
    return gzip.compress("\n".join(_lines(version, place)).encode() + b"\n", 9, mtime=0)


def _lines(version: str, place: str) -> Iterator[str]:
    parser = qatctl._parser(version, _NAME)
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    yield f'.TH QATCTL 8 "" "accel.qat {version}"'
    yield from (".SH NAME", rf"qatctl \- {_plain('show and configure the Intel QAT devices of a node')}")
    yield from (".SH SYNOPSIS", ".B qatctl", r".I COMMAND \fR[\fIOPTION\fR]...")
    yield from (".SH DESCRIPTION", _plain(str(parser.description)), ".SH COMMANDS")
    for choice in commands._choices_actions:
        yield from _entry(choice.dest, str(choice.help))
    yield ".SH OPTIONS"
    known: dict[str, argparse.Action] = {}
    of: dict[str, list[str]] = {}
    for name, command in commands.choices.items():
        for action in command._actions:
            known[action.option_strings[-1]] = action
            of.setdefault(action.option_strings[-1], []).append(name)
    for option, action in known.items():
        words = f"{option} {action.metavar}" if action.metavar else option
        only = "" if len(of[option]) == len(commands.choices) else f"of {' and '.join(of[option])}: "
        yield from _entry(words, only + str(action.help) % {"default": action.default, "prog": _NAME})
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT_STATUS.items():
        yield from _entry(str(code), meaning)
    yield ".SH FILES"
    for path, purpose in _FILES.items():
        yield from _entry(path, purpose)
    yield from (".SH SEE ALSO", _plain(f"{place}/blob/main/docs/qatctl.md"))


def _entry(words: str, text: str) -> Iterator[str]:
    yield from (".TP", f".B {_plain(words)}", _plain(text))


def _plain(text: str) -> str:
    """As roff shows it unchanged: a dash is one of the keyboard, and a dot begins no request."""
    escaped = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped[:1] in (".", "'") else escaped
