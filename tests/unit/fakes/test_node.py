# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes are as they are described."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.tests.fakes import FakeKernel, NodeSpec, Pf, pf, vf

PF = "0000:6b:00.0"


def read(*pfs: Pf, **others: t.Any) -> t.Any:
    return read_node(FakeKernel.with_pfs(*pfs, **others))


def test_a_pf_as_the_kernel_leaves_it() -> None:
    (device,) = read(pf("4xxx", PF, numa_node=1)).qat
    assert (device.state, device.services_text, device.vfs) == ("up", "sym;asym", ())
    assert device.function.numa_node == 1
    assert device.function.driver == "4xxx"


def test_everything_of_a_pf_can_be_chosen() -> None:
    (device,) = read(
        pf("4xxx", PF, device_id=0x4944, services="dc", state="down", autoprobe=False, total_vfs=8), iommu=False
    ).qat
    assert (device.model, device.state, device.services_text) == ("402xx", "down", "dc")
    assert (device.function.sriov.total, device.function.sriov.autoprobe) == (8, False)
    assert device.function.iommu_group is None


def test_vfs_alike() -> None:
    (device,) = read(pf("4xxx", PF, vfs="vfio-pci")).qat
    assert {(one.driver, one.override) for one in device.vfs} == {("vfio-pci", "vfio-pci")}
    assert len(device.vfs) == 16


def test_vfs_that_differ() -> None:
    (device,) = read(
        pf("c6xx", PF, vfs=[vf("vfio-pci", held_by="qemu"), vf(None), vf(override="vfio-pci"), vf(None, "none")])
    ).qat
    assert [one.driver for one in device.vfs[:5]] == ["vfio-pci", None, "c6xxvf", None, "c6xxvf"]
    assert [one.override for one in device.vfs[:5]] == ["vfio-pci", None, "vfio-pci", "none", None]
    assert [holder.command for one in device.vfs for holder in one.holders] == ["qemu"]


@pytest.mark.parametrize(("driver", "override"), [(None, None), ("vfio-pci", "vfio-pci")])
def test_a_pf_that_its_driver_does_not_have(driver: str | None, override: str | None) -> None:
    (device,) = read(pf("4xxx", PF, driver=driver)).qat
    assert (device.function.driver, device.function.override, device.state) == (driver, override, None)


def test_drivers_number_pfs_by_their_addresses() -> None:
    node = read(pf("4xxx", "0000:70:00.0"), pf("4xxx", PF))
    assert [device.services_text for device in node.qat] == ["sym;asym", "dc"]


def test_a_node_that_cannot_be() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        FakeKernel.with_pfs(pf("4xxx", PF, services="sym;dc"), generation="6.1")


def test_a_description_makes_the_same_node_each_time() -> None:
    spec = NodeSpec((pf("4xxx", PF, vfs=vf("vfio-pci", held_by="qemu")),))
    assert read_node(FakeKernel.of(spec)) == read_node(FakeKernel.of(spec))


def test_no_qat_at_all() -> None:
    assert read().qat == ()


def test_a_description_shows_what_was_chosen() -> None:
    spec = NodeSpec((Pf("4xxx", PF, vfs=(vf(), vf(), vf(None, held_by="qemu"))),), iommu=False)
    vfs = "(Vf(),) * 2 + (Vf(driver=None, held_by='qemu'),)"
    assert repr(spec) == f"NodeSpec(pfs=(Pf(family='4xxx', address='{PF}', vfs={vfs}),), iommu=False)"
