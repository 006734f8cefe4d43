# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VFs that pods have by claims (dynamic resource allocation), from a driver that knows nothing of the device plugin.

`make test-releases` runs this. Only there is seen what kubelet itself keeps and says of claims.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, FIRST, RULES
from ansible_collections.accel.qat.tests.cluster.steps import given
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.api import ApiError
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster, container
from ansible_collections.accel.qat.tests.machine.node import Node

PROGRAM = Path(__file__).parents[2] / "lab/guest_programs/dra_driver.py"
ON_NODE, SAID = "/root/dra_driver.py", "/root/dra_driver.said"
# Where the role puts the device plugin, with the libraries that the driver needs.
LIBRARIES = "$(dirname $(find /opt/accel-qat/device-plugin/current/ -maxdepth 4 -name grpc -type d | head -1))"
CDI = "/etc/cdi/other.json"
OURS, OTHER = "qat.intel.com", "gpu.example.com"
API = "/apis/resource.k8s.io/v1"
CLAIMS = f"{API}/namespaces/default/resourceclaims"
VFS = 16

pytestmark = [pytest.mark.usefixtures("no_pods"), pytest.mark.releases(releases.NEWEST)]


def document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@contextlib.contextmanager
def driver(cluster: Cluster, node: Node, name: str, device: str, *cdi_names: str) -> Iterator[None]:
    """A driver of this name with one device, for which there is a claim `one`; afterwards there is nothing of them."""
    pool = cluster.nodes[0]
    node.machine.put(PROGRAM.read_bytes(), ON_NODE)
    words = " ".join((name, pool, device, *cdi_names))
    pid = node.run(f"PYTHONPATH={LIBRARIES} python3 {ON_NODE} {words} > {SAID} 2>&1 & echo $!").strip()
    of_class = {"selectors": [{"cel": {"expression": f'device.driver == "{name}"'}}]}
    pool_of = {"name": pool, "generation": 1, "resourceSliceCount": 1}
    slice_of = {"driver": name, "nodeName": pool, "pool": pool_of, "devices": [{"name": device}]}
    requests = [{"name": "vf", "exactly": {"deviceClassName": "vfs"}}]
    made = {
        f"{API}/deviceclasses": document("DeviceClass", "vfs", of_class),
        f"{API}/resourceslices": document("ResourceSlice", "vfs", slice_of),
        CLAIMS: document("ResourceClaim", "one", {"devices": {"requests": requests}}),
    }
    try:
        node.run(f"until grep -q registered {SAID}; do kill -0 {pid} || {{ cat {SAID} >&2; exit 1; }}; sleep 0.2; done")
        for path, one in made.items():
            cluster.api.post(path, one)
        yield
    finally:
        # Kubelet asks the driver before the pod is gone.
        cluster.delete_pods()
        for path, one in made.items():
            with contextlib.suppress(ApiError):
                cluster.api.delete(f"{path}/{one['metadata']['name']}")
        node.run(f"kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.1; done", check=False)


def claim_it(cluster: Cluster) -> None:
    """Run a pod that has the device of the claim."""
    main = {**container("main", {}), "resources": {"claims": [{"name": "vf"}]}}
    claims = [{"name": "vf", "resourceClaimName": "one"}]
    cluster.create_pod("claiming", containers=[main], resourceClaims=claims)
    cluster.wait_for_phase("claiming")


def holders(node: Node) -> dict[str, set[str]]:
    """The pods, with their containers, that have a VF, by its address."""
    return {
        vf["address"]: {f"{one['pod']} {one['container']}" for one in vf["held_by"]}
        for pf in node.devices().values()
        for vf in pf["vfs"]
        if vf["held_by"]
    }


def test_a_vf_that_a_pod_has_by_a_claim_is_given_to_no_other(cluster: Cluster, node: Node, vfs: dict[str, str]) -> None:
    claimed = sorted(vfs)[0]
    with driver(cluster, node, OURS, f"qatvf-{claimed.replace(':', '-').replace('.', '-')}"):
        claim_it(cluster)
        cluster.wait_for_offer(CY, VFS, VFS - 1)
        assert holders(node) == {claimed: {"default/claiming main"}}
        # All others can be had, and only they.
        cluster.create_pod("rest", {CY: VFS - 1})
        cluster.wait_for_phase("rest")
        assert set(given(cluster, "rest")) == set(vfs) - {claimed}
        cluster.delete_pod("rest")

        cluster.restart_kubelet()
        cluster.wait_for_offer(CY, VFS, VFS - 1)
        assert holders(node) == {claimed: {"default/claiming main"}}
        # Kubelet that does not run says nothing, and what it keeps still counts.
        node.run("systemctl stop kubelet")
        try:
            refused = node.apply(RULES[0], {"services": ["dc"]})
        finally:
            node.run("systemctl start kubelet")
        assert (refused.code, claimed in refused.sentence) == (1, True), refused.sentence
        assert "claim one" in refused.sentence
        assert node.devices()[FIRST]["services"] == ["sym", "asym"]
        cluster.wait_until_ready()
    cluster.wait_for_offer(CY, VFS)
    assert holders(node) == {}


@pytest.fixture
def specification(node: Node, vfs: dict[str, str]) -> Iterator[str]:
    """The VF of a CDI device with a name of another driver's; afterwards there is no such device."""
    claimed, group = sorted(vfs.items())[-1]
    nodes = [{"path": f"/dev/vfio/{group}"}, {"path": "/dev/vfio/vfio"}]
    device = {"name": "card", "containerEdits": {"deviceNodes": nodes}}
    text = json.dumps({"cdiVersion": "0.6.0", "kind": f"{OTHER}/vf", "devices": [device]})
    node.run(f"mkdir -p $(dirname {CDI})")
    node.machine.put(text.encode(), CDI)
    yield claimed
    node.run(f"rm {CDI}; rmdir --ignore-fail-on-non-empty $(dirname {CDI})")


def test_a_vf_is_known_by_its_cdi_specification(cluster: Cluster, node: Node, specification: str) -> None:
    with driver(cluster, node, OTHER, "card-0", f"{OTHER}/vf=card"):
        claim_it(cluster)
        cluster.wait_for_offer(CY, VFS, VFS - 1)
        assert holders(node) == {specification: {"default/claiming main"}}
    cluster.wait_for_offer(CY, VFS)
