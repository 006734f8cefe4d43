# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet's device manager and plugin watcher, as far as a plugin sees them, with the ways of real ones to make trouble.

Source: k8s.io/kubernetes pkg/kubelet/cm/devicemanager and pkg/kubelet/pluginmanager.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
import typing as t
from collections import Counter
from pathlib import Path

# Without this, the fork for another process can break the server here.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import grpc.aio
from qat_device_plugin._node.facts.paths import KUBELET_SOCKET
from qat_device_plugin.messages import (
    DEVICE_PLUGIN_SERVICE,
    PLUGIN_REGISTRATION_SERVICE,
    REGISTRATION_SERVICE,
    pluginregistration,
)
from qat_device_plugin.messages import v1beta1 as api

Devices = t.Dict[str, str]  # noqa: UP006
_LOCAL = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


class Endpoint:
    """Kubelet's side of one registration: the connection, the stream and every list that came."""

    def __init__(self, path: Path, resource: str) -> None:
        self.path = path
        self.resource = resource
        self.lists: list[t.Any] = []
        self.times: list[float] = []
        self.ended = False
        self.channel = grpc.aio.insecure_channel(f"unix:{path}", options=_LOCAL)
        self.arrived = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.stream: t.Any = None

    async def call(self, method: str, request: t.Any, answer: t.Any, service: str = DEVICE_PLUGIN_SERVICE) -> t.Any:
        call = self.channel.unary_unary(f"/{service}/{method}", lambda m: m.SerializeToString(), answer.FromString)
        return await call(request, timeout=120)

    def listen(
        self, ended: t.Callable[[Endpoint], None], listed: t.Callable[[Endpoint], None] = lambda _endpoint: None
    ) -> None:
        self.task = asyncio.ensure_future(self._listen(ended, listed))

    async def _listen(self, ended: t.Callable[[Endpoint], None], listed: t.Callable[[Endpoint], None]) -> None:
        method = f"/{DEVICE_PLUGIN_SERVICE}/ListAndWatch"
        stream = self.channel.unary_stream(method, lambda m: m.SerializeToString(), api.ListAndWatchResponse.FromString)
        with contextlib.suppress(grpc.aio.AioRpcError):
            self.stream = stream(api.Empty())
            async for message in self.stream:
                self.lists.append(message)
                self.times.append(time.monotonic())
                self.arrived.set()
                listed(self)
        self.ended = True
        ended(self)

    async def close(self) -> None:
        if self.task:
            self.task.cancel()
            await asyncio.wait([self.task])
        if self.stream:
            # One whose reader is cancelled in the moment in which its request is out stays open otherwise, also when the channel is closed.
            self.stream.cancel()
        await self.channel.close()

    @property
    def devices(self) -> Devices:
        return {device.ID: device.health for device in self.lists[-1].devices} if self.lists else {}


