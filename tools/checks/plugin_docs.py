# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""antsibull-docs over a collection, and again where it has found something: `python -m tools.checks.plugin_docs COLLECTION`.

It works in a copy whose directory it names by chance (antsibull_docs.utils.collection_copier). With an underscore at its end
(once in 37 runs) reStructuredText takes the path of each file for a link whose target is unknown. What is wrong is found twice.
"""

from __future__ import annotations

import subprocess
import sys

OPTIONS = ("--plugin-docs", "--validate-collection-refs=all", "--check-extra-docs-refs")


def main(collection: str) -> int:
    """Return what the last run of at most two has returned."""
    for _ in range(2):
        status = subprocess.run(
            ["antsibull-docs", "lint-collection-docs", *OPTIONS, collection], check=False
        ).returncode
        if status == 0:
            break
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
