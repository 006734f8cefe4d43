# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-fleet`: what the playbook site costs the controller for 1, 10, 50 and 200 nodes, which are directories of this machine.

Prints for each number of nodes the processor time of the controller, that of each further node, and the bytes sent to each. A run in
which a node failed, or had other tasks than the others, is no measurement: then this fails.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ansible_collections.accel.qat.tests.controller.playbook import SETTINGS
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, examples
from ansible_collections.accel.qat.tests.unit.cluster.drain_site import FILE_SYSTEMS, Site, plays
from ansible_collections.accel.qat.tests.unit.cluster.site import CY
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT, VENV, common_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COUNTS = (1, 10, 50, 200)
# As Ansible has it by default.
FORKS = 5
CONNECTIONS = Path(__file__).with_name("connection")
NODE = "{{ node_directory }}"
"""The node's directory, in what is evaluated for each node."""
PFS = ("0000:6f:00.0", "0000:e8:00.0")
# That the nodes have already: to write one would take the boot loader's programs.
ARGUMENT = "quiet"
ARCHIVE_BYTES = 8_000_000
"""How large an archive of the device plugin is."""

_ROLE = yaml.safe_load((CHECKOUT / "roles/qat_node/vars/main.yml").read_text())

# What the run writes goes into the node's directory. The names with underscores are those of the role itself.
FILES = {
    "__qat_node_configuration_directory": f"{NODE}/etc/accel-qat",
    "__qat_node_record_directory": f"{NODE}/var/accel-qat",
    "__qat_node_files": {
        "modules_load": f"{NODE}/etc/modules-load.conf",
        "modprobe": f"{NODE}/etc/modprobe.conf",
        "udev_rules": f"{NODE}/etc/udev.rules",
        "unit": f"{NODE}/etc/qat-node.service",
        "unit_link": f"{NODE}/etc/wants/qat-node.service",
    },
    # But for that of qatctl's path, which may not be below /tmp: these nodes are.
    "__qat_node_texts": [text for text in _ROLE["__qat_node_texts"] if text["name"] != "qat_node_qatctl_path"],
}


class Untrue(Exception):
    """The run was not what is to be measured; the message says why."""


@dataclass(frozen=True)
class Way:
    """A way to run the playbook on nodes that it comes to in this order."""

    title: str
    variables: dict[str, Any]
    flags: tuple[str, ...] = ()
    asks_nodes: bool = True


WAYS = {
    # What of a run looks at all nodes, and nothing else: cheap enough for many.
    "frame": Way(
        "what frames a run: batches, names of variables, report",
        {"qat_node_devices": [{}]},
        ("--tags", "verify"),
        asks_nodes=False,
    ),
    "first": Way("first run, nodes without Kubernetes", {"qat_node_devices": [{}]}),
    "second": Way("second run, nodes without Kubernetes", {"qat_node_devices": [{}]}),
    "check": Way(
        "check mode, nodes of Kubernetes",
        {
            "qat_node_devices": [{}],
            "qat_kubernetes": True,
            "qat_drain": True,
            "qat_verify": True,
            # The cluster has one node.
            "qat_drain_node_name": "node1",
            "qat_verify_node_name": "node1",
            "qat_device_plugin_python": sys.executable,
        },
        ("--check",),
    ),
}


@dataclass(frozen=True)
class Cost:
    """What one run took, in seconds and bytes; `sent` and `there` of each node, `memory` of its largest process, the rest of all."""

    nodes: int
    tasks: int
    controller: float
    wall: float
    sent: float
    there: float
    memory: float


@dataclass
class Calls:
    """What the connection counted, of each node."""

    number: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @classmethod
    def of(cls, lines: str) -> Calls:
        """What it wrote, a line a call."""
        calls = cls()
        for line in lines.splitlines():
            node, sent, seconds = line.split()
            calls.number[node] += 1
            calls.sent[node] += int(sent)
            calls.seconds += float(seconds)
        return calls


