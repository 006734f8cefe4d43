# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import json
import logging
import os
import resource
import socket
import struct
import typing as t
from pathlib import Path

import pytest
from qat_device_plugin import limits, logs
from qat_device_plugin._node.errors import NodeError
from qat_device_plugin._node.facts.paths import KUBELET_ROOTS
from qat_device_plugin.events import DirectoryWatch, concerns_us, events_in, remedy_for
from qat_device_plugin.messages import pluginregistration, v1beta1
from qat_device_plugin.settings import Settings, SettingsError, _parser, parse_settings
from qat_device_plugin.sockets import (
    LONGEST_PATH,
    InstanceLock,
    fresh_name,
    hidden_path,
    identity,
    refuse_long,
    remove_dead,
    remove_own,
    room_in,
    why_no_socket,
)
from qat_device_plugin.statistics import LATENCY_BOUNDS, Latencies
from qat_device_plugin.systemd import Systemd


def uevent(**fields: str) -> bytes:
    return b"\0".join([b"bind@/devices/x", *(f"{name}={value}".encode() for name, value in fields.items()), b""])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ACTION": "bind", "SUBSYSTEM": "pci", "PCI_ID": "8086:4941"}, True),
        ({"ACTION": "add", "SUBSYSTEM": "pci", "PCI_ID": "15B3:1018"}, False),
        ({"ACTION": "add", "SUBSYSTEM": "vfio"}, True),
        ({"ACTION": "add", "SUBSYSTEM": "vfio-dev"}, True),
        ({"ACTION": "change", "SUBSYSTEM": "block"}, False),
        ({}, False),
    ],
)
def test_which_device_events_count(fields: dict[str, str], expected: bool) -> None:
    assert concerns_us(uevent(**fields)) is expected


def test_a_directory_is_watched_through_its_end_and_new_beginning(tmp_path: Path) -> None:
    directory = tmp_path / "above" / "watched"

    async def scenario() -> None:
        notified = asyncio.Event()

        async def hears_of(change: t.Callable[[], object]) -> None:
            notified.clear()
            change()
            await asyncio.wait_for(notified.wait(), 120)
            # So that the next one is not taken for what is left of this one.
            await asyncio.sleep(0.05)

        with contextlib.closing(DirectoryWatch(directory, notified.set)):
            await hears_of(directory.parent.mkdir)
            for _ in range(2):
                await hears_of(directory.mkdir)
                await hears_of((directory / "kubelet.sock").touch)
                await hears_of((directory / "kubelet.sock").unlink)
                await hears_of(directory.rmdir)

    asyncio.run(scenario())


def test_what_else_happens_above_a_directory_is_no_event_of_it(tmp_path: Path) -> None:
    """Nodes come and go in /dev by the second."""
    above = tmp_path / "dev"
    directory = above / "vfio"
    directory.mkdir(parents=True)

    async def scenario() -> None:
        rings: list[float] = []

        async def rings_of(change: t.Callable[[], object]) -> int:
            rings.clear()
            change()
            # An event of another directory ends the wait: those of before it have come by then.
            marker = asyncio.Event()
            with contextlib.closing(DirectoryWatch(tmp_path / "marker", marker.set)):
                (tmp_path / "marker").mkdir()
                await asyncio.wait_for(marker.wait(), 120)
                (tmp_path / "marker").rmdir()
            await asyncio.sleep(0.05)
            return len(rings)

        def others() -> None:
            for number in range(100):
                (above / f"loop{number}").touch()
                (above / f"loop{number}").rename(above / "vfio2")
                (above / "vfio2").unlink()
            (above / "vfio.d").mkdir()
            (above / "vfio.d").rmdir()

        with contextlib.closing(DirectoryWatch(directory, lambda: rings.append(0.0))):
            for _ in range(2):
                assert await rings_of(others) == 0
                assert await rings_of((directory / "41").touch) >= 1
                assert await rings_of((directory / "41").unlink) >= 1
                assert await rings_of(directory.rmdir) >= 1
                assert await rings_of(others) == 0
                assert await rings_of(directory.mkdir) >= 1
            # Another directory takes its place.
            (above / "new").mkdir()
            assert await rings_of(lambda: directory.rename(above / "old")) >= 1
            assert await rings_of(lambda: (above / "new").rename(directory)) >= 1
            assert await rings_of((directory / "42").touch) >= 1
            # The way to it goes, and comes.
            assert await rings_of(lambda: above.rename(tmp_path / "away")) >= 1
            assert await rings_of(lambda: (tmp_path / "away").rename(above)) >= 1
            assert await rings_of(others) == 0
            assert await rings_of((directory / "43").touch) >= 1

    asyncio.run(asyncio.wait_for(scenario(), 600))


