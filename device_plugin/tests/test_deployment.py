# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances in pods, which take over from each other, and another deployment that comes to a node that has one."""

from __future__ import annotations

import asyncio
import errno
import functools
import json
import os
import shutil
import signal
import typing as t
from pathlib import Path

import pytest
from harness.kubelet import AdmissionError, AdmittingKubelet
from harness.process import fetch, free_port
from qat_device_plugin import handover
from qat_device_plugin import sockets as sockets_module
from qat_device_plugin._node.errors import NodeError
from qat_device_plugin.deployment import DAEMONSET, SERVICE, Holder, OtherDeployment, holder_of, takes_over
from qat_device_plugin.registration import _refuse_lost
from qat_device_plugin.settings import parse_settings
from qat_device_plugin.sockets import InstanceLock, _lock_name, make_private
from qat_device_plugin.succession import Succession
from qat_device_plugin.systemd import Systemd

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario
    from harness.process import Plugin

Run = t.Callable[["Scenario"], None]

CY = "qat.intel.com/cy"
PF = "0000:6b:00.0"


class Ready:
    """A service that has nothing to offer, as a succession needs it."""

    def registered(self) -> list[str]:
        return []

    def serves(self, _wanted: frozenset[str]) -> bool:
        return True

    def summary(self) -> str:
        return ""

    def hold(self, on: bool) -> None:
        pass

    async def leave(self) -> None:
        pass


def pod(name: str, *flags: str) -> tuple[str, ...]:
    """The flags of an instance in a pod. Its container may start again under the same name."""
    return ("--deployment=daemonset", f"--instance={name}", *flags)


async def serving(bench: Bench, *flags: str, release: int = 37) -> tuple[AdmittingKubelet, Plugin]:
    bench.files.add_pf(PF)
    kubelet = bench.kubelet = AdmittingKubelet(bench.kubelet_dir, release)
    await kubelet.start()
    plugin = bench.start(*flags)
    await kubelet.until(plugin.is_ready)
    return kubelet, plugin


def says(plugin: Plugin, words: str) -> t.Callable[[], bool]:
    return lambda: words in plugin.log.read_text()


async def page(port: int, path: str) -> tuple[int, str]:
    return await asyncio.get_running_loop().run_in_executor(None, fetch, port, path)


def run_dir(bench: Bench) -> Path:
    return bench.files.root / "run"


def signature(bench: Bench) -> Holder:
    (lock,) = run_dir(bench).glob("*.lock")
    holder = holder_of(lock.read_text())
    assert holder
    return holder


def sockets(bench: Bench) -> int:
    return len(list(bench.kubelet_dir.glob("accel-qat-*")))


# Pods.


