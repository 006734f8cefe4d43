# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: print at once in a line what fails, and at the end add the number of tests to the file $ACCEL_QAT_TALLY.

Runs on the oldest Python of a managed node too.
"""

from __future__ import annotations

import json
import os
import typing as t

if t.TYPE_CHECKING:
    import pytest


class Failures:
    """Prints each failure when it is known: pytest keeps their texts for the end, which of long tests is an hour later."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print the test and the first line of what went wrong."""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = (crash.message if crash else report.longreprtext.rstrip().rpartition("\n")[2]).partition("\n")[0]
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            if terminal is not None:
                terminal.write_line(f"\n{report.when} of {report.nodeid} failed: {reason[:500]}")


def pytest_configure(config: pytest.Config) -> None:
    """Have failures printed, but by the one process that prints."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(config))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the numbers that pytest's own last line shows."""
    if hasattr(terminalreporter.config, "workerinput"):
        return  # one of several processes of pytest-xdist, whose numbers the first one sums up

    def count(*outcomes: str) -> int:
        return sum(len(terminalreporter.getreports(outcome)) for outcome in outcomes)

    numbers = {"passed": count("passed"), "failed": count("failed", "error"), "skipped": count("skipped")}
    with open(os.environ["ACCEL_QAT_TALLY"], "a", encoding="utf-8") as record:
        record.write(json.dumps(numbers) + "\n")
