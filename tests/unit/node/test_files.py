# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file or link replaced as a whole, in a real directory."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node import files
from ansible_collections.accel.qat.plugins.module_utils._node.absence import is_absent
from ansible_collections.accel.qat.plugins.module_utils._node.files import (
    make_directories,
    read_whole,
    remove_directory_if_empty,
    remove_drafts,
    remove_file,
    replace_file,
    replace_link,
)

ACCESS_LIST = "system.posix_acl_access"


def access_list(user: int, bits: int, group: int, mask: int) -> bytes:
    """An access list as the kernel has it (include/uapi/linux/posix_acl_xattr.h): rw for the owner, bits for a user, and so on."""
    nobody = 0xFFFFFFFF
    entries = [(0x01, 6, nobody), (0x02, bits, user), (0x04, group, nobody), (0x10, mask, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


class Attributes:
    """Extended attributes by inode, since the file system of a test may have none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_inode: dict[tuple[int, str], bytes] = {}
        self.refuse = 0
        monkeypatch.setattr(os, "getxattr", self.get)
        monkeypatch.setattr(os, "setxattr", self.set)
        monkeypatch.setattr(os, "removexattr", self.remove)

    def get(self, file: t.Any, name: str) -> bytes:
        if self.refuse:
            raise OSError(self.refuse, os.strerror(self.refuse))
        try:
            return self.by_inode[os.stat(file).st_ino, name]
        except KeyError:
            raise OSError(errno.ENODATA, "No data available") from None

    def set(self, file: t.Any, name: str, value: bytes) -> None:
        self.by_inode[os.stat(file).st_ino, name] = value

    def remove(self, file: t.Any, name: str) -> None:
        del self.by_inode[os.stat(file).st_ino, name]


def test_mode_access_list_and_label_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = Attributes(monkeypatch)
    path = tmp_path / "grub"
    path.write_text("before")
    path.chmod(0o664)
    wanted = access_list(user=1000, bits=6, group=4, mask=6)
    os.setxattr(path, ACCESS_LIST, wanted)
    os.setxattr(path, "security.selinux", b"system_u:object_r:etc_t:s0")
    replace_file(str(path), b"after")
    assert path.read_text() == "after"
    assert attributes.get(path, ACCESS_LIST) == wanted
    assert attributes.get(path, "security.selinux") == b"system_u:object_r:etc_t:s0"
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_a_file_without_an_access_list_gets_none_of_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = Attributes(monkeypatch)
    path = tmp_path / "grub"
    path.write_text("before")
    chmod = os.fchmod

    def inherits(descriptor: int, mode: int) -> None:
        attributes.by_inode.setdefault((os.fstat(descriptor).st_ino, ACCESS_LIST), access_list(1000, 6, 4, 6))
        chmod(descriptor, mode)
        monkeypatch.setattr(os, "fchmod", chmod)

    monkeypatch.setattr(os, "fchmod", inherits)
    replace_file(str(path), b"after")
    with pytest.raises(OSError, match="No data available"):
        attributes.get(path, ACCESS_LIST)


@pytest.mark.parametrize(
    ("refused", "code", "is_on", "is_written"),
    [
        ("security.selinux", errno.EPERM, False, True),
        ("security.selinux", errno.EPERM, True, False),
        ("security.selinux", errno.EACCES, False, False),
        (ACCESS_LIST, errno.EPERM, False, False),
    ],
)
def test_a_label_that_is_left_of_an_selinux_that_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str, code: int, is_on: bool, is_written: bool
) -> None:
    """Root without CAP_SYS_ADMIN, as in qat-node.service, may not write one then."""
    attributes = Attributes(monkeypatch)
    path = tmp_path / "found.json"
    path.write_text("before")
    attributes.set(path, "security.selinux", b"system_u:object_r:var_lib_t:s0")
    attributes.set(path, ACCESS_LIST, access_list(1000, 6, 4, 6))

    def refuse(file: t.Any, name: str, value: bytes) -> None:
        if name == refused:
            raise OSError(code, os.strerror(code))
        attributes.set(file, name, value)

    monkeypatch.setattr(os, "setxattr", refuse)
    monkeypatch.setattr(files, "_SELINUX", str(tmp_path if is_on else tmp_path / "none"))
    if is_written:
        replace_file(str(path), b"after")
    else:
        with pytest.raises(PermissionError):
            replace_file(str(path), b"after")
    assert path.read_text() == ("after" if is_written else "before")


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_an_access_list_that_cannot_be_read_is_not_dropped(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Attributes(monkeypatch).refuse = code
    path = tmp_path / "grub"
    path.write_text("before")
    with pytest.raises(OSError, match="Errno") as raised:
        replace_file(str(path), b"after")
    assert (raised.value.errno, path.read_text(), os.listdir(tmp_path)) == (code, "before", ["grub"])


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_directories_on_the_way_are_readable_and_nobody_elses_to_write(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        replace_file(str(tmp_path / "a/b/file"), b"")
        replace_link(str(tmp_path / "c/d/link"), "target")
        make_directories(str(tmp_path / "e/f"))
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("a", "a/b", "c", "c/d", "e", "e/f")}
    assert modes == dict.fromkeys(modes, 0o755)


def test_a_private_file_is_private_from_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    chmod = os.fchmod

    def look(descriptor: int, mode: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        chmod(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", look)
    before = os.umask(0)
    try:
        replace_file(str(tmp_path / "record"), b"secret", 0o600)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "record").stat().st_mode) == 0o600


def aged(path: Path) -> Path:
    os.utime(path, (time.time() - 60, time.time() - 60), follow_symlinks=False)
    return path


def test_what_a_crash_has_left_goes_with_the_next_write(tmp_path: Path) -> None:
    dead = aged_file(tmp_path / ".accel-qat-dead")
    (tmp_path / ".accel-qat-directory").mkdir()
    (tmp_path / ".accel-qat-directory/link").symlink_to("target")
    directory = aged(tmp_path / ".accel-qat-directory")
    foreign = aged_file(tmp_path / ".of-others")
    young = tmp_path / ".accel-qat-young"
    young.touch()
    written = aged_file(tmp_path / ".accel-qat-written")
    with written.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        replace_file(str(tmp_path / "file"), b"text")
        assert [path.exists() for path in (dead, directory, foreign, young, written)] == [
            False,
            False,
            True,
            True,
            True,
        ]
    replace_link(str(tmp_path / "link"), "target")
    assert not written.exists()


def aged_file(path: Path) -> Path:
    path.touch()
    return aged(path)


@pytest.mark.parametrize("seconds", [10.0, 0.0])
def test_what_a_crash_has_left_while_the_clock_was_wrong_goes_too(tmp_path: Path, seconds: float) -> None:
    draft, link = tmp_path / ".accel-qat-file", tmp_path / ".accel-qat-link"
    draft.touch()
    link.mkdir()
    for one in (draft, link):
        os.utime(one, (2**32, 2**32))
    remove_drafts(str(tmp_path), seconds)
    assert list(tmp_path.iterdir()) == []


def test_a_path_without_a_directory_is_one_of_where_this_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of `qatctl apply --record found.json`."""
    monkeypatch.chdir(tmp_path)
    replace_file("found.json", b"{}")
    replace_link("current", "found.json")
    replace_file("below/it/found.json", b"{}")
    assert (tmp_path / "current").read_bytes() == (tmp_path / "below/it/found.json").read_bytes() == b"{}"
    for name in ("current", "found.json", "below/it/found.json"):
        remove_file(name)
    for name in ("below/it", "below"):
        remove_directory_if_empty(name)
    assert list(tmp_path.iterdir()) == []


def test_a_draft_that_cannot_be_removed_does_not_keep_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = aged_file(tmp_path / ".accel-qat-dead")
    unlink = os.unlink

    def refuse(path: str) -> None:
        if path == str(dead):
            raise OSError(errno.EPERM, "Operation not permitted")
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    replace_file(str(tmp_path / "file"), b"text")
    assert (tmp_path / "file").read_text() == "text"


def test_an_interrupt_right_after_the_rename_is_that_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def interrupted(source: str, path: str) -> None:
        replace(source, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_file(str(tmp_path / "file"), b"text")
    assert os.listdir(tmp_path) == ["file"]


def test_what_is_no_regular_file_is_not_read_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), "/dev/zero"):
        with pytest.raises(OSError, match="it is no regular file"):
            read_whole(path)
    with pytest.raises(IsADirectoryError):
        read_whole(str(tmp_path))
    assert read_whole("/dev/null") == b""


def test_a_file_counts_as_there_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a chroot in which an image is made: who took it for absent would write another one in its place."""
    (tmp_path / "file").write_bytes(b"abc")
    monkeypatch.setattr(files, "_DESCRIPTORS", str(tmp_path / "proc/self/fd"))
    with pytest.raises(OSError, match="/proc is not mounted") as raised:
        read_whole(str(tmp_path / "file"))
    assert not is_absent(raised.value)
    with pytest.raises(FileNotFoundError):
        read_whole(str(tmp_path / "none"))


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert read_whole(str(tmp_path / "file"), 3) == b"abc"
    with pytest.raises(ValueError, match="it has more than 2 bytes"):
        read_whole(str(tmp_path / "file"), 2)
    with pytest.raises(FileNotFoundError):
        read_whole(str(tmp_path / "none"))
