# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gRPC server of one resource: kubelet's interface DevicePlugin v1beta1, on a socket of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import typing as t
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # the engine's child process only touches files
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is reported by the callers

import grpc
import grpc.aio

from ._node.kernel.live import Kernel
from .allocation import AllocationError, Answer, answer
from .catalogue import OfferedVf
from .messages import DEVICE_PLUGIN_SERVICE, HEALTHY, PLUGIN_REGISTRATION_SERVICE, UNHEALTHY, VERSION
from .messages import pluginregistration as registry
from .messages import v1beta1 as api
from .preference import prefer
from .sockets import (
    Identity,
    fresh_name,
    hidden_path,
    identity,
    kept_path,
    refuse_long,
    remove_own,
    room_in,
    why_no_socket,
)
from .statistics import Statistics
from .waiting import Latest

log = logging.getLogger(__name__)

Offer = t.Tuple[OfferedVf, ...]  # noqa: UP006

_STOP_SECONDS = 0.5
_NO_PROBE = ("grpc.http2.bdp_probe", 0)
"""A server would measure how much kubelet can be sent at once, by a ping in front of each first answer that kubelet has to answer."""


async def _nothing() -> None:
    """Nothing to see first."""


class Behaviour(t.NamedTuple):
    """What an operator may choose about the answers. `cdi` says whether the runtime can find VFs by CDI names now.

    `look` is awaited before a VF is named or given: it sees to it that the list has what may have changed without an event.
    """

    policy: str
    cdi: t.Callable[[], bool]
    look: t.Callable[[], t.Awaitable[None]] = _nothing


def options() -> t.Any:
    """The options of this plugin, which kubelets before 1.25 read from the registration and newer ones ask for."""
    return api.DevicePluginOptions(pre_start_required=False, get_preferred_allocation_available=True)


def device_list(offer: Offer) -> t.Any:
    """The whole list as kubelet wants it. A device without a NUMA node has no topology: kubelet would take -1 for a node."""
    return api.ListAndWatchResponse(devices=[_device(vf) for vf in offer])


def _device(vf: OfferedVf) -> t.Any:
    topology = api.TopologyInfo(nodes=[api.NUMANode(ID=vf.numa_node)]) if vf.numa_node >= 0 else None
    return api.Device(ID=vf.address, health=HEALTHY if vf.healthy else UNHEALTHY, topology=topology)


def container_response(found: Answer) -> t.Any:
    """The answer for one container as a message."""
    return api.ContainerAllocateResponse(
        envs=dict(found.environment),
        devices=[api.DeviceSpec(container_path=node, host_path=node, permissions="rw") for node in found.nodes],
        cdi_devices=[api.CDIDevice(name=name) for name in found.cdi_names],
        annotations=dict(found.annotations),
    )


