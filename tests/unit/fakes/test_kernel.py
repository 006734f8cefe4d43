# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do to a fake kernel, and what of a real one no table of cases can show. How it behaves otherwise: tests/behaviour."""

from __future__ import annotations

import contextlib
import errno
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, WriteTimeout
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import READ_SECONDS
from ansible_collections.accel.qat.tests.fakes import Crash, FakeKernel, Write, nic, pf, vf

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import Kernel

PF = "0000:6b:00.0"
VF = "0000:6b:00.1"
DEVICES = "/sys/bus/pci/devices"
STATE = f"{DEVICES}/{PF}/qat/state"
VF_COUNT = f"{DEVICES}/{PF}/sriov_numvfs"
OVERRIDE = f"{DEVICES}/{VF}/driver_override"
BIND = "/sys/bus/pci/drivers/vfio-pci/bind"
CONTAINER = "0123456789abcdef" * 4


def gen4(**others: t.Any) -> FakeKernel:
    return FakeKernel.with_pfs(pf("4xxx", PF), **others)


def with_vfs(**others: t.Any) -> FakeKernel:
    return FakeKernel.with_pfs(pf("4xxx", PF, vfs="vfio-pci"), **others)


def fails(code: int) -> t.Any:
    return pytest.raises(OSError, match=rf"\[Errno {code}\]")


def test_is_a_kernel() -> None:
    kernel: Kernel = gen4()
    assert kernel.read(STATE) == "up"


class TestFiles:
    def test_a_failure_names_the_path(self) -> None:
        with pytest.raises(FileNotFoundError) as caught:
            gen4().read(f"{DEVICES}/{VF}/vendor")
        assert caught.value.filename == f"{DEVICES}/{VF}/vendor"

    def test_directories_are_listed_in_order(self) -> None:
        kernel = with_vfs()
        assert kernel.list(DEVICES)[:3] == [PF, VF, "0000:6b:00.2"]
        assert kernel.list("/sys") == ["bus", "class", "kernel", "module"]
        with fails(errno.ENOTDIR):
            kernel.list(STATE)

    def test_a_directory_cannot_be_read(self) -> None:
        with fails(errno.EISDIR):
            gen4().read(DEVICES)

    def test_what_is_listed_is_there(self) -> None:
        kernel = FakeKernel.with_pfs(
            pf("4xxx", PF, vfs=vf("vfio-pci", held_by="qemu")), nics=(nic("0000:03:00.0", vfs=2),), cdevs=True
        )
        seen = 0
        places = ["/sys", "/proc", "/dev"]
        while places:
            place = places.pop()
            for name in kernel.list(place):
                path = f"{place}/{name}"
                seen += 1
                try:
                    kernel.target(path)
                except OSError:
                    assert kernel.exists(path)
                    if _is_directory(kernel, path):
                        places.append(path)
        assert seen > 300

    def test_links_say_where_they_lead(self) -> None:
        kernel = with_vfs()
        assert kernel.target(f"{DEVICES}/{VF}/driver") == "../../../bus/pci/drivers/vfio-pci"
        assert kernel.link(f"{DEVICES}/{VF}/physfn") == PF
        assert kernel.read(f"{DEVICES}/{VF}/physfn/sriov_numvfs") == "16"
        assert kernel.link(f"/sys/bus/pci/drivers/vfio-pci/{VF}") == VF
        with fails(errno.EINVAL):
            kernel.target(STATE)

    def test_the_release_is_the_generation_s(self) -> None:
        for generation in ("6.1", "6.12", "6.16"):
            assert gen4(generation=generation).read("/proc/sys/kernel/osrelease").startswith(generation + ".")

    def test_what_was_expected_is_read_as_it_was_then(self) -> None:
        kernel = gen4()
        kernel.expect([STATE, f"{DEVICES}/{VF}/driver_override"])
        kernel.reset(PF)
        kernel.switch(PF, "kernel_users", "1")
        assert kernel.read(STATE) == "up"
        with fails(errno.ENOENT):
            kernel.read(f"{DEVICES}/{VF}/driver_override")

    def test_a_write_forgets_what_was_expected(self) -> None:
        kernel = gen4()
        kernel.expect([STATE])
        kernel.write(STATE, "down", 1)
        assert kernel.read(STATE) == "down"

    def test_a_file_that_blocks_is_expected_to(self) -> None:
        kernel = with_vfs()
        pid = kernel.open_vf(VF)
        with pytest.raises(WriteTimeout):
            kernel.write(VF_COUNT, "0", 1)
        before = kernel.machine.clock.now
        kernel.expect([VF_COUNT, f"{DEVICES}/{VF}/driver_override", f"{DEVICES}/{PF}/driver_override"])
        assert kernel.machine.clock.now - before <= 2 * READ_SECONDS
        kernel.end(pid)
        for name in (f"{PF}/sriov_numvfs", f"{PF}/driver_override", f"{VF}/driver_override"):
            with pytest.raises(TimeoutError):
                kernel.read(f"{DEVICES}/{name}")
        assert kernel.read(VF_COUNT) == "0"


