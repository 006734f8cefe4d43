# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node, provisioned once for all tests here: the last of test_site.py gives it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import FIRST, settings_for
from ansible_collections.accel.qat.tests.cluster.provisioned.ways import SERVICE, Deployment
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.machine.node import DEVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
    from ansible_collections.accel.qat.tests.machine.node import Node


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out other ways than the service on releases of Kubernetes before the newest, on which nobody has tried them."""
    left_out = [item for item in items if is_left_out(getattr(item, "callspec", None))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def is_left_out(callspec: Any) -> bool:
    """Whether a test with these parameters is such a one."""
    found: dict[str, str] = callspec.params if callspec else {}
    return found.get("moved", SERVICE) != SERVICE and found["cluster"] != releases.NEWEST.name


@pytest.fixture(scope="package")
def settings(cluster: Cluster) -> dict[str, Any]:
    """What the inventory of such a node says."""
    return settings_for(cluster)


@pytest.fixture(scope="package")
def provisioned(
    node: Node, controller: Controller, settings: dict[str, Any], is_asked_to_end: Callable[[], bool]
) -> Iterator[Run]:
    """What the first run says, which verifies the node too."""
    # The image has a qatctl for other tests; the role brings its own, and teardown takes that away.
    node.run("mv /usr/local/sbin/qatctl /root/qatctl")
    yield controller.run("accel.qat.site", **settings, qat_verify=True)
    if is_asked_to_end():
        return
    if node.machine.run("test -e /etc/accel-qat", check=False).rc == 0:  # not all tests here were asked for
        taken_back = controller.run("accel.qat.teardown", **settings)
        assert taken_back.code == 0, taken_back.output
    node.run("cp /root/qatctl /usr/local/sbin/qatctl")


@pytest.fixture(scope="package")
def deployment(
    cluster: Cluster,
    node: Node,
    controller: Controller,
    provisioned: Run,
    tmp_path_factory: pytest.TempPathFactory,
    is_asked_to_end: Callable[[], bool],
) -> Iterator[Deployment]:
    """By which way the node has its device plugin. At the end by the service, whatever has failed."""
    assert provisioned.code == 0, provisioned.output
    deployment = Deployment(cluster, node, controller, tmp_path_factory.mktemp("deployment"))
    yield deployment
    if is_asked_to_end():
        return
    deployment.have(SERVICE)
    deployment.daemonset.remove_images()


@pytest.fixture(autouse=True)
def works(request: pytest.FixtureRequest, deployment: Deployment) -> None:
    """The node is provisioned, and its plugin is the service, unless a test has a way of its own."""
    if "way" not in request.fixturenames:
        deployment.have(SERVICE)


@pytest.fixture(scope="package")
def vfs(node: Node, provisioned: Run) -> dict[str, str]:
    """The VFs that do cryptography, each with the number of its VFIO group."""
    assert provisioned.code == 0, provisioned.output
    addresses = [vf["address"] for vf in node.devices()[FIRST]["vfs"]]
    groups = node.run("; ".join(f"basename $(readlink {DEVICES}/{vf}/iommu_group)" for vf in addresses)).split()
    return dict(zip(addresses, groups, strict=True))
