# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real node: files and commands."""

from __future__ import annotations

import errno
import os
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult, LiveMachine, last_lines
from ansible_collections.accel.qat.plugins.module_utils._node import files
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError


def no_commands(command: t.Sequence[str]) -> CommandResult:
    raise AssertionError(command)


@pytest.fixture
def machine(tmp_path: Path) -> LiveMachine:
    return LiveMachine(no_commands, str(tmp_path))


def test_reads_what_it_wrote(machine: LiveMachine, tmp_path: Path) -> None:
    assert machine.read("/etc/default/grub") is None
    machine.write("/etc/default/grub", "a\r\nb\n")
    assert machine.read("/etc/default/grub") == "a\r\nb\n"
    assert (tmp_path / "etc/default/grub").stat().st_mode & 0o7777 == 0o644


def test_keeps_mode_and_bytes_that_are_no_text(machine: LiveMachine, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xff\x00a")
    path.chmod(0o600)
    text = machine.read("/file")
    assert text is not None
    machine.write("/file", text + "b")
    assert path.read_bytes() == b"\xff\x00ab"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_replaces_a_file_at_once_and_leaves_nothing_beside_it(machine: LiveMachine, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        machine.write("/file", "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    machine: LiveMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NodeError) as caught:
        machine.write("/file", "new")
    assert str(caught.value) == "/file: cannot be written: No space left on device; make room on that file system"
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("target", ["../boot/grub.cfg", "/boot/grub.cfg"], ids=["relative", "absolute"])
def test_follows_links_inside_the_root(machine: LiveMachine, tmp_path: Path, target: str) -> None:
    for name in ("etc", "boot"):
        (tmp_path / name).mkdir()
    (tmp_path / "boot/grub.cfg").write_text("old")
    (tmp_path / "etc/grub.cfg").symlink_to(target)
    assert machine.read("/etc/grub.cfg") == "old"
    machine.write("/etc/grub.cfg", "new")
    assert (tmp_path / "etc/grub.cfg").is_symlink()
    assert (tmp_path / "boot/grub.cfg").read_text() == "new"


@pytest.mark.parametrize("target", ["../data/rancher", "/data/rancher", "/../data/./rancher", "/var/rancher"])
def test_follows_links_of_directories_inside_the_root(machine: LiveMachine, tmp_path: Path, target: str) -> None:
    """As of those who keep what changes on another disk. Outside of the root there is another file, or none."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "data/rancher").mkdir(parents=True)
    (tmp_path / "var").symlink_to("/data")
    (tmp_path / "etc/rancher").symlink_to(target)
    machine.write("/data/rancher/config.yaml", "a")
    assert machine.read("/etc/rancher/config.yaml") == "a"
    assert machine.glob("/etc/rancher/*.yaml") == ["/etc/rancher/config.yaml"]
    assert machine.target("/etc/rancher/config.yaml") == "/data/rancher/config.yaml"
    machine.write("/etc/rancher/config.yaml", "b")
    assert (tmp_path / "data/rancher/config.yaml").read_text() == "b"
    machine.write("/etc/rancher/more/new.yaml", "")
    assert (tmp_path / "data/rancher/more/new.yaml").exists()


def test_a_circle_of_links_is_reported(machine: LiveMachine, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(NodeError) as caught:
        machine.read("/a")
    assert str(caught.value) == "/a: the symbolic link leads in a circle; repair it"


def test_a_directory_in_the_way_is_reported(machine: LiveMachine, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(NodeError, match="/dir: cannot be read: Is a directory"):
        machine.read("/dir")
    with pytest.raises(NodeError, match="/dir: cannot be written: Is a directory"):
        machine.write("/dir", "")
    with pytest.raises(NodeError, match="/dir: cannot be removed: "):
        machine.remove("/dir")


@pytest.mark.parametrize(
    ("code", "user", "remedy"),
    [
        (errno.EPERM, 1000, "run as root (become: true)"),
        (errno.EACCES, 1000, "run as root (become: true)"),
        (
            errno.EPERM,
            0,
            "root itself may not: see with lsattr whether it is immutable (chattr -i), and which capabilities this container has",
        ),
        (
            errno.EACCES,
            0,
            "root itself may not: see in the audit log what SELinux or AppArmor has denied, and which capabilities this container has",
        ),
        (
            errno.EROFS,
            0,
            "mount that file system so that it can be written, or make the change in the image that it comes from",
        ),
        (errno.EDQUOT, 0, "make room on that file system"),
    ],
)
def test_root_is_not_asked_to_be_root(
    machine: LiveMachine, monkeypatch: pytest.MonkeyPatch, code: int, user: int, remedy: str
) -> None:
    def refuse(*_arguments: object) -> t.NoReturn:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(NodeError) as caught:
        machine.write("/file", "new")
    assert str(caught.value) == f"/file: cannot be written: {os.strerror(code)}; {remedy}"


@pytest.mark.parametrize("kind", ["fifo", "socket", "link"])
def test_what_is_no_regular_file_is_not_waited_for(machine: LiveMachine, tmp_path: Path, kind: str) -> None:
    machine.write("/etc/default/grub.d/a.cfg", "")
    path = tmp_path / "etc/default/grub.d/b.cfg"
    if kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        os.mkfifo(tmp_path / "fifo" if kind == "link" else path)
    if kind == "link":
        path.symlink_to("/fifo")
    assert machine.glob("/etc/default/grub.d/*.cfg")[1] == "/etc/default/grub.d/b.cfg"
    with pytest.raises(NodeError) as caught:
        machine.read("/etc/default/grub.d/b.cfg")
    assert str(caught.value) == (
        "/etc/default/grub.d/b.cfg: cannot be read: it is no regular file; see what it is, and move it away"
    )


def test_of_devices_only_the_null_device_is_a_file(tmp_path: Path) -> None:
    for name in ("null", "zero"):
        (tmp_path / name).symlink_to(f"/dev/{name}")
    machine = LiveMachine(no_commands)
    assert machine.read(f"{tmp_path}/null") == ""
    with pytest.raises(NodeError, match="zero: cannot be read: it is no regular file"):
        machine.read(f"{tmp_path}/zero")


def test_a_file_without_an_end_is_not_read_whole(
    machine: LiveMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.accel.qat.plugins.module_utils._host.machine._LARGEST", 3)
    (tmp_path / "file").write_text("abc")
    assert machine.read("/file") == "abc"
    (tmp_path / "file").write_text("abcd")
    with pytest.raises(NodeError) as caught:
        machine.read("/file")
    assert str(caught.value) == "/file: cannot be read: it has more than 3 bytes; see what has written it"


def test_globs_and_removes(machine: LiveMachine) -> None:
    for name in ("b.cfg", "a.cfg", "c.txt"):
        machine.write(f"/etc/default/grub.d/{name}", "")
    assert machine.glob("/etc/default/grub.d/*.cfg") == ["/etc/default/grub.d/a.cfg", "/etc/default/grub.d/b.cfg"]
    machine.remove("/etc/default/grub.d/a.cfg")
    machine.remove("/etc/default/grub.d/a.cfg")
    assert not machine.exists("/etc/default/grub.d/a.cfg")
    assert machine.exists("/etc/default/grub.d")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR])
def test_what_cannot_be_seen_is_not_absent(machine: LiveMachine, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    machine.write("/boot/loader/entries/a.conf", "")
    error = OSError(number, os.strerror(number))

    def fails(*_arguments: object, **_named: object) -> t.NoReturn:
        raise error

    for name, look, done in (
        ("listdir", lambda: machine.glob("/boot/loader/entries/*.conf"), "/boot/loader/entries: cannot be listed"),
        ("stat", lambda: machine.exists("/boot/loader"), "/boot/loader: cannot be looked at"),
        (
            "unlink",
            lambda: machine.remove("/boot/loader/entries/a.conf"),
            "/boot/loader/entries/a.conf: cannot be removed",
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fails)
            with pytest.raises(NodeError) as caught:
                look()
        assert str(caught.value).startswith(f"{done}: {os.strerror(number)}")
    assert machine.glob("/boot/loader/entries/*.conf") == ["/boot/loader/entries/a.conf"]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR])
def test_a_file_on_the_way_is_no_directory(machine: LiveMachine, number: int) -> None:
    if number == errno.ENOTDIR:
        machine.write("/boot/loader", "")
    assert machine.glob("/boot/loader/entries/*.conf") == []
    assert machine.glob("/boot/*/grub.cfg") == []
    assert not machine.exists("/boot/loader/entries")
    assert machine.read("/boot/loader/entries") is None
    machine.remove("/boot/loader/entries")


def test_a_pattern_is_that_of_a_shell(machine: LiveMachine) -> None:
    for name in ("a.cfg", ".hidden.cfg", ".accel-qat-x", "b.conf"):
        machine.write(f"/etc/default/grub.d/{name}", "")
    assert machine.glob("/etc/default/grub.d/*.cfg") == ["/etc/default/grub.d/a.cfg"]
    assert machine.glob("/*/default/grub.d") == ["/etc/default/grub.d"]
    assert machine.glob("/etc/default") == ["/etc/default"]


def test_a_removal_is_on_the_disk(machine: LiveMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.write("/etc/a", "")
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_directory", synced.append)
    machine.remove("/etc/a")
    assert synced == [str(tmp_path / "etc")]

    def fails(_path: str) -> t.NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    machine.write("/etc/a", "")
    monkeypatch.setattr(files, "sync_directory", fails)
    with pytest.raises(NodeError, match="/etc/a: cannot be removed: Input/output error"):
        machine.remove("/etc/a")


def test_a_root_with_special_characters_is_taken_literally(tmp_path: Path) -> None:
    machine = LiveMachine(no_commands, str(tmp_path / "[host]*") + "/")
    machine.write("/etc/x.cfg", "")
    assert machine.glob("/etc/*.cfg") == ["/etc/x.cfg"]


def test_finds_commands_by_directory_not_by_path(
    machine: LiveMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    command = tmp_path / "usr/sbin/update-grub"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    assert machine.command("update-grub") is None
    command.chmod(0o755)
    assert machine.command("update-grub") == "/usr/sbin/update-grub"


def recorder(calls: list[list[str]], result: CommandResult) -> t.Callable[[t.Sequence[str]], CommandResult]:
    def run(command: t.Sequence[str]) -> CommandResult:
        calls.append(list(command))
        return result

    return run


def test_runs_commands_of_another_root_by_chroot() -> None:
    calls: list[list[str]] = []
    LiveMachine(recorder(calls, CommandResult(0))).run(["update-grub"])
    LiveMachine(recorder(calls, CommandResult(0)), "/host/").run(["update-grub"])
    assert calls[0] == ["update-grub"]
    assert calls[1][0].endswith("/chroot")
    assert calls[1][1:] == ["/host", "update-grub"]


def test_a_chroot_that_is_not_allowed_is_reported() -> None:
    denied = CommandResult(125, "", "chroot: cannot change root directory to '/host': Operation not permitted\n")
    with pytest.raises(RefusedError) as caught:
        LiveMachine(recorder([], denied), "/host").run(["update-grub"])
    assert str(caught.value) == (
        "/host: the node's command update-grub cannot be run from here: chroot: cannot change root directory to '/host':"
        " Operation not permitted; run the module as root with CAP_SYS_CHROOT, or manage the node directly"
    )


def test_a_missing_chroot_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name, **_where: None)
    with pytest.raises(RefusedError) as caught:
        LiveMachine(no_commands, "/host").run(["update-grub"])
    assert str(caught.value) == (
        "/host: the node's command update-grub cannot be run from here, because there is no chroot; install coreutils where"
        " the module runs, or manage the node directly"
    )


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (CommandResult(1, "out", " a \n\n b\n"), "a / b"),
        (CommandResult(1, "out\n", "\n"), "out"),
        (CommandResult(1), "it said nothing"),
        (CommandResult(1, "", "1\n2\n3\n4\n5\n6\n"), "2 / 3 / 4 / 5 / 6"),
        (CommandResult(1, "", "10%\r100%\nno space\r\n"), "10% / 100% / no space"),
    ],
)
def test_last_lines(result: CommandResult, expected: str) -> None:
    assert last_lines(result) == expected


def test_says_where_its_file_system_is(machine: LiveMachine, tmp_path: Path) -> None:
    assert machine.root == str(tmp_path)
    assert LiveMachine(no_commands).root == "/"


def test_a_file_with_a_mode_of_its_own_has_it_from_the_start(
    machine: LiveMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    replace = os.replace

    def replacing(source: str, target: str) -> None:
        modes.append(stat.S_IMODE(os.stat(source).st_mode))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    (tmp_path / "file").write_text("for all to read")
    machine.write("/file", "secret", 0o600)
    machine.write("/new", "secret", 0o600)
    assert modes == [0o600, 0o600]
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_what_was_removed_is_gone_from_the_disk_too(
    machine: LiveMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    sync = os.fsync

    def syncing(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (tmp_path / "etc/file").exists()))
        sync(descriptor)

    machine.write("/etc/file", "x")
    monkeypatch.setattr(os, "fsync", syncing)
    machine.remove("/etc/file")
    machine.remove("/etc/file")
    machine.remove("/no/such/file")
    assert synced == [(str(tmp_path / "etc"), False)] * 2


def test_a_removal_that_fails_is_reported(machine: LiveMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    monkeypatch.setattr(os, "unlink", failing)
    with pytest.raises(NodeError, match="/file: cannot be removed: Input/output error"):
        machine.remove("/file")
