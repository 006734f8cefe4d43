# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m qat_device_plugin`."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
