# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.picture import Holder
from ansible_collections.accel.qat.plugins.module_utils._node.usage import container_id, read_holders
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf
from ansible_collections.accel.qat.tests.unit.engine.nodes import GEN4, VF0, VF1

ID = "4a3f6c5e9d0b1a2c" * 4
POD = "0b6e5e4f-4d0c-4f6e-9d5f-8a8f1b2c3d4e"
SLICE = f"kubepods-burstable-pod{POD.replace('-', '_')}.slice"

CGROUPS = {
    "docker, v1": f"12:memory:/docker/{ID}\n11:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}",
    "docker, v2": f"0::/system.slice/docker-{ID}.scope",
    "containerd, v1, cgroupfs": f"11:devices:/kubepods/burstable/pod{POD}/{ID}\n0::/",
    "containerd, v1, systemd": (
        f"4:pids:/system.slice/containerd.service/{SLICE}:cri-containerd:{ID}\n"
        f"1:name=systemd:/system.slice/containerd.service/{SLICE}:cri-containerd:{ID}"
    ),
    "containerd, v2": f"0::/kubepods.slice/kubepods-burstable.slice/{SLICE}/cri-containerd-{ID}.scope",
    "cri-o, v1": f"8:memory:/kubepods.slice/{SLICE}/crio-{ID}.scope",
    "cri-o, v2": f"0::/kubepods.slice/kubepods-burstable.slice/{SLICE}/crio-{ID}.scope",
    "podman, root, v2": f"0::/machine.slice/libpod-{ID}.scope/container",
    "podman, user": f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
    "k3s in docker": f"0::/docker/{'f' * 64}/kubepods/burstable/pod{POD}/{ID}",
}

NONE = {
    "service": "0::/system.slice/dpdk.service",
    "session": "0::/user.slice/user-0.slice/session-4.scope",
    "machine": "0::/machine.slice/machine-qemu\\x2d1\\x2dguest.scope/libvirt/emulator",
    "v1": "2:cpu:/\n1:name=systemd:/init.scope",
    "nothing": "",
    "a shorter number": "0::/system.slice/0123456789abcdef.scope",
}


@pytest.mark.parametrize("name", CGROUPS)
def test_finds_the_container(name: str) -> None:
    assert container_id(CGROUPS[name]) == ID


@pytest.mark.parametrize("name", NONE)
def test_finds_none(name: str) -> None:
    assert container_id(NONE[name]) == ""


def kernel() -> FakeKernel:
    return FakeKernel.with_pfs(pf("4xxx", GEN4, vfs="vfio-pci"), cdevs=True)


def test_who_has_what_open() -> None:
    fake = kernel()
    group = fake.link(f"/sys/bus/pci/devices/{VF0}/iommu_group")
    first, second = fake.open_vf(VF0, "qemu-kvm"), fake.open_vf(VF0, "testpmd", ID)
    fake.open_vf(VF1, "other")
    holders = read_holders(fake)
    assert holders.of(group, ()) == (Holder(first, "qemu-kvm"), Holder(second, "testpmd", ID))
    assert holders.of(None, ()) == ()
    assert holders.of("99", ["vfio99"]) == ()


def test_a_process_counts_once_however_it_has_it_open() -> None:
    fake = kernel()
    pid = fake.open_vf(VF0, "qemu-kvm", cdev=True)
    fake.machine.vfio.processes[pid].files[9] = "/dev/vfio/1"
    name = fake.list(f"/sys/bus/pci/devices/{VF0}/vfio-dev")[0]
    assert read_holders(fake).of("1", [name]) == (Holder(pid, "qemu-kvm"),)


def test_the_container_node_of_vfio_is_nobodys_vf() -> None:
    fake = kernel()
    pid = fake.open_vf(VF0)
    fake.machine.vfio.processes[pid].files = {3: "/dev/vfio/vfio", 4: "socket:[4711]"}
    assert read_holders(fake).of("vfio", ()) == ()


def test_what_cannot_be_read_is_left_out() -> None:
    fake = kernel()
    pid = fake.open_vf(VF0)
    fake.deny(f"/proc/{pid}/comm")
    fake.deny(f"/proc/{pid}/cgroup")
    group = fake.link(f"/sys/bus/pci/devices/{VF0}/iommu_group")
    assert read_holders(fake).of(group, ()) == (Holder(pid, "unknown"),)
    fake.deny(f"/proc/{pid}/fd/*")
    assert read_holders(fake).of(group, ()) == ()
    fake.deny("/proc")
    assert read_holders(fake).of(group, ()) == ()


def test_in_words() -> None:
    assert str(Holder(7, "qemu-kvm")) == "qemu-kvm (pid 7)"
    assert str(Holder(7, "testpmd", ID)) == "testpmd (pid 7) in container 4a3f6c5e9d0b"
