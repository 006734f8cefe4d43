# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process takes over from another while pods are made without pause."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import signal
import socket
import typing as t

import pytest
from harness.kubelet import AdmissionError, AdmittingKubelet
from harness.process import MARK, Plugin, fetch, free_port, listens, processes_with
from qat_device_plugin import handover
from qat_device_plugin.handover import Reception, Reporter, _outcome

if t.TYPE_CHECKING:
    from pathlib import Path

    from harness.bench import Bench, Scenario
    from harness.process import Reload
    from qat_device_plugin.handover import Line

Run = t.Callable[["Scenario"], None]

CY = "qat.intel.com/cy"
PF = "0000:6b:00.0"

SLOW = "import time, runpy; time.sleep(2); runpy.run_module('qat_device_plugin', run_name='__main__')"
LACKS = """\
import errno, sys
from qat_device_plugin import cli, succession, systemd
def lacks(*_arguments):
    raise OSError(errno.EAGAIN, "not now")
{lack}
sys.exit(cli.main())
"""
CRASHES = """\
import os, signal, sys
from qat_device_plugin import cli, service
service.Service._first_scan = lambda self: {crash}
sys.exit(cli.main())
"""


async def ended(bench: Bench, reload: Reload) -> tuple[int, str]:
    """Its exit code, and what it and the process that it started have said."""
    await bench.kubelet.until(
        lambda: all(one.notices() for one in bench.plugins) and reload.process.poll() is not None, 300
    )
    return reload.process.returncode, reload.log.read_text()


async def bench_kubelet(bench: Bench, release: int = 37) -> AdmittingKubelet:
    """A kubelet, on a node with a PF."""
    bench.files.add_pf(PF)
    kubelet = bench.kubelet = AdmittingKubelet(bench.kubelet_dir, release)
    await kubelet.start()
    return kubelet


async def serving(bench: Bench, release: int, *flags: str) -> tuple[AdmittingKubelet, Plugin]:
    kubelet = await bench_kubelet(bench, release)
    plugin = bench.start(*flags)
    await bench.ready(CY, 16)
    await kubelet.until(plugin.is_ready)
    return kubelet, plugin


class Admissions:
    """Pods made without pause, and how many of them were refused."""

    def __init__(self, kubelet: AdmittingKubelet) -> None:
        self._kubelet = kubelet
        self._task = asyncio.ensure_future(self._make())
        self.refused: list[str] = []

    async def _make(self) -> None:
        while True:
            try:
                await self._kubelet.admit(CY)
            except AdmissionError as error:
                self.refused.append(str(error))
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


def has_ended(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("program", [("-m", "qat_device_plugin"), ("-c", SLOW)], ids=["as it is", "slow"])
def test_no_pod_is_refused_while_another_process_takes_over(run: Run, program: tuple[str, str]) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        admissions = Admissions(kubelet)
        for _ in range(3):
            before = plugin.main_pid
            assert (await ended(bench, plugin.reload(program=program)))[0] == 0
            assert plugin.main_pid != before
            await kubelet.until(functools.partial(has_ended, before))
            await kubelet.until(plugin.is_ready)
        await admissions.stop()
        assert admissions.refused == []
        assert kubelet.admitted > 20
        assert len(list(bench.kubelet_dir.glob("accel-qat-*"))) == 1
        assert len(list((bench.files.root / "run").glob("*.sock"))) == 1
        assert not any(message == "STOPPING=1" for message in plugin.notices())

    run(scenario)


def test_before_1_37_the_gap_is_that_of_a_registration(run: Run) -> None:
    """The end of the old stream closes the new one; the plugin has none of its pauses then."""

    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 36)
        gaps = []
        for number in range(3):
            assert (await ended(bench, plugin.reload()))[0] == 0
            await bench.ready(CY, 16)
            assert len(kubelet.registrations) == 3 * (number + 1) - number
            gaps.append(kubelet.registrations[-1][0] - kubelet.gone_at)
            await kubelet.until(plugin.is_ready)
            await kubelet.admit(CY)
        assert min(gaps) < 0.4  # some milliseconds where nothing else runs; a pause would be in each

    run(scenario)


