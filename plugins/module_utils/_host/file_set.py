# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files, links and directories that are brought about together: what is wanted, what is there, and the way between."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import typing as t
from dataclasses import dataclass

from .._node.errors import ConfigurationError, NodeError, RefusedError, remedy_for
from .._node.files import (
    is_draft,
    make_directories,
    open_regular,
    remove_drafts,
    replace_file,
    replace_link,
    sync_directory,
)
from .edits import difference

State = t.Literal["present", "link", "directory", "absent", "absent_if_empty"]
Kind = t.Literal["file", "link", "directory", "absent", "something else"]

STATES: tuple[State, ...] = t.get_args(State)

# The option that says what is in it.
_TEXT: t.Mapping[State, str] = {"present": "content", "link": "target"}
_KIND: t.Mapping[State, Kind] = {
    "present": "file",
    "link": "link",
    "directory": "directory",
    "absent": "absent",
    "absent_if_empty": "absent",
}
_LOOK = "see that its file system has room and may be written"
MOUNTS = "/proc/self/mountinfo"
_OCTAL = re.compile(r"\\([0-7]{3})")
_MODE: t.Mapping[Kind, int] = {"file": 0o644, "directory": 0o755}
_MODE_OF_PROGRAMS = 0o755


@dataclass(frozen=True)
class Entry:
    """What is wanted at a path. `text` is the content of a file, or where a link leads; others have none.

    A file that can be run has `program` as its content. What is to go is only a file in which `holds` stands, unless that is empty.
    """

    path: str
    state: State
    text: str = ""
    program: bytes | None = None
    holds: str = ""

    @property
    def content(self) -> bytes:
        return self.text.encode() if self.program is None else self.program

    @property
    def mode(self) -> int | None:
        return _MODE.get(_KIND[self.state]) if self.program is None else _MODE_OF_PROGRAMS


@dataclass(frozen=True)
class OnDisk:
    """What is at a path. `mode` are permission bits; it and `owner`, user and group id, are those of files and directories.

    `names` are what is in a directory that is to go if nothing is in it.
    """

    kind: Kind
    content: bytes = b""
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    names: frozenset[str] = frozenset()

    def is_wanted(self, entry: Entry) -> bool:
        """Whether nothing is left to do. Files and directories belong to who runs this, and others may only read them."""
        if (self.kind, self.content) != (_KIND[entry.state], entry.content):
            return False
        return entry.mode is None or (self.mode, self.owner) == (entry.mode, _owner())


@dataclass(frozen=True)
class Change:
    """What is wanted and not there, and what is there instead."""

    entry: Entry
    found: OnDisk

    def diff(self) -> dict[str, str]:
        """The change as diff mode shows it."""
        before, after = _shown(self.found), _shown(_as_found(self.entry))
        if before == after:
            before, after = _attributes(self.found), _attributes(_as_found(self.entry))
        return difference(self.entry.path, before, after)


def read_entries(items: t.Sequence[t.Mapping[str, t.Any]]) -> list[Entry]:
    """The module's option `files` as entries. Raises ConfigurationError."""
    entries: list[Entry] = []
    for index, item in enumerate(items):
        where = f"files[{index}]"
        path, state = os.path.normpath(item["path"]), item["state"]
        if not os.path.isabs(path):
            raise ConfigurationError(
                f"{item['path']} is relative", f"{where}.path", "name it from the root, with a leading /"
            )
        if path in (entry.path for entry in entries):
            raise ConfigurationError(f"{path} is given twice", f"{where}.path", "give each path once")
        for option in _TEXT.values():
            wants, has = _TEXT.get(state) == option, item[option] is not None
            if wants and not has:
                raise ConfigurationError("is missing", f"{where}.{option}", f"state {state} needs it")
            if has and not wants:
                raise _means_nothing(f"{where}.{option}", state)
        if item["holds"] and state != "absent":
            raise _means_nothing(f"{where}.holds", state)
        entries.append(Entry(path, state, item[_TEXT[state]] if state in _TEXT else "", holds=item["holds"] or ""))
    return entries


def _means_nothing(where: str, state: State) -> ConfigurationError:
    return ConfigurationError(f"means nothing with state {state}", where, "leave it out")


def plan(entries: t.Iterable[Entry]) -> list[Change]:
    """What there is to change, in the order of the entries. Raises RefusedError where something else is in the way."""
    changes: list[Change] = []
    gone: set[str] = set()
    for entry in entries:
        change = Change(entry, look(entry))
        if change.found.is_wanted(entry) or _stays(change, gone) or _is_of_others(change):
            continue
        _refuse_what_is_in_the_way(change)
        _refuse_what_nobody_removes(change)
        if _KIND[entry.state] == "absent":
            gone.add(entry.path)
        changes.append(change)
    return changes


def _stays(change: Change, gone: t.Collection[str]) -> bool:
    """Whether a directory that goes only when it is empty has something in it that does not go before, or is a mount point."""
    path, found = change.entry.path, change.found
    if change.entry.state != "absent_if_empty":
        return False
    full = any(os.path.join(path, name) not in gone for name in found.names)
    return full or found.kind != "directory" or path in _mount_points()


def _is_of_others(change: Change) -> bool:
    """Whether what is to go only if it is ours is something else."""
    holds, found = change.entry.holds.encode(), change.found
    return bool(holds) and not (found.kind == "file" and holds in found.content)


