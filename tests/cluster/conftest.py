# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster of one node for each release of Kubernetes, shared by all tests here: each leaves the node without VFs and without pods.

A test has a cluster of each release that ACCEL_QAT_RELEASES names (`1.20 1.37`), by default of the newest, unless it has the mark
`releases`, which says on which alone it makes sense.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that has a cluster on those releases that it is for."""
    if "cluster" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("releases")
        asked = os.environ.get("ACCEL_QAT_RELEASES", releases.DEFAULT.name).split()
        names = [release.name for release in mark.args] if mark else asked
        metafunc.parametrize("cluster", names, indirect=True, scope="package")


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of one node with two PFs, to which nothing has been done. It goes with the last test here, since a node is never idle."""
    release = releases.named(request.param)
    name = f"test-{release.name.replace('.', '-')}-{os.getpid()}"
    with Cluster.up(name, release=release) as started:
        yield started


@pytest.fixture(scope="package")
def node(cluster: Cluster) -> Node:
    """Its node, as the tests of the engine use one."""
    return Node(cluster.machine())


@pytest.fixture(scope="package")
def controller(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """Ansible, which configures the node."""
    return Controller(cluster.machine(), tmp_path_factory.mktemp("controller"))


@pytest.fixture
def no_pods(cluster: Cluster) -> Iterator[None]:
    """Whatever pods the test makes are gone afterwards."""
    yield
    cluster.delete_pods()
