# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container runtime that makes a virtual machine of each container, as Virtlet does, for the real kubelet of a node with libvirt.

    python3 -m harness.virtlet_runtime SOCKET [ARGUMENT...]

The arguments are further ones of QEMU, in which {name} is the domain's name.

Source: Virtlet 1.5, pkg/manager/runtime.go and image.go (what it answers), pkg/libvirttools/virtualization.go (what it does with domains).
A sandbox's id is the uid of its pod. There is one container in it: a second request to create one is answered with the first. Pods have
no network, so they get an address that nothing has; there is no image store, so that every image is there, and boots nothing. Ends with
SIGTERM.
"""

from __future__ import annotations

import importlib
import itertools
import os
import re
import signal
import sys
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc

from . import cri
from .cri import v1alpha2 as api
from .virtlet import VirtualMachine, virtual_machine

SOCKET = "/run/virtlet.sock"
_PODS = "10.88.0."
_RUNNING = (1, 4)
"""VIR_DOMAIN_RUNNING, and VIR_DOMAIN_SHUTDOWN, which is on its way down and runs still."""


@dataclass
class Sandbox:
    """A pod, as kubelet has described it."""

    config: t.Any
    address: str
    state: int = cri.READY
    created: int = field(default_factory=time.time_ns)


@dataclass
class Container:
    """A virtual machine, and the request by which it was made."""

    request: t.Any
    machine: VirtualMachine
    state: int = cri.CREATED
    created: int = field(default_factory=time.time_ns)
    started: int = 0


class Refusal(Exception):
    """A call fails; kubelet is given the message."""


class Runtime:
    """The calls of both services. `libvirt` is Python's module, `arguments` are further ones of QEMU, and all files are below `root`."""

    def __init__(self, libvirt: t.Any, arguments: t.Sequence[str] = (), root: Path = Path("/")) -> None:
        self._libvirt = libvirt
        self._arguments = arguments
        self._root = root
        self._connection = libvirt.open("qemu:///system")
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, Container] = {}
        self._addresses = itertools.count(2)
        self._lock = threading.RLock()

    # The runtime.

    def version(self, _: t.Any) -> t.Any:
        return api.VersionResponse(
            version=cri.VERSION,
            runtime_name="virtlet",
            runtime_version=cri.VERSION,
            runtime_api_version=cri.VERSION,
        )

    def status(self, _: t.Any) -> t.Any:
        conditions = [api.RuntimeCondition(type=name, status=True) for name in ("RuntimeReady", "NetworkReady")]
        return api.StatusResponse(status=api.RuntimeStatus(conditions=conditions))

    def update_runtime_config(self, _: t.Any) -> t.Any:
        return api.UpdateRuntimeConfigResponse()

    # Pods.

    def run_pod_sandbox(self, request: t.Any) -> t.Any:
        uid = request.config.metadata.uid
        with self._lock:
            known = self._sandboxes.get(uid)
            if known is None or known.state != cri.READY:
                self._sandboxes[uid] = Sandbox(request.config, f"{_PODS}{next(self._addresses)}")
        return api.RunPodSandboxResponse(pod_sandbox_id=uid)

    def stop_pod_sandbox(self, request: t.Any) -> t.Any:
        with self._lock:
            self._sandbox(request.pod_sandbox_id).state = cri.NOT_READY
        return api.StopPodSandboxResponse()

    def remove_pod_sandbox(self, request: t.Any) -> t.Any:
        with self._lock:
            self._sandboxes.pop(request.pod_sandbox_id, None)
        return api.RemovePodSandboxResponse()

    def pod_sandbox_status(self, request: t.Any) -> t.Any:
        with self._lock:
            sandbox = self._sandbox(request.pod_sandbox_id)
            status = api.PodSandboxStatus(
                **_described(request.pod_sandbox_id, sandbox),
                network=api.PodSandboxNetworkStatus(ip=sandbox.address),
            )
        return api.PodSandboxStatusResponse(status=status)

    def list_pod_sandbox(self, request: t.Any) -> t.Any:
        with self._lock:
            items = [api.PodSandbox(**_described(uid, sandbox)) for uid, sandbox in self._sandboxes.items()]
        return api.ListPodSandboxResponse(items=[one for one in items if _passes(one, request.filter)])

    def _sandbox(self, uid: str) -> Sandbox:
        found = self._sandboxes.get(uid)
        if found is None:
            raise Refusal(f'sandbox "{uid}" not found in Virtlet metadata store')
        return found

    # Containers.

    def create_container(self, request: t.Any) -> t.Any:
        with self._lock:
            self._sandbox(request.pod_sandbox_id)
            for identity, one in self._containers.items():
                if one.request.pod_sandbox_id == request.pod_sandbox_id:
                    return api.CreateContainerResponse(container_id=identity)
            machine = virtual_machine(request, self._arguments)
            self._write(machine.root_volume, "")
            self._write(machine.configuration, machine.user_data)
            self._connection.defineXML(machine.xml)
            self._containers[machine.uuid] = Container(request, machine)
        return api.CreateContainerResponse(container_id=machine.uuid)

    def _write(self, path: str, content: str) -> None:
        target = self._root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Disks have a size, in whole sectors.
        target.write_bytes(content.encode().ljust(1 << 20, b"\0"))

    def start_container(self, request: t.Any) -> t.Any:
        identity = request.container_id
        if self._seen(identity).state != cri.RUNNING:
            try:
                self._domain(identity).create()
            except self._libvirt.libvirtError as error:
                raise Refusal(f'failed to create domain "{identity}": {error}') from None
            with self._lock:
                self._containers[identity].state = cri.RUNNING
                self._containers[identity].started = time.time_ns()
        return api.StartContainerResponse()

    def stop_container(self, request: t.Any) -> t.Any:
        """Ask the guest to shut down, and end it when it has not done so in time."""
        domain = self._domain(request.container_id)
        end = time.monotonic() + request.timeout
        while _runs(domain) and time.monotonic() < end:
            domain.shutdown()
            time.sleep(0.2)
        if _runs(domain):
            domain.destroy()
        with self._lock:
            self._containers[request.container_id].state = cri.EXITED
        return api.StopContainerResponse()

    def remove_container(self, request: t.Any) -> t.Any:
        with self._lock:
            container = self._containers.pop(request.container_id, None)
            if container:
                domain = self._domain(request.container_id)
                if _runs(domain):
                    domain.destroy()
                domain.undefine()
                for path in (container.machine.root_volume, container.machine.configuration):
                    (self._root / path.lstrip("/")).unlink()
        return api.RemoveContainerResponse()

    def list_containers(self, request: t.Any) -> t.Any:
        with self._lock:
            known = [(identity, self._seen(identity)) for identity in self._containers]
        found = [
            api.Container(**_container(identity, one), pod_sandbox_id=one.request.pod_sandbox_id)
            for identity, one in known
        ]
        return api.ListContainersResponse(containers=[one for one in found if _passes(one, request.filter)])

    def container_status(self, request: t.Any) -> t.Any:
        one = self._seen(request.container_id)
        log_path = os.path.join(one.request.sandbox_config.log_directory, one.request.config.log_path)
        status = api.ContainerStatus(**_container(request.container_id, one), started_at=one.started, log_path=log_path)
        return api.ContainerStatusResponse(status=status)

    def reopen_container_log(self, _: t.Any) -> t.Any:
        return api.ReopenContainerLogResponse()

    def list_container_stats(self, _: t.Any) -> t.Any:
        return api.ListContainerStatsResponse()

    def _domain(self, identity: str) -> t.Any:
        try:
            return self._connection.lookupByUUIDString(identity)
        except self._libvirt.libvirtError as error:
            raise Refusal(f'failed to look up domain "{identity}": {error}') from None

    def _seen(self, identity: str) -> Container:
        """A container, with the state that its domain has by now; one that was never started stays created."""
        with self._lock:
            found = self._containers.get(identity)
            if found is None:
                raise Refusal(f'container "{identity}" is not known')
            if _runs(self._domain(identity)):
                found.state = cri.RUNNING
            elif found.state != cri.CREATED:
                found.state = cri.EXITED
            return found

    # Images.

    def list_images(self, _: t.Any) -> t.Any:
        return api.ListImagesResponse()

    def image_status(self, request: t.Any) -> t.Any:
        name = request.image.image
        return api.ImageStatusResponse(image=api.Image(id=name, repo_tags=[name], size=1))

    def image_fs_info(self, _: t.Any) -> t.Any:
        usage = api.FilesystemUsage(
            timestamp=time.time_ns(),
            fs_id=api.FilesystemIdentifier(mountpoint="/var/lib"),
            used_bytes=api.UInt64Value(value=1),
            inodes_used=api.UInt64Value(value=1),
        )
        return api.ImageFsInfoResponse(image_filesystems=[usage])


