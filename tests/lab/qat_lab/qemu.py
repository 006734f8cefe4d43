# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The QEMU process of a machine: its command line, its start and its end. All of its files are in one directory."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import processes
from .errors import LabError
from .hardware import BUSES, Hardware
from .paths import SOURCES
from .qmp import Qmp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .accelerator import Accelerator

BINARY = "qemu-system-x86_64"
NAME = "qemu"
START_SECONDS = 300


@dataclass(frozen=True)
class Launch:
    """How to start QEMU once. ssh_port 0 takes any free port; state is a file name to start from, instead of a boot."""

    hardware: Hardware
    accelerator: Accelerator
    ssh_port: int = 0
    forwards: Sequence[str] = ()
    state: Path | None = None


def _numa(hardware: Hardware) -> list[str]:
    """Memory and processors shared evenly between the NUMA nodes, each of which is a socket."""
    options = []
    for node in range(hardware.nodes):
        size = hardware.memory // hardware.nodes
        cpus = [f",cpus={cpu}" for cpu in range(hardware.cpus) if cpu * hardware.nodes // hardware.cpus == node]
        options += ["-object", f"memory-backend-ram,id=memory{node},size={size}M"]
        options += ["-numa", f"node,nodeid={node},memdev=memory{node}{''.join(cpus)}"]
    return options


def _escape(value: str) -> str:
    """QEMU splits options at commas; a doubled one is a comma."""
    return value.replace(",", ",,")


def _firmware(hardware: Hardware, kernel_arguments: Sequence[str]) -> list[str]:
    """What the guest reads from its firmware: the hardware to simulate, and kernel arguments of the platform."""
    options = []
    for name, value in (("pfs", hardware.pfs), ("generation", hardware.generation)):
        # As the kernel modules' parameters, and so never empty, which QEMU would not take.
        options += ["-fw_cfg", f"name=opt/accel.qat/{name},string={_escape(f'{name}={value}')}"]
    arguments = [*kernel_arguments, *(() if hardware.iommu else ("intel_iommu=off",))]
    if arguments:
        options += ["-smbios", f"type=11,value={_escape(' '.join(arguments))}"]
    return options


def _guest_forward(text: str) -> str:
    """An address in the guest's network that leads to one of this host; QEMU starts a relay for each connection."""
    match = re.fullmatch(r"(10\.0\.2\.\d+:\d+)=([\w.-]+):(\d+)", text)
    if not match:
        raise LabError(f"{text!r} is no forward: write ADDRESS:PORT=HOST:PORT, with an address in 10.0.2.0/24.")
    relay = shlex.join([sys.executable, str(SOURCES / "lab"), "relay", match[2], match[3]])
    return f",guestfwd=tcp:{match[1]}-cmd:{_escape(relay)}"


def command(launch: Launch) -> list[str]:
    """The QEMU command line, to be run in the directory of the machine."""
    hardware = launch.hardware
    memory = hardware.memory // hardware.nodes * hardware.nodes
    # A device is behind the IOMMU when its bus lies below a bridge the IOMMU lists: so one port reserves the buses on
    # which the guest's own kernel module will create the QAT devices.
    port = f"pcie-root-port,id=qat,bus=pcie.0,chassis=1,slot=1,bus-reserve={BUSES.stop}"
    forwards = f",hostfwd=tcp:127.0.0.1:{launch.ssh_port}-:22" + "".join(map(_guest_forward, launch.forwards))
    return [
        BINARY,
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-M", "q35,kernel-irqchip=split", *launch.accelerator.options),
        *("-m", str(memory), "-smp", f"{hardware.cpus},sockets={hardware.nodes}", *_numa(hardware)),
        *("-device", "intel-iommu,intremap=on,caching-mode=on", "-device", port),
        *("-drive", "if=none,id=disk,file=disk.qcow2,format=qcow2,cache=unsafe,discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk,bus=pcie.0"),
        *("-netdev", f"user,id=net,restrict=on{forwards}", "-device", "virtio-net-pci,netdev=net,bus=pcie.0,romfile="),
        *("-device", "virtio-rng-pci,bus=pcie.0"),
        *("-chardev", "socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on"),
        *("-serial", "chardev:console", "-qmp", "unix:qmp.sock,server=on,wait=off"),
        *_firmware(hardware, launch.accelerator.kernel_arguments),
        *(("-incoming", f"exec:zstd -dcq {json.dumps(str(launch.state))}") if launch.state else ()),
    ]


def start(directory: Path, launch: Launch) -> Qmp:
    """Start QEMU in the background and return a session with it; LabError with QEMU's own words if it ends."""
    process = processes.start(directory, NAME, command(launch))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return Qmp(directory)
        except LabError:
            if process.poll() is not None:
                said = processes.words(directory, NAME)
                raise LabError(f"QEMU did not start: {said or f'exit code {process.returncode}'}") from None
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def pid(directory: Path) -> int | None:
    """Process id of the QEMU that runs in this directory, or None."""
    return processes.pid(directory, NAME)


def stop(directory: Path) -> None:
    """End the QEMU that runs in this directory, if one does, and wait until it is gone."""
    processes.stop(directory, NAME)
    for name in ("qmp.sock", "console.sock"):
        (directory / name).unlink(missing_ok=True)


def ssh_port(qmp: Qmp) -> int:
    """The port of 127.0.0.1 that leads to the guest's sshd."""
    report: str = qmp.do("human-monitor-command", **{"command-line": "info usernet"})
    for line in report.splitlines():
        words = line.split()
        if words and words[0] == "TCP[HOST_FORWARD]":
            return int(words[3])
    raise LabError("QEMU forwards no port to the guest.")
