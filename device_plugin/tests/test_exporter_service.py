# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter as a service and as a command: that nothing holds up its page, and that telemetry is off after it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest
from harness.exporter import ExporterProcess, add_telemetry, arguments
from harness.node_files import NodeFiles
from harness.pfs_at_work import CONTROL, GEN4, SECOND, VFS, Fake, at, kernel, named, series
from harness.pod_resources import KubeletThread
from harness.process import fetch, free_port
from qat_device_plugin import status_page
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin.exporter import command, sampling, service
from qat_device_plugin.exporter.sampling import Sampler
from qat_device_plugin.exporter.service import Exporter, Settings
from qat_device_plugin.exporter.switches import Switches
from qat_device_plugin.kernel_thread import KernelThread

from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf

# As they are where no test has changed them.
PAGE_SECONDS, CLIENT_SECONDS = service.ANSWER_SECONDS, status_page.ANSWER_SECONDS


# The service.


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, the fake kernel answers in time. What it says is seen at once."""
    monkeypatch.setattr(service, "ANSWER_SECONDS", 600.0)
    monkeypatch.setattr(service, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(status_page, "ANSWER_SECONDS", 600.0)


class Running:
    """An exporter in this process."""

    def __init__(self, fake: Fake, run_dir: Path, **settings: t.Any) -> None:
        self.port = free_port()
        self.exporter = Exporter(
            Settings(("127.0.0.1", self.port), **settings), fake, Switches(fake, run_dir), environment={}
        )
        self.task = asyncio.ensure_future(self.exporter.run())

    async def get(self, path: str = "/metrics") -> tuple[int, str]:
        return await asyncio.get_running_loop().run_in_executor(None, fetch, self.port, path)

    async def metrics(self) -> dict[str, float]:
        code, text = await self.get()
        assert code == 200
        return series(text)

    async def metrics_with(self, name: str) -> dict[str, float]:
        """The metrics as soon as this one is 1: telemetry is switched after a page."""
        while (found := await self.metrics()).get(name) != 1:
            pass
        return found

    async def end(self) -> None:
        self.exporter.stop()
        await self.task


def test_serves_switches_on_and_off(tmp_path: Path) -> None:
    fake = kernel()

    async def scenario() -> None:
        running = Running(fake, tmp_path)
        metrics = await running.metrics_with(f'qat_pf_telemetry_enabled{{pf="{GEN4}"}}')
        assert metrics["qat_exporter_collection_success"] == 1
        assert "process_resident_memory_bytes" in metrics
        assert await running.get("/healthz") == (200, "ok\n")
        assert await running.get("/readyz") == (200, "ok\n")
        assert at(CONTROL, fake) == "1"
        await running.end()

    asyncio.run(scenario())
    assert at(CONTROL, fake) == "0"
    assert not any("heartbeat" in one.path for one in fake.writes)
    assert {one.path for one in fake.writes} == {CONTROL}


def test_reads_what_somebody_else_has_switched_on(tmp_path: Path) -> None:
    fake = kernel(pf("4xxx", SECOND))
    fake.write(CONTROL, "2", 1.0)
    # One before it switched this on, and was killed.
    fake.write(f"/sys/kernel/debug/qat_4xxx_{SECOND}/telemetry/control", "1", 1.0)
    (tmp_path / "telemetry.json").write_text(json.dumps({"switched_on": [SECOND]}))

    async def scenario() -> None:
        running = Running(fake, tmp_path, switches=False)
        metrics = await running.metrics_with(f'qat_pf_telemetry_state{{pf="{SECOND}",state="off"}}')
        assert metrics[f'qat_pf_telemetry_enabled{{pf="{GEN4}"}}'] == 1
        await running.end()

    asyncio.run(scenario())
    assert at(CONTROL, fake) == "2"


class Hanging(FakeKernel):
    """A kernel whose reads hang until `hangs` is set, once it has that. `waits` says that one does."""

    hangs: threading.Event
    waits = False

    def list(self, path: str) -> t.Sequence[str]:
        if "hangs" in vars(self):
            self.waits = not self.hangs.is_set()
            self.hangs.wait()
        return super().list(path)


def test_a_kernel_that_hangs_does_not_hold_up_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "END_SECONDS", 0.1)
    monkeypatch.setattr(service, "STUCK_SECONDS", 0.05)
    fake: Fake = Hanging.with_pfs(pf("4xxx", GEN4))
    fake.hangs = threading.Event()
    fake.hangs.set()

    async def scenario() -> None:
        running = Running(fake, tmp_path)
        await running.metrics_with(f'qat_pf_telemetry_enabled{{pf="{GEN4}"}}')
        fake.hangs.clear()
        monkeypatch.setattr(service, "ANSWER_SECONDS", 0.1)
        found = await running.metrics()
        assert found["qat_exporter_collection_success"] == 0
        assert found['qat_exporter_errors_total{kind="collection"}'] == 1
        assert GEN4 not in str(found)
        code, text = await running.get("/healthz")
        assert (code, text.startswith("the kernel has not answered for ")) == (503, True)
        fake.hangs.set()
        monkeypatch.setattr(service, "ANSWER_SECONDS", 600.0)
        assert GEN4 in str(await running.metrics())
        assert await running.get("/healthz") == (200, "ok\n")
        fake.hangs.clear()
        monkeypatch.setattr(service, "ANSWER_SECONDS", 0.1)
        await running.metrics()
        await running.end()
        # It hung at the end, so it is on still, and the next one knows.
        assert Switches(fake, tmp_path).ours == {GEN4}

    try:
        asyncio.run(scenario())
    finally:
        fake.hangs.set()


def test_a_scrape_that_outlives_the_service_switches_nothing_on_again(tmp_path: Path) -> None:
    fake: Fake = Hanging.with_pfs(pf("4xxx", GEN4))
    fake.hangs = threading.Event()
    fake.hangs.set()

    async def scenario() -> None:
        running = Running(fake, tmp_path)
        await running.metrics_with(f'qat_pf_telemetry_enabled{{pf="{GEN4}"}}')
        fake.hangs.clear()
        late = [asyncio.ensure_future(running.exporter._collected())]
        while not fake.waits:
            await asyncio.sleep(0)
        # This one asks after the look for the first one has begun, so there is one more look for it.
        late.append(asyncio.ensure_future(running.exporter._collected()))
        running.exporter.stop()
        while not running.exporter._ending:
            await asyncio.sleep(0)
        fake.hangs.set()
        await running.task
        await asyncio.gather(*late)

    try:
        asyncio.run(scenario())
    finally:
        fake.hangs.set()
    assert at(CONTROL, fake) == "0"
    assert Switches(fake, tmp_path).ours == frozenset()


def test_a_node_that_cannot_be_seen_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake = kernel()
    fake.deny("/sys/bus/pci/devices", errno.EMFILE)

    async def scenario() -> None:
        running = Running(fake, tmp_path)
        for _ in range(3):
            found = await running.metrics()
        assert found["qat_exporter_collection_success"] == 0
        code, text = await running.get("/readyz")
        assert (code, "Too many open files" in text) == (503, True)
        await running.end()

    asyncio.run(scenario())
    assert caplog.text.count("nothing is known of the PFs") == 1


def test_without_a_record_nothing_is_switched_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake = kernel()

    async def scenario() -> None:
        running = Running(fake, tmp_path)
        (tmp_path / "telemetry.json").mkdir()
        while (metrics := await running.metrics())['qat_exporter_errors_total{kind="record"}'] < 3:
            pass
        assert caplog.text.count("the record cannot be written") == 1
        assert metrics[f'qat_pf_telemetry_state{{pf="{GEN4}",state="off"}}'] == 1
        await running.end()

    asyncio.run(scenario())
    assert at(CONTROL, fake) == "0"


def test_follows_the_vfs_that_kubelet_has_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TURN_SECONDS", 0.02)
    monkeypatch.setattr(service, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(sampling, "TURN_SECONDS", 0.02)
    fake = kernel()
    with tempfile.TemporaryDirectory(prefix="qdp") as directory:
        root = KubeletThread(Path(directory))
        root.fake.pods[("team", "tls")] = {"proxy": {"qat.intel.com/cy": [VFS[1]]}}
        root.start()

        async def scenario() -> None:
            running = Running(fake, tmp_path, per_vf=True, kubelet_roots=(directory,))
            while not named(await running.metrics(), "qat_vf_sample_age_seconds"):
                fake.sleep(1.0)
            metrics = await running.metrics()
            labels = f'container="proxy",namespace="team",pf="{GEN4}",pod="tls",vf="{VFS[1]}"'
            assert named(metrics, "qat_vf_pod_info") == {labels: 1}
            assert metrics["qat_exporter_pod_resources_up"] == 1
            await running.end()

        try:
            asyncio.run(scenario())
        finally:
            root.close()
    assert at(CONTROL, fake) == "0"


def test_want_of_descriptors_or_threads_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the round of the VFs nor the question to kubelet, which are done again."""
    fake = kernel()
    turns: list[None] = []

    def turn(_self: Exporter) -> t.NoReturn:
        turns.append(None)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def scenario() -> None:
        running = Running(fake, tmp_path, per_vf=True, kubelet_roots=(str(tmp_path),))
        while len(turns) < 3 and not running.task.done():
            await asyncio.sleep(0.01)
        while not running.exporter.errors["pods"] > 2 and not running.task.done():
            await asyncio.sleep(0.01)
        code, _text = await running.get()
        assert code == 200
        assert running.exporter.health().unhealthy == ()
        assert running.exporter._attribution.problem == "no more threads"
        await running.end()

    run = KernelThread.run

    async def without_threads(self: KernelThread, function: t.Callable[[], t.Any]) -> t.Any:
        if self._name == "pods":
            raise OSError(errno.EAGAIN, "no more threads")
        return await run(self, function)

    monkeypatch.setattr(Exporter, "_turn", turn)
    monkeypatch.setattr(KernelThread, "run", without_threads)
    monkeypatch.setattr(service, "TURN_SECONDS", 0.02)
    monkeypatch.setattr(service, "LOOK_SECONDS", 0.02)
    asyncio.run(scenario())


