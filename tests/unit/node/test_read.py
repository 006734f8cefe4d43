# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Module, VfioPci
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, WriteTimeout
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.tests.fakes import FakeKernel, nic, pf, vf
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN2_VF0, GEN4, OTHER, VF0, VF1, lose_vf

DEVICES = "/sys/bus/pci/devices"
CARD = "0000:03:00.0"
CONTAINER = "0123456789abcdef" * 4


def kernel(**others: t.Any) -> FakeKernel:
    return FakeKernel.with_pfs(
        pf("c6xx", GEN2, total_vfs=1, vfs=vf()),
        pf(
            "4xxx",
            GEN4,
            numa_node=1,
            device_id=0x4942,
            services="sym;asym",
            total_vfs=2,
            vfs=[vf("vfio-pci", held_by="qemu"), vf(None)],
        ),
        nics=(nic(CARD, vfs=1),),
        **others,
    )


def test_a_gen4_pf() -> None:
    device = read_node(kernel()).qat[0]
    assert (device.address, device.index, device.family.name, device.model) == (GEN4, 0, "4xxx", "401xx")
    assert (device.state, device.services, device.services_text) == ("up", frozenset({"sym", "asym"}), "sym;asym")
    assert (device.auto_reset, device.pm_idle_enabled, device.ring_pairs) == (False, True, 64)
    assert device.ras_errors == {"errors_correctable": 0, "errors_nonfatal": 0, "errors_fatal": 0}
    function = device.function
    assert (function.driver, function.override, function.numa_node, function.pf_address) == ("4xxx", None, 1, None)
    assert function.sriov is not None
    assert (function.sriov.total, function.sriov.count, function.sriov.offset, function.sriov.stride) == (2, 2, 1, 1)
    assert function.sriov.autoprobe


def test_vfs() -> None:
    node = read_node(kernel())
    first, second = node.qat[0].vfs
    assert (first.address, first.driver, first.override, first.pf_address) == (VF0, "vfio-pci", "vfio-pci", GEN4)
    assert first.holders == (Holder(4001, "qemu"),)
    assert (second.address, second.driver, second.override, second.holders) == (VF1, None, None, ())
    assert first.iommu_group != second.iommu_group
    assert node.function(VF0) is first


def test_a_gen2_pf() -> None:
    device = read_node(kernel()).qat[1]
    assert (device.address, device.family.name, device.index) == (GEN2, "c6xx", 1)
    assert (device.state, device.services, device.services_text, device.ring_pairs) == (None, None, "", None)
    assert device.vfs[0].driver == "c6xxvf"


def test_other_functions_only_when_asked_for() -> None:
    assert set(read_node(kernel()).functions) == {GEN4, VF0, VF1, GEN2, GEN2_VF0}
    node = read_node(kernel(), [CARD, "0000:ff:00.0"])
    card = node.functions[CARD]
    assert (card.driver, card.sriov and card.sriov.count) == ("igb", 1)
    assert node.function("0000:ff:00.0") is None
    assert node.qat_at(CARD) is None


def test_the_node() -> None:
    node = read_node(kernel(loaded=("qat_4xxx", "qat_c62x", "igb", "vfio_pci")))
    assert (node.kernel_release, node.iommu, node.noiommu, node.rival) == ("6.12.48+deb13-amd64", True, None, "")
    assert {"4xxx", "c6xx", "c6xxvf", "vfio-pci", "igb"} <= node.drivers
    assert node.vfio_pci == VfioPci(Module("vfio_pci", 1), True, (VF0,))


def test_what_the_kernel_uses_itself() -> None:
    fake = kernel()
    assert read_node(fake).busy_drivers == frozenset()
    fake.use_vf(GEN2_VF0)
    assert read_node(fake).busy_drivers == {"c6xxvf"}
    fake.deny("/sys/module/qat_c62xvf/refcnt", errno.ENOENT)
    assert read_node(fake).busy_drivers == frozenset()


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EPERM, errno.ENOMEM])
def test_use_by_the_kernel_that_cannot_be_read_is_not_taken_for_none(code: int) -> None:
    fake = kernel()
    fake.deny("/sys/module/qat_c62xvf/refcnt", code)
    with pytest.raises(NodeError, match=r"^/sys/module/qat_c62xvf/refcnt: cannot be read: "):
        read_node(fake)


def test_vfio_pci() -> None:
    assert read_node(FakeKernel.with_pfs()).vfio_pci == VfioPci()
    loaded = FakeKernel.with_pfs(loaded=("vfio_pci",), options={"vfio_pci": ("disable_denylist=1",)})
    assert read_node(loaded).vfio_pci == VfioPci(Module("vfio_pci", 0), False)
    assert read_node(FakeKernel.with_pfs(builtin=("vfio_pci",))).vfio_pci.module == Module("vfio_pci", None)


def test_no_iommu() -> None:
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4), iommu=False, noiommu=True, loaded=("vfio_pci",)))
    assert (node.iommu, node.noiommu) == (False, True)


def test_users_of_character_devices() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, vfs="vfio-pci"), cdevs=True)
    pid = fake.open_vf(VF1, "qemu", CONTAINER, cdev=True)
    node = read_node(fake)
    assert node.functions[VF1].holders == (Holder(pid, "qemu", CONTAINER),)
    assert node.functions[VF0].holders == ()


def test_sysfs_that_is_not_there() -> None:
    fake = kernel()
    fake.deny(DEVICES, errno.ENOENT)
    with pytest.raises(NodeError) as caught:
        read_node(fake)
    assert str(caught.value) == (
        f"{DEVICES}: cannot list the PCI devices: No such file or directory; mount sysfs, or set sysfs_root"
    )


