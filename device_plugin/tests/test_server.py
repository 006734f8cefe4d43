# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server of one resource by itself: what it leaves in kubelet's directory, however it ends."""

from __future__ import annotations

import asyncio
import errno
import os
import typing as t
from pathlib import Path

import pytest
from harness.kubelet import Endpoint
from qat_device_plugin._node.facts.paths import SECOND_NAMES
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin.server import Behaviour, ResourceServer
from qat_device_plugin.sockets import is_dead
from qat_device_plugin.statistics import Statistics
from qat_device_plugin.waiting import end

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario

Run = t.Callable[["Scenario"], None]

CY = "qat.intel.com/cy"


def kept_server(directory: Path) -> ResourceServer:
    directory.mkdir()
    behaviour = Behaviour("balanced", lambda: False)
    return ResourceServer(CY, directory, (), LiveKernel(), behaviour, Statistics(), lambda: None, keep=True)


def test_nothing_is_left_of_a_server_that_ends_while_it_starts(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        server = kept_server(bench.kubelet_dir)
        starting = asyncio.ensure_future(server.start())
        await asyncio.sleep(0)
        assert [path.name for path in bench.kubelet_dir.iterdir()] == [SECOND_NAMES]
        await end(starting)
        await server.stop()
        assert list(bench.kubelet_dir.iterdir()) == []

    run(scenario)


def test_nothing_is_left_of_a_server_that_ends_while_its_name_is_restored(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that registers does that, and is not ended with the one that waits for it."""

    async def scenario(bench: Bench) -> None:
        server = kept_server(bench.kubelet_dir)
        await server.start()
        stop = server._server.stop

        async def stop_late(grace: float | None) -> None:
            assert server.stand_again()
            await stop(grace)

        monkeypatch.setattr(server._server, "stop", stop_late)
        await server.stop()
        assert list(bench.kubelet_dir.iterdir()) == []

    run(scenario)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV])
def test_serves_where_a_socket_can_have_no_second_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """As on a file system without hard links, or under a policy of SELinux that allows none of sockets."""

    def link(*_paths: object) -> None:
        raise OSError(code, os.strerror(code))

    async def scenario() -> None:
        server = kept_server(tmp_path / "k")
        try:
            await server.start()
            assert is_dead(server.path) is False
            assert server.socket_stands()
            server.path.unlink()
            assert not server.stand_again()
        finally:
            await server.stop()
        assert list((tmp_path / "k").iterdir()) == []

    monkeypatch.setattr(os, "link", link)
    asyncio.run(scenario())


def test_a_kubelet_that_closes_a_stream_when_its_request_is_just_out_has_closed_it(tmp_path: Path) -> None:
    """The one of these tests, too: gRPC does not end a call whose reader is cancelled in that moment, while somebody has it."""
    calls: list[t.Any] = []
    states: list[bool] = []

    async def scenario() -> None:
        server = kept_server(tmp_path / "k")
        await server.start()
        endpoint = Endpoint(server.path, CY)
        make = endpoint.channel.unary_stream

        def unary_stream(*arguments: t.Any) -> t.Callable[[t.Any], t.Any]:
            def begin(request: t.Any) -> t.Any:
                calls.append(make(*arguments)(request))
                # Before the reader is woken by the same.
                calls[0]._preparation.add_done_callback(lambda _sent: endpoint.task and endpoint.task.cancel())
                return calls[0]

            return begin

        endpoint.channel.unary_stream = unary_stream
        endpoint.listen(lambda _endpoint: None)
        assert endpoint.task
        await asyncio.wait([endpoint.task])
        await endpoint.close()
        states.append(calls[0].cancelled())
        calls[0].cancel()
        await server.stop()

    asyncio.run(scenario())
    assert states == [True]
