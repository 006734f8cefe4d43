# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: at the end of a session, add a line with the number of tests to the file $ACCEL_QAT_TALLY.

Runs on the oldest Python of a managed node too.
"""

from __future__ import annotations

import json
import os
import typing as t

if t.TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the numbers that pytest's own last line shows."""
    if hasattr(terminalreporter.config, "workerinput"):
        return  # one of several processes of pytest-xdist, whose numbers the first one sums up

    def count(*outcomes: str) -> int:
        return sum(len(terminalreporter.getreports(outcome)) for outcome in outcomes)

    numbers = {"passed": count("passed"), "failed": count("failed", "error"), "skipped": count("skipped")}
    with open(os.environ["ACCEL_QAT_TALLY"], "a", encoding="utf-8") as record:
        record.write(json.dumps(numbers) + "\n")
