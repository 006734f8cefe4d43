# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that tests copy into a machine and run there, with the standard library of Python 3.9 only."""
