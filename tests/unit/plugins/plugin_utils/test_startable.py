# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values with which kubelet would not start are refused before anything is done, and all others are not."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.tests.unit.plugins.plugin_utils.nodes import (
    CONFIG,
    KUBEADM_CONFIG,
    kubeadm,
    microk8s,
    openshift4,
    plan,
    rancher,
    with_drop_ins,
)

STATIC: dict[str, t.Any] = {"memoryManagerPolicy": "Static"}


def nodes(*memory: str, **more: str) -> list[dict[str, t.Any]]:
    """Memory of NUMA nodes."""
    limits = {name.replace("_", "-"): value for name, value in more.items()}
    return [{"numaNode": number, "limits": {"memory": size, **limits}} for number, size in enumerate(memory)]


def refusal(observed: Observed, **wanted: t.Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        plan(observed, drained=True, **wanted)
    return caught.value.sentence()


def both(memory: str) -> dict[str, t.Any]:
    return {"systemReserved": {"memory": memory}, "kubeReserved": {"memory": memory}}


@pytest.mark.parametrize(
    ("observed", "wanted", "sums"),
    [
        (kubeadm(), {**both("2Gi"), "reservedMemory": nodes("3Gi", "3Gi")}, ("6Gi", "4196Mi")),
        (kubeadm(), {**both("2Gi"), "reservedMemory": nodes("2Gi", "2Gi")}, ("4Gi", "4196Mi")),
        (
            kubeadm(),
            {**both("2Gi"), "evictionHard": {"memory.available": "1Gi"}, "reservedMemory": nodes("3Gi", "3Gi")},
            ("6Gi", "5Gi"),
        ),
        (
            kubeadm(config=KUBEADM_CONFIG + "evictionHard:\n  nodefs.available: 1%\n"),
            {"reservedMemory": nodes("100Mi")},
            ("100Mi", "0"),
        ),
        (
            with_drop_ins(
                site="apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nevictionHard: {nodefs.available: 1%}\n"
            ),
            {"reservedMemory": nodes("200Mi")},
            ("200Mi", "100Mi"),
        ),
        (kubeadm(flags=["--eviction-hard=nodefs.available<1%"]), {"reservedMemory": nodes("100Mi")}, ("100Mi", "0")),
        (rancher("k3s", "1.30.5"), {"reservedMemory": nodes("100Mi")}, ("100Mi", "0")),
        (microk8s(), {"reservedMemory": nodes("200Mi")}, ("200Mi", "100Mi")),
    ],
)
def test_reserved_memory_that_does_not_add_up(
    observed: Observed, wanted: dict[str, t.Any], sums: tuple[str, str]
) -> None:
    assert refusal(observed, **STATIC, **wanted) == (
        f"configuration.reservedMemory: kubelet does not start with {sums[0]} of memory in reservedMemory and {sums[1]} in kubeReserved, "
        "systemReserved and evictionHard memory.available together; make both sums equal"
    )


@pytest.mark.parametrize(
    ("observed", "wanted"),
    [
        (kubeadm(), {**both("2Gi"), "reservedMemory": nodes("2148Mi", "2Gi")}),
        (kubeadm(), {**both("2147483648"), "reservedMemory": nodes("4196Mi")}),
        (
            kubeadm(),
            {**both("1.5Gi"), "evictionHard": {"memory.available": "0%"}, "reservedMemory": nodes("1Gi", "2Gi")},
        ),
        (kubeadm(), {"reservedMemory": nodes("104857600")}),
        # What 5% of a node are only the node knows.
        (kubeadm(), {"evictionHard": {"memory.available": "5%"}, "reservedMemory": nodes("1Gi")}),
        (rancher("k3s", "1.30.5"), {"kubeReserved": {"memory": "1Gi"}, "reservedMemory": nodes("1Gi")}),
        (
            kubeadm(
                "1.33.1", KUBEADM_CONFIG + "mergeDefaultEvictionSettings: true\nevictionHard:\n  nodefs.available: 1%\n"
            ),
            {"reservedMemory": nodes("100Mi")},
        ),
    ],
)
def test_reserved_memory_that_adds_up(observed: Observed, wanted: dict[str, t.Any]) -> None:
    assert plan(observed, drained=True, **STATIC, **wanted).edits


def test_huge_pages_count_as_memory_does() -> None:
    assert refusal(kubeadm(), **STATIC, reservedMemory=nodes("100Mi", hugepages_1Gi="2Gi")) == (
        "configuration.reservedMemory: kubelet does not start with 2Gi of hugepages-1Gi in reservedMemory and 0 in kubeReserved and "
        "systemReserved together; make both sums equal"
    )
    assert "write one of cpu, memory, ephemeral-storage, pid" in refusal(
        kubeadm(), kubeReserved={"hugepages-1Gi": "2Gi"}
    )


def test_a_later_change_has_to_add_up_too() -> None:
    config = (
        KUBEADM_CONFIG + "memoryManagerPolicy: Static\nreservedMemory:\n- numaNode: 0\n  limits:\n    memory: 100Mi\n"
    )
    assert "make both sums equal" in refusal(kubeadm(config=config), evictionHard={"memory.available": "200Mi"})
    assert plan(kubeadm(config=config), topologyManagerPolicy="restricted").edits


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([{"numaNode": 0, "limits": {"cpu": "1"}}], "cpu in it; write memory or hugepages-SIZE"),
        ([{"numaNode": 1, "limits": {"memory": "0Gi"}}], "no memory of NUMA node 1 in it; leave it out"),
        ([*nodes("50Mi"), *nodes("50Mi")], "memory of NUMA node 0 in it twice; leave one of them"),
    ],
)
def test_reserved_memory_that_kubelet_does_not_take(given: t.Any, problem: str) -> None:
    assert (
        refusal(kubeadm(), reservedMemory=given)
        == f"configuration.reservedMemory: kubelet does not start with {problem}"
    )


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("memory.avail", "1Gi", "a threshold of memory.avail; write one of memory.available, nodefs.available, "),
        ("memory.available", "0", "0 there; write more, or 0% for no threshold"),
        ("nodefs.available", "0Gi", "0Gi there; write more, or 0% for no threshold"),
        ("nodefs.available", "101%", "101% there; write at most 100%"),
    ],
)
def test_a_threshold_that_kubelet_does_not_take(name: str, value: str, problem: str) -> None:
    assert refusal(kubeadm(), evictionHard={name: value}).startswith(
        f"configuration.evictionHard.{name}: kubelet does not start with {problem}"
    )