IMAGE_CALLS = ("ListImages", "ImageStatus", "ImageFsInfo")
RUNTIME_CALLS = (
    "Version",
    "Status",
    "UpdateRuntimeConfig",
    "RunPodSandbox",
    "StopPodSandbox",
    "RemovePodSandbox",
    "PodSandboxStatus",
    "ListPodSandbox",
    "CreateContainer",
    "StartContainer",
    "StopContainer",
    "RemoveContainer",
    "ListContainers",
    "ContainerStatus",
    "ReopenContainerLog",
    "ListContainerStats",
)
CALLS = {cri.RUNTIME_SERVICE: RUNTIME_CALLS, cri.IMAGE_SERVICE: IMAGE_CALLS}


def _runs(domain: t.Any) -> bool:
    return domain.state()[0] in _RUNNING


def _described(uid: str, sandbox: Sandbox) -> dict[str, t.Any]:
    config = sandbox.config
    return {
        "id": uid,
        "metadata": config.metadata,
        "state": sandbox.state,
        "created_at": sandbox.created,
        "labels": config.labels,
        "annotations": config.annotations,
    }


def _container(identity: str, one: Container) -> dict[str, t.Any]:
    config = one.request.config
    return {
        "id": identity,
        "metadata": config.metadata,
        "image": config.image,
        "image_ref": config.image.image,
        "state": one.state,
        "created_at": one.created,
        "labels": config.labels,
        "annotations": config.annotations,
    }


