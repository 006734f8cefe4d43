# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that are made, and what of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .board import board

PLACE = Path(__file__).resolve().parents[2] / "examples" / "monitoring"
RULES = PLACE / "rules.yml"

_HEAD = """---
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The alerts of rules.yml for the Prometheus operator. Written by tools/monitoring.

apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: qat
  labels:
    app.kubernetes.io/name: qat
spec:
"""


def prometheus_rule() -> str:
    """The alerts as the operator takes them, with the text of each as it stands in the plain file."""
    _head, begin, body = RULES.read_text().partition("\ngroups:\n")
    lines = (begin.lstrip("\n") + body).splitlines()
    return _HEAD + "".join(f"  {line}".rstrip() + "\n" for line in lines)


FILES: Mapping[str, Callable[[], str]] = {"prometheus_rule.yml": prometheus_rule, "board.json": board}
"""By its name in examples/monitoring the text of each."""
