# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole module files in a real directory."""

from __future__ import annotations

import errno
import json
import os
import stat
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.accel.qat.plugins.module_utils._host import file_set
from ansible_collections.accel.qat.plugins.modules import files

Entry = t.Dict[str, t.Any]  # noqa: UP006
Run = t.Callable[..., t.Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_main(*entries: Entry, check: bool = False, **options: t.Any) -> t.Any:
        arguments = {
            **options,
            "files": [{**entry, "path": str(entry["path"])} for entry in entries],
            "_ansible_check_mode": check,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit) as caught:
            files.main()
        result = json.loads(capsys.readouterr().out)
        assert bool(caught.value.code) == bool(result.get("failed"))
        return result

    return run_main


def below(directory: Path) -> dict[str, str]:
    """All that is below a directory, each with what it is and what is in it."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            said = f"-> {os.readlink(path)}"
        else:
            said = f"{stat.S_IMODE(status.st_mode):04o} {path.read_text() if path.is_file() else ''}"
        found[str(path.relative_to(directory))] = said
    return found


@pytest.fixture
def strict_umask() -> t.Iterator[None]:
    """Root's on some nodes."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
def test_check_do_check_again_do_again(tmp_path: Path, run: Run) -> None:
    (tmp_path / "old/deep").mkdir(parents=True)
    (tmp_path / "old/deep/file").write_text("gone\n")
    (tmp_path / "changed").write_text("before\n")
    (tmp_path / "kept").write_text("kept\n")
    (tmp_path / "kept").chmod(0o644)
    wanted: list[Entry] = [
        {"path": tmp_path / "new/unit", "content": "[Unit]\nDescription=Grüße\n"},
        {"path": tmp_path / "changed", "content": "after\n"},
        {"path": tmp_path / "kept", "content": "kept\n"},
        {"path": tmp_path / "wants/unit", "state": "link", "target": "../new/unit"},
        {"path": tmp_path / "records", "state": "directory"},
        {"path": tmp_path / "old", "state": "absent"},
        {"path": tmp_path / "never", "state": "absent"},
    ]
    before = below(tmp_path)
    checked = run(*wanted, check=True)
    assert below(tmp_path) == before
    done = run(*wanted)
    compared = ("changed", "paths", "diff")
    assert [done[name] for name in compared] == [checked[name] for name in compared]
    assert done["changed"]
    names = ["new/unit", "changed", "wants/unit", "records", "old"]
    assert done["paths"] == [str(tmp_path / name) for name in names]
    shown = [(entry["before"], entry["after"]) for entry in done["diff"]]
    assert shown == [
        ("", "[Unit]\nDescription=Grüße\n"),
        ("before\n", "after\n"),
        ("", "link to ../new/unit\n"),
        ("", "directory\n"),
        ("directory\n", ""),
    ]
    assert [entry["after_header"] for entry in done["diff"]] == done["paths"]
    after = below(tmp_path)
    assert after == {
        "changed": "0644 after\n",
        "kept": "0644 kept\n",
        "new": "0755 ",
        "new/unit": "0644 [Unit]\nDescription=Grüße\n",
        "records": "0755 ",
        "wants": "0755 ",
        "wants/unit": "-> ../new/unit",
    }
    for check in (True, False):
        again = run(*wanted, check=check)
        assert [again[name] for name in compared] == [False, [], []]
    assert below(tmp_path) == after


@pytest.mark.parametrize(
    ("there", "entry", "left"),
    [
        ("link", {"content": "text\n"}, "0644 text\n"),
        ("file", {"state": "link", "target": "/dev/null"}, "-> /dev/null"),
        ("other link", {"state": "link", "target": "/dev/null"}, "-> /dev/null"),
        ("file", {"state": "absent"}, None),
        ("link", {"state": "absent"}, None),
    ],
)
def test_files_and_links_replace_each_other(
    there: str, entry: Entry, left: str | None, tmp_path: Path, run: Run
) -> None:
    aside, path = tmp_path / "aside", tmp_path / "path"
    aside.write_text("not ours\n")
    aside.chmod(0o600)
    if there == "file":
        path.write_text("before\n")
    else:
        path.symlink_to(aside if there == "link" else "/dev/zero")
    assert run({"path": path, **entry})["paths"] == [str(path)]
    found = below(tmp_path)
    assert found.pop("aside") == "0600 not ours\n"
    assert found == ({} if left is None else {"path": left})


def test_what_is_no_text_is_not_shown(tmp_path: Path, run: Run) -> None:
    (tmp_path / "path").write_bytes(b"PK\x03\x04\xff\xfe")
    (shown,) = run({"path": tmp_path / "path", "state": "absent"})["diff"]
    assert (shown["before"], shown["after"]) == ("(6 bytes that are no text)\n", "")


def test_a_link_to_a_directory_is_one(tmp_path: Path, run: Run) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "path").symlink_to("real")
    assert not run({"path": tmp_path / "path", "state": "directory"})["changed"]
    assert run({"path": tmp_path / "path", "state": "absent"})["changed"]
    assert below(tmp_path) == {"real": "0755 "}


