# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be seen is not gone: a scan in which a read fails changes nothing, but that it is counted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
import time
import typing as t
from pathlib import Path

import pytest
from harness.node_files import NodeFiles
from harness.pod_resources import keep_claims, kept_claim
from harness.process import Plugin
from qat_device_plugin import claims as claims_module
from qat_device_plugin import cli
from qat_device_plugin import service as service_module
from qat_device_plugin._node.devices.read import read_devices
from qat_device_plugin._node.errors import NodeError
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin._node.users.podresources import Given
from qat_device_plugin._node.users.pods import Checkpoint, Kept, Named, Pods
from qat_device_plugin.allocation import AllocationError, answer
from qat_device_plugin.attribution import Attribution, attributed
from qat_device_plugin.catalogue import Claims, OfferedVf
from qat_device_plugin.configuration import read_rules
from qat_device_plugin.probe import Prober
from qat_device_plugin.registration import SocketRegistrar
from qat_device_plugin.service import Service
from qat_device_plugin.settings import parse_settings
from qat_device_plugin.sockets import InstanceLock
from qat_device_plugin.waiting import end

CY = "qat.intel.com/cy"
PF = "0000:6b:00.0"
VF = "0000:6b:00.1"
UNSEEN = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EACCES, errno.EINTR)
HEARTBEAT = f"/sys/kernel/debug/qat_4xxx_{PF}/heartbeat"
READS = {
    "/dev/vfio": "list",
    "/sys/kernel/iommu_groups/10/devices": "list",
    f"/sys/kernel/iommu_groups/10/devices/{VF}/driver": "link",
    f"/sys/bus/pci/devices/{PF}/qat/state": "read",
    f"/sys/bus/pci/devices/{PF}/qat_ras/errors_fatal": "read",
    f"{HEARTBEAT}/status": "read",
    f"{HEARTBEAT}/config": "read",
}
"""What the plugin itself reads in a scan, besides what the engine does."""


class Fault:
    """Lets one read of a kernel fail. `hits` counts how often it has."""

    def __init__(self, kernel: LiveKernel, monkeypatch: pytest.MonkeyPatch, seen: list[str] | None = None) -> None:
        """`seen` gets the paths of all reads."""
        self.path, self.code, self.hits = "", 0, 0
        self._seen = [] if seen is None else seen
        for name in ("read", "list", "link", "exists"):
            monkeypatch.setattr(kernel, name, self._failing(getattr(kernel, name)))

    def _failing(self, method: t.Callable[[str], t.Any]) -> t.Callable[[str], t.Any]:
        def one(path: str) -> t.Any:
            self._seen.append(path)
            if path == self.path:
                self.hits += 1
                raise OSError(self.code, os.strerror(self.code), path)
            return method(path)

        return one


def new_service(files: NodeFiles, *flags: str) -> Service:
    settings = parse_settings(
        ["--period=0.05", *Plugin.flags(files, files.root / "k")[:-1], *flags],
        {},
    )
    return Service(settings, read_rules(settings.config), {})


def with_service(files: NodeFiles, scenario: t.Callable[[Service], t.Awaitable[None]]) -> None:
    async def whole() -> None:
        service = new_service(files)
        await service._scan(True)
        try:
            await scenario(service)
        finally:
            await asyncio.gather(*(end(task) for task in service._tasks))
            # After a scan that may be on its way.
            await service._thread.run(service._kernel.close)

    asyncio.run(asyncio.wait_for(whole(), 600))


@pytest.fixture
def files(tmp_path: Path) -> NodeFiles:
    files = NodeFiles(tmp_path)
    files.add_pf(PF)
    files.set_heartbeat(PF, "0", interval=1)
    return files


