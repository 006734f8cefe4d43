# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the tests of a stage, whoever starts pytest in it: the stage itself, or Molecule."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .shell import Shell

# Holds only the plugin, so that having it on the path brings nothing else along.
PLUGIN_PATH = Path(__file__).parent / "pytest_path"
PLUGIN = "accel_qat_tally"


@dataclasses.dataclass(frozen=True)
class Tally:
    """Numbers of tests by outcome; errors count as failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


NOTHING = Tally()


@contextlib.contextmanager
def counting(shell: Shell) -> Iterator[Callable[[], Tally]]:
    """Make every pytest that `shell` starts report its numbers; yield a function that returns the sum so far."""
    with tempfile.TemporaryDirectory() as directory:
        record = Path(directory) / "tally"
        record.touch()
        shell.environment |= {
            "ACCEL_QAT_TALLY": str(record),
            "PYTEST_ADDOPTS": f"{os.environ.get('PYTEST_ADDOPTS', '')} -p {PLUGIN}".strip(),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PLUGIN_PATH), os.environ.get("PYTHONPATH")])),
        }
        yield lambda: sum((Tally(**json.loads(line)) for line in record.read_text().splitlines()), start=NOTHING)