@pytest.mark.parametrize("value", ["0%", "100%", "7.5%", "1Gi"])
def test_a_threshold(value: str) -> None:
    assert plan(kubeadm(), evictionHard={"pid.available": value}).edits


@pytest.mark.parametrize("zero", [0, "0", "0m", "0.0", 0.0, "0Ki", "0e3", "0.000"])
def test_no_cpu_is_none_in_any_spelling(zero: t.Any) -> None:
    assert refusal(kubeadm(), cpuManagerPolicy="static", kubeReserved={"cpu": zero}, systemReserved={"cpu": zero}) == (
        "configuration.cpuManagerPolicy: kubelet does not start with static and no CPU reserved; set reservedSystemCPUs, or cpu in "
        "kubeReserved or systemReserved"
    )
    assert plan(kubeadm(), cpuManagerPolicy="static", kubeReserved={"cpu": zero}, systemReserved={"cpu": "1m"}).edits
    assert plan(kubeadm(), cpuManagerPolicy="static", kubeReserved={"cpu": zero}, reservedSystemCPUs="0").edits
    assert "no CPU reserved" in refusal(openshift4(), cpuManagerPolicy="static", kubeReserved={"cpu": zero})


@pytest.mark.parametrize("value", [True, "7", 7, "0", "eight", "8.0", "-8", ""])
def test_a_limit_of_numa_nodes_that_is_none(value: t.Any) -> None:
    sentence = refusal(kubeadm("1.36.3"), topologyManagerPolicyOptions={"max-allowable-numa-nodes": value})
    assert sentence.endswith("there; write a number of at least 8")


@pytest.mark.parametrize("value", ["8\n", "٨", "8,9", "8=8", "8 "])
def test_a_value_that_is_no_word(value: str) -> None:
    sentence = refusal(kubeadm("1.36.3"), topologyManagerPolicyOptions={"max-allowable-numa-nodes": value})
    assert sentence.endswith("cannot be understood; write a word or a number")


