# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import errno

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.cli.describe import describe, plan_text, table
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan, Skip
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import QatDevice
from ansible_collections.accel.qat.plugins.module_utils._node.printable import WIDTH
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import Assignments
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf, vf
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN4, OTHER, VF0, VF1, plan_of


def test_each_thing_that_is_known_of_a_pf_is_shown() -> None:
    """But the functions, which are shown by parts, and the text of the services beside their names."""
    known = {field.name for field in dataclasses.fields(QatDevice)} - {"function", "services_text"}
    (shown,) = describe(read_node(FakeKernel.with_pfs(pf("4xxx", GEN4))))["devices"]
    assert known <= set(shown)


def test_everything_that_is_known() -> None:
    kernel = FakeKernel.with_pfs(
        pf(
            "4xxx",
            GEN4,
            numa_node=1,
            device_id=0x4944,
            total_vfs=2,
            autoprobe=False,
            vfs=[vf("vfio-pci", held_by="qemu-kvm"), vf(None)],
        )
    )
    rules = parse_configuration({"devices": [{"advertise": 1}]})
    assert describe(read_node(kernel), rules) == {
        "kernel": "6.12.48+deb13-amd64",
        "iommu": True,
        "noiommu": False,
        "vfio_pci": {"loaded": True, "denylist": False},
        "devices": [
            {
                "address": GEN4,
                "is_vf": False,
                "index": 0,
                "family": "4xxx",
                "model": "402xx",
                "generation": 4,
                "vendor_id": "8086",
                "device_id": "4944",
                "driver": "4xxx",
                "numa_node": 1,
                "iommu_group": "0",
                "state": "up",
                "blocked": False,
                "services": ["sym", "asym"],
                "services_stated": False,
                "auto_reset": False,
                "pm_idle_enabled": True,
                "ring_pairs": 64,
                "ras_errors": {"errors_correctable": 0, "errors_nonfatal": 0, "errors_fatal": 0},
                "vfs_total": 2,
                "vfs_count": 2,
                "drivers_autoprobe": False,
                "resource": "qat.intel.com/cy",
                "rule": "devices[0]",
                "is_provisioned": True,
                "advertised": [VF0],
                "vfs": [
                    {
                        "address": VF0,
                        "device_id": "4945",
                        "driver": "vfio-pci",
                        "driver_override": "vfio-pci",
                        "iommu_group": "1",
                        "vfio_node": "/dev/vfio/1",
                        "numa_node": 1,
                        "held_by": [{"pid": 4001, "command": "qemu-kvm", "container": "", "pod": "", "note": ""}],
                    },
                    {
                        "address": VF1,
                        "device_id": "4945",
                        "driver": None,
                        "driver_override": None,
                        "iommu_group": "2",
                        "vfio_node": None,
                        "numa_node": 1,
                        "held_by": [],
                    },
                ],
            }
        ],
    }


def test_vfs_are_offered_where_the_kernel_does_not_say_where_they_will_be() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs="vfio-pci"))
    for name in ("sriov_offset", "sriov_stride"):
        kernel.deny(f"/sys/bus/pci/devices/{GEN4}/{name}", errno.ENOENT)
    (device,) = describe(read_node(kernel), parse_configuration({"devices": [{}]}))["devices"]
    assert (device["vfs_total"], device["advertised"]) == (2, [VF0, VF1])


def test_what_is_not_known_is_none() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=0, driver=None), loaded=())
    node = describe(read_node(kernel))
    assert node["vfio_pci"] == {"loaded": False, "denylist": None}
    device = node["devices"][0]
    assert {name: device[name] for name in ("driver", "state", "services", "ring_pairs", "ras_errors", "rule")} == {
        "driver": None,
        "state": None,
        "services": None,
        "ring_pairs": None,
        "ras_errors": None,
        "rule": None,
    }
    assert (device["vfs_total"], device["drivers_autoprobe"], device["resource"]) == (0, None, "qat.intel.com/generic")


