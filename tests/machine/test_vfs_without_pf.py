# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as a virtual machine is that was given VFs: functions of their own, without a PF, with a virtual IOMMU."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.machine.node import Node
from ansible_collections.accel.qat.tests.machine.test_device_plugin import Kubelet

FIRST, SECOND = "0000:6b:00.0", "0000:6c:00.0"
VFS = "4xxxvf@6b:0,4xxxvf@6c:0"
RULES = ({"select": {"address": FIRST}, "services": ["dc"]}, {"select": {"device_id": "4941"}})


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware(pfs=VFS)


def test_bound_offered_repaired_and_put_back(node: Node) -> None:
    before = node.state()
    assert [(one["is_vf"], one["driver"]) for one in node.devices().values()] == [(True, None)] * 2
    assert node.apply(*RULES).code == 0
    devices = {one["address"]: one for one in node.qatctl("apply", *RULES).document["node"]["devices"]}
    assert {address: one["driver"] for address, one in devices.items()} == dict.fromkeys(devices, "vfio-pci")
    assert {address: one["resource"] for address, one in devices.items()} == {
        FIRST: "qat.intel.com/dc",
        SECOND: "qat.intel.com/generic",
    }
    assert [one["services_stated"] for one in devices.values()] == [True, False]
    assert node.qatctl("status", *RULES).code == 0

    node.run(f"echo {FIRST} > /sys/bus/pci/drivers/vfio-pci/unbind")
    assert node.qatctl("status", *RULES).code == 3
    assert node.apply(*RULES).code == 0
    assert node.qatctl("status", *RULES).code == 0

    with node.holding(FIRST) as pid:
        answer = node.ask("teardown")
        assert (answer.code, f"(pid {pid}) has {FIRST} open" in answer.sentence) == (1, True), answer.sentence
    assert node.ask("teardown").code == 0
    assert node.state() == before


def test_what_is_not_provisioned_stays(node: Node) -> None:
    before = node.state()
    assert node.apply({"provision": False}).document["steps"] == []
    assert node.state() == before


def test_the_roles_have_them_offered_and_bring_back_one_that_returns(node: Node, tmp_path: Path) -> None:
    controller = Controller(node.machine, tmp_path)
    variables = {"qat_node_devices": list(RULES), "qat_node_kernel_arguments": [], "qat_device_plugin_wait": False}
    roles = [
        {"name": name, "ansible.builtin.include_role": {"name": f"accel.qat.{name}"}, "vars": variables}
        for name in ("qat_node", "qat_device_plugin")
    ]
    run = controller.play(roles)
    assert run.code == 0, run.output
    kubelet = Kubelet(node)
    healthy = {"qat.intel.com/dc": {FIRST: "Healthy"}, "qat.intel.com/generic": {SECOND: "Healthy"}}
    kubelet.has(healthy)

    node.fault(FIRST, "present", 0)
    seen = kubelet.has({**healthy, "qat.intel.com/dc": {FIRST: "Unhealthy"}})
    # udev hears of the VF, and has qat-node.service bind it.
    node.fault(FIRST, "present", 1)
    kubelet.has(healthy, beyond=seen)
