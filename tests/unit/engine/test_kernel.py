# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live kernel, on files of a temporary directory; FIFOs block as sysfs files do whose device somebody holds."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node import kernel as kernel_module
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError, WriteTimeout
from ansible_collections.accel.qat.plugins.module_utils._node.kernel import LiveKernel, Write

DEVICE = "/sys/bus/pci/devices/0000:6b:00.0"
OTHER = "/sys/bus/pci/devices/0000:70:00.0"


class Tree:
    """A host's files, mounted at other places."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kernel = LiveKernel(f"{root}/host-sys/", f"{root}/host-proc", f"{root}/host-dev")
        for directory in ("host-sys/bus/pci/devices/0000:6b:00.0/qat", "host-proc", "host-dev"):
            (root / directory).mkdir(parents=True)

    def at(self, path: str) -> Path:
        return self.root / ("host-" + path.lstrip("/"))

    def file(self, path: str, content: bytes = b"") -> Path:
        place = self.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return place

    def fifo(self, path: str) -> Path:
        os.mkfifo(self.at(path))
        return self.at(path)


@pytest.fixture
def tree(tmp_path: Path) -> t.Iterator[Tree]:
    one = Tree(tmp_path)
    yield one
    one.kernel.close()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of the children, in the order in which they are made."""
    made: list[int] = []
    fork = os.fork

    def counted() -> int:
        pid = fork()
        if pid:
            made.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", counted)
    return made


# Files.


def test_maps_the_roots(tree: Tree) -> None:
    tree.file("/sys/module/vfio_pci/refcnt", b"0\n")
    tree.file("/proc/sys/kernel/osrelease", b"6.12.0\n")
    tree.file("/dev/vfio/7")
    assert tree.kernel.read("/sys/module/vfio_pci/refcnt") == "0"
    assert tree.kernel.read("/proc/sys/kernel/osrelease") == "6.12.0"
    assert tree.kernel.list("/dev/vfio") == ["7"]
    assert tree.kernel.list("/sys") == ["bus", "module"]


@pytest.mark.parametrize("path", ["/etc/passwd", "sys/module", "/system", "/process"])
def test_touches_nothing_else(tree: Tree, path: str) -> None:
    with pytest.raises(ValueError, match="is not below /sys, /proc or /dev"):
        tree.kernel.read(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"up\n", "up"), (b"(null)\n", "(null)"), (b"\0\0sym;asym\0\n", "sym;asym"), (b"\xff\n", "\ufffd"), (b"", "")],
)
@pytest.mark.parametrize("name", ["numa_node", "driver_override", "qat/state"])
def test_cleans_what_it_reads(tree: Tree, name: str, content: bytes, text: str) -> None:
    """Those that may block are read by another process, and no different."""
    tree.file(f"{DEVICE}/{name}", content)
    assert tree.kernel.read(f"{DEVICE}/{name}") == text