def look(entry: Entry) -> OnDisk:
    """What is at the path of an entry. A link to a directory is as good as one, where a directory is wanted. Raises NodeError."""
    try:
        status = os.lstat(entry.path)
        if stat.S_ISLNK(status.st_mode) and entry.state == "directory" and os.path.isdir(entry.path):
            status = os.stat(entry.path)
        if stat.S_ISLNK(status.st_mode):
            return OnDisk("link", os.readlink(entry.path).encode())
        mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        if stat.S_ISDIR(status.st_mode):
            names = os.listdir(entry.path) if entry.state == "absent_if_empty" else ()
            return OnDisk("directory", b"", mode, owner, frozenset(name for name in names if not is_draft(name)))
        if not stat.S_ISREG(status.st_mode):
            return OnDisk("something else")
        with open(entry.path, "rb", opener=open_regular) as stream:
            return OnDisk("file", stream.read(), mode, owner)
    except (FileNotFoundError, NotADirectoryError):
        return OnDisk("absent")
    except OSError as error:
        raise NodeError(f"cannot be read: {error.strerror}", entry.path, remedy_for(error, _LOOK)) from error


def apply(change: Change) -> None:
    """Bring one about. A power cut leaves a file or link as it was or as it is wanted, and may leave part of a directory's removal.

    Raises NodeError.
    """
    entry = change.entry
    try:
        if entry.state == "present":
            replace_file(entry.path, entry.content, entry.mode or 0, keep=False)
        elif entry.state == "link":
            replace_link(entry.path, entry.text)
        elif entry.state == "directory":
            make_directories(entry.path)
            os.chown(entry.path, *_owner())
            os.chmod(entry.path, _MODE["directory"])
        else:
            _remove(change)
    except OSError as error:
        raise _cannot_be_changed(entry.path, error) from error


def _cannot_be_changed(path: str, error: OSError) -> NodeError:
    return NodeError(f"cannot be changed: {error.strerror}", path, remedy_for(error, _LOOK))


def _remove(change: Change) -> None:
    path = change.entry.path
    if change.entry.state == "absent_if_empty":
        remove_drafts(path, 0)
        os.rmdir(path)
    elif change.found.kind == "directory":
        shutil.rmtree(path)
    else:
        os.unlink(path)
    sync_directory(os.path.dirname(path))


def sync_removals(entries: t.Iterable[Entry], changes: t.Iterable[Change]) -> None:
    """Have on the disk what an earlier run has removed: it may have been cut off before that was there. Raises NodeError."""
    changed = {change.entry.path for change in changes}
    gone = (entry.path for entry in entries if _KIND[entry.state] == "absent" and entry.path not in changed)
    for above, path in {_above(path): path for path in gone}.items():
        try:
            sync_directory(above)
        except OSError as error:
            # Nothing is yet to come to the disk where this run could not have removed anything, nor where it cannot even look.
            if error.errno not in (errno.EROFS, errno.EINVAL, errno.EACCES, errno.EPERM):
                raise _cannot_be_changed(path, error) from error


def _above(path: str) -> str:
    """The nearest directory that there is: others between may have been removed, too."""
    above = os.path.dirname(path)
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    return above


def _refuse_what_nobody_removes(change: Change) -> None:
    """A slip in a variable must not cost the node. Below a mount point are the files of something else."""
    path = change.entry.path
    if _KIND[change.entry.state] != "absent" or change.found.kind != "directory":
        return
    if os.path.dirname(path) == "/":
        raise RefusedError("is a directory of the operating system itself", path, "name a directory below it")
    inside = next(
        (mount for mount in _mount_points() if mount == path or mount.startswith(path.rstrip("/") + "/")), None
    )
    if inside is not None:
        what = "is a mount point" if inside == path else f"has the mount point {inside} in it"
        raise RefusedError(what, path, "unmount it first, or name another path")


def _mount_points() -> list[str]:
    """Where something is mounted in this namespace, by proc(5) on mountinfo: the fifth word, with some characters as octal numbers."""
    with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as stream:
        return [_OCTAL.sub(lambda found: chr(int(found[1], 8)), line.split(" ")[4]) for line in stream]


def _refuse_what_is_in_the_way(change: Change) -> None:
    entry, kind = change.entry, change.found.kind
    wanted = _KIND[entry.state]
    if wanted == "absent":
        return
    if kind == "something else" or (kind != "absent" and (kind == "directory") != (wanted == "directory")):
        what = "neither file nor link nor directory" if kind == "something else" else f"a {kind}"
        raise RefusedError(f"is {what}, not a {wanted}", entry.path, "move it away")
    above = os.path.dirname(entry.path)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise RefusedError("is no directory", above, f"move it away, since {entry.path} goes below it")


def _owner() -> tuple[int, int]:
    return os.geteuid(), os.getegid()


def _as_found(entry: Entry) -> OnDisk:
    kind = _KIND[entry.state]
    return OnDisk(kind, entry.content, entry.mode or 0, _owner())


def _shown(found: OnDisk) -> str:
    try:
        text = found.content.decode()
    except UnicodeDecodeError:
        text = f"({len(found.content)} bytes that are no text)\n"
    return {"file": text, "link": f"link to {text}\n", "absent": ""}.get(found.kind, f"{found.kind}\n")


def _attributes(found: OnDisk) -> str:
    return f"mode {found.mode:04o}, owner {found.owner[0]}:{found.owner[1]}\n"
