# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook site begins nothing that it cannot end: what the controller needs comes first, and a failed node says where it stands."""

from __future__ import annotations

import sys
import tempfile
import typing as t
from email.message import Message
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import OURS, cordon_patch
from ansible_collections.accel.qat.tests.controller.controller import Run
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import COMPRESSION, EVICT, GIVE_BACK, STATIC, Site
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import names as names_of
from ansible_collections.accel.qat.tests.unit.cluster.site import VF0
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

REFUSE = "Refuse to begin what cannot be ended"
ASK = "Ask the API server what is lacking"
SAID = "Say what became of the node that failed"
NODE: dict[str, t.Any] = {
    "qat_kubernetes": True,
    "qat_drain": True,
    "qat_device_plugin_python": sys.executable,
    "qat_node_devices": COMPRESSION,
}


class Lacking(Site):
    """A controller whose Python lacks these packages, and whose cache of releases is empty."""

    packages: tuple[str, ...] = ()
    more: t.Mapping[str, str] = {}

    def environment(self) -> dict[str, str]:
        there = super().environment()
        lacks = self.root / "lacks"
        lacks.mkdir(exist_ok=True)
        for name in self.packages:
            (lacks / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
        path = f"{lacks}:{there['PYTHONPATH']}"
        return {**there, "PYTHONPATH": path, "ACCEL_QAT_CACHE": str(self.root / "cache"), **self.more}


@pytest.fixture
def site() -> t.Iterator[Lacking]:
    with tempfile.TemporaryDirectory(prefix="qpr") as directory:
        made = Lacking(Path(directory))
        yield made
        made.close()


def refused(run: Run) -> list[str]:
    """The sentences with which the run refused to begin."""
    assert run.code != 0, run.output
    (task,) = (task for task in run.tasks if task.name == REFUSE)
    assert task.outcome == "failed"
    said: list[str] = task.result["msg"]
    first, *sentences = said
    assert first == "nothing was changed on node1, since the controller lacks what the run needs"
    return list(sentences)


@pytest.mark.core
def test_all_that_is_lacking_is_reported_at_once_before_anything_is_changed(site: Lacking) -> None:
    """No package, no pip index, rights that are missing."""
    site.give("default/one", VF0)
    site.packages = ("jmespath",)
    site.more = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(site.root / "no-wheels")}
    site.cluster.forbidden = {"create pods/eviction", "delete pods"}
    run = site.site(qat_verify=True, **NODE)
    plugin, *rest = refused(run)
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in plugin
    assert [text.partition(": ")[2].partition(";")[0] for text in rest] == [
        "these credentials may not create pods/eviction",
        "the Python package jmespath is missing",
        "these credentials may not delete pods in namespace default",
    ]
    assert not any(task.changed for task in run.tasks), run.output
    assert {method for method, path, _body in site.cluster.requests if "authorization" not in path} == {"GET"}
    assert (site.cluster.pod_names(), site.cluster.cordoned()) == (["default/one"], (False, []))


@pytest.mark.parametrize(
    ("flags", "proved"),
    [
        (("--tags", "node"), {"drain"}),
        (("--tags", "drain"), {"drain"}),
        (("--tags", "uncordon"), {"drain"}),
        (("--tags", "verify"), {"verify"}),
        (("--tags", "device_plugin"), {"device_plugin"}),
    ],
)
def test_what_a_tag_leaves_out_is_not_asked_for(site: Lacking, flags: tuple[str, ...], proved: set[str]) -> None:
    run = site.site("--check", *flags, qat_verify=True, **{**NODE, "qat_device_plugin_release": "0.0.1-never"})
    asked = {
        question["purpose"]
        for task in run.tasks
        if task.name == ASK
        for question in task.result["invocation"]["module_args"]["questions"]
    }
    plugin = {
        "device_plugin" for task in run.tasks if task.name.endswith(": Ask for the node's Python and architecture")
    }
    assert asked | plugin == proved, run.output


def test_a_cluster_that_does_not_answer_is_reported_once(site: Lacking) -> None:
    """To drain as to verify."""
    site.give("default/one", VF0)
    site.more = {"K8S_AUTH_HOST": "http://127.0.0.1:9"}
    run = site.site("--skip-tags", "device_plugin", qat_verify=True, **NODE)
    (said,) = refused(run)
    assert said.startswith("http://127.0.0.1:9: the API server cannot be reached: ")


@pytest.mark.core
def test_a_node_on_which_nothing_was_changed_is_given_back(site: Lacking) -> None:
    site.give("default/one", VF0)
    gone = site.cluster.pod_gone

    def taken(pod: dict[str, t.Any]) -> None:
        """Somebody else takes the VF when the pod has left."""
        site.open(VF0)
        gone(pod)

    site.cluster.pod_gone = taken
    run = site.site("--tags", "node", **NODE)
    assert run.code != 0
    assert {EVICT, GIVE_BACK} <= set(names_of(run))
    assert run.tasks[-1].name == SAID
    assert "4711" in run.tasks[-1].message
    assert run.tasks[-1].message.endswith("; node node1 was given back to its pods, since nothing was changed on it")
    assert site.cluster.cordoned() == (False, [])