class FakeKubelet:
    """`answers_first` plays kubelets before 1.25, which answer Register and only then dial back."""

    def __init__(self, directory: Path, answers_first: bool = False) -> None:
        self.directory = directory
        self.answers_first = answers_first
        self.refusals = 0
        self.opens_streams = True
        self.keeps_stale_streams = False
        self.registrations: list[tuple[float, str, str]] = []
        self.options: list[t.Any] = []
        self.endpoints: dict[str, Endpoint] = {}
        self.drops: Counter[str] = Counter()
        self.started_at = 0.0
        self._stale: list[Endpoint] = []
        self._server: t.Any = None

    async def start(self) -> None:
        """Remove what is in the directory, as every kubelet does, and listen."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.wipe()
        self._server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(
            self._register, api.RegisterRequest.FromString, lambda m: m.SerializeToString()
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(REGISTRATION_SERVICE, {"Register": method}),)
        )
        self._server.add_insecure_port(f"unix:{self.directory / KUBELET_SOCKET}")
        await self._server.start()
        self.started_at = time.monotonic()

    def wipe(self) -> None:
        for path in self.directory.iterdir():
            with contextlib.suppress(FileNotFoundError):  # a plugin removes its own at the same time
                if stat.S_ISSOCK(path.lstat().st_mode):
                    path.unlink()

    async def stop(self) -> None:
        endpoints, self.endpoints = list(self.endpoints.values()), {}
        if self.keeps_stale_streams:
            self._stale += endpoints
        else:
            await asyncio.gather(*(endpoint.close() for endpoint in endpoints))
        if self._server:
            await self._server.stop(0)
            self._server = None

    async def restart(self, away: float = 0.0) -> None:
        await self.stop()
        await asyncio.sleep(away)
        await self.start()

    async def close(self) -> None:
        self.keeps_stale_streams = False
        await self.stop()
        await asyncio.gather(*(endpoint.close() for endpoint in self._stale))

    async def _register(self, request: t.Any, context: t.Any) -> t.Any:
        if self.refusals:
            self.refusals -= 1
            await context.abort(grpc.StatusCode.UNKNOWN, "requested API version is not supported by kubelet")
        self.registrations.append((time.monotonic(), request.resource_name, request.endpoint))
        endpoint = Endpoint(self.directory / request.endpoint, request.resource_name)
        if self.answers_first:
            asyncio.get_running_loop().call_later(0.01, lambda: asyncio.ensure_future(self._connect(endpoint)))
            self.options.append(request.options)
        else:
            await self._connect(endpoint)
        return api.Empty()

    async def _connect(self, endpoint: Endpoint) -> None:
        self.options.append(await endpoint.call("GetDevicePluginOptions", api.Empty(), api.DevicePluginOptions))
        old = self.endpoints.pop(endpoint.resource, None)
        self.endpoints[endpoint.resource] = endpoint
        if old:
            await old.close()
        if self.opens_streams:
            endpoint.listen(self._dropped)

    def _dropped(self, endpoint: Endpoint) -> None:
        """The end of a stream: kubelet never opens it again."""
        self.drops[endpoint.resource] += 1
        if self.endpoints.get(endpoint.resource) is endpoint:
            del self.endpoints[endpoint.resource]

    async def watch_registry(self, registry: Path, accept: bool = True) -> None:
        """The plugin watcher: greet each socket that has no dot in front and has not been greeted."""
        known: set[str] = set()
        while True:
            for path in sorted(registry.glob("[!.]*.sock")) if registry.is_dir() else ():
                if path.name not in known:
                    # A plugin that gives up takes its socket away, perhaps while it is greeted.
                    with contextlib.suppress(grpc.aio.AioRpcError):
                        await self._greet(path, accept)
                        known.add(path.name)
            await asyncio.sleep(0.02)

    async def _greet(self, path: Path, accept: bool) -> None:
        endpoint = Endpoint(path, "")
        service = PLUGIN_REGISTRATION_SERVICE
        info = await endpoint.call("GetInfo", pluginregistration.InfoRequest(), pluginregistration.PluginInfo, service)
        assert (info.type, info.endpoint, list(info.supported_versions)) == ("DevicePlugin", "", ["v1beta1"])
        endpoint.resource = info.name
        self.registrations.append((time.monotonic(), info.name, path.name))
        status = pluginregistration.RegistrationStatus(plugin_registered=accept, error="" if accept else "not now")
        answer = pluginregistration.RegistrationStatusResponse
        if accept:
            await self._connect(endpoint)
        await endpoint.call("NotifyRegistrationStatus", status, answer, service)
        if not accept:
            await endpoint.close()

    def devices(self, resource: str) -> Devices:
        endpoint = self.endpoints.get(resource)
        return endpoint.devices if endpoint else {}

    def unhealthy(self, resource: str) -> set[str]:
        return {address for address, health in self.devices(resource).items() if health == "Unhealthy"}

    def resources(self) -> dict[str, Devices]:
        return {name: endpoint.devices for name, endpoint in self.endpoints.items() if endpoint.devices}

    async def until(self, condition: t.Callable[[], bool], seconds: float = 120.0) -> None:
        """Wait for something to come true; on a loaded machine that can take long."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                state = {name: endpoint.devices for name, endpoint in self.endpoints.items()}
                raise AssertionError(f"not so after {seconds} s; registrations {self.registrations}, lists {state}")
            await asyncio.sleep(0.005)

    async def allocate(self, resource: str, *containers: list[str]) -> t.Any:
        requests = [api.ContainerAllocateRequest(devices_ids=ids) for ids in containers]
        endpoint = self.endpoints[resource]
        return await endpoint.call("Allocate", api.AllocateRequest(container_requests=requests), api.AllocateResponse)

    async def prefer(self, resource: str, available: list[str], size: int, must: t.Sequence[str] = ()) -> list[str]:
        one = api.ContainerPreferredAllocationRequest(
            available_deviceIDs=available, must_include_deviceIDs=must, allocation_size=size
        )
        request = api.PreferredAllocationRequest(container_requests=[one])
        endpoint = self.endpoints[resource]
        answer = await endpoint.call("GetPreferredAllocation", request, api.PreferredAllocationResponse)
        return list(answer.container_responses[0].deviceIDs)