def test_no_pod_is_refused_while_another_pod_takes_over(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        ports = [free_port(), free_port()]
        kubelet, first = await serving(bench, *pod("first", f"--metrics-address=127.0.0.1:{ports[0]}"))
        # The plugin is ready once it has sent its list, which kubelet may not have read yet.
        await kubelet.until(lambda: "Healthy" in kubelet.known.get(CY, {}).values())
        refused: list[str] = []

        async def admit() -> None:
            while True:
                try:
                    await kubelet.admit(CY)
                except AdmissionError as error:
                    refused.append(str(error))
                await asyncio.sleep(0.002)

        admissions = asyncio.ensure_future(admit())
        second = bench.start(*pod("second", f"--metrics-address=127.0.0.1:{ports[1]}"))
        await kubelet.until(says(second, "has taken over"))
        await kubelet.until(second.is_ready)
        await kubelet.until(lambda: sockets(bench) == 1)
        # Kubelet would start it again if it ended; the controller removes it, as it is not ready.
        assert first.process.poll() is None
        assert (await page(ports[0], "/healthz"))[0] == 200
        assert await page(ports[0], "/readyz") == (503, "another process has taken over\n")
        metrics = (await page(ports[0], "/metrics"))[1]
        assert "qat_device_plugin_vfs{" not in metrics
        assert (await page(ports[1], "/readyz"))[0] == 200
        first.stop()
        await second.goes_on()
        await kubelet.admit(CY)
        admissions.cancel()
        await asyncio.wait([admissions])
        assert refused == []
        assert len(kubelet.registrations) == 2
        # The second sees events and registers again as if it had been the first.
        await kubelet.restart()
        await bench.ready(CY, 16)

    run(scenario)


def test_a_pod_that_has_handed_over_and_starts_again_does_not_take_back(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *pod("first"))
        second = bench.start(*pod("second"))
        await kubelet.until(second.is_ready)
        await kubelet.until(says(first, "this one does nothing until it is ended"))
        first.process.kill()
        again = bench.start(*pod("first"))
        await kubelet.until(says(again, "another instance serves here; waiting for its end"))
        assert signature(bench).instance == "second"
        await kubelet.admit(CY)
        # Of the two it is the one that is there when the other has gone for good.
        second.stop()
        await kubelet.until(again.is_ready)
        assert signature(bench).instance == "first"

    run(scenario)


def test_the_death_of_the_pod_that_has_taken_over_has_the_other_begin_again(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *pod("first"))
        second = bench.start(*pod("second"))
        await kubelet.until(says(first, "this one does nothing until it is ended"))
        await kubelet.until(second.is_ready)
        second.process.kill()
        await kubelet.until(lambda: first.process.poll() is not None)
        assert first.process.returncode == 0
        assert "has gone; this one ends, to be started again" in first.log.read_text()
        again = bench.start(*pod("first"))
        await kubelet.until(again.is_ready)
        await kubelet.until(lambda: sockets(bench) == 1)

    run(scenario)


def test_whichever_of_two_pods_begins_again_first_the_later_one_serves(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *pod("first"))
        second = bench.start(*pod("second"))
        await kubelet.until(says(first, "this one does nothing until it is ended"))
        await kubelet.until(second.is_ready)
        second.process.kill()
        await kubelet.until(lambda: first.process.poll() is not None)
        later = bench.start(*pod("second"))
        await kubelet.until(later.is_ready)
        assert signature(bench).former == ("first",)
        again = bench.start(*pod("first"))
        await kubelet.until(says(again, "another instance serves here; waiting for its end"))
        await later.goes_on()
        assert signature(bench).instance == "second"

    run(scenario)


def test_a_pod_that_is_ended_while_another_takes_over_leaves_that_one_in_charge(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *pod("first"))
        kubelet.refusals = 1000
        second = bench.start(*pod("second"))
        await kubelet.until(says(first, "another process is about to take over"))
        first.stop()
        kubelet.refusals = 0
        await kubelet.until(second.is_ready)
        await kubelet.until(lambda: signature(bench).instance == "second")
        await kubelet.until(functools.partial(has_healthy, kubelet))
        await kubelet.admit(CY)

    run(scenario)


def test_a_pod_that_sees_no_vf_does_not_take_over_from_one_that_has_offered_some(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *pod("first"))
        bench.files.remove_vfs(PF)
        second = bench.start(*pod("second"))
        await kubelet.until(says(first, "another process is about to take over"))
        await kubelet.until(says(second, "PF has no VFs"))
        await second.goes_on()
        assert signature(bench).instance == "first"
        bench.files.create_vfs(PF, 16)
        await kubelet.until(says(second, "has taken over"))
        await kubelet.until(functools.partial(has_healthy, kubelet))

    run(scenario)


def test_a_pod_that_does_not_come_up_leaves_the_other_in_charge(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *pod("first"))
        kubelet.refusals = 1000
        second = bench.start(*pod("second"))
        await kubelet.until(says(first, "another process is about to take over"))
        second.process.kill()
        await kubelet.until(says(first, "has not taken over; this one goes on"))
        kubelet.refusals = 0
        await kubelet.admit(CY)
        assert signature(bench).instance == "first"
        third = bench.start(*pod("third"))
        await kubelet.until(third.is_ready)
        assert signature(bench).former == ("first",)

    run(scenario)


def test_a_container_that_starts_again_needs_nobody(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *pod("first"))
        first.process.kill()
        first.process.wait()
        again = bench.start(*pod("first"))
        await kubelet.until(again.is_ready)
        assert len(list(run_dir(bench).glob("*.sock"))) == 1

    run(scenario)


def test_a_pod_that_waits_to_meet_another_ends_when_asked(run: Run) -> None:
    """The other's process does not answer."""

    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *pod("first"))
        os.kill(first.main_pid, signal.SIGSTOP)
        try:
            second = bench.start(*pod("second"))
            await kubelet.until(lambda: second.process.poll() is not None)
        finally:
            os.kill(first.main_pid, signal.SIGCONT)
        assert second.process.returncode == 1
        assert "the instance that serves does not answer" in second.log.read_text()
        await kubelet.until(functools.partial(has_healthy, kubelet))

    run(scenario)


def has_healthy(kubelet: AdmittingKubelet) -> bool:
    return "Healthy" in kubelet.known[CY].values()


