# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubelet's PodResources socket: which devices the pods have, in the versions that kubelets had, with their ways to refuse.

Sources: k8s.io/kubelet pkg/apis/podresources/{v1,v1alpha1}/api.proto, k8s.io/kubernetes pkg/kubelet/apis/podresources.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import typing as t
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import grpc.aio
from qat_device_plugin._node.users.pods import Pods
from qat_device_plugin.messages import _messages

CY = "qat.intel.com/cy"
VF0, VF1 = "0000:6b:00.1", "0000:6b:00.2"

_MESSAGES = """
NUMANode: ID int64 = 1
TopologyInfo: nodes NUMANode* = 1
ContainerDevices: resource_name string = 1, device_ids string* = 2, topology TopologyInfo = 3
CDIDevice: name string = 1
ClaimResource: cdi_devices CDIDevice* = 1, driver_name string = 2, pool_name string = 3, device_name string = 4
DynamicResource: claim_name string = 2, claim_namespace string = 3, claim_resources ClaimResource* = 4
ContainerResources: name string = 1, devices ContainerDevices* = 2, cpu_ids int64* = 3, dynamic_resources DynamicResource* = 5
PodResources: name string = 1, namespace string = 2, containers ContainerResources* = 3
ListPodResourcesResponse: pod_resources PodResources* = 1
AllocatableResourcesResponse: devices ContainerDevices* = 1, cpu_ids int64* = 2
"""

v1: t.Any = _messages("v1", _MESSAGES)

Containers = t.Dict[str, t.Dict[str, t.List[str]]]  # noqa: UP006
"""Device ids by resource by container."""


class Claimed(t.NamedTuple):
    """A device that a container has by a claim."""

    device: str
    driver: str = "qat.intel.com"
    cdi: tuple[str, ...] = ()


class FakePodResources:
    """Listens on pod-resources/kubelet.sock below `root`. `versions` are those it has: none before 1.13, v1 since 1.20.

    `limits` is how many calls are refused as too many first; `refusal` is what every call is refused with; `silent` never answers.
    """

    def __init__(self, root: Path, versions: t.Sequence[str] = ("v1", "v1alpha1")) -> None:
        self.path = root / "pod-resources/kubelet.sock"
        self.versions = versions
        self.pods: dict[tuple[str, str], Containers] = {}
        self.claims: dict[tuple[str, str, str], list[Claimed]] = {}
        """By namespace, pod and container."""
        self.allocatable: dict[str, list[str]] | None = {}
        self.limits = 0
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.silent = False
        self.calls: list[str] = []
        self._server: t.Any = None

    async def start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        for version in self.versions:
            methods = {"List": self._list}
            if version == "v1":
                methods["GetAllocatableResources"] = self._get_allocatable
            handlers = {
                name: grpc.unary_unary_rpc_method_handler(self._guarded(f"{version}.{name}", method))
                for name, method in methods.items()
            }
            service = f"{version}.PodResourcesLister"
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self._server.add_insecure_port(f"unix:{self.path}")
        await self._server.start()

    async def stop(self) -> None:
        """Go away, and leave the socket as a kubelet does that was killed."""
        await self._server.stop(0)

    def _guarded(self, name: str, method: t.Callable[[], bytes]) -> t.Any:
        async def answer(_request: bytes, context: t.Any) -> bytes:
            self.calls.append(name)
            while self.silent:
                await asyncio.sleep(0.05)
            if self.limits:
                self.limits -= 1
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit")
            if self.refusal:
                await context.abort(*self.refusal)
            if name.endswith("GetAllocatableResources") and self.allocatable is None:
                await context.abort(grpc.StatusCode.UNKNOWN, "Pod Resources API GetAllocatableResources disabled")
            return method()

        return answer

    def _list(self) -> bytes:
        pods = [
            v1.PodResources(
                name=name,
                namespace=namespace,
                containers=[
                    v1.ContainerResources(
                        name=container,
                        devices=_devices(resources),
                        cpu_ids=[1, 300],
                        dynamic_resources=_claims(self.claims.get((namespace, name, container), ())),
                    )
                    for container, resources in containers.items()
                ],
            )
            for (namespace, name), containers in self.pods.items()
        ]
        return bytes(v1.ListPodResourcesResponse(pod_resources=pods).SerializeToString())

    def _get_allocatable(self) -> bytes:
        message = v1.AllocatableResourcesResponse(devices=_devices(self.allocatable or {}), cpu_ids=list(range(64)))
        return bytes(message.SerializeToString())


