# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of the kernel: changes in directories, and the coming, going and binding of devices.

No library is used for inotify: what it takes are two functions of the C library, and the packages on PyPI that wrap them have
not been maintained for years or bring an event loop or threads of their own.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
import struct
import typing as t
from pathlib import Path

_IN_MOVED_FROM, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x40, 0x80, 0x100, 0x200
_IN_DELETE_SELF, _IN_MOVE_SELF, _IN_ONLYDIR = 0x400, 0x800, 0x01000000
_MASK = _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_ONLYDIR
_IN_IGNORED, _IN_Q_OVERFLOW = 0x8000, 0x4000
_EVENT = struct.Struct("iIII")
"""struct inotify_event: which watch, what happened, a cookie, and the length of the name that follows, padded with NUL."""
_BUFFER = 65536

_NETLINK_KOBJECT_UEVENT = 15
_KERNEL_GROUP = 1
_SUBSYSTEMS = frozenset({"pci", "vfio", "vfio-dev"})


class DirectoryWatch:
    """Calls back when something appears in a directory or vanishes from it, also where the directory itself does so.

    Source: inotify(7). The directory above is watched too, for the one name that leads to this one: other names there, as nodes that come
    and go in /dev, are no event. Whenever anything happens to either directory all watches are set again, which does nothing where they
    still stand. Raises OSError where the kernel gives no watch.
    """

    def __init__(self, path: Path, callback: t.Callable[[], None]) -> None:
        self._path = path
        self._callback = callback
        self._names: dict[int, str] = {}
        """The name that is of interest by the number of the watch; empty where every name is."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if not self._arm():
            number = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(number, os.strerror(number))
        asyncio.get_running_loop().add_reader(self._descriptor, self._happened)

    def close(self) -> None:
        """Watch no longer."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _happened(self) -> None:
        try:
            buffer = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return
        # All of them: those that say that a watch is no more are for keeping the numbers.
        if True in [self._concerns(*event) for event in events_in(buffer)]:
            self._arm()
            self._callback()

    def _concerns(self, watch: int, mask: int, name: str) -> bool:
        """Whether an event is one of the directory, or of the way to it."""
        if mask & _IN_IGNORED:
            return self._names.pop(watch, None) is not None
        wanted = self._names.get(watch)
        is_whole = mask & (_IN_Q_OVERFLOW | _IN_DELETE_SELF | _IN_MOVE_SELF)
        return bool(is_whole) or wanted == "" or (wanted is not None and name == wanted)

    def _arm(self) -> bool:
        """Set the watches; returns whether one stands, as one does wherever there may be any."""
        self._add(self._path, "")
        way = zip(self._path.parents, (self._path, *self._path.parents))
        above = any(self._add(parent, child.name) for parent, child in way)
        # It may have appeared between the two.
        return self._add(self._path, "") or above

    def _add(self, path: Path, name: str) -> bool:
        watch = int(self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _MASK))
        if watch >= 0:
            self._names[watch] = name
        return watch >= 0


def events_in(buffer: bytes) -> t.Iterator[tuple[int, int, str]]:
    """The events that inotify reports: which watch, what happened, and the name, empty for the directory itself."""
    position = 0
    while position < len(buffer):
        watch, mask, _cookie, length = _EVENT.unpack_from(buffer, position)
        position += _EVENT.size + length
        yield watch, mask, os.fsdecode(buffer[position - length : position].rstrip(b"\0"))


def remedy_for(error: OSError) -> str:
    """What to do about a watch that the kernel does not give (inotify_init(2), inotify_add_watch(2)); empty where unknown."""
    limits = {errno.EMFILE: "fs.inotify.max_user_instances", errno.ENOSPC: "fs.inotify.max_user_watches"}
    limit = limits.get(error.errno or 0)
    return f"raise {limit} by sysctl, and restart this service" if limit else ""


class DeviceWatch:
    """Calls back when the kernel reports a PCI or VFIO device (Documentation/ABI, lib/kobject_uevent.c)."""

    def __init__(self, callback: t.Callable[[], None]) -> None:
        self._callback = callback
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_KOBJECT_UEVENT
        )
        try:
            self._socket.bind((0, _KERNEL_GROUP))
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket, self._happened)

    def close(self) -> None:
        """Listen no longer."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _happened(self) -> None:
        try:
            message, (sender, _groups) = self._socket.recvfrom(_BUFFER)
        except BlockingIOError:
            return
        except OSError:  # the kernel had more to report than the buffer holds: anything may have changed
            self._callback()
            return
        if sender == 0 and concerns_us(message):
            self._callback()


def concerns_us(uevent: bytes) -> bool:
    """Whether a message of the kernel is about a device that could be one of ours: parts end with NUL, `KEY=value` each."""
    fields = dict(part.partition("=")[::2] for part in uevent.decode("utf-8", "replace").split("\0") if "=" in part)
    if fields.get("SUBSYSTEM") not in _SUBSYSTEMS:
        return False
    return fields.get("PCI_ID", "8086:").startswith("8086:")