# Two deployments.


@pytest.mark.parametrize(
    ("there", "comes", "words"),
    [
        ((), pod("one"), "is a service of the host already, and a pod of a DaemonSet cannot run beside it"),
        (pod("one"), (), "is a pod of a DaemonSet already, and a service of the host cannot run beside it"),
    ],
    ids=["a pod", "a service"],
)
def test_the_second_deployment_ends_with_one_sentence(
    run: Run, there: tuple[str, ...], comes: tuple[str, ...], words: str
) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, _first = await serving(bench, *there)
        second = bench.start(*comes)
        await kubelet.until(lambda: second.process.poll() is not None)
        assert second.process.returncode == 2
        said = second.log.read_text()
        assert words in said
        assert "qat_device_plugin_deploy" in said
        assert len(said.splitlines()) == 1
        await kubelet.admit(CY)
        assert len(kubelet.registrations) == 1

    run(scenario)


def test_the_second_deployment_is_seen_where_a_symbolic_link_is_none_for_it(run: Run) -> None:
    """As for a pod, which has a mount at the place of the link: its directory is another one by its name."""

    async def scenario(bench: Bench) -> None:
        kubelet, _first = await serving(bench)
        elsewhere = bench.files.root / "elsewhere"
        elsewhere.mkdir()
        second = bench.start(*pod("one", f"--kubelet-dir={elsewhere}"))
        await kubelet.until(lambda: second.process.poll() is not None)
        assert second.process.returncode == 2
        assert (
            "is a service of the host already, and a pod of a DaemonSet cannot run beside it" in second.log.read_text()
        )
        await kubelet.admit(CY)

    run(scenario)


@pytest.mark.parametrize(("before", "after"), [((), pod("one")), (pod("one"), ())], ids=["to a pod", "to a service"])
@pytest.mark.parametrize("release", [36, 37])
def test_the_deployment_that_is_expected_takes_over(
    run: Run, before: tuple[str, ...], after: tuple[str, ...], release: int
) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, *before, release=release)
        expected = run_dir(bench) / "next"
        expected.write_text(f"{DAEMONSET if after else SERVICE}\n")
        second = bench.start(*after)
        await kubelet.until(says(second, "has taken over"))
        await kubelet.until(second.is_ready)
        assert not expected.exists()
        # systemd would start it again if it ended, and has no other main process of this unit.
        assert first.process.poll() is None
        assert not any(message.startswith("MAINPID=") for message in first.notices())
        assert first.notices()[-1] == "STATUS=not ready; another process has taken over"
        first.stop()
        # Before 1.37 the end of the old stream closes the new one.
        await kubelet.until(lambda: len(kubelet.registrations) == (2 if release == 37 else 3))
        await kubelet.until(lambda: second.is_ready() and has_healthy(kubelet))
        await kubelet.admit(CY)

    run(scenario)


def test_a_service_that_was_taken_over_keeps_its_watchdog_quiet(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF)
        await bench.kubelet.start()
        first = bench.start(watchdog=0.6)
        await bench.kubelet.until(first.is_ready)
        (run_dir(bench) / "next").write_text(DAEMONSET)
        second = bench.start(*pod("one"))
        await bench.kubelet.until(second.is_ready)
        count = len(first.notices())
        await bench.kubelet.until(lambda: first.notices()[count:].count("WATCHDOG=1") >= 3)

    run(scenario)


def test_a_service_is_reloaded_as_before_and_never_taken_over_by_a_second_start(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench)
        second = bench.start()
        await kubelet.until(says(second, "another instance serves here; waiting for its end"))
        reload = first.reload()
        await kubelet.until(lambda: bool(first.notices()) and reload.process.poll() is not None)
        assert reload.process.returncode == 0, reload.log.read_text()
        assert signature(bench) == Holder(SERVICE, f"{first.main_pid}.sock")

    run(scenario)


# What is written of the one that serves.


