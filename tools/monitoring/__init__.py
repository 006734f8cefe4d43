# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes of examples/monitoring what is made of something else: the board of Grafana, and the alerts in the form of the operator."""
