# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster from up to down, and what tests ask of it: nodes, what they offer, and pods."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tools.building import host
from ansible_collections.accel.qat.tools.building.errors import ToolError

from .. import image, machine, pod_image
from ..errors import LabError
from ..hardware import Hardware
from ..machine import Machine
from ..paths import cluster_directory, cluster_names
from . import control_plane, kubeadm, programs, releases
from .api import ApiError, Document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..image import Flavour
    from .releases import Release

RECORD = "cluster.json"
"""File with what is remembered of a cluster between two commands."""
NODE_MEMORY = 2048
"""MiB of a machine that runs kubelet, containerd and some dozens of pods of ours."""
PATIENCE = 300.0
CONTAINERS = ("main", "second", "third")
PODS = "/api/v1/namespaces/default/pods"
FINAL = ("Succeeded", "Failed")
_ADDRESS_FILE = "/etc/systemd/network/05-node-address.network"


@dataclass(frozen=True)
class OtherRuntime:
    """Nodes that run something else than containers by containerd."""

    flavour: Flavour
    """What their machines have; kubelet and kubeadm are put there."""
    socket: str
    """Where kubelet finds the runtime."""
    prepare: Callable[[Machine], None]
    """Has the runtime answer, before the machine joins."""


class Cluster:
    """A running cluster, by its name. As a context manager it is taken down at the end."""

    def __init__(self, name: str) -> None:
        """Take up a cluster that was started before; LabError if there is none of that name."""
        self.name = name
        self.directory = cluster_directory(name)
        try:
            values = json.loads((self.directory / RECORD).read_text())
        except OSError as error:
            raise LabError(f"there is no cluster {name!r}: start it with `lab cluster up {name}`.") from error
        self.nodes: list[str] = values["nodes"]
        self.release = releases.named(values["release"])
        self.api = control_plane.api(self.directory)

    @classmethod
    def up(
        cls,
        name: str,
        hardware: Hardware | None = None,
        nodes: int = 1,
        release: Release = releases.DEFAULT,
        runtime: OtherRuntime | None = None,
    ) -> Cluster:
        """Start a cluster of machines with this hardware, and wait until all nodes are ready.

        They run containers by containerd unless another runtime is given. The machines are NAME-1, NAME-2 and so on.
        LabError if it cannot be started; nothing of it is left then.
        """
        if nodes < 1:
            raise LabError(f"a cluster of {nodes} nodes cannot be: ask for one or more.")
        directory = cluster_directory(name)
        names = [f"{name}-{number}" for number in range(1, nodes + 1)]
        hardware = hardware or Hardware(memory=NODE_MEMORY)
        with _lock(directory):
            if directory.exists():
                raise LabError(f"cluster {name!r} is there already: remove it with `lab cluster down {name}`.")
            if taken := [node for node in names if node in machine.names()]:
                raise LabError(f"the nodes would be {', '.join(names)}, but there is a machine {taken[0]!r} already.")
            try:
                _up(directory, release, names, hardware, runtime)
                cluster = cls(name)
                cluster.wait_until_ready()
            except BaseException:
                _down(directory, names)
                raise
        return cluster

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def down(self) -> None:
        """Take the cluster down and remove everything of it; it is no error if that has been done."""
        down(self.name)

    def upgrade(self, release: Release) -> None:
        """Have it, and then its nodes one after the other, be of another release, as kubeadm does it, and wait until all are ready."""
        programs.ensure(release, programs.NAMES)
        control_plane.upgrade(self.directory, release)
        kubeadm.prepare(self.directory, release)
        self.release = release
        _record(self.directory, self.nodes, release)
        for node in self.nodes:
            self._upgrade_node(node)
        self.wait_until_ready()

    def _upgrade_node(self, node: str) -> None:
        host.say(f"kubeadm upgrades {node}")
        kubeadm.upgrade(self.machine(node), self.release)

        def version() -> str:
            return str(self.node(node)["status"]["nodeInfo"]["kubeletVersion"])

        self.wait_for(f"the new kubelet of {node}", version, f"v{self.release.version}".__eq__)

    @property
    def running(self) -> bool:
        """Whether the control plane and all machines run."""
        known = machine.names()
        return control_plane.running(self.directory) and all(
            node in known and Machine(node).running for node in self.nodes
        )

    @property
    def port(self) -> int:
        """The port of kube-apiserver on 127.0.0.1."""
        return control_plane.port(self.directory)

    @property
    def kubeconfig(self) -> Path:
        """File with which kubectl and other clients on this host have every right in the cluster."""
        return control_plane.kubeconfig(self.directory)

    def machine(self, node: str = "") -> Machine:
        """The machine of a node, by default of the first."""
        return Machine(node or self.nodes[0])

    def wait_for(
        self, what: str, get: Callable[[], Any], wanted: Callable[[Any], bool], limit: float = PATIENCE
    ) -> Any:
        """Ask again until the answer is as wanted, and return it; LabError with the last answer after limit seconds.

        That kube-apiserver has no answer, since etcd or a node keeps it waiting, is an answer that is not wanted.
        """
        deadline = time.monotonic() + limit
        while True:
            value: Any
            try:
                if wanted(value := get()):
                    return value
            except (ApiError, OSError) as error:
                if isinstance(error, ApiError) and error.code < 500:
                    raise
                value = str(error)
            if time.monotonic() > deadline:
                raise LabError(
                    f"{what} did not come true within {limit:.0f} s: {json.dumps(value, default=str)[:2000]}"
                )
            time.sleep(0.2)

    # Nodes.

    def node(self, node: str = "") -> Document:
        """A node as the API describes it, by default the first."""
        return self.api.get(f"/api/v1/nodes/{node or self.nodes[0]}")

    def ready(self, node: str = "") -> bool:
        """Whether kubelet has said lately that the node can run pods."""
        try:
            conditions = self.node(node)["status"].get("conditions", ())
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

    def cordoned(self, node: str = "") -> bool:
        """Whether the scheduler is to leave the node alone."""
        return bool(self.node(node)["spec"].get("unschedulable"))

    def wait_until_ready(self) -> None:
        """Wait until all nodes are ready."""
        for node in self.nodes:
            self._wait_until_ready(node)

    def _wait_until_ready(self, node: str) -> None:
        try:
            self.wait_for(f"that node {node} is ready", lambda: self.ready(node), bool)
        except ToolError as error:
            said = self.machine(node).run("journalctl -u kubelet -n 10 --no-pager -o cat", check=False).stdout
            raise LabError(f"{error}\nkubelet's last lines:\n{said}") from error

    def restart_kubelet(self, before: str = "", node: str = "") -> None:
        """Restart kubelet, with shell commands while it is stopped, and wait until it has said again that the node is ready."""
        script = f"systemctl stop kubelet && {{ {before or ':'}; }} && date --utc +%FT%TZ && systemctl start kubelet"
        since = self.machine(node).run(script).stdout.split()[-1]

        def lately() -> bool:
            conditions = self.node(node)["status"]["conditions"]
            return self.ready(node) and all(condition["lastHeartbeatTime"] > since for condition in conditions)

        self.wait_for("that the restarted kubelet is ready", lately, bool)

    def offered(self, resource: str, node: str = "") -> tuple[int, int]:
        """How many units of an extended resource a node has (capacity), and how many pods can be given (allocatable)."""
        status = self.node(node)["status"]
        return int(status["capacity"].get(resource, "0")), int(status["allocatable"].get(resource, "0"))

    def wait_for_offer(self, resource: str, capacity: int, allocatable: int | None = None, node: str = "") -> None:
        """Wait until a node offers so many units; allocatable is the same number unless it is given."""
        wanted = (capacity, capacity if allocatable is None else allocatable)
        self.wait_for(f"{wanted} of {resource}", lambda: self.offered(resource, node), lambda offer: offer == wanted)

    # Pods.

    def create_pod(self, name: str, *resources: dict[str, int], **specification: Any) -> Document:
        """Make a pod of containers that do nothing, each with so many units of extended resources; of one without any if none is given.

        The containers are main, second and third. The specification is what else its spec should have, such as nodeName.
        """
        if len(resources) > len(CONTAINERS):
            raise LabError(f"pod {name} has {len(resources)} containers: {len(CONTAINERS)} have names.")
        containers = [container(name, wanted) for name, wanted in zip(CONTAINERS, resources or ({},), strict=False)]
        return self.api.post(
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name},
                "spec": {
                    "containers": containers,
                    "restartPolicy": "Never",
                    "enableServiceLinks": False,
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 5,
                    **specification,
                },
            },
        )

    def pod(self, name: str) -> Document:
        """A pod as the API describes it."""
        return self.api.get(f"{PODS}/{name}")

    def wait_for_phase(self, name: str, phase: str = "Running") -> Document:
        """Wait until a pod is in a phase, and return it; LabError if it ends in another one."""
        pod: Document = self.wait_for(
            f"phase {phase} of pod {name}",
            lambda: self.pod(name),
            lambda pod: pod["status"]["phase"] in (phase, *FINAL),
        )
        status = pod["status"]
        if status["phase"] != phase:
            raise LabError(f"pod {name} is {status['phase']}: {status.get('reason', '')} {status.get('message', '')}")
        return pod

    def wait_until_unschedulable(self, name: str, because: str) -> None:
        """Wait until the scheduler has found no node for a pod, and says this of why: for a moment it may know of another reason."""

        def words() -> str:
            for condition in self.pod(name)["status"].get("conditions", ()):
                if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
                    return str(condition["message"])
            return ""

        self.wait_for(f"that pod {name} is unschedulable for {because!r}", words, lambda said: because in said)

    def log(self, name: str) -> str:
        """What the container of a pod has printed, by the API."""
        return self.api.text(f"{PODS}/{name}/log")

    def environment(self, name: str, container: str = "main") -> dict[str, str]:
        """The environment of a container of a running pod."""
        return dict(line.split("=", 1) for line in self.execute(name, "env", container).splitlines() if "=" in line)

    def delete_pod(self, name: str) -> None:
        """Remove a pod, and wait until kubelet has ended it and it is gone; it is no error if there is none."""
        with contextlib.suppress(ApiError):
            self.api.delete(f"{PODS}/{name}")
        self.wait_for(f"that pod {name} is gone", self.pods, lambda names: name not in names)

    def delete_pods(self, but: str = "") -> None:
        """Remove all pods, or all but the one of this name, as `delete_pod` does, at once."""
        for name in self.pods():
            if name != but:
                with contextlib.suppress(ApiError):
                    self.api.delete(f"{PODS}/{name}")
        self.wait_for("that all pods are gone", self.pods, lambda names: {*names} <= {but})

    def pods(self) -> list[str]:
        """Names of all pods."""
        return [pod["metadata"]["name"] for pod in self.api.get(PODS)["items"]]

    def execute(self, name: str, command: str, container: str = "main") -> str:
        """What a shell command in a container of a running pod prints, without kube-apiserver; CommandFailed if it fails."""
        pod = self.pod(name)
        # A sidecar is an init container that stays.
        statuses = [*pod["status"]["containerStatuses"], *pod["status"].get("initContainerStatuses", ())]
        (status,) = (status for status in statuses if status["name"] == container)
        words = [
            "ctr",
            "--namespace",
            "k8s.io",
            "tasks",
            "exec",
            "--exec-id",
            "lab",
            status["containerID"].removeprefix("containerd://"),
            "/bin/sh",
            "-c",
            command,
        ]
        return self.machine(pod["spec"]["nodeName"]).run(shlex.join(words)).stdout