@pytest.mark.parametrize(("entry", "mode"), [({"content": "text\n"}, 0o644), ({"state": "directory"}, 0o755)])
def test_the_mode_is_put_right(entry: Entry, mode: int, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "path"
    run({"path": path, **entry})
    path.chmod(0o700)
    done = run({"path": path, **entry})
    (shown,) = done["diff"]
    owner = f"owner {os.geteuid()}:{os.getegid()}\n"
    assert (shown["before"], shown["after"]) == (f"mode 0700, {owner}", f"mode {mode:04o}, {owner}")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            {"path": "etc/unit", "content": ""},
            "files[1].path: etc/unit is relative; name it from the root, with a leading /",
        ),
        ({"path": "/a//first", "content": ""}, "files[1].path: /a/first is given twice; give each path once"),
        ({"path": "/a/b"}, "files[1].content: is missing; state present needs it"),
        (
            {"path": "/a/b", "content": "text", "holds": "text"},
            "files[1].holds: means nothing with state present; leave it out",
        ),
        ({"path": "/a/b", "state": "link"}, "files[1].target: is missing; state link needs it"),
        (
            {"path": "/a/b", "state": "absent", "content": "text"},
            "files[1].content: means nothing with state absent; leave it out",
        ),
    ],
)
def test_malformed(entry: Entry, sentence: str, run: Run) -> None:
    failed = run({"path": "/a/first", "state": "absent"}, entry)
    assert (failed["msg"], failed["changed"], failed["failure"]["kind"]) == (sentence, False, "configuration")