class AdmissionError(Exception):
    """A pod is refused, and stays so: kubelet never tries again."""


class AdmittingKubelet(FakeKubelet):
    """A kubelet that admits pods by the health that was reported to it, and goes by socket or by resource when a stream ends.

    Sources: k8s.io/kubernetes pkg/kubelet/cm/devicemanager of 1.36 and 1.37, manager.go and plugin/v1beta1/{server,handler}.go.
    """

    def __init__(self, directory: Path, release: int) -> None:
        super().__init__(directory)
        self.release = release
        self.known: dict[str, Devices] = {}
        self.connected: dict[str, list[Endpoint]] = {}
        self.admitted = 0
        self._given = 0
        self.gone_at = 0.0

    async def _connect(self, endpoint: Endpoint) -> None:
        connected = self.connected.setdefault(endpoint.resource, [])
        if any(other.path == endpoint.path for other in connected):
            raise AssertionError("device plugin already connected")
        self.options.append(await endpoint.call("GetDevicePluginOptions", api.Empty(), api.DevicePluginOptions))
        connected.append(endpoint)
        self.endpoints[endpoint.resource] = endpoint
        endpoint.listen(self._dropped, self._listed)

    def _listed(self, endpoint: Endpoint) -> None:
        self.known[endpoint.resource] = endpoint.devices

    def _dropped(self, endpoint: Endpoint) -> None:
        resource = endpoint.resource
        self.drops[resource] += 1
        connected = self.connected[resource]
        if endpoint not in connected:
            return
        connected.remove(endpoint)
        if self.release >= 37:
            if connected:
                self.endpoints[resource] = connected[-1]
                return
        elif self.endpoints.get(resource) not in (None, endpoint):
            # The client of this name is another one by now. It is closed, and the devices count as unhealthy.
            newest = self.endpoints[resource]
            connected.remove(newest)
            self._closing = asyncio.ensure_future(newest.close())
        self.endpoints.pop(resource, None)
        self.gone_at = time.monotonic()
        self.known[resource] = dict.fromkeys(self.known.get(resource, {}), "Unhealthy")

    async def stop(self) -> None:
        for endpoint in [one for connected in self.connected.values() for one in connected]:
            self.endpoints.pop(endpoint.resource, None)
            await endpoint.close()
        self.connected = {}
        await super().stop()

    async def admit(self, resource: str) -> None:
        """Admit a pod that asks for one device; raises AdmissionError."""
        healthy = sorted(name for name, health in self.known.get(resource, {}).items() if health == "Healthy")
        if not healthy:
            raise AdmissionError("no healthy devices present; cannot allocate unhealthy devices")
        try:
            await self.allocate(resource, [healthy[self._given % len(healthy)]])
        except (grpc.aio.AioRpcError, KeyError, grpc.aio.UsageError) as error:
            raise AdmissionError(f"Allocate failed due to {error}") from None
        self._given += 1
        self.admitted += 1
