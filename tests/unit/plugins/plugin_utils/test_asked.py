# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan expects kubelet to have in force, on every flavour, and who is suspected where it has something else."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._cluster.in_force import Asked, Said, compare, reported_by
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.asked import BEFORE, OPERATOR
from ansible_collections.accel.qat.tests.unit.plugins.plugin_utils import nodes

RESTRICTED: dict[str, t.Any] = {"topologyManagerPolicy": "restricted"}


def asked(observed: Observed, gates: bool = False, **configuration: t.Any) -> dict[str, Asked]:
    return {one.field: one for one in nodes.plan(observed, gates=gates, **configuration).asked}


@pytest.mark.parametrize(
    ("observed", "where"),
    [
        (nodes.kubeadm(), nodes.CONFIG),
        (nodes.kubeadm(config=f"{nodes.KUBEADM_CONFIG}topologyManagerPolicy: restricted\n"), nodes.CONFIG),
        (nodes.kubeadm(flags=["--topology-manager-policy=restricted"]), "kubelet's command line"),
        (nodes.with_drop_ins(site=nodes.DROP_IN), nodes.OURS),
        (nodes.rancher("k3s", "1.30.5", config=nodes.K3S_CONFIG), "/etc/rancher/k3s/config.yaml.d/99-accel-qat.yaml"),
        (
            nodes.rancher("k3s", "1.33.4", drop_in=nodes.KUBEADM_CONFIG),
            "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/99-accel-qat.conf",
        ),
        (
            nodes.rancher("rke2", "1.33.4", drop_in=nodes.KUBEADM_CONFIG),
            "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/99-accel-qat.conf",
        ),
        (nodes.microk8s(), nodes.ARGS),
        (nodes.openshift4(config=nodes.KUBEADM_CONFIG), OPERATOR),
    ],
    ids=[
        "kubeadm",
        "as-wanted",
        "flag",
        "drop-in",
        "k3s",
        "k3s-drop-in",
        "rke2",
        "microk8s",
        "openshift4",
    ],
)
def test_who_says_it(observed: Observed, where: str) -> None:
    one = asked(observed, **RESTRICTED)["topologyManagerPolicy"]
    assert (one.wanted, one.where, one.unsaid) == ("restricted", where, "none")
    assert compare([one], reported_by({"kubeletconfig": {"syncFrequency": "1m0s", **RESTRICTED}})) == ()


def test_who_says_it_on_openshift_3() -> None:
    found = asked(nodes.openshift3(), gates=True, kubeReserved={"cpu": "1"})
    assert {name: one.where for name, one in found.items()} == dict.fromkeys(
        ("kubeReserved.cpu", "featureGates.DevicePlugins"), nodes.NODE_CONFIG_PATH
    )


def test_who_else_may_have_won() -> None:
    config = f"{nodes.KUBEADM_CONFIG}topologyManagerPolicy: single-numa-node\n"
    flags = [f"--config-dir={nodes.CONFIG_DIR}"]
    site = f"{nodes.CONFIG_DIR}/20-site.conf"
    observed = nodes.kubeadm(config=config, flags=flags, files={site: nodes.DROP_IN})
    one = asked(observed, **RESTRICTED)["topologyManagerPolicy"]
    assert one.others == (
        Said(site, "best-effort"),
        Said(nodes.CONFIG, "single-numa-node"),
        Said(BEFORE, "best-effort"),
    )


def test_a_kubelet_that_still_runs_with_the_older_file() -> None:
    config = f"{nodes.KUBEADM_CONFIG}kubeReserved:\n  cpu: 100m\n"
    one = asked(nodes.kubeadm(config=config), kubeReserved={"cpu": "1"})["kubeReserved.cpu"]
    reported = reported_by({"kubeletconfig": {"syncFrequency": "1m0s", "kubeReserved": {"cpu": "100m"}}})
    (difference,) = compare([one], reported)
    assert difference.layer == BEFORE


def test_entries_of_maps_are_asked_one_by_one() -> None:
    wanted: dict[str, t.Any] = {
        "evictionHard": {"memory.available": "1Gi"},
        "systemReserved": {"cpu": 1, "memory": "1Gi"},
    }
    # Not the thresholds that are written beside the wanted one.
    assert {name: one.wanted for name, one in asked(nodes.kubeadm(), **wanted).items()} == {
        "evictionHard.memory.available": "1Gi",
        "systemReserved.cpu": "1",
        "systemReserved.memory": "1Gi",
    }


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        # A gate that is on by default and left out; one that is set; and those that this kubelet does not have any more, or not yet.
        ("1.20.2", {}, {"DevicePlugins": (True, True, "AllBeta"), "KubeletPodResources": (True, True, "AllBeta")}),
        ("1.9.11", {}, {"DevicePlugins": (True, False, "AllAlpha")}),
        ("1.27.4", {}, {"DevicePlugins": (True, True, ""), "KubeletPodResources": (True, True, "AllBeta")}),
        ("1.31.4", {}, {}),
        ("1.36.3", {"MemoryQoS": True}, {"MemoryQoS": (True, False, "AllAlpha")}),
        ("1.37.2", {"MemoryQoS": False}, {"MemoryQoS": (False, True, "AllBeta")}),
        ("1.31.4", {"MemoryManager": True}, {"MemoryManager": (True, True, "AllBeta")}),
    ],
)
def test_gates(version: str, wanted: dict[str, bool], expected: dict[str, tuple[bool, bool, str]]) -> None:
    cgroup = {"cgroup": "v2"}
    found = asked(nodes.kubeadm(version, **cgroup), gates=True, **({"featureGates": wanted} if wanted else {}))
    assert {name: (one.wanted, one.unsaid, one.group) for name, one in found.items()} == {
        f"featureGates.{name}": value for name, value in expected.items()
    }


def test_a_gate_that_somebody_else_has_set_is_named() -> None:
    one = asked(nodes.kubeadm("1.20.2", nodes.WITH_GATES), gates=True)["featureGates.DevicePlugins"]
    assert (one.wanted, one.where) == (True, nodes.CONFIG)


def test_nothing_is_asked_where_all_is_put_back() -> None:
    observed = nodes.kubeadm()
    made = nodes.plan(observed, **RESTRICTED)
    assert nodes.plan(nodes.after(observed, made), restore=True).asked == ()
