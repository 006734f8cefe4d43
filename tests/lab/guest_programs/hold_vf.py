# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the machine: opens a VF through VFIO, as a virtual machine or a DPDK program would, and keeps it open.

    hold_vf.py ADDRESS [SECONDS [MEBIBYTES]] [--unseen message|io_uring]

Prints "held" once the device is open and can read and write so much memory (none if none is given), and ends after so many seconds
(for ever if none are given) or by a signal.
It takes no notice when the kernel asks for the device back. With `--unseen` it has closed every descriptor of VFIO by then, and has the
device in a message to itself or in io_uring.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import mmap
import os
import socket
import struct
import sys
import time

# include/uapi/linux/vfio.h: _IO(';', 100 + n)
GET_API_VERSION = 0x3B64
SET_IOMMU = 0x3B66
GROUP_GET_STATUS = 0x3B67
GROUP_SET_CONTAINER = 0x3B68
GROUP_GET_DEVICE_FD = 0x3B6A
IOMMU_MAP_DMA = 0x3B71
TYPE1_IOMMU = 1
MAP_READ_AND_WRITE = 3
GROUP_FLAGS_VIABLE = 1

# include/uapi/asm-generic/unistd.h and include/uapi/linux/io_uring.h
IO_URING_SETUP, IO_URING_REGISTER = 425, 427
REGISTER_FILES = 2
BYTES_OF_PARAMETERS = 120


def open_vf(address: str) -> list[int]:
    """Open container, group and device; returns their handles, which must stay open. OSError if one step fails."""
    group_name = os.path.basename(os.readlink(f"/sys/bus/pci/devices/{address}/iommu_group"))
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    group = os.open(f"/dev/vfio/{group_name}", os.O_RDWR)
    status = bytearray(struct.pack("II", 8, 0))
    fcntl.ioctl(group, GROUP_GET_STATUS, status)
    if not struct.unpack("II", status)[1] & GROUP_FLAGS_VIABLE:
        sys.exit(f"IOMMU group {group_name} is not viable: not all of its devices are bound to VFIO drivers.")
    fcntl.ioctl(group, GROUP_SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, SET_IOMMU, TYPE1_IOMMU)
    # Only with a buffer that can be changed does Python return what the kernel does: the handle.
    device = fcntl.ioctl(group, GROUP_GET_DEVICE_FD, bytearray(address.encode() + b"\0"))
    return [container, group, device]


def map_memory(container: int, size: int) -> mmap.mmap:
    """Have the device read and write so many bytes of new memory, from its address 0 on. OSError if the kernel does not lock them."""
    memory = mmap.mmap(-1, size)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    # struct vfio_iommu_type1_dma_map: its size, flags, address, the address for the device, size of the memory
    fcntl.ioctl(container, IOMMU_MAP_DMA, struct.pack("IIQQQ", 32, MAP_READ_AND_WRITE, address, 0, size))
    return memory


def send_to_itself(device: int) -> object:
    """Have the device in a message that nobody reads; returns what has to stay open."""
    ours, theirs = socket.socketpair()
    ours.sendmsg([b"-"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", device))])
    return ours, theirs


def register(device: int) -> object:
    """Have the device in a ring of io_uring. OSError if the kernel has none."""
    system = ctypes.CDLL(None, use_errno=True).syscall
    ring = system(IO_URING_SETUP, 4, ctypes.create_string_buffer(BYTES_OF_PARAMETERS))
    if ring < 0 or system(IO_URING_REGISTER, ring, REGISTER_FILES, (ctypes.c_int * 1)(device), 1) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return ring


def main() -> None:
    """Hold the VF named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("seconds", type=float, nargs="?", default=1e9)
    parser.add_argument("mebibytes", type=int, nargs="?")
    parser.add_argument("--unseen", choices=("message", "io_uring"))
    asked = parser.parse_args()
    handles = open_vf(asked.address)
    memory = map_memory(handles[0], asked.mebibytes << 20) if asked.mebibytes is not None else None
    kept: object = None
    if asked.unseen:
        kept = {"message": send_to_itself, "io_uring": register}[asked.unseen](handles[-1])
        while handles:
            os.close(handles.pop())
    print("held", flush=True)
    time.sleep(asked.seconds)
    for handle in reversed(handles):
        os.close(handle)
    del memory, kept


if __name__ == "__main__":
    main()
