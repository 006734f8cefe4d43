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
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Desired, Plan, plan_kubelet
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import machine_of

Make = t.Callable[..., KubeletNode]

TOPOLOGY: dict[str, t.Any] = {"topologyManagerPolicy": "single-numa-node"}
MANAGED = "# Managed by accel.qat.kubelet_config\n"


def rancher(name: str, version: str, files: t.Mapping[str, str]) -> dict[str, t.Any]:
    """K3s or RKE2 with these files below /etc/rancher/NAME, or anywhere."""
    settings = examples.rancher(name, version)
    there = {path if path.startswith("/") else f"/etc/rancher/{name}/{path}": text for path, text in files.items()}
    drop_ins = {path: text for path, text in settings["files"].items() if "kubelet.conf.d" in path}
    minor = int(version.split(".")[1])
    return {**settings, "files": {**(drop_ins if minor >= 32 else {}), **there}}


def decide(node: KubeletNode, drained: bool = False, **configuration: t.Any) -> Plan:
    """The plan, and that there is nothing left to do once it is applied."""
    looked = look(node)
    desired = Desired(normal(configuration), drained=drained)
    plan = plan_kubelet(looked, desired)
    for edit in plan.edits:
        if edit.after is None:
            node.remove(edit.path)
        else:
            node.write(edit.path, edit.after)
    assert plan_kubelet(look(node), desired).edits == ()
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


def test_a_hidden_file_is_read_too(make_node: Make) -> None:
    text = "kubelet-arg: topology-manager-policy=best-effort\n"
    node = make_node(**rancher("rke2", "1.32.3", {"config.yaml.d/.50-site.yaml": text}))
    assert "/config.yaml.d/.50-site.yaml: topologyManagerPolicy is set here and comes over " in refused(
        node, **TOPOLOGY
    )


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


HARVESTER = {
    "config.yaml.d/90-harvester-server.yaml": 'kubelet-arg+:\n- "max-pods=200"\n',
    "config.yaml.d/99-max-pods.yaml": 'kubelet-arg:\n- "max-pods=200"\n',
}


class TestAFileBehindOurs:
    """One of a plain kubelet-arg drops ours, whether ours is there yet or not."""

    OURS = "/etc/rancher/rke2/config.yaml.d/99-accel-qat.yaml"
    SENTENCE = (
        "/etc/rancher/rke2/config.yaml.d/99-max-pods.yaml: kubelet-arg replaces what "
        "/etc/rancher/rke2/config.yaml.d/99-accel-qat.yaml says before it; write kubelet-arg+ there"
    )

    def test_of_harvester(self, make_node: Make) -> None:
        node = make_node(**rancher("rke2", "1.29.9", HARVESTER))
        assert refused(node, **TOPOLOGY) == self.SENTENCE
        assert node.read(self.OURS) is None

    @pytest.mark.parametrize(
        "text", ["kubelet-arg:\n", "'kubelet-arg': []\n", '{"kubelet-arg": ["v=2"]}', "kubelet-arg: v=2"]
    )
    def test_in_any_form(self, make_node: Make, text: str) -> None:
        node = make_node(**rancher("rke2", "1.29.9", {"config.yaml.d/99-max-pods.yaml": text}))
        assert refused(node, **TOPOLOGY) == self.SENTENCE

    @pytest.mark.parametrize("name", ["99-max-pods.YAML", "zz.Yml"])
    def test_with_its_ending_in_any_case(self, make_node: Make, name: str) -> None:
        node = make_node(**rancher("rke2", "1.29.9", {f"config.yaml.d/{name}": "kubelet-arg: [v=2]\n"}))
        assert refused(node, **TOPOLOGY) == self.SENTENCE.replace("99-max-pods.yaml", name)

    def test_what_nobody_desires_is_nobodys_matter(self, make_node: Make) -> None:
        assert decide(make_node(**rancher("rke2", "1.29.9", HARVESTER))).edits == ()

    def test_what_it_says_itself_can_be_wanted(self, make_node: Make) -> None:
        file = {"config.yaml.d/99-max-pods.yaml": "kubelet-arg: topology-manager-policy=single-numa-node\n"}
        assert decide(make_node(**rancher("rke2", "1.29.9", file)), **TOPOLOGY).edits == ()

    def test_with_a_plus_or_before_ours(self, make_node: Make) -> None:
        files = {
            "config.yaml.d/99-max-pods.yaml": "kubelet-arg+: [max-pods=200]\n",
            "config.yaml.d/10-a.yaml": "kubelet-arg: v=2",
        }
        assert [edit.path for edit in decide(make_node(**rancher("rke2", "1.29.9", files)), **TOPOLOGY).edits] == [
            self.OURS
        ]

    def test_from_1_32_on_ours_is_elsewhere(self, make_node: Make) -> None:
        (edit,) = decide(make_node(**rancher("rke2", "1.32.3", HARVESTER)), **TOPOLOGY).edits
        assert edit.path.endswith("/kubelet.conf.d/99-accel-qat.conf")

    def test_the_way_back_is_open(self, make_node: Make) -> None:
        node = make_node(**rancher("rke2", "1.29.9", {"config.yaml": "token: secret\n"}))
        made = decide(node, **TOPOLOGY)
        node.write("/etc/rancher/rke2/config.yaml.d/99-max-pods.yaml", HARVESTER["config.yaml.d/99-max-pods.yaml"])
        assert refused(node) == self.SENTENCE
        back = plan_kubelet(Observed(**{**look(node).as_dict(), "record": made.record}), Desired({}, restore=True))
        assert [(edit.path, edit.after) for edit in back.edits] == [(self.OURS, None)]