def test_events_of_inotify() -> None:
    """Names are padded; the directory itself has none, nor has a queue that has run over."""
    buffer = struct.pack("iIII16s", 1, 0x100, 0, 16, b"kubelet.sock") + struct.pack("iIII", -1, 0x4000, 0, 0)
    assert list(events_in(buffer)) == [(1, 0x100, "kubelet.sock"), (-1, 0x4000, "")]
    assert list(events_in(b"")) == []


@pytest.mark.parametrize(
    ("function", "code", "limit"),
    [("inotify_init1", errno.EMFILE, "instances"), ("inotify_add_watch", errno.ENOSPC, "watches")],
)
def test_a_watch_that_the_kernel_does_not_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int, limit: str
) -> None:
    def fails(*_arguments: object) -> int:
        ctypes.set_errno(code)
        return -1

    libc = ctypes.CDLL(None, use_errno=True)
    monkeypatch.setattr(libc, function, fails, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_arguments, **_options: libc)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        DirectoryWatch(tmp_path, lambda: None)
    assert len(os.listdir("/proc/self/fd")) == before
    assert remedy_for(caught.value) == f"raise fs.inotify.max_user_{limit} by sysctl, and restart this service"
    assert remedy_for(OSError(errno.ENOMEM, "")) == ""


def test_messages_have_the_wire_form_of_kubelet() -> None:
    """The bytes are those of k8s.io/kubelet: field numbers and types as in api.proto."""
    device = v1beta1.Device(ID="a", health="Healthy", topology=v1beta1.TopologyInfo(nodes=[v1beta1.NUMANode(ID=1)]))
    assert device.SerializeToString() == b"\n\x01a\x12\x07Healthy\x1a\x04\n\x02\x08\x01"
    response = v1beta1.ContainerAllocateResponse(envs={"k": "v"}, cdi_devices=[v1beta1.CDIDevice(name="n")])
    assert response.SerializeToString() == b"\n\x06\n\x01k\x12\x01v*\x03\n\x01n"
    request = v1beta1.ContainerPreferredAllocationRequest(
        available_deviceIDs=["a"], must_include_deviceIDs=["b"], allocation_size=2
    )
    assert request.SerializeToString() == b"\n\x01a\x12\x01b\x18\x02"
    info = pluginregistration.PluginInfo(type="DevicePlugin", name="r", supported_versions=["v1beta1"])
    assert info.SerializeToString() == b'\n\x0cDevicePlugin\x12\x01r"\x07v1beta1'


def settings(*flags: str, **environment: str) -> Settings:
    return parse_settings(flags, {f"QAT_DEVICE_PLUGIN_{name}": value for name, value in environment.items()})


def test_defaults() -> None:
    found = settings()
    assert found.config == Path("/etc/accel-qat/node.json")
    assert found.kubelet_dir == Path("/var/lib/kubelet/device-plugins")
    assert found.socket_dir == found.kubelet_dir
    assert settings("--registration=watcher").socket_dir == Path("/var/lib/kubelet/plugins_registry")
    assert found.kubelet_roots == KUBELET_ROOTS
    assert settings("--kubelet-dir=/k/device-plugins").kubelet_roots == ("/k",)
    elsewhere = settings("--kubelet-root=/data/kubelet", "--registration=watcher")
    assert (elsewhere.kubelet_roots, elsewhere.kubelet_dir) == (("/data/kubelet",), found.kubelet_dir)
    assert elsewhere.socket_dir == Path("/data/kubelet/plugins_registry")
    assert settings("--kubelet-root=/data/kubelet").socket_dir == found.kubelet_dir
    assert found.metrics_address is None