def test_a_kubelet_that_replaces_the_first_stream_sees_no_fight_about_it(run: Run) -> None:
    """As kubelets up to 1.24 end the old stream when the new one registers."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        plugin = bench.start()
        await bench.ready(CY, 16)
        await bench.kubelet.until(plugin.is_ready)
        assert (await ended(bench, plugin.reload()))[0] == 0
        assert len(bench.kubelet.devices(CY)) == 16
        assert len(bench.kubelet.registrations) == 2

    run(scenario)


def test_takes_over_where_kubelet_finds_the_sockets(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        registry = bench.kubelet_dir.parent / "plugins_registry"
        registry.mkdir()
        kubelet = bench.kubelet = AdmittingKubelet(bench.kubelet_dir, 37)
        watcher = asyncio.ensure_future(kubelet.watch_registry(registry))
        plugin = bench.start("--registration=watcher")
        await bench.ready(CY, 16)
        await kubelet.until(plugin.is_ready)
        admissions = Admissions(kubelet)
        assert (await ended(bench, plugin.reload()))[0] == 0
        await admissions.stop()
        watcher.cancel()
        assert admissions.refused == []
        assert len(list(registry.iterdir())) == 1

    run(scenario)


def test_takes_over_while_kubelet_is_away(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        await kubelet.stop()
        await kubelet.until(lambda: not plugin.is_ready())
        assert (await ended(bench, plugin.reload()))[0] == 0
        await kubelet.start()
        await bench.ready(CY, 16)

    run(scenario)


def test_the_successor_is_what_the_predecessor_was_to_systemd(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        port = free_port()
        plugin = bench.start(f"--metrics-address=127.0.0.1:{port}", watchdog=0.6)
        await bench.ready(CY, 16)
        await bench.kubelet.until(plugin.is_ready)
        assert (await ended(bench, plugin.reload()))[0] == 0
        notices = plugin.notices()
        after = notices[notices.index(f"MAINPID={plugin.main_pid}") :]
        assert "READY=1" in after
        count = len(plugin.notices())
        await bench.kubelet.until(lambda: plugin.notices()[count:].count("WATCHDOG=1") >= 3)
        page = await asyncio.get_running_loop().run_in_executor(None, fetch, port, "/readyz")
        assert page == (200, "ok\n")
        os.kill(plugin.main_pid, signal.SIGTERM)
        await bench.kubelet.until(lambda: has_ended(plugin.main_pid))
        assert plugin.notices().count("STOPPING=1") == 1
        assert not listens(port)
        assert [path.name for path in bench.kubelet_dir.iterdir()] == ["kubelet.sock"]

    run(scenario)


@pytest.mark.parametrize(
    ("crash", "code", "words"),
    [
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, "it ended without a word"),
        ("os._exit(3)", 1, "it ended without a word"),
    ],
)
def test_one_that_does_not_come_up_leaves_the_old_one_in_charge(run: Run, crash: str, code: int, words: str) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        admissions = Admissions(kubelet)
        reload = plugin.reload(program=("-c", CRASHES.format(crash=crash)))
        found, said = await ended(bench, reload)
        assert found == code
        assert f"qat-device-plugin: {words}; the instance before it goes on\n" in said
        await admissions.stop()
        assert admissions.refused == []
        assert plugin.main_pid == plugin.process.pid
        assert plugin.process.poll() is None
        # It looks and registers as before.
        bench.files.bind("0000:6b:00.1", None)
        await kubelet.until(lambda: "Unhealthy" in kubelet.devices(CY).values())
        await kubelet.restart()
        await bench.ready(CY, 16)

    run(scenario)


def test_one_with_a_wrong_configuration_or_setting_leaves_the_old_one_in_charge(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        _kubelet, plugin = await serving(bench, 37)
        code, said = await ended(bench, plugin.reload("--period=never"))
        assert (code, "'never' is not a number of seconds" in said) == (2, True)
        bench.files.config.write_text("{")
        code, said = await ended(bench, plugin.reload())
        assert (code, str(bench.files.config) in said) == (2, True)
        assert plugin.process.poll() is None

    run(scenario)


def test_one_whose_list_kubelet_does_not_want_leaves_the_old_one_in_charge(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        kubelet.refusals = 1000
        program = (
            "from qat_device_plugin import cli, succession; succession.SECONDS = 1.0; import sys; sys.exit(cli.main())"
        )
        code, said = await ended(bench, plugin.reload(program=("-c", program)))
        assert code == 1
        assert (
            "kubelet has not taken it within 1 seconds: qat.intel.com/cy: 16 of 16 VFs healthy, not registered" in said
        )
        assert "requested API version is not supported by kubelet" in said
        kubelet.refusals = 0
        await kubelet.admit(CY)
        assert len(list(bench.kubelet_dir.glob("accel-qat-*"))) == 1

    run(scenario)


def test_whoever_asks_for_a_reload_can_be_killed(run: Run) -> None:
    """The process that would have taken over goes, too: nobody would report it to systemd."""

    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        kubelet.refusals = 1000
        reload = plugin.reload()
        await kubelet.until(lambda: "another process is about to take over" in plugin.log.read_text())
        reload.process.kill()
        await ended(bench, reload)
        await kubelet.until(lambda: "has not taken over; this one goes on" in plugin.log.read_text())
        kubelet.refusals = 0
        await kubelet.admit(CY)
        assert (await ended(bench, plugin.reload()))[0] == 0

    run(scenario)


def test_a_successor_that_cannot_be_let_in_is_let_in_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of descriptors; meanwhile the loop serves kubelet, rather than try again without pause."""
    tries: list[object] = []

    def refuse(one: socket.socket) -> t.NoReturn:
        tries.append(one)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def scenario() -> None:
        served = asyncio.Event()

        async def serve(_line: Line) -> None:
            served.set()

        reception = Reception(tmp_path / "1.sock", serve)
        reception.open()
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with monkeypatch.context() as patched, contextlib.closing(client):
            patched.setattr(handover, "_REST_SECONDS", 3600.0)
            patched.setattr(socket.socket, "accept", refuse)
            client.connect(str(tmp_path / "1.sock"))
            while not tries:
                await asyncio.sleep(0.01)
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert len(tries) == 1
            patched.undo()
            reception._watch()
            await served.wait()
        reception.close()
        reception._watch()

    asyncio.run(asyncio.wait_for(scenario(), 600))