NAMED = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cpuManagerPolicy: static
reservedSystemCPUs: 0,12
kubeReserved:
  memory: 2Gi
evictionHard:
  memory.available: 500Mi
  nodefs.available: 8%
"""
FILE = "/etc/kubelet.yaml"


def with_config(flavour: str, text: str = NAMED, path: str = FILE) -> dict[str, t.Any]:
    """A node whose kubelet is given a configuration file by an argument."""
    if flavour == "microk8s":
        settings = examples.microk8s()
        arguments = f"--cluster-domain=cluster.local\n--config={path}\n"
        return {
            **settings,
            "files": {**settings["files"], "/var/snap/microk8s/current/args/kubelet": arguments, FILE: text},
        }
    if flavour == "openshift3":
        settings = examples.openshift3()
        arguments = f"kind: NodeConfig\nkubeletArguments:\n  config: ['{path}']\n"
        return {**settings, "files": {**settings["files"], "/etc/origin/node/node-config.yaml": arguments, FILE: text}}
    forms = {
        "k3s": f"kubelet-arg:\n  - config={path}\n",
        "rke2": json.dumps({"token": "secret", "kubelet-arg": [f"--config={path}"]}),
    }
    return rancher(flavour, "1.30.4", {"config.yaml": forms[flavour], FILE: text})


class TestAFileThatAnArgumentNames:
    """It is below all arguments, and is not written."""

    @pytest.mark.parametrize("flavour", ["k3s", "rke2", "microk8s"])
    def test_what_it_says_is_in_force(self, make_node: Make, flavour: str) -> None:
        node = make_node(**with_config(flavour))
        node.write(f"{node.kubelet_dir}/cpu_manager_state", '{"policyName": "static"}')
        made = decide(node, **TOPOLOGY)
        (edit,) = made.edits
        added = [line for line in str(edit.after).splitlines() if line not in str(edit.before).splitlines()]
        assert [line for line in added if "=" in line] == [
            f"{'--' if flavour == 'microk8s' else '- '}topology-manager-policy=single-numa-node"
        ]
        assert made.state_files == ()
        assert node.read(FILE) == NAMED
        assert made.effective["reservedSystemCPUs"] == "0,12"

    @pytest.mark.parametrize("flavour", ["k3s", "rke2", "microk8s"])
    def test_what_our_flag_would_hide_goes_along(self, make_node: Make, flavour: str) -> None:
        node = make_node(**with_config(flavour))
        made = decide(node, drained=True, kubeReserved={"cpu": "1"}, evictionHard={"memory.available": "1Gi"})
        assert made.effective["kubeReserved"] == {"memory": "2Gi", "cpu": "1"}
        thresholds = made.effective["evictionHard"]
        assert {**thresholds, "imagefs.available": "5%"} == {
            "memory.available": "1Gi",
            "nodefs.available": "8%",
            "imagefs.available": "5%",
        }
        assert ("imagefs.available" in thresholds) == (flavour != "microk8s")

    def test_as_wanted_it_suffices(self, make_node: Make) -> None:
        node = make_node(**with_config("k3s"))
        assert decide(node, cpuManagerPolicy="static", reservedSystemCPUs="0,12").edits == ()

    @pytest.mark.parametrize("flavour", ["k3s", "rke2", "microk8s"])
    def test_a_gate_in_it_that_stops_kubelet(self, make_node: Make, flavour: str) -> None:
        gate = "featureGates:\n  DevicePlugins: true\n"
        assert refused(make_node(**with_config(flavour, NAMED + gate))).startswith(
            f"{FILE}: featureGates.DevicePlugins is set here; kubelet 1."
        )

    @pytest.mark.parametrize("flavour", ["k3s", "rke2", "microk8s", "openshift3"])
    @pytest.mark.parametrize("path", ["/etc/elsewhere.yaml", "kubelet.yaml", "${HOME}/kubelet.yaml"])
    def test_one_that_is_not_there(self, make_node: Make, flavour: str, path: str) -> None:
        assert refused(make_node(**with_config(flavour, path=path)), kubeReserved={"cpu": "1"}) == (
            f"{path}: kubelet's arguments name it as its configuration, and there is no such file; correct config among the arguments, "
            "as a whole path; nothing was written"
        )

    def test_one_that_is_something_else(self, make_node: Make) -> None:
        assert refused(make_node(**with_config("k3s", "kind: Config\n")), **TOPOLOGY).startswith(
            f"{FILE}: it is no KubeletConfiguration"
        )

    def test_a_path_with_a_variable_of_the_snap(self, make_node: Make) -> None:
        settings = with_config("microk8s", path="${SNAP_DATA}/kubelet.yaml")
        settings["files"]["/var/snap/microk8s/current/kubelet.yaml"] = NAMED
        assert decide(make_node(**settings), cpuManagerPolicy="static").edits == ()

    def test_a_directory_of_drop_ins(self, make_node: Make) -> None:
        head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
        settings = with_config("k3s")
        settings["files"]["/etc/rancher/k3s/config.yaml"] = (
            f"kubelet-arg: [config={FILE}, config-dir=/etc/kubelet.conf.d]\n"
        )
        settings["files"]["/etc/kubelet.conf.d/10-site.conf"] = f"{head}topologyManagerPolicy: single-numa-node\n"
        node = make_node(**settings)
        assert decide(node, **TOPOLOGY, cpuManagerPolicy="static").edits == ()

    def test_the_last_one_counts(self, make_node: Make) -> None:
        settings = with_config("k3s")
        settings["files"]["/etc/rancher/k3s/config.yaml.d/50-other.yaml"] = "kubelet-arg+: config=/etc/other.yaml\n"
        settings["files"]["/etc/other.yaml"] = NAMED.replace("static", "none")
        assert decide(make_node(**settings), cpuManagerPolicy="none").edits == ()

    def test_from_1_32_on_k3s_makes_a_drop_in_of_it(self, make_node: Make) -> None:
        node = make_node(**rancher("k3s", "1.32.1", {"config.yaml": f"kubelet-arg: config={FILE}\n", FILE: NAMED}))
        made = decide(node, **TOPOLOGY)
        assert "cpuManagerPolicy" not in made.effective
