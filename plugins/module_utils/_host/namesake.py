# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Another program by the name of ours: Ubuntu's package qat-tools brings a `qatctl` too, which does something else."""

from __future__ import annotations

import os
import re
import stat
import typing as t

from .._node.absence import if_there
from .._node.errors import RefusedError, cannot_be_read
from .._node.facts.paths import COMMAND_DIRECTORIES
from .installed import QATCTL_PACKAGE
from .packed import Run

_READ = 65536
"""Of a file: ours has the name of its package in the first kilobyte, where a zip file has the names of its first parts."""

_REMEDY = "name ours otherwise by qat_node_qatctl_path, such as /usr/local/sbin/accel-qatctl, or remove the other one"
# dpkg-query(1), on --search; rpm prints a sentence with blanks where no package has the file.
_OWNERS = (("dpkg", "-S"), ("rpm", "-qf", "--queryformat", "%{NAME}"))
_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9+._-]*)(?::[a-z0-9]+)?(?:: /.*)?")


def refuse_namesake(path: str, run: Run, root: str = "/") -> None:
    """Raises RefusedError where a program that is not ours is at the path, or is a command of the node that ours would hide.

    `root` is where the node's file system is mounted; `run` runs commands of the node, and says by them which package has the file.
    Raises NodeError where that cannot be seen.
    """
    for place in dict.fromkeys([path, *_commands_of_this_name(path)]):
        if _is_of_others(os.path.join(root, place.lstrip("/"))):
            package = _package_of(place, run)
            by_package = f", of the package {package}" if package else ""
            raise RefusedError(f"{place} is another program of this name{by_package}", path, _REMEDY)


def _commands_of_this_name(path: str) -> t.Sequence[str]:
    """Where a shell would look for it, if it looks where ours is."""
    directory, name = os.path.split(path)
    return [f"{one}/{name}" for one in COMMAND_DIRECTORIES] if directory in COMMAND_DIRECTORIES else []


def _is_of_others(place: str) -> bool:
    """Whether there is a file with something else in it. One that is empty is nobody's program."""
    try:
        begin = if_there(lambda: _begin(place), b"")
    except NotADirectoryError:
        return False
    except OSError as error:
        raise cannot_be_read(error) from None
    return bool(begin) and f"{QATCTL_PACKAGE}/".encode() not in begin


def _begin(place: str) -> bytes:
    """The first bytes of a file; none of what is no file."""
    # What is no file may make whoever opens it wait.
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(descriptor, _READ) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)


def _package_of(place: str, run: Run) -> str:
    """The package that has brought the file, empty where nobody knows."""
    for command in _OWNERS:
        found = _PACKAGE.fullmatch(run([*command, place]).partition("\n")[0].strip())
        if found:
            return found[1]
    return ""
