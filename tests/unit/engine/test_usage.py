# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.apply import SECONDS, converge
from ansible_collections.accel.qat.plugins.module_utils._node.describe import table
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.picture import Holder, Node
from ansible_collections.accel.qat.plugins.module_utils._node.plan import Plan
from ansible_collections.accel.qat.plugins.module_utils._node.pods import NO_PODS, Assignments
from ansible_collections.accel.qat.plugins.module_utils._node.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.usage import Holders, container_id, read_holders
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf, vf
from ansible_collections.accel.qat.tests.unit.engine.nodes import GEN4, VF0, VF1, apply, planner

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


@pytest.mark.parametrize("root", ["", "/host", "/var/lib/machines/vfio/guest"])
@pytest.mark.parametrize("gone", ["", " (deleted)"])
@pytest.mark.parametrize("cdev", [False, True])
def test_wherever_the_process_has_its_dev(root: str, gone: str, cdev: bool) -> None:
    fake = kernel()
    pid = fake.open_vf(VF0, "qemu-kvm", cdev=cdev)
    files = fake.machine.vfio.processes[pid].files
    files.update({descriptor: f"{root}{target}{gone}" for descriptor, target in files.items()})
    functions = read_node(fake).functions
    assert functions[VF0].holders == (Holder(pid, "qemu-kvm"),)
    assert functions[VF1].holders == ()


def test_the_container_node_of_vfio_is_nobodys_vf() -> None:
    fake = kernel()
    pid = fake.open_vf(VF0)
    fake.machine.vfio.processes[pid].files = {
        3: "/dev/vfio/vfio",
        4: "socket:[4711]",
        5: "/host/dev/vfio/vfio (deleted)",
    }
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


# Pods.

POD_HOLDER = Holder(0, "", "app", "default/web-0")


def with_pod(vfs: t.Any = "vfio-pci", unknown: str = "") -> FakeKernel:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, services="dc", total_vfs=1, vfs=vfs))
    fake.assignments = Assignments({VF0: (POD_HOLDER,)}, unknown)
    return fake


def test_a_pod_that_has_it_in_words() -> None:
    assert str(POD_HOLDER) == "pod default/web-0 (container app)"
    noted = Holder(0, "", "app", "with uid 11-22", "by kubelet's checkpoint")
    assert str(noted) == "pod with uid 11-22 (container app, by kubelet's checkpoint)"
    assert str(Holder(0, "", note="kubelet is ill")) == "perhaps a pod (kubelet is ill)"


def test_a_pod_counts_though_no_process_has_it_open() -> None:
    fake = with_pod()
    with pytest.raises(RefusedError) as caught:
        apply(fake, {"services": ["sym"]})
    assert str(caught.value) == (
        f"devices[0]: pod default/web-0 (container app) has {VF0} open, and the step state down on {GEN4} would take it away; "
        "end or drain that user first, or set when_in_use to skip or force"
    )
    assert fake.writes == []
    (skip,) = apply(fake, {"services": ["sym"], "when_in_use": "skip"}).plan.skipped
    assert skip.reason == f"pod default/web-0 (container app) has {VF0} open"
    assert apply(fake, {"services": ["sym"], "when_in_use": "force"}).plan.steps


def test_the_pod_is_named_before_its_process() -> None:
    fake = with_pod()
    fake.open_vf(VF0, "qemu-kvm", ID)
    function = read_node(fake).functions[VF0]
    assert [str(holder)[:4] for holder in function.holders] == ["pod ", "qemu"]
    assert "pod default/web-0 (container app)" in table(read_node(fake))


def test_a_vf_that_was_made_anew_is_repaired_though_a_pod_had_it() -> None:
    """A reset of the PF takes the VFs from their users, and leaves new ones without vfio-pci."""
    fake = with_pod(vf(None))
    assert read_node(fake).functions[VF0].holders == ()
    assert apply(fake, {}).plan.steps
    assert read_node(fake).functions[VF0].holders == (POD_HOLDER,)


@pytest.mark.parametrize(
    ("driver", "known", "unknown"),
    [
        ("vfio-pci", True, True),
        ("qat_vfio_pci", True, True),
        ("uio_pci_generic", True, False),
        ("iavf", True, False),
        ("4xxxvf", False, False),
        ("c6xxvf", False, False),
        (None, False, False),
    ],
)
def test_drivers_of_what_a_pod_can_have(driver: str | None, known: bool, unknown: bool) -> None:
    assert bool(Holders({}, Assignments({VF0: (POD_HOLDER,)})).of_pods(VF0, driver)) is known
    assert bool(Holders({}, Assignments({}, "kubelet is ill")).of_pods(VF0, driver)) is unknown


def test_a_pod_that_comes_after_the_reading_is_not_cut_off() -> None:
    fake = with_pod()
    assignments, fake.assignments = fake.assignments, NO_PODS

    def meanwhile(_plan: Plan, _node: Node) -> None:
        fake.assignments = assignments

    with pytest.raises(RefusedError, match=r"^0000:6b:00\.1: pod default/web-0 \(container app\) has just opened"):
        converge(fake, lambda: read_node(fake), planner({"services": ["sym"]}), SECONDS, meanwhile)
    assert fake.writes == []


def test_what_nobody_can_tell_is_not_taken_for_free() -> None:
    fake = with_pod(unknown="kubelet is ill")
    with pytest.raises(
        RefusedError, match=r"^devices\[0\]: perhaps a pod \(kubelet is ill\) has 0000:6b:00\.1 open, and "
    ):
        apply(fake, {"services": ["sym"]})
    assert read_node(fake).functions[GEN4].holders == ()
