# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes to the machine is whole: its Python has nothing else of this project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ansible_collections.accel.qat.tests.behaviour.payload import payload

_IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); import ansible_collections.accel.qat.tests.behaviour.guest"


def test_it_needs_nothing_that_a_machine_lacks(tmp_path: Path) -> None:
    packed = tmp_path / "behaviour.zip"
    packed.write_bytes(payload())
    alone = [sys.executable, "-I", "-S", "-c", _IMPORT, str(packed)]
    result = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
