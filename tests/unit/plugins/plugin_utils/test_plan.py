# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes in which file, for each flavour of kubelet, and what is refused."""

from __future__ import annotations

import difflib
import json
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.gates import Verdict
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Desired, Plan, asks_for_offered
from ansible_collections.accel.qat.tests.unit.plugins.plugin_utils.nodes import (
    ARGS,
    CONFIG,
    CONFIG_DIR,
    DROP_IN,
    K3S_CONFIG,
    KUBEADM_CONFIG,
    MICROK8S_ARGS,
    NODE_CONFIG,
    NODE_CONFIG_PATH,
    OURS,
    WITH_GATES,
    after,
    kubeadm,
    microk8s,
    openshift3,
    openshift4,
    plan,
    rancher,
    with_drop_ins,
)

TOPOLOGY: dict[str, t.Any] = {"topologyManagerPolicy": "single-numa-node", "topologyManagerScope": "pod"}
STATIC: dict[str, t.Any] = {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}
OPTION_OF_TOPOLOGY = "--topology-manager-policy-options"


def lines(made: Plan) -> dict[str, list[str]]:
    """The lines that change, by file."""
    found = {}
    for edit in made.edits:
        old, new = ((text or "").splitlines() for text in (edit.before, edit.after))
        shown = list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]
        found[edit.path] = [line for line in shown if line[0] in "+-"]
    return found


def settled(observed: Observed, made: Plan, **desired: t.Any) -> None:
    """Applied, nothing is left to do; and undone, everything is as it was."""
    there = after(observed, made)
    assert plan(there, **desired).edits == ()
    back = plan(there, restore=True, drained=True)
    assert after(there, back).files == observed.files
    assert back.record is None


def refusal(observed: Observed, **desired: t.Any) -> str:
    with pytest.raises(NodeError) as caught:
        plan(observed, **desired)
    return caught.value.sentence()


HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
MANAGED = "+# Managed by accel.qat.kubelet_config"
DROP_IN_HEAD = [MANAGED, "+apiVersion: kubelet.config.k8s.io/v1beta1", "+kind: KubeletConfiguration"]
K3S_OURS = "/etc/rancher/k3s/config.yaml.d/99-accel-qat.yaml"
RKE2_DROP_IN = "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/99-accel-qat.conf"
K3S_DROP_IN = "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/99-accel-qat.conf"

ELSEWHERE = "/srv/rke2/agent/etc/kubelet.conf.d"
RKE2_ELSEWHERE = Observed(
    **{
        **rancher("rke2", "1.33.4").as_dict(),
        "words": ["kubelet", f"--config-dir={ELSEWHERE}/"],
        "config_dir": ELSEWHERE,
        "files": {f"{ELSEWHERE}/00-rke2-defaults.conf": DROP_IN},
    }
)

K3S_ELSEWHERE = Observed(
    **{
        **rancher("k3s", "1.30.5").as_dict(),
        "config": "/etc/k3s/config.yaml",
        "files": {"/etc/k3s/config.yaml": K3S_CONFIG, "/etc/k3s/config.yaml.d/10-site.yaml": ""},
    }
)

