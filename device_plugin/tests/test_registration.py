# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import functools
import os
import shutil
import socket
import typing as t
from pathlib import Path

import pytest
from harness.kubelet import FakeKubelet
from harness.node_files import NodeFiles
from harness.process import Plugin, fetch, free_port, status_text
from qat_device_plugin import registration
from qat_device_plugin._node.facts.paths import SECOND_NAMES
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin._node.users.grpc_call import call
from qat_device_plugin.catalogue import OfferedVf
from qat_device_plugin.registration import SocketRegistrar
from qat_device_plugin.server import Behaviour, Offer, ResourceServer
from qat_device_plugin.sockets import InstanceLock
from qat_device_plugin.statistics import Statistics
from qat_device_plugin.waiting import end

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario

Run = t.Callable[["Scenario"], None]

CY = "qat.intel.com/cy"
PF = "0000:6b:00.0"


def minds_signals(plugin: Plugin) -> bool:
    """Whether it has come so far that a signal does not just end it."""
    return bool(plugin.notices()) or int(status_text(plugin.process, "SigBlk"), 16) != 0


async def looks_again(registrar: SocketRegistrar, times: int) -> None:
    """Have it look so many times whether its registration stands: what it would do about that, it has begun by then."""
    for _time in range(times):
        looked = asyncio.Event()
        see = registrar._kubelet

        def seen(see: t.Callable[[], t.Any] = see, looked: asyncio.Event = looked) -> t.Any:
            looked.set()
            return see()

        registrar._kubelet = seen  # type: ignore[method-assign]
        registrar.wakeup.wake()
        await looked.wait()
        registrar._kubelet = see  # type: ignore[method-assign]


@pytest.mark.parametrize("answers_first", [False, True], ids=["dials-back-first", "answers-first"])
def test_the_first_list_is_complete(run: Run, answers_first: bool) -> None:
    async def scenario(bench: Bench) -> None:
        vfs = bench.files.add_pf(PF)
        bench.kubelet.answers_first = answers_first
        await bench.kubelet.start()
        bench.start()
        await bench.ready(CY, 16)
        first = bench.kubelet.endpoints[CY].lists[0]
        assert {device.ID: device.health for device in first.devices} == dict.fromkeys(vfs, "Healthy")
        assert all([node.ID for node in device.topology.nodes] == [0] for device in first.devices)
        assert [one.get_preferred_allocation_available for one in bench.kubelet.options][:1] == [True]
        assert not any(one.pre_start_required for one in bench.kubelet.options)

    run(scenario)


def test_a_device_without_numa_node_has_no_topology(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF, numa_node=-1)
        await bench.kubelet.start()
        bench.start()
        await bench.ready(CY, 16)
        assert not any(device.HasField("topology") for device in bench.kubelet.endpoints[CY].lists[0].devices)

    run(scenario)


