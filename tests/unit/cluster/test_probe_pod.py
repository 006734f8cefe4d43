# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._cluster import api
from ansible_collections.accel.qat.plugins.module_utils._cluster.pod import SCRIPT, Seen, seen
from ansible_collections.accel.qat.plugins.modules import probe_pod
from ansible_collections.accel.qat.tests.unit.cluster.api_server import FakeCluster, JsonObject, Refusal
from ansible_collections.accel.qat.tests.unit.cluster.conftest import Controller

CY = "qat.intel.com/cy"
VF = "0000:6b:00.1"
LOG = f"""
-- environment
QAT0={VF}
PCIDEVICE_QAT_INTEL_COM_CY={VF}
-- device nodes
/dev/vfio/vfio
/dev/vfio/8
-- end
"""
KEY = ("default", "p")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster) -> None:
    monkeypatch.setattr(probe_pod, "LOOK_SECONDS", 0.02)
    cluster.sees_pods_at_once = True
    cluster.run_pod = lambda _pod: ({"phase": "Running"}, LOG)


def present(**others: t.Any) -> dict[str, t.Any]:
    return {"name": "p", "node": "node1", "image": "busybox", "resources": [CY], **others}


ABSENT: dict[str, t.Any] = {"name": "p", "state": "absent"}


def test_runs_and_is_deleted(cluster: FakeCluster, controller: Controller) -> None:
    assert controller.run(probe_pod, check=True, **present())["changed"]
    assert cluster.pods == {}
    result = controller.run(probe_pod, **present())
    assert result["changed"]
    assert result["pod"] == {"namespace": "default", "name": "p", "node": "node1", "container": "test"}
    assert result["environment"] == {"QAT0": VF, "PCIDEVICE_QAT_INTEL_COM_CY": VF}
    assert result["device_nodes"] == ["/dev/vfio/8", "/dev/vfio/vfio"]
    assert controller.run(probe_pod, check=True, **ABSENT)["changed"]
    assert list(cluster.pods) == [KEY]
    assert controller.run(probe_pod, **ABSENT)["changed"]
    assert cluster.pods == {}
    assert not controller.run(probe_pod, **ABSENT)["changed"]


@pytest.mark.parametrize("request_of_it", ["POST .*", "GET .*/log", "DELETE .*"])
@pytest.mark.parametrize("kind", ["absences", "losses"])
def test_an_api_server_that_is_away_for_a_while(
    cluster: FakeCluster, controller: Controller, monkeypatch: pytest.MonkeyPatch, kind: str, request_of_it: str
) -> None:
    """A pod whose creation was answered by nobody is there all the same, and one that is gone was deleted."""
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.02)
    setattr(cluster, kind, {request_of_it: 2})
    assert controller.run(probe_pod, **present())["environment"]["QAT0"] == VF
    assert controller.run(probe_pod, **ABSENT)["changed"]
    assert cluster.pods == {}


@pytest.mark.parametrize(
    ("absences", "message"),
    [(0, "the API server answers 409: "), (1, "it is there, and none of this module's; choose another name")],
)
def test_a_pod_that_somebody_else_has_made_meanwhile(
    cluster: FakeCluster, controller: Controller, monkeypatch: pytest.MonkeyPatch, absences: int, message: str
) -> None:
    monkeypatch.setattr(api, "AWAY_SECONDS", 0.02)
    cluster.absences = {"POST .*": absences}
    create = api.Cluster.create_pod

    def late(self: api.Cluster, namespace: str, pod: t.Any) -> t.Any:
        cluster.add_pod("default/p")
        return create(self, namespace, pod)

    monkeypatch.setattr(api.Cluster, "create_pod", late)
    assert message in controller.run(probe_pod, **present())["msg"]
    assert list(cluster.pods) == [KEY]


def test_an_api_server_that_cannot_be_reached_is_not_waited_for(
    controller: Controller, nobody: tuple[str, list[str]]
) -> None:
    host, asked = nobody
    assert "cannot be reached" in controller.run(probe_pod, **present(host=host))["msg"]
    assert len(asked) == 1