def test_an_error_of_the_program_ends_it_with_telemetry_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = kernel()

    def fails(*_arguments: t.Any) -> None:
        raise RuntimeError("a fault")

    async def scenario() -> None:
        running = Running(fake, tmp_path, per_vf=True, kubelet_roots=(str(tmp_path),))
        await running.metrics()
        monkeypatch.setattr(Sampler, "step", fails)
        await running.task

    monkeypatch.setattr(service, "TURN_SECONDS", 0.02)
    with pytest.raises(RuntimeError, match="a fault"):
        asyncio.run(scenario())
    assert at(CONTROL, fake) == "0"


def test_a_page_waits_for_no_pf_that_does_not_answer(tmp_path: Path) -> None:
    """As where the firmware of one is dead: the driver waits five seconds for it, and the others are to be seen."""
    files = NodeFiles(tmp_path)
    for one in (GEN4, SECOND):
        files.add_pf(one)
        add_telemetry(files, one)
    fifo = files.sys / f"kernel/debug/qat_4xxx_{GEN4}/fw_counters"
    fifo.unlink()
    os.mkfifo(fifo)
    live = LiveKernel(str(files.sys), str(files.proc), read_seconds=3.0)

    async def scenario() -> None:
        running = Running(live, tmp_path / "run")
        # The look that first waits for it has read the PF's other files by then: the next one asks it for nothing.
        metrics = await running.metrics_with(f'qat_pf_telemetry_state{{pf="{GEN4}",state="silent"}}')
        assert metrics["qat_exporter_collection_success"] == 1
        assert metrics[f'qat_pf_firmware_requests_total{{acceleration_engine="0",pf="{SECOND}"}}'] == 5
        await running.end()

    (tmp_path / "run").mkdir()
    try:
        with contextlib.closing(live):
            asyncio.run(scenario())
    finally:
        os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))