def test_is_ready_for_a_kubelet_that_comes_later(run: Run) -> None:
    """kubelet starts after READY: it does not wait for what only kubelet can bring about."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        plugin = bench.start()
        waits = f"STATUS=not ready; {CY}: 16 of 16 VFs healthy, not registered"
        gone = f"{waits} ({bench.kubelet_dir} is not there)"
        await bench.kubelet.until(lambda: plugin.notices()[-2:] == [gone, "READY=1"])
        bench.kubelet_dir.mkdir()
        await bench.kubelet.until(lambda: plugin.notices()[-1:] == [f"{waits} (kubelet.sock is not there)"])
        assert list(bench.kubelet_dir.glob("accel-qat-*.sock"))
        await bench.kubelet.start()
        await bench.ready(CY, 16)
        await bench.kubelet.until(lambda: plugin.notices()[-1:] == [f"STATUS=ready; {CY}: 16 of 16 VFs healthy"])
        assert plugin.notices().count("READY=1") == 1

    run(scenario)


def test_registered_is_who_kubelet_has_the_list_of(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.kubelet.opens_streams = False
        await bench.kubelet.start()
        plugin = bench.start()
        waits = f"STATUS=not ready; {CY}: 16 of 16 VFs healthy, not registered (kubelet has not asked for the list yet)"
        await bench.kubelet.until(lambda: waits in plugin.notices())
        await plugin.goes_on(20)
        assert not any(message.startswith("STATUS=ready") for message in plugin.notices())
        bench.kubelet.endpoints[CY].listen(lambda _endpoint: None)
        await bench.kubelet.until(lambda: plugin.notices()[-1] == f"STATUS=ready; {CY}: 16 of 16 VFs healthy")

    run(scenario)


def test_nobody_on_the_socket_of_the_boot_before_is_no_news(run: Run) -> None:
    """It is called again and again, since a kubelet makes its socket a moment before it listens, without a word in the log."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.kubelet_dir.mkdir()
        old = socket.socket(socket.AF_UNIX)
        old.bind(str(bench.kubelet_dir / "kubelet.sock"))
        old.close()
        plugin = bench.start()
        waits = f"STATUS=not ready; {CY}: 16 of 16 VFs healthy, not registered (nobody listens on kubelet.sock)"
        await bench.kubelet.until(lambda: {waits, "READY=1"} <= set(plugin.notices()))
        await plugin.goes_on(20)
        assert plugin.log.read_text() == ""
        await bench.kubelet.start()
        await bench.ready(CY, 16)

    run(scenario)


def test_the_status_says_how_it_is_after_the_start_too(run: Run) -> None:
    """systemd is sent READY but once."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start()
        ready = f"STATUS=ready; {CY}: 16 of 16 VFs healthy"
        await bench.kubelet.until(lambda: plugin.notices()[-1:] == [ready])
        await bench.kubelet.stop()
        await bench.kubelet.until(lambda: plugin.notices()[-1].startswith("STATUS=not ready; "))
        bench.kubelet.refusals = 1
        await bench.kubelet.start()
        refused = "(kubelet did not take the registration: requested API version is not supported by kubelet)"
        await bench.kubelet.until(lambda: any(message.endswith(refused) for message in plugin.notices()))
        await bench.kubelet.until(lambda: plugin.notices()[-1] == ready)

    run(scenario)


def test_tries_again_after_refusals(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.kubelet.refusals = 3
        await bench.kubelet.start()
        plugin = bench.start()
        await bench.ready(CY, 16)
        assert plugin.log.read_text().count("requested API version is not supported") == 3

    run(scenario)


def test_registers_again_with_a_fresh_socket_when_kubelet_restarts(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start()
        for restart in range(4):
            await bench.ready(CY, 16)
            assert len(bench.kubelet.registrations) == restart + 1
            await bench.kubelet.restart(away=0.2 * restart)
        await bench.ready(CY, 16)
        endpoints = [endpoint for _time, _resource, endpoint in bench.kubelet.registrations]
        assert len(set(endpoints)) == 5
        assert [path.name for path in bench.kubelet_dir.glob("accel-qat-*")] == [endpoints[-1]]

    run(scenario)


def test_a_stale_stream_does_not_starve_the_next_one(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        def unhealthy(count: int) -> bool:
            return list(bench.kubelet.devices(CY).values()).count("Unhealthy") == count

        vfs = bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start()
        await bench.ready(CY, 16)
        bench.kubelet.keeps_stale_streams = True
        await bench.kubelet.restart()
        await bench.ready(CY, 16)
        for number in range(3):
            bench.files.bind(vfs[number], None)
            await bench.kubelet.until(functools.partial(unhealthy, number + 1))

    run(scenario)


def test_registers_again_when_no_stream_is_opened(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.kubelet.opens_streams = False
        await bench.kubelet.start()
        plugin = bench.start()
        await bench.kubelet.until(lambda: "registered" in plugin.log.read_text())
        bench.kubelet.opens_streams = True
        await bench.kubelet.until(lambda: len(bench.kubelet.devices(CY)) == 16)
        assert "kubelet has no stream open" in plugin.log.read_text()

    run(scenario)


def test_registers_again_when_kubelet_drops_the_stream(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start()
        await bench.ready(CY, 16)
        await bench.kubelet.endpoints.pop(CY).close()
        await bench.ready(CY, 16)
        assert len(bench.kubelet.registrations) == 2

    run(scenario)


def test_registers_again_when_only_its_socket_is_removed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        bench.start()
        await bench.ready(CY, 16)
        (bench.kubelet_dir / bench.kubelet.registrations[0][2]).unlink()
        await bench.kubelet.until(lambda: len(bench.kubelet.registrations) == 2)
        await bench.ready(CY, 16)

    run(scenario)


def test_stays_registered_while_metadata_change(run: Run) -> None:
    """As restorecon and chmod change them."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start()
        await bench.ready(CY, 16)
        await bench.kubelet.until(lambda: "READY=1" in plugin.notices())
        for path in bench.kubelet_dir.iterdir():
            path.chmod(0o660)
        # An event, at which the sockets are looked at, and then the scan without one.
        (bench.kubelet_dir / "event").touch()
        await plugin.goes_on(20)
        assert (len(bench.kubelet.registrations), bench.kubelet.drops[CY]) == (1, 0)
        plugin.stop()
        assert {path.name for path in bench.kubelet_dir.iterdir()} == {"kubelet.sock", "event"}

    run(scenario)


