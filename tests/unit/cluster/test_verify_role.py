# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook verify on a node of files: kubelet's sockets, the API server over HTTP, and what a pod would see."""

from __future__ import annotations

import json
import re
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, JsonObject, Refusal
from ansible_collections.accel.qat.tests.unit.cluster.site import CY, VF0, VF1, NodeOfCluster
from ansible_collections.accel.qat.tests.unit.plugins.local import CONNECTION, environment
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

PLAYBOOK = """
- name: Verify
  hosts: node1
  gather_facts: false
  module_defaults:
    accel.qat.qat_devices: &roots
      sysfs_root: "{{ root }}/n/sys"
      proc_root: "{{ root }}/n/proc"
      dev_root: "{{ root }}/n/dev"
      kubelet_root: "{{ root }}"
    accel.qat.qat_info: *roots
    accel.qat.device_plugin_info: *roots
    accel.qat.kubelet_config:
      root: "{{ root }}/k/root"
      proc_root: "{{ root }}/k/root/proc"
  environment:
    PATH: "{{ root }}/bin:{{ root }}/k/bin:{{ lookup('env', 'PATH') }}"
    K8S_AUTH_HOST: "{{ api }}"
    K8S_AUTH_API_KEY: "{{ token }}"
  tasks:
    - name: Verify it
      ansible.builtin.include_role:
        name: accel.qat.qat_verify
"""


CONFIGURATION = f"{examples.CONFIGURATION}topologyManagerPolicy: restricted\n"
FORBIDDEN = Refusal(403, "Forbidden", 'nodes "node1" is forbidden')


def in_force(**fields: t.Any) -> JsonObject:
    """What kubelet answers that has these."""
    return {"kubeletconfig": {"syncFrequency": "1m0s", **fields}}


class Site(NodeOfCluster, Controller):
    """A node that is verified, with the files of its kubelet in `configured`.

    `gets` are the VFs that a pod is given, `sees` what it prints.
    """

    def __init__(self, root: Path) -> None:
        NodeOfCluster.__init__(self, root)
        self._directory = root
        self.cluster.run_pod = self.run_pod
        self.cluster.pod_gone = self.gone
        self.gets = [VF0]
        self.variable = "PCIDEVICE_QAT_INTEL_COM_CY"
        self.configured = KubeletNode(root / "k", **examples.kubeadm(CONFIGURATION))
        self.cluster.configz = [in_force(topologyManagerPolicy="restricted")]
        self.program("qatctl", "exit 0")
        self.program("systemctl", "echo enabled")

    def run_pod(self, pod: JsonObject) -> tuple[JsonObject, str]:
        metadata = pod["metadata"]
        self.kubelet.fake.pods[metadata["namespace"], metadata["name"]] = {"test": {CY: self.gets}}
        nodes = "".join(f"/dev/vfio/{self.files.node(vf).name}\n" for vf in self.gets)
        named = f"{self.variable}={','.join(self.gets)}\n" if self.variable else ""
        log = f"-- environment\n{named}-- device nodes\n{nodes}/dev/vfio/vfio\n-- end\n"
        return {"phase": "Running"}, log

    def gone(self, pod: JsonObject) -> None:
        del self.kubelet.fake.pods[pod["metadata"]["namespace"], pod["metadata"]["name"]]

    def inventory(self) -> str:
        return json.dumps({"all": {"hosts": {"node1": CONNECTION}}})

    def environment(self) -> dict[str, str]:
        return {**environment(), "NO_PROXY": "127.0.0.1"}

    def verify(self, *flags: str, **variables: t.Any) -> Run:
        given = {
            "root": str(self.root),
            "api": self.cluster.url,
            "token": TOKEN,
            "qat_node_devices": [{}],
            "qat_node_qatctl_path": f"{self.root}/bin/qatctl",
            "qat_kubelet_configuration": {"topologyManagerPolicy": "restricted"},
            "qat_verify_plugin_address": "",
            "qat_verify_timeout": "5",  # as text, as --extra-vars gives it
            "qat_verify_report": f"{self.root}/report.json",
            **variables,
        }
        playbook = self.root / "playbook.yml"
        playbook.write_text(PLAYBOOK)
        return self.run(str(playbook), *flags, **given)

    def report(self) -> t.Any:
        return json.loads((self.root / "report.json").read_text())


