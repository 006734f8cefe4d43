# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.plugins.module_utils._cluster.daemonset import pods_of, why_not_ready
from ansible_collections.accel.qat.plugins.modules import node_daemonset
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller
from ansible_collections.accel.qat.tests.unit.cluster.daemonset_cluster import DaemonsetCluster
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

NAME, NAMESPACE = "accel-qat-device-plugin", "accel-qat"
WHERE: dict[str, t.Any] = {
    "node": "node1",
    "name": NAME,
    "namespace": NAMESPACE,
    "label": "accel.qat/device-plugin",
    "value": "daemonset",
}
DEFINITION = yaml.safe_load((CHECKOUT / "deploy/kubernetes/base/daemonset.yaml").read_text())
PRESENT = {**WHERE, "definition": DEFINITION}
ABSENT = {**WHERE, "state": "absent"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_daemonset, "LOOK_SECONDS", 0.05)


@pytest.fixture
def site() -> t.Iterator[DaemonsetCluster]:
    made = DaemonsetCluster()
    yield made
    made.close()


@pytest.fixture
def run(site: DaemonsetCluster, capsys: pytest.CaptureFixture[str]) -> Controller:
    return Controller({"host": site.url, "api_key": TOKEN}, capsys)


def with_image(image: str) -> dict[str, t.Any]:
    definition = copy.deepcopy(DEFINITION)
    definition["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return {**WHERE, "definition": definition}


def test_there_and_back(site: DaemonsetCluster, run: Controller) -> None:
    done = run.change(node_daemonset, **PRESENT)
    assert (done["node"], done["labelled"]) == ("node1", True)
    assert site.labels() == {"accel.qat/device-plugin": "daemonset"}
    assert site.namespaces[NAMESPACE]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    made = site.daemonsets[NAMESPACE, NAME]["spec"]
    assert made["template"]["spec"]["nodeSelector"] == {"accel.qat/device-plugin": "daemonset"}
    assert made["updateStrategy"] == DEFINITION["spec"]["updateStrategy"]
    assert [name for name in site.pod_names() if name.startswith(NAMESPACE)] == [f"{NAMESPACE}/{NAME}-1"]

    back = run.change(node_daemonset, **ABSENT)
    assert not back["labelled"]
    assert back["pods"] == [f"{NAME}-1"]
    assert back["diff"]["before"] == {"label": "daemonset", "daemonset": True}
    assert (site.labels(), site.daemonsets) == ({}, {})
    assert site.pod_names() == []


def test_another_image_is_waited_for_and_nothing_else_of_others_is_taken(
    site: DaemonsetCluster, run: Controller
) -> None:
    run.change(node_daemonset, **PRESENT)
    site.daemonsets[NAMESPACE, NAME]["metadata"]["annotations"]["theirs"] = "1"
    site.daemonsets[NAMESPACE, NAME]["metadata"]["labels"]["theirs"] = "2"
    assert not run.run(node_daemonset, **PRESENT)["changed"]
    done = run.change(node_daemonset, **with_image("registry.example/plugin:2"))
    containers = [
        done["diff"][when]["daemonset"]["spec"]["template"]["spec"]["containers"][0] for when in ("before", "after")
    ]
    assert containers[1]["image"] == "registry.example/plugin:2" != containers[0]["image"]
    assert site.pod_names() == [f"{NAMESPACE}/{NAME}-2"]
    metadata = site.daemonsets[NAMESPACE, NAME]["metadata"]
    assert (metadata["annotations"]["theirs"], metadata["labels"]["theirs"]) == ("1", "2")


def test_a_pod_that_does_not_come_up_is_reported_with_its_last_words(site: DaemonsetCluster, run: Controller) -> None:
    site.comes_up = False
    site.container = {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"message": "qat-device-plugin: deployed\nalready"}},
    }
    failed = run.run(node_daemonset, **PRESENT, wait_timeout=0.5)
    assert failed["changed"]
    assert failed["msg"] == (
        f"daemonset {NAMESPACE}/{NAME} on node node1: it is not ready within 0.5 seconds: pod {NAME}-1 is not ready: "
        "qat-device-plugin: deployed already (0 of 1 nodes have the present one); see kubectl describe daemonset, or raise wait_timeout"
    )
    assert not run.run(node_daemonset, **PRESENT, wait=False)["changed"]


