# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
import time
import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.plugins.module_utils._cluster.api import Cluster, _words, cluster_of
from ansible_collections.accel.qat.plugins.module_utils._cluster.client import ACCESS
from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import OURS
from ansible_collections.accel.qat.plugins.modules import node_drain
from ansible_collections.accel.qat.tests.unit.cluster.api_server import FakeCluster, Refusal
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller
from ansible_collections.accel.qat.tests.unit.cluster.real_api_server import RealCluster

NODE: dict[str, t.Any] = {"node": "node1"}
BACK: dict[str, t.Any] = {"node": "node1", "state": "schedulable"}
MIRROR = {"kubernetes.io/config.mirror": "4f3c"}
BUDGET = (
    "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget b needs 1 healthy pods and has 1 "
    "currently"
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_drain, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.05)


# There and back, on a real API server where one is named.


def test_drains_and_gives_back(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    any_cluster.add_pod("default/web")
    any_cluster.add_pod("default/db", "StatefulSet")
    any_cluster.add_pod("default/elsewhere", node="node2")
    any_cluster.add_pod("default/agent", "DaemonSet")
    any_cluster.add_pod("default/static", "Node", annotations=MIRROR)
    any_cluster.add_pod("default/job", "Job", "Succeeded")
    done = any_controller.change(node_drain, **NODE)
    assert (done["node"], done["cordoned"], done["evicted"]) == ("node1", True, ["default/db", "default/web"])
    assert done["diff"] == {
        "before": {"unschedulable": False, "pods": ["default/db", "default/web"]},
        "after": {"unschedulable": True, "pods": []},
    }
    assert any_cluster.cordoned() == (True, [OURS])
    assert any_cluster.pod_names() == ["default/agent", "default/elsewhere", "default/job", "default/static"]

    back = any_controller.change(node_drain, **BACK)
    assert (back["cordoned"], back["evicted"]) == (False, [])
    assert (back["diff"]["before"]["unschedulable"], back["diff"]["after"]["unschedulable"]) == (True, False)
    assert any_cluster.cordoned() == (False, [])


def test_only_pods_that_are_named(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    for name in ("default/web", "default/other"):
        any_cluster.add_pod(name)
    any_cluster.add_pod("default/finished", "", "Failed")
    any_cluster.add_pod("default/elsewhere", "StatefulSet", node="node2")
    named = ["default/web", "default/gone", "default/elsewhere", "default/finished", "default/web"]
    done = any_controller.change(node_drain, **NODE, pods=named)
    assert done["evicted"] == ["default/finished", "default/web"]
    assert any_cluster.pod_names() == ["default/elsewhere", "default/other"]


def test_a_budget_that_never_lets_go(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    any_cluster.add_pod("default/web")
    any_cluster.keep("default/web")
    failed = any_controller.run(node_drain, **NODE, wait_timeout=0.4)
    start = "pod default/web: it cannot be evicted within 0.4 seconds, and node node1 stays cordoned: Cannot evict pod as it would"
    assert failed["msg"].startswith(start)
    assert failed["msg"].endswith("; see its PodDisruptionBudget, or raise wait_timeout")
    assert failed["changed"]
    assert any_cluster.pod_names() == ["default/web"]
    assert any_cluster.cordoned() == (True, [OURS])
    # The next run begins where this one ended.
    assert any_controller.run(node_drain, check=True, **NODE)["evicted"] == ["default/web"]
    any_controller.change(node_drain, **BACK)


def test_a_cordon_of_somebody_else_stays(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    any_cluster.cordon()
    done = any_controller.run(node_drain, **NODE)
    assert (done["changed"], done["cordoned"]) == (False, True)
    assert any_cluster.cordoned() == (True, [])
    for check in (True, False):
        back = any_controller.run(node_drain, check=check, **BACK)
        assert (back["changed"], back["cordoned"]) == (False, True)
        assert back["diff"]["before"] == back["diff"]["after"]
    assert any_cluster.cordoned() == (True, [])


def test_a_cordon_of_somebody_else_stays_where_ours_was_taken_back(
    cluster: FakeCluster, controller: Controller
) -> None:
    """By kubectl, which knows of no annotation."""
    controller.change(node_drain, **NODE)
    cluster.uncordon()
    cluster.cordon()
    assert cluster.cordoned() == (True, [OURS])
    for check in (True, False):
        back = controller.run(node_drain, check=check, **BACK)
        assert (back["changed"], back["cordoned"]) == (False, True)
    # Where nobody has cordoned it since, only the annotation is left to go.
    cluster.uncordon()
    assert controller.run(node_drain, **BACK)["changed"]
    assert cluster.cordoned() == (False, [])


def test_another_pod_of_the_same_name(any_cluster: FakeCluster | RealCluster, any_controller: Controller) -> None:
    """It is not evicted in the place of the one that was seen, and counts as gone."""
    any_cluster.add_pod("default/web")
    found = any_controller.access
    module = t.cast(t.Any, _Module(found))
    assert cluster_of(module).evict_pod("default", "web", "0b6e5e4f-4d0c-4f6e-9d5f-8a8f1b2c3d4e") == ""
    assert any_cluster.pod_names() == ["default/web"]
    assert any_controller.run(node_drain, check=True, **NODE)["evicted"] == ["default/web"]


class _Module:
    def __init__(self, params: dict[str, t.Any]) -> None:
        self.params = {**dict.fromkeys(ACCESS), **params}


# What evictions meet.


def test_a_budget_that_lets_go_later(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.budgets["default", "web"] = 2
    assert controller.run(node_drain, **NODE)["evicted"] == ["default/web"]
    assert cluster.pods == {}


def test_the_budget_is_named(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.keep("default/web")
    failed = controller.run(node_drain, **NODE, wait_timeout=0.1)
    assert failed["failure"]["problem"] == (
        f"it cannot be evicted within 0.1 seconds, and node node1 stays cordoned: {BUDGET}"
    )


def test_too_many_requests_without_a_reason(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.refusals["POST .*/eviction"] = Refusal(429, "TooManyRequests", "")
    failed = controller.run(node_drain, **NODE, wait_timeout=0.1)
    assert "stays cordoned: the API server gives no reason; see" in failed["msg"]


def test_a_pod_that_does_not_end(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.delete_takes = None
    failed = controller.run(node_drain, **NODE, wait_timeout=0.2)
    assert failed["changed"]
    assert failed["msg"] == (
        "pod default/web: it is evicted and still there after 0.2 seconds, and node node1 stays cordoned; "
        "see that kubelet runs on the node, or raise wait_timeout"
    )
    # On its way by now: nothing is left to do but to wait.
    checked = controller.run(node_drain, check=True, **NODE)
    assert (checked["changed"], checked["evicted"]) == (False, [])
    assert "still there after 0.2" in controller.run(node_drain, **NODE, wait_timeout=0.2)["msg"]
    cluster.delete_takes = 0.1
    assert not controller.run(node_drain, **NODE)["changed"]
    assert cluster.pods == {}


def test_a_successor_of_the_same_name_is_another_pod(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/db", "StatefulSet")
    cluster.pod_gone = lambda _pod: cluster.add_pod("default/db", "StatefulSet", node="node2")
    assert controller.run(node_drain, **NODE, pods=["default/db"])["evicted"] == ["default/db"]
    assert cluster.pod_names() == ["default/db"]


def test_a_pod_that_goes_by_itself(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.refusals["POST .*/eviction"] = Refusal(404, "NotFound", 'pods "web" not found')

    def end_after_the_eviction() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(path.endswith("/eviction") for _, path, _ in cluster.requests):
            time.sleep(0.02)
        cluster.pods.clear()

    end = threading.Thread(target=end_after_the_eviction)
    end.start()
    assert controller.run(node_drain, **NODE)["evicted"] == ["default/web"]
    end.join()


ENDING = Refusal(
    403,
    "Forbidden",
    'pods "web" is forbidden: unable to create new content in namespace default because it is being terminated',
    "namespace default is being terminated",
)
CONFLICT = Refusal(
    409,
    "Conflict",
    'Operation cannot be fulfilled on pods "web": the object has been modified; please apply your changes',
)


@pytest.mark.parametrize("refusal", [ENDING, CONFLICT], ids=["a namespace that ends", "a conflict"])
def test_what_may_be_another_answer_later(cluster: FakeCluster, controller: Controller, refusal: Refusal) -> None:
    cluster.add_pod("default/web")
    cluster.refusals["POST .*/eviction"] = refusal
    failed = controller.run(node_drain, **NODE, wait_timeout=0.3)
    assert failed["msg"].startswith(
        f"pod default/web: it cannot be evicted within 0.3 seconds, and node node1 stays cordoned: {refusal}"
    )
    taken_away = threading.Timer(0.3, cluster.refusals.clear)
    taken_away.start()
    assert controller.run(node_drain, **NODE)["evicted"] == ["default/web"]
    taken_away.join()
    assert cluster.pods == {}


def test_no_right_to_evict(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.refusals["POST .*/eviction"] = Refusal(403, "Forbidden", "pods/eviction is forbidden")
    failed = controller.run(node_drain, **NODE)
    assert failed["msg"] == (
        "pod default/web: the API server answers 403: pods/eviction is forbidden, and node node1 stays cordoned; "
        "give these credentials the right to do that, see docs/extended_resources.md, docs/verify.md, "
        "docs/drain.md and docs/daemonset.md"
    )
    assert failed["changed"]


# An API server that is away for a while, as it is while its own node reboots.


def test_it_comes_back_once_the_node_is_cordoned(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.absences = {"POST .*/eviction": 2}
    assert controller.run(node_drain, **NODE)["evicted"] == ["default/web"]
    assert cluster.pods == {}
    cluster.absences = {"GET .*": 2, "PATCH .*": 1}
    assert controller.run(node_drain, **BACK)["changed"]
    assert cluster.cordoned() == (False, [])


def test_it_does_not_come_back(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.absences = {"POST .*/eviction": float("inf")}
    failed = controller.run(node_drain, **NODE, wait_timeout=0.2)
    assert failed["msg"].startswith(f"{cluster.url}: the API server cannot be reached: ")
    assert ", and node node1 stays cordoned; see that the address is right" in failed["msg"]
    assert failed["changed"]


def test_an_address_at_which_nobody_answers_is_not_waited_for(
    controller: Controller, nobody: tuple[str, list[str]]
) -> None:
    host, asked = nobody
    assert "cannot be reached" in controller.run(node_drain, **NODE, host=host)["msg"]
    assert len(asked) == 1


def test_it_is_away_while_the_node_is_cordoned(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    cluster.absences = {"PATCH .*": 2}
    assert controller.run(node_drain, **NODE)["evicted"] == ["default/web"]


def test_a_cordon_that_cannot_be_taken_back_is_reported(cluster: FakeCluster, controller: Controller) -> None:
    cluster.refusals["GET .*"] = Refusal(500, "InternalError", "etcd is ill")
    failed = controller.run(node_drain, **BACK, wait_timeout=0)
    assert failed["msg"].startswith(
        "node node1: the API server answers 500: etcd is ill, and node node1 stays cordoned if it is; "
    )


@pytest.mark.parametrize(("status", "waits"), [(500, True), (502, True), (503, True), (504, True), (403, False)])
def test_a_refusal_that_says_that_it_is_away(
    cluster: FakeCluster, controller: Controller, status: int, waits: bool
) -> None:
    cluster.refusals["GET .*"] = Refusal(status, "", "etcd is away")
    failed = controller.run(node_drain, **BACK, wait_timeout=2)
    assert f"the API server answers {status}: etcd is away" in failed["msg"]
    assert (len(cluster.requests) > 1) == waits


def test_two_budgets_for_one_pod_are_not_waited_for(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    words = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    cluster.refusals["POST .*/eviction"] = Refusal(500, "InternalError", words)
    failed = controller.run(node_drain, **NODE)
    assert failed["msg"].startswith(
        f"pod default/web: the API server answers 500: {words}, and node node1 stays cordoned"
    )
    assert len([path for method, path, _ in cluster.requests if method == "POST"]) == 1


def test_a_pod_that_comes_before_the_cordon(
    cluster: FakeCluster, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.add_pod("default/web")
    patch = Cluster.patch_node

    def late(self: Cluster, name: str, body: t.Any) -> t.Any:
        cluster.add_pod("default/late")
        cluster.add_pod("default/bare", "")
        return patch(self, name, body)

    monkeypatch.setattr(Cluster, "patch_node", late)
    failed = controller.run(node_drain, **NODE)
    assert failed["msg"] == (
        "node node1: pod default/bare without a controller would not be started again elsewhere, and node node1 stays cordoned; "
        "delete what is no longer needed, or set force to evict all the same"
    )
    done = controller.run(node_drain, **NODE, force=True)
    assert done["evicted"] == ["default/bare", "default/late", "default/web"]


# Refused before the cordon.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {},
            (
                "pods default/bare, default/lonely without a controller would not be started again elsewhere; "
                "delete what is no longer needed, or set force to evict all the same"
            ),
        ),
        (
            {"pods": ["default/bare", "default/web"]},
            (
                "pod default/bare without a controller would not be started again elsewhere; "
                "delete what is no longer needed, or set force to evict all the same"
            ),
        ),
        (
            {"pods": ["default/agent"], "force": True},
            (
                "pod default/agent of a DaemonSet would be started here again at once; "
                "keep the DaemonSet away from the node first, by its nodeSelector or affinity"
            ),
        ),
        (
            {"pods": ["default/static"], "force": True},
            (
                "pod default/static from a manifest on the node cannot be evicted; "
                "take the manifest out of kubelet's directory of static pods first"
            ),
        ),
    ],
)
def test_what_is_refused(
    cluster: FakeCluster, controller: Controller, arguments: dict[str, t.Any], message: str
) -> None:
    cluster.add_pod("default/web")
    cluster.add_pod("default/bare", "")
    cluster.add_pod("default/lonely", "")
    cluster.add_pod("default/agent", "DaemonSet")
    cluster.add_pod("default/static", "", annotations=MIRROR)
    for check in (True, False):
        failed = controller.run(node_drain, check=check, **NODE, **arguments)
        assert failed["msg"] == f"node node1: {message}"
        assert not failed["changed"]
    assert cluster.cordoned() == (False, [])
    assert len(cluster.pods) == 5


def test_force_evicts_bare_pods(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/bare", "")
    assert controller.change(node_drain, **NODE, force=True)["evicted"] == ["default/bare"]


@pytest.mark.parametrize("entry", ["web", "default/", "/web", "default/Web", "a/b/c", "with uid 4f3c"])
def test_what_names_no_pod(cluster: FakeCluster, controller: Controller, entry: str) -> None:
    failed = controller.run(node_drain, **NODE, pods=["default/web", entry])
    assert failed["msg"] == f"pods[1]: {entry!r} does not name a pod; write namespace/name"
    assert cluster.requests == []


def test_a_node_that_is_not_there(controller: Controller) -> None:
    failed = controller.run(node_drain, node="node9")
    assert failed["msg"] == (
        'node node9: the API server answers 404: nodes "node9" not found; see that the name is right'
    )


# Cordons.


def test_no_pods_is_a_cordon_alone(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    assert controller.change(node_drain, **NODE, pods=[])["evicted"] == []
    assert cluster.pod_names() == ["default/web"]


def test_check_mode_writes_nothing(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    controller.run(node_drain, check=True, **NODE)
    cluster.cordon()
    controller.run(node_drain, check=True, **BACK)
    assert {method for method, _path, _body in cluster.requests} == {"GET"}


def test_a_mark_that_is_left_after_somebody_else_gave_the_node_back(
    cluster: FakeCluster, controller: Controller
) -> None:
    """It goes, so that no later cordon is taken for ours."""
    controller.run(node_drain, **NODE)
    cluster.uncordon()
    assert cluster.cordoned() == (False, [OURS])
    assert controller.run(node_drain, **BACK)["changed"]
    assert cluster.cordoned() == (False, [])
    assert not controller.run(node_drain, **BACK)["changed"]


def test_other_annotations_stay(cluster: FakeCluster, controller: Controller) -> None:
    before = controller.run(node_drain, **NODE) and cluster.annotations() - {OURS}
    assert before
    controller.run(node_drain, **BACK)
    assert cluster.annotations() == before


# Words and results.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "no"}', "no"),
        (b'{"message": "no: too big", "details": {"causes": [{"message": "too big"}, {}]}}', "no: too big"),
        (b'{"message": "no", "details": {"causes": [{"message": "b needs 1"}]}}', "no b needs 1"),
        (b'{"message": "no", "details": null}', "no"),
        (b'{"message": "no", "details": "x"}', '{"message": "no", "details": "x"}'),
        (b"<html>\n busy", "<html> busy"),
        (None, ""),
    ],
)
def test_what_the_api_server_says(body: bytes | None, words: str) -> None:
    assert _words(body) == words


def test_results_are_documented(cluster: FakeCluster, controller: Controller) -> None:
    cluster.add_pod("default/web")
    described = yaml.safe_load(node_drain.RETURN)
    result = controller.run(node_drain, **NODE)
    assert set(result) - {"changed", "diff", "invocation"} == set(described) - {"failure"}
    cluster.add_pod("default/bare", "")
    failure = controller.run(node_drain, **NODE)["failure"]
    assert set(described["failure"]["sample"]) <= set(failure)
