# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes that block: because a VF is open, for real, or because the hardware is set to be slow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.accel.qat.tests.lab.guest_programs import hold_vf
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICES = "/sys/bus/pci/devices"
PF = f"{DEVICES}/0000:6b:00.0"
VF = "0000:6b:00.1"
FAULTS = "/sys/kernel/debug/qat_sim/0000:6b:00.0"
HOLDER = "/root/hold_vf.py"


@pytest.fixture
def machine(own_name: str) -> Iterator[Machine]:
    with Machine.start(f"{own_name}-hold") as started:
        started.run(
            f"modprobe vfio-pci && echo 0 > {PF}/sriov_drivers_autoprobe && echo 16 > {PF}/sriov_numvfs"
            f" && echo vfio-pci > {DEVICES}/{VF}/driver_override && echo {VF} > /sys/bus/pci/drivers_probe"
        )
        started.put(Path(hold_vf.__file__).read_bytes(), HOLDER)
        yield started


def hold(machine: Machine) -> str:
    """Open the VF in a process of its own and return its id."""
    start = f"systemd-run --quiet --unit=holder python3 {HOLDER} {VF}"
    machine.run(f"{start} && until journalctl -u holder | grep -q held; do sleep 0.2; done")
    return machine.run("systemctl show -P MainPID holder").stdout.strip()


def begin(machine: Machine, command: str) -> None:
    """Run a command in the machine without waiting for it."""
    machine.run(f"systemd-run --quiet --unit=writer sh -c '{command}'")


def writer_runs(machine: Machine) -> bool:
    return machine.run("systemctl is-active writer", check=False).stdout == "active\n"


def wait_for_writer(machine: Machine) -> None:
    machine.run("while systemctl -q is-active writer; do sleep 0.2; done")


def test_removal_of_an_open_vf_blocks_until_it_is_closed(machine: Machine) -> None:
    holder = hold(machine)
    begin(machine, f"echo down > {PF}/qat/state")
    # The kernel says so when it has begun to wait, and from then on only the holder can end that.
    blocked = f"vfio-pci {VF}: No device request channel registered, blocked"
    machine.run(f"until dmesg | grep -q '{blocked}'; do sleep 0.2; done")
    assert writer_runs(machine)
    # It has begun: nobody can see from the state that it hangs.
    assert machine.run(f"cat {PF}/qat/state").stdout == "down\n"
    machine.run(f"kill {holder}")
    wait_for_writer(machine)
    assert machine.run(f"ls -d {DEVICES}/0000:6b:*").stdout == f"{PF}\n"


def test_an_open_vf_is_nobody_elses(machine: Machine) -> None:
    hold(machine)
    again = machine.run(f"python3 {HOLDER} {VF} 0", check=False)
    assert again.rc != 0
    assert "Device or resource busy" in again.stderr


def test_a_vf_can_be_opened_again_after_it_was_closed(machine: Machine) -> None:
    for _ in range(2):
        assert machine.run(f"python3 {HOLDER} {VF} 0").stdout == "held\n"


@pytest.mark.parametrize(
    ("step", "path", "text"),
    [
        ("down", "qat/state", "down"),
        ("disable_vfs", "sriov_numvfs", "0"),
    ],
)
def test_slow_hardware_blocks_a_write_that_no_signal_ends(machine: Machine, step: str, path: str, text: str) -> None:
    machine.run(f"echo 20000 > {FAULTS}/delay_{step}")
    begin(machine, f"echo {text} > {PF}/{path}")
    # The signal is there (SIGKILL is bit 8 of the mask), and the kernel waits all the same. All in one go, since it does not wait long.
    state = machine.run(
        "writer=$(systemctl show -P MainPID writer); until [ $(cut -d' ' -f3 /proc/$writer/stat) = D ]; do sleep 0.1; done;"
        " kill -9 $writer; cut -d' ' -f3 /proc/$writer/stat; sed -n 's/^ShdPnd:\t//p' /proc/$writer/status"
    ).stdout
    assert state.split()[0] == "D"
    assert int(state.split()[1], 16) & 1 << 8
    wait_for_writer(machine)
    assert machine.run(f"cat {PF}/sriov_numvfs").stdout == "0\n"


def test_a_locked_down_kernel_shows_the_heartbeat_but_not_its_setting(machine: Machine) -> None:
    """With Secure Boot, debugfs files that can be written are closed, all others stay."""
    machine.run("echo integrity > /sys/kernel/security/lockdown")
    heartbeat = "/sys/kernel/debug/qat_4xxx_0000:6b:00.0/heartbeat"
    assert machine.run(f"tr -d '\\0' < {heartbeat}/status").stdout == "0\n"
    assert "Operation not permitted" in machine.run(f"cat {heartbeat}/config", check=False).stderr