def container(name: str, resources: Mapping[str, int], **specification: Any) -> Document:
    """A container of a pod that does nothing, with so many units of extended resources, and what else its specification should have."""
    limits = {resource: str(number) for resource, number in resources.items()}
    basis = {"name": name, "image": pod_image.NAME, "imagePullPolicy": "Never", "resources": {"limits": limits}}
    return {**basis, **specification}


def names() -> list[str]:
    """Names of all clusters that exist, running or not."""
    return cluster_names()


def down(name: str) -> None:
    """Take a cluster down and remove it, even one whose start was cut short."""
    directory = cluster_directory(name)
    with _lock(directory):
        try:
            nodes: list[str] = json.loads((directory / RECORD).read_text())["nodes"]
        except OSError:
            nodes = []
        _down(directory, nodes)


def _lock(directory: Path) -> Any:
    return host.lock(directory.with_suffix(".lock"), f"it works on cluster {directory.name}")


def _up(directory: Path, release: Release, nodes: list[str], hardware: Hardware, runtime: OtherRuntime | None) -> None:
    # Before anything else: both may compile for minutes, and etcd comes with the image.
    image.ensure(image.node(release))
    programs.ensure(release, [*programs.CONTROL_PLANE, programs.KUBEADM])
    host.say(f"starting the control plane of {directory.name}, Kubernetes {release.version}")
    control_plane.start(directory, release)
    _record(directory, nodes, release)
    forward = f"{control_plane.GUEST_ADDRESS}:{control_plane.GUEST_PORT}=127.0.0.1:{control_plane.port(directory)}"
    with ThreadPoolExecutor() as pool:
        prepared = pool.submit(_prepare, directory, release)
        jobs = [
            pool.submit(_start_node, directory, release, number, node, _Start(hardware, forward, runtime), prepared)
            for number, node in enumerate(nodes, 1)
        ]
        for job in (prepared, *jobs):
            job.result()
    host.say("waiting until kubelet says that the node is ready")