def _is_directory(kernel: FakeKernel, path: str) -> bool:
    try:
        kernel.list(path)
    except OSError:
        return False
    return True


class TestPermissions:
    def test_read_only(self) -> None:
        kernel = gen4()
        kernel.read_only = True
        assert not kernel.writable(STATE)
        with fails(errno.EROFS):
            kernel.write(STATE, "down", 1)
        assert kernel.read(STATE) == "up"

    def test_unprivileged(self) -> None:
        kernel = with_vfs()
        pid = kernel.open_vf(VF)
        kernel.unprivileged = True
        assert not kernel.writable(STATE)
        assert kernel.read(STATE) == "up"
        assert kernel.read(f"/proc/{pid}/comm") == "qemu-system-x86"
        with fails(errno.EACCES):
            kernel.write(STATE, "down", 1)
        with fails(errno.EACCES):
            kernel.list(f"/proc/{pid}/fd")
        with fails(errno.EACCES):
            kernel.read(f"/sys/kernel/debug/qat_4xxx_{PF}/heartbeat/status")
        with pytest.raises(NodeError, match="Operation not permitted"):
            kernel.load_module("vfio_pci", (), 1)

    def test_root_may_write_what_exists(self) -> None:
        assert gen4().writable(STATE)
        assert not gen4().writable(OVERRIDE)

    def test_denied(self) -> None:
        kernel = gen4()
        kernel.deny("/sys/kernel/debug/*")
        with pytest.raises(NodeError, match="cannot be read: Operation not permitted"):
            kernel.exists(f"/sys/kernel/debug/qat_4xxx_{PF}/dev_cfg")
        with fails(errno.EPERM):
            kernel.read(f"/sys/kernel/debug/qat_4xxx_{PF}/dev_cfg")
        kernel.deny(DEVICES, errno.ENOENT)
        with fails(errno.ENOENT):
            kernel.list(DEVICES)


class TestWrites:
    def test_are_noted_with_what_came_of_them(self) -> None:
        kernel = gen4()
        kernel.write(STATE, "down", 1)
        with fails(errno.EINVAL):
            kernel.write(STATE, "sideways", 1)
        with fails(errno.ENOENT):
            kernel.write(OVERRIDE, "vfio-pci", 1)
        kernel.load_module("vfio-pci", ("ids=8086:4941",), 1)
        with pytest.raises(NodeError):
            kernel.unload_module("intel_qat", 1)
        assert kernel.writes == [
            Write(STATE, "down", None),
            Write(STATE, "sideways", errno.EINVAL),
            Write(OVERRIDE, "vfio-pci", errno.ENOENT),
            Write("/sys/module/vfio_pci", "load ids=8086:4941", None),
            Write("/sys/module/intel_qat", "unload", errno.EAGAIN),
        ]

    def test_those_that_made_the_node_are_not(self) -> None:
        assert with_vfs().writes == []

    def test_neither_are_switched_faults(self) -> None:
        kernel = gen4()
        kernel.switch(PF, "fail_up", "5")
        assert kernel.writes == []

    def test_fail_as_asked(self) -> None:
        kernel = gen4()
        kernel.fail_writes("*/qat/state", errno.EIO, times=2)
        for _ in range(2):
            with fails(errno.EIO):
                kernel.write(STATE, "down", 1)
        kernel.write(STATE, "down", 1)
        assert [write.errno for write in kernel.writes] == [errno.EIO, errno.EIO, None]

    def test_block_as_asked(self) -> None:
        kernel = gen4()
        kernel.block_writes(STATE)
        with pytest.raises(WriteTimeout, match="has not returned after 7 seconds") as caught:
            kernel.write(STATE, "down", 7)
        assert caught.value.where == STATE
        assert kernel.writes == [Write(STATE, "down", errno.ETIMEDOUT)]
        assert kernel.read(STATE) == "up"

    def test_modules_fail_and_block_too(self) -> None:
        kernel = gen4()
        kernel.fail_writes("/sys/module/vfio_pci", errno.ENOMEM)
        with pytest.raises(NodeError, match="could not insert 'vfio_pci': Cannot allocate memory"):
            kernel.load_module("vfio_pci", (), 1)
        kernel.block_writes("/sys/module/*")
        with pytest.raises(WriteTimeout):
            kernel.load_module("vfio_pci", (), 1)
        assert not kernel.exists("/sys/module/vfio_pci")

    def test_a_crash_comes_between_two_writes(self) -> None:
        kernel = gen4()
        kernel.crash_after(1)
        kernel.write(STATE, "down", 1)
        with pytest.raises(Crash):
            kernel.write(STATE, "up", 1)
        assert kernel.read(STATE) == "down"
        assert kernel.writes == [Write(STATE, "down", None)]
        kernel.write(STATE, "up", 1)

    def test_a_crash_is_no_error_that_can_be_handled(self) -> None:
        assert not issubclass(Crash, Exception)

    def test_a_module_counts_as_a_write_to_crash_at(self) -> None:
        kernel = gen4()
        kernel.crash_after(0)
        with pytest.raises(Crash):
            kernel.load_module("vfio_pci", (), 1)
        assert kernel.writes == []