class Fleet(Site):
    """So many nodes, each a directory of its own below `home`, with the files of a kernel. They share kubelet and the cluster."""

    def __init__(self, root: Path, home: Path, count: int) -> None:
        super().__init__(root)
        for pf in PFS:
            for vf in self.files.add_pf(pf):
                (self.files.devices / vf / "driver_override").write_text("vfio-pci\n")
        state = {"/var/lib/kubelet/cpu_manager_state": '{"policyName":"none","defaultCpuSet":"","checksum":1}'}
        self._kubelet_files = KubeletNode(self.node_root.parent, **examples.kubeadm(files=state))
        self._kubelet_files.start()
        self.cluster.plugins[CY] = len(list(self.files.devices.glob("*/physfn")))
        self.nodes = {f"node{number}": {"node_directory": f"{home}/node{number}"} for number in range(1, count + 1)}
        _put_archive(root / "bundles")

    def put_files(self) -> None:
        """Give each node its files, hundreds of them. What asks no node can do without."""
        for node in self.nodes.values():
            for name in (self.files.root.name, "boots"):
                place = Path(node["node_directory"], name)
                if not place.exists():
                    shutil.copytree(self.root / name, place, symlinks=True)

    def close(self) -> None:
        """End what plays kubelet and the cluster."""
        self._kubelet_files.end()
        super().close()

    def places(self) -> dict[str, str]:
        """Those of the node that the task is for."""
        return {name: f"{NODE}/{self.files.root.name}/{place}" for name, place in FILE_SYSTEMS.items()}

    def module_defaults(self) -> dict[str, dict[str, str]]:
        """Where modules find that node."""
        defaults = super().module_defaults()
        defaults["accel.qat.kernel_args"]["root"] = f"{NODE}/boots"
        defaults["accel.qat.qat_devices"] = {**defaults["accel.qat.qat_devices"], "record": f"{NODE}/found.json"}
        return defaults

    def inventory(self) -> str:
        """With the connection that counts."""
        groups = json.loads(super().inventory())
        groups["qat_nodes"]["vars"].update(
            ansible_connection="counted",
            qat_node_qatctl_path=f"{NODE}/qatctl",
            qat_node_kernel_arguments=[ARGUMENT],
            qat_device_plugin_bundle=str(self.root / "bundles"),
        )
        return json.dumps(groups)

    def environment(self) -> dict[str, str]:
        """Without the callback that records for tests what each task said."""
        return {
            **common_environment(),
            **super().environment(),
            "ANSIBLE_CONFIG": str(SETTINGS),
            "ANSIBLE_CALLBACK_PLUGINS": os.devnull,
            "ANSIBLE_CONNECTION_PLUGINS": str(CONNECTIONS),
            "COUNTED_FILE": str(self.root / "counted"),
        }

    def cost(self, way: Way, forks: int = FORKS) -> Cost:
        """Run the playbook, and see that all nodes came to its end. Raises Untrue."""
        hosts, counted = self.root / "hosts.yml", self.root / "counted"
        hosts.write_text(self.inventory())
        counted.write_text("")
        if way.asks_nodes:
            self.put_files()
        playbook = self.of_node(*({**play, "become": False} for play in plays("site.yml")))
        output, used, wall = _run(
            str(VENV / "bin/ansible-playbook"),
            *("--inventory", str(hosts), "--forks", str(forks), "--extra-vars", json.dumps({**FILES, **way.variables})),
            *(*way.flags, playbook),
            directory=self.root,
            environment=self.environment(),
        )
        tasks = tasks_of_each(output, set(self.nodes))
        calls = Calls.of(counted.read_text())
        of_each = {calls.number[node] for node in self.nodes}
        if len(of_each) != 1 or (0 in of_each) == way.asks_nodes or not set(self.nodes).issuperset(calls.number):
            raise Untrue(f"the nodes were not called alike: {dict(calls.number)}")
        count = len(self.nodes)
        sent, there = calls.sent.total() / count, calls.seconds / count
        seconds = used.ru_utime + used.ru_stime - calls.seconds
        return Cost(count, tasks, seconds, wall, sent, there, used.ru_maxrss * 1024)