def test_what_it_asks_for(cluster: FakeCluster, controller: Controller) -> None:
    controller.run(
        probe_pod,
        **present(resources=[CY, "qat.intel.com/dc"], runtime_class="kata", image_pull_secrets=["s"], namespace="n"),
    )
    pod = cluster.pods["n", "p"]
    (container,) = pod["spec"]["containers"]
    assert container["resources"] == {"limits": {CY: "1", "qat.intel.com/dc": "1"}}
    assert (container["image"], container["imagePullPolicy"]) == ("busybox", "IfNotPresent")
    assert (pod["spec"]["runtimeClassName"], pod["spec"]["imagePullSecrets"]) == ("kata", [{"name": "s"}])
    assert container["securityContext"] == {
        "runAsUser": 0,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert "nodeName" not in pod["spec"]  # the scheduler should see the resource
    (term,) = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node1"]}]}


def test_replaces_one_of_an_earlier_run(cluster: FakeCluster, controller: Controller) -> None:
    controller.run(probe_pod, **present())
    controller.run(probe_pod, **present(image="other"))
    assert cluster.pods[KEY]["spec"]["containers"][0]["image"] == "other"


@pytest.mark.parametrize("arguments", [present(), ABSENT], ids=["present", "absent"])
def test_leaves_pods_of_others_alone(cluster: FakeCluster, controller: Controller, arguments: dict[str, t.Any]) -> None:
    cluster.pods[KEY] = {"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Running"}}
    failed = controller.run(probe_pod, **arguments)
    assert failed["msg"] == "pod default/p: it is there, and none of this module's; choose another name"
    assert not failed["changed"]
    assert list(cluster.pods) == [KEY]


def waiting(reason: str, message: str = "") -> JsonObject:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"state": state}]}


ENDED = {"terminated": {"reason": "Error", "exitCode": 127}}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed due to x"},
            "UnexpectedAdmissionError: Allocate failed due to x",
        ),
        ({"phase": "Failed", "containerStatuses": [{"state": ENDED}]}, "Error, exit code 127"),
        ({"phase": "Failed"}, "it is Failed"),
        ({"phase": "Succeeded"}, "it is Succeeded"),
        (waiting("CreateContainerError", "no\n /bin/sh"), "CreateContainerError: no /bin/sh"),
        (
            {"phase": "Pending", "conditions": [{**UNSCHEDULED, "message": f"Insufficient {CY}."}]},
            f"after 0.3 seconds, Unschedulable: Insufficient {CY}.",
        ),
        (waiting("ContainerCreating"), "after 0.3 seconds, ContainerCreating"),
        ({"phase": "Pending"}, "after 0.3 seconds, it is Pending"),
    ],
)
def test_a_pod_that_does_not_run(cluster: FakeCluster, controller: Controller, status: JsonObject, why: str) -> None:
    cluster.run_pod = lambda _pod: (status, "")
    failed = controller.run(probe_pod, **present(wait_timeout=0.3))
    assert failed["msg"] == (
        f"pod default/p: it does not run: {why}; see the journals of kubelet and of the device plugin on node1, "
        "and who else has the VFs"
    )
    assert cluster.pods == {}


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("ImagePullBackOff", "ImagePullBackOff: no such host"),
        ("ErrImageNeverPull", "ErrImageNeverPull: no such host"),
        ("ErrImagePull", "after 0.3 seconds, ErrImagePull: no such host"),
    ],
)
def test_an_image_that_cannot_be_had_is_named(
    cluster: FakeCluster, controller: Controller, reason: str, why: str
) -> None:
    cluster.run_pod = lambda _pod: (waiting(reason, "no such host"), "")
    failed = controller.run(probe_pod, **present(wait_timeout=0.3))
    assert failed["msg"] == (
        f"pod default/p: it does not run: {why}; name an image that node1 can have in place of busybox by image, "
        "in the role qat_verify by qat_verify_image"
    )


