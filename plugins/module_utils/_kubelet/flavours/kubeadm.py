# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""kubeadm, and any kubelet that is started with --config or --config-dir."""

from __future__ import annotations

from .base import OnCommandLine

KUBEADM = OnCommandLine(
    "kubeadm",
    "kubeadm, or any kubelet with --config",
    ("/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet.conf"),
    ("kubelet",),
    ("kubelet.service",),
    config="/var/lib/kubelet/config.yaml",
    is_any=True,
    command_line_decides=True,
    adds_drop_ins="/etc/kubernetes/kubelet.conf.d",
    proven_since=0,
)
