# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live kernel, on files of a temporary directory."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.kernel import commands, lock
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.child import LARGEST_FILE
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import LiveKernel
from ansible_collections.accel.qat.tests.unit.node.tree import DEVICE, Tree

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


@pytest.mark.parametrize("name", ["numa_node", "driver_override"])
def test_a_file_without_an_end_is_given_up(tree: Tree, name: str) -> None:
    """Whoever is root can mount anything over a file."""
    tree.at(f"{DEVICE}/{name}").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="File too large"):
        tree.kernel.read(f"{DEVICE}/{name}")
    tree.at(f"{DEVICE}/{name}").unlink()
    tree.file(f"{DEVICE}/{name}", b"x" * LARGEST_FILE)
    assert tree.kernel.read(f"{DEVICE}/{name}") == "x" * LARGEST_FILE


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


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.EIO, errno.ELOOP, errno.ENOTDIR])
def test_existence_that_is_not_known(tree: Tree, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(path: str) -> None:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(NodeError, match=rf"host-sys/bus: cannot be read: {os.strerror(code)}; "):
        tree.kernel.exists("/sys/bus")


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


def test_what_is_read_back_is_what_the_file_says(tree: Tree) -> None:
    """Nothing is made of a null pointer, nor of a file that cannot be read."""
    tree.file(f"{DEVICE}/driver_override", b"\n")
    tree.kernel.write(f"{DEVICE}/driver_override", "(null)", 5)
    assert tree.kernel.read(f"{DEVICE}/driver_override") == "(null)"
    with pytest.raises(FileNotFoundError):
        tree.kernel.write(f"{DEVICE}/qat/state", "up", 5)
    with pytest.raises(FileNotFoundError):
        tree.kernel.read(f"{DEVICE}/qat/state")


# The lock.

HOLD = """
import sys
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import LiveKernel
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
        assert 0.3 <= time.monotonic() - begin < 120
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


def test_nobody_but_root_can_take_the_lock(tree: Tree) -> None:
    """It is opened for writing only, which the kernel lets root do alone, and nothing is written to it."""
    probe = tree.file("/sys/bus/pci/drivers_probe", b"as it was")
    probe.chmod(0o200)
    with tree.kernel.locked(1):
        opened = [entry for entry in os.scandir("/proc/self/fd") if _leads_to(entry.path, probe)]
        (flags,) = (_flags(entry.name) for entry in opened)
        assert flags & os.O_ACCMODE == os.O_WRONLY
        assert flags & os.O_CLOEXEC
    assert probe.read_bytes() == b"as it was"


def _leads_to(link: str, target: Path) -> bool:
    return os.path.exists(link) and os.path.samefile(link, target)


def _flags(descriptor: str) -> int:
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("flags:")), 8)


def test_no_memory_for_a_lock(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.file("/sys/bus/pci/drivers_probe", b"")

    def refuse(_descriptor: int, _how: int) -> t.NoReturn:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    why = "the lock on this node's devices cannot be taken: No locks available"
    with pytest.raises(RefusedError, match=why), tree.kernel.locked(1):
        pass


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.EIO])
def test_who_may_not_take_the_lock_is_refused(tree: Tree, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = os.open

    def refuse(path: t.Any, flags: int, *others: t.Any, **more: t.Any) -> int:
        if str(path).endswith("drivers_probe"):
            raise OSError(code, os.strerror(code), path)
        return real(path, flags, *others, **more)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RefusedError) as caught, tree.kernel.locked(1):
        pytest.fail("the lock was given")
    remedy = {
        errno.EIO: "see what the node lacks, and try again",
        errno.EMFILE: "let this process, or this machine, have more open files (ulimit -n, fs.file-max), and try again",
    }.get(code, "run as root (become: true), with /sys writable")
    problem = f"the lock on this node's devices cannot be taken: {os.strerror(code)}"
    assert str(caught.value) == f"/sys/bus/pci/drivers_probe: {problem}; {remedy}"


def _held_directory(tree: Tree, status: str | None, name_of_process: str = "qatctl") -> int:
    """The directory of devices with a lock on it; a process with this status in /proc has it."""
    tree.file("/sys/bus/pci/drivers_probe")
    descriptor = os.open(tree.at("/sys/bus/pci/devices"), os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    found = os.fstat(descriptor)
    name = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    tree.file(
        "/proc/locks",
        (
            "1: POSIX  ADVISORY  WRITE 11 00:17:1 0 EOF\n"
            f"2: FLOCK  ADVISORY  WRITE 4711 {name} 0 EOF\n"
            f"2: -> FLOCK  ADVISORY  WRITE 12 {name} 0 EOF\n"
        ).encode(),
    )
    if status is not None:
        tree.file("/proc/4711/status", f"Name:\t{name_of_process}\nUid:\t{status}\nGid:\t0\t0\t0\t0\n".encode())
    return descriptor


@pytest.mark.parametrize(
    ("status", "is_heeded"),
    [
        ("0\t0\t0\t0", True),
        ("65534\t65534\t65534\t65534", False),
        ("1000\t0\t0\t0", False),
        ("0\t1000\t0\t1000", False),
        (None, False),
    ],
    ids=["root", "nobody", "a program with setuid", "root as somebody else", "gone"],
)
def test_the_lock_of_engines_before_this_one(tree: Tree, status: str | None, is_heeded: bool) -> None:
    """They may be at work still; but anybody can take theirs."""
    descriptor = _held_directory(tree, status)
    try:
        if is_heeded:
            with pytest.raises(RefusedError, match="another change"), tree.kernel.locked(0.2):
                pytest.fail("two engines at work")
        else:
            with tree.kernel.locked(0.2):
                pass
    finally:
        os.close(descriptor)


def test_a_process_cannot_name_itself_a_user(tree: Tree) -> None:
    """The kernel shows a name as it is (prctl(2), PR_SET_NAME), but for line feeds and backslashes."""
    descriptor = _held_directory(tree, "1000\t1000\t1000\t1000", "\x0cUid:\t0\t0\t0\t0")
    try:
        with tree.kernel.locked(0.2):
            pass
    finally:
        os.close(descriptor)


def test_an_engine_before_this_one_is_kept_out(tree: Tree) -> None:
    tree.file("/sys/bus/pci/drivers_probe")
    descriptor = os.open(tree.at("/sys/bus/pci/devices"), os.O_RDONLY)
    try:
        with tree.kernel.locked(1), pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EMFILE])
def test_a_holder_of_the_former_lock_who_cannot_be_seen_is_waited_for(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    descriptor = _held_directory(tree, "65534\t65534\t65534\t65534")

    def refuse(_path: str) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lock, "_text", refuse)
    try:
        with pytest.raises(RefusedError, match="another change"), tree.kernel.locked(0.2):
            pytest.fail("two engines at work")
    finally:
        os.close(descriptor)


def test_no_lock_where_sysfs_is_not_mounted(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught, LiveKernel(str(tmp_path / "sys")).locked(1):
        pass
    assert str(caught.value) == (
        "/sys/bus/pci/devices: cannot list the PCI devices: No such file or directory; mount sysfs, or set sysfs_root"
    )


def test_waits_for_udev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called, command = tmp_path / "called", tmp_path / "udevadm"
    command.write_text(f'#!/bin/sh\necho "$@" >> {called}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    LiveKernel().settle(7)
    assert called.read_text() == "settle --timeout=7\n"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(commands, "COMMAND_DIRECTORIES", ())
    LiveKernel().settle(7)


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