@pytest.mark.parametrize("name", ["numa_node", "driver_override"])
def test_passes_on_why_a_file_cannot_be_read(tree: Tree, name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        tree.kernel.read(f"{DEVICE}/{name}")
    assert caught.value.errno == errno.ENOENT


def test_links(tree: Tree) -> None:
    tree.at(f"{DEVICE}/driver").symlink_to("../../../../bus/pci/drivers/4xxx")
    assert tree.kernel.link(f"{DEVICE}/driver") == "4xxx"
    assert not tree.kernel.exists(f"{DEVICE}/driver")
    assert tree.kernel.exists(DEVICE)
    with pytest.raises(OSError, match="driver_override"):
        tree.kernel.link(f"{DEVICE}/driver_override")


def test_writable(tree: Tree) -> None:
    tree.file(f"{DEVICE}/sriov_numvfs")
    assert tree.kernel.writable(f"{DEVICE}/sriov_numvfs")
    assert not tree.kernel.writable(f"{DEVICE}/gone")


def test_open_files_are_those_of_every_process_that_may_be_seen(tree: Tree) -> None:
    """What has ended since it was listed is left out; and so is what is no process."""
    for place, target in {
        "7/fd/0": "/dev/null",
        "7/fd/4": "/dev/vfio/12",
        "8/fd/3": "anon_inode:[vfio-device]",
    }.items():
        at = tree.at(f"/proc/{place}")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(target)
    tree.file("/proc/7/fd/9")
    tree.file("/proc/9/comm", b"ended\n")
    tree.file("/proc/irq/fd/3")
    expected = [(7, "/dev/null"), (7, "/dev/vfio/12"), (8, "anon_inode:[vfio-device]")]
    assert sorted(tree.kernel.open_files()) == expected


# Writes.


def test_writes_value_and_newline(tree: Tree) -> None:
    place = tree.file(f"{DEVICE}/driver_override", b"0123456789")
    tree.kernel.write(f"{DEVICE}/driver_override", "vfio-pci", 5)
    # Sysfs files are not truncated, and a longer text that was there before is none of the kernel's business.
    assert place.read_bytes() == b"vfio-pci\n9"


def test_creates_no_file(tree: Tree) -> None:
    with pytest.raises(FileNotFoundError):
        tree.kernel.write(f"{DEVICE}/sriov_numvfs", "16", 5)
    assert not tree.at(f"{DEVICE}/sriov_numvfs").exists()


def test_passes_on_the_errno_of_a_write(tree: Tree) -> None:
    with pytest.raises(OSError, match="qat") as caught:
        tree.kernel.write(f"{DEVICE}/qat", "16", 5)
    assert caught.value.errno == errno.EISDIR


@contextlib.contextmanager
def released(*fifos: Path) -> t.Iterator[None]:
    """Lets the children that these FIFOs hold up go on in the end."""
    try:
        yield
    finally:
        for fifo in fifos:
            os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))


def kill_reader(fifo: Path, children: t.Sequence[int]) -> None:
    """End the child that has opened the FIFO, for which this waits, and reads what nobody writes."""
    with fifo.open("wb", buffering=0):
        os.kill(children[0], signal.SIGKILL)
        os.waitid(os.P_PID, children[0], os.WEXITED | os.WNOWAIT)


def kill_writer_after(path: str, tree: Tree, children: t.Sequence[int]) -> None:
    """End the child when it has written the file, and had the time to go on to the next."""
    deadline = time.monotonic() + 20
    while not tree.at(path).read_text().strip() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(children[0], signal.SIGKILL)


def test_a_write_that_blocks_does_not_take_the_caller_along(tree: Tree) -> None:
    fifo = tree.fifo(f"{DEVICE}/sriov_numvfs")
    other = tree.file(f"{DEVICE}/driver_override")
    with released(fifo):
        begin = time.monotonic()
        with pytest.raises(WriteTimeout) as caught:
            tree.kernel.write(f"{DEVICE}/sriov_numvfs", "0", 0.2)
        assert time.monotonic() - begin < 20
        assert re.fullmatch(
            rf"{re.escape(DEVICE)}/sriov_numvfs: writing '0' has not returned after 0.2 seconds; "
            r"process \d+ stays in the kernel until the device lets go",
            str(caught.value),
        )
        tree.kernel.write(f"{DEVICE}/driver_override", "vfio-pci", 5)
        assert other.read_text() == "vfio-pci\n"


def test_a_process_left_behind_holds_nothing_open(tree: Tree) -> None:
    """Neither the lock nor the output that somebody reads to its end."""
    fifo = tree.fifo(f"{DEVICE}/sriov_numvfs")
    reader, writer = os.pipe()
    with released(fifo):
        with tree.kernel.locked(1), pytest.raises(WriteTimeout) as caught:
            tree.kernel.write(f"{DEVICE}/sriov_numvfs", "0", 1.0)
        pid = re.search(r"process (\d+)", str(caught.value))
        assert pid is not None
        held = {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid[1]}/fd")}
        assert {name.partition(":")[0] for name in held} == {"/dev/null", "socket"}
        with tree.kernel.locked(0.2):
            pass
    os.close(reader)
    os.close(writer)


