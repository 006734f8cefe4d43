# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the board and the alerts ask Prometheus, read from the files as they are shipped."""

from __future__ import annotations

import json
import re
import typing as t

import yaml

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

PLACE = CHECKOUT / "examples/monitoring"
BOARD: t.Mapping[str, t.Any] = json.loads((PLACE / "board.json").read_text())
RULES: t.Mapping[str, t.Any] = yaml.safe_load((PLACE / "rules.yml").read_text())
ALERTS: t.Sequence[t.Mapping[str, t.Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]


def filled(expression: str) -> str:
    """An expression of the board as Grafana asks it where all nodes and PFs are chosen."""
    for variable, value in {"$__rate_interval": "1m", "$instance": ".*", "$pf": ".*"}.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


def panels() -> dict[str, list[str]]:
    """The expressions of each panel by its title."""
    shown = (panel for panel in BOARD["panels"] if panel["type"] != "row")
    return {panel["title"]: [filled(target["expr"]) for target in panel["targets"]] for panel in shown}


def asked() -> dict[str, str]:
    """All expressions, by what asks them."""
    of_board = {f"{title} {number}": one for title, found in panels().items() for number, one in enumerate(found)}
    return {**of_board, **{rule["alert"]: rule["expr"] for rule in ALERTS}}


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in an expression."""
    return set(re.findall(r"\b(?:qat_\w+|up)\b", expression))
