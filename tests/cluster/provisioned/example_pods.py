# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifests of examples/pods, with a program in them that has its VF read and write memory.

`make test-releases` runs this, and `make test` does not, for the time that an emulated node takes to start so many pods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, DC
from ansible_collections.accel.qat.tests.cluster.steps import kubelet_configured, wait_until_taken
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab import pod_image
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.api import ApiError
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import PODS, Cluster
from ansible_collections.accel.qat.tests.machine.node import HOLD, Node
from ansible_collections.accel.qat.tools.building.errors import CommandFailed

EXAMPLES = Path(__file__).parents[3] / "examples/pods"
PAGE = EXAMPLES.parents[1] / "docs/pods.md"
PROGRAM = "/usr/local/lib/hold_vf.py"
# The container has no Python of its own.
LIBRARIES = "/host/usr/lib/x86_64-linux-gnu"
PYTHON = f"PYTHONHOME=/host/usr /host/lib64/ld-linux-x86-64.so.2 --library-path {LIBRARIES} /host/usr/bin/python3"
MEBIBYTES = 16
"""About what qatlib locks for a VF; twice the limit of containerd's service."""
MEMLOCK = "/etc/systemd/system/containerd.service.d/memlock.conf"
HUGE_PAGES = 64
UNSAFE_INTERRUPTS = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"

pytestmark = pytest.mark.usefixtures("no_pods")


def document(name: str) -> dict[str, Any]:
    """The one of a manifest; a pod has the image of the tests, and sees the node's files."""
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())
    if found["kind"] == "Pod":
        spec = found["spec"]
        spec["enableServiceLinks"] = False
        spec.setdefault("volumes", []).append({"name": "host", "hostPath": {"path": "/"}})
        for container in spec["containers"]:
            container |= {"image": pod_image.NAME, "imagePullPolicy": "Never"}
            mount = {"name": "host", "mountPath": "/host", "readOnly": True}
            container.setdefault("volumeMounts", []).append(mount)
    return found


def run(cluster: Cluster, name: str) -> str:
    """Make the pod of a manifest and wait until it runs; returns the pod's name."""
    pod = document(name)
    cluster.api.post(PODS, pod)
    made: str = pod["metadata"]["name"]
    cluster.wait_for_phase(made)
    return made


def use(cluster: Cluster, pod: str, variable: str = "QAT0") -> str:
    """Have the VF that a variable names read and write memory of a program in the pod; returns what it prints."""
    return cluster.execute(pod, f"{PYTHON} /host{PROGRAM} ${variable} 0 {MEBIBYTES}").strip()


@pytest.fixture(scope="module", autouse=True)
def program(node: Node) -> Iterator[None]:
    node.machine.put(HOLD.read_bytes(), PROGRAM)
    # From Linux 6.2 on VFIO asks each device whether its interrupts are isolated, which simulated ones cannot say.
    node.run(f"echo 1 > {UNSAFE_INTERRUPTS}")
    yield
    node.run(f"echo 0 > {UNSAFE_INTERRUPTS}; rm {PROGRAM}")


def test_a_vf_reads_and_writes_memory_that_the_capability_lets_it_lock(cluster: Cluster) -> None:
    assert use(cluster, run(cluster, "one_vf.yaml")) == "held"


def test_without_the_capability_the_limit_of_the_runtime_holds(cluster: Cluster) -> None:
    pod = document("one_vf.yaml")
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"]
    cluster.api.post(PODS, pod)
    cluster.wait_for_phase("one-vf")
    with pytest.raises(CommandFailed, match=r"\[Errno 12\] Cannot allocate memory"):
        use(cluster, "one-vf")


@pytest.fixture
def memlock(node: Node) -> Iterator[None]:
    """The runtime's limit is as the page has it, and afterwards as before."""
    node.run(f"mkdir -p $(dirname {MEMLOCK}) && printf '[Service]\nLimitMEMLOCK=infinity\n' > {MEMLOCK}")
    node.run("systemctl daemon-reload && systemctl restart containerd")
    yield
    node.run(f"rm {MEMLOCK} && systemctl daemon-reload && systemctl restart containerd")


@pytest.mark.usefixtures("memlock")
def test_a_user_who_is_not_root_may_use_its_vf(cluster: Cluster) -> None:
    pod = run(cluster, "not_root.yaml")
    assert cluster.execute(pod, "id -u").strip() == "1000"
    assert use(cluster, pod) == "held"