def _put_archive(directory: Path) -> None:
    """One of the device plugin, as far as the controller looks at it: by its name and its hash."""
    directory.mkdir()
    release_name = runpy.run_path(str(CHECKOUT / "device_plugin/bundle.py"))["release_name"]
    release = release_name("{}.{}".format(*sys.version_info), platform.machine())
    archive = directory / f"qat-device-plugin-{release}.tar.gz"
    archive.write_bytes(bytes(ARCHIVE_BYTES))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_name(archive.name + ".sha256").write_text(f"{digest}  {archive.name}\n")


def _run(*words: str, directory: Path, environment: dict[str, str]) -> tuple[str, resource.struct_rusage, float]:
    """What a command printed, what it and all that it started have used, and the seconds that it took."""
    output = directory / "output"
    with output.open("wb") as stream:
        begin = time.monotonic()
        process = subprocess.Popen(
            words, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
    if process.returncode:
        raise Untrue(f"ansible-playbook ended with {process.returncode}:\n{output.read_text()}")
    return output.read_text(), used, wall


_RECAP = re.compile(
    r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=0 +failed=0 +skipped=(\d+) +rescued=0 +ignored=0 *$", re.M
)


def tasks_of_each(output: str, nodes: set[str]) -> int:
    """How many tasks came to pass on each node, by what Ansible prints at the end. Raises Untrue."""
    well = {node: (int(ok), int(changed), int(skipped)) for node, ok, changed, skipped in _RECAP.findall(output)}
    if set(well) != nodes:
        raise Untrue(f"not all nodes came well to the end of the run:\n{output}")
    if len(set(well.values())) != 1:
        raise Untrue(f"the nodes had not the same tasks and changes:\n{output}")
    ok, _changed, _skipped = next(iter(well.values()))
    return ok


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    """Such a fleet, in a directory of its own, whose path is short: it has sockets."""
    with tempfile.TemporaryDirectory(prefix="qat-") as root:
        made = Fleet(Path(root), Path(root, "nodes"), count)
        try:
            yield made
        finally:
            made.close()


def table(costs: Sequence[Cost]) -> list[str]:
    """A row for each number of nodes. Ratios are to the first row, those of further nodes to the first that there were."""
    lines = [
        "| nodes | controller | of each further node | ratio | memory | sent to a node | ratio | on a node | wall |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    steps: list[float] = []
    for before, cost in zip([None, *costs], costs, strict=False):
        step = ratio = ""
        if before is not None and cost.nodes > before.nodes:
            steps.append((cost.controller - before.controller) / (cost.nodes - before.nodes))
            step, ratio = f"{steps[-1]:.2f} s", f"{steps[-1] / steps[0]:.2f}"
        sent = f"{cost.sent / 1000:.0f} kB | {cost.sent / costs[0].sent:.2f}" if cost.sent else "none |"
        cells = [str(cost.nodes), f"{cost.controller:.1f} s", step, ratio, f"{cost.memory / 1e6:.0f} MB", sent]
        lines.append(f"| {' | '.join([*cells, f'{cost.there:.2f} s', f'{cost.wall:.0f} s'])} |")
    return lines


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each way with each number of nodes."""
    parser = argparse.ArgumentParser(prog="bench-fleet", description=__doc__)
    parser.add_argument("nodes", nargs="*", type=int, default=COUNTS, help="how many nodes, from few to many")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="which runs")
    parser.add_argument("--forks", type=int, default=FORKS, help="Ansible's")
    options = parser.parse_args(arguments)
    if "second" in options.ways and "first" not in options.ways:
        parser.error("the second run comes after the first: name both")
    costs: dict[str, list[Cost]] = {name: [] for name in WAYS if name in options.ways}
    for count in options.nodes:
        with fleet(count) as nodes:
            for name, found in costs.items():
                found.append(nodes.cost(WAYS[name], options.forks))
                say(f"{WAYS[name].title}: {count} nodes, {found[-1].controller:.1f} s of the controller")
    for name, found in costs.items():
        say("\n".join(["", f"{WAYS[name].title}, {found[0].tasks} tasks", "", *table(found)]))


if __name__ == "__main__":
    try:
        main()
    except Untrue as error:
        sys.exit(f"bench-fleet: {error}")
