# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as one with Intel's out-of-tree package is: with its memory driver, and a driver that makes VFs and has no directory qat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ansible_collections.accel.qat.tests.cluster.steps import include
from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node
from ansible_collections.accel.qat.tests.machine.test_device_plugin import Kubelet

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "Intel's out-of-tree QAT package (module usdm_drv)"
PF = "0000:6b:00.0"
VFS = ("0000:6b:00.1", "0000:6b:00.2")
RULE = {"provision": False, "services": ["sym", "asym"]}


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware(pfs="4xxx@6b:0")


@pytest.fixture
def packaged(node: Node) -> Node:
    """With the package's drivers, and VFs as its administrator makes and binds them."""
    node.run("modprobe -r qat_4xxx && modprobe usdm_drv && modprobe qat_4xxx out_of_tree=1 && modprobe vfio-pci")
    node.run(f"until [ -e {DEVICES}/{PF}/driver ]; do sleep 0.1; done; echo {len(VFS)} > {DEVICES}/{PF}/sriov_numvfs")
    for vf in VFS:
        node.run(f"echo vfio-pci > {DEVICES}/{vf}/driver_override; echo {vf} > /sys/bus/pci/drivers_probe")
    assert node.run(f"ls {DEVICES}/{PF}/qat", check=False) == ""
    return node


def vfs_and_drivers(node: Node) -> str:
    """What the administrator has made."""
    return node.run(f"cd {DEVICES}/{PF}; cat sriov_numvfs; readlink virtfn*/driver")


def test_the_package_keeps_its_devices(packaged: Node) -> None:
    before = packaged.state()
    for rule in ({"services": ["dc"]}, {"vfs": 0}, {"state": "absent"}):
        answer = packaged.apply(rule)
        assert answer.code == 1
        assert f"{PACKAGE} is active and manages the QAT devices of this node" in answer.sentence
        assert "set provision to false in the rule" in answer.sentence
    assert packaged.state() == before


def test_its_vfs_are_offered_as_they_are(packaged: Node, tmp_path: Path) -> None:
    before = vfs_and_drivers(packaged)
    answer = packaged.apply(RULE)
    assert (answer.code, answer.document["steps"]) == (0, []), answer.sentence
    (device,) = answer.document["node"]["devices"]
    assert (device["resource"], device["advertised"]) == ("qat.intel.com/cy", list(VFS))

    controller = Controller(packaged.machine, tmp_path)
    include(controller, "qat_node", qat_node_devices=[RULE], qat_node_kernel_arguments=[])
    include(controller, "qat_device_plugin", qat_device_plugin_wait=False)
    # The file heartbeat, where the in-tree driver has a directory, makes no VF unhealthy.
    Kubelet(packaged).has({"qat.intel.com/cy": dict.fromkeys(VFS, "Healthy")})

    for name in ("qat_device_plugin", "qat_node"):
        include(controller, name, "teardown")
    assert vfs_and_drivers(packaged) == before
