# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kubernetes cluster: its control plane on this host, its nodes virtual QAT machines."""
