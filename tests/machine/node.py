# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as the tests use it: configure it, ask it, break it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.plugins.action.qatctl import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine

DEVICES = "/sys/bus/pci/devices"
FAULTS = "/sys/kernel/debug/qat_sim"
CONFIG = "/root/node.json"

# Everything in sysfs that a change could touch, and every file of the directories. Few processes, since an emulated
# processor takes long to start one.
_SYSFS_FILES = "driver_override sriov_numvfs sriov_drivers_autoprobe qat/state qat/cfg_services"
STATE = (
    f"cd {DEVICES}; grep -s . {' '.join(f'*/{name}' for name in _SYSFS_FILES.split())};"
    " find */driver /sys/module/vfio_pci -maxdepth 0 -printf '%p %l\\n' 2>/dev/null;"
    " find DIRECTORIES -printf '%p %m %u %l\\n' -type f -exec md5sum {} + 2>/dev/null | sort"
)
CONFIGURATION = ("/etc", "/var/lib/accel-qat")

# The device plugin may make its socket again while the directory is removed.
KUBELET_GOES = "systemctl stop kubelet-socket; until rm -rf /var/lib/kubelet; do sleep 0.1; done"
HOLD = Path(__file__).parents[1] / "lab/guest_programs/hold_vf.py"


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
        return self.machine.run(command, check=check).stdout

    def qatctl(self, command: str, *rules: dict[str, Any], options: str = "") -> Answer:
        """Run a command of qatctl on a configuration of these rules."""
        self.machine.put(json.dumps({"devices": list(rules)}).encode(), CONFIG)
        return self.ask(f"{command} --config {CONFIG} {options}")

    def ask(self, words: str, user: str = "") -> Answer:
        """Run qatctl with these words."""
        command = f"qatctl {words} --json"
        if user:
            command = f"runuser -u {user} -- /usr/local/sbin/{command}"
        result = self.machine.run(command, check=False)
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

    def state(self, *directories: str) -> str:
        """Everything that a change could touch, as text: QAT files of sysfs, drivers, and the files of the directories."""
        return self.run(state_command(*(directories or CONFIGURATION)))

    def fault(self, pf: str, name: str, value: int | str = 1) -> None:
        """Switch a fault of the simulated hardware on."""
        self.run(f"echo {value} > {FAULTS}/{pf}/{name}")

    @contextlib.contextmanager
    def holding(self, vf: str, options: str = "") -> Iterator[int]:
        """A process, python3, that has the VF open as a virtual machine's emulator has; gives its pid. See there for options."""
        self.machine.put(HOLD.read_bytes(), "/root/hold_vf.py")
        with self._process(f"python3 /root/hold_vf.py {vf} {options} > /root/held") as pid:
            self.run("until grep -q held /root/held; do sleep 0.1; done")
            yield pid

    @contextlib.contextmanager
    def holding_group(self, vf: str) -> Iterator[int]:
        """A process, sleep, that has opened no more than the VF's node below /dev/vfio; gives its pid."""
        group = self.run(f"basename $(readlink {DEVICES}/{vf}/iommu_group)").strip()
        with self._process(f"sleep 600 3<> /dev/vfio/{group} > /dev/null") as pid:
            self.run(f"until readlink /proc/{pid}/fd/3 | grep -q vfio; do kill -0 {pid} || exit; sleep 0.1; done")
            yield pid

    @contextlib.contextmanager
    def _process(self, command: str) -> Iterator[int]:
        pid = int(self.run(f"{command} 2> /dev/null & echo $!"))
        try:
            yield pid
        finally:
            # A group can be opened once: whoever comes next must not find it open still.
            self.run(f"kill {pid}; while [ -e /proc/{pid} ]; do sleep 0.05; done", check=False)


def state_command(*directories: str) -> str:
    """A shell command that prints everything that a change could touch."""
    return STATE.replace("DIRECTORIES", " ".join(directories))
