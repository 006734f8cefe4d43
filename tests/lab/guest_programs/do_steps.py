# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the machine: does the tasks it reads as JSON from standard input, and prints a line of JSON for each: what
came of its steps.

Before each task it brings the simulated devices back to how they are after boot: those that the task before may have
changed. Standard library of Python 3.9.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SYS = "/sys"
FAULTS = f"{SYS}/kernel/debug/qat_sim"
NO_FAULTS = {
    "missing_vfs": "0",
    "kernel_users": "0",
    "no_capabilities": "0",
    "refuse_vfio": "0",
    "heartbeat": "alive",
    "present": "1",
}
STEPS = ("up", "down", "services", "enable_vfs", "disable_vfs")


def write(path: str, text: str) -> str:
    """Write in one system call, as the kernel's attribute files want it."""
    try:
        handle = os.open(path, os.O_WRONLY)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "ok"


def read(path: str) -> str:
    """Content without the NUL bytes and newlines that attributes end in."""
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            # Once: a heartbeat query can reset the device, and the file is gone before a second read.
            return os.read(handle, 4096).decode().strip("\0\n ")
        finally:
            os.close(handle)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def link(path: str) -> str:
    """Last part of where a link leads."""
    try:
        return Path(os.readlink(path)).name
    except OSError:
        return "none"


def until(look: Callable[[str], str], path: str, wanted: str, seconds: float) -> str:
    """Look until the wanted is seen, or the time is up."""
    deadline = time.monotonic() + seconds
    while (found := look(path)) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def wait(seconds: float) -> str:
    """Let time pass."""
    time.sleep(seconds)
    return "ok"


def load(module: str) -> str:
    """Load a module."""
    return "ok" if subprocess.call(["modprobe", module]) == 0 else "failed"


def do(step: dict[str, Any]) -> str:
    """Do one step and return its outcome."""
    kind = step["kind"]
    path = f"{SYS}/{step.get('path', '')}"
    actions = {
        "Write": lambda: write(path, step["text"]),
        "Read": lambda: read(path),
        "Link": lambda: until(link, path, step["outcome"], step["seconds"]),
        "Count": lambda: str(len(glob.glob(f"{SYS}/{step['pattern']}"))),
        "Fault": lambda: write(f"{FAULTS}/{step['address']}/{step['name']}", step["text"]),
        "Load": lambda: load(step["module"]),
        "Wait": lambda: wait(step["seconds"]),
        "Until": lambda: until(read, path, step["outcome"], step["seconds"]),
    }
    return str(actions[kind]())


def named(pf: str, task: dict[str, Any]) -> bool:
    """Whether a task names a PF or, on the same bus, one of its VFs."""
    return pf[: len("0000:00")] in json.dumps(task["steps"])


def start_again(pfs: list[str]) -> None:
    """Take all faults away and probe these PFs again, in this order: it decides the device numbers, of those that are free."""
    for pf in pfs:
        for name, text in NO_FAULTS.items():
            write(f"{FAULTS}/{pf}/{name}", text)
        for name in STEPS:
            write(f"{FAULTS}/{pf}/fail_{name}", "0")
            write(f"{FAULTS}/{pf}/delay_{name}", "0")
    subprocess.check_call(["udevadm", "settle"])
    for pf in pfs:
        device = f"{SYS}/bus/pci/devices/{pf}"
        write(f"{device}/sriov_drivers_autoprobe", "1")
        write(f"{device}/driver_override", "\n")
        if link(f"{device}/driver") != "none":
            write(f"{device}/driver/unbind", pf)
    for pf in pfs:
        write(f"{SYS}/bus/pci/drivers_probe", pf)


def main() -> None:
    """Do the tasks that standard input holds, one after another, and print a line for each."""
    pfs = changed = sorted(os.listdir(FAULTS))
    for task in json.load(sys.stdin):
        write(f"{SYS}/module/intel_qat/parameters/generation", task["generation"])
        start_again(changed)
        changed = [pf for pf in pfs if named(pf, task)]
        Path("/dev/kmsg").write_text(f"== {task['name']}\n")
        print(json.dumps([do(step) for step in task["steps"]]), flush=True)


if __name__ == "__main__":
    main()