def _passes(one: t.Any, wanted: t.Any) -> bool:
    """Whether a pod or a container is what a list is asked for."""
    sandbox = getattr(wanted, "pod_sandbox_id", "")
    return (
        wanted.id in ("", one.id)
        and sandbox in ("", getattr(one, "pod_sandbox_id", ""))
        and (not wanted.HasField("state") or wanted.state.state == one.state)
        and all(one.labels.get(key) == value for key, value in wanted.label_selector.items())
    )


def serve(runtime: Runtime, socket: str) -> t.Any:
    """Listen, and answer in threads of its own; returns the server, whose `stop` ends it."""
    server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
    for service, calls in CALLS.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                _answering(name, getattr(runtime, _method(name))),
                getattr(api, f"{name}Request").FromString,
                lambda message: message.SerializeToString(),
            )
            for name in calls
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    return server


def _method(name: str) -> str:
    return re.sub("(?<!^)(?=[A-Z])", "_", name).lower()


def _answering(name: str, call: t.Callable[[t.Any], t.Any]) -> t.Callable[[t.Any, t.Any], t.Any]:
    """As Go's library does, where the error of a handler is one of code UNKNOWN."""

    def answer(request: t.Any, context: t.Any) -> t.Any:
        try:
            return call(request)
        except Exception as error:
            print(f"{name}: {error!r}", flush=True)
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    return answer


def main(socket: str, *arguments: str) -> None:
    """Serve until the signal comes."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Path(socket).unlink(missing_ok=True)
    server = serve(Runtime(importlib.import_module("libvirt"), arguments), socket)
    stop.wait()
    server.stop(None).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