class ResourceServer:
    """Serves one resource from `start` to `stop`; a new start is a new object, with a new socket.

    `changed` is called when a stream opens, has its first list, or ends, or kubelet reports on a registration. `has_list` says
    whether kubelet has a list, and listens for the next; `moments` are those at which kubelet first asked, and had its list. With `keep`
    the socket has a second name, so that it can have its first one again when a kubelet that starts has removed that.
    """

    def __init__(
        self,
        resource: str,
        directory: Path,
        offer: Offer,
        kernel: Kernel,
        behaviour: Behaviour,
        statistics: Statistics,
        changed: t.Callable[[], None],
        keep: bool = False,
    ) -> None:
        self.resource = resource
        self.path = directory / fresh_name(resource, room_in(directory))
        self.streams = 0
        self.streams_opened = 0
        self.has_list = False
        self.moments: dict[str, int] = {}
        self.notified: tuple[bool, str] | None = None
        self._offer = Latest(offer)
        self._at_hand = (offer, device_list(offer).SerializeToString())
        self._kernel = kernel
        self._behaviour = behaviour
        self._statistics = statistics
        self._changed = changed
        self._own: Identity | None = None
        self._keep = keep
        self._kept: Path | None = None
        self._server = grpc.aio.server(options=(_NO_PROBE,))
        self._server.add_generic_rpc_handlers((self._device_plugin(), self._registration()))

    async def start(self) -> None:
        """Serve. The socket gets its name when all is ready, so whoever sees it can use it; raises OSError."""
        refuse_long(self.path)
        # gRPC removes at its end whatever has the name that it made: it gets one that nobody else has.
        kept = kept_path(self.path) if self._keep else None
        hidden = kept or hidden_path(self.path)
        self._kept = kept
        try:
            self._server.add_insecure_port(f"unix:{hidden}")
        except RuntimeError:
            raise why_no_socket(hidden) from None
        await self._server.start()
        hidden.chmod(0o600)
        if not (kept and _linked(kept, self.path)):
            hidden.rename(self.path)
        self._own = identity(self.path)

    async def stop(self) -> None:
        """End all streams and remove the socket, unless somebody else has taken its name."""
        remove_own(self.path, self._own)
        self._offer.close()
        await self._server.stop(_STOP_SECONDS)
        if self._kept:
            with contextlib.suppress(OSError):  # gRPC has removed it
                self._kept.unlink()
            with contextlib.suppress(OSError):  # another server has its own there
                self._kept.parent.rmdir()
            # A call of Register that nobody waits for any more may have given it its name again meanwhile.
            remove_own(self.path, self._own)

    def publish(self, offer: Offer) -> None:
        """Send the list to every stream, if it is another one."""
        if offer != self._at_hand[0]:
            self._at_hand = (offer, device_list(offer).SerializeToString())
        self._offer.set(offer)

    def socket_stands(self) -> bool:
        """Whether the socket still has its name: a kubelet that starts removes it."""
        return self._own is not None and self._own.is_file_of(identity(self.path, unseen=self._own))

    def stand_again(self) -> bool:
        """Give the socket back the name that a kubelet which starts has removed; returns whether it stands.

        A new socket would take its time, in which such a kubelet refuses pods. Not for one that a kubelet has used before.
        """
        if self._kept is None or self.streams_opened:
            return False
        with contextlib.suppress(OSError):
            os.link(self._kept, self.path)
        return self.socket_stands()

    def _device_plugin(self) -> grpc.GenericRpcHandler:
        methods = {
            "GetDevicePluginOptions": _unary(self._options, api.Empty),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                self._list_and_watch, api.Empty.FromString, lambda data: data
            ),
            "GetPreferredAllocation": _unary(self._preferred_allocation, api.PreferredAllocationRequest),
            "Allocate": _unary(self._allocate, api.AllocateRequest),
            "PreStartContainer": _unary(self._pre_start_container, api.PreStartContainerRequest),
        }
        return grpc.method_handlers_generic_handler(DEVICE_PLUGIN_SERVICE, methods)

    def _registration(self) -> grpc.GenericRpcHandler:
        methods = {
            "GetInfo": _unary(self._info, registry.InfoRequest),
            "NotifyRegistrationStatus": _unary(self._notify, registry.RegistrationStatus),
        }
        return grpc.method_handlers_generic_handler(PLUGIN_REGISTRATION_SERVICE, methods)

    async def _options(self, _request: t.Any, _context: t.Any) -> t.Any:
        self._note("options_asked")
        return options()

    async def _list_and_watch(self, _request: t.Any, _context: t.Any) -> t.AsyncIterator[t.Any]:
        self._note("list_asked")
        self.streams += 1
        self.streams_opened += 1
        self._changed()
        try:
            async for _offer in self._offer.values():
                self._statistics.lists[self.resource] += 1
                yield self._at_hand[1]
                if not self.has_list:  # here the list before has been sent
                    self._note("list_sent")
                    self.has_list = True
                    self._changed()
        finally:
            self.streams -= 1
            self.has_list = self.has_list and self.streams > 0
            self._changed()

    def _note(self, what: str) -> None:
        self.moments.setdefault(what, time.time_ns())

    async def _preferred_allocation(self, request: t.Any, context: t.Any) -> t.Any:
        self._statistics.preferences[self.resource] += 1
        await self._behaviour.look()
        response = api.PreferredAllocationResponse()
        for one in request.container_requests:
            try:
                chosen = prefer(
                    self._offer.value,
                    one.available_deviceIDs,
                    one.must_include_deviceIDs,
                    one.allocation_size,
                    self._behaviour.policy,
                )
            except ValueError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            response.container_responses.add(deviceIDs=chosen)
        return response

    async def _allocate(self, request: t.Any, context: t.Any) -> t.Any:
        begin = time.perf_counter()
        await self._behaviour.look()
        asked = [list(one.devices_ids) for one in request.container_requests]
        result = "refused"
        try:
            response = self._allocation(asked)
            result = "granted"
        except AllocationError as error:
            log.warning("allocation refused", extra={"fields": {"resource": self.resource, "problem": str(error)}})
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        finally:
            self._statistics.allocated(self.resource, result, time.perf_counter() - begin)
        log.info("allocated", extra={"fields": {"resource": self.resource, "vfs": asked}})
        return response

    def _allocation(self, asked: t.Sequence[t.Sequence[str]]) -> t.Any:
        """One response a container; containers share nothing."""
        cdi = self._behaviour.cdi()
        return api.AllocateResponse(
            container_responses=[
                container_response(answer(self._kernel, self.resource, self._offer.value, addresses, cdi))
                for addresses in asked
            ]
        )

    async def _pre_start_container(self, _request: t.Any, _context: t.Any) -> t.Any:
        """Nothing to do: the options say that kubelet need not call."""
        return api.PreStartContainerResponse()

    async def _info(self, _request: t.Any, _context: t.Any) -> t.Any:
        return registry.PluginInfo(type="DevicePlugin", name=self.resource, supported_versions=[VERSION])

    async def _notify(self, request: t.Any, _context: t.Any) -> t.Any:
        self.notified = (request.plugin_registered, request.error)
        self._changed()
        return registry.RegistrationStatusResponse()


def _linked(kept: Path, path: Path) -> bool:
    """Whether a socket has got a second name. Some file systems have no hard links, and a policy may allow none of sockets."""
    try:
        os.link(kept, path)
    except OSError:
        return False
    return True


def _unary(function: t.Callable[[t.Any, t.Any], t.Awaitable[t.Any]], request: t.Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        function, request.FromString, lambda message: message.SerializeToString()
    )
