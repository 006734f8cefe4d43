# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs that cannot be used; what comes after them is tried with kubelet_config itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.wait_ready import Api

CONTEXT = "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
CLUSTER = "clusters: [{name: c, cluster: {server: 'https://192.0.2.1'}}]\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "current-context: [",
        "\x00",
        "- a list\n",
        "a text\n",
        "current-context: c\n",
        "current-context: c\ncontexts: [{name: c, context: c}]\nclusters: []\nusers: []\n",
        f"{CONTEXT}clusters: []\nusers: []\n",
        f"{CONTEXT}clusters: [{{name: c, cluster: {{server: 6443}}}}]\nusers: [{{name: u, user: {{}}}}]\n",
        f"{CONTEXT}{CLUSTER}users: [{{name: u, user: {{client-certificate-data: a, client-key-data: b}}}}]\n",
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        Api(str(path), "node1")
    assert caught.value.sentence().startswith(f"kubeconfig {path}: cannot be used: ")
    assert caught.value.remedy in ("correct the file", "name the file of this cluster with kubeconfig")
