# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The device plugin for nodes that the collection sets up, in dist/: a wheel, and a bundle for each Python and architecture of a package.

The same files give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.accel.qat.device_plugin import bundle
from ansible_collections.accel.qat.tools.building import host
from ansible_collections.accel.qat.tools.building.errors import ToolError

from .packages import CHECKOUT, DIST, MACHINES, PYTHONS, moment

SOURCES = CHECKOUT / "device_plugin"
ALL_PYTHONS = tuple(
    sorted({python for pythons in PYTHONS.values() for python in pythons}, key=lambda text: int(text[2:]))
)


def wheel(output: Path) -> Path:
    """Build the wheel in a directory, and return it. Raises ToolError."""
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as directory:
        host.run(
            [sys.executable, "-m", "pip", *words, "--wheel-dir", directory, SOURCES],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(moment())},
        )
        (made,) = Path(directory).iterdir()
        output.mkdir(parents=True, exist_ok=True)
        target = output / made.name
        target.write_bytes(made.read_bytes())
    return target


def make(
    output: Path, pythons: Sequence[str] = ALL_PYTHONS, machines: Sequence[str] = tuple(MACHINES.values())
) -> list[Path]:
    """Build the wheel and the bundles, which have their hashes beside them. Raises ToolError and bundle.BundleError."""
    made = [wheel(output)]
    for python in pythons:
        for machine in machines:
            _release, archive = bundle.bundle(python, machine, output)
            made += [archive, archive.with_name(f"{archive.name}.sha256")]
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when they are made, 1 with one sentence when they are not."""
    parser = argparse.ArgumentParser(prog="device_plugin", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=DIST, help="the directory of the files")
    parser.add_argument(
        "--python", action="append", help="one for which there is to be a bundle, such as 3.11; all without it"
    )
    options = parser.parse_args(arguments)
    try:
        made = make(options.output, options.python or ALL_PYTHONS)
    except (ToolError, bundle.BundleError) as error:
        print(f"device_plugin: {error}", file=sys.stderr)
        return 1
    print(*made, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
