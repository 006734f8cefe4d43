# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of examples/monitoring, by Prometheus itself and its promtool."""