def test_the_nodes_before_this_one_have_their_time(site: DaemonsetCluster, run: Controller) -> None:
    """No second passes without another node that has it."""
    site.others = [f"node{number}" for number in range(2, 6)]
    site.comes_up = False
    assert "(0 of 5 nodes have the present one)" in run.run(node_daemonset, **PRESENT, wait_timeout=0)["msg"]
    site.later = 5
    assert run.run(node_daemonset, **PRESENT, wait_timeout=0)["labelled"]
    assert site.later == 0


@pytest.mark.parametrize(("others", "is_short"), [(["node2"], False), (["node2", "node3"], False), (["node2"], True)])
def test_the_daemonset_stays_for_other_nodes(
    site: DaemonsetCluster, run: Controller, others: list[str], is_short: bool
) -> None:
    """Of which no more than one is asked for."""
    run.change(node_daemonset, **PRESENT)
    site.others = others
    site.is_short = is_short
    run.change(node_daemonset, **ABSENT)
    assert (NAMESPACE, NAME) in site.daemonsets
    assert NAMESPACE in site.namespaces
    site.others = []
    run.change(node_daemonset, **PRESENT)
    site.delete_takes = None
    failed = run.run(node_daemonset, **ABSENT, wait_timeout=0.3)
    assert f"its pod is still there after 0.3 seconds: {NAME}-" in failed["msg"]
    assert (NAMESPACE, NAME) in site.daemonsets


def test_the_namespace_stays_as_others_may_have_something_in_it(site: DaemonsetCluster, run: Controller) -> None:
    run.change(node_daemonset, **PRESENT)
    run.change(node_daemonset, **ABSENT)
    assert (site.daemonsets, NAMESPACE in site.namespaces) == ({}, True)
    assert "DELETE" not in {
        method for method, path, _body in site.requests if "/namespaces/" in path and "daemonsets" not in path
    }
    in_default = {**PRESENT, "namespace": "default"}
    done = run.run(node_daemonset, **in_default)
    assert done["diff"]["before"]["pod_security"] is None is done["diff"]["after"]["pod_security"]
    run.change(node_daemonset, **{**ABSENT, "namespace": "default"})
    assert "default" in site.namespaces


def test_what_a_broken_off_run_has_left_is_removed(site: DaemonsetCluster, run: Controller) -> None:
    run.change(node_daemonset, **PRESENT)
    del site.daemonsets[NAMESPACE, NAME]
    run.change(node_daemonset, **ABSENT)
    assert site.labels() == {}
    assert not run.run(node_daemonset, **ABSENT)["changed"]


@pytest.mark.parametrize(("labels", "by"), [({}, ""), ({"app.kubernetes.io/managed-by": "Helm"}, ", Helm")])
def test_a_daemonset_of_others_is_refused_and_stays(
    site: DaemonsetCluster, run: Controller, labels: dict[str, str], by: str
) -> None:
    site.add_daemonset(NAMESPACE, NAME, labels, copy.deepcopy(DEFINITION["spec"]))
    failed = run.run(node_daemonset, **PRESENT)
    assert failed["msg"] == (
        f"daemonset {NAMESPACE}/{NAME}: somebody else has made this DaemonSet{by}; "
        "remove it, or leave it to that and set qat_device_plugin_deploy to none"
    )
    assert failed["failure"]["kind"] == "refused"
    assert not failed["changed"]
    left = run.run(node_daemonset, **ABSENT)
    assert (left["changed"], left["pods"]) == (False, [])
    assert (NAMESPACE, NAME) in site.daemonsets


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(
    site: DaemonsetCluster, run: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.01)
    for way, methods in ((PRESENT, ("GET .*/pods.*", "POST .*", "PATCH .*")), (ABSENT, ("PATCH .*", "DELETE .*"))):
        site.absences = dict.fromkeys(methods, 1)
        assert run.run(node_daemonset, **way)["changed"]
        assert set(site.absences.values()) == {0}