@pytest.mark.parametrize(
    ("flag", "text", "field", "value"),
    [
        ("--config", "/x", "config", Path("/x")),
        ("--sysfs-root", "/host/sys", "sysfs_root", "/host/sys"),
        ("--dev-root", "/host/dev", "dev_root", "/host/dev"),
        ("--proc-root", "/host/proc", "proc_root", "/host/proc"),
        ("--kubelet-dir", "/k", "kubelet_dir", Path("/k")),
        ("--kubelet-root", "/k", "kubelet_root", "/k"),
        ("--registration", "watcher", "registration", "watcher"),
        ("--metrics-address", "[::1]:80", "metrics_address", ("::1", 80)),
        ("--pod-labels", "false", "pod_labels", False),
        ("--allocation-policy", "packed", "allocation_policy", "packed"),
        ("--cdi-dir", "/c", "cdi_dir", Path("/c")),
        ("--nfd-dir", "/n", "nfd_dir", Path("/n")),
        ("--period", "2.5", "period", 2.5),
        ("--log-level", "debug", "log_level", "debug"),
        ("--log-format", "json", "log_format", "json"),
    ],
)
def test_each_flag_has_a_twin_and_goes_first(flag: str, text: str, field: str, value: object) -> None:
    twin = {flag[2:].replace("-", "_").upper(): text}
    assert getattr(settings(f"{flag}={text}"), field) == value
    assert getattr(settings(**twin), field) == value
    assert getattr(settings(), field) != value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("no", False), ("", False)])
def test_switches_in_the_environment(text: str, value: bool) -> None:
    assert settings(CDI=text).cdi is value


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        (["--period=0"], {}, "argument --period: '0' is not a number of seconds between 0.05 and 3600"),
        (["--metrics-address=80"], {}, "argument --metrics-address: '80' is not HOST:PORT, such as 127.0.0.1:9482"),
        (
            [],
            {"METRICS_ADDRESS": ":\u00b2"},
            "QAT_DEVICE_PLUGIN_METRICS_ADDRESS: ':\u00b2' is not HOST:PORT, such as 127.0.0.1:9482",
        ),
        (
            [],
            {"METRICS_ADDRESS": ".a:80"},
            "QAT_DEVICE_PLUGIN_METRICS_ADDRESS: '.a:80' is not HOST:PORT, such as 127.0.0.1:9482",
        ),
        (
            ["--metrics-address=\u00e4..b:80"],
            {},
            "argument --metrics-address: '\u00e4..b:80' is not HOST:PORT, such as 127.0.0.1:9482",
        ),
        (["--kubelet-dir="], {}, "argument --kubelet-dir: the path is empty"),
        (["--kubelet-root="], {}, "argument --kubelet-root: the path is empty"),
        (["--config="], {}, "argument --config: the path is empty"),
        (["--cdi-dir", ""], {}, "argument --cdi-dir: the path is empty"),
        (["--nfd-dir", ""], {}, "argument --nfd-dir: the path is empty"),
        (["--sysfs-root="], {}, "argument --sysfs-root: the path is empty"),
        (["--frobnicate"], {}, "unrecognized arguments: --frobnicate"),
        ([], {"PERIOD": "soon"}, "QAT_DEVICE_PLUGIN_PERIOD: 'soon' is not a number of seconds between 0.05 and 3600"),
        ([], {"CDI": "perhaps"}, "QAT_DEVICE_PLUGIN_CDI: 'perhaps' is neither true nor false"),
        ([], {"REGISTRATION": "x"}, "QAT_DEVICE_PLUGIN_REGISTRATION: 'x' is not one of socket, watcher"),
    ],
)
def test_wrong_settings(flags: list[str], environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        settings(*flags, **environment)
    assert str(error.value) == message


def test_a_variable_that_is_empty_is_as_one_that_is_not_there() -> None:
    """Of every flag, as manifests have it that leave a value open."""
    names = [action.dest.upper() for action in _parser()._actions if action.dest not in ("help", "version")]
    for name in names:
        assert settings(**{name: ""}) == settings(), name
    assert settings(**dict.fromkeys(names, "")) == settings()


def test_only_the_own_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        own = identity(path)
        path.unlink()
        path.write_text("another")
        remove_own(path, own)
        assert path.exists()
        remove_own(path, identity(path))
        assert not path.exists()
        remove_own(path, own)


def test_an_own_socket_is_the_same_with_other_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.touch()
    own = identity(path)
    path.chmod(0o640)
    assert own is not None
    assert identity(path) != own
    assert own.is_file_of(identity(path))
    assert not own.is_file_of(None)
    remove_own(path, own)
    assert not path.exists()


def test_dead_sockets_are_distinguished_from_live_ones(tmp_path: Path) -> None:
    names = ["accel-qat-cy-1-a.sock", "accel-qat-cy-2-b.sock", "other.sock"]
    sockets = [socket.socket(socket.AF_UNIX) for _ in names]
    for one, name in zip(sockets, names):
        one.bind(str(tmp_path / name))
    sockets[1].listen()
    (tmp_path / "accel-qat-no.sock").touch()
    sockets[0].close()
    sockets[2].close()
    assert remove_dead(tmp_path) == [names[0]]
    sockets[1].close()
    assert remove_dead(tmp_path / "absent") == []


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EBUSY, errno.EPERM, errno.EIO])
def test_what_cannot_be_tidied_up_is_left_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """The last of three can be removed."""
    names = [f"accel-qat-cy-1-{letter}.sock" for letter in "abc"]
    for name in names:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as one:
            one.bind(str(tmp_path / name))
    unlink = Path.unlink

    def refuses(path: Path, missing_ok: bool = False) -> None:
        if path.name != names[2]:
            raise OSError(code, os.strerror(code), str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuses)
    assert remove_dead(tmp_path) == [names[2]]
    remove_own(tmp_path / names[0], identity(tmp_path / names[0]))
    assert {path.name for path in tmp_path.iterdir()} == set(names[:2])
    logged = [record.__dict__["fields"] for record in caplog.records]
    assert logged == [{"path": tmp_path / names[place], "problem": os.strerror(code)} for place in (0, 1, 0)]


