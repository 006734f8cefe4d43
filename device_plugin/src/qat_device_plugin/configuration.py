# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the configuration file."""

from __future__ import annotations

from pathlib import Path

from ._node.devices import rules as schema
from ._node.devices.rules import Rule


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a node.json; raises ConfigurationError, which says in one sentence what is wrong."""
    return schema.read_rules(str(path), "name another file with --config")
