# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubeadm does: it writes into the cluster how its kubelets run, and has each machine join, as on a user's nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tools.building import host

from ..paths import KUBERNETES_SOURCES
from . import control_plane, programs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..machine import Machine
    from .releases import Release

_DISCOVERY = "/root/discovery.conf"
_JOIN = "/root/join.yaml"
_HOST = "control-plane"
CONTAINERD = "unix:///run/containerd/containerd.sock"
"""Where kubelet finds the runtime of the nodes that have it."""
_UNIT_FILES = (
    "etc/systemd/system/kubelet.service",
    "etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
    "etc/default/kubelet",
)
_KUBELET = {
    "cgroupDriver": "systemd",
    # No service of the cluster has rules to set up.
    "makeIPTablesUtilChains": False,
    # Ten seconds otherwise: tests wait for what the node reports.
    "nodeStatusUpdateFrequency": "3s",
}
_STEPS = ("upload-config kubeadm", "upload-config kubelet", "bootstrap-token")
_SECONDS = 600.0
"""Ten times what a join takes on an emulated machine of a busy host."""


def prepare(directory: Path, release: Release) -> None:
    """Have the cluster keep what kubeadm asks it for when a node joins or is upgraded; kube-apiserver has to be ready."""
    documents = (_initial(directory, release), _general(release), _kubelet())
    path = directory / "kubeadm.yaml"
    # JSON is YAML.
    path.write_text("---\n".join(json.dumps(document) + "\n" for document in documents))
    program = str(programs.program(release, programs.KUBEADM))
    files = [f"--config={path}", f"--kubeconfig={control_plane.kubeconfig(directory)}"]
    # An old one notes at the node of the control plane which runtime that has, and waits for that node; here none is one.
    api = control_plane.api(directory)
    api.post("/api/v1/nodes", {"metadata": {"name": _HOST, "labels": {"kubernetes.io/hostname": _HOST}}})
    for step in _STEPS:
        host.run([program, "init", "phase", *step.split(), *files])
    api.delete(f"/api/v1/nodes/{_HOST}")


def install(machine: Machine, release: Release) -> None:
    """Have a machine whose image has no kubelet get it and kubeadm, as the images of nodes have them."""
    programs.ensure(release, programs.NODE)
    for name in programs.NODE:
        machine.put(programs.program(release, name).read_bytes(), f"/usr/bin/{name}", 0o755)
    machine.run("mkdir -p /etc/kubernetes/manifests /etc/systemd/system/kubelet.service.d")
    for file in _UNIT_FILES:
        machine.put((KUBERNETES_SOURCES / "files" / file).read_bytes(), f"/{file}")
    machine.run("systemctl daemon-reload")


def join(
    machine: Machine, directory: Path, release: Release, node: str, address: str, runtime: str = CONTAINERD
) -> None:
    """Have a machine become a node with this name and address; CommandFailed with the words of kubeadm if it cannot.

    `runtime` is the socket at which its kubelet finds the container runtime.
    """
    machine.put(control_plane.kubeconfig_of_nobody(directory), _DISCOVERY)
    machine.put(json.dumps(_joining(directory, release, node, address, runtime)).encode(), _JOIN, 0o600)
    # What it finds amiss, such as that it cannot pull images, stands in no way of a node of ours.
    join_it = f"kubeadm join --config={_JOIN} --ignore-preflight-errors=all"
    machine.run(f"systemctl enable --quiet kubelet && {join_it} && rm {_JOIN} {_DISCOVERY}", timeout=_SECONDS)


def upgrade(machine: Machine, release: Release) -> None:
    """Have a node become one of another release, for which the cluster was prepared; its kubelet starts and may not be ready yet."""
    for name in programs.NODE:
        machine.put(programs.program(release, name).read_bytes(), f"/root/{name}", 0o755)
    # A program that runs cannot be written to, but replaced.
    machine.run("mv /root/kubeadm /usr/bin && kubeadm upgrade node --ignore-preflight-errors=all", timeout=_SECONDS)
    machine.run("mv /root/kubelet /usr/bin && systemctl restart kubelet")


def _document(release: Release, kind: str, **values: Any) -> Mapping[str, Any]:
    return {"apiVersion": release.kubeadm_api, "kind": kind, **values}


def _initial(directory: Path, release: Release) -> Mapping[str, Any]:
    tokens = [{"token": control_plane.join_token(directory), "usages": ["signing", "authentication"]}]
    registration = {"name": _HOST, "criSocket": CONTAINERD}
    return _document(release, "InitConfiguration", bootstrapTokens=tokens, nodeRegistration=registration)


def _general(release: Release) -> Mapping[str, Any]:
    endpoint = f"{control_plane.GUEST_ADDRESS}:{control_plane.GUEST_PORT}"
    version = f"v{release.version}"
    return _document(release, "ClusterConfiguration", kubernetesVersion=version, controlPlaneEndpoint=endpoint)


def _kubelet() -> Mapping[str, Any]:
    return {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **_KUBELET}


def _joining(directory: Path, release: Release, node: str, address: str, runtime: str) -> Mapping[str, Any]:
    arguments = {"node-ip": address}
    listed = [{"name": name, "value": value} for name, value in arguments.items()]
    extra = arguments if release.arguments_by_name else listed
    registration = {"name": node, "criSocket": runtime, "kubeletExtraArgs": extra}
    discovery = {"file": {"kubeConfigPath": _DISCOVERY}, "tlsBootstrapToken": control_plane.join_token(directory)}
    return _document(release, "JoinConfiguration", discovery=discovery, nodeRegistration=registration)