@pytest.mark.parametrize(
    "lack",
    [
        "succession.KernelThread = type('Lacking', (), {'__init__': lambda *_: None, 'run': lacks})",
        "systemd.os.pipe = lacks",
    ],
    ids=["threads", "descriptors"],
)
def test_what_the_old_one_lacks_to_hand_over_has_it_go_on(run: Run, lack: str) -> None:
    """It looks at nothing while another one is about to take over, and would have done so for ever."""

    async def scenario(bench: Bench) -> None:
        kubelet = await bench_kubelet(bench)
        program = LACKS.format(lack=lack)
        plugin = Plugin(bench.files, bench.kubelet_dir, program=("-c", program))
        bench.plugins.append(plugin)
        await kubelet.until(plugin.is_ready)
        code, said = await ended(bench, plugin.reload())
        assert (code, "does not hand over: systemd cannot be notified: not now; the instance" in said) == (1, True)
        await kubelet.until(lambda: "has not taken over; this one goes on" in plugin.log.read_text())
        (vf, *_others) = kubelet.devices(CY)
        bench.files.bind(vf, None)
        await kubelet.until(lambda: kubelet.unhealthy(CY) == {vf})
        await kubelet.admit(CY)

    run(scenario)


def test_the_death_of_the_old_one_is_no_obstacle(run: Run) -> None:
    """The new one has the lock already, and nobody else can get it in between."""

    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        third = bench.start()
        await kubelet.until(lambda: "another instance serves here" in third.log.read_text())
        kubelet.refusals = 1000
        reload = plugin.reload()
        await kubelet.until(lambda: "another process is about to take over" in plugin.log.read_text())
        await kubelet.until(lambda: kubelet.refusals < 1000)
        plugin.process.kill()
        kubelet.refusals = 0
        assert (await ended(bench, reload))[0] == 0
        await bench.ready(CY, 16)
        assert not any(message.startswith("STATUS=ready") for message in third.notices())
        await kubelet.until(lambda: len(list(bench.kubelet_dir.glob("accel-qat-*"))) == 1)
        sockets = (bench.files.root / "run").glob("*.sock")
        (successor,) = [
            int(path.stem) for path in sockets if int(path.stem) not in (third.process.pid, plugin.process.pid)
        ]
        os.kill(successor, signal.SIGKILL)
        await kubelet.until(third.is_ready)

    run(scenario)


