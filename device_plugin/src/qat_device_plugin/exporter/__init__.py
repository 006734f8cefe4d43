# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service `qat-exporter`: says how busy the QAT devices of a machine are, with Kubernetes or without."""
