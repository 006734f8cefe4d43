# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's archive from what git has: nothing else that lies in the checkout goes to others."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .shell import CHECKOUT, Shell


def build_archive(shell: Shell, output: Path, checkout: Path = CHECKOUT) -> None:
    """Put the archive of a checkout into a directory. Raises CommandFailed."""
    with tempfile.TemporaryDirectory() as tree:
        shell.run(checkout / "tools/collection_tree", "--tracked", tree)
        collection = Path(tree) / "ansible_collections/accel/qat"
        shell.run("ansible-galaxy", "collection", "build", "--force", "--output-path", output, cwd=collection)
