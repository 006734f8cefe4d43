# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices before Gen4: no services to set, a denylist in vfio-pci, kernel drivers that grab the VFs."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

C62X, DH895X = "0000:6b:00.0", "0000:70:00.0"


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware(pfs="c6xx@6b:0,dh895xcc@70:1")


def drivers(node: Node) -> list[set[str]]:
    """Drivers of each PF's VFs."""
    return [{vf["driver"] for vf in device["vfs"]} for device in node.devices().values()]


def test_all_vfs_on_vfio_pci_loaded_without_its_denylist(node: Node) -> None:
    answer = node.apply({})
    assert answer.code == 0, answer.sentence
    assert [device["vfs_count"] for device in node.devices().values()] == [16, 32]
    assert drivers(node) == [{"vfio-pci"}, {"vfio-pci"}]
    assert node.run("cat /sys/module/vfio_pci/parameters/disable_denylist").strip() == "Y"
    assert node.apply({}).document["steps"] == []


def test_vfio_pci_with_its_denylist_on_is_loaded_again_while_nothing_uses_it(node: Node) -> None:
    node.run("modprobe vfio-pci")
    answer = node.apply({})
    assert answer.code == 0, answer.sentence
    assert [step["action"] for step in answer.document["steps"][:2]] == ["unload_module", "load_module"]


def test_vfs_that_a_kernel_driver_has_grabbed_are_taken_over(node: Node) -> None:
    node.run(f"modprobe qat_c62xvf; echo 16 > {DEVICES}/{C62X}/sriov_numvfs")
    assert drivers(node)[0] == {"c6xxvf"}
    answer = node.apply({"select": {"family": "c6xx"}})
    assert answer.code == 0, answer.sentence
    assert drivers(node)[0] == {"vfio-pci"}


def test_vfs_go_and_the_pf_keeps_its_driver(node: Node) -> None:
    node.apply({})
    answer = node.apply({"state": "absent"})
    assert answer.code == 0, answer.sentence
    assert [(device["vfs_count"], device["driver"]) for device in node.devices().values()] == [
        (0, "c6xx"),
        (0, "dh895xcc"),
    ]


def test_a_pf_without_its_module_gets_it_by_the_modules_own_name(node: Node) -> None:
    node.run("rmmod qat_c62x")
    assert node.devices()[C62X]["driver"] is None
    answer = node.apply({"select": {"address": C62X}})
    assert answer.code == 0, answer.sentence
    assert "qat_c62x" in [step["device"] for step in answer.document["steps"]]
    assert drivers(node)[0] == {"vfio-pci"}


def test_services_are_refused_with_the_reason(node: Node) -> None:
    before = node.state()
    answer = node.apply({"services": ["sym"]})
    assert (answer.code, answer.sentence) == (
        2,
        (
            "devices[0].services: 0000:6b:00.0 is a c6xx device, whose services cannot be set; remove services, or select only "
            "PFs from Gen4 on"
        ),
    )
    assert node.state() == before
