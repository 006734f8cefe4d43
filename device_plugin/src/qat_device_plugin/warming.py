# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does once, with itself, what kubelet will ask for, so that nothing of it is done for the first time when it counts.

A kubelet that starts admits pods a moment after it has made its socket. The first call that a process answers takes many times as long
as the next ones: code is loaded, compiled and linked then, and memory is got.
"""

from __future__ import annotations

import asyncio
import logging
import typing as t

from ._node.errors import NodeError
from ._node.users.grpc_call import RpcError, call
from .kernel_thread import KernelThread
from .messages import DEVICE_PLUGIN_SERVICE
from .messages import v1beta1 as api
from .server import Behaviour, ResourceServer
from .sockets import make_private
from .statistics import Statistics

if t.TYPE_CHECKING:
    from pathlib import Path

    from ._node.kernel.live import Kernel

log = logging.getLogger(__name__)

_NAME = "accel-qat/warm"
_TIMES = 2
_SECONDS = 2.0
"""It is worth no more than this, whatever is in the way."""


async def warm_up(run_dir: Path, kernel: Kernel) -> None:
    """Serve nothing to itself for a moment. That it cannot be done is no reason not to start."""
    try:
        make_private(run_dir)
        await asyncio.wait_for(_talk_to_itself(run_dir, kernel), _SECONDS)
    except (NodeError, RpcError, OSError, asyncio.TimeoutError) as error:
        log.debug("the first call of kubelet will take longer", extra={"fields": {"problem": str(error)}})


async def _talk_to_itself(run_dir: Path, kernel: Kernel) -> None:
    thread = KernelThread("warm-up")
    listed = asyncio.Event()
    server = ResourceServer(
        _NAME, run_dir, (), kernel, Behaviour("balanced", lambda: False), Statistics(), lambda: _note(server, listed)
    )
    await server.start()
    try:
        for _ in range(_TIMES):
            await thread.run(lambda: _ask(server.path, "GetDevicePluginOptions", api.Empty()))
            await thread.run(lambda: _ask(server.path, "GetPreferredAllocation", api.PreferredAllocationRequest()))
        stream = asyncio.ensure_future(thread.run(lambda: _ask(server.path, "ListAndWatch", api.Empty())))
        await asyncio.wait([stream, asyncio.ensure_future(listed.wait())], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await server.stop()
    await stream


def _note(server: ResourceServer, listed: asyncio.Event) -> None:
    if server.has_list:
        listed.set()


def _ask(path: Path, method: str, request: t.Any) -> None:
    call(str(path), f"/{DEVICE_PLUGIN_SERVICE}/{method}", request.SerializeToString(), _SECONDS)