def test_a_pod_that_says_nothing(cluster: FakeCluster, controller: Controller) -> None:
    cluster.run_pod = lambda _pod: ({"phase": "Running"}, "-- environment\n")
    assert "after 0.2 seconds, it is Running" in controller.run(probe_pod, **present(wait_timeout=0.2))["msg"]


def test_the_last_warning_is_reported(cluster: FakeCluster, controller: Controller) -> None:
    cluster.run_pod = lambda _pod: (waiting("ContainerCreating"), "")
    cluster.events = [
        {"type": kind, "message": message, "involvedObject": {"name": "p"}}
        for kind, message in (("Warning", "first"), ("Warning", "failed to create shim"), ("Normal", "Pulled"))
    ]
    message = controller.run(probe_pod, **present(wait_timeout=0.1))["msg"]
    assert "ContainerCreating (failed to create shim);" in message
    cluster.refusals["GET .*/events"] = Refusal(403, "Forbidden", "no")
    assert "ContainerCreating;" in controller.run(probe_pod, **present(wait_timeout=0.1))["msg"]


def test_a_pod_that_does_not_go(cluster: FakeCluster, controller: Controller) -> None:
    controller.run(probe_pod, **present())
    cluster.delete_takes = None
    failed = controller.run(probe_pod, **ABSENT, wait_timeout=0.2)
    assert failed["changed"]
    assert failed["msg"] == (
        "pod default/p: it is deleted and still there after 0.2 seconds; "
        "see that kubelet runs on its node, or raise wait_timeout"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (present(resources=["cpu"]), "resources[0]: 'cpu' is not the name of an extended resource, it has no domain"),
        (present(resources=[CY, CY]), f"resources[1]: {CY} is there twice; remove one of the two"),
        (present(image=""), "image: the key is missing; name an image that has a shell"),
        (present(namespace="missing"), 'namespace missing: the API server answers 404: namespaces "missing" not found'),
        ({"name": "p", "node": "node1"}, "state is present but all of the following are missing: image"),
    ],
)
def test_bad_arguments(controller: Controller, arguments: dict[str, t.Any], message: str) -> None:
    assert controller.run(probe_pod, **arguments)["msg"].startswith(message)


def test_no_right_to_create(cluster: FakeCluster, controller: Controller) -> None:
    cluster.refusals["POST .*"] = Refusal(403, "Forbidden", "pods is forbidden")
    failed = controller.run(probe_pod, **present())
    assert failed["msg"].startswith("namespace default: the API server answers 403: pods is forbidden; give these")
    assert not failed["changed"]


# What the container runs.


def test_the_script_on_this_machine(tmp_path: Path) -> None:
    """In a shell of its own, whose first process it plays; it ends with exec, which here does nothing."""
    script = (
        SCRIPT.replace("/proc/1/", "/proc/$$/")
        .replace("exec sleep 3600", "exec true")
        .replace("/dev/vfio", str(tmp_path))
    )
    (tmp_path / "8").symlink_to("/dev/null")
    (tmp_path / "none").touch()
    environment = {
        "PATH": os.environ["PATH"],
        "QAT0": VF,
        "PCIDEVICE_QAT_INTEL_COM_ASYM-DC": VF,
        "QATS": "x",
        "TOKEN": "x",
    }
    result = subprocess.run(["/bin/sh", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert seen(result.stdout) == Seen({"QAT0": VF, "PCIDEVICE_QAT_INTEL_COM_ASYM-DC": VF}, (f"{tmp_path}/8",))


def test_a_log_that_is_not_whole() -> None:
    assert seen("") is None
    assert seen(LOG[:-8]) is None
    assert seen("-- environment\n-- device nodes\n-- end") == Seen({}, ())


def test_results_are_documented(controller: Controller) -> None:
    described = yaml.safe_load(probe_pod.RETURN)
    result = controller.run(probe_pod, **present())
    assert set(result) - {"changed", "invocation"} == set(described) - {"failure"}
    assert set(result["pod"]) == set(described["pod"]["sample"])
