# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.modules import sriov_vfs
from ansible_collections.accel.qat.tests.fakes import nic, pf, vf
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN4, VF0

CARD = "0000:03:00.0"


def kernel(**others: t.Any) -> t.Any:
    return LiveFake.with_pfs(
        pf("4xxx", GEN4, total_vfs=2, **others), pf("c6xx", GEN2, total_vfs=1), nics=(nic(CARD),), udev=False
    )


def test_makes_and_removes(play: t.Any) -> None:
    player = play(kernel())
    desired = [{"address": "6B:00.0", "drivers_autoprobe": False}, {"address": GEN2}, {"address": CARD, "count": 2}]
    done = player.change(sriov_vfs, devices=desired, record=player.record)
    assert done["vfs"] == {
        CARD: ["0000:03:10.0", "0000:03:10.2"],
        GEN2: ["0000:75:01.0"],
        GEN4: [VF0, "0000:6b:00.2"],
    }
    none = [{"address": address, "count": 0} for address in (GEN4, GEN2, CARD)]
    assert player.change(sriov_vfs, devices=none, record=player.record)["vfs"] == {CARD: [], GEN2: [], GEN4: []}


def test_wrong_desired(play: t.Any) -> None:
    player = play(kernel())
    failed = player.fail(sriov_vfs, devices=[{"address": GEN4, "count": 1}])
    assert failed["failure"]["where"] == "devices[0].count"
    assert "creates all 2 or none" in failed["msg"]
    failed = player.fail(sriov_vfs, devices=[{"address": "0000:ff:00.0"}])
    assert failed["msg"] == (
        "devices[0].address: the node has no PCI function 0000:ff:00.0; see lspci -D for those it has"
    )


def test_a_vf_in_use(play: t.Any) -> None:
    user = vf("vfio-pci", held_by="qemu-kvm")
    player = play(kernel(vfs=[user, vf("vfio-pci")]))
    devices = [{"address": GEN4, "count": 0}]
    assert f"qemu-kvm (pid 4001) has {VF0} open" in player.fail(sriov_vfs, devices=devices)["msg"]
    skipped = player.run(sriov_vfs, devices=devices, when_in_use="skip", record=player.record)
    assert (skipped["changed"], [one["device"] for one in skipped["skipped_devices"]]) == (False, [GEN4])
    assert len(skipped["vfs"][GEN4]) == 2


def test_drivers_of_vfs_made_again(play: t.Any) -> None:
    """What is not asked for stays: here nothing at all happens."""
    player = play(kernel(vfs="vfio-pci"))
    assert not player.run(sriov_vfs, devices=[{"address": GEN4}], record=player.record)["changed"]