CASES: dict[str, tuple[Observed, dict[str, t.Any], dict[str, list[str]]]] = {
    "kubeadm, nothing wanted": (kubeadm(), {}, {}),
    "kubeadm, devices": (kubeadm("1.9.11"), {}, {CONFIG: ["+featureGates:", "+  DevicePlugins: true"]}),
    "kubeadm, pod resources": (kubeadm("1.14.10"), {}, {CONFIG: ["+featureGates:", "+  KubeletPodResources: true"]}),
    "kubeadm, a gate of a newer kubelet": (kubeadm("1.28.1", WITH_GATES), {}, {CONFIG: ["-  DevicePlugins: true"]}),
    "kubeadm, a gate that may stand": (kubeadm("1.27.1", WITH_GATES), {}, {}),
    "kubeadm, a gate that is gone since": (
        kubeadm("1.36.3", KUBEADM_CONFIG + "featureGates:\n  MemoryManager: true\n"),
        {},
        {CONFIG: ["-featureGates:", "-  MemoryManager: true"]},
    ),
    "kubeadm, a gate that is locked otherwise since": (
        kubeadm("1.37.2", KUBEADM_CONFIG + "featureGates:\n  TopologyManagerPolicyOptions: false\n"),
        {},
        {CONFIG: ["-featureGates:", "-  TopologyManagerPolicyOptions: false"]},
    ),
    "kubeadm, a gate that stays": (
        kubeadm("1.37.2", KUBEADM_CONFIG + "featureGates:\n  CPUManagerPolicyOptions: true\n"),
        {},
        {},
    ),
    "kubeadm, two gates that belong together": (
        kubeadm("1.36.3"),
        {"featureGates": {"ResourceHealthStatus": False, "ResourceHealthStatusMessage": False}},
        {CONFIG: ["+featureGates:", "+  ResourceHealthStatus: false", "+  ResourceHealthStatusMessage: false"]},
    ),
    "OpenShift's build, a gate that it ignores": (
        kubeadm("1.36.3+f10c92d", KUBEADM_CONFIG + "featureGates:\n  MemoryManager: true\n  DevicePlugins: true\n"),
        {},
        {},
    ),
    "kubeadm, topology": (
        kubeadm(),
        TOPOLOGY,
        {CONFIG: ["+topologyManagerPolicy: single-numa-node", "+topologyManagerScope: pod"]},
    ),
    "kubeadm, reservations": (
        kubeadm(),
        {"kubeReserved": {"cpu": 1, "memory": "1Gi"}},
        {CONFIG: ["+kubeReserved:", '+  cpu: "1"', "+  memory: 1Gi"]},
    ),
    "kubeadm, a threshold keeps the others": (
        kubeadm("1.30.1"),
        {"evictionHard": {"memory.available": "1Gi", "imagefs.available": "0%"}},
        {
            CONFIG: [
                "+evictionHard:",
                "+  memory.available: 1Gi",
                "+  nodefs.available: 10%",
                "+  nodefs.inodesFree: 5%",
                "+  imagefs.available: 0%",
                "+  imagefs.inodesFree: 5%",
            ]
        },
    ),
    "kubeadm before 1.30, a threshold keeps the others": (
        kubeadm("1.29.1"),
        {"evictionHard": {"nodefs.available": "1Gi"}},
        {
            CONFIG: [
                "+evictionHard:",
                "+  memory.available: 100Mi",
                "+  nodefs.available: 1Gi",
                "+  nodefs.inodesFree: 5%",
                "+  imagefs.available: 15%",
            ]
        },
    ),
    "kubeadm, a threshold where kubelet adds its own": (
        kubeadm("1.33.1", config=KUBEADM_CONFIG + "mergeDefaultEvictionSettings: true\n"),
        {"evictionHard": {"memory.available": "1Gi"}},
        {CONFIG: ["+evictionHard:", "+  memory.available: 1Gi"]},
    ),
    "kubeadm, on cgroup v1 where that is taken": (
        kubeadm("1.36.3", KUBEADM_CONFIG + "failCgroupV1: false\n", cgroup="v1"),
        {"topologyManagerPolicy": "restricted"},
        {CONFIG: ["+topologyManagerPolicy: restricted"]},
    ),
    "kubeadm, an alias where nothing changes": (
        kubeadm(config=KUBEADM_CONFIG + "kubeReserved: &reserved\n  cpu: 500m\nsystemReserved: *reserved\n"),
        {"topologyManagerPolicy": "restricted"},
        {CONFIG: ["+topologyManagerPolicy: restricted"]},
    ),
    "kubeadm, a threshold beside others": (
        kubeadm(config=KUBEADM_CONFIG + "evictionHard:\n  nodefs.available: 5%\n"),
        {"evictionHard": {"memory.available": "1Gi"}},
        {CONFIG: ["+  memory.available: 1Gi"]},
    ),
    "a threshold in a drop-in": (
        with_drop_ins(),
        {"evictionHard": {"memory.available": "1Gi"}},
        {OURS: [*DROP_IN_HEAD, "+evictionHard:", "+  memory.available: 1Gi"]},
    ),
    "K3s before 1.32, a threshold keeps its own": (
        rancher("k3s", "1.30.5"),
        {"evictionHard": {"memory.available": "1Gi"}},
        {
            K3S_OURS: [
                MANAGED,
                "+kubelet-arg+:",
                "+- eviction-hard=imagefs.available<5%,nodefs.available<5%,memory.available<1Gi",
            ]
        },
    ),
    "kubeadm, set by a flag as wanted": (
        kubeadm(flags=["--topology-manager-policy=single-numa-node"]),
        {"topologyManagerPolicy": "single-numa-node"},
        {},
    ),
    "kubeadm, drop-in": (with_drop_ins(), TOPOLOGY, {OURS: [
        *DROP_IN_HEAD, "+topologyManagerPolicy: single-numa-node", "+topologyManagerScope: pod",
    ]}),
    "kubeadm, an earlier drop-in is overruled": (
        with_drop_ins(site=DROP_IN),
        {"topologyManagerPolicy": "restricted"},
        {OURS: [*DROP_IN_HEAD, "+topologyManagerPolicy: restricted"]},
    ),
    "kubeadm, an earlier drop-in suffices": (with_drop_ins(site=DROP_IN), {"topologyManagerPolicy": "best-effort"}, {}),
    "K3s before 1.32": (
        rancher("k3s", "1.30.5", config=K3S_CONFIG),
        {"topologyManagerPolicy": "restricted", "kubeReserved": {"cpu": "1"}},
        {K3S_OURS: [MANAGED, "+kubelet-arg+:", "+- topology-manager-policy=restricted", "+- kube-reserved=cpu=1"]},
    ),
    "K3s before 1.32 with its configuration elsewhere": (
        K3S_ELSEWHERE,
        {"topologyManagerPolicy": "restricted"},
        {
            "/etc/k3s/config.yaml.d/99-accel-qat.yaml": [
                MANAGED,
                "+kubelet-arg+:",
                "+- topology-manager-policy=restricted",
            ]
        },
    ),
    "K3s before 1.32, a gate": (
        rancher("k3s", "1.30.5", config=K3S_CONFIG),
        {"featureGates": {"KubeletPodResourcesGet": True}},
        {K3S_OURS: [MANAGED, "+kubelet-arg+:", "+- feature-gates+=KubeletPodResourcesGet=true"]},
    ),
    "K3s from 1.32 on": (
        rancher("k3s", "1.32.1", drop_in=DROP_IN),
        {"topologyManagerPolicy": "restricted"},
        {K3S_DROP_IN: [*DROP_IN_HEAD, "+topologyManagerPolicy: restricted"]},
    ),
    "K3s upgraded to 1.32": (
        rancher("k3s", "1.32.1", drop_in=DROP_IN, ours="kubelet-arg+:\n- topology-manager-policy=restricted\n"),
        {"topologyManagerPolicy": "single-numa-node"},
        {
            K3S_DROP_IN: [*DROP_IN_HEAD, "+topologyManagerPolicy: single-numa-node"],
            K3S_OURS: ["-kubelet-arg+:", "-- topology-manager-policy=restricted"],
        },
    ),
    "RKE2 from 1.32 on": (
        rancher("rke2", "1.33.4", config="token: (hidden)\n", drop_in=DROP_IN),
        {"topologyManagerScope": "pod"},
        {RKE2_DROP_IN: [*DROP_IN_HEAD, "+topologyManagerScope: pod"]},
    ),
    "K3s, set on its command line as wanted": (
        rancher("k3s", "1.30.5", ["topology-manager-policy=restricted"]),
        {"topologyManagerPolicy": "restricted"},
        {},
    ),
    "K3s before 1.32, nothing wanted beside its command line": (rancher("k3s", "1.30.5", ["max-pods=200"]), {}, {}),
    "K3s from 1.32 on, beside its command line": (
        rancher("k3s", "1.32.1", ["max-pods=200"], drop_in=DROP_IN),
        {"topologyManagerPolicy": "restricted"},
        {K3S_DROP_IN: [*DROP_IN_HEAD, "+topologyManagerPolicy: restricted"]},
    ),
    "RKE2 with another data directory": (
        RKE2_ELSEWHERE,
        {"topologyManagerPolicy": "restricted"},
        {f"{ELSEWHERE}/99-accel-qat.conf": [*DROP_IN_HEAD, "+topologyManagerPolicy: restricted"]},
    ),
    "MicroK8s": (
        microk8s(),
        {"topologyManagerPolicy": "restricted", "featureGates": {"KubeletPodResourcesGet": True}},
        {
            ARGS: [
                "---feature-gates=NodeSwap=true",
                "+--feature-gates=NodeSwap=true,KubeletPodResourcesGet=true",
                "+--topology-manager-policy=restricted",
            ]
        },
    ),
    "MicroK8s, a value in quotes": (
        microk8s(),
        {"evictionHard": {"memory.available": "200Mi"}},
        {
            ARGS: [
                '---eviction-hard="memory.available<100Mi,nodefs.available<1Gi"',
                '+--eviction-hard="memory.available<200Mi,nodefs.available<1Gi"',
            ]
        },
    ),
    "MicroK8s, options of which each has a flag of its own": (
        microk8s("1.34.1", f"{OPTION_OF_TOPOLOGY}=prefer-closest-numa-nodes=true\n--v=2\n"),
        {"topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": True, "max-allowable-numa-nodes": 16}},
        {ARGS: [f"+{OPTION_OF_TOPOLOGY}=max-allowable-numa-nodes=16"]},
    ),
    "MicroK8s, another value of such an option": (
        microk8s(
            "1.34.1",
            f"{OPTION_OF_TOPOLOGY}=max-allowable-numa-nodes=8\n{OPTION_OF_TOPOLOGY}=prefer-closest-numa-nodes=true\n"
        ),
        {"topologyManagerPolicyOptions": {"max-allowable-numa-nodes": 16}},
        {
            ARGS: [
                f"-{OPTION_OF_TOPOLOGY}=max-allowable-numa-nodes=8",
                f"+{OPTION_OF_TOPOLOGY}=max-allowable-numa-nodes=16",
            ]
        },
    ),
    "K3s before 1.32, options": (
        rancher("k3s", "1.31.9", config=K3S_CONFIG),
        {**STATIC, "cpuManagerPolicyOptions": {"full-pcpus-only": True, "distribute-cpus-across-numa": True},
         "featureGates": {"CPUManagerPolicyAlphaOptions": True}},
        {
            K3S_OURS: [
                MANAGED,
                "+kubelet-arg+:",
                "+- feature-gates+=CPUManagerPolicyAlphaOptions=true",
                "+- cpu-manager-policy=static",
                "+- reserved-cpus=0-1",
                "+- cpu-manager-policy-options=full-pcpus-only=true",
                "+- cpu-manager-policy-options=distribute-cpus-across-numa=true",
            ]
        },
    ),
    "OpenShift 3.9": (
        openshift3(),
        {},
        {
            NODE_CONFIG_PATH: [
                "-  - RotateKubeletClientCertificate=true",
                "+  - RotateKubeletClientCertificate=true,DevicePlugins=true",
            ]
        },
    ),
    "OpenShift 3.9, another flag": (
        openshift3(),
        {"kubeReserved": {"cpu": "1"}},
        {
            NODE_CONFIG_PATH: [
                "-  - RotateKubeletClientCertificate=true",
                "+  - RotateKubeletClientCertificate=true,DevicePlugins=true",
                "+  kube-reserved:",
                "+  - cpu=1",
            ]
        },
    ),
    "OpenShift 3.11, as the configmap has it": (openshift3("1.11.0"), {}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("observed", "wanted", "expected"), CASES.values(), ids=list(CASES))