def _record(directory: Path, nodes: list[str], release: Release) -> None:
    aside = directory / f"{RECORD}.new"
    aside.write_text(json.dumps({"nodes": nodes, "release": release.name}))
    aside.rename(directory / RECORD)


def _prepare(directory: Path, release: Release) -> None:
    control_plane.wait(directory)
    kubeadm.prepare(directory, release)


@dataclass(frozen=True)
class _Start:
    """How the machines of a cluster are started: all alike."""

    hardware: Hardware
    forward: str
    runtime: OtherRuntime | None

    def machine(self, node: str, release: Release) -> Machine:
        """One of them, with all that it needs to join."""
        flavour = self.runtime.flavour if self.runtime else image.node(release)
        started = Machine.start(node, self.hardware, [self.forward], flavour=flavour)
        if self.runtime:
            kubeadm.install(started, release)
            self.runtime.prepare(started)
        return started


def _start_node(
    directory: Path, release: Release, number: int, node: str, start: _Start, prepared: Future[None]
) -> None:
    """Start a machine and have it join once the control plane is prepared."""
    address = control_plane.node_address(number)
    started = start.machine(node, release)
    started.put(f"[Match]\nName=lo\n\n[Network]\nAddress={address}/32\n".encode(), _ADDRESS_FILE)
    started.run("networkctl reload")
    prepared.result()
    host.say(f"kubeadm has {node} join")
    socket = start.runtime.socket if start.runtime else kubeadm.CONTAINERD
    kubeadm.join(started, directory, release, node, address, socket)


def _down(directory: Path, nodes: list[str]) -> None:
    for node in nodes:
        machine.remove(node)
    control_plane.stop(directory)
    shutil.rmtree(directory, ignore_errors=True)
