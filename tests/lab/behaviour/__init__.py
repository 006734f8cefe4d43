# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a kernel with QAT devices behaves, as a table of things to do and what then happens."""