def test_what_an_earlier_run_left_cordoned_stays_so_and_is_reported(site: Lacking) -> None:
    site.give("default/one", VF0)
    site.cluster.keep("default/one")
    first = site.site("--tags", "node", **{**NODE, "qat_drain_timeout": 1})
    # Once, by the module itself.
    assert first.tasks[-1].message.count("stays cordoned") == 1
    wrong = [{"services": ["dc", "dcc"]}]
    second = site.site("--tags", "node", **{**NODE, "qat_node_devices": wrong})
    assert second.tasks[-1].message.endswith(
        "; node node1 stays cordoned, since an earlier run that failed has left it so; "
        "fix that and run again, which gives it back, or give it back as it is with --tags uncordon"
    )
    assert site.cluster.cordoned() == (True, [OURS])


def test_what_stays_cordoned_is_said_where_a_node_of_another_batch_lets_none_begin(site: Lacking) -> None:
    headers = Message()
    headers["Authorization"] = f"Bearer {TOKEN}"
    headers["Content-Type"] = "application/merge-patch+json"
    site.cluster.answer("PATCH", "/api/v1/nodes/node1", headers, cordon_patch())
    site.nodes = {"node1": {}, "node2": {"qat_drian": True}}
    run = site.site("--tags", "node", qat_serial=1, **NODE)
    first, misspelt, *rest = run.tasks[-1].result["msg"]
    assert first.startswith("nothing was changed on any node")
    assert misspelt.startswith("node2: qat_drian is not a variable")
    assert rest == [
        "node1: it stays cordoned, since an earlier run that failed has left it so; --tags uncordon gives it back as it is",
        "put that in order, or leave these nodes out with --limit '!node2'",
    ]
    assert site.cluster.cordoned() == (True, [OURS])
    given_back = site.site("--tags", "uncordon", "--limit", "!node2", qat_serial=1, **NODE)
    assert given_back.code == 0, given_back.output
    assert site.cluster.cordoned() == (False, [])


@pytest.mark.usefixtures("kubelet")
def test_a_node_that_was_changed_stays_cordoned_and_is_reported(site: Lacking) -> None:
    site.give("default/other")
    given = {**NODE, "qat_node_devices": [{}], "qat_kubelet_configuration": STATIC, "qat_kubelet_timeout": 20}
    run = site.site("--tags", "kubelet,device_plugin", **given, qat_device_plugin_release="0.0.1-never")
    assert run.code != 0
    assert EVICT in names_of(run)
    assert run.tasks[-1].message.startswith("qat_device_plugin_release: the node has no release 0.0.1-never")
    assert run.tasks[-1].message.endswith(
        "; node node1 stays cordoned, since something was changed on it before that; "
        "fix that and run again, which gives it back, or give it back as it is with --tags uncordon"
    )
    assert site.cluster.cordoned() == (True, [OURS])


@pytest.mark.usefixtures("kubelet")
def test_a_verification_that_fails_does_not_give_a_changed_node_back(site: Lacking) -> None:
    """It looks at kubelet itself, and finds that nothing is left to do."""
    site.give("default/other")
    given = {**NODE, "qat_node_devices": [{}], "qat_kubelet_configuration": STATIC, "qat_kubelet_timeout": 20}
    expectations = [{"name": "the node's name", "query": "metadata.name", "equals": "another"}]
    run = site.site(
        "--tags", "kubelet,verify", **given, qat_verify=True, qat_verify_pod=False, qat_verify_expectations=expectations
    )
    assert run.code != 0
    assert EVICT in names_of(run)
    assert "the node's name is node1 and should be another" in run.tasks[-1].message
    assert "; node node1 stays cordoned, since something was changed on it before that; " in run.tasks[-1].message
    assert site.cluster.cordoned() == (True, [OURS])


def test_a_node_that_was_not_drained_fails_with_its_own_words(site: Lacking) -> None:
    site.cluster.cordon()
    wrong = [{"services": ["dc", "dcc"]}]
    run = site.site("--tags", "node", **{**NODE, "qat_node_devices": wrong})
    failed, said = (task for task in run.tasks if task.outcome == "failed")
    assert (said.name, said.message) == (SAID, failed.message)
    assert site.cluster.cordoned() == (True, [])


@pytest.mark.parametrize(("role", "page"), [("qat_drain", "drain.md"), ("qat_verify", "verify.md")])
def test_the_rights_are_those_of_the_page(role: str, page: str) -> None:
    variables = yaml.safe_load((CHECKOUT / "roles" / role / "vars/main.yml").read_text())
    rights = [right for name in variables if "_rights" in name for right in variables[name] if isinstance(right, dict)]
    text = (CHECKOUT / "docs" / page).read_text()
    block = next(block for block in text.split("```yaml\n")[1:] if block.startswith("- apiGroups"))
    documented = {
        (verb, rule["resources"][0]) for rule in yaml.safe_load(block.partition("```")[0]) for verb in rule["verbs"]
    }
    if role == "qat_verify":
        rights.append({"verb": "get", "resource": "nodes"})
    assert {(right["verb"], right["resource"]) for right in rights} == documented