def test_an_address_at_which_nobody_answers_is_not_waited_for(run: Controller, nobody: tuple[str, list[str]]) -> None:
    host, asked = nobody
    assert "cannot be reached" in run.run(node_daemonset, **PRESENT, host=host)["msg"]
    assert len(asked) == 1


def test_a_node_that_the_cluster_does_not_have_has_no_label_to_remove(site: DaemonsetCluster, run: Controller) -> None:
    run.change(node_daemonset, **PRESENT)
    gone = {**ABSENT, "node": "gone"}
    assert not run.run(node_daemonset, **gone)["changed"]
    assert site.labels()
    assert "not found" in run.run(node_daemonset, **{**PRESENT, "node": "gone"})["msg"]


def test_a_definition_is_needed(run: Controller) -> None:
    assert "definition" in run.run(node_daemonset, **WHERE)["msg"]


# When its pod is ready.

TEMPLATE = {"containers": [{"image": "i:2", "env": [{"name": "A", "value": "1"}]}]}
DAEMONSET: dict[str, t.Any] = {
    "metadata": {"generation": 2},
    "spec": {"template": {"spec": TEMPLATE}},
    "status": {"observedGeneration": 2},
}


def pod(name: str = "p", image: str = "i:2", ready: bool = True, **metadata: t.Any) -> dict[str, t.Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "n",
            "ownerReferences": [{"kind": "DaemonSet", "name": "d"}],
            **metadata,
        },
        "spec": {"containers": [{**TEMPLATE["containers"][0], "image": image}]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready), "message": "" if ready else "no VF"}]},
    }


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([pod()], ""),
        ([], "it has no pod there"),
        ([pod(image="i:1")], "its pod there is of the former template"),
        ([pod(deletionTimestamp="now")], "its pod there is of the former template"),
        ([pod("old", "i:1"), pod()], "the pod before is still there"),
        ([pod("old", "i:1"), pod(ready=False)], "pod p is not ready: no VF"),
        ([pod(ready=False)], "pod p is not ready: no VF"),
        ([{**pod(ready=False), "status": {}}], "pod p is not ready"),
    ],
)
def test_when_a_pod_is_ready(pods: list[dict[str, t.Any]], why: str) -> None:
    assert why_not_ready(DAEMONSET, pods) == why
    unseen = {**DAEMONSET, "status": {"observedGeneration": 1}}
    assert why_not_ready(unseen, pods) == "the controller has not seen it yet"


@pytest.mark.parametrize(
    ("label", "image", "is_current"),
    [("3", "of-a-webhook:2", True), ("2", "i:1", False), ("1", "i:2", True), (None, "i:2", True), (None, "i:1", False)],
)
def test_a_pod_is_of_the_template_that_it_was_made_of(label: str | None, image: str, is_current: bool) -> None:
    """Whatever a webhook has made of it. One that was made before the template changed and came back is of it, too."""
    metadata = {**DAEMONSET["metadata"], "annotations": {"deprecated.daemonset.template.generation": "3"}}
    labels = {"pod-template-generation": label} if label else {}
    why = why_not_ready({**DAEMONSET, "metadata": metadata}, [pod(image=image, labels=labels)])
    assert why == ("" if is_current else "its pod there is of the former template")


def test_whose_pods_they_are() -> None:
    other = pod(ownerReferences=[{"kind": "ReplicaSet", "name": "d"}])
    assert pods_of([pod(), other, pod(namespace="m"), pod(ownerReferences=None)], "d", "n") == [pod()]
