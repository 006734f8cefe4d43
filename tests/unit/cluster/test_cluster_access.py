# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is lacking to speak to the API server is reported all at once."""

from __future__ import annotations

import importlib
import platform
import sys
import typing as t
from email.message import Message
from types import MappingProxyType

import pytest

from ansible_collections.accel.qat.plugins.module_utils._cluster.access import Right, allowed, parse_rights, review
from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import OURS, cordon_patch
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.plugins.modules import cluster_access
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, FakeCluster, Refusal
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller

RIGHTS = [
    {"verb": "get", "resource": "nodes"},
    {"verb": "patch", "resource": "nodes"},
    {"verb": "create", "resource": "pods/eviction"},
    {"verb": "get", "resource": "pods/log", "namespace": "qat"},
]


def one_answer(
    controller: Controller, access: t.Mapping[str, t.Any] = MappingProxyType({}), **question: t.Any
) -> t.Any:
    """To one question; how the API server is reached is `access`."""
    asked = [{"purpose": "test", "node": "node1", **question}]
    (said,) = controller.run(cluster_access, questions=asked, **access)["answers"]
    assert said["purpose"] == "test"
    return said


def test_nothing_is_lacking(controller: Controller, cluster: FakeCluster) -> None:
    for check in (False, True):
        asked = {"purpose": "drain", "node": "node1", "rights": RIGHTS, "packages": ["kubernetes", "jmespath"]}
        found = controller.run(cluster_access, check=check, questions=[asked])
        assert found["changed"] is False
        assert found["answers"] == [{"purpose": "drain", "missing": [], "unknown": [], "ours": False}]
    attributes = [body["spec"]["resourceAttributes"] for method, _path, body in cluster.requests if method == "POST"]
    assert attributes[:4] == [
        {"verb": "get", "resource": "nodes"},
        {"verb": "patch", "resource": "nodes"},
        {"verb": "create", "resource": "pods", "subresource": "eviction"},
        {"verb": "get", "resource": "pods", "subresource": "log", "namespace": "qat"},
    ]
    assert {method for method, _path, _body in cluster.requests} == {"GET", "POST"}


def test_a_cordon_of_a_run_that_failed_is_seen(controller: Controller, cluster: FakeCluster) -> None:
    cluster.cordon()
    assert one_answer(controller)["ours"] is False
    cluster.uncordon()
    cluster.answer("PATCH", "/api/v1/nodes/node1", _merge(), cordon_patch())
    assert one_answer(controller)["ours"] is True
    # By kubectl, which leaves the annotation.
    cluster.uncordon()
    assert cluster.cordoned() == (False, [OURS])
    assert one_answer(controller)["ours"] is False


def _merge() -> Message:
    headers = Message()
    headers["Authorization"] = f"Bearer {TOKEN}"
    headers["Content-Type"] = "application/merge-patch+json"
    return headers


def test_rights_that_are_lacking_are_one_sentence(controller: Controller, cluster: FakeCluster) -> None:
    cluster.forbidden = {"patch nodes", "create pods/eviction", "get pods/log"}
    found = one_answer(controller, rights=RIGHTS)
    (said,) = found["missing"]
    assert said == (
        f"the API server {cluster.url}: these credentials may not patch nodes, create pods/eviction, get pods/log in namespace qat; "
        "give them these rights, see docs/drain.md, docs/verify.md and docs/daemonset.md"
    )


def test_a_node_that_may_not_be_read_is_a_right_that_is_lacking(controller: Controller, cluster: FakeCluster) -> None:
    cluster.refusals["GET /api/v1/nodes/.*"] = Refusal(403, "Forbidden", 'nodes "node1" is forbidden')
    cluster.forbidden = {"get nodes"}
    (said,) = one_answer(controller, rights=RIGHTS)["missing"]
    assert "these credentials may not get nodes; give them" in said
    # Where that right is not among those that are asked for, the refusal itself is reported.
    (said,) = one_answer(controller)["missing"]
    assert "the API server answers 403" in said


def test_another_name_of_the_node_and_rights_at_once(controller: Controller, cluster: FakeCluster) -> None:
    cluster.forbidden = {"patch nodes"}
    first, second = one_answer(controller, node="node7", rights=RIGHTS)["missing"]
    assert first == 'node node7: the API server answers 404: nodes "node7" not found; see that the name is right'
    assert "may not patch nodes;" in second


def test_wrong_credentials_say_so_and_no_more(controller: Controller) -> None:
    (said,) = one_answer(controller, access={"api_key": "wrong"}, rights=RIGHTS)["missing"]
    assert "the API server answers 401" in said


def test_nobody_listens(controller: Controller) -> None:
    (said,) = one_answer(controller, access={"host": "http://127.0.0.1:9"}, rights=RIGHTS)["missing"]
    assert "http://127.0.0.1:9: the API server cannot be reached: " in said