@pytest.fixture
def huge_pages(cluster: Cluster, node: Node) -> Iterator[None]:
    """The node has some, and kubelet knows; afterwards it has none."""

    def have(number: int) -> None:
        cluster.restart_kubelet(f"echo {number} > /proc/sys/vm/nr_hugepages")
        wait_until_taken(node)
        amount = f"{number * 2}Mi" if number else "0"
        cluster.wait_for(
            "the huge pages", lambda: cluster.node()["status"]["allocatable"]["hugepages-2Mi"], amount.__eq__
        )

    have(HUGE_PAGES)
    yield
    cluster.delete_pods()
    have(0)


@pytest.mark.usefixtures("huge_pages")
def test_dpdk_has_huge_pages(cluster: Cluster) -> None:
    pod = run(cluster, "dpdk.yaml")
    assert "/dev/hugepages hugetlbfs" in cluster.execute(pod, "cat /proc/mounts")
    assert use(cluster, pod) == "held"


def test_variables_name_the_vfs_of_each_resource(cluster: Cluster, vfs: dict[str, str]) -> None:
    pod = run(cluster, "two_resources.yaml")
    environment = cluster.environment(pod)
    cryptography = environment["PCIDEVICE_QAT_INTEL_COM_CY"].split(",")
    compression = environment["PCIDEVICE_QAT_INTEL_COM_DC"].split(",")
    assert (len(cryptography), len(compression)) == (1, 2)
    assert set(cryptography) <= set(vfs)
    assert not set(compression) & set(vfs)
    assert use(cluster, pod, "PCIDEVICE_QAT_INTEL_COM_CY") == "held"


@pytest.fixture
def aligned(controller: Controller, settings: dict[str, Any]) -> Iterator[None]:
    """Kubelet has what the page says of one NUMA node; afterwards it is as before."""
    (text,) = re.findall(r"```yaml\n(qat_kubelet_configuration:.*?)```", PAGE.read_text(), re.DOTALL)
    with kubelet_configured(controller, settings, yaml.safe_load(text)["qat_kubelet_configuration"]):
        yield


@pytest.mark.usefixtures("aligned")
def test_processors_and_vfs_are_of_one_numa_node(cluster: Cluster, node: Node) -> None:
    pod = run(cluster, "numa_aligned.yaml")
    given = cluster.environment(pod)["PCIDEVICE_QAT_INTEL_COM_DC"].split(",")
    (processor,) = cluster.execute(pod, "grep Cpus_allowed_list /proc/self/status | cut -f 2").split()
    of_vfs = {node.run(f"cat /sys/bus/pci/devices/{vf}/numa_node").strip() for vf in given}
    assert len(given) == 2
    assert of_vfs == {
        node.run(f"cd /sys/devices/system/cpu/cpu{processor} && ls -d node*").strip().removeprefix("node")
    }
    cluster.delete_pods()


@pytest.fixture
def quota(cluster: Cluster) -> Iterator[str]:
    """A namespace that has the quota of the manifest; afterwards there is none."""
    place = "/api/v1/namespaces/with-quota"
    cluster.api.post("/api/v1/namespaces", {"metadata": {"name": place.rpartition("/")[2]}})
    cluster.api.post(f"{place}/resourcequotas", document("quota.yaml"))
    cluster.wait_for("the quota", lambda: cluster.api.get(f"{place}/resourcequotas/vfs")["status"].get("hard"), bool)
    cluster.wait_for("the account of its pods", lambda: cluster.api.get(f"{place}/serviceaccounts")["items"], bool)
    yield place
    cluster.api.delete(place)


def test_a_namespace_gets_no_more_vfs_than_its_quota(cluster: Cluster, quota: str) -> None:
    pod = document("one_vf.yaml")
    del pod["metadata"]["name"]
    pod["metadata"]["generateName"] = "bounded-"
    pod["spec"]["nodeSelector"] = {"none": "such"}
    for _ in range(2):
        cluster.api.post(f"{quota}/pods", pod)
    with pytest.raises(ApiError, match=f"exceeded quota: vfs, requested: requests.{CY}=1"):
        cluster.api.post(f"{quota}/pods", pod)
    pod["spec"]["containers"][0]["resources"]["limits"] = {DC: "1"}
    cluster.api.post(f"{quota}/pods", pod)
