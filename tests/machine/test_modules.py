# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules through Ansible: check, do, check again, do again, and one sentence for what cannot be done."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller, Run, Task
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.node import CONFIGURATION, state_command

PF, OTHER = "0000:6b:00.0", "0000:70:00.0"
VF = "0000:6b:00.1"

DEVICES = {"devices": [{"select": {"address": [OTHER]}, "services": ["sym"]}]}
VFS = {"devices": [{"address": PF, "drivers_autoprobe": False}]}

# Each from the state that the one before leaves: module, arguments, and what the machine's sysfs shows afterwards.
CHANGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "services": ("qat_devices", DEVICES, f"{OTHER}/qat/cfg_services:sym"),
    "all VFs": ("sriov_vfs", VFS, f"{PF}/sriov_numvfs:16"),
    "a driver": (
        "pci_driver",
        {"devices": [{"address": VF, "driver": "vfio-pci"}]},
        f"{VF}/driver ../../../bus/pci/drivers/vfio-pci",
    ),
    "no driver": ("pci_driver", {"devices": [{"address": VF}]}, f"{VF}/driver_override:(null)"),
    "no VFs": ("sriov_vfs", {"devices": [{"address": PF, "count": 0}]}, f"{PF}/sriov_numvfs:0"),
}
QUARTET = ("check", "do", "check again", "do again")

WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown service": (
        "qat_devices",
        {"devices": [{"services": ["sym", "zip"]}]},
        "value of services must be one or more of: sym, asym, dc, dcc, decomp. Got no match for: zip found in devices",
    ),
    "contradiction in a rule": (
        "qat_devices",
        {"devices": [{"state": "absent", "vfs": 16}]},
        "devices[0].vfs: 16 VFs contradict state absent; remove vfs, or set state to present",
    ),
    "contradictory rules": (
        "qat_devices",
        {"devices": [{"services": ["dc"]}, {"select": {"address": [PF]}, "services": ["sym"]}]},
        (
            "devices[1]: the rule is never used: devices[0] takes every PF that it selects; put the narrower rule first, "
            "or remove one"
        ),
    ),
    "no QAT PF": (
        "qat_devices",
        {"devices": [{"select": {"address": ["0000:00:00.0"]}}]},
        f"devices[0].select.address: 0000:00:00.0 is not a QAT device of this node; the node's QAT devices are: {PF}, {OTHER}",
    ),
    "count between": (
        "qat_devices",
        {"devices": [{"vfs": 8}]},
        (
            f"devices[0].vfs: {PF} cannot have 8 VFs, the kernel's driver creates all 16 or none; leave the count out, and use "
            "advertise to offer Kubernetes fewer VFs"
        ),
    ),
    "count between, by address": (
        "sriov_vfs",
        {"devices": [{"address": PF, "count": 8}]},
        (
            f"devices[0].count: {PF} cannot have 8 VFs, the kernel's driver creates all 16 or none; leave the count out, and use "
            "advertise to offer Kubernetes fewer VFs"
        ),
    ),
    "no such device": (
        "pci_driver",
        {"devices": [{"address": "0000:ff:00.0", "driver": "vfio-pci"}]},
        "0000:ff:00.0: the node has no such PCI function; see lspci -D for those it has",
    ),
    "no such driver": (
        "pci_driver",
        {"devices": [{"address": PF, "driver": "nothing"}]},
        (
            "nothing: the running kernel has no module of this name; install the package that has it for this kernel, or name "
            "another driver"
        ),
    ),
    "no permission": (
        "qat_devices",
        DEVICES,
        (
            "/sys/bus/pci/drivers_probe: the lock on this node's devices cannot be taken: Permission denied; run as root (become: true), "
            "with /sys writable"
        ),
    ),
}


def task(name: str, module: str, arguments: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"name": name, f"accel.qat.{module}": arguments, **keywords}


def look(name: str) -> dict[str, Any]:
    """A task that needs no Python on the machine, which an emulated processor takes seconds to start."""
    return {"name": name, "ansible.builtin.raw": state_command(*CONFIGURATION), "changed_when": False}


@pytest.fixture(scope="module")
def controller(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller(machine, tmp_path_factory.mktemp("controller"))


@pytest.fixture(scope="module")
def changes(controller: Controller, wrong: Run) -> Run:
    """Every change, four times, with a look at the machine before and after each."""
    assert wrong.code == 0, wrong.output
    tasks = [look("state at first")]
    for name, (module, arguments, _shown) in CHANGES.items():
        for step in QUARTET:
            tasks += [task(f"{step}: {name}", module, arguments, check_mode="check" in step, diff=True)]
            tasks += [look(f"state after {step}: {name}")]
    return controller.play(tasks)


@pytest.fixture(scope="module")
def wrong(controller: Controller) -> Run:
    """Everything that cannot be done, on an untouched machine."""
    nobody = {"become_user": "nobody", "become_method": "ansible.builtin.su", "become_flags": "-s /bin/sh"}
    tasks = [
        task(name, module, arguments, ignore_errors=True, **(nobody if name == "no permission" else {}))
        for name, (module, arguments, _sentence) in WRONG.items()
    ]
    return controller.play([look("state at first"), *tasks, look("state at last")])


@pytest.mark.parametrize("name", WRONG)
def test_one_sentence(wrong: Run, name: str) -> None:
    done = wrong.task(name)
    assert (done.outcome, done.message) == ("ignored", WRONG[name][2])
    assert not done.changed


def test_nothing_is_written_for_what_cannot_be_done(wrong: Run) -> None:
    assert wrong.task("state at last").result["stdout"] == wrong.task("state at first").result["stdout"]


@pytest.mark.parametrize("name", CHANGES)
def test_check_do_check_again_do_again(changes: Run, name: str) -> None:
    assert changes.code == 0, changes.output
    before = changes.tasks[changes.tasks.index(changes.task(f"check: {name}")) - 1]
    checked, done, checked_again, done_again = (changes.task(f"{step}: {name}") for step in QUARTET)
    states = [
        one.result["stdout"] for one in (before, *(changes.task(f"state after {step}: {name}") for step in QUARTET))
    ]
    assert [one.changed for one in (checked, done, checked_again, done_again)] == [True, True, False, False]
    assert said(checked) == said(done)
    assert states[0] == states[1] != states[2] == states[3] == states[4]
    assert CHANGES[name][2] in states[2].splitlines()


def said(done: Task) -> tuple[Any, Any]:
    """The plan and the difference."""
    return done.result["steps"], done.result["diff"]