def test_a_directory_that_cannot_be_listed_has_no_dead_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_path: object) -> t.NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", refuses)
    monkeypatch.setattr(os, "scandir", refuses)
    assert remove_dead(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "absent"), [(errno.ENOENT, True), (errno.EACCES, False), (errno.EIO, False), (errno.ENOMEM, False)]
)
def test_a_file_that_cannot_be_seen_is_not_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, absent: bool
) -> None:
    path = tmp_path / "a.sock"
    path.touch()
    own = identity(path)

    def refuses(_path: Path) -> t.NoReturn:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "stat", refuses)
    assert identity(path, unseen=own) == (None if absent else own)
    assert identity(path) is None


def test_names_of_sockets_differ_and_show_the_resource() -> None:
    names = {fresh_name("qat.intel.com/sym-dc") for _ in range(10)}
    assert len(names) == 10
    assert all(name.startswith("accel-qat-sym-dc-") and name.endswith(".sock") for name in names)


@pytest.mark.parametrize("resource", ["cy", "generic", "sym-asym-dc"])
@pytest.mark.parametrize("length", [40, 70, 80, 85])
def test_names_of_sockets_fit_into_the_room_there_is(resource: str, length: int) -> None:
    """Wherever a socket of another vendor's plugin fits, as qat.intel.com-cy.sock does below a path of 80 bytes."""
    directory = Path("/" + "k" * (length - 1))
    path = directory / fresh_name(f"qat.intel.com/{resource}", room_in(directory))
    refuse_long(path)
    assert len(os.fsencode(hidden_path(path))) <= len(os.fsencode(path)) <= LONGEST_PATH
    assert path.name.startswith("accel-qat-")
    assert path.name.endswith(".sock")
    assert hidden_path(path).name.startswith(".")
    shows = len(str(directory)) + len(f"/accel-qat-{resource}-123456.sock") <= LONGEST_PATH
    assert (resource in path.name) is shows


def test_a_path_that_is_too_long_for_a_socket() -> None:
    directory = Path("/" + "k" * 99)
    path = directory / fresh_name("qat.intel.com/cy", room_in(directory))
    with pytest.raises(OSError, match=f"^the path of the socket is too long: {path} has 122 bytes, 107 at most$"):
        refuse_long(path)
    # Bytes count, not characters.
    with pytest.raises(OSError, match="has 108 bytes"):
        refuse_long(Path("/" + "\u00fc" * 53 + "x"))
    refuse_long(Path("/" + "\u00fc" * 53))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EMFILE])
