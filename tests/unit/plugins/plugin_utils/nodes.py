# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of nodes, one of each flavour, with files as their installers and administrators leave them."""

from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import normal
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours import BY_NAME
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.openshift4 import OPENSHIFT4
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.rancher import arguments_dir
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Desired, Plan, plan_kubelet

KUBEADM_CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
cgroupDriver: systemd
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.local
cpuManagerReconcilePeriod: 0s
kind: KubeletConfiguration
logging:
  options:
    json:
      infoBufferSize: "0"
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
"""
WITH_GATES = KUBEADM_CONFIG.replace(
    "kind:", "# Asked for by the storage team.\nfeatureGates:\n  DevicePlugins: true\n  NodeSwap: true # try-out\nkind:"
)
DROP_IN = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 200
topologyManagerPolicy: best-effort
"""
K3S_CONFIG = """\
kubelet-arg:
  - max-pods=200
  - "kube-reserved=cpu=500m,memory=512Mi"
"""
MICROK8S_ARGS = """\
--kubeconfig=${SNAP_DATA}/credentials/kubelet.config
--cert-dir=${SNAP_DATA}/certs
# Raised for the build machines.
--eviction-hard="memory.available<100Mi,nodefs.available<1Gi"
--feature-gates=NodeSwap=true
--cluster-domain=cluster.local
"""
NODE_CONFIG = """\
allowDisabledDocker: false
apiVersion: v1
dnsDomain: cluster.local
kind: NodeConfig
# What the node's kubelet is started with.
kubeletArguments:
  node-labels:
  - region=primary
  max-pods: ["250"]
  feature-gates:
  - RotateKubeletClientCertificate=true
masterKubeConfig: system:node:node1.kubeconfig
"""

CONFIG = "/var/lib/kubelet/config.yaml"
CONFIG_DIR = "/etc/kubernetes/kubelet.conf.d"
DEFAULTS = "/etc/default/kubelet"
OURS = f"{CONFIG_DIR}/99-accel-qat.conf"
ARGS = "/var/snap/microk8s/current/args/kubelet"
NODE_CONFIG_PATH = "/etc/origin/node/node-config.yaml"


def kubeadm(
    version: str = "1.31.4", config: str = KUBEADM_CONFIG, flags: t.Sequence[str] = (), **others: t.Any
) -> Observed:
    """A node that joined by kubeadm."""
    words = ["/usr/bin/kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf", f"--config={CONFIG}", *flags]
    files = {CONFIG: config, **others.pop("files", {})}
    config_dir = next((word.split("=")[1] for word in flags if word.startswith("--config-dir=")), "")
    given = {"running": True, "words": words, "config": CONFIG, "config_dir": config_dir, "files": files, **others}
    return _observed("kubeadm", f"Kubernetes v{version}", "/usr/bin/kubelet", given)


def packaged(
    version: str = "1.31.4",
    config: str = KUBEADM_CONFIG,
    arguments: str | None = "KUBELET_EXTRA_ARGS=\n",
    **others: t.Any,
) -> Observed:
    """The same with the unit of Kubernetes' packages, which reads the file of an administrator's arguments."""
    files = {**({} if arguments is None else {DEFAULTS: arguments}), **others.pop("files", {})}
    return kubeadm(version, config, files=files, extra_arguments=DEFAULTS, **others)


def with_drop_ins(version: str = "1.31.4", **drop_ins: str) -> Observed:
    """The same, started with a --config-dir; the keys are the names of drop-ins without number and suffix."""
    numbers = {"site": "20-site", "late": "99-late"}
    files = {f"{CONFIG_DIR}/{numbers[name]}.conf": text for name, text in drop_ins.items()}
    return kubeadm(version, flags=[f"--config-dir={CONFIG_DIR}"], files=files)


