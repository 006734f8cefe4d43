# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the configuration file, and follows it while the service runs."""

from __future__ import annotations

import logging
import typing as t
from pathlib import Path

from ._node.devices import rules as schema
from ._node.devices.rules import Rule, UnseenConfiguration
from ._node.errors import NodeError
from .sockets import Identity, identity

log = logging.getLogger(__name__)


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a node.json; raises ConfigurationError, which says in one sentence what is wrong."""
    return schema.read_rules(str(path), "name another file with --config")


class Configuration:
    """The rules in force, and whether their file has others by now. What cannot be taken changes no rule and raises nothing.

    `rules` are what the file said at the start. `reloads` counts by result.
    """

    def __init__(self, path: Path, rules: tuple[Rule, ...], reloads: t.Counter[str]) -> None:
        self.rules = rules
        self._path = path
        self._reloads = reloads
        self._file: Identity | None = None  # not known: what stands in it now may be newer than the rules
        self._unread = ""  # why it cannot be read now

    def is_written(self) -> bool:
        """Whether the file is another one than was read last, or was written again. It is not read."""
        return self._identity() != self._file

    def differs(self) -> bool:
        """Whether the file was written again, and does not say the same as before."""
        found = self._identity()
        if found == self._file:
            return False
        try:
            is_same = read_rules(self._path) == self.rules
        except UnseenConfiguration as error:
            # It is as new as now when it can be read.
            if error.sentence() != self._unread:
                self._keep(error)
            self._unread = error.sentence()
            return False
        except NodeError:
            is_same = False
        self._file, self._unread = found, ""
        return not is_same

    def reload(self) -> bool:
        """Take the rules of the file, and return True; or keep those there are and say why."""
        found = self._identity()
        try:
            self.rules = read_rules(self._path)
        except NodeError as error:
            if not isinstance(error, UnseenConfiguration):
                self._file = found
            self._keep(error)
            return False
        self._file = found
        self._reloads["succeeded"] += 1
        log.info("configuration reloaded", extra={"fields": {"rules": len(self.rules)}})
        return True

    def _identity(self) -> Identity | None:
        return identity(self._path, unseen=self._file)

    def _keep(self, error: NodeError) -> None:
        self._reloads["failed"] += 1
        log.error("the old configuration stays", extra={"fields": {"problem": error.sentence()}})
