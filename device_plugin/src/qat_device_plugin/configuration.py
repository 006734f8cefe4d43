# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the configuration file."""

from __future__ import annotations

from pathlib import Path

from ._node.errors import ConfigurationError
from ._node.schema import Rule, parse_json


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a node.json; raises ConfigurationError, which says in one sentence what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot be read: {error.strerror}", where=str(path), remedy="name another file with --config"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError("is not UTF-8 text", where=str(path), remedy="correct the file") from None
    return parse_json(text, str(path))