@pytest.mark.parametrize("field", ["kubeReserved", "topologyManagerPolicyOptions", "evictionHard"])
@pytest.mark.parametrize("name", ["memory\n", "cpu=1,memory", "", "a b"])
def test_a_name_that_is_none(field: str, name: str) -> None:
    assert "write a name such as" in refusal(kubeadm(), **{field: {name: "8"}})


@pytest.mark.parametrize("value", ["8", 8, 12, "+16"])
def test_a_limit_of_numa_nodes(value: t.Any) -> None:
    assert plan(kubeadm("1.31.4"), topologyManagerPolicyOptions={"max-allowable-numa-nodes": value}).edits


CPUS: dict[str, t.Any] = {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0"}


@pytest.mark.parametrize(
    ("version", "wanted", "problem"),
    [
        (
            "1.36.3",
            {"topologyManagerPolicyOptions": {"prefer-closest": "true"}},
            "an option that 1.36 does not have; write one of prefer-closest-",
        ),
        (
            "1.36.3",
            {"topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": "yes"}},
            "'yes' there; write true or false",
        ),
        (
            "1.27.1",
            {"topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": True}},
            "options and the gate TopologyManagerPolicyOptions off",
        ),
        (
            "1.27.1",
            {
                "topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": True},
                "featureGates": {"TopologyManagerPolicyOptions": True},
            },
            "an option that is alpha and the gate TopologyManagerPolicyAlphaOptions off",
        ),
        (
            "1.30.1",
            {**CPUS, "cpuManagerPolicyOptions": {"strict-cpu-reservation": True}},
            "an option that 1.30 does not have",
        ),
        ("1.36.3", {**CPUS, "cpuManagerPolicyOptions": {"full-pcpus": True}}, "an option that 1.36 does not have"),
        ("1.36.3", {**CPUS, "cpuManagerPolicyOptions": {"full-pcpus-only": "on"}}, "'on' there; write true or false"),
        (
            "1.36.3",
            {**CPUS, "cpuManagerPolicyOptions": {"align-by-socket": True}},
            "an option that is alpha and the gate CPUManagerPolicyAlphaOptions off; set CPUManagerPolicyAlphaOptions to true",
        ),
        (
            "1.36.3",
            {
                **CPUS,
                "topologyManagerPolicy": "single-numa-node",
                "cpuManagerPolicyOptions": {"align-by-socket": True},
                "featureGates": {"CPUManagerPolicyAlphaOptions": True},
            },
            "align-by-socket and topologyManagerPolicy single-numa-node at once",
        ),
        (
            "1.36.3",
            {
                **CPUS,
                "cpuManagerPolicyOptions": {
                    "distribute-cpus-across-numa": True,
                    "prefer-align-cpus-by-uncorecache": True,
                },
            },
            "prefer-align-cpus-by-uncorecache and distribute-cpus-across-numa at once",
        ),
        ("1.36.3", {"cpuManagerPolicyOptions": {"full-pcpus-only": True}}, "options without the policy static"),
        ("1.36.3", {"kubeReserved": {"cpus": "1"}}, "cpus in it; write one of cpu, memory, ephemeral-storage, pid"),
    ],
)
def test_what_kubelet_does_not_take(version: str, wanted: dict[str, t.Any], problem: str) -> None:
    assert f"kubelet does not start with {problem}" in refusal(kubeadm(version), **wanted)


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("1.28.1", {"topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": "T"}}),
        (
            "1.36.3",
            {"topologyManagerPolicyOptions": {"prefer-closest-numa-nodes": False, "max-allowable-numa-nodes": 9}},
        ),
        (
            "1.22.1",
            {
                **CPUS,
                "cpuManagerPolicyOptions": {"full-pcpus-only": True},
                "featureGates": {"CPUManagerPolicyOptions": True},
            },
        ),
        ("1.36.3", {**CPUS, "cpuManagerPolicyOptions": {"full-pcpus-only": True, "strict-cpu-reservation": True}}),
        ("1.36.3", {**CPUS, "cpuManagerPolicyOptions": {"distribute-cpus-across-numa": True}}),
        # A newer kubelet may have more.
        ("1.40.1", {**CPUS, "cpuManagerPolicyOptions": {"tomorrow": "x"}}),
        ("1.40.1", {"topologyManagerPolicyOptions": {"tomorrow": "x"}}),
    ],
)
def test_what_kubelet_takes(version: str, wanted: dict[str, t.Any]) -> None:
    assert plan(kubeadm(version), **wanted).edits