@pytest.mark.parametrize(
    ("there", "entry", "problem"),
    [
        ("directory", {"content": "text\n"}, "is a directory, not a file; move it away"),
        ("directory", {"state": "link", "target": "/x"}, "is a directory, not a link; move it away"),
        ("file", {"state": "directory"}, "is a file, not a directory; move it away"),
        ("pipe", {"content": "text\n"}, "is neither file nor link nor directory, not a file; move it away"),
    ],
)
def test_what_is_in_the_way_is_refused_before_the_first_change(
    there: str, entry: Entry, problem: str, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "path"
    make: dict[str, t.Callable[[], None]] = {
        "directory": path.mkdir,
        "file": path.touch,
        "pipe": lambda: os.mkfifo(path),
    }
    make[there]()
    before = below(tmp_path) if there != "pipe" else None
    for check in (True, False):
        failed = run({"path": tmp_path / "first", "content": ""}, {"path": path, **entry}, check=check)
        assert failed["msg"] == f"{path}: {problem}"
        assert (failed["changed"], failed["failure"]["kind"]) == (False, "refused")
    assert before is None or below(tmp_path) == before
    assert not (tmp_path / "first").exists()


@pytest.mark.parametrize("check", [True, False])
def test_what_is_to_go_only_if_it_is_ours(tmp_path: Path, run: Run, check: bool) -> None:
    (tmp_path / "ours").write_text("PK our_package/main")
    (tmp_path / "theirs").write_text("exec their_package")
    (tmp_path / "directory/our_package").mkdir(parents=True)
    (tmp_path / "link").symlink_to("our_package/main")
    names = ("ours", "theirs", "directory", "link", "never")
    before = below(tmp_path)
    entries = [{"path": tmp_path / name, "state": "absent", "holds": "our_package/"} for name in names]
    assert run(*entries, check=check)["paths"] == [str(tmp_path / "ours")]
    assert below(tmp_path) == {name: before[name] for name in before if check or name != "ours"}


def test_a_file_above_is_refused_before_the_first_change(tmp_path: Path, run: Run) -> None:
    (tmp_path / "above").touch()
    path = tmp_path / "above/deep/unit"
    failed = run({"path": tmp_path / "first", "content": ""}, {"path": path, "content": ""})
    assert failed["msg"] == f"{tmp_path}/above: is no directory; move it away, since {path} goes below it"
    assert not (tmp_path / "first").exists()
    assert not run({"path": path, "state": "absent"})["changed"]


@pytest.mark.parametrize("entry", [{"content": "after\n"}, {"state": "link", "target": "/x"}])
def test_a_failure_leaves_the_old_one_and_nothing_else(
    entry: Entry, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path").write_text("before\n")
    replace = os.replace

    def refuse(source: str, path: str) -> None:
        if path.endswith("/path"):
            raise OSError(28, "No space left on device")
        replace(source, path)

    monkeypatch.setattr(os, "replace", refuse)
    failed = run({"path": tmp_path / "first", "content": "written\n"}, {"path": tmp_path / "path", **entry})
    sentence = f"{tmp_path}/path: cannot be changed: No space left on device; make room on that file system"
    # The first one was, and the next run finds it so.
    assert (failed["msg"], failed["changed"], failed["failure"]["kind"]) == (sentence, True, "node")
    assert sorted(below(tmp_path)) == ["first", "path"]
    assert (tmp_path / "path").read_text() == "before\n"


def test_what_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        order.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        sync(descriptor)

    def note_replace(source: str, path: str) -> None:
        order.append("replace")
        replace(source, path)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    run({"path": tmp_path / "path", "content": "text\n"})
    run({"path": tmp_path / "path", "state": "absent"})
    assert order == ["content", "replace", "directory", "directory"]


@pytest.mark.parametrize("state", ["absent", "absent_if_empty"])
def test_what_an_earlier_run_has_removed_is_brought_to_the_disk(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """It may have been cut off before that; a power cut would bring the file back."""
    synced: list[str] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    wanted: list[Entry] = [{"path": tmp_path / name, "state": state} for name in ("one", "two", "gone/too/three")]
    assert not run(*wanted, check=True)["changed"]
    assert synced == []
    assert not run(*wanted)["changed"]
    assert synced == [str(tmp_path)]


@pytest.mark.parametrize(
    ("number", "fails"), [(errno.EIO, True), (errno.ENOSPC, True), (errno.EROFS, False), (errno.EINVAL, False)]
)
def test_a_removal_that_does_not_come_to_the_disk_is_reported(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, number: int, fails: bool
) -> None:
    """A file system that cannot be written has nothing to bring there; some cannot even be asked."""

    def failing(_descriptor: int) -> t.NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    result = run({"path": tmp_path / "gone", "state": "absent"})
    assert not result["changed"]
    remedy = (
        "see that its file system has room and may be written"
        if number == errno.EIO
        else "make room on that file system"
    )
    said = f"{tmp_path}/gone: cannot be changed: {os.strerror(number)}; {remedy}"
    assert result.get("msg") == (said if fails else None)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_removal_in_a_directory_that_may_not_be_read_has_nothing_to_do(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Of mode 0711 for another user than its owner, or over NFS with root_squash."""
    opened = os.open

    def failing(path: t.Any, *more: t.Any, **options: t.Any) -> int:
        if str(path) == str(tmp_path):
            raise OSError(number, os.strerror(number))
        return opened(path, *more, **options)

    monkeypatch.setattr(os, "open", failing)
    result = run({"path": tmp_path / "gone", "state": "absent"})
    assert not result["changed"]
    assert "msg" not in result


def test_a_directory_goes_only_with_nothing_of_others_in_it(tmp_path: Path, run: Run) -> None:
    """What goes before it in the same run does not count, nor what a crash has left of writing there."""
    for name in ("emptied", "full", "empty", "left"):
        (tmp_path / name).mkdir()
    for name in ("emptied/ours", "full/ours", "full/of others", "left/.accel-qat-x1y2"):
        (tmp_path / name).touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("empty")
    names = ["emptied", "full", "empty", "left", "file", "link", "never"]
    wanted: list[Entry] = [
        {"path": tmp_path / "emptied/ours", "state": "absent"},
        {"path": tmp_path / "full/ours", "state": "absent"},
        *({"path": tmp_path / name, "state": "absent_if_empty"} for name in names),
    ]
    goes = ["emptied/ours", "full/ours", "emptied", "empty", "left"]
    before = below(tmp_path)
    assert run(*wanted, check=True)["paths"] == [str(tmp_path / name) for name in goes]
    assert below(tmp_path) == before
    assert run(*wanted)["paths"] == [str(tmp_path / name) for name in goes]
    assert set(below(tmp_path)) == {"full", "full/of others", "file", "link"}
    assert not run(*wanted)["changed"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/", "is a directory of the operating system itself; name a directory below it"),
        ("/usr/", "is a directory of the operating system itself; name a directory below it"),
        ("/opt/mounted", "is a mount point; unmount it first, or name another path"),
        ("/opt/above", "has the mount point /opt/above/a b in it; unmount it first, or name another path"),
    ],
)
def test_a_slip_in_a_path_does_not_cost_the_node(
    path: str, problem: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = file_set.OnDisk("directory", b"", 0o755, (0, 0))
    monkeypatch.setattr(
        file_set, "look", lambda entry: directory if entry.state == "absent" else file_set.OnDisk("absent")
    )
    monkeypatch.setattr(file_set, "apply", lambda change: pytest.fail(f"{change.entry.path} was changed"))
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:20 / / rw - ext4 /dev/sda1 rw\n"
        "30 22 0:31 / /opt/mounted rw - tmpfs tmpfs rw\n"
        "31 22 0:32 / /opt/above/a\\040b rw - tmpfs tmpfs rw\n"
    )
    monkeypatch.setattr(file_set, "MOUNTS", str(mounts))
    for check in (True, False):
        failed = run({"path": "/opt/first", "content": ""}, {"path": path, "state": "absent"}, check=check)
        assert failed["msg"] == f"{path.rstrip('/') or '/'}: {problem}"
        assert (failed["changed"], failed["failure"]["kind"]) == (False, "refused")
    assert run({"path": "/opt/mountedly", "state": "absent_if_empty"})["changed"] is False


def test_this_machine_has_mount_points() -> None:
    assert {"/", "/proc"} <= set(file_set._mount_points())


# Units.

UNIT = "warm-up.service"
SYSTEMCTL = """#!/bin/sh
test "$1" = show && exec cat "$0.knows"
echo "$*" >> "$0.commands"
printf 'LoadState=%s\\nNeedDaemonReload=no\\n' "$(cat "$0.finds")" > "$0.knows"
"""


class Systemd:
    """A systemctl of the test's own. It knows what is in `knows`, and after it has read its units, what is in `finds`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._program = directory / "systemctl"
        self._program.write_text(SYSTEMCTL)
        self._program.chmod(0o755)
        self._program.with_suffix(".commands").touch()

    def knows(self, load: str, outdated: str, finds: str) -> None:
        self._program.with_suffix(".knows").write_text(f"LoadState={load}\nNeedDaemonReload={outdated}\n")
        self._program.with_suffix(".finds").write_text(finds)

    def commands(self) -> list[str]:
        """Since the last time."""
        path = self._program.with_suffix(".commands")
        found = path.read_text().splitlines()
        path.write_text("")
        return found


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd(tmp_path / "bin")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]))
    return made


@pytest.mark.parametrize(
    ("entry", "left", "loaded"),
    [
        ({"content": "[Service]\n"}, ("not-found", "no"), "loaded"),
        ({"state": "absent"}, ("loaded", "yes"), "not-found"),
    ],
)
def test_systemd_reads_what_was_written_and_what_a_run_that_was_cut_off_has(
    entry: Entry, left: tuple[str, str], loaded: str, tmp_path: Path, run: Run, systemd: Systemd
) -> None:
    path = tmp_path / UNIT
    if "state" in entry:
        path.touch()

    def runs(check: bool) -> tuple[bool, bool, bool, list[str]]:
        done = run({"path": path, **entry}, check=check, units=[UNIT])
        return done["changed"], done["systemd_reloaded"], bool(done["paths"]), systemd.commands()

    systemd.knows(*left, finds=loaded)
    assert runs(check=True) == (True, True, True, [])
    assert runs(check=False) == (True, True, True, ["daemon-reload"])
    for check in (True, False):
        assert runs(check=check) == (False, False, False, [])
    # The files are as wanted, so only systemd can say.
    systemd.knows(*left, finds=loaded)
    assert runs(check=True) == (True, True, False, [])
    assert runs(check=False) == (True, True, False, ["daemon-reload"])
    assert runs(check=False) == (False, False, False, [])


def test_a_unit_that_systemd_does_not_take(tmp_path: Path, run: Run, systemd: Systemd) -> None:
    systemd.knows("not-found", "no", finds="bad-setting")
    failed = run({"path": tmp_path / UNIT, "content": "?\n"}, units=[UNIT])
    sentence = f"{UNIT}: systemd has read the unit, and does not take it: bad-setting; see systemctl status {UNIT}"
    assert (failed["msg"], failed["changed"]) == (sentence, True)


def test_without_units_systemd_is_asked_nothing(tmp_path: Path, run: Run, systemd: Systemd) -> None:
    done = run({"path": tmp_path / UNIT, "content": ""})
    assert (done["changed"], done["systemd_reloaded"], systemd.commands()) == (True, False, [])