NOT_NEEDED = (
    f"{DEVICES}/{GEN4}/qat*",
    f"{DEVICES}/*/numa_node",
    f"{DEVICES}/*/iommu_group",
    f"{DEVICES}/{GEN4}/sriov_offset",
    "/proc/sys/*",
    "/sys/module/*",
    "/sys/kernel/iommu_groups",
)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESRCH])
def test_what_is_not_there_is_unknown(code: int) -> None:
    fake = kernel()
    for pattern in NOT_NEEDED:
        fake.deny(pattern, code)
    node = read_node(fake)
    device = node.qat[0]
    assert (device.state, device.services, device.services_text, device.auto_reset) == (None, None, "", None)
    assert (device.ring_pairs, device.ras_errors) == (None, None)
    assert (device.function.numa_node, device.function.iommu_group) == (-1, None)
    assert device.function.sriov is not None
    assert device.function.sriov.offset == 0
    assert (node.kernel_release, node.iommu) == ("", False)
    assert not device.function.blocked


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("pattern", [*NOT_NEEDED, DEVICES, f"{DEVICES}/*/vendor", f"{DEVICES}/{GEN4}/virtfn*"])
def test_what_cannot_be_read_fails_the_look(pattern: str, code: int) -> None:
    fake = kernel()
    fake.deny(pattern, code)
    with pytest.raises(NodeError, match=rf"cannot be read: {os.strerror(code)}; "):
        read_node(fake)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENODATA])
def test_a_driver_that_is_coming_or_going_shows_nothing(code: int) -> None:
    """It refuses to show a device that it does not know yet, or any more (adf_sysfs.c)."""
    fake = kernel()
    fake.deny(f"{DEVICES}/{GEN4}/qat/*", code)
    fake.deny(f"{DEVICES}/{GEN4}/qat_ras/*", code)
    device = read_node(fake).qat[0]
    assert (device.state, device.services, device.ring_pairs, device.ras_errors) == (None, None, None, None)
    fake.deny(f"{DEVICES}/{GEN4}/sriov_numvfs", code)
    with pytest.raises(NodeError, match="cannot be read"):
        read_node(fake)


@pytest.mark.parametrize("text", ["", "many", "0x10", "16 VFs"])
def test_what_is_no_number_is_not_taken_for_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = kernel()
    read = fake.read
    monkeypatch.setattr(fake, "read", lambda path: text if path.endswith("sriov_totalvfs") else read(path))
    with pytest.raises(NodeError) as caught:
        read_node(fake)
    where = f"{DEVICES}/{GEN4}/sriov_totalvfs"
    assert str(caught.value) == f"{where}: {text!r} is no number; see that sysfs is mounted there"


def test_a_function_that_goes_while_it_is_read() -> None:
    fake = kernel()
    fake.deny(f"{DEVICES}/{OTHER}/*", errno.ENOENT)
    fake.deny(f"{DEVICES}/{GEN2}/vendor", errno.ENODEV)
    assert [device.address for device in read_node(fake).qat] == [GEN4]


def test_a_pf_without_sriov() -> None:
    function = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=0))).functions[GEN4]
    assert function.sriov is None


def test_a_device_that_does_not_answer_is_asked_once() -> None:
    """As when a write waits in the kernel for the user of a VF, with the device's lock held."""
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=[vf("vfio-pci", held_by="qemu"), vf("vfio-pci")]))
    with pytest.raises(WriteTimeout):
        fake.write("/sys/bus/pci/drivers/vfio-pci/unbind", VF0, 1.0)
    before = fake.machine.clock.now
    node = read_node(fake)
    assert node.functions[VF0].blocked
    assert node.functions[GEN4].blocked
    assert node.qat[0].function.blocked
    assert not node.functions[VF1].blocked
    assert node.functions[VF1].driver == "vfio-pci"
    assert fake.machine.clock.now - before <= 10.0


def test_the_vfs_of_a_pf_that_does_not_answer_stay_known() -> None:
    """Its driver is being unbound; the second VF is held, has lost its links to the PF, and is still there."""
    fake = FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=4, vfs=[vf("vfio-pci"), vf("vfio-pci", held_by="qemu"), vf("vfio-pci"), vf(None)])
    )
    before = read_node(fake).qat[0].vfs
    assert [one.index for one in before] == [0, 1, 2, 3]
    with pytest.raises(WriteTimeout):
        fake.write("/sys/bus/pci/drivers/4xxx/unbind", GEN4, 1.0)
    with pytest.raises(TimeoutError):
        fake.read(f"{DEVICES}/{GEN4}/sriov_numvfs")
    node = read_node(fake)
    pf_function = node.functions[GEN4]
    assert (pf_function.blocked, pf_function.numa_node) == (True, before[0].numa_node)
    assert pf_function.sriov is not None
    assert (pf_function.sriov.total, pf_function.sriov.count, pf_function.sriov.changing) == (4, 3, False)
    vfs = node.qat[0].vfs
    assert [(one.address, one.index, one.pf_address, one.blocked) for one in vfs] == [
        (before[1].address, 1, GEN4, True),
        (before[2].address, 2, GEN4, False),
        (before[3].address, 3, GEN4, False),
    ]
    assert [node.function(one.address) for one in vfs] == list(vfs)


def test_a_vf_that_is_missing_leaves_the_others_their_index() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=3, vfs="vfio-pci"))
    lose_vf(fake, GEN4, 1)
    device = read_node(fake).qat[0]
    assert device.function.sriov is not None
    assert device.function.sriov.count == 3
    assert [(one.address, one.index) for one in device.vfs] == [(VF0, 0), ("0000:6b:00.3", 2)]


def test_the_model_of_each_device_id() -> None:
    devices = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, device_id=0x4944), pf("420xx", OTHER))).qat
    assert [device.model for device in devices] == ["402xx", "420xx"]
