# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubelets whose files their distribution owns, and those without a file."""

from __future__ import annotations

import json
import os
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import default_thresholds
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import OwnedByOthersError
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed, Request, observe
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, RefusedError
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.plan import Desired, Plan, plan_kubelet
from ansible_collections.accel.qat.plugins.plugin_utils._kubelet.record import Record
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, Service, examples
from ansible_collections.accel.qat.tests.fakes.kubelet_node.examples import K0S_CONFIG, K0S_KUBELET, k0s
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import machine_of

Make = t.Callable[..., KubeletNode]

SINGLE = {"topologyManagerPolicy": "single-numa-node"}
CANONICAL_ARGS = "/var/snap/k8s/common/args/kubelet"


def look(node: KubeletNode, **request: t.Any) -> Observed:
    return observe(machine_of(node), str(node.root / "proc"), Request(offered=False, **request))


def plan(node: KubeletNode, configuration: dict[str, t.Any], **request: t.Any) -> Plan:
    return plan_kubelet(look(node, **request), Desired(configuration))


@pytest.mark.parametrize("request_", [{}, {"service": "k0sworker.service"}, {"flavour": "k0s"}])
@pytest.mark.parametrize("running", [True, False])
def test_k0s_writes_its_file_itself(make_node: Make, request_: dict[str, str], running: bool) -> None:
    node = make_node(**k0s())
    if running:
        node.add_process(5, ["/usr/local/bin/k0s", "worker"])
        node.add_process(7, [K0S_KUBELET, "--root-dir=/var/lib/k0s/kubelet", f"--config={K0S_CONFIG}"], parent=5)
    given = {} if running else {"kubelet": K0S_KUBELET}
    found = look(node, **request_, **given)
    assert (found.flavour, found.unit, found.config) == ("k0s", "k0sworker.service", K0S_CONFIG)
    assert found.kubelet_dir == "/var/lib/k0s/kubelet"
    with pytest.raises(RefusedError) as caught:
        plan(node, SINGLE, **request_, **given)
    assert caught.value.sentence() == (
        f"{K0S_CONFIG}: k0s writes this file again at each start, from its own configuration; put {SINGLE} into values of a profile in "
        "spec.workerProfiles of k0s' configuration, and start its workers with --profile; nothing was written"
    )
    assert plan(node, {}, **request_, **given).edits == ()


def test_k0s_is_to_be_given_a_worker_profile(make_node: Make) -> None:
    """Of thresholds all, since kubelet drops its own as soon as it has one."""
    node = make_node(**k0s())
    node.add_process(7, [K0S_KUBELET, f"--config={K0S_CONFIG}"])
    with pytest.raises(OwnedByOthersError) as caught:
        plan(node, {**SINGLE, "evictionHard": {"memory.available": "1Gi"}})
    thresholds = {**default_thresholds(31), "memory.available": "1Gi"}
    assert len(thresholds) > 1
    assert caught.value.manifest == {
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": {"workerProfiles": [{"name": "qat", "values": {**SINGLE, "evictionHard": thresholds}}]},
    }


@pytest.mark.parametrize(
    ("text", "version", "configuration", "remedy", "values"),
    [
        (
            "featureGates: {CPUManager: true}",
            "1.17.4",
            {"featureGates": {"CPUManager": True, "TopologyManager": True}},
            (
                "put {'featureGates': {'TopologyManager': True}} into values of a profile in spec.workerProfiles of k0s'"
                " configuration, and start its workers with --profile; nothing was written"
            ),
            {"featureGates": {"TopologyManager": True}},
        ),
        # A gate that the device plugin needs, and nothing else is asked for.
        (
            "featureGates: {DevicePlugins: false}",
            "1.25.4",
            {},
            "take the feature gate DevicePlugins out of k0s' configuration, and restart its workers; nothing was written",
            None,
        ),
        # What was asked for of old has become a gate that this kubelet does not know.
        (
            "featureGates: {DynamicKubeletConfig: true}",
            "1.31.4",
            {},
            "take the feature gate DynamicKubeletConfig out of k0s' configuration, and restart its workers; nothing was written",
            None,
        ),
        (
            "featureGates: {DynamicKubeletConfig: true}",
            "1.31.4",
            SINGLE,
            (
                f"put {SINGLE} into values of a profile in spec.workerProfiles of k0s' configuration, and start its workers with --profile;"
                " take the feature gate DynamicKubeletConfig out of k0s' configuration, and restart its workers; nothing was written"
            ),
            SINGLE,
        ),
    ],
)
def test_k0s_is_to_be_given_what_the_plan_has_come_to(
    make_node: Make,
    text: str,
    version: str,
    configuration: dict[str, t.Any],
    remedy: str,
    values: dict[str, t.Any] | None,
) -> None:
    settings = {**k0s(), "version": version}
    settings["files"][K0S_CONFIG] += f"{text}\n"
    node = make_node(**settings)
    node.add_process(7, [K0S_KUBELET, f"--config={K0S_CONFIG}"])
    with pytest.raises(OwnedByOthersError) as caught:
        plan(node, configuration)
    assert caught.value.remedy == remedy
    manifest = caught.value.manifest
    assert (manifest and manifest["spec"]["workerProfiles"][0]["values"]) == values


def test_k0s_with_its_data_elsewhere(make_node: Make) -> None:
    """Its kubelet is known by the k0s beside it."""
    settings = {
        **k0s("k0scontroller.service"),
        "programs": {"kubelet": "/srv/data/bin/kubelet", "k0s": "/usr/local/bin/k0s"},
    }
    settings["files"] = {"/srv/data/kubelet-config.yaml": settings["files"][K0S_CONFIG]}
    node = make_node(**settings)
    node.add_process(5, ["k0s", "controller"], "/usr/local/bin/k0s")
    node.add_process(7, ["/srv/data/bin/kubelet", "--config=/srv/data/kubelet-config.yaml"], parent=5)
    found = look(node)
    assert (found.flavour, found.unit, found.config) == (
        "k0s",
        "k0scontroller.service",
        "/srv/data/kubelet-config.yaml",
    )


