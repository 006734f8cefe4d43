# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.modules import qat_info
from ansible_collections.accel.qat.tests.fakes import pf
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4
from ansible_collections.accel.qat.tests.unit.plugins.modules.run import Player


def player(play: t.Any, **others: t.Any) -> Player:
    made: Player = play(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs="vfio-pci"), **others))
    return made


def test_reports_all_and_changes_nothing(play: t.Any) -> None:
    one = player(play)
    result = one.run(qat_info)
    assert not result["changed"]
    assert set(result) == {"changed", "accel_qat", "invocation"}
    assert [device["address"] for device in result["accel_qat"]["devices"]] == [GEN4]
    assert result == one.run(qat_info, check=True)
    assert one.kernel.writes == []


def test_with_a_configuration(play: t.Any) -> None:
    node = player(play).run(qat_info, devices=[{"advertise": 1}])["accel_qat"]
    assert (node["devices"][0]["rule"], len(node["devices"][0]["advertised"])) == ("devices[0]", 1)


def test_a_malformed_configuration(play: t.Any) -> None:
    failed = player(play).run(qat_info, devices=[{"vfs": "many"}])
    assert failed["msg"] == 'devices[0].vfs: "many" is not an integer; correct it'


def test_no_sysfs(play: t.Any) -> None:
    one = player(play)
    one.kernel.deny("/sys/bus/pci/devices", 2)
    assert one.run(qat_info)["msg"] == (
        "/sys/bus/pci/devices: cannot list the PCI devices: No such file or directory; mount sysfs, or set sysfs_root"
    )


def test_a_node_without_qat(play: t.Any) -> None:
    result = play(LiveFake.with_pfs()).run(qat_info)
    assert result["accel_qat"]["devices"] == []