@pytest.mark.parametrize("name", ["systemReservedCgroup", "kubeReservedCgroup"])
def test_reserved_cpus_and_a_cgroup_of_what_is_reserved(name: str) -> None:
    flag = "--" + {"s": "system", "k": "kube"}[name[0]] + "-reserved-cgroup=/a.slice"
    for observed in (kubeadm(config=f"{KUBEADM_CONFIG}{name}: /a.slice\n"), kubeadm(flags=[flag])):
        assert refusal(observed, reservedSystemCPUs="0") == (
            f"configuration.reservedSystemCPUs: kubelet does not start with reservedSystemCPUs beside {name}; reserve CPUs by kubeReserved "
            f"and systemReserved, or remove {name}"
        )
        assert plan(observed, topologyManagerPolicy="restricted").edits
        assert name not in plan(observed, topologyManagerPolicy="restricted").effective


def test_what_others_have_written_and_nobody_changes_is_theirs() -> None:
    config = KUBEADM_CONFIG + "cpuManagerPolicy: static\nkubeReserved: {cpu: '0'}\nreservedMemory: [what]\n"
    assert plan(kubeadm(config=config), topologyManagerPolicy="restricted").edits
    with pytest.raises(ConfigurationError):
        plan(kubeadm(config=config), kubeReserved={"memory": "1Gi"})


@pytest.mark.parametrize(
    ("version", "cgroup", "wanted", "refused"),
    [
        ("1.34.4", "v1", {}, False),
        ("1.34.4", "v1", {"failCgroupV1": True}, True),
        ("1.35.4", "v1", {}, True),
        ("1.35.4", "v1", {"failCgroupV1": False}, False),
        ("1.36.3", "v2", {}, False),
        ("1.36.3", "", {}, False),
    ],
)
def test_cgroup_v1(version: str, cgroup: str, wanted: dict[str, t.Any], refused: bool) -> None:
    observed = kubeadm(version, cgroup=cgroup)
    if refused:
        assert "does not start on a node with cgroup v1" in refusal(
            observed, topologyManagerPolicy="restricted", **wanted
        )
    else:
        assert plan(observed, topologyManagerPolicy="restricted", **wanted).edits
    # Where nothing is restarted, nothing is asked.
    assert plan(observed).edits == ()


NINE = {"max-allowable-numa-nodes": 9}


@pytest.mark.parametrize(
    ("version", "numa_nodes", "wanted", "allowed"),
    [
        ("1.30.4", 8, {}, 0),
        ("1.30.4", 9, {}, 8),
        ("1.36.3", 0, {}, 0),
        ("1.36.3", 9, {}, 8),
        ("1.36.3", 9, {"topologyManagerPolicyOptions": NINE}, 0),
        ("1.36.3", 10, {"topologyManagerPolicyOptions": NINE}, 9),
    ],
)
def test_numa_nodes(version: str, numa_nodes: int, wanted: dict[str, t.Any], allowed: int) -> None:
    observed = kubeadm(version, numa_nodes=numa_nodes)
    if not allowed:
        assert plan(observed, topologyManagerPolicy="restricted", **wanted).edits
        return
    sentence = refusal(observed, topologyManagerPolicy="restricted", **wanted)
    assert f"the policy restricted and {numa_nodes} NUMA nodes where {allowed} are allowed" in sentence
    assert ("max-allowable-numa-nodes" in sentence) is (version != "1.30.4")
    assert "leave the policy at none" in sentence
    assert plan(observed, topologyManagerPolicy="none", kubeReserved={"memory": "1Gi"}).edits


def test_numa_nodes_of_a_policy_that_others_have_set() -> None:
    observed = kubeadm("1.36.3", KUBEADM_CONFIG + "topologyManagerPolicy: restricted\n", numa_nodes=9)
    assert plan(observed, kubeReserved={"memory": "1Gi"}).edits


def test_an_upgrade_to_come_on_cgroup_v1() -> None:
    observed = kubeadm("1.35.4", cgroup="v1")
    with pytest.raises(ConfigurationError, match="cgroup v1"):
        plan(observed, version_given=True)
    assert (
        plan(kubeadm("1.35.4", KUBEADM_CONFIG, ["--fail-cgroupv1=false"], cgroup="v1"), version_given=True).edits == ()
    )
    assert CONFIG in observed.files