class TestHolders:
    def test_are_seen_in_proc(self) -> None:
        kernel = with_vfs()
        pid = kernel.open_vf(VF, command="qemu-kvm", container=CONTAINER)
        group = kernel.link(f"{DEVICES}/{VF}/iommu_group")
        targets = [kernel.target(f"/proc/{pid}/fd/{name}") for name in kernel.list(f"/proc/{pid}/fd")]
        assert str(pid) in kernel.list("/proc")
        assert kernel.read(f"/proc/{pid}/comm") == "qemu-kvm"
        assert f"cri-containerd-{CONTAINER}.scope" in kernel.read(f"/proc/{pid}/cgroup")
        assert f"/dev/vfio/{group}" in targets
        assert "/dev/vfio/vfio" in targets
        kernel.end(pid)
        assert not kernel.exists(f"/proc/{pid}")

    def test_may_use_the_device_s_own_node(self) -> None:
        kernel = with_vfs(cdevs=True)
        (name,) = kernel.list(f"{DEVICES}/{VF}/vfio-dev")
        pid = kernel.open_vf(VF, cdev=True)
        assert kernel.target(f"/proc/{pid}/fd/4") == f"/dev/vfio/devices/{name}"
        assert kernel.exists(f"/dev/vfio/devices/{name}")
        with pytest.raises(WriteTimeout):
            kernel.write(STATE, "down", 1)

    def test_nodes_of_devices_are_not_on_every_kernel(self) -> None:
        assert not with_vfs().exists("/dev/vfio/devices")

    def test_cannot_open_what_vfio_does_not_have(self) -> None:
        kernel = FakeKernel.with_pfs(pf("4xxx", PF, vfs=vf()))
        with pytest.raises(ValueError, match=VF):
            kernel.open_vf(VF)

    def test_time_passes_while_a_write_hangs(self) -> None:
        kernel = with_vfs()
        kernel.open_vf(VF)
        before = kernel.machine.clock.now
        with pytest.raises(WriteTimeout):
            kernel.write(STATE, "down", 60)
        assert kernel.machine.clock.now == before + 60

    def test_a_reader_of_a_locked_file_gives_up(self) -> None:
        kernel = with_vfs()
        kernel.open_vf(VF)
        with pytest.raises(WriteTimeout):
            kernel.write("/sys/bus/pci/drivers/vfio-pci/unbind", VF, 1)
        with pytest.raises(TimeoutError):
            kernel.read(OVERRIDE)