def rancher(
    name: str, version: str, unit_arguments: t.Sequence[str] = (), states: t.Any = (), **files: str
) -> Observed:
    """K3s or RKE2; the keys are config, drop_in, arguments and late."""
    flavour = BY_NAME[name]
    paths = {
        "config": flavour.config,
        "drop_in": f"{flavour.drop_ins}/00-{name}-defaults.conf",
        "arguments": f"{arguments_dir(flavour.config)}/10-site.yaml",
        "late": f"{arguments_dir(flavour.config)}/zz-late.yaml",
        "ours": f"{arguments_dir(flavour.config)}/99-accel-qat.yaml",
    }
    given = {
        "running": True,
        "config": flavour.config,
        "files": {paths[key]: text for key, text in files.items()},
        "unit_arguments": list(unit_arguments),
        "states": dict(states),
    }
    return _observed(name, f"{name} version v{version}+{name}1 (0d3b7c1e)", f"/usr/local/bin/{name}", given)


def microk8s(version: str = "1.28.7", arguments: str = MICROK8S_ARGS) -> Observed:
    """MicroK8s."""
    given = {"running": True, "config": ARGS, "files": {ARGS: arguments}}
    return _observed("microk8s", f"v{version}", "/snap/microk8s/6532/kubelite", given)


def openshift3(version: str = "1.9.1", config: str = NODE_CONFIG) -> Observed:
    """OpenShift 3.9, or with another version a later one."""
    given = {"running": True, "config": NODE_CONFIG_PATH, "files": {NODE_CONFIG_PATH: config}}
    return _observed("openshift3", f"openshift v3.9.0\nkubernetes v{version}+a0ce1bc657", "/usr/bin/openshift", given)


def openshift4(version: str = "1.29.8", flags: t.Sequence[str] = (), **files: str) -> Observed:
    """OpenShift 4; the keys are config and drop_in."""
    flavour = OPENSHIFT4
    paths = {"config": flavour.config, "drop_in": "/etc/openshift/kubelet.conf.d/20-auto-sizing.conf"}
    given = {
        "running": True,
        "words": ["/usr/bin/kubelet", f"--config={flavour.config}", *flags],
        "config": flavour.config,
        "files": {paths[key]: text for key, text in files.items()},
    }
    return _observed(OPENSHIFT4.name, f"Kubernetes v{version}+f10c92d", "/usr/bin/kubelet", given)


def plan(
    observed: Observed,
    drained: bool = False,
    gates: bool = True,
    restore: bool = False,
    restart: bool = True,
    version_given: bool = False,
    drop_in: str = "auto",
    **configuration: t.Any,
) -> Plan:
    """The plan for these fields; once it is applied, the next one has nothing to do."""
    desired = Desired(
        normal(configuration),
        device_plugin_gates=gates,
        drained=drained,
        restore=restore,
        restart=restart,
        version_given=version_given,
        drop_in=drop_in,
    )
    made = plan_kubelet(observed, desired)
    again = plan_kubelet(after(observed, made), desired)
    assert (again.edits, again.state_files) == ((), ())
    return made


def after(observed: Observed, made: Plan) -> Observed:
    """The node once the plan is applied."""
    files = dict(observed.files)
    for edit in made.edits:
        assert files.get(edit.path) == edit.before
        if edit.after is None:
            del files[edit.path]
        else:
            files[edit.path] = edit.after
    # kubelet makes the state files again.
    policies = {"cpu": ("cpuManagerPolicy", "none"), "memory": ("memoryManagerPolicy", "None")}
    states = {manager: made.effective.get(*policies[manager]) for manager in observed.states}
    given = {"files": files, "record": made.record, "states": states if made.edits else observed.states}
    return Observed(**{**observed.as_dict(), **given})


def _observed(flavour: str, version: str, program: str, given: dict[str, t.Any]) -> Observed:
    directory = BY_NAME[flavour].kubelet_dir
    unit = BY_NAME[flavour].units[0]
    return Observed(
        **{"flavour": flavour, "version": version, "program": program, "unit": unit, "kubelet_dir": directory, **given}
    )