def test_the_firmware_is_asked_once_in_a_second_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FRESH_SECONDS", 3600.0)
    fake = kernel()
    looks: list[str] = []
    listed = fake.list

    def listing(path: str) -> t.Any:
        looks.append(path)
        return listed(path)

    monkeypatch.setattr(fake, "list", listing)

    async def scenario() -> None:
        running = Running(fake, tmp_path)
        for _ in range(5):
            assert GEN4 in str(await running.metrics())
        assert looks.count("/sys/bus/pci/devices") == 1
        await running.end()

    asyncio.run(scenario())


def test_there_is_time_for_a_page_where_a_device_does_not_answer() -> None:
    assert 2 * command.READ_SECONDS < PAGE_SECONDS < CLIENT_SECONDS


class Refusing(FakeKernel):
    """A kernel that holds up writes to telemetry until `lets_go` is set."""

    lets_go: threading.Event

    def write(self, path: str, value: str, seconds: float) -> None:
        if path == CONTROL:
            self.lets_go.wait()
        super().write(path, value, seconds)


def test_the_first_page_waits_for_no_switch(tmp_path: Path) -> None:
    fake: Fake = Refusing.with_pfs(pf("4xxx", GEN4))
    fake.lets_go = threading.Event()

    async def scenario() -> None:
        running = Running(fake, tmp_path)
        first = await running.exporter._collected()
        assert [one.telemetry.state.value for one in first.pfs] == ["off"]
        fake.lets_go.set()
        await running.metrics_with(f'qat_pf_telemetry_enabled{{pf="{GEN4}"}}')
        await running.end()

    try:
        asyncio.run(scenario())
    finally:
        fake.lets_go.set()