@pytest.mark.parametrize("path", READS)
def test_a_look_that_cannot_see_one_thing_changes_nothing(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def scenario(service: Service) -> None:
        monkeypatch.setattr(service_module, "_QUIET_LIMIT", 0.0)
        fault = Fault(service._kernel, monkeypatch)
        errors, before = service.statistics.errors, service.model
        assert [vf.healthy for vf in before.offers[CY]] == [True] * 16
        looking = asyncio.ensure_future(service._scan_loop())

        async def until(condition: t.Callable[[], bool]) -> None:
            deadline = time.monotonic() + 120
            while not condition():
                assert not looking.done()
                assert time.monotonic() < deadline, os.strerror(fault.code)
                service._wakeup.wake()
                await asyncio.sleep(0.01)

        async def see_all() -> None:
            seen = service.last_scan
            await until(lambda: service.last_scan != seen)

        async def fails() -> None:
            counted = errors["scan"]
            await until(lambda: fault.hits > 0 and errors["scan"] > counted)

        for fault.code in UNSEEN:
            fault.hits, fault.path = 0, path
            await fails()
            fault.path = ""
            assert service.model.offers == before.offers
            await see_all()  # one more may have been on its way to what could not be seen
            counted = errors["scan"]
            await see_all()
            assert errors["scan"] == counted
        assert service.model.offers == before.offers
        await end(looking)

    with_service(files, scenario)


@pytest.mark.parametrize("code", UNSEEN)
def test_whichever_read_of_a_look_fails_the_list_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """One after the other, those of the engine too; what is not reported of a PF besides the list may be unknown."""
    files = NodeFiles(tmp_path)
    files.add_pf(PF, vfs=2)
    files.add_pf("0000:70:00.0", services="dc", vfs=2)

    async def scenario(service: Service) -> None:
        read: list[str] = []
        fault = Fault(service._kernel, monkeypatch, read)
        await service._scan(True)
        before = service.model.offers
        assert {name: len(vfs) for name, vfs in before.items()} == {CY: 2, "qat.intel.com/dc": 2}
        fault.code = code
        for fault.path in sorted(set(read)):
            service._prober._not_before.clear()
            with contextlib.suppress(OSError, NodeError):
                await service._scan(True)
            assert service.model.offers == before, fault.path
        assert {"/dev/vfio", "/sys/bus/pci/devices", f"/sys/bus/pci/devices/{PF}/sriov_totalvfs"} <= set(read)
        assert len(set(read)) > 60

    with_service(files, scenario)


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENODEV, errno.ENXIO])
def test_what_is_gone_is_no_failure(files: NodeFiles, monkeypatch: pytest.MonkeyPatch, path: str, code: int) -> None:
    async def scenario(service: Service) -> None:
        fault = Fault(service._kernel, monkeypatch)
        fault.path, fault.code = path, code
        await service._scan(True)
        reasons = {reason.code for vf in service.model.offers[CY] for reason in vf.reasons}
        assert reasons == ({"vfio_node"} if path == "/dev/vfio" else set())

    with_service(files, scenario)