def test_why_there_is_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    class Refuses(socket.socket):
        def bind(self, _address: object) -> None:
            raise OSError(code, os.strerror(code))

    assert str(why_no_socket(tmp_path / "a")) == f"cannot make a socket in {tmp_path}"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(socket, "socket", Refuses)
    assert str(why_no_socket(tmp_path / "a")) == f"cannot make a socket in {tmp_path}: {os.strerror(code)}"


def test_one_instance_at_a_time(tmp_path: Path) -> None:
    run, directory = tmp_path / "run" / "plugin", tmp_path / "k"
    taken: list[str] = []
    first = InstanceLock(run, directory, lambda: taken.append("first"))
    second = InstanceLock(run, directory, lambda: taken.append("second"))
    assert first.held()
    assert first.held()
    assert not second.held()
    assert run.stat().st_mode & 0o777 == 0o700
    directory.mkdir()
    assert not second.held()
    (tmp_path / "other").symlink_to(directory)
    assert not InstanceLock(run, tmp_path / "other").held()
    assert InstanceLock(run, tmp_path).held()
    first.release()
    assert second.held()
    assert taken == ["first", "second"]
    second.release()


def test_a_lock_is_had_as_long_as_one_process_has_its_descriptor(tmp_path: Path) -> None:
    first, successor, third = (InstanceLock(tmp_path / "run", tmp_path) for _ in range(3))
    assert first.held()
    shared = first.share()
    assert shared is not None
    successor.inherit(os.dup(shared))
    first.release()
    assert not third.held()
    assert successor.held()
    successor.release()
    assert third.held()
    third.release()


def test_a_lock_on_a_file_that_was_removed_is_none(tmp_path: Path) -> None:
    """Who comes later locks another file: only the one that has the name counts."""
    first = InstanceLock(tmp_path / "run", tmp_path)
    locked = fcntl.flock

    def removed_meanwhile(descriptor: int, kind: int) -> None:
        for path in (tmp_path / "run").iterdir():
            path.unlink()
        locked(descriptor, kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", removed_meanwhile)
        assert not first.held()
    assert first.held()
    first.release()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOMEM, errno.EIO])
def test_a_lock_that_cannot_be_had_is_not_another_instances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """It would be waited for without end, and for nobody."""

    def refuse(*_arguments: object) -> t.NoReturn:
        raise OSError(code, os.strerror(code))

    lock = InstanceLock(tmp_path / "run", tmp_path)
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(NodeError, match=f"cannot be locked: {os.strerror(code)}"):
        lock.held()
    assert not lock.is_of_another


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_directory_that_others_can_write_to_has_no_lock(tmp_path: Path, mode: int) -> None:
    run = tmp_path / "run"
    run.mkdir()
    run.chmod(mode)
    with pytest.raises(NodeError, match="others can write to the directory of the lock"):
        InstanceLock(run, tmp_path).held()
    (tmp_path / "file").touch()
    with pytest.raises(NodeError, match=r"cannot be made: .*; name another directory with --run-dir"):
        InstanceLock(tmp_path / "file", tmp_path).held()


def test_latencies_fall_into_their_class() -> None:
    latencies = Latencies()
    for seconds in (0.0001, 0.0005, 0.003, 99.0):
        latencies.add(seconds)
    counted = dict(zip((*LATENCY_BOUNDS, "more"), latencies.counts))
    assert {bound: count for bound, count in counted.items() if count} == {0.0005: 2, 0.005: 1, "more": 1}
    assert latencies.total == pytest.approx(99.0036)


