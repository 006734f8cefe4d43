# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes as people have them, looked at on the node and decided on as the controller does."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import normal
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed, Request, observe
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Plan, Wishes, plan_kubelet
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import machine_of

Make = t.Callable[..., KubeletNode]

TOPOLOGY = {"topologyManagerPolicy": "single-numa-node"}
MANAGED = "# Managed by accel.qat.kubelet_config\n"


def rancher(name: str, version: str, files: t.Mapping[str, str]) -> dict[str, t.Any]:
    """K3s or RKE2 with these files below /etc/rancher/NAME, or anywhere."""
    settings = examples.rancher(name, version)
    there = {path if path.startswith("/") else f"/etc/rancher/{name}/{path}": text for path, text in files.items()}
    drop_ins = {path: text for path, text in settings["files"].items() if "kubelet.conf.d" in path}
    minor = int(version.split(".")[1])
    return {**settings, "files": {**(drop_ins if minor >= 32 else {}), **there}}


def decide(node: KubeletNode, drained: bool = False, **configuration: t.Any) -> Plan:
    """The plan, and that there is nothing left to do once it is carried out."""
    looked = look(node)
    wishes = Wishes(normal(configuration), drained=drained)
    plan = plan_kubelet(looked, wishes)
    for edit in plan.edits:
        if edit.after is None:
            node.remove(edit.path)
        else:
            node.write(edit.path, edit.after)
    assert plan_kubelet(look(node), wishes).edits == ()
    return plan


def look(node: KubeletNode) -> Observed:
    """What leaves the node; no secret does."""
    looked = observe(machine_of(node), str(node.root / "proc"), Request(kubelet=next(iter(node.programs.values()))))
    travelled = json.dumps(looked.as_dict())
    assert "secret" not in travelled
    return Observed(**json.loads(travelled))


def refused(node: KubeletNode, **configuration: t.Any) -> str:
    """The sentence, the same at the second run; nothing is planned."""
    sentences = set()
    for _round in range(2):
        with pytest.raises(NodeError) as caught:
            decide(node, **configuration)
        sentences.add(caught.value.sentence())
    (sentence,) = sentences
    return sentence


FROM_RANCHER = {"agent-token": "secret-1", "cni": "calico", "node-label": ["cattle.io/os=linux"], "token": "secret-2"}
RANCHERS_FILE = "config.yaml.d/50-rancher.yaml"
FORMS: dict[str, t.Callable[[t.Any], str]] = {
    "JSON": lambda data: json.dumps(data, indent=2),
    "JSON in one line": json.dumps,
    "JSON indented by tabs": lambda data: json.dumps(data, indent="\t"),
    "YAML": lambda data: "".join(f"{name}: {json.dumps(value)}\n" for name, value in data.items()),
    "YAML with a bracket in the first column": lambda data: "".join(
        f"{name}: {json.dumps(value, indent=0)}\n" for name, value in data.items()
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
class TestMadeByRancher:
    """Its file of arguments is JSON."""

    def settings(self, form: t.Callable[[t.Any], str], version: str, *arguments: str) -> dict[str, t.Any]:
        data = {**FROM_RANCHER, "kubelet-arg": list(arguments)}
        return rancher("rke2", version, {RANCHERS_FILE: form(data)})

    def test_an_argument_that_comes_over_the_drop_in(self, make_node: Make, form: t.Callable[[t.Any], str]) -> None:
        node = make_node(**self.settings(form, "1.32.3", "topology-manager-policy=best-effort"))
        assert refused(node, **TOPOLOGY) == (
            "/etc/rancher/rke2/config.yaml.d/50-rancher.yaml: topologyManagerPolicy is set here and comes over "
            "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/99-accel-qat.conf; change it here, or remove it"
        )

    def test_a_static_policy_that_does_not_change(self, make_node: Make, form: t.Callable[[t.Any], str]) -> None:
        arguments = [
            "cpu-manager-policy=static",
            "kube-reserved=cpu=2,memory=4Gi",
            "eviction-hard=memory.available<500Mi,nodefs.available<8%",
        ]
        node = make_node(**self.settings(form, "1.30.5", *arguments))
        node.write("/var/lib/kubelet/cpu_manager_state", '{"policyName": "static"}')
        made = decide(node, **TOPOLOGY)
        assert [edit.after for edit in made.edits] == [
            f"{MANAGED}kubelet-arg+:\n- topology-manager-policy=single-numa-node\n"
        ]
        assert made.state_files == ()

    def test_a_reservation_is_seen(self, make_node: Make, form: t.Callable[[t.Any], str]) -> None:
        node = make_node(**self.settings(form, "1.30.5", "kube-reserved=cpu=2"))
        assert "- cpu-manager-policy=static\n" in str(decide(node, cpuManagerPolicy="static").edits[0].after)

    def test_a_threshold_stays(self, make_node: Make, form: t.Callable[[t.Any], str]) -> None:
        node = make_node(**self.settings(form, "1.30.5", "eviction-hard=nodefs.available<8%"))
        made = decide(node, evictionHard={"memory.available": "1Gi"})
        assert made.edits[0].after == f"{MANAGED}kubelet-arg+:\n- eviction-hard=memory.available<1Gi\n"
        assert made.effective["evictionHard"] == {"nodefs.available": "8%", "memory.available": "1Gi"}


def test_a_file_that_cannot_be_understood(make_node: Make) -> None:
    text = "token: secret\nkubelet-arg: !env [KUBELET]\n"
    node = make_node(**rancher("k3s", "1.30.5", {"config.yaml": text}))
    assert refused(node, **TOPOLOGY) == (
        "/etc/rancher/k3s/config.yaml:2: what the file says of kubelet-arg and data-dir cannot be made out, because of something that "
        "is not known here; write it in plain YAML, kubelet-arg as a list with one text a line; nothing was written"
    )
    node = make_node(**rancher("k3s", "1.30.5", {"config.yaml": "token: !env secret\n"}))
    assert [edit.path for edit in decide(node, **TOPOLOGY).edits] == [
        "/etc/rancher/k3s/config.yaml.d/99-accel-qat.yaml"
    ]