def test_the_watchdog_is_fed_while_looks_fail(files: NodeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new start would see no more, and take from kubelet what it has. The same holds for the liveness probe of a pod, `/healthz`."""

    async def scenario(service: Service) -> None:
        fed: list[float] = []
        monkeypatch.setattr(service_module, "_STALE", 0.3)
        monkeypatch.setattr(service._systemd, "alive", lambda: fed.append(time.monotonic()))
        fault = Fault(service._kernel, monkeypatch)
        fault.path, fault.code = "/dev/vfio", errno.ENFILE
        looking = asyncio.ensure_future(service._scan_loop())
        feeding = asyncio.ensure_future(service._watchdog(0.01))
        while not service.status().is_stale:
            service._wakeup.wake()
            await asyncio.sleep(0.01)
        while service.status().unhealthy:  # a scan may take longer than that here
            service._wakeup.wake()
            await asyncio.sleep(0.01)
        assert any("saw the whole node" in why for why in service.status().unready)
        count = len(fed)
        while len(fed) <= count:
            await asyncio.sleep(0.01)
        # But not for one that does not come to its end.
        await end(looking)
        while time.monotonic() - service._last_end <= 0.4:
            await asyncio.sleep(0.01)
        assert service.status().unhealthy == ("the kernel does not let a scan come to its end",)
        assert set(service.status().unhealthy) < set(service.status().unready)
        count = len(fed)
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert len(fed) == count
        await end(feeding)

    with_service(files, scenario)


def test_nothing_is_looked_at_while_another_process_takes_over(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heartbeat has one reader: the driver takes a second one for a dead device, and both would report all VFs of the PF as unhealthy."""

    async def scenario(service: Service) -> None:
        scans: list[bool] = []
        pauses: list[float] = []

        async def scan(whole: bool) -> None:
            scans.append(whole)

        def pause() -> float:
            pauses.append(0.01)
            return pauses[-1]

        monkeypatch.setattr(service, "_scan", scan)
        monkeypatch.setattr(service, "_pause", pause)
        service._succession._set_successor(True)
        looking = asyncio.ensure_future(service._scan_loop())
        while len(pauses) < 5:
            service._wakeup.wake()
            await asyncio.sleep(0.01)
        assert scans == []
        service._succession._set_successor(False)
        while not scans:
            await asyncio.sleep(0.01)
        assert scans[0] is True
        await end(looking)

    with_service(files, scenario)


def test_who_waits_for_the_end_of_another_reads_no_heartbeat(files: NodeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a pod whose container has started again after it has handed over, or one of a second DaemonSet."""

    async def scenario(service: Service) -> None:
        seen: list[str] = []
        Fault(service._kernel, monkeypatch, seen)
        settings = service._settings
        other = InstanceLock(settings.run_dir, settings.socket_dir)
        assert other.held()
        assert not service._succession.lock.held()
        await asyncio.sleep(0.01)  # the driver allows it again
        await service._scan(True)
        assert f"/sys/bus/pci/devices/{PF}/qat/state" in seen
        assert f"{HEARTBEAT}/status" not in seen
        other.release()
        assert service._succession.lock.held()
        await service._scan(True)
        assert f"{HEARTBEAT}/status" in seen
        service._succession.lock.release()

    with_service(files, scenario)


def test_who_waits_for_the_end_of_another_does_not_hurry_to_read_a_heartbeat(files: NodeFiles) -> None:
    """One that was found dead before this process has tried to get the lock: nobody here reads it again so soon."""

    async def scenario(service: Service) -> None:
        files.set_heartbeat(PF, "-1", interval=1)
        await asyncio.sleep(0.01)  # the driver allows it again
        await service._scan(True)
        assert service.model.undecided == {PF}
        other = InstanceLock(service._settings.run_dir, service._settings.socket_dir)
        assert other.held()
        service._prober._not_before[PF] = 0.0
        assert service._pause() == 0.01
        assert not service._succession.lock.held()
        assert service._pause() == service._settings.period
        other.release()

    with_service(files, scenario)


def test_a_scan_knows_of_which_devices_kubelet_has_said_that_pods_have_them(files: NodeFiles) -> None:
    async def scenario(service: Service) -> None:
        assert service._named() is None
        said = Named((Given("default", "web-0", "app", CY, VF.upper()),))
        service._attribution = attributed(Attribution(), said, 1.0)
        await service._scan(False)
        assert service.model.named == frozenset({VF})
        service._attribution = attributed(service._attribution, Named(problem="not now"), 2.0)
        await service._scan(False)
        assert service.model.named == frozenset({VF})

    with_service(files, scenario)


@pytest.mark.parametrize("place", ["device", "FIFO"])
def test_what_is_no_file_is_not_waited_for_as_a_configuration(files: NodeFiles, place: str) -> None:
    async def scenario(service: Service) -> None:
        before = service._configuration.rules
        files.config.unlink()
        if place == "FIFO":
            os.mkfifo(files.config)
        else:
            files.config.symlink_to("/dev/zero")
        with pytest.raises(NodeError, match=r"cannot be read: it is no regular file; see that it is a file$"):
            read_rules(files.config)
        service._follow_configuration()
        service._reload()
        assert service._configuration.rules == before

    with_service(files, scenario)


@pytest.mark.parametrize("code", UNSEEN)
def test_a_configuration_that_cannot_be_read_is_taken_when_it_can(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    async def scenario(service: Service) -> None:
        def refuse(path: str, *_more: object, **_named: object) -> t.NoReturn:
            raise OSError(code, os.strerror(code), path)

        files.configure([{"advertise": 4}])
        with monkeypatch.context() as patched:
            patched.setattr("qat_device_plugin._node.devices.rules.read_whole", refuse)
            for _ in range(3):
                service._follow_configuration()
            service._reload()
        assert len(service.model.offers[CY]) == 16
        assert service.statistics.reloads == {"succeeded": 0, "failed": 2}
        assert caplog.text.count("the old configuration stays") == 2
        service._follow_configuration()
        assert len(service.model.offers[CY]) == 4

    with_service(files, scenario)


def test_a_node_that_cannot_be_seen_is_reported_once(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at each look: some last for days, and a look may follow each event."""

    async def scenario(service: Service) -> None:
        fault = Fault(service._kernel, monkeypatch)
        looking = asyncio.ensure_future(service._scan_loop())

        async def fail_again(times: int) -> None:
            wanted = service.statistics.errors["scan"] + times
            while service.statistics.errors["scan"] < wanted:
                service._wakeup.wake()
                await asyncio.sleep(0.01)

        for count, fault.path, fault.code in (1, "/dev/vfio", errno.ENFILE), (2, "/dev/vfio", errno.EIO):
            await fail_again(3)
            assert caplog.text.count("cannot scan the node") == count
        await end(looking)

    with_service(files, scenario)


def test_as_many_threads_as_there_may_be_are_no_end(files: NodeFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the unit (TasksMax) or of the pod: what needs another thread fails, and is tried again."""

    def refuse(_thread: threading.Thread) -> t.NoReturn:
        raise RuntimeError("can't start new thread")

    async def scenario(service: Service) -> None:
        files.add_pf("0000:70:00.0", services="dc", vfs=2)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            await service._scan(True)
            registrar = service.registrars["qat.intel.com/dc"]
            assert isinstance(registrar, SocketRegistrar)
            with pytest.raises(OSError, match="can't start new thread"):
                await registrar._thread.run(lambda: None)
            service._start(service._attribution_loop())
            while service.statistics.errors["pods"] < 2:
                await asyncio.sleep(0.01)
            assert service._attribution
            assert service._attribution.problem == "can't start new thread"
        assert await registrar._thread.run(lambda: 7) == 7

    with_service(files, scenario)


def test_a_first_look_that_fails_ends_the_start_with_a_sentence(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_kernel: LiveKernel, path: str) -> t.NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    monkeypatch.setattr(LiveKernel, "list", fails)
    monkeypatch.setattr(service_module, "read_devices", lambda kernel, **_options: kernel.list("/sys/bus/pci/devices"))
    monkeypatch.setattr("signal.pthread_sigmask", lambda *_arguments: None)
    assert cli.main([*Plugin.flags(files, files.root / "k")]) == 1
    assert capsys.readouterr().err == (
        "qat-device-plugin: cannot scan the node: [Errno 24] Too many open files: '/sys/bus/pci/devices'; "
        "systemd starts the service again\n"
    )


# Health.


class OneText:
    """A kernel of one heartbeat."""

    def __init__(self) -> None:
        self.said: str | int = "0"

    def expect(self, paths: t.Sequence[str]) -> None:
        pass

    def read(self, path: str) -> str:
        if not path.endswith("/status"):
            return "1" if path.endswith("/config") else "0"
        if isinstance(self.said, int):
            raise OSError(self.said, os.strerror(self.said), path)
        return self.said


def probed(prober: Prober, files: NodeFiles, now: float) -> tuple[bool | None, bool]:
    """Whether the heart beats, and whether it shows that it has none."""
    kernel = LiveKernel(str(files.sys), str(files.proc), str(files.dev))
    device = read_devices(kernel).qat[0]
    kernel.close()
    readings, silent = prober.probe([device], now)
    return readings[PF].beats, PF in silent


def test_a_heartbeat_that_nobody_may_read_says_nothing(files: NodeFiles) -> None:
    """As in a kernel that is locked down, EPERM, or under SELinux, EACCES. One that could be read before is another thing."""
    kernel = OneText()
    prober = Prober(t.cast("t.Any", kernel))
    for kernel.said in (errno.EPERM, errno.EACCES):
        assert probed(prober, files, 0.0) == (None, False)
    kernel.said = errno.ENOENT
    assert probed(prober, files, 1.0) == (None, True)
    kernel.said = "-1"
    assert probed(prober, files, 2.0) == (False, False)
    kernel.said = errno.EPERM
    assert probed(prober, files, 3.0) == (None, False)
    kernel.said = errno.EACCES
    with pytest.raises(PermissionError):
        probed(prober, files, 4.0)


def test_the_out_of_tree_driver_has_a_file_for_a_heartbeat(files: NodeFiles) -> None:
    files.set_heartbeat(PF, None)
    directory = files.sys / f"kernel/debug/qat_4xxx_{PF}/heartbeat"
    directory.rmdir()
    directory.write_text("0\n")
    with contextlib.closing(LiveKernel(str(files.sys), str(files.proc), str(files.dev))) as kernel:
        assert probed(Prober(kernel), files, 0.0) == (None, True)


# Allocate.


def test_a_look_at_claims_that_began_before_a_scan_says_nothing_against_it(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def kept_claims(_pods: Pods) -> Checkpoint:
        begun.set()
        goes_on.wait()
        return Checkpoint()

    async def scenario(service: Service) -> None:
        monkeypatch.setattr(claims_module, "LOOK_SECONDS", 600.0)
        monkeypatch.setattr(Pods, "kept_claims", kept_claims)
        answer = asyncio.ensure_future(service._claims_look.again())
        while not begun.is_set():
            await asyncio.sleep(0.001)
        keep_claims(files.root, [kept_claim("11-22", "qatvf-0000-6b-00-1")])
        await service._scan(False)
        goes_on.set()
        await answer
        assert service.model.claims == Claims({VF: "qat.intel.com"})

    with_service(files, scenario)


def test_what_a_scan_sees_of_claims_that_began_before_a_look_says_nothing_against_it(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    kept = Pods.kept

    def slow(pods: Pods) -> Kept:
        found = kept(pods)
        begun.set()
        goes_on.wait()
        return found

    async def scenario(service: Service) -> None:
        monkeypatch.setattr(claims_module, "LOOK_SECONDS", 600.0)
        monkeypatch.setattr(Pods, "kept", slow)
        scan = asyncio.ensure_future(service._scan(False))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        keep_claims(files.root, [kept_claim("11-22", "qatvf-0000-6b-00-1")])
        await service._claims_look.again()
        goes_on.set()
        await scan
        assert service.model.claims == Claims({VF: "qat.intel.com"})
        keep_claims(files.root, [])
        await service._scan(False)
        assert service.model.claims == Claims()

    with_service(files, scenario)


def test_claims_that_cannot_be_read_again_are_those_of_before(files: NodeFiles) -> None:
    async def scenario(service: Service) -> None:
        keep_claims(files.root, [kept_claim("11-22", "qatvf-0000-6b-00-1")])
        await service._claims_look.again()
        assert service.model.claims == Claims({VF: "qat.intel.com"})
        keep_claims(files.root, "of another form")
        await service._claims_look.again()
        assert service.model.claims == Claims({VF: "qat.intel.com"})
        assert service.statistics.errors["claims"] == 1

    with_service(files, scenario)


@pytest.mark.parametrize("code", UNSEEN)
@pytest.mark.parametrize(
    "path",
    ["/dev/vfio", f"/sys/bus/pci/devices/{VF}/driver", f"/sys/bus/pci/devices/{VF}/iommu_group"],
)
def test_allocate_says_that_it_cannot_see(
    files: NodeFiles, monkeypatch: pytest.MonkeyPatch, path: str, code: int
) -> None:
    kernel = LiveKernel(str(files.sys), str(files.proc), str(files.dev))
    fault = Fault(kernel, monkeypatch)
    fault.path, fault.code = path, code
    with pytest.raises(AllocationError) as caught:
        answer(kernel, CY, [OfferedVf(VF, PF, 0, "vfio-pci")], [VF])
    assert str(caught.value) == (
        f"it cannot be seen whether {VF} can be used: [Errno {code}] {os.strerror(code)}: '{path}'"
    )


def test_allocate_of_a_vf_that_is_gone(files: NodeFiles) -> None:
    files.remove_vfs(PF)
    kernel = LiveKernel(str(files.sys), str(files.proc), str(files.dev))
    with pytest.raises(AllocationError, match=f"^{VF} cannot be used: it is not on the node any more$"):
        answer(kernel, CY, [OfferedVf(VF, PF, 0, "vfio-pci")], [VF])