# The command.


def one_that_was_switched_on(files: NodeFiles) -> Path:
    """A PF whose telemetry is in the record; returns its directory."""
    files.add_pf(GEN4)
    (files.root / "run").mkdir(mode=0o700)
    (files.root / "run/telemetry.json").write_text(json.dumps({"switched_on": [GEN4]}))
    return add_telemetry(files, GEN4)


def metrics_of(port: int) -> dict[str, float]:
    """Of a process, once the machine is quick enough."""
    while (found := series(fetch(port, "/metrics")[1]))["qat_exporter_collection_success"] == 0:
        pass
    return found


def test_a_process_serves_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    directory = one_that_was_switched_on(files)
    port = free_port()
    exporter = ExporterProcess(files, f"--metrics-address=127.0.0.1:{port}")
    found = metrics_of(port)
    assert found[f'qat_pf_slice_utilization_ratio{{engine="pke",pf="{GEN4}",slice="0"}}'] == 0.5
    again = ExporterProcess(files, f"--metrics-address=127.0.0.1:{free_port()}")
    said = again.words()
    assert (again.process.returncode, said) == (
        1,
        f"qat-exporter: {files.root / 'run'}: another qat-exporter is running; end it, or name another directory with --run-dir\n",
    )
    exporter.process.terminate()
    said = exporter.words()
    assert exporter.process.returncode == 0, said
    assert (directory / "control").read_text() == "0\n"


def test_after_a_kill_the_record_is_enough_to_switch_off(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    directory = one_that_was_switched_on(files)
    port = free_port()
    exporter = ExporterProcess(files, f"--metrics-address=127.0.0.1:{port}")
    metrics_of(port)
    exporter.close()
    assert (directory / "control").read_text() == "1\n"
    assert command.main([*arguments(files), "--switch-off"]) == 0
    assert (directory / "control").read_text() == "0\n"
    assert command.main([*arguments(files), "--switch-off"]) == 0


def test_what_cannot_be_switched_off_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = NodeFiles(tmp_path)
    one_that_was_switched_on(files)

    def refuses(*_arguments: t.Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qat_device_plugin.exporter.switches.switch_telemetry", refuses)
        assert command.main([*arguments(files), "--switch-off"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"qat-exporter: telemetry stays on: {GEN4}; see the log above, and switch it off in debugfs"


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("--metrics-address=", "without an address nothing is served"),
        ("--metrics-address=9483", "'9483' is not HOST:PORT, such as 127.0.0.1:9482"),
        ("--telemetry=often", "invalid choice: 'often'"),
        ("--sysfs-root=", "the path is empty"),
    ],
)
def test_wrong_settings(flag: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main([flag])
    assert caught.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_directory_of_others_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o777)
    assert command.main([f"--run-dir={tmp_path}"]) == 1
    assert "others can write to the directory of the lock" in capsys.readouterr().err


def test_a_link_in_the_place_of_the_lock_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is never the file that it leads to, which would be looked for without end."""
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    (run / "lock").symlink_to(tmp_path / "elsewhere")
    assert command.main([f"--run-dir={run}"]) == 1
    assert capsys.readouterr().err == f"qat-exporter: {run / 'lock'}: {os.strerror(errno.ELOOP)}\n"
    assert not (tmp_path / "elsewhere").exists()