def test_what_changes(observed: Observed, wanted: dict[str, t.Any], expected: dict[str, list[str]]) -> None:
    made = plan(observed, **wanted)
    shown = lines(made)
    if K3S_OURS in shown and K3S_DROP_IN in shown:
        # Of its own file nothing is left.
        assert next(edit.after for edit in made.edits if edit.path == K3S_OURS) is None
    assert shown == expected
    assert set(wanted) <= set(made.effective) | {"featureGates"}
    # A gate that stops this kubelet does not come back either.
    if made.edits and not any(decision.verdict is Verdict.REMOVE for decision in made.decisions):
        settled(observed, made, **wanted)


REFUSED: dict[str, tuple[Observed, dict[str, t.Any], str]] = {
    "an unknown gate": (
        kubeadm(),
        {"featureGates": {"Bogus": True}},
        ("configuration.featureGates.Bogus: kubelet 1.31 is not known to have a gate Bogus, and with it would not start; leave it out; "
        "nothing was written"),
    ),
    "a locked gate": (
        kubeadm("1.26.3"),
        {"featureGates": {"DevicePlugins": False}},
        ("configuration.featureGates.DevicePlugins: kubelet 1.26 has DevicePlugins locked to true, and would not start; leave it out; "
        "nothing was written"),
    ),
    "an alias where something has to change": (
        kubeadm(config=KUBEADM_CONFIG + "kubeReserved: &reserved\n  cpu: 500m\nsystemReserved: *reserved\n"),
        {"systemReserved": {"cpu": "1"}},
        f"{CONFIG}:21: an alias or a merge key is where something has to change; write the values out",
    ),
    "cgroup v1": (
        kubeadm("1.35.4", cgroup="v1"),
        {"topologyManagerPolicy": "restricted"},
        ("configuration.failCgroupV1: kubelet 1.35 does not start on a node with cgroup v1, unless failCgroupV1 is false; boot the node "
        "with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or set it to false"),
    ),
    "a gate that is locked since": (
        kubeadm("1.36.3"),
        {"featureGates": {"KubeletPodResourcesDynamicResources": False}},
        ("configuration.featureGates.KubeletPodResourcesDynamicResources: kubelet 1.36 has KubeletPodResourcesDynamicResources locked to "
        "true, and would not start; leave it out; nothing was written"),
    ),
    "a gate that another one needs": (
        kubeadm("1.36.3"),
        {"featureGates": {"ResourceHealthStatus": False}},
        ("configuration.featureGates.ResourceHealthStatus: kubelet 1.36 has ResourceHealthStatusMessage on, which needs "
        "ResourceHealthStatus, and would not start with that off; leave it out, or set ResourceHealthStatusMessage to false too; nothing "
        "was written"),
    ),
    "a gate without what it needs": (
        kubeadm("1.35.4", config=KUBEADM_CONFIG + "featureGates:\n  PodLevelResources: false\n  NodeDeclaredFeatures: true\n"),
        {"featureGates": {"InPlacePodLevelResourcesVerticalScaling": True}},
        (f"{CONFIG}: featureGates.PodLevelResources: kubelet 1.35 has InPlacePodLevelResourcesVerticalScaling on, which needs "
        "PodLevelResources, and would not start with that off; leave it out, or set InPlacePodLevelResourcesVerticalScaling to false "
        "too; nothing was written"),
    ),
    "a gate that is no bool": (
        kubeadm(),
        {"featureGates": {"DevicePlugins": "yes"}},
        "configuration.featureGates.DevicePlugins: 'yes' is neither true nor false; write true or false",
    ),
    "no such policy": (
        kubeadm(),
        {"topologyManagerPolicy": "strict"},
        "configuration.topologyManagerPolicy: 'strict' is no such policy; write one of none, best-effort, restricted, single-numa-node",
    ),
    "no such field": (
        kubeadm(),
        {"maxPods": 10},
        ("configuration.maxPods: the field is not known here; write one of featureGates, cpuManagerPolicy, cpuManagerPolicyOptions, "
        "topologyManagerPolicy, topologyManagerScope, topologyManagerPolicyOptions, reservedSystemCPUs, kubeReserved, systemReserved, "
        "evictionHard, memoryManagerPolicy, reservedMemory, failCgroupV1"),
    ),
    "a quantity": (
        kubeadm(),
        {"kubeReserved": {"memory": "1 GB"}},
        "configuration.kubeReserved.memory: '1 GB' cannot be understood; write a quantity such as 500m or 1Gi",
    ),
    "CPUs": (
        kubeadm(),
        {"reservedSystemCPUs": "0..1"},
        "configuration.reservedSystemCPUs: '0..1' cannot be understood; write CPUs such as 0-1,8",
    ),
    "CPUs the wrong way round": (
        kubeadm(),
        {"reservedSystemCPUs": "0,8-2"},
        "configuration.reservedSystemCPUs: 8-2 is no range of CPUs; write 2-8",
    ),
    "CPUs with a line behind them": (
        kubeadm(),
        {"reservedSystemCPUs": "0-1\n"},
        "configuration.reservedSystemCPUs: '0-1\\n' cannot be understood; write CPUs such as 0-1,8",
    ),
    "a gate's name with a line behind it": (
        kubeadm(),
        {"featureGates": {"DevicePlugins\n": True}},
        ("configuration.featureGates.DevicePlugins\\x0a: 'DevicePlugins\\n' cannot be understood; write a gate's name such as "
        "DevicePlugins"),
    ),
    "a quantity with a line behind it": (
        kubeadm(),
        {"kubeReserved": {"memory": "1Gi\n"}},
        "configuration.kubeReserved.memory: '1Gi\\n' cannot be understood; write a quantity such as 500m or 1Gi",
    ),
    "memory of NUMA nodes": (
        kubeadm(),
        {"reservedMemory": [{"numaNode": 0}]},
        ("configuration.reservedMemory[0]: {'numaNode': 0} is not numaNode and limits; write a list such as "
        "[{numaNode: 0, limits: {memory: 1Gi}}]"),
    ),
    "a field of newer kubelets": (
        kubeadm("1.19.3"),
        {"topologyManagerScope": "pod"},
        "configuration.topologyManagerScope: kubelet 1.19 does not have the field, it comes with 1.20; leave it out, or upgrade kubelet",
    ),
    "static without a reservation": (
        kubeadm(),
        {"cpuManagerPolicy": "static"},
        ("configuration.cpuManagerPolicy: kubelet does not start with static and no CPU reserved; set reservedSystemCPUs, or cpu in "
        "kubeReserved or systemReserved"),
    ),
    "Static memory without a reservation": (
        kubeadm(),
        {"memoryManagerPolicy": "Static"},
        "configuration.memoryManagerPolicy: kubelet does not start with Static and no memory reserved; set reservedMemory",
    ),
    "a flag that comes over the file": (
        kubeadm(flags=["--topology-manager-policy", "none"]),
        {"topologyManagerPolicy": "restricted"},
        f"kubelet's command line: topologyManagerPolicy is set here and comes over {CONFIG}; change it here, or remove it",
    ),
    "a map's flag that hides the file's": (
        kubeadm(flags=["--kube-reserved=memory=1Gi"]),
        {"kubeReserved": {"cpu": "1"}},
        f"kubelet's command line: kubeReserved.cpu is set here and comes over {CONFIG}; change it here, or remove it",
    ),
    "a later drop-in": (
        with_drop_ins(late=DROP_IN),
        {"topologyManagerPolicy": "restricted"},
        f"{CONFIG_DIR}/99-late.conf: topologyManagerPolicy is set here and comes over {OURS}; change it here, or remove it",
    ),
    "a gate on the command line that stops the kubelet": (
        kubeadm("1.28.1", flags=["--feature-gates=DevicePlugins=true"]),
        {},
        ("kubelet's command line: featureGates.DevicePlugins is set here and comes over "
        f"{CONFIG}; kubelet 1.28 does not know DevicePlugins since 1.28: it is always on, and would not start with the gate; "
        "change it here, or remove it"),
    ),
    "a gate in a file of K3s that stops the kubelet": (
        rancher("k3s", "1.28.1", config="kubelet-arg:\n- feature-gates=DevicePlugins=true\n"),
        {},
        ("/etc/rancher/k3s/config.yaml: featureGates.DevicePlugins is set here; kubelet 1.28 does not know DevicePlugins since 1.28: "
        "it is always on, and would not start with the gate; remove it here"),
    ),
    "a file of K3s that drops ours": (
        rancher("k3s", "1.30.1", ours="kubelet-arg+: [max-pods=9]\n", late="kubelet-arg: [max-pods=3]\n"),
        {},
        f"/etc/rancher/k3s/config.yaml.d/zz-late.yaml: kubelet-arg replaces what {K3S_OURS} says before it; write kubelet-arg+ there",
    ),
    "an argument on the command line of K3s": (
        rancher("k3s", "1.32.1", ["topology-manager-policy=none"], drop_in=DROP_IN),
        {"topologyManagerPolicy": "restricted"},
        f"--kubelet-arg of k3s.service: topologyManagerPolicy is set here and comes over {K3S_DROP_IN}; change it here, or remove it",
    ),
    "any argument on the command line of K3s before 1.32": (
        rancher("k3s", "1.30.5", ["max-pods=200"], config=K3S_CONFIG),
        {"topologyManagerPolicy": "restricted"},
        ("--kubelet-arg of k3s.service: kubelet's arguments are given here, and those in files do not count beside them; move them to "
        "kubelet-arg in config.yaml; nothing was written"),
    ),
    "a gate on the command line of RKE2 that stops the kubelet": (
        rancher("rke2", "1.30.5", ["feature-gates+=DevicePlugins=true"]),
        {},
        ("--kubelet-arg of rke2-agent.service: featureGates.DevicePlugins is set here; kubelet 1.30 does not know DevicePlugins since "
        "1.28: it is always on, and would not start with the gate; remove it here"),
    ),
    "no configuration file": (
        Observed("kubeadm", "Kubernetes v1.31.0", config=CONFIG, words=[f"--config={CONFIG}"]),
        {},
        (f"{CONFIG}: kubelet has no such configuration file; let the node join its cluster first, or set config to the file that "
        "kubelet is started with (--config)"),
    ),
    "a kubelet without a file": (
        Observed("kubeadm", "Kubernetes v1.9.1", running=True, words=["/usr/bin/kubelet"], config=CONFIG, files={CONFIG: KUBEADM_CONFIG}),
        {},
        f"kubelet's command line: kubelet runs without --config, so no file has its configuration; start it with --config={CONFIG}",
    ),
    "drop-ins that kubelet does not read": (
        Observed(**{**kubeadm().as_dict(), "config_dir": CONFIG_DIR}),
        {},
        (f"config_dir: kubelet is started without --config-dir, and does not read what is in {CONFIG_DIR}; leave it out, or start "
        f"kubelet with --config-dir={CONFIG_DIR}"),
    ),
    "drop-ins elsewhere": (
        Observed(**{**with_drop_ins().as_dict(), "config_dir": "/srv/kubelet.conf.d"}),
        {},
        (f"config_dir: kubelet reads its drop-ins in {CONFIG_DIR}, and not in /srv/kubelet.conf.d; leave it out, or start kubelet with "
        "--config-dir=/srv/kubelet.conf.d"),
    ),
    "drop-ins where K3s has none of its own": (
        rancher("k3s", "1.32.1", config=K3S_CONFIG),
        {"topologyManagerPolicy": "restricted"},
        ("/var/lib/rancher/k3s/agent/etc/kubelet.conf.d: the K3s that runs has no 00-k3s-defaults.conf here, so its kubelet reads its "
        "drop-ins elsewhere; set config_dir to agent/etc/kubelet.conf.d in its data directory, or restart it where it was upgraded to "
        "1.32 since it was started"),
    ),
    "drop-ins of RKE2 behind a link": (
        Observed(**{**RKE2_ELSEWHERE.as_dict(), "linked": [ELSEWHERE]}),
        {},
        (f"{ELSEWHERE}: is a symbolic link, and kubelet reads no drop-ins behind one; put the directory itself there; nothing was written"),
    ),
    "drop-ins of RKE2 elsewhere": (
        Observed(**{**RKE2_ELSEWHERE.as_dict(), "config_dir": "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d"}),
        {},
        (f"config_dir: kubelet reads its drop-ins in {ELSEWHERE}, and not in /var/lib/rancher/rke2/agent/etc/kubelet.conf.d; leave it "
        "out, or start kubelet with --config-dir=/var/lib/rancher/rke2/agent/etc/kubelet.conf.d"),
    ),
    "another file": (
        kubeadm(config="apiVersion: v1\nkind: Config\n"),
        {},
        f"{CONFIG}: it is no KubeletConfiguration of kubelet.config.k8s.io/v1beta1; name kubelet's own configuration file, or repair it",
    ),
    "malformed YAML": (
        kubeadm(config=KUBEADM_CONFIG.replace("rotateCertificates: true", "rotateCertificates: [true")),
        {},
        f"{CONFIG}:18: the YAML is malformed: expected ',' or ']', but got ':'; repair it",
    ),
    "malformed YAML of a drop-in": (
        with_drop_ins(site="kind: {"),
        {},
        f"{CONFIG_DIR}/20-site.conf:1: the YAML is malformed: expected the node content, but found '<stream end>'; repair it",
    ),
    "gates that are no mapping": (
        kubeadm(config=KUBEADM_CONFIG + "featureGates: [DevicePlugins]\n"),
        {},
        f"{CONFIG}:19: featureGates: ['DevicePlugins'] is no mapping; write names and values",
    ),
    "a gate in the file that is no bool": (
        kubeadm(config=KUBEADM_CONFIG + "featureGates:\n  NodeSwap: 'true'\n"),
        {},
        f"{CONFIG}:19: featureGates.NodeSwap: 'true' is neither true nor false; write true or false",
    ),
    "OpenShift 3.11": (
        openshift3("1.11.0"),
        {"kubeReserved": {"cpu": "1"}},
        (f"{NODE_CONFIG_PATH}: OpenShift 3.11 overwrites this file from the configmap of the node's group; put kubeletArguments "
        "{'kube-reserved': ['cpu=1']} into that configmap in the namespace openshift-node"),
    ),
    "OpenShift 4, a gate": (
        openshift4("1.27.1"),
        {"featureGates": {"KubeletPodResourcesGet": True}},
        ("configuration.featureGates.KubeletPodResourcesGet: kubelet 1.27 has KubeletPodResourcesGet off by default (alpha), and a "
        "KubeletConfig of OpenShift 4 takes no gates; set it in the FeatureGate named cluster, which ends upgrades of the cluster, "
        "or leave it out"),
    ),
    "no version": (
        Observed("kubeadm", "none at all"),
        {},
        "kubelet_version: no Kubernetes version is in 'none at all'; write one such as 1.31.4, or set kubelet_version",
    ),
    "a record that is broken": (
        kubeadm("1.9.1", record="{"),
        {},
        ("record: the record of what was found cannot be read: Expecting property name enclosed in double quotes: line 1 column 2 "
        "(char 1); restore the file from a backup, or remove it to let the present configuration count as the one found"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("observed", "wanted", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused(observed: Observed, wanted: dict[str, t.Any], message: str) -> None:
    assert refusal(observed, **wanted) == message


def test_a_version_that_yaml_took_for_a_number() -> None:
    assert refusal(kubeadm("1.3"), version_given=True) == (
        "kubelet_version: 1.3 is older than 1.8, the first kubelet with device plugins; "
        'write a version such as "1.30" in quotes: without them YAML reads the number 1.3'
    )
    assert plan(kubeadm("1.8.0"), version_given=True).version.minor == 8


NULLS = {
    "a field": ("cpuManagerPolicy: null\n", "cpuManagerPolicy"),
    "a field without a word": ("reservedSystemCPUs:\n", "reservedSystemCPUs"),
    "a map": ("kubeReserved: ~\n", "kubeReserved"),
    "an entry": ("kubeReserved: {memory: null}\n", "kubeReserved.memory"),
    "the gates": ("featureGates: null\n", "featureGates"),
    "a gate": ("featureGates:\n  NodeSwap: null\n", "featureGates.NodeSwap"),
}


@pytest.mark.parametrize(("text", "gone"), NULLS.values(), ids=list(NULLS))
def test_null_in_a_drop_in_takes_away_what_is_below(text: str, gone: str) -> None:
    config = WITH_GATES + "cpuManagerPolicy: none\nreservedSystemCPUs: 0-1\nkubeReserved:\n  memory: 1Gi\n  cpu: '1'\n"
    node = with_drop_ins(site=f"{HEAD}{text}")
    node = Observed(**{**node.as_dict(), "version": "Kubernetes v1.27.1", "files": {**node.files, CONFIG: config}})
    effective = plan(node, topologyManagerPolicy="restricted").effective
    name, _dot, key = gone.partition(".")
    assert not (key in effective.get(name, {}) if key else name in effective)
    kept = {"cpuManagerPolicy", "reservedSystemCPUs", "kubeReserved", "featureGates"} - {name}
    assert kept <= set(effective)
    assert effective.get("kubeReserved", {"cpu": "1"})["cpu"] == "1"


def test_null_in_a_later_drop_in_comes_over_ours() -> None:
    assert refusal(with_drop_ins(late=f"{HEAD}topologyManagerPolicy: null\n"), topologyManagerPolicy="restricted") == (
        f"{CONFIG_DIR}/99-late.conf: topologyManagerPolicy is set here and comes over {OURS}; change it here, or remove it"
    )
    late = with_drop_ins(late=f"{HEAD}kubeReserved: null\n")
    assert "kubeReserved.cpu is set here" in refusal(late, kubeReserved={"cpu": "1"})


def test_drop_ins_come_in_the_order_in_which_kubelet_walks() -> None:
    texts = {"20.conf": "best-effort", "20/late.conf": "restricted"}
    node = with_drop_ins()
    files = {f"{CONFIG_DIR}/{name}": f"{HEAD}topologyManagerPolicy: {policy}\n" for name, policy in texts.items()}
    node = Observed(**{**node.as_dict(), "files": {**node.files, **files}})
    # The directory 20 comes before the file 20.conf.
    assert plan(node, topologyManagerPolicy="best-effort").edits == ()


@pytest.mark.parametrize(("running", "version_given"), [(True, True), (False, False)])
def test_before_its_upgrade_or_first_start_k3s_has_no_drop_ins_yet(running: bool, version_given: bool) -> None:
    there = {**rancher("k3s", "1.32.1", config=K3S_CONFIG).as_dict(), "running": running}
    assert list(lines(plan(Observed(**there), version_given=version_given, **TOPOLOGY))) == [K3S_DROP_IN]


def test_openshift_4_is_configured_by_an_object() -> None:
    made = plan(openshift4(), **TOPOLOGY)
    assert made.edits == ()
    assert made.manifest == {
        "apiVersion": "machineconfiguration.openshift.io/v1",
        "kind": "KubeletConfig",
        "metadata": {"name": "accel-qat-worker"},
        "spec": {
            "machineConfigPoolSelector": {
                "matchLabels": {"pools.operator.machineconfiguration.openshift.io/worker": ""}
            },
            "kubeletConfig": TOPOLOGY,
        },
    }
    assert plan(openshift4()).manifest is None
    thresholds = (plan(openshift4(), evictionHard={"memory.available": "1Gi"}).manifest or {})["spec"]["kubeletConfig"]
    assert thresholds["evictionHard"] == {
        "memory.available": "1Gi",
        "nodefs.available": "10%",
        "nodefs.inodesFree": "5%",
        "imagefs.available": "15%",
    }


@pytest.mark.parametrize(
    "observed",
    [
        openshift4(flags=["--system-reserved=cpu=500m,memory=1Gi"]),
        openshift4(config=f"{HEAD}kubeReserved:\n  cpu: 500m\n"),
        openshift4(config=f'{HEAD}reservedSystemCPUs: "0"\n'),
        openshift4(config=HEAD, drop_in=f"{HEAD}systemReserved:\n  cpu: 500m\n"),
    ],
    ids=["flag", "file", "reserved CPUs", "drop-in"],
)
def test_openshift_4_has_reservations_of_its_own(observed: Observed) -> None:
    made = plan(observed, cpuManagerPolicy="static")
    assert (made.manifest or {})["spec"]["kubeletConfig"] == {"cpuManagerPolicy": "static"}


def test_openshift_4_without_reservations() -> None:
    observed = openshift4(config=f"{HEAD}cpuManagerPolicy: static\n", flags=["--system-reserved=memory=1Gi"])
    assert "kubelet does not start with static and no CPU reserved" in refusal(observed, cpuManagerPolicy="static")
    # What others have set there is theirs.
    assert plan(observed, **TOPOLOGY).manifest is not None


def test_a_gate_that_the_kubelet_lists_itself() -> None:
    observed = kubeadm(offered={"NodeSwap": False, "AppArmor": True})
    made = plan(observed, featureGates={"NodeSwap": True, "AppArmor": True})
    assert lines(made) == {CONFIG: ["+featureGates:", "+  NodeSwap: true"]}


@pytest.mark.parametrize(
    ("desired", "asks"),
    [
        (Desired({}), False),
        (Desired({"featureGates": {"DevicePlugins": True, "CPUManager": True}}), False),
        (Desired({"featureGates": {"CPUManager": True, "NodeSwap": False}}), True),
        (Desired({"featureGates": {"NodeSwap": True}}, restore=True), False),
    ],
)
def test_only_for_a_gate_outside_the_table_is_kubelet_asked(desired: Desired, asks: bool) -> None:
    assert asks_for_offered(desired) is asks


class TestStateFiles:
    """The trap: kubelet does not start with a state file of another policy."""

    NODE = kubeadm(states={"cpu": "none", "memory": "None"})

    def test_another_policy_needs_a_drained_node(self) -> None:
        assert refusal(self.NODE, **STATIC) == (
            "/var/lib/kubelet/cpu_manager_state: the change makes kubelet give up cpu_manager_state, and with it what running pods "
            "were given; drain the node and set drained to true"
        )
        assert plan(self.NODE, drained=True, **STATIC).state_files == ("/var/lib/kubelet/cpu_manager_state",)

    @pytest.mark.parametrize(
        ("states", "wanted", "gone"),
        [
            ({"cpu": "static"}, {"reservedSystemCPUs": "0-3"}, ["cpu_manager_state"]),
            ({"cpu": "static"}, {"kubeReserved": {"cpu": "2"}}, ["cpu_manager_state"]),
            ({"cpu": "static"}, {"cpuManagerPolicyOptions": {"full-pcpus-only": True}}, ["cpu_manager_state"]),
            ({"cpu": "static"}, {"kubeReserved": {"memory": "2Gi"}}, []),
            ({"cpu": "static"}, TOPOLOGY, []),
            ({}, {"reservedSystemCPUs": "0-3"}, []),
            (
                {"cpu": "static", "memory": "None"},
                {"memoryManagerPolicy": "Static", "reservedMemory": [{"numaNode": 0, "limits": {"memory": "100Mi"}}]},
                ["memory_manager_state"],
            ),
            # A state that is of another policy already stops the next start, whatever is changed.
            ({"cpu": "none"}, TOPOLOGY, ["cpu_manager_state"]),
        ],
    )
    def test_which_go(self, states: dict[str, str], wanted: dict[str, t.Any], gone: list[str]) -> None:
        config = KUBEADM_CONFIG + "cpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n"
        made = plan(kubeadm(config=config, states=states), drained=True, **wanted)
        assert [path.rpartition("/")[2] for path in made.state_files] == gone

    @pytest.mark.parametrize("drained", [True, False])
    def test_they_do_not_go_without_a_restart(self, drained: bool) -> None:
        message = (
            "/var/lib/kubelet/cpu_manager_state: kubelet would not start with this file after the change, and without a restart it "
            "cannot be removed; set restart to true, or drain the node, stop kubelet, remove the file and run again"
        )
        assert refusal(self.NODE, drained=drained, restart=False, **STATIC) == message
        changed = plan(self.NODE, drained=True, **STATIC)
        there = Observed(**{**after(self.NODE, changed).as_dict(), "states": {"cpu": "static"}})
        assert refusal(there, drained=drained, restart=False, restore=True) == message
        stopped = kubeadm(states={})
        assert plan(stopped, restart=False, **STATIC).state_files == ()

    @pytest.mark.parametrize("name", ["k3s", "rke2"])
    def test_a_static_policy_of_the_command_line_is_known(self, name: str) -> None:
        given = ["cpu-manager-policy=static", "reserved-cpus=0-1"]
        made = plan(rancher(name, "1.32.1", given, {"cpu": "static"}, drop_in=DROP_IN), **TOPOLOGY)
        assert made.effective["cpuManagerPolicy"] == "static"
        assert made.state_files == ()

    def test_without_a_change_they_stay(self) -> None:
        assert plan(self.NODE).state_files == ()


class TestTheWayBack:
    """What was found stands again; what somebody else did since stays."""

    def provisioned(self) -> Observed:
        observed = kubeadm("1.9.1", config=KUBEADM_CONFIG + "kubeReserved:\n  memory: 1Gi\n")
        return after(observed, plan(observed, kubeReserved={"memory": "2Gi", "cpu": "1"}))

    def test_to_the_byte(self) -> None:
        there = self.provisioned()
        assert json.loads(there.record or "")["files"][CONFIG]["whole"]
        back = plan(there, restore=True)
        assert after(there, back).files == {CONFIG: KUBEADM_CONFIG + "kubeReserved:\n  memory: 1Gi\n"}

    def test_over_two_changes(self) -> None:
        there = self.provisioned()
        there = after(there, plan(there, kubeReserved={"memory": "3Gi"}))
        assert after(there, plan(there, restore=True)).files == {
            CONFIG: KUBEADM_CONFIG + "kubeReserved:\n  memory: 1Gi\n"
        }

    def test_past_the_work_of_others(self) -> None:
        there = self.provisioned()
        there.files[CONFIG] += "maxPods: 99 # for the batch jobs\n"
        there = after(there, plan(there, kubeReserved={"memory": "3Gi"}))
        there.files[CONFIG] = there.files[CONFIG].replace('cpu: "1"', 'cpu: "7"')
        found = after(there, plan(there, restore=True)).files[CONFIG]
        assert found == KUBEADM_CONFIG + 'kubeReserved:\n  memory: 1Gi\n  cpu: "7"\nmaxPods: 99 # for the batch jobs\n'

    def test_a_gate_that_was_found_does_not_stop_a_newer_kubelet(self) -> None:
        observed = kubeadm("1.27.1", WITH_GATES)
        there = after(observed, plan(observed, **TOPOLOGY))
        there.version = "Kubernetes v1.28.1"
        assert "DevicePlugins" not in (plan(there, restore=True).edits[0].after or "")

    def test_a_gate_that_a_newer_kubelet_needs_on_does_not_come_back(self) -> None:
        gates = "featureGates:\n  ResourceHealthStatus: false\n  PodLevelResources: true\n"
        observed = kubeadm("1.35.4", KUBEADM_CONFIG + gates)
        there = after(observed, plan(observed, **TOPOLOGY))
        there.version = "Kubernetes v1.36.3"
        found = after(there, plan(there, restore=True)).files[CONFIG]
        assert found == KUBEADM_CONFIG + gates.replace("  ResourceHealthStatus: false\n", "")

    def test_what_lets_kubelet_start_on_cgroup_v1_does_not_go(self) -> None:
        observed = kubeadm("1.35.4", cgroup="v1")
        there = after(observed, plan(observed, failCgroupV1=False))
        assert "does not start on a node with cgroup v1" in refusal(there, restore=True)

    def test_where_nothing_was_changed(self) -> None:
        assert plan(kubeadm(), restore=True).edits == ()

    def test_a_file_that_is_gone(self) -> None:
        observed = with_drop_ins()
        there = after(observed, plan(observed, **TOPOLOGY))
        del there.files[OURS]
        assert plan(there, restore=True).edits == ()


@pytest.mark.parametrize(
    ("version", "gates", "serves"), [("1.9.1", False, False), ("1.9.1", True, True), ("1.31.0", True, True)]
)
def test_whether_there_will_be_a_socket(version: str, gates: bool, serves: bool) -> None:
    assert plan(kubeadm(version), gates=gates).serves_device_plugins == serves


def test_comments_and_order_of_arguments_stay() -> None:
    (edit,) = plan(microk8s(), **TOPOLOGY).edits
    assert (edit.after or "").startswith(MICROK8S_ARGS)


def test_the_rest_of_a_node_config_stays() -> None:
    (edit,) = plan(openshift3()).edits
    assert (edit.after or "").replace(",DevicePlugins=true", "") == NODE_CONFIG


@pytest.mark.parametrize(
    "line",
    [
        "--topology-manager-policy=best-effort --topology-manager-scope=pod",
        "--root-dir=/var/lib/kubelet --topology-manager-policy=best-effort",
        '"--topology-manager-policy=best-effort"',
        "--topology-manager-policy\tbest-effort",
        "--topology-manager-policy\nbest-effort",
        "--topology-manager-policy \\\nbest-effort",
        "--topology-manager-policy=best-effort # by the site",
        "--v=2 --config=/etc/kubelet.yaml",
    ],
)
def test_a_line_of_more_than_one_flag_is_refused_where_it_matters(line: str) -> None:
    with pytest.raises(NodeError) as caught:
        plan(microk8s(arguments=f"# Ours.\n{line}\n"), **TOPOLOGY)
    assert str(caught.value) == (
        f"{ARGS}:2: the line is not one flag with its value; write one flag a line, as --flag=value, and comments in lines of their own; "
        "nothing was written"
    )


@pytest.mark.parametrize(
    "line", ["--cluster-dns=10.0.0.10 # by the site", "--v=2 --vmodule=x=3", "--fail-cgroupv1", "# --config x"]
)
def test_another_line_is_nobodys_matter(line: str) -> None:
    (edit,) = plan(microk8s("1.32.7", f"{line}\n"), topologyManagerPolicy="none").edits
    assert edit.after == f"{line}\n--topology-manager-policy=none\n"


def test_an_underscore_in_a_flag_is_a_hyphen_to_kubelet() -> None:
    with pytest.raises(NodeError, match="kubelet's command line: topologyManagerPolicy is set here"):
        plan(kubeadm(flags=["--topology_manager_policy=restricted"]), **TOPOLOGY)
    (edit,) = plan(microk8s(arguments="--topology_manager_policy=restricted\n"), topologyManagerPolicy="none").edits
    assert edit.after == "--topology-manager-policy=none\n"
    with pytest.raises(NodeError, match="the line is not one flag with its value"):
        plan(microk8s(arguments="--v=2 --topology_manager_policy=restricted\n"), **TOPOLOGY)


def test_what_means_the_same_is_left_as_it_is_written() -> None:
    """A change would take a restart, and of the CPUs a drained node."""
    there = (
        "cpuManagerPolicy: static\nreservedSystemCPUs: 0,1\nkubeReserved: {memory: 2048Mi, pid: 1k}\nmemoryManagerPolicy: Static\n"
        "evictionHard: {memory.available: 100Mi}\n"
        "reservedMemory:\n- {numaNode: 1, limits: {memory: 1124Mi}}\n- {numaNode: 0, limits: {memory: 1024Mi}}\n"
    )
    observed = kubeadm(config=KUBEADM_CONFIG + there, states={"cpu": "static", "memory": "Static"})
    wanted = {**STATIC, **RESERVED, "kubeReserved": {"memory": "2Gi", "pid": 1000}}
    assert plan(observed, **wanted).edits == ()
    changed = {**wanted, "reservedSystemCPUs": "0-2"}
    assert plan(observed, drained=True, **changed).state_files == ("/var/lib/kubelet/cpu_manager_state",)


PER_NODE = [{"numaNode": 0, "limits": {"memory": "1Gi"}}, {"numaNode": 1, "limits": {"memory": "1124Mi"}}]
RESERVED: dict[str, t.Any] = {
    "memoryManagerPolicy": "Static",
    "reservedMemory": PER_NODE,
    "kubeReserved": {"memory": "2Gi"},
    "evictionHard": {"memory.available": "100Mi"},
}
IN_FLAGS = (
    "memory-manager-policy=Static",
    "reserved-memory=0:memory=1Gi",
    "reserved-memory=1:memory=1124Mi",
    "kube-reserved=memory=2Gi",
    "eviction-hard=memory.available<100Mi",
)


def test_flags_of_a_list_add_up() -> None:
    """As kubelet's help has them, each NUMA node with a flag of its own."""
    in_lines = microk8s(arguments="".join(f"--{flag}\n" for flag in IN_FLAGS))
    in_files = rancher(
        "k3s",
        "1.30.5",
        config=json.dumps({"kubelet-arg": IN_FLAGS[:2]}),
        arguments=json.dumps({"kubelet-arg+": IN_FLAGS[2:]}),
    )
    for observed in (in_lines, in_files, kubeadm(flags=[f"--{flag}" for flag in IN_FLAGS])):
        assert plan(observed, **RESERVED).edits == ()
    wanted = {**RESERVED, "reservedMemory": [{"numaNode": 1, "limits": {"memory": "2148Mi"}}]}
    (edit,) = plan(in_lines, **wanted).edits
    assert (edit.after or "").count("reserved-memory") == 1
    assert "--reserved-memory=1:memory=2148Mi\n" in (edit.after or "")


def test_what_would_be_added_to_the_list_of_others_is_refused() -> None:
    observed = rancher("k3s", "1.30.5", config=json.dumps({"kubelet-arg": IN_FLAGS}))
    wanted = [{"numaNode": 0, "limits": {"memory": "1124Mi"}}, {"numaNode": 1, "limits": {"memory": "1Gi"}}]
    assert refusal(observed, **{**RESERVED, "reservedMemory": wanted}) == (
        "/etc/rancher/k3s/config.yaml: reservedMemory is set here, and kubelet would add to it what "
        "/etc/rancher/k3s/config.yaml.d/99-accel-qat.yaml says; change it here, or remove it"
    )


LONG = "9" * 5000


@pytest.mark.parametrize(
    "line",
    [
        "cpuManagerPolicy: 2026-11-30",
        "cpuManagerPolicy: !!binary aGk=",
        "cpuManagerPolicy: !!set {static}",
        "cpuManagerPolicy: {cpu: 1, 1: 2}",
        "topologyManagerPolicy: {1: {2026-11-30: [2026-11-30]}}",
        "reservedMemory: [{numaNode: [0], limits: {1: 1Gi}}]",
        "systemReserved: {1: true, cpu: [1]}",
        "topologyManagerPolicyOptions: {max-allowable-numa-nodes: 8, prefer-closest-numa-nodes: [1]}",
        "topologyManagerPolicyOptions: {max-allowable-numa-nodes: [8], prefer-closest-numa-nodes: true}",
        f"topologyManagerPolicyOptions: {{max-allowable-numa-nodes: '{LONG}'}}",
    ],
)
@pytest.mark.parametrize(
    "wanted",
    [
        STATIC,
        TOPOLOGY,
        {"memoryManagerPolicy": "Static", "reservedMemory": [{"numaNode": 0, "limits": {"memory": "100Mi"}}]},
        {"systemReserved": {"cpu": "1"}},
    ],
    ids=lambda wanted: next(iter(wanted)),
)
def test_whatever_stands_in_a_file_is_kept_or_refused_in_a_sentence(line: str, wanted: dict[str, t.Any]) -> None:
    """Kubelet would not start with most of it; what it was is in the record, to be put back."""
    observed = kubeadm(config=f"{KUBEADM_CONFIG}{line}\n")
    try:
        made = plan(observed, drained=True, **wanted)
    except NodeError:
        return
    there = after(observed, made)
    assert there.files != observed.files
    assert after(there, plan(there, restore=True, drained=True)).files == observed.files


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"topologyManagerPolicyOptions": {"max-allowable-numa-nodes": LONG}}, "write a number of at least 8"),
        ({"reservedSystemCPUs": f"0-{LONG}"}, "write CPUs such as 0-1,8"),
    ],
)
def test_a_number_that_is_too_long_for_kubelet_is_refused_in_a_sentence(wanted: dict[str, t.Any], problem: str) -> None:
    assert refusal(kubeadm(version="1.36.3"), drained=True, **wanted).endswith(problem)