def _devices(resources: t.Mapping[str, t.Sequence[str]]) -> list[t.Any]:
    """Each device in an entry of its own, as kubelet has one for each NUMA node."""
    topology = v1.TopologyInfo(nodes=[v1.NUMANode(ID=0), v1.NUMANode(ID=1)])
    return [
        v1.ContainerDevices(resource_name=resource, device_ids=[device], topology=topology)
        for resource, devices in resources.items()
        for device in devices
    ]


def _claims(devices: t.Sequence[Claimed]) -> list[t.Any]:
    """Each device by a claim of its own."""
    return [
        v1.DynamicResource(
            claim_name=f"claim-{number}",
            claim_namespace="default",
            claim_resources=[
                v1.ClaimResource(
                    cdi_devices=[v1.CDIDevice(name=name) for name in one.cdi],
                    driver_name=one.driver,
                    pool_name="node1",
                    device_name=one.device,
                )
            ],
        )
        for number, one in enumerate(devices)
    ]


def entry(uid: str, ids: t.Any) -> dict[str, t.Any]:
    """What the device manager's checkpoint has of a pod with VFs."""
    return {"PodUID": uid, "ContainerName": "app", "ResourceName": CY, "DeviceIDs": ids, "AllocResp": "Cg=="}


def kept_claim(uid: str, device: str, driver: str = "qat.intel.com") -> dict[str, t.Any]:
    """A claim of a pod as kubelet keeps it."""
    devices = [{"PoolName": "node1", "DeviceName": device, "RequestNames": ["r"], "CDIDeviceIDs": None}]
    state = {driver: {"Devices": devices}}
    return {"ClaimUID": "99", "ClaimName": "vf", "Namespace": "default", "PodUIDs": {uid: {}}, "DriverState": state}


def keep_claims(root: Path, claims: t.Any, alive: str = "11-22", key: str = "ClaimInfoStateList") -> Path:
    """What the kubelet with this root directory keeps of claims over its restarts, replaced as kubelet does; and a pod that lives."""
    path = root / "dra_manager_state"
    data = {"kind": "DRACheckpoint", "apiVersion": "checkpoint.dra.kubelet.k8s.io/v1", key: claims}
    (root / "pods" / alive).mkdir(parents=True, exist_ok=True)
    path.with_suffix(".new").write_text(json.dumps({"Data": json.dumps(data), "Checksum": 1}))
    return path.with_suffix(".new").rename(path)


class KubeletThread:
    """The socket, served by a thread of its own since the client blocks, and the checkpoint beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fake = FakePodResources(root)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.listens = False

    @property
    def socket(self) -> str:
        return str(self.fake.path)

    def start(self) -> None:
        self._do(self.fake.start())
        self.listens = True

    def stop(self) -> None:
        self._do(self.fake.stop())
        self.listens = False

    def _do(self, work: t.Coroutine[t.Any, t.Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def checkpoint(
        self, entries: list[dict[str, t.Any]], alive: t.Sequence[str] = (), registered: t.Any = None
    ) -> Path:
        data = {"PodDeviceEntries": entries, "RegisteredDevices": registered or {}}
        path = self.root / "device-plugins/kubelet_internal_checkpoint"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"Data": data, "Checksum": 1}))
        for uid in alive:
            (self.root / "pods" / uid).mkdir(parents=True, exist_ok=True)
        return path

    def keep_claims(self, claims: t.Any, alive: str = "11-22", key: str = "ClaimInfoStateList") -> Path:
        """As the function does."""
        return keep_claims(self.root, claims, alive, key)

    def close(self) -> None:
        self.fake.silent = False
        if self.listens:
            self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop.close()


def holders_of(kubelet: KubeletThread, address: str) -> list[str]:
    """Who has a function by what this kubelet says and keeps, in the words of `Holder`."""
    return [str(holder) for holder in Pods([str(kubelet.root)]).assignments().of(address)]
