# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the Python interpreters of this machine that really work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

# Prints the version and the binary, so that a shim is seen through; fails without what a virtual environment needs.
_PROBE = """
import ensurepip, os, ssl, sys, venv
print("%d.%d" % sys.version_info[:2])
print(os.path.realpath(sys.executable))
"""


def find(version: str) -> Path | None:
    """Return the binary of a Python `version` ("3.9") that can make virtual environments, or None.

    Looks in PATH, then where pyenv and uv keep versions that are not in PATH. A pyenv shim of a version that is not
    switched on fails when it is called, and is passed over.
    """
    return next((real for path in _candidates(version) if (real := _probe(path, version))), None)


def _candidates(version: str) -> Iterator[Path]:
    name = f"python{version}"
    for directory in os.get_exec_path():
        yield Path(directory) / name
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    uv = Path.home() / ".local/share/uv/python"
    for root in (pyenv / "versions", uv):
        yield from sorted(root.glob(f"*/bin/{name}"), reverse=True)


def _probe(path: Path, version: str) -> Path | None:
    if not os.access(path, os.X_OK):
        return None
    result = subprocess.run([path, "-c", _PROBE], capture_output=True, text=True, check=False, timeout=60)
    if result.returncode:
        return None
    found, binary = result.stdout.split("\n", 2)[:2]
    return Path(binary) if found == version else None