def test_one_process_at_a_time_takes_over(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        kubelet.refusals = 1000
        first = plugin.reload()
        await kubelet.until(lambda: "another process is about to take over" in plugin.log.read_text())
        code, said = await ended(bench, plugin.reload())
        assert (code, "does not hand over: another process takes over" in said) == (1, True)
        kubelet.refusals = 0
        assert (await ended(bench, first))[0] == 0

    run(scenario)


def test_the_end_of_the_service_ends_a_reload(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        kubelet.refusals = 1000
        reload = plugin.reload()
        await kubelet.until(lambda: "another process is about to take over" in plugin.log.read_text())
        plugin.stop()
        code, said = await ended(bench, reload)
        assert (code, "does not hand over: it is stopping" in said) == (1, True)
        await kubelet.until(lambda: [path.name for path in bench.kubelet_dir.iterdir()] == ["kubelet.sock"])

    run(scenario)


def test_nobody_to_take_over_from(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        _kubelet, plugin = await serving(bench, 37)
        plugin.stop()
        code, said = await ended(bench, plugin.reload())
        assert (code, "no instance is there to take over from" in said) == (1, True)

    run(scenario)


def test_what_others_say_at_the_door_harms_nobody(run: Run) -> None:
    """Only root comes in there, but a process of root can be any."""

    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        (door,) = (bench.files.root / "run").glob("*.sock")
        for message in (b"", b"{}", b"[]", b'{"serves": 1}', b"\xff", b"[" * 60000, b"x" * 60000):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
                line.connect(str(door))
                line.settimeout(120)
                assert b'"watchdog"' in line.recv(65536)
                with contextlib.suppress(OSError):
                    line.send(message)
                    line.recv(65536)
        assert (await ended(bench, plugin.reload()))[0] == 0
        await kubelet.admit(CY)

    run(scenario)


def test_what_the_other_process_has_said_is_printed_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    assert Reporter(theirs).failed("ValueError: \x1b[2J\nof others")
    with ours:
        assert _outcome(ours) == 1
    said = capsys.readouterr().err
    assert said == "qat-device-plugin: ValueError: \\x1b[2J\\x0aof others; the instance before it goes on\n"


def test_the_harness_leaves_no_process_of_a_hand_over_that_was_cut_off(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        plugin.reload(program=("-c", SLOW))
        await kubelet.until(lambda: len(processes_of(plugin)) > before)
        plugin.close()
        bench.plugins.remove(plugin)
        assert processes_of(plugin) == []

    before = 2  # one that serves, and its child
    run(scenario)


def processes_of(plugin: Plugin) -> list[int]:
    return processes_with(f"{MARK}={plugin.mark}")


IMPATIENT = "import sys; from qat_device_plugin import cli, handover; handover.SECONDS = 1.0; sys.exit(cli.main())"


def test_a_process_that_does_not_answer_is_not_waited_for_without_end(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, plugin = await serving(bench, 37)
        os.kill(plugin.main_pid, signal.SIGSTOP)
        try:
            code, said = await ended(bench, plugin.reload(program=("-c", IMPATIENT)))
        finally:
            os.kill(plugin.main_pid, signal.SIGCONT)
        assert (code, "the instance that serves does not answer" in said) == (1, True)
        await kubelet.until(lambda: len(processes_of(plugin)) == 2)
        await kubelet.admit(CY)

    run(scenario)


def test_what_killed_processes_have_left_to_find_them_is_removed(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        """By whether somebody listens: a process of another PID namespace has an id that says nothing here."""
        left = bench.files.root / "run" / "1.sock"
        left.parent.mkdir(mode=0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
            dead.bind(str(left))
        other = left.with_name("other.sock")
        other.touch()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as living:
            door = left.with_name(f"{2**22 + 1}.sock")  # more than there can be
            living.bind(str(door))
            living.listen(1)
            living.setblocking(False)
            await serving(bench, 37)
            assert not left.exists()
            assert other.exists()
            assert door.exists()
            with pytest.raises(BlockingIOError):
                living.accept()

    run(scenario)
