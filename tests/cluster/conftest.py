# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster of one node, shared by all tests: each leaves the node without VFs and without pods."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
from ansible_collections.accel.qat.tests.machine.node import Node

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of one node with two PFs, to which nothing has been done."""
    with Cluster.up(f"test-{os.getpid()}") as started:
        yield started


@pytest.fixture(scope="session")
def node(cluster: Cluster) -> Node:
    """Its node, as the tests of the engine use one."""
    return Node(cluster.machine())


@pytest.fixture(scope="session")
def controller(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """Ansible, which configures the node."""
    return Controller(cluster.machine(), tmp_path_factory.mktemp("controller"))


@pytest.fixture
def no_pods(cluster: Cluster) -> Iterator[None]:
    """Whatever pods the test makes are gone afterwards."""
    yield
    cluster.delete_pods()