@pytest.fixture
def site() -> t.Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="qvr") as directory:
        made = Site(Path(directory))
        yield made
        made.close()


def failed(site: Site) -> list[str]:
    report = site.report()
    assert report["ok"] is False
    return [check["reason"] for check in report["checks"] if check["ok"] is False]


@pytest.mark.core
def test_all_is_well(site: Site) -> None:
    expectation = {"name": "node name", "query": "metadata.name", "equals": "node1"}
    result = site.verify(qat_verify_expectations=[expectation])
    assert result.code == 0, result.output
    assert "changed=0" in result.output
    report = site.report()
    assert (report["node"], report["ok"]) == ("node1", True)
    assert [check["check"] for check in report["checks"]] == [
        "the QAT devices",
        "kubelet's configuration",
        "kubelet and the device plugin",
        f"allocatable {CY}",
        "node name",
        "the test pod",
        f"VF of {CY}",
        f"device node of {VF0}",
        f"variable that names {VF0}",
        f"{CY} after the pod",
        "device nodes of others",
    ]
    assert f"ok  allocatable {CY} " in result.output
    assert site.cluster.pods == {}


def test_the_exporter_is_asked_where_it_is_wanted(site: Site) -> None:
    address = "127.0.0.1:9"  # where nobody has to listen
    wanted: dict[str, t.Any] = {"qat_device_plugin_exporter": True, "qat_device_plugin_exporter_address": address}
    result = site.verify(qat_verify_kubernetes=False, **wanted)
    assert result.code != 0
    assert failed(site) == [
        f"the exporter could not be asked at {address}: Connection refused; journalctl -u accel-qat-exporter says why"
    ]


def test_nodes_whose_long_names_begin_alike_have_a_pod_each(site: Site) -> None:
    names = ["node1", *(f"my-cluster-7xk2p-worker-germanywestcentral-1{letter}.example.com" for letter in "ab")]
    play = {
        "hosts": "node1",
        "gather_facts": False,
        "vars_files": [str(CHECKOUT / "roles/qat_verify/vars/main.yml")],
        "tasks": [
            {
                "name": "Report",
                "ansible.builtin.debug": {"msg": "{{ __qat_verify_pod_name }}"},
                "vars": {"qat_verify_node_name": name},
            }
            for name in names
        ],
    }
    path = site.root / "names.yml"
    path.write_text(json.dumps([play]))
    short, *long = (task.result["msg"] for task in site.run(str(path)).tasks)
    assert short == "accel-qat-verify-node1"
    assert len({*long}) == 2
    assert all(re.fullmatch(r"[a-z0-9.-]{54}-[0-9a-f]{8}", name) for name in long)


@pytest.mark.core
def test_every_difference_is_reported_at_once(site: Site) -> None:
    site.cluster.plugins[CY] = 1
    site.kubelet.fake.allocatable = {CY: [VF0]}
    site.files.bind(VF1, None)
    site.variable = ""
    site.cluster.pod_gone = lambda _pod: None
    wanted = {"query": "spec.unschedulable == null", "equals": False, "name": "cordoned"}
    result = site.verify(qat_verify_expectations=[wanted])
    assert result.code != 0
    reasons = failed(site)
    assert len(reasons) == 6
    assert reasons[0].endswith("run accel.qat.site, which has 1 such step(s) to take.")
    assert reasons[1:] == [
        f"{VF1} should be offered as {CY}, and kubelet has no healthy device of that id",
        f"allocatable {CY} is 1 and should be 2",
        "cordoned is True and should be False",
        f"no variable in the test pod names {VF0}",
        f"{VF0} of {CY} is not free again after the test pod was deleted",
    ]
    assert all(f"- {reason}" in result.output for reason in reasons)
    assert site.cluster.pods == {}


def kubelets(site: Site) -> list[dict[str, t.Any]]:
    """The rows about kubelet's configuration."""
    return [check for check in site.report()["checks"] if check["check"].startswith("kubelet's ")]


