# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm itself, for what it does to a node later on: its nodes are made by the lab, arranged as it arranges them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .. import host
from ..paths import KUBERNETES_SOURCES
from . import control_plane, programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cluster import Cluster

_GUEST_PROGRAM = "/usr/local/bin/kubeadm"
_API = "kubeadm.k8s.io/v1beta4"


def upload_configuration(cluster: Cluster) -> None:
    """Have the cluster keep its configuration, kubelet's included, where `kubeadm upgrade` reads it."""
    programs.ensure(cluster.release, ["kubeadm"])
    path = cluster.directory / "kubeadm.yaml"
    path.write_text("---\n".join(_documents(cluster)))
    phases = [str(programs.layer(cluster.release, "kubeadm") / "kubeadm"), "init", "phase", "upload-config"]
    for phase in ("kubeadm", "kubelet"):
        host.run([*phases, phase, f"--config={path}", f"--kubeconfig={cluster.kubeconfig}"])


def install(cluster: Cluster) -> None:
    """Put kubeadm on the first node."""
    programs.ensure(cluster.release, ["kubeadm"])
    program = programs.layer(cluster.release, "kubeadm") / "kubeadm"
    cluster.machine().put(program.read_bytes(), _GUEST_PROGRAM, 0o755)


def _documents(cluster: Cluster) -> Iterator[str]:
    """JSON is YAML. kubelet's part is the file that the nodes were made with."""
    node = {"name": cluster.nodes[0], "criSocket": "unix:///run/containerd/containerd.sock"}
    endpoint = f"{control_plane.GUEST_ADDRESS}:{control_plane.GUEST_PORT}"
    yield json.dumps({"apiVersion": _API, "kind": "InitConfiguration", "nodeRegistration": node}) + "\n"
    version = f"v{cluster.release.version}"
    general = {"kubernetesVersion": version, "controlPlaneEndpoint": endpoint}
    yield json.dumps({"apiVersion": _API, "kind": "ClusterConfiguration", **general}) + "\n"
    yield (KUBERNETES_SOURCES / "files/var/lib/kubelet/config.yaml").read_text()
