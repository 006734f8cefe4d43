# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a kernel with QAT devices behaves: one table of cases, run on the fake kernel and on a real one in a virtual machine."""