def test_systemd_is_notified_of_each_thing_once(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"})
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with contextlib.closing(listener), contextlib.closing(systemd):
        listener.bind(address)
        systemd.reloaded()
        systemd.ready()
        systemd.ready()
        systemd.status("a")
        systemd.status("a")
        systemd.status("b")
        systemd.reloaded()
        systemd.alive()
        systemd.stopping()
        notices = [listener.recv(100).decode() for _ in range(6)]
    assert notices == ["READY=1", "STATUS=a", "STATUS=b", "READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert systemd.watchdog_seconds == 3.0
    assert Systemd({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}).watchdog_seconds is None
    Systemd({}).ready()


def test_systemd_that_does_not_listen_for_a_while_is_notified_later(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    systemd = Systemd({"NOTIFY_SOCKET": address})
    systemd.ready()
    systemd.status("a")
    systemd.status("b")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with contextlib.closing(listener), contextlib.closing(systemd):
        listener.bind(address)
        systemd.say_again()
        assert [listener.recv(100).decode() for _ in range(2)] == ["READY=1", "STATUS=b"]
        # One whose queue is full is not waited for.
        for number in range(5000):
            systemd.status(str(number))
        listener.setblocking(False)
        last = ""
        with contextlib.suppress(BlockingIOError):
            while True:
                last = listener.recv(100).decode()
        systemd.say_again()
        assert last != "STATUS=4999"
        assert listener.recv(100) == b"STATUS=4999"


def test_the_watchdog_is_fed_where_no_more_descriptors_are_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd would end the service, and the next one would see nothing of the node."""
    address = str(tmp_path / "notify")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"})
    with contextlib.closing(listener), contextlib.closing(systemd):
        listener.bind(address)
        systemd.ready()

        def refuse(*_arguments: object) -> t.NoReturn:
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

        monkeypatch.setattr(socket, "socket", refuse)
        systemd.alive()
        assert [listener.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]


def logged(form: str, journal: bool, message: str, **fields: object) -> str:
    record = logging.LogRecord("qat_device_plugin.x", logging.WARNING, "x.py", 1, message, (), None)
    record.fields = fields
    logs.set_up("info", form, journal)
    (handler,) = logging.getLogger("qat_device_plugin").handlers
    return handler.format(record)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("\x1b[2J", '"\\u001b[2J"'),
        ("\x1b]0;owned\x07", '"\\u001b]0;owned\\u0007"'),
        ("a\n<0>b", '"a\\n<0>b"'),
        ("a\rb", '"a\\rb"'),
        ("\x7f", '"\\u007f"'),
        ("\x9b2J", '"\\u009b2J"'),
        ("\u202eevil", '"\\u202eevil"'),
        ("\u2028", '"\\u2028"'),
        ("caf\u00e9", "caf\u00e9"),
        ("\udcff", '"\\udcff"'),
    ],
)
def test_what_others_say_is_shown_in_the_log(said: str, shown: str) -> None:
    assert logged("text", True, "it said", problem=said) == f"<4>it said problem={shown}"
    line = logged("json", False, "it said", problem=said)
    assert json.loads(line)["problem"] == said
    assert line.isprintable()
    assert logged("text", False, f"it said {said}").isprintable()


def test_what_the_loop_has_to_say_has_the_form_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "text", journal=True)
    logging.getLogger("asyncio").error("a task\x1b has ended", exc_info=ValueError("\x1b[2J"))
    logging.getLogger("asyncio").info("of no interest")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == r"<3>a task\x1b has ended"
    assert lines[-1] == r"ValueError: \x1b[2J"


def test_nobody_waits_for_whoever_should_read_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a journal that hangs with its disk: kubelet would have no answer until the watchdog ends the service."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as log, os.fdopen(writer, "w", buffering=1) as stream:
        size = fcntl.fcntl(writer, 1032)  # F_GETPIPE_SZ, which Python has a name for from 3.10 on
        os.write(writer, b"." * size)
        monkeypatch.setattr("sys.stderr", stream)
        logs.set_up("info", "text", journal=False)
        for number in range(3):
            logging.getLogger("qat_device_plugin").info("line %d", number)
        assert log.read(size) == b"." * size
        logging.getLogger("qat_device_plugin").info("line 3")
        assert log.read(size).decode().splitlines() == [
            "warning: lines of the log were lost, as nobody has read it count=3",
            "info: line 3",
        ]


@pytest.mark.parametrize("seccomp", ["0", "2", None])
def test_as_many_descriptors_as_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seccomp: str | None
) -> None:
    """A filter of system calls may end a process that wants to set a limit."""
    asked: list[object] = []
    status = tmp_path / "status"
    if seccomp is not None:
        status.write_text(f"Threads:\t1\nSeccomp:\t{seccomp}\nSeccomp_filters:\t1\n")
    monkeypatch.setattr(limits, "_STATUS", status)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 524288))
    monkeypatch.setattr(resource, "setrlimit", lambda *arguments: asked.append(arguments))
    limits.raise_descriptors()
    assert asked == ([(resource.RLIMIT_NOFILE, (524288, 524288))] if seccomp == "0" else [])