def test_a_process_left_behind_ends_when_the_kernel_lets_it_go(tree: Tree) -> None:
    """And does not go on to read the file, which nobody waits for and which may block too."""
    with released(tree.fifo(f"{DEVICE}/sriov_numvfs")), pytest.raises(WriteTimeout) as caught:
        tree.kernel.write(f"{DEVICE}/sriov_numvfs", "0", 0.2)
    pid = re.search(r"process (\d+)", str(caught.value))
    assert pid is not None
    deadline = time.monotonic() + 20
    while os.waitpid(int(pid[1]), os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_read_back_is_what_the_file_says(tree: Tree) -> None:
    """Nothing is made of a null pointer, nor of a file that cannot be read."""
    tree.file(f"{DEVICE}/driver_override", b"\n")
    tree.kernel.write(f"{DEVICE}/driver_override", "(null)", 5)
    assert tree.kernel.read(f"{DEVICE}/driver_override") == "(null)"
    with pytest.raises(FileNotFoundError):
        tree.kernel.write(f"{DEVICE}/qat/state", "up", 5)
    with pytest.raises(FileNotFoundError):
        tree.kernel.read(f"{DEVICE}/qat/state")


# Several writes.


def overrides(tree: Tree, *devices: str) -> list[Write]:
    """One write for each device, to a file that is there."""
    for device in devices:
        tree.file(f"{device}/driver_override", b"\n")
    return [
        Write(f"{device}/driver_override", "vfio-pci", f"{device}/driver_override", "vfio-pci") for device in devices
    ]


def texts(tree: Tree, writes: t.Iterable[Write]) -> list[str]:
    return [tree.at(one.path).read_text() for one in writes]


THREE = [f"/sys/bus/pci/devices/0000:6b:00.{number}" for number in range(1, 4)]


def test_writes_several_in_turn(tree: Tree) -> None:
    writes = overrides(tree, *THREE)
    assert tree.kernel.write_each(writes, 5) == (3, None)
    assert texts(tree, writes) == ["vfio-pci\n"] * 3
    assert tree.kernel.write_each([], 5) == (0, None)


def test_several_writes_show_in_links_and_files(tree: Tree) -> None:
    """A driver's file is written and the device's link tells; an override that is no more prints a null pointer."""
    first, second, third = THREE
    tree.file(f"{first}/bind")
    tree.at(f"{first}/driver").symlink_to("../../drivers/vfio-pci")
    tree.file(f"{second}/unbind")
    tree.file(f"{third}/control")
    tree.file(f"{third}/driver_override", b"(null)\n")
    writes = [
        Write(f"{first}/bind", "0000:6b:00.1", f"{first}/driver", "vfio-pci"),
        Write(f"{second}/unbind", "0000:6b:00.2", f"{second}/driver", ""),
        Write(f"{third}/control", "", f"{third}/driver_override", ""),
    ]
    assert tree.kernel.write_each(writes, 5) == (3, None)
    assert texts(tree, writes) == ["0000:6b:00.1\n", "0000:6b:00.2\n", "\n"]


def test_several_writes_end_at_the_first_that_fails(tree: Tree) -> None:
    writes = overrides(tree, *THREE)
    tree.at(writes[1].path).unlink()
    count, refusal = tree.kernel.write_each(writes, 5)
    assert (count, str(refusal)) == (1, f"[Errno 2] No such file or directory: '{writes[1].path}'")
    assert [tree.at(writes[number].path).read_text() for number in (0, 2)] == ["vfio-pci\n", "\n"]


def test_several_writes_end_at_the_first_without_effect(tree: Tree) -> None:
    writes = overrides(tree, *THREE)
    tree.file(writes[1].path, b"0123456789")
    assert tree.kernel.write_each(writes, 5) == (1, None)
    assert texts(tree, writes) == ["vfio-pci\n", "vfio-pci\n9", "\n"]


def test_several_writes_go_on_where_another_has_done_what_fails(tree: Tree) -> None:
    first, second, _third = THREE
    tree.file(f"{first}/driver_override", b"vfio-pci\n")
    writes = overrides(tree, second)
    gone = Write(f"{first}/bind", "0000:6b:00.1", f"{first}/driver_override", "vfio-pci")
    assert tree.kernel.write_each([gone, *writes], 5) == (2, None)
    assert texts(tree, writes) == ["vfio-pci\n"]


def test_the_one_of_several_writes_that_blocks_is_told(tree: Tree, children: list[int]) -> None:
    """And those after it are not made, not even when the kernel lets the child go."""
    writes = overrides(tree, *THREE)
    tree.at(writes[1].path).unlink()
    fifo = tree.fifo(writes[1].path)
    with released(fifo):
        count, error = tree.kernel.write_each(writes, 1.0)
        assert count == 1
        assert isinstance(error, WriteTimeout)
        assert str(error) == (
            f"{writes[1].path}: writing 'vfio-pci' has not returned after 1 seconds; "
            f"process {children[0]} stays in the kernel until the device lets go"
        )
    os.waitid(os.P_PID, children[0], os.WEXITED | os.WNOWAIT)
    assert [tree.at(writes[number].path).read_text() for number in (0, 2)] == ["vfio-pci\n", "\n"]


def test_each_of_several_writes_has_its_own_time(tree: Tree) -> None:
    files = [f"{DEVICE}/{name}" for name in ("first", "second", "third")]
    fifos = [tree.fifo(name) for name in files]
    writes = [Write(name, "1", f"{DEVICE}/driver", "") for name in files]

    def read_in_turn() -> None:
        for fifo in fifos:
            time.sleep(1.5)
            with fifo.open("rb") as pipe:
                pipe.read()

    reader = threading.Thread(target=read_in_turn)
    reader.start()
    assert tree.kernel.write_each(writes, 4.0) == (3, None)
    reader.join()


def test_a_child_that_is_killed_at_one_of_several_writes(tree: Tree, children: list[int]) -> None:
    writes = overrides(tree, *THREE)
    tree.at(writes[1].path).unlink()
    fifo = tree.fifo(writes[1].path)
    with released(fifo):
        killer = threading.Thread(target=kill_writer_after, args=(writes[0].path, tree, children))
        killer.start()
        count, error = tree.kernel.write_each(writes, 20)
        killer.join()
    assert count == 1
    assert isinstance(error, OSError)
    assert error.errno == errno.EIO
    assert tree.kernel.write_each([writes[0], writes[2]], 5) == (2, None)


def test_several_writes_without_a_child(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = overrides(tree, *THREE)

    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refused)
    count, error = tree.kernel.write_each(writes, 5)
    assert (count, error and error.args) == (0, (errno.EAGAIN, os.strerror(errno.EAGAIN)))
    assert texts(tree, writes) == ["\n"] * 3


# Reads that may block.


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "READ_SECONDS", 1.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["driver_override", "sriov_numvfs", "qat/state"])
def test_a_read_that_blocks_is_given_up(tree: Tree, name: str) -> None:
    with released(tree.fifo(f"{DEVICE}/{name}")), pytest.raises(TimeoutError):
        tree.kernel.read(f"{DEVICE}/{name}")