def test_what_k0s_has_already_is_left_alone(make_node: Make) -> None:
    settings = k0s()
    settings["files"][K0S_CONFIG] += "topologyManagerPolicy: single-numa-node\n"
    node = make_node(**settings)
    node.add_process(7, [K0S_KUBELET, f"--config={K0S_CONFIG}"])
    assert plan(node, SINGLE).edits == ()


CANONICAL_LINES = """\
--authentication-token-webhook=true
--cpu-manager-policy=static
--eviction-hard='memory.available<100Mi,nodefs.available<1Gi'
--kubeconfig=/etc/kubernetes/kubelet.conf
--reserved-cpus=0-9,64-74
--root-dir=/var/lib/kubelet
--topology-manager-policy=best-effort
"""


@pytest.mark.parametrize("running", [True, False])
def test_canonical_kubernetes_has_one_flag_a_line(make_node: Make, running: bool) -> None:
    program = "/snap/k8s/3315/bin/kubelet"
    node = make_node(
        files={"/etc/kubernetes/kubelet.conf": "kind: Config\n", CANONICAL_ARGS: CANONICAL_LINES},
        services={"snap.k8s.kubelet.service": Service([program], "/usr/bin/snap run k8s.kubelet")},
        programs={"kubelet": program},
        version="1.32.8",
    )
    os.symlink("3315", node.root / "snap/k8s/current")
    if running:
        node.add_process(7, [program, *CANONICAL_LINES.replace("'", "").splitlines()])
    found = look(node)
    assert (found.flavour, found.unit, found.running) == ("canonical", "snap.k8s.kubelet.service", running)
    planned = plan(node, SINGLE)
    (edit,) = planned.edits
    assert (edit.path, edit.after) == (CANONICAL_ARGS, CANONICAL_LINES.replace("best-effort", "single-numa-node"))
    # What the others say stays in force, and a value that a shell would take for something else is quoted.
    assert planned.effective["evictionHard"] == {"memory.available": "100Mi", "nodefs.available": "1Gi"}
    (edit,) = plan(node, {"evictionHard": {"memory.available": "200Mi"}}).edits
    assert '--eviction-hard="memory.available<200Mi,nodefs.available<1Gi"\n' in (edit.after or "")
    node.write(CANONICAL_ARGS, planned.edits[0].after or "")
    assert plan(node, SINGLE).edits == ()


FLAGS = ["/usr/bin/kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--cpu-manager-policy=none"]


@pytest.mark.parametrize("left_over", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_a_kubelet_with_flags_alone_has_no_file(make_node: Make, left_over: bool, running: bool) -> None:
    """As of AKS and RKE1. It has joined its cluster, and what kubeadm may have left is not its file."""
    files = {"/etc/kubernetes/kubelet.conf": "kind: Config\n"}
    if left_over:
        files[examples.CONFIG] = examples.CONFIGURATION
    node = make_node(files=files, services={"kubelet.service": Service(FLAGS)})
    if running:
        node.add_process(7, FLAGS)
    with pytest.raises(ConfigurationError) as caught:
        plan(node, SINGLE)
    assert caught.value.sentence() == (
        f"kubelet's command line: kubelet {'runs' if running else 'is started'} without --config, so no file has its configuration; start "
        f"it with --config={examples.CONFIG}"
    )


def recorded(**changes: t.Any) -> str:
    """The record of one file with an entry; a change is of the record, of `file__...` or of `entry__...`."""
    entry: dict[str, t.Any] = {"path": ["maxPods"], "found": None, "written": 99}
    file: dict[str, t.Any] = {"text": "a", "whole": True, "written": "", "entries": [entry]}
    top: dict[str, t.Any] = {"format": 1, "files": {examples.CONFIG: file}}
    for name, value in changes.items():
        part, _underscores, key = name.rpartition("__")
        {"": top, "file": file, "entry": entry}[part][key] = value
    return json.dumps(top)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "it is nested too deeply"),
        ('{"format": 1, "files": ' + "[" * 100_000, "it is nested too deeply"),
        ("5", "the document is not an object"),
        (recorded(format=True), "format is of another kind"),
        (recorded(format=2), "format 2 is not known"),
        (recorded(files=[]), "files is of another kind"),
        (recorded(files={"etc/x": {}}), "'etc/x' is no path of a file"),
        (recorded(file__text=5), "text is of another kind"),
        (recorded(file__text="\ud800"), "text does not fit"),
        (recorded(file__whole="no"), "whole is of another kind"),
        (recorded(file__written=None), "written is of another kind"),
        (recorded(file__entries={}), "entries is of another kind"),
        (recorded(file__gives_arguments=1), "gives_arguments is of another kind"),
        (recorded(file__gives_arguments=True), "written is of another kind"),
        (recorded(entry__path=[]), "an entry of it is of nothing"),
        (recorded(entry__path=["a", "b", "c"]), "an entry of it is of nothing"),
        (recorded(entry__path="maxPods"), "path is of another kind"),
        (recorded(entry__path=[5]), "path has something that does not belong there"),
    ],
)
def test_a_record_of_another_form_is_one_that_cannot_be_read(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="the record of what was found cannot be read") as caught:
        Record.parse(text)
    assert reason in caught.value.problem


def test_the_record_that_is_altered_is_read() -> None:
    assert json.loads(Record.parse(recorded()).text()) == json.loads(recorded())