class TestVfio:
    def test_groups_have_new_numbers_when_vfs_are_made_again(self) -> None:
        kernel = with_vfs()
        before = kernel.link(f"{DEVICES}/{VF}/iommu_group")
        kernel.write(STATE, "down", 1)
        kernel.write(VF_COUNT, "16", 1)
        assert kernel.link(f"{DEVICES}/{VF}/iommu_group") != before
        assert before not in kernel.list("/sys/kernel/iommu_groups")

    def test_the_unsafe_mode_makes_groups_of_its_own(self) -> None:
        kernel = FakeKernel.with_pfs(pf("4xxx", PF, vfs=vf()), iommu=False, noiommu=False, loaded=("qat_4xxx",))
        kernel.load_module("vfio_pci", (), 1)
        kernel.write(OVERRIDE, "vfio-pci", 1)
        with fails(errno.EINVAL):
            kernel.write(BIND, VF, 1)
        kernel.write("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y", 1)
        kernel.write(BIND, VF, 1)
        group = kernel.link(f"{DEVICES}/{VF}/iommu_group")
        assert kernel.read(f"/sys/kernel/iommu_groups/{group}/name") == "vfio-noiommu"
        assert kernel.exists(f"/dev/vfio/noiommu-{group}")
        kernel.write("/sys/bus/pci/drivers/vfio-pci/unbind", VF, 1)
        assert kernel.list("/sys/kernel/iommu_groups") == []

    def test_the_driver_for_migration_takes_vfs_only(self) -> None:
        kernel = FakeKernel.with_pfs(pf("4xxx", PF, vfs=vf()))
        kernel.load_module("qat_vfio_pci", (), 1)
        kernel.write(OVERRIDE, "qat_vfio_pci", 1)
        kernel.write("/sys/bus/pci/drivers/qat_vfio_pci/bind", VF, 1)
        assert kernel.exists(f"/dev/vfio/{kernel.link(f'{DEVICES}/{VF}/iommu_group')}")
        kernel.write("/sys/bus/pci/drivers/4xxx/unbind", PF, 1)
        kernel.write(f"{DEVICES}/{PF}/driver_override", "qat_vfio_pci", 1)
        with fails(errno.ENODEV):
            kernel.write("/sys/bus/pci/drivers/qat_vfio_pci/bind", PF, 1)

    @pytest.mark.parametrize(("family", "code"), [("4xxx", 0), ("420xx", 0), ("c6xx", errno.EINVAL)])
    def test_what_can_be_migrated_the_driver_of_the_pf_says(self, family: str, code: int) -> None:
        """An override makes any id match."""
        kernel = FakeKernel.with_pfs(pf(family, PF, vfs=vf(None)))
        address = kernel.link(f"{DEVICES}/{PF}/virtfn0")
        kernel.load_module("qat_vfio_pci", (), 1)
        kernel.write(f"{DEVICES}/{address}/driver_override", "qat_vfio_pci", 1)
        with fails(code) if code else contextlib.nullcontext():
            kernel.write("/sys/bus/pci/drivers/qat_vfio_pci/bind", address, 1)


