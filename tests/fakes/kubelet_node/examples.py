# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of each flavour, as the arguments of a KubeletNode."""

from __future__ import annotations

import typing as t

from .node import Service

CONFIG = "/var/lib/kubelet/config.yaml"
CONFIG_DIR = "/etc/kubernetes/kubelet.conf.d"
K0S_CONFIG = "/var/lib/k0s/kubelet-config.yaml"
K0S_KUBELET = "/var/lib/k0s/bin/kubelet"
CONFIGURATION = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# The cluster's own name server.
clusterDNS:
- 10.96.0.10
staticPodPath: /etc/kubernetes/manifests
"""


def kubeadm(configuration: str = CONFIGURATION, flags: t.Sequence[str] = (), **others: t.Any) -> dict[str, t.Any]:
    """Joined by kubeadm: unit, drop-in of the unit, environment files, of which the last has the flags."""
    command = ["/usr/bin/kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf", f"--config={CONFIG}"]
    service = Service(
        command,
        "/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_EXTRA_ARGS",
        f'"KUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/kubernetes/kubelet.conf --v=2" KUBELET_CONFIG_ARGS=--config={CONFIG}',
        ["/etc/default/kubelet"],
    )
    files = {
        CONFIG: configuration,
        "/etc/kubernetes/kubelet.conf": "kind: Config\n",
        "/etc/default/kubelet": f'# For people.\nKUBELET_EXTRA_ARGS="{" ".join(flags)}"\n',
        **others.pop("files", {}),
    }
    return {"files": files, "services": {"kubelet.service": service}, **others}


def rancher(name: str, version: str, **others: t.Any) -> dict[str, t.Any]:
    """K3s or RKE2, with the token that nobody should see."""
    program = f"/usr/local/bin/{name}"
    unit = "k3s.service" if name == "k3s" else "rke2-server.service"
    files = {
        f"/etc/rancher/{name}/config.yaml": "token: very-secret\nkubelet-arg:\n  - max-pods=200\nagent-token: more-secret\n",
        f"/var/lib/rancher/{name}/agent/etc/kubelet.conf.d/00-{name}-defaults.conf": CONFIGURATION,
        **others.pop("files", {}),
    }
    return {
        "files": files,
        "services": {unit: Service([program, "server"])},
        "programs": {name: program},
        "said": f"{name} version v{version}+{name}1 (0d3b7c1e)\ngo version go1.23.4",
        **others,
    }


def microk8s(version: str = "1.28.7") -> dict[str, t.Any]:
    """MicroK8s."""
    unit, program = "snap.microk8s.daemon-kubelite.service", "/snap/microk8s/6532/kubelite"
    files = {
        "/var/snap/microk8s/current/args/kubelet": "--cluster-domain=cluster.local\n",
        "/snap/microk8s/current/meta/snap.yaml": f"name: microk8s\nversion: v{version}\nsummary: Kubernetes\n",
    }
    return {
        "files": files,
        "services": {unit: Service([program, "--scheduler-args-file=/var/snap/microk8s/current/args/kube-scheduler"])},
        "programs": {"kubelite": program},
        "kubelet_dir": "/var/snap/microk8s/common/var/lib/kubelet",
        "device_plugins_dir": "/var/snap/microk8s/common/var/lib/kubelet/device-plugins",
    }


def openshift3(said: str = "openshift v3.9.0\nkubernetes v1.9.1+a0ce1bc657") -> dict[str, t.Any]:
    """OpenShift 3.9."""
    files = {"/etc/origin/node/node-config.yaml": "kind: NodeConfig\nkubeletArguments:\n  max-pods:\n  - '250'\n"}
    return {
        "files": files,
        "services": {"atomic-openshift-node.service": Service(["/usr/bin/openshift", "start", "node"])},
        "programs": {"openshift": "/usr/bin/openshift"},
        "said": said,
        "kubelet_dir": "/var/lib/origin/openshift.local.volumes",
    }


def k0s(unit: str = "k0sworker.service") -> dict[str, t.Any]:
    """k0s, whose kubelet is a program in its data directory."""
    return {
        "files": {
            K0S_CONFIG: "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupsPerQOS: true\n"
        },
        "services": {unit: Service(["/usr/local/bin/k0s", "worker"])},
        "programs": {"kubelet": K0S_KUBELET},
        "version": "1.31.4",
    }


def openshift4() -> dict[str, t.Any]:
    """OpenShift 4."""
    return {**kubeadm(), "files": {"/etc/machine-config-daemon/currentconfig": "{}"}, "version": "1.29.8"}
