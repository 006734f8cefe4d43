# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""OpenShift 4, where the Machine Config Operator writes kubelet's files."""

from __future__ import annotations

import typing as t

from .base import OnCommandLine, Started


class _OpenShift4(OnCommandLine):
    def config_of(self, started: Started) -> str:
        return self.config

    def manifest(self, settings: t.Mapping[str, t.Any], pool: str) -> dict[str, t.Any]:
        return {
            "apiVersion": "machineconfiguration.openshift.io/v1",
            "kind": "KubeletConfig",
            "metadata": {"name": f"accel-qat-{pool}"},
            "spec": {
                "machineConfigPoolSelector": {
                    "matchLabels": {f"pools.operator.machineconfiguration.openshift.io/{pool}": ""}
                },
                "kubeletConfig": settings,
            },
        }


OPENSHIFT4 = _OpenShift4(
    "openshift4",
    "OpenShift 4",
    ("/etc/machine-config-daemon/currentconfig",),
    ("kubelet", "hyperkube"),
    ("kubelet.service",),
    config="/etc/kubernetes/kubelet.conf",
    marker_decides=True,
    by_manifest=True,
)