def test_survives_that_the_directory_is_made_again(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start()
        await bench.ready(CY, 16)
        await bench.kubelet.stop()
        while bench.kubelet_dir.exists():  # the plugin removes and makes sockets there meanwhile
            shutil.rmtree(bench.kubelet_dir, ignore_errors=True)
        await plugin.goes_on()
        await bench.kubelet.start()
        await bench.ready(CY, 16)

    run(scenario)


def test_a_kubelet_that_starts_finds_the_socket_that_was_there_before(run: Run) -> None:
    """It removes all files: with a new one it would have to wait."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.kubelet_dir.mkdir()
        plugin = bench.start()
        await bench.kubelet.until(lambda: "READY=1" in plugin.notices())
        (before,) = bench.kubelet_dir.glob("accel-qat-*")
        inode = before.stat().st_ino
        await bench.kubelet.start()
        await bench.ready(CY, 16)
        assert bench.kubelet.registrations[0][2] == before.name
        assert before.stat().st_ino == inode
        plugin.stop()
        assert {path.name for path in bench.kubelet_dir.iterdir()} == {"kubelet.sock"}

    run(scenario)


@pytest.mark.parametrize("keep", [True, False], ids=["with-second-name", "without"])
def test_a_kubelet_that_starts_between_look_and_call_finds_the_socket(
    run: Run, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    """It has removed the socket that stood a moment ago, and is another one than that whose kubelet.sock was seen."""

    async def scenario(bench: Bench) -> None:
        loop = asyncio.get_running_loop()
        asked: list[str] = []

        def call_late(*arguments: t.Any) -> bytes:
            if not asked:
                asyncio.run_coroutine_threadsafe(bench.kubelet.start(), loop).result()
            asked.append(arguments[1])
            return call(*arguments)

        def make_server(resource: str, path: Path, offer: Offer, changed: t.Callable[[], None]) -> ResourceServer:
            behaviour = Behaviour("balanced", lambda: False)
            return ResourceServer(resource, path, offer, LiveKernel(), behaviour, Statistics(), changed, keep)

        monkeypatch.setattr(registration, "call", call_late)
        bench.kubelet_dir.mkdir()
        old = socket.socket(socket.AF_UNIX)
        old.bind(str(bench.kubelet_dir / "kubelet.sock"))
        old.close()
        lock = InstanceLock(bench.files.root / "run", bench.kubelet_dir)
        offer = (OfferedVf(NodeFiles.vf_addresses(PF, 1)[0], PF, 0, "vfio-pci"),)
        statistics = Statistics()
        registrar = SocketRegistrar(CY, bench.kubelet_dir, offer, make_server, lock, statistics, lambda: None)
        running = asyncio.ensure_future(registrar.run())
        await bench.ready(CY, 1)
        await bench.kubelet.until(lambda: registrar.registered)
        await looks_again(registrar, 3)
        assert registrar.registered
        assert len(bench.kubelet.registrations) == 1
        assert len(asked) == (1 if keep else 2)
        assert statistics.registrations == {(CY, "succeeded"): 1}
        await end(running)
        lock.release()

    run(scenario)


def test_what_a_crash_has_left_of_second_names_is_removed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        killed = bench.start()
        await bench.ready(CY, 16)
        killed.close()
        bench.plugins.remove(killed)
        assert len(list((bench.kubelet_dir / SECOND_NAMES).iterdir())) == 1
        bench.start()
        await bench.kubelet.until(lambda: len(bench.kubelet.registrations) == 2)
        await bench.ready(CY, 16)
        assert len(list((bench.kubelet_dir / SECOND_NAMES).iterdir())) == 1

    run(scenario)


def test_does_without_a_second_name_where_its_place_is_taken(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        elsewhere = bench.files.root / "elsewhere"
        elsewhere.mkdir()
        (bench.kubelet_dir / SECOND_NAMES).symlink_to(elsewhere)
        bench.start()
        await bench.ready(CY, 16)
        assert list(elsewhere.iterdir()) == []

    run(scenario)


def test_a_directory_that_leads_in_a_circle_is_waited_for_with_a_sentence(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        real, link = bench.kubelet_dir, bench.files.root / "link"
        link.symlink_to("link")
        (bench.files.root / "run").mkdir(mode=0o700)  # as systemd makes it
        plugin = Plugin(bench.files, link)
        bench.plugins.append(plugin)
        why = f"{link} cannot be seen: {os.strerror(errno.ELOOP)}"
        await bench.kubelet.until(lambda: any(why in notice for notice in plugin.notices()))
        await bench.kubelet.start()
        link.unlink()
        link.symlink_to(real)
        await bench.ready(CY, 16)

    run(scenario)


READ_ONLY = """
import errno, os, pathlib, sys, types
from qat_device_plugin import cli, server

async def start(self):
    raise OSError("cannot make a socket")

def unlink(path, missing_ok=False):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

server.ResourceServer.start = start
pathlib.Path.unlink = unlink
os.statvfs = lambda path: types.SimpleNamespace(f_flag=os.ST_RDONLY)
sys.exit(cli.main())
"""


def test_a_directory_that_became_read_only_ends_the_service(run: Run) -> None:
    """A mount that is read-only is not for every user to make: only the answers of the kernel to it are played here."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.kubelet_dir.mkdir()
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
            dead.bind(str(bench.kubelet_dir / "accel-qat-cy-1-a.sock"))
        plugin = Plugin(bench.files, bench.kubelet_dir, program=("-c", READ_ONLY))
        bench.plugins.append(plugin)
        await bench.kubelet.until(lambda: plugin.process.poll() is not None)
        assert plugin.process.returncode == 1
        assert "Traceback" not in plugin.log.read_text()
        assert plugin.log.read_text().splitlines()[-1] == (
            f"qat-device-plugin: {bench.kubelet_dir}: the directory is read-only for this process, as it is when it was made again "
            "since the start; start the device plugin again, as systemd does by itself"
        )

    run(scenario)


UNSEEN = """
import errno, os, pathlib, sys
from qat_device_plugin import cli

directory, mark = {directory!r}, {mark!r}
stat = pathlib.Path.stat

def seen(path, **options):
    if str(path) == directory and os.path.exists(mark):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), directory)
    return stat(path, **options)

pathlib.Path.stat = seen
sys.exit(cli.main())
"""


def test_a_directory_that_cannot_be_seen_is_waited_for_with_a_sentence(run: Run) -> None:
    """As SELinux or AppArmor have it, for root too."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        mark = bench.files.root / "unseen"
        mark.touch()
        program = UNSEEN.format(directory=str(bench.kubelet_dir), mark=str(mark))
        plugin = Plugin(bench.files, bench.kubelet_dir, program=("-c", program))
        bench.plugins.append(plugin)
        why = f"{bench.kubelet_dir} cannot be seen: Permission denied"
        waits = f"STATUS=not ready; {CY}: 16 of 16 VFs healthy, not registered ({why})"
        await bench.kubelet.until(lambda: plugin.notices()[-2:] == [waits, "READY=1"])
        mark.unlink()
        await bench.ready(CY, 16)
        assert "Traceback" not in plugin.log.read_text()

    run(scenario)


def in_directory(bench: Bench, length: int) -> None:
    """Let kubelet's directory have a path of so many bytes."""
    bench.kubelet_dir = bench.files.root / ("k" * (length - len(str(bench.files.root)) - 1))
    bench.kubelet = FakeKubelet(bench.kubelet_dir)
    assert len(str(bench.kubelet_dir)) == length


def test_a_kubelet_sock_that_cannot_be_seen_is_waited_for_with_a_sentence(run: Run) -> None:
    """It may well be there, so that it is not there would be untrue."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        bench.kubelet_dir.mkdir()
        (bench.kubelet_dir / "kubelet.sock").symlink_to("kubelet.sock")
        plugin = bench.start()
        why = "kubelet.sock cannot be seen: Too many levels of symbolic links"
        await bench.kubelet.until(lambda: any(why in one for one in plugin.notices()))
        (bench.kubelet_dir / "kubelet.sock").unlink()
        await bench.kubelet.start()
        await bench.ready(CY, 16)

    run(scenario)


@pytest.mark.parametrize("registration", ["socket", "watcher"])
@pytest.mark.parametrize("services", ["asym;sym", "asym;dc;sym"])
def test_registers_below_a_path_that_other_plugins_bear(run: Run, services: str, registration: str) -> None:
    """One of 80 bytes: kubelet.sock and qat.intel.com-cy.sock fit."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF, services=services, vfs=4)
        resource = {"asym;sym": CY}.get(services, "qat.intel.com/sym-asym-dc")
        registry = bench.kubelet_dir.parent / "plugins_registry"
        if registration == "socket":
            in_directory(bench, 80)
            await bench.kubelet.start()
        else:
            registry = bench.files.root / ("r" * (80 - len(str(bench.files.root)) - 18)) / "plugins_registry"
            registry.mkdir(parents=True)
            bench.kubelet_dir = registry.parent / "k"
        watcher = asyncio.ensure_future(bench.kubelet.watch_registry(registry))
        bench.start(f"--registration={registration}")
        await bench.ready(resource, 4)
        assert len(str(bench.kubelet.endpoints[resource].path)) <= 107
        watcher.cancel()

    run(scenario)


def test_a_path_that_is_too_long_is_reported(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        in_directory(bench, 100)
        bench.kubelet_dir.mkdir()
        plugin = bench.start()
        await bench.kubelet.until(lambda: "107 at most" in plugin.log.read_text())
        log = plugin.log.read_text()
        assert f"the path of the socket is too long: {bench.kubelet_dir}/accel-qat-" in log
        assert "has 122 bytes" in log
        assert "writable" not in log
        assert all(line.startswith(("info: ", "warning: ")) for line in log.splitlines())

    run(scenario)


def test_a_list_that_comes_while_the_server_starts_is_served(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (OfferedVf(address, PF, 0, "vfio-pci") for address in NodeFiles.vf_addresses(PF, 2))
    statistics = Statistics()
    start = ResourceServer.start

    async def scenario(bench: Bench) -> None:
        def make_server(resource: str, path: Path, offer: Offer, changed: t.Callable[[], None]) -> ResourceServer:
            behaviour = Behaviour("balanced", lambda: False)
            return ResourceServer(resource, path, offer, LiveKernel(), behaviour, statistics, changed)

        async def starts_while_a_list_comes(server: ResourceServer) -> None:
            await start(server)
            registrar.publish((new,))

        monkeypatch.setattr(ResourceServer, "start", starts_while_a_list_comes)
        await bench.kubelet.start()
        lock = InstanceLock(bench.files.root / "run", bench.kubelet_dir)
        registrar = SocketRegistrar(CY, bench.kubelet_dir, (old,), make_server, lock, statistics, lambda: None)
        running = asyncio.ensure_future(registrar.run())
        await bench.ready(CY, 1)
        assert list(bench.kubelet.devices(CY)) == [new.address]
        await end(running)
        lock.release()

    run(scenario)


def test_each_resource_has_a_server_of_its_own(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf("0000:6b:00.0", services="asym;sym")
        bench.files.add_pf("0000:70:00.0", services="dc;sym")
        bench.files.add_pf("0000:75:00.0", services=None, family="c6xx")
        await bench.kubelet.start()
        bench.start()
        wanted = {CY: 16, "qat.intel.com/sym-dc": 16, "qat.intel.com/generic": 16}
        await bench.kubelet.until(
            lambda: {name: len(devices) for name, devices in bench.kubelet.resources().items()} == wanted
        )
        assert len({endpoint.path for endpoint in bench.kubelet.endpoints.values()}) == 3

    run(scenario)


def test_is_found_by_the_plugin_watcher(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        registry = bench.kubelet_dir.parent / "plugins_registry"
        registry.mkdir()
        watcher = asyncio.ensure_future(bench.kubelet.watch_registry(registry))
        plugin = bench.start("--registration=watcher")
        await bench.ready(CY, 16)
        await bench.kubelet.until(lambda: "READY=1" in plugin.notices())
        # A kubelet that starts again finds the same socket by itself.
        watcher.cancel()
        await bench.kubelet.stop()
        later = FakeKubelet(bench.kubelet_dir)
        watcher = asyncio.ensure_future(later.watch_registry(registry))
        await later.until(lambda: len(later.devices(CY)) == 16)
        watcher.cancel()
        await later.close()
        plugin.stop()
        assert list(registry.iterdir()) == []

    run(scenario)


IMPATIENT = """\
import sys
from qat_device_plugin import cli
with cli.without_tls():
    from qat_device_plugin import registration
registration.UNFOUND_SECONDS = 0.3
sys.exit(cli.main())
"""


def test_a_socket_that_the_plugin_watcher_has_overlooked_is_followed_by_another(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        registry = bench.kubelet_dir.parent / "plugins_registry"
        registry.mkdir()
        plugin = Plugin(bench.files, bench.kubelet_dir, "--registration=watcher", program=("-c", IMPATIENT))
        bench.plugins.append(plugin)
        await bench.kubelet.until(lambda: any(registry.glob("[!.]*.sock")))
        overlooked = {path.name for path in registry.glob("[!.]*.sock")}
        await bench.kubelet.until(lambda: any(path.name not in overlooked for path in registry.glob("[!.]*.sock")))
        assert not any((registry / name).exists() for name in overlooked)
        watcher = asyncio.ensure_future(bench.kubelet.watch_registry(registry))
        await bench.ready(CY, 16)
        watcher.cancel()
        assert "registration lost" not in plugin.log.read_text()

    run(scenario)


def test_comes_back_after_the_plugin_watcher_refused(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        registry = bench.kubelet_dir.parent / "plugins_registry"
        registry.mkdir()
        watcher = asyncio.ensure_future(bench.kubelet.watch_registry(registry, accept=False))
        port = free_port()
        plugin = bench.start("--registration=watcher", f"--metrics-address=127.0.0.1:{port}")
        await bench.kubelet.until(lambda: len(bench.kubelet.registrations) == 2)
        watcher.cancel()
        assert "kubelet did not take the registration" in plugin.log.read_text()
        assert 'problem="not now"' in plugin.log.read_text()
        assert not any(message.startswith("STATUS=ready") for message in plugin.notices())
        metrics = (await asyncio.get_running_loop().run_in_executor(None, fetch, port, "/metrics"))[1]
        assert f'registrations_total{{resource="{CY}",result="failed"}} 0.0' not in metrics
        assert f'registrations_total{{resource="{CY}",result="lost"}} 0.0' in metrics
        watcher = asyncio.ensure_future(bench.kubelet.watch_registry(registry))
        await bench.ready(CY, 16)
        watcher.cancel()

    run(scenario)


def test_two_instances_do_not_disturb_each_other(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        first = bench.start()
        await bench.ready(CY, 16)
        second = bench.start()
        await bench.kubelet.until(lambda: "another instance serves here" in second.log.read_text())
        await second.goes_on()
        assert (len(bench.kubelet.registrations), bench.kubelet.drops[CY]) == (1, 0)
        assert any(message.endswith("not registered (another instance serves)") for message in second.notices())
        first.stop()
        await bench.kubelet.until(lambda: len(bench.kubelet.registrations) == 2)
        await bench.ready(CY, 16)

    run(scenario)


def test_the_second_instance_removes_what_a_crash_of_the_first_left(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        first = bench.start()
        await bench.ready(CY, 16)
        second = bench.start()
        await bench.kubelet.until(lambda: "another instance serves here" in second.log.read_text())
        left = bench.kubelet_dir / bench.kubelet.registrations[0][2]
        first.process.kill()
        await bench.kubelet.until(lambda: len(bench.kubelet.registrations) == 2)
        await bench.ready(CY, 16)
        assert not left.exists()

    run(scenario)


@pytest.mark.parametrize("kind", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_a_lock_on_kubelets_directory_stops_nothing(run: Run, kind: int) -> None:
    """As a pod of another vendor, which has the directory too, can have it."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        descriptor = os.open(bench.kubelet_dir, os.O_RDONLY)
        fcntl.flock(descriptor, kind)
        try:
            bench.start()
            await bench.ready(CY, 16)
        finally:
            os.close(descriptor)

    run(scenario)


def test_the_end_of_a_waiting_instance_harms_nobody(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        first = bench.start()
        await bench.ready(CY, 16)
        second = bench.start()
        await bench.kubelet.until(lambda: "another instance serves here" in second.log.read_text())
        second.stop()
        await first.goes_on()
        assert len(bench.kubelet.devices(CY)) == 16
        assert (len(bench.kubelet.registrations), bench.kubelet.drops[CY]) == (1, 0)

    run(scenario)


def test_removes_only_its_own_sockets(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start()
        await bench.ready(CY, 16)
        name = bench.kubelet.registrations[0][2]
        # Somebody else takes the very name while the service stops; nothing registers again meanwhile.
        foreign = socket.socket(socket.AF_UNIX)
        (bench.kubelet_dir / name).unlink()
        foreign.bind(str(bench.kubelet_dir / name))
        foreign.listen()
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(bench.kubelet_dir / "other.sock"))
        other.listen()
        plugin.stop()
        names = {path.name for path in bench.kubelet_dir.iterdir()}
        foreign.close()
        other.close()
        assert names == {"kubelet.sock", "other.sock", name}

    run(scenario)


def test_removes_the_sockets_that_a_crash_left(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        crashed = bench.start()
        await bench.ready(CY, 16)
        crashed.process.kill()
        crashed.process.wait()
        left = bench.kubelet_dir / bench.kubelet.registrations[0][2]
        assert left.exists()
        bench.start()
        await bench.kubelet.until(lambda: len(bench.kubelet.registrations) == 2)
        assert not left.exists()

    run(scenario)


def test_ends_at_once_with_open_streams(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        for bus in range(3):
            bench.files.add_pf(f"0000:{0x60 + bus:x}:00.0", services=("sym", "dc", "asym")[bus])
        await bench.kubelet.start()
        plugin = bench.start()
        await bench.kubelet.until(lambda: len(bench.kubelet.resources()) == 3)
        plugin.process.terminate()
        await bench.kubelet.until(lambda: plugin.process.poll() is not None)
        assert plugin.process.returncode == 0
        await bench.kubelet.until(lambda: bench.kubelet.resources() == {})
        assert [path.name for path in bench.kubelet_dir.iterdir()] == ["kubelet.sock"]
        assert "STOPPING=1" in plugin.notices()

    run(scenario)


def test_a_signal_while_it_starts_is_not_lost(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        for pause in (0.1, 0.15, 0.2, 0.25):
            plugin = bench.start()
            await bench.kubelet.until(functools.partial(minds_signals, plugin))
            await asyncio.sleep(pause - 0.1)
            plugin.stop()

    run(scenario)
