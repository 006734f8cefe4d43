# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.modules import pci_driver
from ansible_collections.accel.qat.tests.fakes import nic, pf, vf
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN2_VF0, GEN4, VF0, VF1

CARD = "0000:03:00.0"
CARD_VF = "0000:03:10.0"


def kernel(**others: t.Any) -> t.Any:
    return LiveFake.with_pfs(
        pf("4xxx", GEN4, total_vfs=2, vfs=[vf("vfio-pci", **others), vf(None)]),
        pf("c6xx", GEN2, total_vfs=1, vfs=vf("c6xxvf")),
        nics=(nic(CARD, vfs=1),),
    )


def test_binds_and_unbinds(play: t.Any) -> None:
    player = play(kernel())
    desired = [
        {"address": VF0},
        {"address": "6B:00.2", "driver": "vfio-pci"},
        {"address": GEN2_VF0, "driver": "vfio-pci"},
        {"address": CARD_VF, "driver": "vfio-pci"},
    ]
    done = player.change(pci_driver, devices=desired, record=player.record)
    assert done["drivers"] == {VF0: None, VF1: "vfio-pci", GEN2_VF0: "vfio-pci", CARD_VF: "vfio-pci"}
    back = [{"address": GEN2_VF0, "driver": "c6xxvf", "override": False}, {"address": VF1}]
    assert player.change(pci_driver, devices=back, record=player.record)["drivers"] == {GEN2_VF0: "c6xxvf", VF1: None}
    assert player.kernel.machine.bus.functions[GEN2_VF0].override is None


def test_wrong_desired(play: t.Any) -> None:
    player = play(kernel())
    failed = player.fail(pci_driver, devices=[{"address": "0000:ff:00.0", "driver": "vfio-pci"}])
    assert failed["msg"] == "0000:ff:00.0: the node has no such PCI function; see lspci -D for those it has"
    failed = player.fail(pci_driver, devices=[{"address": VF0, "override": True}])
    assert failed["failure"]["where"] == "devices[0].override"
    failed = player.fail(pci_driver, devices=[{"address": VF0}, {"address": VF0}])
    assert failed["msg"] == f"devices[1].address: {VF0} is given twice; name it once"


def test_a_function_in_use(play: t.Any) -> None:
    player = play(kernel(held_by="qemu-kvm"))
    devices = [{"address": VF0}, {"address": VF1, "driver": "vfio-pci"}]
    assert f"qemu-kvm (pid 4001) has {VF0} open" in player.fail(pci_driver, devices=devices)["msg"]
    done = player.run(pci_driver, devices=devices, when_in_use="skip", record=player.record)
    assert done["drivers"] == {VF0: "vfio-pci", VF1: "vfio-pci"}
    assert [one["device"] for one in done["skipped_devices"]] == [VF0]


def test_a_driver_that_does_not_exist(play: t.Any) -> None:
    player = play(kernel())
    failed = player.run(pci_driver, devices=[{"address": VF1, "driver": "no-such-driver"}], record=player.record)
    assert failed["failed"]
    assert failed["msg"].startswith("no_such_driver: the running kernel has no module of this name; ")
    assert not failed["changed"]


def test_a_text_that_is_no_driver(play: t.Any) -> None:
    player = play(kernel())
    failed = player.fail(pci_driver, devices=[{"address": VF1, "driver": "../../../../target"}])
    assert failed["msg"] == "devices[0].driver: '../../../../target' is malformed; use letters, digits, - and _"


def test_the_driver_of_pfs_is_none_for_a_vf(play: t.Any) -> None:
    player = play(kernel())
    failed = player.fail(pci_driver, devices=[{"address": VF1, "driver": "4xxx"}])
    assert failed["msg"] == f"{VF1}: 4xxx is the driver of PFs, and {VF1} is a VF; name a driver of VFs"
    devices = [{"address": GEN4, "driver": "4xxx", "override": False}]
    assert player.run(pci_driver, devices=devices, record=player.record)["drivers"] == {GEN4: "4xxx"}
