# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the live kernel leaves to its child process: files on which the kernel can block."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import resource
import signal
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import WriteTimeout
from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import driver_file
from ansible_collections.accel.qat.plugins.module_utils._node.kernel import child as child_module
from ansible_collections.accel.qat.plugins.module_utils._node.kernel import live as kernel_module
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.child import NotAnswered
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import Write
from ansible_collections.accel.qat.tests.unit.node.tree import DEVICE, OTHER, Tree


@contextlib.contextmanager
def released(*fifos: Path) -> t.Iterator[None]:
    """Lets the children that these FIFOs hold up go on in the end, and has none held up that comes to them only then."""
    try:
        yield
    finally:
        for fifo in fifos:
            both_ends = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
            file = fifo.with_name(f"{fifo.name}.file")
            file.touch()
            file.replace(fifo)
            os.close(both_ends)


def kill_reader(fifo: Path, children: t.Sequence[int]) -> None:
    """End the child that has opened the FIFO, for which this waits, and reads what nobody writes."""
    with fifo.open("wb", buffering=0):
        os.kill(children[0], signal.SIGKILL)
        os.waitid(os.P_PID, children[0], os.WEXITED | os.WNOWAIT)


def kill_writer_after(path: str, tree: Tree, children: t.Sequence[int]) -> None:
    """End the child when it has written the file, and had the time to go on to the next."""
    deadline = time.monotonic() + 120
    while not tree.at(path).read_text().strip() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(children[0], signal.SIGKILL)


class Waits:
    """Garbage in a circle, which keeps another process than its own busy when it is collected there."""

    def __init__(self) -> None:
        self._itself = self
        self._process = os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self._process:
            time.sleep(20)


