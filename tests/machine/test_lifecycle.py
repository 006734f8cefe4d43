# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is taken from those who use it, and no failure leaves a node unexplained."""

from __future__ import annotations

import json

import pytest

from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

PF, OTHER = "0000:6b:00.0", "0000:70:00.0"
VF = "0000:6b:00.1"
CHANGE = {"select": {"address": PF}, "services": ["dc"]}
CRYPTO = {"select": {"address": PF}, "services": ["sym", "asym"]}

FAULTS = [
    ("fail_enable_vfs", "12", "the BIOS left no memory or bus numbers for the VFs"),
    ("fail_services", "22", "this kernel does not know this combination of services"),
    ("fail_down", "16", "the PF is in reset, or the kernel itself uses it"),
    ("kernel_users", "1", "the PF is in reset, or the kernel itself uses it"),
]


@pytest.fixture
def provisioned(node: Node) -> Node:
    """A node with crypto on both PFs."""
    answer = node.apply(CRYPTO, {"services": ["sym", "asym"]})
    assert answer.code == 0, answer.sentence
    return node


def test_a_vf_in_use_stops_the_change_before_any_write(provisioned: Node) -> None:
    before = provisioned.state()
    with provisioned.holding(VF) as pid:
        answer = provisioned.apply(CHANGE)
        assert answer.code == 1
        assert f"python3 (pid {pid}) has {VF} open" in answer.sentence
        assert provisioned.state() == before
        assert [(holder["pid"], holder["command"]) for holder in provisioned.devices()[PF]["vfs"][0]["held_by"]] == [
            (pid, "python3")
        ]


def test_skip_leaves_the_pf_of_a_vf_in_use_and_does_the_others(provisioned: Node) -> None:
    with provisioned.holding(VF) as pid:
        answer = provisioned.apply({"services": ["dc"], "when_in_use": "skip"})
        assert answer.code == 0, answer.sentence
        assert answer.document["skipped"] == [{"device": PF, "reason": f"python3 (pid {pid}) has {VF} open"}]
        devices = provisioned.devices()
        assert (devices[PF]["services"], devices[OTHER]["services"]) == (["sym", "asym"], ["dc"])


def test_force_names_who_holds_the_write_up_and_nothing_hangs(provisioned: Node) -> None:
    with provisioned.holding(VF) as pid:
        answer = provisioned.apply({**CHANGE, "when_in_use": "force"}, options="--time-limit 3")
        assert answer.code == 1
        assert f"has not returned after 3 seconds, since python3 (pid {pid}) has {VF} open" in answer.sentence
        assert provisioned.devices()[PF]["blocked"]
        assert "the kernel is still at work on" in provisioned.apply(CHANGE).sentence
    provisioned.run(f"until grep -q down {DEVICES}/{PF}/qat/state; do sleep 0.2; done")
    answer = provisioned.apply(CHANGE)
    assert answer.code == 0, answer.sentence
    assert provisioned.devices()[PF]["services"] == ["dc"]


@pytest.mark.parametrize(("fault", "value", "meaning"), FAULTS)
def test_a_refused_write_is_explained_and_the_pf_put_back(
    provisioned: Node, fault: str, value: str, meaning: str
) -> None:
    before = provisioned.devices()
    provisioned.fault(PF, fault, value)
    answer = provisioned.apply(CHANGE)
    assert answer.code == 1
    assert meaning in answer.sentence
    provisioned.fault(PF, fault, 0)
    after = provisioned.devices()
    assert after[PF]["services"] == before[PF]["services"]
    assert [vf["driver"] for vf in after[PF]["vfs"]] == ["vfio-pci"] * 16
    assert after[OTHER] == before[OTHER]
    assert not {step["device"] for step in answer.document["rolled_back"]} & {OTHER}


def test_one_bad_vf_does_not_cost_the_others(provisioned: Node) -> None:
    provisioned.fault(PF, "refuse_vfio", 3)
    answer = provisioned.apply(CHANGE)
    assert answer.code == 1
    assert "vfio-pci refuses this device" in answer.sentence
    assert len(answer.document["failed_at"]) == 2
    assert [vf["driver"] for vf in provisioned.devices()[PF]["vfs"]].count("vfio-pci") == 14


def test_fewer_vfs_than_promised(provisioned: Node) -> None:
    provisioned.fault(PF, "missing_vfs", 3)
    answer = provisioned.apply(CHANGE)
    assert answer.code == 1
    assert "the kernel made 13 VFs instead of 16" in answer.sentence
    provisioned.fault(PF, "missing_vfs", 0)
    assert provisioned.apply(CRYPTO).code == 0
    assert provisioned.devices()[PF]["vfs_count"] == 16


def test_two_at_once_wait_for_each_other(provisioned: Node) -> None:
    for service in ("dc", "asym"):
        provisioned.machine.put(json.dumps({"devices": [{"services": [service]}]}).encode(), f"/root/{service}.json")
    both = " & ".join(f"qatctl apply --config /root/{service}.json > /dev/null" for service in ("dc", "asym"))
    provisioned.run(f"{both} & wait -n && wait -n")
    services = [device["services"] for device in provisioned.devices().values()]
    assert services in ([["dc"]] * 2, [["asym"]] * 2)


def test_a_foreign_driver_of_the_pf_is_respected(node: Node) -> None:
    node.run(
        f"modprobe vfio-pci; echo vfio-pci > {DEVICES}/{PF}/driver_override; echo {PF} > {DEVICES}/{PF}/driver/unbind;"
        f" echo {PF} > /sys/bus/pci/drivers_probe"
    )
    answer = node.apply(CHANGE)
    assert (answer.code, answer.sentence) == (
        1,
        f"devices[0]: {PF} belongs to the driver vfio-pci; give it back to 4xxx, or take it out of the configuration",
    )
