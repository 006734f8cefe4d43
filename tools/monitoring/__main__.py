# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the files: `.venv/bin/python -m tools.monitoring`."""

from __future__ import annotations

from .files import FILES, PLACE


def main() -> None:
    """Write what differs."""
    for name, text in FILES.items():
        (PLACE / name).write_text(text())


if __name__ == "__main__":
    main()
