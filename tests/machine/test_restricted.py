# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines on which not everything may be read, written or loaded: lockdown, no debugfs, sysfs read-only."""

from __future__ import annotations

import json

from ansible_collections.accel.qat.tests.machine.attempt import on
from ansible_collections.accel.qat.tests.machine.node import CONFIG, Node

PF, OTHER = "0000:6b:00.0", "0000:70:00.0"
RULE = on(PF, services=["dc"])
LOCK_DOWN = "echo integrity > /sys/kernel/security/lockdown"


def bound(node: Node, pf: str) -> int:
    """How many VFs of a PF vfio-pci has."""
    return [vf["driver"] for vf in node.devices()[pf]["vfs"]].count("vfio-pci")


def test_lockdown_keeps_debugfs_and_the_apply_needs_none_of_it(node: Node) -> None:
    node.run(LOCK_DOWN)
    assert node.run("cat /sys/kernel/debug/qat_sim/*/present", check=False) == ""
    answer = node.apply(RULE)
    assert answer.code == 0, answer.sentence
    assert (bound(node, PF), bound(node, OTHER)) == (16, 0)


def test_lockdown_keeps_an_unsigned_module_out(node: Node) -> None:
    node.run(f"modprobe vfio-pci; rmmod qat_4xxx; {LOCK_DOWN}")
    before = node.state("/etc")
    answer = node.apply(RULE)
    assert answer.code == 1
    assert answer.sentence.startswith("qat_4xxx: modprobe failed: ")
    assert "could not insert 'qat_4xxx': Operation not permitted; " in answer.sentence
    assert answer.document["stands"] == []
    assert node.state("/etc") == before


def test_nothing_needs_debugfs(node: Node) -> None:
    node.run("umount --lazy /sys/kernel/debug")
    answer = node.apply(RULE)
    assert answer.code == 0, answer.sentence
    assert (bound(node, PF), bound(node, OTHER)) == (16, 0)
    assert node.qatctl("status", RULE).code == 0


def test_read_only_sysfs_is_reported_before_the_first_write(node: Node) -> None:
    node.machine.put(json.dumps({"devices": [RULE]}).encode(), CONFIG)
    before = node.state()
    result = node.machine.run(
        f"unshare --mount sh -c 'mount -o remount,bind,ro /sys && qatctl apply --config {CONFIG}'", check=False
    )
    assert (result.rc, result.stderr) == (
        1,
        (
            "qatctl: /sys/bus/pci/drivers_probe: the lock on this node's devices cannot be taken: Read-only file system; run as root "
            "(become: true), with /sys writable\n"
        ),
    )
    assert node.state() == before