def test_what_is_written_of_it_is_read_again() -> None:
    holder = Holder(DAEMONSET, "abc.sock", "uid", ("older", "old"))
    assert holder_of(holder.text()) == holder
    after = holder.followed_by(SERVICE, "7.sock", "")
    assert after == Holder(SERVICE, "7.sock", "", ("older", "old", "uid"))
    many = functools.reduce(lambda one, number: one.followed_by(DAEMONSET, "a.sock", str(number)), range(99), holder)
    assert many.former[-1] == "97"
    assert len(many.text()) < 4096


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "[" * 4096,
        json.dumps({"deployment": "daemonset", "door": "../a.sock", "instance": "", "former": []}),
        json.dumps({"deployment": "daemonset", "door": "a", "instance": "", "former": []}),
        json.dumps({"deployment": "other", "door": "a.sock", "instance": "", "former": []}),
        json.dumps({"deployment": "daemonset", "door": "a.sock", "instance": 1, "former": []}),
        json.dumps({"deployment": "daemonset", "door": "a.sock", "instance": "", "former": [1]}),
        json.dumps({"deployment": "daemonset", "door": "a.sock", "instance": "x" * 129, "former": []}),
    ],
)
def test_what_is_not_such_a_text_says_nothing(text: str) -> None:
    assert holder_of(text) is None


def test_who_takes_over_from_whom() -> None:
    there = Holder(DAEMONSET, "a.sock", "second", ("first",))
    assert takes_over(there, DAEMONSET, "third", "", "/run")
    assert not takes_over(there, DAEMONSET, "second", "", "/run")
    assert not takes_over(there, DAEMONSET, "first", "", "/run")
    assert takes_over(there, SERVICE, "", SERVICE, "/run")
    assert not takes_over(Holder(SERVICE, "7.sock"), SERVICE, "", SERVICE, "/run")
    for expected in ("", DAEMONSET, "x"):
        with pytest.raises(OtherDeployment):
            takes_over(there, SERVICE, "", expected, "/run")


# What differs in a container.


