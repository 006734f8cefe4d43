# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The port through which boot loaders reach a node, and the real node behind it."""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import shutil
import stat
import typing as t
from dataclasses import dataclass

from .._node.absence import is_absent
from .._node.errors import NodeError, RefusedError, remedy_for
from .._node.facts.paths import COMMAND_DIRECTORIES
from .._node.fields import lines_in
from .._node.files import Owner, read_whole, remove_file, replace_file

_MOST_LINKS = 40
# What is asked for is settings, and lists such as grub.cfg and the mounts of a node with thousands of pods.
_LARGEST = 64 << 20
# coreutils chroot(1): 125 when chroot itself fails, before the command is started.
_CHROOT_FAILED = 125


@dataclass(frozen=True)
class CommandResult:
    """How a command ended."""

    code: int
    out: str = ""
    err: str = ""


Runner = t.Callable[[t.Sequence[str]], CommandResult]


class Machine(t.Protocol):
    """What a boot loader may ask of a node. Paths are the node's own, absolute."""

    def read(self, path: str) -> str | None:
        """The file's text, or None when there is none. Raises NodeError when it cannot be read."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory."""

    def glob(self, pattern: str) -> list[str]:
        """The paths that match, sorted by their bytes."""

    def attributes(self, path: str) -> tuple[int, Owner] | None:
        """Permission bits and owner of the file, or None when there is none. Raises NodeError."""

    def write(self, path: str, text: str, mode: int | None = None, owner: Owner | None = None) -> None:
        """Put a file there whole or not at all. Raises NodeError.

        Mode and owner of an older one are kept, but where a mode is given: then it belongs to `owner`, or to who runs this.
        """

    def remove(self, path: str) -> None:
        """Take the file away, from the disk too; none is fine. Raises NodeError."""

    def command(self, name: str) -> str | None:
        """The path of a command the node has, or None."""

    def run(self, command: t.Sequence[str]) -> CommandResult:
        """Run a command on the node. Raises NodeError when it cannot be started."""


class LiveMachine:
    """The machine this process runs on, or one whose file system is mounted at `root`; commands then run by chroot."""

    def __init__(self, runner: Runner, root: str = "/", directories: t.Sequence[str] = COMMAND_DIRECTORIES) -> None:
        self._runner = runner
        self._root = root.rstrip("/")
        self._directories = directories

    @property
    def root(self) -> str:
        """Where the machine's file system is mounted."""
        return self._root or "/"

    def _at(self, path: str) -> str:
        """Where the path is for this process; links are followed inside the node's file system, in each part of the path."""
        place, ahead = self._root, path.split("/")[::-1]
        for _link in range(_MOST_LINKS):
            while ahead:
                part = ahead.pop()
                if part == ".." and place != self._root:
                    place = os.path.dirname(place)
                elif part not in ("", ".", ".."):
                    place = f"{place}/{part}"
                    if os.path.islink(place):
                        break
            else:
                return place or "/"
            target = os.readlink(place)
            place = self._root if target.startswith("/") else os.path.dirname(place)
            ahead += target.split("/")[::-1]
        raise NodeError("the symbolic link leads in a circle", path, "repair it")

    def target(self, path: str) -> str:
        """The path on the node to which links lead from this one. Raises NodeError."""
        return self._at(path)[len(self._root) :] or "/"  # noqa: E203

    def read(self, path: str) -> str | None:
        try:
            # Bytes that are no UTF-8 must come back as they were when the file is put back.
            return read_whole(self._at(path), _LARGEST).decode("utf-8", "surrogateescape")
        except ValueError as error:
            raise NodeError(f"cannot be read: {error}", path, "see what has written it") from None
        except OSError as error:
            if _no_such_path(error):
                return None
            raise _cannot("read", path, error) from None

    def exists(self, path: str) -> bool:
        try:
            os.stat(self._at(path))
        except OSError as error:
            if _no_such_path(error):
                return False
            raise _cannot("looked at", path, error) from None
        return True

    def glob(self, pattern: str) -> list[str]:
        found = [""]
        for part in pattern.split("/")[1:]:
            found = [f"{directory}/{name}" for directory in found for name in self._names(directory, part)]
        return sorted(filter(self.exists, found))

    def _names(self, directory: str, part: str) -> list[str]:
        """What may stand for this part of a pattern; a name that begins with a dot only where it says so."""
        if not glob.has_magic(part):
            return [part]
        try:
            names = os.listdir(self._at(directory))
        except OSError as error:
            if _no_such_path(error):
                return []
            raise _cannot("listed", directory, error) from None
        return [name for name in fnmatch.filter(names, part) if part.startswith(".") or not name.startswith(".")]

    def attributes(self, path: str) -> tuple[int, Owner] | None:
        try:
            found = os.stat(self._at(path))
        except OSError as error:
            if _no_such_path(error):
                return None
            raise _cannot("looked at", path, error) from None
        return stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)

    def write(self, path: str, text: str, mode: int | None = None, owner: Owner | None = None) -> None:
        content = text.encode("utf-8", "surrogateescape")
        try:
            if mode is None:
                replace_file(self._at(path), content)
            else:
                replace_file(self._at(path), content, mode, keep=False, owner=owner)
        except OSError as error:
            raise _cannot("written", path, error) from None

    def remove(self, path: str) -> None:
        try:
            remove_file(self._at(path))
        except OSError as error:
            if not _no_such_path(error):
                raise _cannot("removed", path, error) from None

    def command(self, name: str) -> str | None:
        for directory in self._directories:
            path = f"{directory}/{name}"
            if os.access(self._at(path), os.X_OK):
                return path
        return None

    def run(self, command: t.Sequence[str]) -> CommandResult:
        if not self._root:
            return self._runner(command)
        chroot = shutil.which("chroot", path=":".join(self._directories))
        if chroot is None:
            raise RefusedError(
                f"the node's command {command[0]} cannot be run from here, because there is no chroot",
                self._root,
                "install coreutils where the module runs, or manage the node directly",
            )
        result = self._runner([chroot, self._root, *command])
        if result.code == _CHROOT_FAILED:
            raise RefusedError(
                f"the node's command {command[0]} cannot be run from here: {last_lines(result)}",
                self._root,
                "run the module as root with CAP_SYS_CHROOT, or manage the node directly",
            )
        return result


def last_lines(result: CommandResult, count: int = 5) -> str:
    """The last lines a command said, in one line; standard error first, for it says more."""
    said = result.err.strip() or result.out.strip()
    lines = [line.strip() for line in lines_in(said.replace("\r", "\n")) if line.strip()]
    return " / ".join(lines[-count:]) or "it said nothing"


def _no_such_path(error: OSError) -> bool:
    """Whether there is nothing at the path, be it because a part of it is a file and no directory."""
    return is_absent(error) or error.errno == errno.ENOTDIR


def _cannot(done: str, path: str, error: OSError) -> NodeError:
    remedy = "see what it is, and move it away" if error.errno == errno.EINVAL else ""
    return NodeError(f"cannot be {done}: {error.strerror or error}", path, remedy_for(error, remedy))
