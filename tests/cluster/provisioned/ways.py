# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to deploy a node's device plugin: how the node moves to one, and what is done to the plugin there."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol

from ansible_collections.accel.qat.tests.cluster.provisioned.daemonset import DaemonSet
from ansible_collections.accel.qat.tests.cluster.provisioned.resources import SECONDS, access_to
from ansible_collections.accel.qat.tests.cluster.steps import UNIT, include, process, wait_until_taken
from ansible_collections.accel.qat.tools.artifacts import packages
from ansible_collections.accel.qat.tools.building.cache import cache_directory

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.accel.qat.tests.controller.controller import Controller
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster
    from ansible_collections.accel.qat.tests.machine.node import Node

SERVICE, PACKAGE, DAEMONSET = "service", "package", "daemonset"
RELEASES = "/opt/accel-qat/device-plugin"
PREVIOUS = "0.0.9-0123456789"
_LATER = "/root/later.deb"


class Way(Protocol):
    """What each of them can do."""

    def prepare(self) -> None:
        """Have ready what the others need, and what no pod and no kubelet notices."""

    def move_here(self) -> None:
        """Have the role deploy the plugin so; whatever other way the node has it by, this takes over."""

    def kill(self) -> None:
        """Kill its process, and wait until kubelet has the lists of the next one."""

    def upgrade(self) -> None:
        """Have one of another release take over."""

    def log(self) -> str:
        """What the process that serves has said."""


class _Unit:
    """What the service has in common, whoever has brought it."""

    def __init__(self, cluster: Cluster, node: Node, controller: Controller) -> None:
        self._cluster = cluster
        self._node = node
        self._controller = controller

    def kill(self) -> None:
        before = process(self._node)
        another = f"systemctl show --property=MainPID --value {UNIT} | grep -Evqx '0|{before}'"
        self._node.run(f"kill -9 {before}; until {another}; do sleep 0.5; done")
        wait_until_taken(self._node)

    def log(self) -> str:
        return self._node.run(f"journalctl --sync; journalctl --boot --output=cat _PID={process(self._node)}")


class Service(_Unit):
    """The way `systemd`, by a release of the collection."""

    def prepare(self) -> None:
        """One more, which is said to be older."""
        self._node.run(f"cd {RELEASES}; test -e {PREVIOUS} || cp -a $(readlink current) {PREVIOUS}")

    def move_here(self) -> None:
        include(self._controller, "qat_device_plugin", **access_to(self._cluster))

    def upgrade(self) -> None:
        """From the older release, which takes over first."""
        newest = self._node.run(f"readlink {RELEASES}/current").strip()
        self._node.run(f"ln -sfn {PREVIOUS} {RELEASES}/current; systemctl reload {UNIT}")
        before = process(self._node)
        include(self._controller, "qat_device_plugin")
        assert self._node.run(f"readlink {RELEASES}/current").strip() == newest
        assert process(self._node) != before


class Package(_Unit):
    """The way `package`, by two debs that differ in nothing but their releases."""

    def __init__(self, cluster: Cluster, node: Node, controller: Controller, directory: Path) -> None:
        super().__init__(cluster, node, controller)
        self._directory = directory
        self._first = self._version = ""

    def prepare(self) -> None:
        """The debs, one here and one on the node."""
        if self._version:
            return
        python = self._node.run("python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'").strip()
        package = packages.of_device_plugin(python, "amd64", cache_directory() / "bundles")
        later = dataclasses.replace(package, release=f"2{package.release[1:]}")
        first, second = (packages.build(one, "deb", self._directory) for one in (package, later))
        self._node.machine.put(second.read_bytes(), _LATER)
        self._first, self._version = str(first), f"{packages.version()}-{later.release}"

    def move_here(self) -> None:
        self.prepare()
        wanted: dict[str, Any] = {"qat_device_plugin_deploy": "package", "qat_device_plugin_packages": [self._first]}
        include(self._controller, "qat_device_plugin", **wanted, qat_device_plugin_wait_timeout=int(SECONDS))

    def upgrade(self) -> None:
        """By apt, as on a node whose packages somebody else upgrades."""
        before = process(self._node)
        apt = "DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes --no-install-recommends"
        self._node.run(f"{apt} install {_LATER}")
        assert self._node.run("dpkg-query -W -f '${Version}' accel-qat-device-plugin") == self._version
        assert process(self._node) != before


class Deployment:
    """By which way the node has its device plugin: at the beginning by the service."""

    def __init__(self, cluster: Cluster, node: Node, controller: Controller, directory: Path) -> None:
        self.daemonset = DaemonSet(cluster, node, controller, directory)
        self._ways: dict[str, Way] = {
            SERVICE: Service(cluster, node, controller),
            PACKAGE: Package(cluster, node, controller, directory),
            DAEMONSET: self.daemonset,
        }
        self._now = SERVICE

    def prepare(self, name: str) -> None:
        """Have ready what this way needs."""
        self._ways[name].prepare()

    def have(self, name: str) -> Way:
        """Have it by this way, and return that."""
        way = self._ways[name]
        if self._now != name:
            # Where a move fails nobody knows.
            self._now = ""
            way.move_here()
            self._now = name
        return way