def test_a_predecessor_of_another_pid_namespace_is_known_by_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has 0 for a process that cannot be seen from here."""

    async def ask(path: Path, pid: int | None) -> None:
        estate: dict[str, t.Any] = {"directory": "/d", "registered": [], "notify": "", "watchdog": None}

        async def serve(line: handover.Line) -> None:
            lock = os.open(tmp_path, os.O_RDONLY)
            line.send(estate, lock)
            os.close(lock)
            await asyncio.get_running_loop().create_future()

        reception = handover.Reception(path, serve)
        reception.open()
        predecessor = handover.Predecessor(path, pid)
        try:
            os.close((await predecessor.ask()).lock)
        finally:
            predecessor.close()
            reception.close()

    path = tmp_path / "a.sock"
    monkeypatch.setattr(handover.Line, "peer", lambda _line: (0, os.geteuid()))
    asyncio.run(ask(path, None))
    with pytest.raises(NodeError, match="the socket is not of process 7"):
        asyncio.run(ask(path, 7))


def test_a_directory_that_kubelet_has_made_for_a_pod_becomes_private(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir(mode=0o755)
    made.chmod(0o755)
    make_private(made)
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o757)
    with pytest.raises(NodeError, match="others can write"):
        make_private(made)


def test_a_directory_that_cannot_become_private_is_refused_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a mount that is read-only."""

    def chmod(_path: Path, _mode: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", chmod)
    with pytest.raises(NodeError, match="cannot be made: Read-only file system; name another directory"):
        make_private(tmp_path)
    monkeypatch.undo()


@pytest.mark.parametrize("what", ["file", "directory", "mount"])
def test_a_lock_whose_file_was_removed_is_had_again_or_is_anothers(tmp_path: Path, what: str) -> None:
    """As where somebody has tidied up /run, or mounted another one: two would register by turns, each with a lock of its own."""
    run_dir, taken = tmp_path / "run", []
    first = InstanceLock(run_dir, tmp_path / "k", lambda: taken.append(1))
    second = InstanceLock(run_dir, tmp_path / "k", lambda: taken.append(2))

    def remove() -> None:
        if what == "directory":
            shutil.rmtree(run_dir)
        elif what == "mount":
            run_dir.rename(tmp_path / f"under {len(taken)}")  # where the file still has its name
        else:
            next(run_dir.glob("*.lock")).unlink()

    assert first.held()
    remove()
    assert first.held()
    assert not second.held()
    remove()
    assert second.held()
    assert not first.held()
    assert first.is_of_another
    second.release()
    assert first.held()
    assert taken == [1, 1, 2, 1]


def test_a_lock_that_cannot_be_had_again_counts_as_before(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path / "run", tmp_path / "k")
    assert lock.held()
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").symlink_to("nowhere/run")
    assert lock.held()
    assert lock.share() is not None


def test_a_lock_of_which_it_is_not_known_whether_its_file_was_removed_counts_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unseen(_path: str, _descriptor: int) -> t.NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    taken: list[int] = []
    lock = InstanceLock(tmp_path / "run", tmp_path / "k", lambda: taken.append(1))
    assert lock.held()
    monkeypatch.setattr(sockets_module, "is_still_at", unseen)
    assert lock.held()
    assert taken == [1]


@pytest.mark.parametrize("comes_up", [True, False])
def test_a_lock_whose_file_was_removed_during_a_take_over_leaves_what_allows_that(
    tmp_path: Path, comes_up: bool
) -> None:
    """Whoever takes over has the lock of another file then. Where it does not come up, it is to take over when it starts again."""
    run_dir = tmp_path / "run"
    expected = run_dir / "next"

    def succession(*flags: str) -> Succession:
        settings = parse_settings([f"--run-dir={run_dir}", f"--kubelet-dir={tmp_path}", *flags], {})
        return Succession(settings, Systemd({}), handover.Reporter(), Ready(), asyncio.Event())

    async def scenario() -> None:
        first, second = succession(), succession(*pod("one"))
        assert first.lock.held()
        first.open()
        expected.write_text(f"{DAEMONSET}\n")
        await second.meet()
        assert second.has_predecessor
        next(run_dir.glob("*.lock")).unlink()
        assert second.lock.held()
        assert expected.exists()
        predecessor = second._predecessor
        assert predecessor
        if comes_up:
            await second.take_over()
        else:
            predecessor.close()
            second.lock.release()
            while first.has_successor:
                await asyncio.sleep(0.01)
            assert first.lock.held()
        holder = holder_of(first.lock.signature())
        assert holder
        assert holder.deployment == (DAEMONSET if comes_up else SERVICE)
        assert expected.exists() == (not comes_up)
        predecessor.close()
        first.close()

    asyncio.run(asyncio.wait_for(scenario(), 600))


def test_a_lock_whose_file_was_removed_is_had_again_before_another_comes(run: Run) -> None:
    """A pod of a DaemonSet would find the node free beside the service."""

    async def scenario(bench: Bench) -> None:
        kubelet, first = await serving(bench, "--period=0.1")
        door = signature(bench).door
        next(run_dir(bench).glob("*.lock")).unlink()
        await kubelet.until(lambda: any(path.read_text() for path in run_dir(bench).glob("*.lock")))
        assert signature(bench).door == door
        second = bench.start(*pod("one"))
        await kubelet.until(lambda: second.process.poll() is not None)
        assert "is a service of the host already" in second.log.read_text()
        await first.goes_on()

    run(scenario)


def test_a_fifo_in_the_place_of_a_lock_is_not_waited_for_and_says_nothing(tmp_path: Path) -> None:
    """Who has the lock has it open to write, so that a reader gets neither words nor an end."""
    run_dir, said = tmp_path / "run", []
    run_dir.mkdir(mode=0o700)
    os.mkfifo(run_dir / _lock_name(tmp_path / "k"))
    lock = InstanceLock(run_dir, tmp_path / "k", lambda: said.append(lock.signature()))
    assert lock.held()
    assert said == [""]


def test_a_mount_of_a_directory_that_was_removed_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "device-plugins"
    directory.mkdir()
    descriptor = os.open(directory, os.O_PATH)
    try:
        directory.rmdir()
        with pytest.raises(NodeError, match="the directory was removed"):
            _refuse_lost(Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)


# VFs that the host has not made.


def test_a_pf_without_vfs_is_reported_in_the_log_and_by_a_metric(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF, vfs=0)
        (bench.files.devices / PF / "sriov_totalvfs").write_text("16\n")
        await bench.kubelet.start()
        port = free_port()
        plugin = bench.start(*pod("one", f"--metrics-address=127.0.0.1:{port}"))
        await bench.kubelet.until(says(plugin, "PF has no VFs"))
        line = next(one for one in plugin.log.read_text().splitlines() if "PF has no VFs" in one)
        assert line.startswith("warning:")
        assert f"pf={PF} expected=16" in line
        assert "create them on the host" in line
        metrics = (await page(port, "/metrics"))[1]
        assert f'qat_device_plugin_expected_vfs{{pf="{PF}",resource="{CY}"}} 16.0' in metrics
        status, said = await page(port, "/readyz")
        assert (status, "there is no VF to offer" in said) == (503, True)
        # Looked at each period, and said once.
        await plugin.goes_on(40)
        assert plugin.log.read_text().count("PF has no VFs") == 1
        bench.files.create_vfs(PF, 16)
        await bench.ready(CY, 16)

    run(scenario)