def test_the_child_does_not_collect_what_it_has_from_the_caller(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.file(f"{DEVICE}/driver_override", b"vfio-pci\n")
    kept = [Waits()]
    thresholds = gc.get_threshold()
    fork = os.fork

    def with_garbage() -> int:
        gc.set_threshold(1)
        kept.clear()
        return fork()

    monkeypatch.setattr(os, "fork", with_garbage)
    try:
        # The first request makes the child.
        assert tree.kernel.read(f"{DEVICE}/driver_override") == "vfio-pci"
    finally:
        gc.set_threshold(*thresholds)
    assert gc.isenabled()


def test_a_write_that_blocks_does_not_take_the_caller_along(tree: Tree) -> None:
    fifo = tree.fifo(f"{DEVICE}/sriov_numvfs")
    other = tree.file(f"{DEVICE}/driver_override")
    with released(fifo):
        begin = time.monotonic()
        with pytest.raises(WriteTimeout) as caught:
            tree.kernel.write(f"{DEVICE}/sriov_numvfs", "0", 0.2)
        assert time.monotonic() - begin < 120
        assert re.fullmatch(
            rf"{re.escape(DEVICE)}/sriov_numvfs: writing '0' has not returned after 0.2 seconds; "
            r"process \d+ stays in the kernel until the device lets go",
            str(caught.value),
        )
        tree.kernel.write(f"{DEVICE}/driver_override", "vfio-pci", 5)
        assert other.read_text() == "vfio-pci\n"


def test_a_write_that_blocks_costs_one_child_however_often_it_is_tried(tree: Tree, children: list[int]) -> None:
    path = f"{DEVICE}/sriov_numvfs"
    fifo = tree.fifo(path)
    with released(fifo):
        said = set()
        for _attempt in range(4):
            with pytest.raises(WriteTimeout) as caught:
                tree.kernel.write(path, "0", 0.1)
            said.add(str(caught.value))
        assert len(children) == len(said) == 1
    # Released, it is a file again: the next one waits until the child has ended.
    tree.kernel.write(path, "16", 120)
    assert tree.at(path).read_text() == "16\n"


def test_a_device_that_is_not_let_go_holds_up_no_other_of_its_driver(tree: Tree, children: list[int]) -> None:
    """The kernel takes them one by one (drivers/base/bus.c), so the file is the same and the lock is not."""
    unbind = driver_file("vfio-pci", "unbind")
    tree.at(unbind).parent.mkdir(parents=True)
    fifo = tree.fifo(unbind)
    with released(fifo):
        for address in ("0000:6b:00.2", "0000:6b:00.1"):
            for _attempt in range(2):
                with pytest.raises(WriteTimeout):
                    tree.kernel.write(unbind, address, 0.1)
        assert len(children) == 2


def test_a_machine_that_stands_still_takes_no_time_from_the_kernel(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a virtual one does whose host has other things to do: by the clock the time is over before anything has run again."""
    fifo = tree.fifo(f"{DEVICE}/reset")
    clock, is_readable = time.monotonic, child_module._is_readable
    ahead: list[float] = []

    def stands_still_once(connection: socket.socket, seconds: float) -> bool:
        if not ahead:
            ahead.append(600.0)
            return False
        return is_readable(connection, seconds)

    monkeypatch.setattr(time, "monotonic", lambda: clock() + sum(ahead))
    monkeypatch.setattr(child_module, "_is_readable", stands_still_once)
    reader = threading.Timer(0.3, fifo.read_bytes)
    reader.start()
    tree.kernel.write(f"{DEVICE}/reset", "1", 60)
    reader.join()


@pytest.fixture
def ctrl_c_counts() -> t.Iterator[None]:
    """Also where these tests run in the background of a shell, which has its programs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_counts")
def test_somebody_ends_the_caller_while_a_write_blocks(tree: Tree, children: list[int]) -> None:
    """Once: the child that hangs in the kernel is waited for neither then nor at the end."""
    fifo = tree.fifo(f"{DEVICE}/sriov_numvfs")
    tree.file(f"{DEVICE}/driver_override", b"vfio-pci\n")
    with released(fifo):
        begin = time.monotonic()
        # The first request makes the child, which may take a while.
        assert tree.kernel.read(f"{DEVICE}/driver_override") == "vfio-pci"
        ctrl_c = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012  # it may come as soon as the timer is started
            ctrl_c.start()
            tree.kernel.write(f"{DEVICE}/sriov_numvfs", "0", 60)
        tree.kernel.close()
        assert time.monotonic() - begin < 120
        assert os.waitpid(children[0], os.WNOHANG) == (0, 0)
    os.waitpid(children[0], 0)


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
    deadline = time.monotonic() + 120
    while os.waitpid(int(pid[1]), os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    """A driver's file is written and the device's link shows it; an override that is no more prints a null pointer."""
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


def test_the_one_of_several_writes_that_blocks_is_reported(tree: Tree, children: list[int]) -> None:
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
        took = []
        for _look in range(3):
            begin = time.monotonic()
            tree.kernel.expect(names)
            for name in names[:2]:
                with pytest.raises(TimeoutError):
                    tree.kernel.read(name)
            assert tree.kernel.read(names[2]) == "vfio-pci"
            took.append(time.monotonic() - begin)
        # The fastest counts: a busy host may let any one of them wait.
        assert min(took[1:]) < kernel_module.READ_SECONDS
        with pytest.raises(TimeoutError):
            tree.kernel.read(f"{DEVICE}/qat/state")
        # The one that hangs, and the one that took its place.
        assert len(children) == 2
    fifo.unlink()
    tree.file(names[0], b"(null)\n")
    deadline = time.monotonic() + 120
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


def ends_in_the_midst_of_its_answer(_work: t.Iterable[t.Any], requests: socket.socket) -> t.NoReturn:
    requests.sendall(b'[[0, "vfio')
    os._exit(1)


def ends_without_an_answer(_work: t.Iterable[t.Any], _requests: socket.socket) -> t.NoReturn:
    os._exit(1)


@pytest.mark.parametrize("ends", [ends_in_the_midst_of_its_answer, ends_without_an_answer])
def test_an_answer_that_is_cut_off_is_none(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, ends: t.Callable[..., t.NoReturn]
) -> None:
    writes = overrides(tree, *THREE)
    with monkeypatch.context() as patch:
        patch.setitem(child_module._OPERATIONS, "read", ends)
        patch.setitem(child_module._OPERATIONS, "write", ends)
        with pytest.raises(OSError, match="driver_override") as caught:
            tree.kernel.read(writes[0].path)
        assert caught.value.errno == errno.EIO
        with pytest.raises(NotAnswered) as unanswered:
            tree.kernel.write(writes[0].path, "vfio-pci", 5)
        assert unanswered.value.errno == errno.EIO
        count, error = tree.kernel.write_each(writes, 5)
        assert (count, type(error)) == (0, NotAnswered)
    assert tree.kernel.write_each(writes, 5) == (3, None)


def test_a_connection_that_breaks_is_no_answer(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the child ends before it has read what it was asked."""
    tree.file(f"{DEVICE}/driver_override", b"vfio-pci\n")
    assert tree.kernel.read(f"{DEVICE}/driver_override") == "vfio-pci"

    assert tree.kernel._child is not None
    answers = tree.kernel._child._answers

    class Broken:
        def readline(self) -> t.NoReturn:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

        def close(self) -> None:
            answers.close()

    monkeypatch.setattr(tree.kernel._child, "_answers", Broken())
    with pytest.raises(NotAnswered) as caught:
        tree.kernel.write(f"{DEVICE}/driver_override", "vfio-pci", 5)
    assert caught.value.errno == errno.EIO


@pytest.fixture
def many_descriptors() -> t.Iterator[None]:
    """Whatever is opened next has a descriptor above 1023, the last that select(2) takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 0 else min(hard, 4096), hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < 1100:
        opened.append(os.dup(opened[0]))
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_works_with_descriptors_above_1023(tree: Tree) -> None:
    writes = overrides(tree, *THREE)
    assert tree.kernel.write_each(writes, 5) == (3, None)
    assert texts(tree, writes) == ["vfio-pci\n"] * 3
    assert tree.kernel.read(writes[0].path) == "vfio-pci"
    assert tree.kernel._child is not None
    assert tree.kernel._child._socket.fileno() > 1023


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


def test_what_cannot_be_shown_has_not_taken(tree: Tree) -> None:
    """That a link is gone has to be proved."""
    tree.file(f"{DEVICE}/driver_override")
    gone = Write(f"{DEVICE}/driver_override", "a", f"{DEVICE}/driver", "")
    unreadable = Write(f"{DEVICE}/driver_override", "b", f"{DEVICE}/qat", "")
    assert tree.kernel.write_each([gone, unreadable, gone], 5) == (1, None)
