# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as the tests use it: configure it, ask it, break it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.plugins.action.qatctl import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine

DEVICES = "/sys/bus/pci/devices"
FAULTS = "/sys/kernel/debug/qat_sim"
CONFIG = "/root/node.json"

# Opens a VF as a virtual machine's emulator does: group, container and device.
HOLD = """
import fcntl, struct, sys, time
group = open(sys.argv[1], "rb+", buffering=0)
container = open("/dev/vfio/vfio", "rb+", buffering=0)
fcntl.ioctl(group, 0x3B68, struct.pack("i", container.fileno()))
fcntl.ioctl(container, 0x3B66, 1)
fcntl.ioctl(group, 0x3B6A, sys.argv[2].encode() + b"\\0")
time.sleep(600)
"""


@dataclass(frozen=True)
class Answer:
    """What qatctl said: exit code, the sentence on standard error, and its JSON."""

    code: int
    sentence: str
    document: dict[str, Any]


class Node:
    """A machine with qatctl installed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.put(build("/usr/bin/python3"), "/usr/local/sbin/qatctl", 0o755)

    def run(self, command: str, check: bool = True) -> str:
        """Output of a shell command as root."""
        return self.machine.run(command, check=check, timeout=180).stdout

    def qatctl(self, command: str, *rules: dict[str, Any], options: str = "") -> Answer:
        """Run a command of qatctl on a configuration of these rules."""
        self.machine.put(json.dumps({"devices": list(rules)}).encode(), CONFIG)
        return self.ask(f"{command} --config {CONFIG} {options}")

    def ask(self, words: str, user: str = "") -> Answer:
        """Run qatctl with these words."""
        command = f"qatctl {words} --json"
        if user:
            command = f"runuser -u {user} -- /usr/local/sbin/{command}"
        result = self.machine.run(command, check=False, timeout=300)
        said = result.stdout if result.stdout.strip() else result.stderr
        document = json.loads(said) if said.lstrip().startswith("{") else {}
        parts = (document.get("where"), document.get("problem"), document.get("remedy"))
        sentence = f"{parts[0]}: {parts[1]}; {parts[2]}" if document.get("problem") else result.stderr.strip()
        return Answer(result.rc, sentence, document)

    def apply(self, *rules: dict[str, Any], options: str = "") -> Answer:
        """Bring the node to these rules."""
        return self.qatctl("apply", *rules, options=options)

    def devices(self) -> dict[str, dict[str, Any]]:
        """The PFs by address."""
        return {device["address"]: device for device in self.ask("show").document["devices"]}

    def state(self) -> str:
        """Everything that a change could touch, as text: QAT files of sysfs, drivers, and the files below /etc."""
        return self.run(
            f"for d in {DEVICES}/*; do grep -q 0x8086 $d/vendor || continue; echo $d"
            " $(cat $d/driver_override $d/sriov_numvfs $d/sriov_drivers_autoprobe $d/qat/state $d/qat/cfg_services 2>/dev/null)"
            " $(readlink $d/driver); done; ls /sys/module/vfio_pci 2>/dev/null; find /etc /var/lib/accel-qat -type f 2>/dev/null"
            " | sort | xargs md5sum"
        )

    def fault(self, pf: str, name: str, value: int | str = 1) -> None:
        """Switch a fault of the simulated hardware on."""
        self.run(f"echo {value} > {FAULTS}/{pf}/{name}")

    @contextlib.contextmanager
    def holding(self, vf: str) -> Iterator[int]:
        """A process that has the VF open; gives its pid."""
        self.machine.put(HOLD.encode(), "/root/hold.py")
        group = self.run(f"basename $(readlink {DEVICES}/{vf}/iommu_group)").strip()
        pid = int(self.run(f"python3 /root/hold.py /dev/vfio/{group} {vf} > /dev/null 2>&1 & echo $!"))
        self.run(f"until ls -l /proc/{pid}/fd | grep -q vfio-device; do sleep 0.1; done")
        try:
            yield pid
        finally:
            self.run(f"kill {pid}", check=False)
