# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods as users make them: with init containers, without root, static, by controllers, within a quota, with resources as a whole; and what
they hear of health.

`make test-releases` runs this, and `make test` does not, for the time that an emulated node takes to start so many pods.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC, SECOND
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.api import ApiError
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import PODS, Cluster, container
from ansible_collections.accel.qat.tests.machine.node import Node

MANIFEST = "/etc/kubernetes/manifests/static.yaml"
NAMESPACES = "/api/v1/namespaces"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
BOUNDED = "bounded"

pytestmark = pytest.mark.usefixtures("no_pods")


@pytest.mark.releases(releases.NEWEST)
def test_an_init_container_leaves_its_vf_to_the_pod_and_a_sidecar_keeps_what_it_has(
    cluster: Cluster, node: Node
) -> None:
    first = container("first", {CY: 1}, command=["sh", "-c", "echo $QAT0"])
    sidecar = container("beside", {CY: 1}, restartPolicy="Always")
    cluster.create_pod("whole", {CY: 1}, initContainers=[first, sidecar])
    cluster.wait_for_phase("whole")
    given = {name: cluster.environment("whole", name)["QAT0"] for name in ("main", "beside")}
    # Whichever comes next has the VF of the one that has ended: the sidecar.
    assert cluster.api.text(f"{PODS}/whole/log?container=first").strip() == given["beside"]
    assert given["main"] != given["beside"]
    held = {vf["address"]: vf["held_by"] for pf in node.devices().values() for vf in pf["vfs"] if vf["held_by"]}
    # The init container has ended, and kubelet counts the VF as its own still.
    by = {vf: {(one["pod"], one["container"]) for one in held[vf]} for vf in held}
    assert set(by) == set(given.values())
    assert all(("default/whole", name) in by[vf] for name, vf in given.items()), by


def test_a_user_who_is_not_root_can_open_the_vf(cluster: Cluster, vfs: dict[str, str]) -> None:
    """Where the runtime gives devices to the user of the container (containerd's device_ownership_from_security_context)."""
    cluster.create_pod("user", {CY: 1}, securityContext={"runAsUser": 1000, "runAsGroup": 1000})
    cluster.wait_for_phase("user")
    group = vfs[cluster.environment("user")["QAT0"]]
    assert cluster.execute("user", f"exec 3<> /dev/vfio/{group} 4<> /dev/vfio/vfio && id -u").strip() == "1000"


@pytest.fixture
def static_pod(cluster: Cluster, node: Node) -> Iterator[str]:
    """The name of a pod that kubelet has from a file; afterwards there is none."""
    specification = {"containers": [container("main", {CY: 1})], "enableServiceLinks": False}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "static"}, "spec": specification}
    node.machine.put(json.dumps(pod).encode(), MANIFEST)
    name = f"static-{cluster.nodes[0]}"
    yield name
    node.run(f"rm {MANIFEST}")
    cluster.wait_for("that the static pod is gone", cluster.pods, lambda names: name not in names)


def test_a_static_pod_gets_a_vf(cluster: Cluster, static_pod: str, vfs: dict[str, str]) -> None:
    cluster.wait_for("the static pod", cluster.pods, lambda names: static_pod in names)
    cluster.wait_for_phase(static_pod)
    assert cluster.environment(static_pod)["QAT0"] in vfs


@pytest.mark.releases(releases.NEWEST)
def test_a_pod_with_resources_as_a_whole_gets_a_vf(cluster: Cluster, node: Node, vfs: dict[str, str]) -> None:
    """Extended resources stand in its container all the same."""
    whole = {"cpu": "100m", "memory": "64Mi"}
    cluster.create_pod("level", {CY: 1}, resources={"requests": whole, "limits": whole})
    cluster.wait_for_phase("level")
    vf = cluster.environment("level")["QAT0"]
    assert vf in vfs
    held = [one["held_by"] for pf in node.devices().values() for one in pf["vfs"] if one["address"] == vf]
    assert [(user["pod"], user["container"]) for users in held for user in users] == [("default/level", "main")]


