# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the machine: brings VFs to vfio-pci in one of several ways, from the same start, and prints the seconds as JSON.

Usage: guest.py WAY RUNS PF... where the PFs are PCI addresses. Standard library and, for the way `engine`, qatctl's file.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

DEVICES = Path("/sys/bus/pci/devices")
DRIVER = "vfio-pci"


def write(path: Path, value: str) -> None:
    """One write call."""
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, value.encode())
    os.close(descriptor)


def to_start(pfs: list[str]) -> None:
    """No VFs, PFs up, new VFs probed by the kernel."""
    for pf in pfs:
        write(DEVICES / pf / "qat/state", "down")
        write(DEVICES / pf / "qat/state", "up")
        write(DEVICES / pf / "sriov_drivers_autoprobe", "1")


def vfs_of(pfs: list[str]) -> list[str]:
    """The addresses of all VFs."""
    return [link.resolve().name for pf in pfs for link in sorted((DEVICES / pf).glob("virtfn*"))]


def create(pfs: list[str]) -> None:
    """All VFs of each PF."""
    for pf in pfs:
        total = (DEVICES / pf / "sriov_totalvfs").read_text().strip()
        write(DEVICES / pf / "sriov_numvfs", total)


def raw(pfs: list[str]) -> None:
    """The least that can be written: the kernel's own work."""
    for pf in pfs:
        write(DEVICES / pf / "sriov_drivers_autoprobe", "0")
    create(pfs)
    for vf in vfs_of(pfs):
        write(DEVICES / vf / "driver_override", DRIVER)
        write(Path("/sys/bus/pci/drivers_probe"), vf)


def engine(pfs: list[str]) -> None:
    """This project's engine: read, plan, rehearse, write, read back, read again."""
    part = importlib.import_module
    plan, desired = part("accel_qat_node.devices.plan"), part("accel_qat_node.devices.desired")
    read_node = part("accel_qat_node.devices.read").read_node
    rules = part("accel_qat_node.devices.rules").parse_configuration({"devices": [{"select": {"address": pfs}}]})
    kernel = part("accel_qat_node.users.pods").LiveKernelWithPods()
    converge = part("accel_qat_node.devices.apply").converge
    converge(kernel, lambda: read_node(kernel), lambda node: plan.plan_node(desired.desired_of(rules, node), node))
    kernel.close()


def qatctl(pfs: list[str]) -> None:
    """The same as a command, with the start of Python."""
    Path("/run/bench.json").write_text(json.dumps({"devices": [{"select": {"address": pfs}}]}))
    command("qatctl", "apply", "--config", "/run/bench.json", "--record", "/run/bench-found.json")


def driverctl(pfs: list[str]) -> None:
    """One call a VF."""
    create(pfs)
    for vf in vfs_of(pfs):
        command("/opt/peers/usr/sbin/driverctl", "--nosave", "set-override", vf, DRIVER)


def devbind(pfs: list[str]) -> None:
    """One call for all VFs."""
    create(pfs)
    command("python3", "/opt/peers/usr/bin/dpdk-devbind.py", "-b", DRIVER, *vfs_of(pfs))


def devbind_each(pfs: list[str]) -> None:
    """One forced call a VF, as the best-known Ansible role does at boot."""
    create(pfs)
    for vf in vfs_of(pfs):
        command("python3", "/opt/peers/usr/bin/dpdk-devbind.py", "-b", DRIVER, "--force", vf)


def command(*words: str) -> None:
    """Run a command and insist on its success."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def check(pfs: list[str]) -> None:
    """Whatever the way, all VFs are there and bound."""
    vfs = vfs_of(pfs)
    totals = [int((DEVICES / pf / "sriov_totalvfs").read_text()) for pf in pfs]
    bound = [vf for vf in vfs if (DEVICES / vf / "driver").resolve().name == DRIVER]
    if not len(vfs) == len(bound) == sum(totals):
        raise SystemExit(f"{len(bound)} of {len(vfs)} VFs are bound, and {sum(totals)} should be")


WAYS = {
    "raw": raw,
    "engine": engine,
    "qatctl": qatctl,
    "driverctl": driverctl,
    "devbind": devbind,
    "devbind_each": devbind_each,
}


def main() -> None:
    """Measure one way."""
    way, runs, pfs = WAYS[sys.argv[1]], int(sys.argv[2]), sys.argv[3:]
    sys.path.insert(0, "/usr/local/sbin/qatctl")
    seconds = []
    for _ in range(runs):
        to_start(pfs)
        command("udevadm", "settle")  # or it works on, on the one processor, for whoever is measured next
        begin = time.monotonic()
        way(pfs)
        seconds.append(time.monotonic() - begin)
        check(pfs)
    to_start(pfs)
    sys.stdout.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main()