def test_table() -> None:
    kernel = FakeKernel.with_pfs(
        pf("4xxx", GEN4, numa_node=0, total_vfs=3, vfs=[vf("vfio-pci", held_by="qemu-kvm"), vf("vfio-pci"), vf(None)]),
        pf("4xxx", OTHER, numa_node=1, services="dc", state="down"),
        pf("c6xx", GEN2, total_vfs=2, vfs=vf()),
    )
    assert table(read_node(kernel)).splitlines() == [
        "PF            FAMILY  STATE  SERVICES  VFS   DRIVER  NUMA  GROUPS  HELD BY",
        "0000:6b:00.0  4xxx    up     sym;asym  3/3   mixed   0     3-5     1",
        "0000:70:00.0  4xxx    down   dc        0/16  -       1     -       -",
        "0000:75:00.0  c6xx    -      -         2/2   c6xxvf  -     6-7     -",
        "",
        "0000:6b:00.0: drivers vfio-pci (2), none (1)",
        "0000:6b:00.0: held by qemu-kvm (pid 4001)",
    ]


def with_pods(count: int, name: str) -> FakeKernel:
    """A node with so many VFs of one PF, each of a pod of its own."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=count, vfs="vfio-pci"), pf("dh895xcc", OTHER, vfs=vf()))
    vfs = read_node(kernel).qat[0].vfs
    kernel.assignments = Assignments(
        {one.address: (Holder(0, "", "app", f"{name}-{index}"),) for index, one in enumerate(vfs)}
    )
    return kernel


@pytest.mark.parametrize("name", ["default/web", f"kube-system/{'x' * 20}-7d9c5b5d4c-abcde"])
def test_each_pod_is_named_in_80_columns(name: str) -> None:
    lines = table(read_node(with_pods(16, name))).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].split()[-1] == "16"
    notes = "\n".join(lines[3:]).replace("\n    ", " ").splitlines()[1:]
    assert notes == sorted(f"{GEN4}: held by pod {name}-{index} (container app)" for index in range(16))


def test_a_name_stays_whole_however_long() -> None:
    name = f"default/{'x' * 253}"
    assert f"{name}-0" in table(read_node(with_pods(1, name))).split()


def test_the_widest_columns_fit_into_80() -> None:
    vfs = [vf("qat_vfio_pci") for _ in range(16)]
    kernel = FakeKernel.with_pfs(
        pf("4xxx", GEN4, vfs=vfs, numa_node=1),
        pf("dh895xcc", OTHER, vfs=vf()),
        pf("4xxx", "0000:80:00.0", vfs=vf("vfio-pci")),
    )
    kernel.machine.bus.functions[OTHER].locked = True
    lines = table(read_node(kernel)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [word in " ".join(lines) for word in ("qat_vfio_pci", "dh895xcc", "blocked", "sym;asym")] == [True] * 4


def test_many_ranges_are_below() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=16, vfs=vf("vfio-pci")))
    for index, function in enumerate(read_node(kernel).qat[0].vfs):
        group = kernel.machine.bus.functions[function.address].group
        assert group is not None
        group.number = 100 + 2 * index
    lines = table(read_node(kernel)).splitlines()
    assert lines[1].split()[-2] == "below"
    assert " ".join(lines[3:]).startswith(f"{GEN4}: IOMMU groups 100, 102, 104, ")
    assert max(map(len, lines)) <= WIDTH


def test_ranges_have_gaps() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=3, vfs=vf()))
    middle = kernel.machine.bus.functions[VF1]
    middle.group = None
    assert " 1,3 " in table(read_node(kernel))


def test_table_of_a_node_without_qat() -> None:
    assert table(read_node(FakeKernel.with_pfs())) == "This node has no QAT device."


def test_a_pf_that_the_kernel_is_still_at_work_on() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1, vfs="vfio-pci"))
    kernel.machine.bus.functions[GEN4].locked = True
    node = read_node(kernel)
    assert "blocked" in table(node).splitlines()[1].split()
    assert describe(node)["devices"][0]["blocked"] is True


def test_plan_in_words() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4))
    plan = plan_of(kernel, {"services": ["dc"], "vfs": 0})
    text = plan_text(Plan(plan.steps, (Skip(OTHER, "qemu-kvm (pid 7) has 0000:70:00.1 open"),)))
    files = f"/sys/bus/pci/devices/{GEN4}/qat"
    assert text.splitlines() == [
        f"  1. {files}/state: up -> down (services can be set only while the PF is down)",
        f"  2. {files}/cfg_services: sym;asym -> dc (the configuration asks for these services)",
        f"  3. {files}/state: down -> up (the PF should be up)",
        f"     {OTHER} is left as it is: qemu-kvm (pid 7) has 0000:70:00.1 open",
    ]
    assert plan_text(Plan()) == "Nothing to do: the node is as configured."