def test_fetches_together(tree: Tree) -> None:
    names = [f"{DEVICE}/driver_override", f"{DEVICE}/numa_node", f"{DEVICE}/qat/state"]
    places = [tree.file(name, b"first\n") for name in names]
    tree.kernel.expect([*names, f"{DEVICE}/sriov_numvfs"])
    for place in places:
        place.write_text("second\n")
    # What cannot block is not fetched ahead, and what was fetched is good for one reading.
    assert [tree.kernel.read(name) for name in names] == ["first", "second", "first"]
    assert [tree.kernel.read(name) for name in names] == ["second", "second", "second"]
    with pytest.raises(FileNotFoundError):
        tree.kernel.read(f"{DEVICE}/sriov_numvfs")


def test_what_was_fetched_before_a_write_is_forgotten(tree: Tree) -> None:
    tree.file(f"{DEVICE}/driver_override", b"old-one\n")
    tree.kernel.expect([f"{DEVICE}/driver_override"])
    tree.kernel.write(f"{DEVICE}/driver_override", "new-one", 5)
    assert tree.kernel.read(f"{DEVICE}/driver_override") == "new-one"


@pytest.mark.usefixtures("impatient")
def test_fetching_gives_way_where_one_file_blocks(tree: Tree) -> None:
    with released(tree.fifo(f"{DEVICE}/sriov_numvfs")):
        tree.file(f"{DEVICE}/driver_override", b"vfio-pci\n")
        tree.kernel.expect([f"{DEVICE}/driver_override", f"{DEVICE}/sriov_numvfs"])
        assert tree.kernel.read(f"{DEVICE}/driver_override") == "vfio-pci"
        with pytest.raises(TimeoutError):
            tree.kernel.read(f"{DEVICE}/sriov_numvfs")


