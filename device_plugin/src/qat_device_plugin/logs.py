# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines on standard error: text for people and the journal, or JSON, with the same fields."""

from __future__ import annotations

import io
import json
import logging
import select
import sys
import time
import typing as t

from ._node.fields import lines_in
from ._node.printable import printable

_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3}
"""Levels of the journal (sd-daemon(3)), which reads them from the beginning of a line."""


def set_up(level: str, form: str, journal: bool) -> None:
    """Send this package's log to standard error, and asyncio's in the same form; `journal` says that systemd reads it."""
    handler = _Stream(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text(journal))
    for name, least in ((__package__, level.upper()), ("asyncio", "WARNING")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(least)


class _Stream(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes what is taken at once, and counts what is lost.

    Who should read it may hang, as a journal does whose disk hangs, and kubelet's calls are answered by whoever would wait for that.
    """

    def __init__(self, stream: t.TextIO) -> None:
        super().__init__(stream)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, after one on those that were lost before it."""
        if self._lost and _takes(self.stream):
            lost, self._lost = self._lost, 0
            super().emit(_on_lost(lost))
        if _takes(self.stream):
            super().emit(record)
        else:
            self._lost += 1


def _takes(stream: t.TextIO) -> bool:
    """Whether a line can be written without waiting: a pipe has room for 4096 bytes then (pipe(7)), a socket for more."""
    poll = select.poll()
    try:
        poll.register(stream, select.POLLOUT)
    except io.UnsupportedOperation:  # it is no file
        return True
    return bool(poll.poll(0))


def _on_lost(count: int) -> logging.LogRecord:
    fields = {"count": count}
    message = "lines of the log were lost, as nobody has read it"
    return logging.makeLogRecord({"levelname": "WARNING", "levelno": logging.WARNING, "msg": message, "fields": fields})


def _fields(record: logging.LogRecord) -> dict[str, t.Any]:
    fields: dict[str, t.Any] = getattr(record, "fields", {})
    return fields


class _Text(logging.Formatter):
    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """One line: the level, the message, the fields. A trace, if there is one, has lines of its own."""
        start = f"<{_PRIORITIES.get(record.levelname, 6)}>" if self._journal else f"{record.levelname.lower()}: "
        fields = "".join(f" {name}={_word(value)}" for name, value in _fields(record).items())
        trace = lines_in(self.formatException(record.exc_info)) if record.exc_info else ()
        return "\n".join((f"{start}{printable(record.getMessage())}{fields}", *map(printable, trace)))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One object a line. Times are UTC."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage(), **_fields(record)}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _word(value: t.Any) -> str:
    text = str(value)
    is_plain = text and text.isprintable() and not set(text) & set(" =\"'")
    return text if is_plain else json.dumps(text)