def test_what_kubelet_has_in_force_is_reported(site: Site) -> None:
    site.cluster.configz = [in_force(topologyManagerPolicy="none", featureGates={"AllBeta": False})]
    result = site.verify(qat_verify_pod=False)
    assert result.code != 0
    reasons = [
        f"topologyManagerPolicy is none in force and not restricted, which {examples.CONFIG} says; it may come from kubelet's own default",
        "featureGates.KubeletPodResources is false in force and not true; it may come from featureGates.AllBeta",
    ]
    assert failed(site) == reasons
    assert [(check["check"], check["expected"], check["found"]) for check in kubelets(site)] == [
        ("kubelet's topologyManagerPolicy", "restricted", "none"),
        ("kubelet's featureGates.KubeletPodResources", "true", "false"),
    ]
    assert "changed=0" in result.output


def test_a_kubelet_that_nobody_can_ask_is_not_verified(site: Site) -> None:
    site.cluster.configz = [FORBIDDEN]
    result = site.verify(qat_verify_pod=False)
    assert result.code == 0, result.output
    (check,) = kubelets(site)
    assert (check["expected"], check["found"], check["ok"]) == ("in force", "not known", None)
    assert check["reason"] == (
        'kubelet\'s configuration is not verified: kubelet of node node1: the API server answers 403: nodes "node1" is forbidden; let '
        "these credentials get nodes/proxy, see docs/verify.md"
    )
    assert "not verified  kubelet's configuration" in result.output
    assert f"- {check['reason']}".replace('"', '\\"') in result.output


def test_kubelets_files_are_verified_too(site: Site) -> None:
    site.configured.write(examples.CONFIG, examples.CONFIGURATION)
    assert site.verify(qat_verify_pod=False).code != 0
    assert failed(site) == [f"kubelet's configuration is not as configured in {examples.CONFIG}; run accel.qat.site"]
    assert site.configured.read(examples.CONFIG) == examples.CONFIGURATION


def test_what_kubelet_cannot_be_given_is_reported(site: Site) -> None:
    gates = {"featureGates": {"DevicePlugins": False}}
    assert site.verify(qat_verify_pod=False, qat_kubelet_configuration=gates).code != 0
    (reason,) = failed(site)
    assert reason.startswith("configuration.featureGates.DevicePlugins: kubelet 1.27 has DevicePlugins locked to true")


def test_a_kubelet_that_is_not_found_is_not_verified(site: Site) -> None:
    assert site.verify(qat_verify_pod=False, qat_kubelet_flavour="k3s").code == 0
    (check,) = kubelets(site)
    assert check["ok"] is None
    assert check["reason"].startswith(
        "kubelet's configuration is not verified: kubelet: no k3s is found on this node; "
    )


def test_a_pod_that_does_not_run(site: Site) -> None:
    site.cluster.run_pod = lambda _pod: ({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "x"}, "")
    site.cluster.pod_gone = lambda _pod: None
    assert site.verify().code != 0
    (reason,) = failed(site)
    assert reason.startswith(
        "pod default/accel-qat-verify-node1: it does not run: UnexpectedAdmissionError: x; see the journals"
    )


def test_no_vf_is_free(site: Site) -> None:
    site.kubelet.fake.pods["default", "busy"] = {"app": {CY: [VF0, VF1]}}
    assert site.verify().code != 0
    assert failed(site) == [f"no VF of {CY} is free for a test pod; free one, or set qat_verify_pod to false"]
    assert not any(method == "POST" for method, _path, _body in site.cluster.requests)


def test_no_such_node_and_no_pod(site: Site) -> None:
    assert site.verify(qat_verify_node_name="node9", qat_verify_pod=False).code != 0
    assert failed(site) == [
        'node node9: the API server answers 404: nodes "node9" not found; see that the name is right'
    ]


def test_without_kubernetes(site: Site) -> None:
    site.files.bind(VF1, None)
    assert site.verify(qat_verify_kubernetes=False).code != 0
    assert len(failed(site)) == 1
    assert [check["check"] for check in site.report()["checks"]] == ["the QAT devices"]
    assert site.cluster.requests == []


def test_check_mode_makes_no_pod(site: Site) -> None:
    result = site.verify("--check", qat_verify_report="")
    assert result.code == 0, result.output
    assert not any(method == "POST" for method, _path, _body in site.cluster.requests)