@pytest.mark.usefixtures("impatient")
def test_a_device_that_blocks_costs_one_child_for_as_long_as_it_blocks(tree: Tree, children: list[int]) -> None:
    names = [f"{DEVICE}/driver_override", f"{DEVICE}/sriov_numvfs", f"{OTHER}/driver_override"]
    tree.file(names[2], b"vfio-pci\n")
    fifo = tree.fifo(names[0])
    tree.file(names[1], b"16\n")
    with released(fifo):
        for look in range(3):
            begin = time.monotonic()
            tree.kernel.expect(names)
            for name in names[:2]:
                with pytest.raises(TimeoutError):
                    tree.kernel.read(name)
            assert tree.kernel.read(names[2]) == "vfio-pci"
            if look:
                assert time.monotonic() - begin < kernel_module.READ_SECONDS
        with pytest.raises(TimeoutError):
            tree.kernel.read(f"{DEVICE}/qat/state")
        # The one that hangs, and the one that took its place.
        assert len(children) == 2
    fifo.unlink()
    tree.file(names[0], b"(null)\n")
    deadline = time.monotonic() + 20
    while Path(f"/proc/{children[0]}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
        tree.kernel.expect(names)
    assert [tree.kernel.read(name) for name in names] == ["(null)", "16", "vfio-pci"]
    assert len(children) == 2


def test_a_device_that_blocked_is_waited_for(tree: Tree, children: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing VFs goes on for a second after the last of them was let go."""
    fifo = tree.fifo(f"{DEVICE}/driver_override")
    tree.file(f"{DEVICE}/sriov_numvfs", b"0\n")
    monkeypatch.setattr(kernel_module, "READ_SECONDS", 0.2)
    with released(fifo):
        with pytest.raises(TimeoutError):
            tree.kernel.read(f"{DEVICE}/driver_override")
        monkeypatch.setattr(kernel_module, "READ_SECONDS", 20.0)
        later = threading.Timer(0.3, lambda: os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK)))
        later.start()
        assert tree.kernel.read(f"{DEVICE}/sriov_numvfs") == "0"
        later.join()
    assert len(children) == 2


def test_a_child_that_was_killed_is_replaced(tree: Tree, children: list[int]) -> None:
    names = [f"{DEVICE}/driver_override", f"{DEVICE}/sriov_numvfs"]
    for name in names:
        tree.file(name, b"16\n")
    assert tree.kernel.read(names[0]) == "16"
    os.kill(children[0], signal.SIGKILL)
    os.waitid(os.P_PID, children[0], os.WEXITED | os.WNOWAIT)
    tree.kernel.expect(names)
    assert [tree.kernel.read(name) for name in names] == ["16", "16"]
    assert not Path(f"/proc/{children[0]}").exists()


def test_a_child_that_is_killed_at_its_work(tree: Tree, children: list[int]) -> None:
    names = [f"{DEVICE}/driver_override", f"{DEVICE}/sriov_numvfs"]
    fifo = tree.fifo(names[0])
    tree.file(names[1], b"16\n")
    with released(fifo):
        killer = threading.Thread(target=kill_reader, args=(fifo, children))
        killer.start()
        with pytest.raises(OSError, match="driver_override") as caught:
            tree.kernel.read(names[0])
        killer.join()
    assert caught.value.errno == errno.EIO
    assert tree.kernel.read(names[1]) == "16"


def test_no_child_to_be_had(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the limit of processes (TasksMax)."""
    names = [f"{DEVICE}/driver_override", f"{DEVICE}/sriov_numvfs"]
    for name in names:
        tree.file(name, b"16\n")
    before = os.listdir("/proc/self/fd")

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", fork)
        tree.kernel.expect(names)
        with pytest.raises(OSError, match="driver_override") as caught:
            tree.kernel.read(names[0])
        assert caught.value.errno == errno.EAGAIN
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert [tree.kernel.read(name) for name in names] == ["16", "16"]


# The lock.

HOLD = """
import sys
from ansible_collections.accel.qat.plugins.module_utils._node.kernel import LiveKernel
with LiveKernel(sys.argv[1]).locked(5):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_processes_exclude_each_other(tree: Tree) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tree.root / "host-sys")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        begin = time.monotonic()
        with pytest.raises(RefusedError) as caught, tree.kernel.locked(0.3):
            pytest.fail("the lock was given twice")
        assert 0.3 <= time.monotonic() - begin < 20
        assert str(caught.value) == (
            "/sys/bus/pci/devices: another change of this node's devices has been running for 0.3 seconds; "
            "wait for it to end, or see which qatctl or Ansible process hangs"
        )
        other.stdin.close()
        with tree.kernel.locked(5):
            pass


def test_the_lock_ends_with_an_error(tree: Tree) -> None:
    with pytest.raises(KeyError), tree.kernel.locked(1):
        raise KeyError
    with tree.kernel.locked(0.2):
        pass


def test_no_lock_where_sysfs_is_not_mounted(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught, LiveKernel(str(tmp_path / "sys")).locked(1):
        pass
    assert str(caught.value) == (
        "/sys/bus/pci/devices: cannot list the PCI devices: No such file or directory; mount sysfs, or set sysfs_root"
    )


# Modules.


def test_commands_are_found_where_the_connection_has_no_path_to_them(
    modprobe: t.Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = modprobe("exit 0")
    monkeypatch.setattr(kernel_module, "COMMAND_DIRECTORIES", (str(called.parent / "bin"),))
    monkeypatch.setenv("PATH", "/bin")
    LiveKernel().unload_module("vfio_pci", 5)
    assert called.read_text() == "--remove vfio_pci\n"


@pytest.fixture
def modprobe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], Path]:
    """A modprobe that does what the script says; its arguments are in the file that is returned."""
    directory = tmp_path / "bin"
    directory.mkdir()
    called = tmp_path / "called"
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)

    def install(script: str) -> Path:
        (directory / "modprobe").write_text(f'#!/bin/sh\necho "$@" >> {called}\n{script}\n')
        (directory / "modprobe").chmod(0o755)
        return called

    return install


def test_loads_and_unloads(modprobe: t.Callable[[str], Path]) -> None:
    called = modprobe("exit 0")
    LiveKernel().load_module("vfio_pci", ["disable_denylist=1"], 5)
    LiveKernel().load_module("qat_4xxx", (), 5)
    LiveKernel().unload_module("vfio_pci", 5)
    assert called.read_text().splitlines() == ["vfio_pci disable_denylist=1", "qat_4xxx", "--remove vfio_pci"]


@pytest.mark.parametrize("change", ["load", "unload"])
def test_what_was_read_before_a_module_came_or_went_is_forgotten(
    tree: Tree, modprobe: t.Callable[[str], Path], change: str
) -> None:
    """Its driver makes its devices anew; what was read back after a write is kept for whoever reads next."""
    place = tree.file(f"{DEVICE}/sriov_numvfs", b"0\n")
    tree.kernel.write(f"{DEVICE}/sriov_numvfs", "16", 5)
    modprobe(f"printf '0\\n' > {place}")
    if change == "load":
        tree.kernel.load_module("qat_4xxx", (), 5)
    else:
        tree.kernel.unload_module("qat_4xxx", 5)
    assert tree.kernel.read(f"{DEVICE}/sriov_numvfs") == "0"


@pytest.mark.parametrize(("code", "there"), [(0, True), (1, False)])
def test_whether_a_module_is_there(modprobe: t.Callable[[str], Path], code: int, there: bool) -> None:
    called = modprobe(f"exit {code}")
    assert LiveKernel().has_module("vfio_pci") is there
    assert called.read_text() == "--dry-run vfio_pci\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'modprobe: FATAL: Module x' >&2; echo 'not found' >&2; exit 1", "modprobe: FATAL: Module x not found"),
        ("exit 3", "exit code 3"),
    ],
)
def test_a_module_that_cannot_be_loaded(modprobe: t.Callable[[str], Path], script: str, said: str) -> None:
    modprobe(script)
    with pytest.raises(NodeError) as caught:
        LiveKernel().load_module("x", (), 5)
    assert str(caught.value) == (
        f"x: modprobe failed: {said}; see the kernel's log, and that the module belongs to the running kernel"
    )


@pytest.mark.parametrize(
    "said",
    [
        "modprobe: ERROR: could not insert 'x': Key was rejected by service",
        "modprobe: ERROR: could not insert 'x': Required key not available",
        "modprobe: ERROR: could not insert 'x': Operation not permitted",
    ],
)
def test_a_module_without_a_signature(modprobe: t.Callable[[str], Path], said: str) -> None:
    modprobe(f'echo "{said}" >&2; exit 1')
    with pytest.raises(NodeError) as caught:
        LiveKernel().load_module("x", (), 5)
    assert str(caught.value) == (
        f"x: modprobe failed: {said}; the kernel takes only modules with a signature that it trusts (Secure Boot, lockdown): "
        "install the distribution's own module, or sign this one"
    )


def test_waits_for_udev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called, command = tmp_path / "called", tmp_path / "udevadm"
    command.write_text(f'#!/bin/sh\necho "$@" >> {called}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    LiveKernel().settle(7)
    assert called.read_text() == "settle --timeout=7\n"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(kernel_module, "COMMAND_DIRECTORIES", ())
    LiveKernel().settle(7)


def test_no_modprobe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kernel_module, "COMMAND_DIRECTORIES", ())
    with pytest.raises(NodeError) as caught:
        LiveKernel().unload_module("vfio_pci", 5)
    assert str(caught.value) == "vfio_pci: the command modprobe is missing; install kmod on the node"


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_modprobe_that_hangs(modprobe: t.Callable[[str], Path]) -> None:
    modprobe("exec sleep 60")
    begin = time.monotonic()
    with pytest.raises(WriteTimeout) as caught:
        LiveKernel().load_module("qat_4xxx", (), 0.2)
    assert time.monotonic() - begin < 20
    match = re.fullmatch(
        r"qat_4xxx: modprobe has not returned after 0.2 seconds; "
        r"process (\d+) stays in the kernel; see the kernel's log",
        str(caught.value),
    )
    assert match is not None
    os.kill(int(match[1]), signal.SIGKILL)
    os.waitpid(int(match[1]), 0)
    del caught
    gc.collect()


# The kernel's log.


def test_the_log_since_the_last_write_began(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO gives one record a read as /dev/kmsg does, but has no end to seek to."""
    log = tree.fifo("/dev/kmsg")
    monkeypatch.setattr(os, "lseek", lambda *_arguments: 0)
    tree.file(f"{DEVICE}/driver_override")
    writer = os.open(log, os.O_RDWR)
    assert tree.kernel.log("0000:6b:00.0") == ()
    tree.kernel.write(f"{DEVICE}/driver_override", "vfio-pci", 5)
    records = (
        "3,1,10,-;4xxx 0000:6b:00.0: Device busy\n SUBSYSTEM=pci\n",
        "6,2,11,-;4xxx 0000:6b:00.0: only for information\n",
        "28,3,12,-;4xxx 0000:6b:00.0: a warning of another facility\n",
        "4,4,13,-;4xxx 0000:70:00.0: another device\n",
    )
    for record in records:
        os.write(writer, record.encode())
        tree.kernel.log("nobody")
    assert tree.kernel.log("0000:6b:00.0") == [
        "4xxx 0000:6b:00.0: Device busy",
        "4xxx 0000:6b:00.0: a warning of another facility",
    ]
    tree.kernel.write(f"{DEVICE}/driver_override", "vfio-pci", 5)
    assert tree.kernel.log("0000:6b:00.0") == []
    os.close(writer)


def test_no_log_for_those_who_may_not_read_it(tree: Tree) -> None:
    tree.file(f"{DEVICE}/driver_override")
    tree.kernel.write(f"{DEVICE}/driver_override", "vfio-pci", 5)
    assert tree.kernel.log("0000:6b:00.0") == []


def test_time_passes() -> None:
    begin = time.monotonic()
    LiveKernel().sleep(0.05)
    assert time.monotonic() - begin >= 0.05
