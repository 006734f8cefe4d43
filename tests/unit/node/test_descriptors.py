# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process has open, on real processes and on directories that look like theirs.

/dev/null (1:3), /dev/zero (1:5) and /dev/full (1:7) stand for nodes of VFIO, so no rights are needed.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.kernel import descriptors
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.descriptors import OpenFiles, open_files

NULL, ZERO = (1, 3), (1, 5)
MAJORS = frozenset({1})
DEVICE = "anon_inode:[vfio-device]"


@pytest.fixture(params=["statx", "stat"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernel's newer call, and on a C library or in a sandbox that has it not."""
    if request.param == "stat":
        monkeypatch.setattr(descriptors, "_statx", None)
    return str(request.param)


class Proc:
    """A directory of /proc."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "fd").mkdir(parents=True)

    def open(self, number: int, target: str, fdinfo: str = "pos:\t0\nflags:\t02\nmnt_id:\t30\n") -> None:
        (self.path / f"fd/{number}").symlink_to(target)
        (self.path / "fdinfo").mkdir(exist_ok=True)
        (self.path / f"fdinfo/{number}").write_text(fdinfo)

    def seen(self, majors: t.Collection[int] = MAJORS) -> OpenFiles:
        return open_files(str(self.path), majors)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path / "7")


def test_this_process(tmp_path: Path) -> None:
    """By the real /proc; what the files are called does not matter."""
    plain = tmp_path / "vfio" / "10"
    plain.parent.mkdir()
    plain.touch()
    link = tmp_path / "innocent"
    link.symlink_to("/dev/zero")
    descriptors_ = [os.open(path, os.O_RDONLY) for path in (plain, link)]
    try:
        numbers = open_files("/proc/self", MAJORS).numbers
        assert ZERO in numbers
        assert all(number[0] == 1 for number in numbers)
        assert open_files("/proc/self", {244}) == OpenFiles()
    finally:
        for one in descriptors_:
            os.close(one)


THREADS = """
import ctypes, os, sys, threading
zero = os.open("/dev/zero", os.O_RDONLY)
def on():
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=on).start()
ctypes.CDLL(None).syscall(ctypes.c_long({"x86_64": 60, "aarch64": 93}[os.uname().machine]), 0)
"""


def test_a_process_whose_first_thread_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        _await_zombie(process.pid)
        assert ZERO in open_files(f"/proc/{process.pid}", MAJORS).numbers
        process.communicate(timeout=300)


def _await_zombie(pid: int) -> None:
    end = threading.Event()
    for _look in range(300):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        end.wait(0.1)
    raise AssertionError("the first thread does not end")


def test_a_process_that_is_gone(proc: Proc) -> None:
    assert open_files(str(proc.path.parent / "8"), MAJORS) == OpenFiles()
    assert proc.seen() == OpenFiles()


def test_kinds(proc: Proc) -> None:
    for number, target in enumerate(("/dev/null", "socket:[4711]", "pipe:[1]", "/gone", "anon_inode:[eventfd]", "/")):
        proc.open(number, target)
    assert proc.seen() == OpenFiles(frozenset({NULL}))
    assert proc.seen({10}) == OpenFiles()


def test_a_device_that_the_kernel_does_not_name(proc: Proc) -> None:
    proc.open(3, DEVICE)
    assert proc.seen() == OpenFiles(unnamed=True)
    proc.open(4, "/dev/null")
    assert proc.seen() == OpenFiles(frozenset({NULL}))


@pytest.mark.parametrize(
    "path", ["/sys/devices/pci0000:6a/0000:6a:01.0/0000:6b:00.1", "/sys/devices/pci0000:6b/0000:6b:00.1"]
)
def test_a_device_that_the_kernel_names(proc: Proc, path: str) -> None:
    proc.open(3, DEVICE, f"pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t2059\nvfio-device-syspath:\t{path}\n")
    assert proc.seen() == OpenFiles(addresses=frozenset({"0000:6b:00.1"}))


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.EACCES, errno.ENOMEM, errno.EINTR])
@pytest.mark.parametrize("call", ["open", "listdir", "readlink"])
def test_what_cannot_be_seen(proc: Proc, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    proc.open(3, "/dev/null")

    def refuse(path: object, *_others: object, **_named: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match=r".") as caught:
        proc.seen()
    assert caught.value.errno == code


MOUNTS = """\
22 29 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
30 22 0:40 / /home/u/mnt rw,nosuid,nodev,relatime shared:20 - fuse.sshfs host: rw,user_id=1000
31 22 0:41 / /data rw,relatime - nfs4 server:/ rw
32 22 0:42 / /mnt rw,relatime - fuse.own own rw
33 22 0:5 / /dev rw,nosuid shared:2 master:1 - devtmpfs devtmpfs rw
34 22 0:5 / /dev\x0bnodev rw,nosuid - devtmpfs devtmpfs rw
35 22 0:6 / /home/u/\x0c36\x1c22\x1c0:41\x1c/\x1c/data\x1cnodev rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("mount", "seen"), [(30, True), (32, True), (31, False), (33, False), (34, False), (36, False), (99, False)]
)
def test_a_file_system_in_user_space_that_refuses(
    proc: Proc, monkeypatch: pytest.MonkeyPatch, mount: int, seen: bool
) -> None:
    """Its owner could keep root from every change otherwise. On such a mount no device can be opened."""
    proc.open(3, "/home/u/mnt/file", f"pos:\t0\nflags:\t02\nmnt_id:\t{mount}\n")
    (proc.path / "mountinfo").write_text(MOUNTS)
    status = os.stat

    def refuse(path: t.Any, **named: t.Any) -> os.stat_result:
        if path == "3":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return status(path, **named)

    monkeypatch.setattr(descriptors, "_statx", lambda *_arguments: -1)
    monkeypatch.setattr(os, "stat", refuse)
    if seen:
        assert proc.seen() == OpenFiles()
        return
    with pytest.raises(PermissionError):
        proc.seen()


def test_the_kernel_says_what_python_says(way: str) -> None:
    """The numbers of what this machine has in /dev."""
    if way == "stat":
        return
    devices = [entry.path for entry in os.scandir("/dev") if stat.S_ISCHR(entry.stat().st_mode)]
    directory = os.open("/dev", os.O_RDONLY)
    try:
        asked = descriptors._Task("/proc/self", directory)
        for path in devices:
            number = os.stat(path).st_rdev
            assert asked.number(os.path.basename(path)) == (os.major(number), os.minor(number)), path
        assert asked.number(".") is None
    finally:
        os.close(directory)