class TestModules:
    def test_udev_loads_what_drives_new_vfs(self) -> None:
        kernel = FakeKernel.with_pfs(pf("c6xx", PF))
        assert not kernel.exists("/sys/module/qat_c62xvf")
        kernel.write(VF_COUNT, "16", 1)
        assert kernel.link(f"{DEVICES}/0000:6b:01.0/driver") == "c6xxvf"

    @pytest.mark.parametrize("others", [{"udev": False}, {"missing": ("qat_c62xvf",)}])
    def test_udev_may_be_off_or_find_nothing(self, others: dict[str, t.Any]) -> None:
        kernel = FakeKernel.with_pfs(pf("c6xx", PF), **others)
        kernel.write(VF_COUNT, "16", 1)
        assert not kernel.exists(f"{DEVICES}/0000:6b:01.0/driver")

    def test_without_its_module_a_pf_has_no_driver(self) -> None:
        kernel = gen4(missing=("qat_4xxx",))
        assert not kernel.exists(f"{DEVICES}/{PF}/driver")
        with pytest.raises(NodeError, match=r"Module qat_4xxx not found in directory /lib/modules/6\.12"):
            kernel.load_module("qat_4xxx", (), 1)

    def test_a_module_brings_what_it_needs(self) -> None:
        kernel = gen4(loaded=())
        kernel.load_module("qat_4xxx", (), 1)
        assert kernel.link(f"{DEVICES}/{PF}/driver") == "4xxx"
        assert kernel.read("/sys/module/intel_qat/refcnt") == "1"
        kernel.unload_module("qat_4xxx", 1)
        assert not kernel.exists("/sys/module/intel_qat")

    def test_what_the_kernel_itself_uses_keeps_its_module_but_not_its_driver(self) -> None:
        kernel = FakeKernel.with_pfs(pf("c6xx", PF, total_vfs=2, vfs=vf()))
        with pytest.raises(ValueError, match="has no driver of QAT VFs"):
            kernel.use_vf(PF)
        kernel.use_vf("0000:6b:01.0")
        assert kernel.read("/sys/module/qat_c62xvf/refcnt") == "1"
        with pytest.raises(NodeError, match="in use"):
            kernel.unload_module("qat_c62xvf", 1)
        kernel.write("/sys/bus/pci/drivers/c6xxvf/unbind", "0000:6b:01.0", 1)
        assert kernel.read("/sys/module/qat_c62xvf/refcnt") == "0"

    def test_a_built_in_module_cannot_be_unloaded(self) -> None:
        kernel = gen4(builtin=("vfio_pci",))
        assert kernel.exists("/sys/bus/pci/drivers/vfio-pci")
        assert not kernel.exists("/sys/module/vfio_pci/refcnt")
        with pytest.raises(NodeError, match="builtin"):
            kernel.unload_module("vfio_pci", 1)

    def test_modprobe_d_is_heeded(self) -> None:
        kernel = gen4(options={"vfio_pci": ("disable_denylist=1",)})
        kernel.load_module("vfio_pci", (), 1)
        assert kernel.read("/sys/module/vfio_pci/parameters/disable_denylist") == "Y"

    def test_out_of_tree_families_have_no_driver(self) -> None:
        kernel = FakeKernel.with_pfs(pf("c4xxx", PF))
        assert not kernel.exists(f"{DEVICES}/{PF}/driver")


class TestNetworkCard:
    def test_makes_as_many_vfs_as_asked_for(self) -> None:
        kernel = FakeKernel.with_pfs(nics=(nic("0000:03:00.0", vfs=3),))
        count = f"{DEVICES}/0000:03:00.0/sriov_numvfs"
        assert kernel.read(count) == "3"
        assert kernel.link(f"{DEVICES}/0000:03:00.0/virtfn2") == "0000:03:10.4"
        assert kernel.link(f"{DEVICES}/0000:03:10.4/driver") == "igbvf"
        kernel.write(count, "0", 1)
        kernel.write(count, "7", 1)
        assert kernel.read(count) == "7"


class TestLog:
    def test_says_what_the_kernel_warns_of(self) -> None:
        kernel = FakeKernel.with_pfs(pf("c6xx", PF, autoprobe=False, vfs=vf(override="vfio-pci")))
        kernel.load_module("vfio_pci", (), 1)
        first = "0000:6b:01.0"
        kernel.machine.bus.messages.clear()
        with fails(errno.EINVAL):
            kernel.write(BIND, first, 1)
        assert len(kernel.log(first)) == 2
        assert "8086:37c9 is in the vfio-pci denylist" in kernel.log(first)[0]
        assert kernel.log(PF) == []


class TestReset:
    def test_takes_a_moment(self) -> None:
        kernel = with_vfs()
        kernel.switch(PF, "reset", "1")
        assert kernel.read(STATE) == "down"
        with fails(errno.EBUSY):
            kernel.write(STATE, "up", 1)
        kernel.sleep(0.2)
        assert kernel.read(STATE) == "up"
        assert kernel.read(OVERRIDE) == "(null)"
        assert kernel.slept == 0.2

    def test_from_beginning_to_end(self) -> None:
        kernel = with_vfs()
        kernel.reset(PF)
        assert kernel.read(VF_COUNT) == "16"
        assert kernel.read(OVERRIDE) == "(null)"

    def test_waits_for_who_has_a_vf_open(self) -> None:
        kernel = with_vfs()
        pid = kernel.open_vf(VF)
        kernel.reset(PF)
        assert kernel.read(STATE) == "down"
        kernel.end(pid)
        kernel.sleep(1)
        assert kernel.read(STATE) == "up"
        assert kernel.read(VF_COUNT) == "16"


class TestThreeServices:
    def test_gen6_offers_three_at_once(self) -> None:
        kernel = FakeKernel.with_pfs(pf("6xxx", PF, services="sym;asym;dc"), generation="6.16")
        assert kernel.read(f"{DEVICES}/{PF}/qat/cfg_services") == "asym;sym;dc"
