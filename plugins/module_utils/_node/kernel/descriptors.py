# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a process has open, by what the kernel says of it: device numbers, never paths, which anybody can give to any file."""

from __future__ import annotations

import ctypes
import os
import re
import stat
import struct
import typing as t

from ..absence import if_there, is_absent
from ..fields import lines_in, words_in

Number = t.Tuple[int, int]  # noqa: UP006
"""A device's major and minor."""

_VFIO_DEVICE = "anon_inode:[vfio-device]"
"""A VF that came by its group (drivers/vfio/group.c). A path begins with `/`, so nobody can give a file this name."""

_SYSFS_PATH = re.compile(r"^vfio-device-syspath:[ \t]*[^ \t\n]*/([^/ \t\n]+)$", re.MULTILINE)
"""In fdinfo of newer kernels (drivers/vfio/vfio_main.c, vfio_device_show_fdinfo)."""


class OpenFiles(t.NamedTuple):
    """What a process has open of VFIO.

    `numbers` are the character devices of the majors asked for, `addresses` the functions of which it has the device itself. `unnamed`
    says whether it has a function that the kernel does not name.
    """

    numbers: frozenset[Number] = frozenset()
    addresses: frozenset[str] = frozenset()
    unnamed: bool = False


def open_files(process: str, majors: t.Collection[int]) -> OpenFiles:
    """What the process has open whose directory this is. Raises OSError where any of it cannot be seen."""
    found = _open_files(process, majors)
    # A process whose first thread has ended shows nothing itself, though the others go on.
    threads = () if found or not _has_threads(process) else _names(f"{process}/task")
    each = [found, *(_open_files(f"{process}/task/{thread}", majors) for thread in threads)]
    seen = [one for one in each if one is not None]
    numbers = frozenset(number for one in seen for number in one.numbers)
    addresses = frozenset(address for one in seen for address in one.addresses)
    # Whoever has a device by its group has that group open, too, as a rule.
    return OpenFiles(numbers, addresses, any(one.unnamed for one in seen) and not numbers)


_LINKS_OF_ONE_THREAD = 3


def _has_threads(process: str) -> bool:
    """Whether a process has more threads than one, or may have: each is a link of this directory (fs/proc/base.c, proc_task_getattr).

    Most processes without a descriptor are threads of the kernel, of which each is one alone.
    """
    return if_there(lambda: os.stat(f"{process}/task").st_nlink, _LINKS_OF_ONE_THREAD) != _LINKS_OF_ONE_THREAD


def has_open(process: str, links: t.Collection[str]) -> bool:
    """Whether a descriptor of the process has one of these links, in the kernel's own words, as `socket:[4711]` (proc_pid_fd(5)).

    Raises OSError where they cannot be seen. One that the process closes meanwhile says nothing of the others.
    """
    tasks = [process]
    if not _names(f"{process}/fd"):  # as above
        tasks += [f"{process}/task/{thread}" for thread in _names(f"{process}/task")]
    return any(_link(f"{task}/fd/{name}") in links for task in tasks for name in _names(f"{task}/fd"))


def _link(path: str, directory: int | None = None) -> str:
    """What the link says; empty where it is closed by now."""
    return if_there(lambda: os.readlink(path, dir_fd=directory), "")


def _names(directory: str | int) -> t.Sequence[str]:
    nothing: t.Sequence[str] = ()
    return if_there(lambda: os.listdir(directory), nothing)


def _open_files(task: str, majors: t.Collection[int]) -> OpenFiles | None:
    """None where it has no descriptor at all."""
    names = _names(f"{task}/fd")
    directory = if_there(lambda: os.open(f"{task}/fd", os.O_RDONLY | os.O_DIRECTORY), -1) if names else -1
    if directory < 0:
        return None
    try:
        return _sorted_out(_Task(task, directory), names, majors)
    finally:
        os.close(directory)


def _sorted_out(task: _Task, names: t.Sequence[str], majors: t.Collection[int]) -> OpenFiles:
    numbers: set[Number] = set()
    addresses: set[str] = set()
    unnamed = False
    for name in names:
        # There may be a hundred thousand, so little is done for each.
        target = _link(name, task.directory)
        if target[:1] in ("/", "("):
            number = task.number(name)
            if number is not None and number[0] in majors:
                numbers.add(number)
        elif target == _VFIO_DEVICE:
            found = task.addresses(name)
            addresses.update(found)
            unnamed = unnamed or not found
    return OpenFiles(frozenset(numbers), frozenset(addresses), unnamed)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


_AT_NO_AUTOMOUNT = 0x800
_AT_STATX_DONT_SYNC = 0x4000
_NOTHING_ASKED = 0
"""Where a file system shows at least the type of a file without being asked, it does so, and never refuses."""

_STATX = struct.Struct("=28xH98xII")
"""stx_mode at 28, stx_rdev_major and stx_rdev_minor at 128 (include/uapi/linux/stat.h)."""
_STATX_BYTES = 256


def _find_statx() -> t.Callable[..., int] | None:
    found: t.Callable[..., int] | None = getattr(ctypes.CDLL(None), "statx", None)
    return found


_statx = _find_statx()


class _Task:
    """The descriptors of a task, each asked what it is of.

    By statx(2), which Python has not: unlike stat(2) it asks neither a server nor a process for the state of a file. Such a one may
    never answer.
    """

    def __init__(self, task: str, directory: int) -> None:
        self._task = task
        self.directory = directory
        self._buffer = ctypes.create_string_buffer(_STATX_BYTES)

    def number(self, name: str) -> Number | None:
        """The number of the character device; None for another kind of file."""
        flags = _AT_NO_AUTOMOUNT | _AT_STATX_DONT_SYNC
        if _statx is not None and _statx(self.directory, name.encode(), flags, _NOTHING_ASKED, self._buffer) == 0:
            mode, major, minor = _STATX.unpack_from(self._buffer)
            return (major, minor) if stat.S_ISCHR(mode) else None
        return if_there(lambda: self._number(name), None)

    def _number(self, name: str) -> Number | None:
        try:
            status = os.stat(name, dir_fd=self.directory)
        except OSError as error:
            # The process may be seen, since the link was read. A file system in user space refuses whom it likes.
            if is_absent(error) or not self._has_no_devices(name):
                raise
            return None
        return (os.major(status.st_rdev), os.minor(status.st_rdev)) if stat.S_ISCHR(status.st_mode) else None

    def addresses(self, name: str) -> t.Sequence[str]:
        """The function that a device of VFIO is, where the kernel names it."""
        return _SYSFS_PATH.findall(if_there(lambda: _text(f"{self._task}/fdinfo/{name}"), ""))

    def _has_no_devices(self, name: str) -> bool:
        """Whether the file is on a mount where no device can be opened: every one that a user can make is so (fs/namei.c, may_open_dev)."""
        mount = re.search(r"^mnt_id:[ \t]*([0-9]+)$", _text(f"{self._task}/fdinfo/{name}"), re.MULTILINE)
        lines = map(words_in, lines_in(_text(f"{self._task}/mountinfo")))
        # ID, parent, device, root, mount point, options, ..., "-", type, source (proc_pid_mountinfo(5)).
        ours = (words for words in lines if mount is not None and words[0] == mount[1])
        return any("nodev" in words[5].split(",") or words[words.index("-") + 1].startswith("fuse") for words in ours)
