# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the table, its runner and the engine into one file that a machine's own Python can run."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

COLLECTION = Path(__file__).parents[2]
PACKAGE = Path("ansible_collections/accel/qat")
PACKED = ("plugins/module_utils/_node", "tests/behaviour", "tests/fakes/families.py")

_MAIN = """\
import sys
from ansible_collections.accel.qat.tests.behaviour.guest import main
main(*sys.argv[1:])
"""


def payload() -> bytes:
    """A zip archive for `python3 FILE GENERATION on|off`."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packages: set[Path] = set()
        for packed_path in PACKED:
            for file in _python_files(COLLECTION / packed_path):
                name = PACKAGE / file.relative_to(COLLECTION)
                packed.write(file, str(name))
                packages.update(name.parents)
        for package in sorted(packages - {Path()}):
            if f"{package}/__init__.py" not in packed.namelist():
                packed.writestr(f"{package}/__init__.py", "")
        packed.writestr("__main__.py", _MAIN)
    return archive.getvalue()


def _python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]
