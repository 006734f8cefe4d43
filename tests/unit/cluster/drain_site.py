# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node of files that Ansible drains and configures: kubelet's sockets, and the API server over HTTP.

The role qat_node would write to the machine that the tests run on: it is left out, or run in check mode.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import yaml

from ansible_collections.accel.qat.tests.controller.controller import Controller, Run, Task
from ansible_collections.accel.qat.tests.unit.boot.machines import systemd_boot
from ansible_collections.accel.qat.tests.unit.cluster.api_server import TOKEN, JsonObject
from ansible_collections.accel.qat.tests.unit.cluster.site import CY, NodeOfCluster
from ansible_collections.accel.qat.tests.unit.plugins.local import CONNECTION, environment
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

# Other services take both VFs away.
COMPRESSION = [{"services": ["dc"]}]
STATIC = {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}
# What disrupts by the devices and by kubelet, in a run that drains.
BOTH: dict[str, t.Any] = {"qat_node_devices": COMPRESSION, "qat_kubelet_configuration": STATIC, "qat_drain": True}

EVICT = "accel.qat.qat_drain : Cordon the node, evict the pods, and wait until they are gone"
GIVE_BACK = "accel.qat.qat_drain : Take back a cordon of this role"
FILE_SYSTEMS = {"sysfs_root": "sys", "proc_root": "proc", "dev_root": "dev"}
LAST_OF_NODE = "accel.qat.qat_node : Write what the next boot needs"
LAST = "accel.qat.qat_device_plugin : Look for the unit of the exporter"


class Site(NodeOfCluster, Controller):
    """Ansible as the controller of such a node."""

    def __init__(self, root: Path) -> None:
        NodeOfCluster.__init__(self, root)
        self._directory = root
        # The nodes of the inventory with their variables; they share the files, and the cluster knows the first.
        self.nodes: dict[str, dict[str, t.Any]] = {"node1": {}}
        # Its kubelet's files, where some are wanted.
        self.node_root = root / "kubelet/root"
        self.node_root.mkdir(parents=True)
        # A boot loader that can be read without a command.
        machine = systemd_boot()
        for name, text in {**machine.files, **{f"/usr/sbin/{name}": "" for name in machine.commands}}.items():
            path = root / f"boots{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        (self.files.proc / "cmdline").write_text("root=UUID=0d3b7c1e ro quiet\n")
        self.program(
            "systemctl",
            'printf "%s\\n" LoadState=loaded NeedDaemonReload=no ActiveState=inactive MainPID=0 StatusText=',
        )
        self.cluster.pod_gone = self.gone

    def inventory(self) -> str:
        variables = {
            **CONNECTION,
            # Of the machine that the tests run on, nothing is to be shown.
            "qat_node_kernel_arguments": [],
            "qat_kubelet_when_missing": "skip",
            "qat_node_bootloader": "systemd-boot",
            "qat_drain_timeout": 5,
        }
        return json.dumps({"qat_nodes": {"hosts": self.nodes, "vars": variables}})

    def environment(self) -> dict[str, str]:
        return {
            **environment(self.root / "bin", self.node_root.parent / "bin"),
            "K8S_AUTH_HOST": self.cluster.url,
            "K8S_AUTH_API_KEY": TOKEN,
            "NO_PROXY": "127.0.0.1",
        }

    def gone(self, pod: JsonObject) -> None:
        self.kubelet.fake.pods.pop((pod["metadata"]["namespace"], pod["metadata"]["name"]), None)

    def give(self, name: str, *vfs: str, owner: str = "ReplicaSet", **more: t.Any) -> None:
        """A pod of the node that has these VFs."""
        self.cluster.add_pod(name, owner, **more)
        namespace, name = name.split("/")
        if vfs:
            self.kubelet.fake.pods[namespace, name] = {"main": {CY: list(vfs)}}

    def open(self, vf: str) -> None:
        """A process has the VF open, of a container that nobody knows."""
        self.files.hold(vf, 4711, "qemu-kvm")

    def places(self) -> dict[str, str]:
        """Where the node's file systems are, by the names of the modules' options."""
        return {name: str(self.files.root / place) for name, place in FILE_SYSTEMS.items()}

    def module_defaults(self) -> dict[str, dict[str, str]]:
        """What shows the modules this node."""
        roots, boots = self.places(), str(self.root / "boots")
        kubelet = {"root": str(self.node_root), "proc_root": str(self.node_root / "proc")}
        devices = {**roots, "kubelet_root": str(self.root)}
        return {
            "accel.qat.qat_devices": devices,
            "accel.qat.qat_info": devices,
            "accel.qat.device_plugin_info": devices,
            "accel.qat.node_prerequisites": {**devices, "root": str(self.node_root)},
            "accel.qat.support_bundle": {**devices, "root": str(self.node_root)},
            "accel.qat.kernel_args": {**roots, "root": boots},
            "accel.qat.kubelet_config": kubelet,
        }

    def of_node(self, *of_it: dict[str, t.Any], before: t.Sequence[dict[str, t.Any]] = ()) -> str:
        """The plays, with the modules shown where this node is, after those before; returns the path of the playbook."""
        path = self.root / "play.yml"
        path.write_text(
            yaml.safe_dump([*before, *({**play, "module_defaults": self.module_defaults()} for play in of_it)])
        )
        return str(path)

    def tasks(self, *tasks: dict[str, t.Any], flags: t.Sequence[str] = (), **variables: t.Any) -> Run:
        """These tasks, one after the other, of one play."""
        play = {"hosts": "qat_nodes", "gather_facts": False, "tasks": list(tasks)}
        return self.run(self.of_node(play), *flags, **variables)

    def site(
        self,
        *flags: str,
        before: t.Sequence[dict[str, t.Any]] = (),
        tags: t.Sequence[str] = (),
        **variables: t.Any,
    ) -> Run:
        """The playbook site, but for where the node is, and who is root there; after the plays `before`, imported with these tags."""
        of_site = [{**play, "become": False, "tags": [*tags]} for play in plays("site.yml")]
        return self.run(self.of_node(*of_site, before=before), *flags, **variables)

    def preflight(self, *flags: str, **variables: t.Any) -> Run:
        """The playbook preflight, but for where the node is, and who is root there."""
        (play,) = plays("preflight.yml")
        return self.run(self.of_node({**play, "become": False}), *flags, **variables)

    def gather(self, *flags: str, **variables: t.Any) -> Run:
        """The playbook gather, but for where the node is, and who is root there."""
        (play,) = plays("gather.yml")
        return self.run(self.of_node({**play, "become": False}), *flags, **variables)


def plays(name: str) -> list[dict[str, t.Any]]:
    """The plays of a playbook, which find the files that they include from wherever they are."""
    text = (CHECKOUT / "playbooks" / name).read_text()
    plays: list[dict[str, t.Any]] = yaml.safe_load(
        text.replace("_tasks: tasks/", f"_tasks: {CHECKOUT}/playbooks/tasks/")
    )
    return plays


def names(run: Run) -> list[str]:
    """The tasks that came to pass."""
    return [task.name for task in run.tasks if task.outcome != "skipped"]


def one(run: Run, name: str) -> Task:
    (found,) = (task for task in run.tasks if task.name.rpartition(" : ")[2] == name)
    return found


def evictions(run: Run) -> list[list[str]]:
    """The pods of each drain that came to pass."""
    return [task.result["evicted"] for task in run.tasks if task.name == EVICT]