def of_controller(
    kind: str, name: str, resource: str, version: str, pod: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """A document of a kind that makes pods with one unit of the resource."""
    labels = {"app": name}
    template = {"containers": [container("main", {resource: 1}, **pod.pop("main", {}))], "enableServiceLinks": False}
    spec = {"template": {"metadata": {"labels": labels}, "spec": {**template, **pod}}, **more}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def test_a_deployment_has_a_pod_again_that_was_deleted(cluster: Cluster, vfs: dict[str, str]) -> None:
    labels = {"matchLabels": {"app": "many"}}
    pod = {"terminationGracePeriodSeconds": 5}
    cluster.api.post(DEPLOYMENTS, of_controller("Deployment", "many", CY, "apps/v1", pod, replicas=3, selector=labels))
    try:
        wait_until_three_run(cluster)
        gone, *stay = cluster.pods()
        cluster.delete_pod(gone)
        wait_until_three_run(cluster)
        assert set(stay) < set(cluster.pods())
        given = [cluster.environment(name)["QAT0"] for name in cluster.pods()]
        assert len(set(given) & set(vfs)) == 3
    finally:
        cluster.api.delete(f"{DEPLOYMENTS}/many")
    cluster.wait_for("that its pods are gone", cluster.pods, lambda names: not names)


def wait_until_three_run(cluster: Cluster) -> None:
    def ready() -> tuple[int, int]:
        return cluster.api.get(f"{DEPLOYMENTS}/many")["status"].get("readyReplicas", 0), len(cluster.pods())

    cluster.wait_for("three pods of the deployment", ready, lambda found: found == (3, 3))


def test_a_job_ends_and_gives_its_vf_back(cluster: Cluster) -> None:
    pod = {"restartPolicy": "Never", "main": {"command": ["sh", "-c", 'test -n "$QAT0"']}}
    cluster.api.post(JOBS, of_controller("Job", "once", CY, "batch/v1", pod, completions=2, parallelism=1))
    try:
        job = f"{JOBS}/once"
        cluster.wait_for("two successes", lambda: cluster.api.get(job)["status"].get("succeeded", 0), lambda n: n == 2)
    finally:
        cluster.api.delete(f"{JOBS}/once?propagationPolicy=Background")
    cluster.create_pod("all", {CY: 16})
    cluster.wait_for_phase("all")


@pytest.fixture
def bounded(cluster: Cluster) -> Iterator[str]:
    """The path of pods in a namespace that may have two VFs; afterwards there is none of it."""
    cluster.api.post(NAMESPACES, {"metadata": {"name": BOUNDED}})
    path = f"{NAMESPACES}/{BOUNDED}"
    quota = {"metadata": {"name": "vfs"}, "spec": {"hard": {f"requests.{CY}": "2"}}}
    cluster.api.post(f"{path}/resourcequotas", quota)
    counted = f"{path}/resourcequotas/vfs"
    cluster.wait_for("the quota", lambda: cluster.api.get(counted)["status"].get("hard"), bool)
    accounts = f"{path}/serviceaccounts"
    cluster.wait_for("the account of its pods", lambda: cluster.api.get(accounts)["items"], bool)
    yield f"{path}/pods"
    cluster.api.delete(path)

    def names() -> list[str]:
        return [one["metadata"]["name"] for one in cluster.api.get(NAMESPACES)["items"]]

    cluster.wait_for("that the namespace is gone", names, lambda found: BOUNDED not in found)


def test_a_quota_bounds_the_vfs_of_a_namespace(cluster: Cluster, bounded: str) -> None:
    def pod(name: str, number: int) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": {"containers": [container("main", {CY: number})]}}

    cluster.api.post(bounded, pod("two", 2))
    with pytest.raises(ApiError, match=f"exceeded quota: vfs, requested: requests.{CY}=1, used: requests.{CY}=2"):
        cluster.api.post(bounded, pod("one", 1))
    cluster.wait_for("the pod", lambda: cluster.api.get(f"{bounded}/two")["status"]["phase"], "Running".__eq__)


@pytest.mark.releases(releases.NEWEST)
def test_a_pod_says_that_its_vf_is_gone_and_that_it_is_back(cluster: Cluster, node: Node) -> None:
    cluster.create_pod("reported", {DC: 1})
    cluster.wait_for_phase("reported")

    def health() -> str:
        (status,) = cluster.pod("reported")["status"]["containerStatuses"]
        (resource,) = status.get("allocatedResourcesStatus", [{"resources": [{"health": ""}]}])
        return str(resource["resources"][0]["health"])

    def seconds_until(wanted: Callable[[str], bool]) -> float:
        begin = time.monotonic()
        cluster.wait_for("another health of the pod's VF", health, wanted)
        return time.monotonic() - begin

    seconds_until("Healthy".__eq__)
    node.fault(SECOND, "present", "0")
    print(f"Unhealthy after {seconds_until('Unhealthy'.__eq__):.1f} s")
    node.fault(SECOND, "present", "1")
    print(f"Healthy after {seconds_until('Healthy'.__eq__):.1f} s")
    cluster.wait_for_offer(DC, 12)
