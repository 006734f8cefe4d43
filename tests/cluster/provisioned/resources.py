# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's PFs, what is wanted of them and of kubelet, what it offers then, and by whom its device plugin is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tests.lab.qat_lab import pod_image

if TYPE_CHECKING:
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster

FIRST, SECOND = "0000:6b:00.0", "0000:70:00.0"
CY, DC = "qat.intel.com/cy", "qat.intel.com/dc"
RULES: list[dict[str, Any]] = [
    {"select": {"address": [SECOND]}, "services": ["dc"], "advertise": 12},
    {"services": ["sym", "asym"]},
]
SECONDS = 600.0
"""How long an emulated node may take to start the device plugin while other pods come."""
PAUSE = 0.5
"""Seconds between two pods that come while a whole run of Ansible goes on; test_admission.py has one after the other."""


def settings_for(cluster: Cluster) -> dict[str, Any]:
    """What the inventory of nodes says; each has its name in the cluster."""
    return {
        "qat_node_devices": RULES,
        "qat_node_kernel_arguments": [],
        "qat_kubernetes": True,
        "qat_kubelet_configuration": {"topologyManagerPolicy": "best-effort"},
        "qat_kubelet_timeout": 300,
        "qat_kubelet_kubeconfig": str(cluster.kubeconfig),
        "qat_kubelet_node_name": "{{ inventory_hostname }}",
        "qat_verify_kubeconfig": str(cluster.kubeconfig),
        "qat_verify_node_name": "{{ inventory_hostname }}",
        "qat_verify_image": pod_image.NAME,
        "qat_verify_image_pull_policy": "Never",
    }


def access_to(cluster: Cluster) -> dict[str, Any]:
    """What the role of the device plugin has to be given where it looks for a pod that is the node's, or makes one."""
    return {
        "qat_device_plugin_kubeconfig": str(cluster.kubeconfig),
        "qat_device_plugin_node_name": cluster.nodes[0],
        "qat_device_plugin_wait_timeout": int(SECONDS),
    }