def test_a_kubeconfig_that_cannot_be_used(controller: Controller) -> None:
    (said,) = one_answer(controller, access={"host": None, "kubeconfig": "/none"}, rights=RIGHTS)["missing"]
    assert said.startswith("kubeconfig /none: cannot be used: ")


@pytest.mark.parametrize(
    "answer",
    [
        Refusal(403, "Forbidden", "no reviews for you"),
        Refusal(404, "NotFound", "the server could not find the requested resource"),
        Refusal(500, "InternalError", "etcd"),
    ],
    ids=lambda refusal: str(refusal.status),
)
def test_what_the_server_does_not_say_is_not_lacking(
    controller: Controller, cluster: FakeCluster, answer: Refusal
) -> None:
    cluster.refusals["POST /apis/authorization.*"] = answer
    found = one_answer(controller, access={"wait_timeout": 0}, rights=RIGHTS[:2])
    assert (found["missing"], found["unknown"]) == ([], ["get nodes", "patch nodes"])


@pytest.mark.parametrize(
    ("status", "means"),
    [
        ({"allowed": True}, True),
        ({"allowed": False}, False),
        ({"allowed": False, "denied": True, "evaluationError": "webhook"}, False),
        ({"allowed": False, "evaluationError": "webhook"}, None),
        ({"allowed": "true"}, None),
        ({}, None),
        ("yes", None),
        (None, None),
    ],
)
def test_what_an_answer_means(status: t.Any, means: bool | None) -> None:
    assert allowed({"status": status}) is means


@pytest.mark.parametrize("package", ["kubernetes", "jmespath"])
def test_a_package_that_is_missing(
    controller: Controller, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """What else is lacking is reported with it, as far as it can be asked."""
    real = importlib.import_module

    def without(name: str) -> t.Any:
        if name == package:
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", without)
    if package == "kubernetes":
        monkeypatch.setattr(cluster_access, "HAS_KUBERNETES", False)
    cluster.forbidden = {"patch nodes"}
    found = one_answer(controller, rights=RIGHTS, packages=["kubernetes", "jmespath"])
    assert found["missing"][0] == (
        f"{sys.executable} on {platform.node()}: the Python package {package} is missing; "
        f"install it there, as with {sys.executable} -m pip install {package}"
    )
    assert len(found["missing"]) == (1 if package == "kubernetes" else 2)


@pytest.mark.parametrize(
    ("verb", "resource"), [("Get", "nodes"), ("get", "nodes/"), ("get", "apps/v1/nodes"), ("", "nodes")]
)
def test_a_right_that_is_none(verb: str, resource: str) -> None:
    with pytest.raises(ConfigurationError, match=r"rights\[1\]: .* write it as a role of Kubernetes does"):
        parse_rights([{**RIGHTS[0], "namespace": ""}, {"verb": verb, "resource": resource, "namespace": ""}])


def test_each_question_has_its_answer_and_what_two_ask_is_asked_once(
    controller: Controller, cluster: FakeCluster
) -> None:
    cluster.forbidden = {"patch nodes", "get pods/log"}
    cluster.refusals["GET /api/v1/nodes/node7"] = Refusal(404, "NotFound", 'nodes "node7" not found')
    drain = {"purpose": "drain", "node": "node1", "rights": RIGHTS[:3]}
    verify = {"purpose": "verify", "node": "node1", "rights": [RIGHTS[0], RIGHTS[3]]}
    kubelet = {"purpose": "kubelet", "node": "node7", "rights": RIGHTS[:1]}
    answers = controller.run(cluster_access, questions=[drain, verify, kubelet])["answers"]
    assert [one["purpose"] for one in answers] == ["drain", "verify", "kubelet"]
    assert ["patch nodes;" in answers[0]["missing"][0], len(answers[0]["missing"])] == [True, 1]
    assert ["may not get pods/log in namespace qat;" in answers[1]["missing"][0], len(answers[1]["missing"])] == [
        True,
        1,
    ]
    assert answers[2]["missing"] == [
        'node node7: the API server answers 404: nodes "node7" not found; see that the name is right'
    ]
    asked = [path for method, path, _body in cluster.requests if method == "GET"]
    assert asked == ["/api/v1/nodes/node1", "/api/v1/nodes/node7"]
    assert len([method for method, _path, _body in cluster.requests if method == "POST"]) == len(RIGHTS)


def test_a_server_that_is_away_is_asked_once(controller: Controller, cluster: FakeCluster) -> None:
    cluster.refusals["GET /api/v1/nodes/.*"] = Refusal(401, "Unauthorized", "Unauthorized")
    asked = [{"purpose": purpose, "node": "node1", "rights": RIGHTS} for purpose in ("drain", "verify")]
    first, second = (one["missing"] for one in controller.run(cluster_access, questions=asked)["answers"])
    assert first == second
    assert "the API server answers 401" in first[0]
    assert len(cluster.requests) == 1


def test_a_review_has_no_empty_parts() -> None:
    assert review(Right("get", "nodes"))["spec"] == {"resourceAttributes": {"verb": "get", "resource": "nodes"}}
