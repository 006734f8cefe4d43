# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the table on the kernel of the machine that this runs on, as root: `guest.py GENERATION on|off`.

Prints one line of JSON for each case, its name and its problems, as soon as it has run.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.accel.qat.plugins.module_utils._node.kernel.commands import settle
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import LiveKernelWithPods

from .runner import Runner
from .steps import DEVICES
from .table import CASES

# include/uapi/linux/vfio.h
VFIO_SET_IOMMU = 0x3B66
VFIO_GROUP_SET_CONTAINER = 0x3B68
VFIO_GROUP_GET_DEVICE_FD = 0x3B6A
VFIO_TYPE1_IOMMU = 1

_READY = b"ready"


class Opened(t.NamedTuple):
    """The descriptors of a function that is open through VFIO."""

    container: int
    group: int
    device: int


class GuestPrograms:
    """Open functions through VFIO in a child, as a virtual machine would: a group alone holds nothing, a device does. And write."""

    def __init__(self) -> None:
        self._children: list[int] = []

    def hold(self, address: str) -> None:
        self._have_child(address, lambda _opened: None)

    def hide(self, address: str) -> None:
        self._have_child(address, _send_to_itself)

    def hold_group(self, address: str) -> None:
        self._have_child(address, lambda opened: os.close(opened.device))

    def _have_child(self, address: str, then: t.Callable[[Opened], object]) -> None:
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            _open_and_wait(address, theirs, then)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            said = pipe.read()
        self._children.append(child)
        if said != _READY:
            raise OSError(0, f"cannot open {address} through VFIO: {said.decode()}")

    def let_go(self) -> None:
        while self._children:
            child = self._children.pop()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def settle(self, seconds: float) -> None:
        settle(seconds)

    def write_bare(self, path: str, text: str) -> None:
        handle = os.open(path, os.O_WRONLY)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)


def _open_and_wait(address: str, ready: int, then: t.Callable[[Opened], object]) -> t.NoReturn:
    """The child: opens the device, does something with it, reports through the pipe how it went, and waits until it is killed."""
    kept: object = None
    try:
        kept = then(_open(address))
        os.write(ready, _READY)
    except OSError as error:
        os.write(ready, str(error).encode())
    os.close(ready)
    _wait_with(kept)


def _wait_with(_kept: object) -> t.NoReturn:
    """Wait, and keep an object meanwhile: a socket that nothing refers to is closed."""
    while True:
        time.sleep(60)


def _open(address: str) -> Opened:
    number = os.path.basename(os.readlink(f"{DEVICES}/{address}/iommu_group"))
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    group = os.open(f"/dev/vfio/{number}", os.O_RDWR)
    fcntl.ioctl(group, VFIO_GROUP_SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU)
    # Only with a buffer that can be changed does Python return what the kernel does: the handle.
    device = fcntl.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bytearray(address.encode() + b"\0"))
    return Opened(container, group, device)


def _send_to_itself(opened: Opened) -> tuple[socket.socket, socket.socket]:
    """Have the device in a message that nobody reads, and close all else; the sockets, which have to stay open."""
    ours, theirs = socket.socketpair()
    ours.sendmsg([b"-"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", opened.device))])
    for handle in opened:
        os.close(handle)
    return ours, theirs


def main(generation: str, iommu: str) -> None:
    """Run every case of a generation."""
    kernel = LiveKernelWithPods()
    runner = Runner(kernel, GuestPrograms())
    for case in CASES:
        if generation in case.generations and case.iommu == (iommu == "on"):
            # So that the kernel's log shows by which case it came.
            Path("/dev/kmsg").write_text(f"== {case.name}\n", encoding="utf-8")
            started = time.monotonic()
            problems = runner.run(case, generation)
            print(json.dumps([case.name, problems, round(time.monotonic() - started, 2)]), flush=True)
    kernel.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
