# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import json
import os
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.cli.describe import describe, plan_text, table
from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import SECONDS, converge
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_devices, read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import NO_PODS, Assignments
from ansible_collections.accel.qat.plugins.module_utils._node.users.usage import (
    Holders,
    Seen,
    container_id,
    read_holders,
)
from ansible_collections.accel.qat.tests.fakes import FakeKernel, Pf, pf, vf
from ansible_collections.accel.qat.tests.fakes.vfio import GROUP_MAJOR
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4, VF0, VF1, apply, planner

ID = "4a3f6c5e9d0b1a2c" * 4
POD = "0b6e5e4f-4d0c-4f6e-9d5f-8a8f1b2c3d4e"
FREE = "0000:6b:00.3"
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


def holders_of(fake: FakeKernel, address: str = VF0) -> tuple[Holder, ...]:
    return read_node(fake).functions[address].holders


def test_who_has_what_open() -> None:
    fake = kernel()
    first, second = fake.open_vf(VF0, "qemu-kvm"), fake.open_vf(VF0, "testpmd", ID)
    fake.open_vf(VF1, "other")
    assert holders_of(fake) == (Holder(first, "qemu-kvm"), Holder(second, "testpmd", ID))
    assert holders_of(fake, FREE) == ()


def test_a_process_counts_once_however_it_has_it_open() -> None:
    fake = kernel()
    pid = fake.open_vf(VF0, "qemu-kvm", cdev=True)
    process = fake.machine.vfio.processes[pid]
    process.files[9], process.devices[9] = "/dev/vfio/1", (GROUP_MAJOR, 1)
    assert holders_of(fake) == (Holder(pid, "qemu-kvm"),)


@pytest.mark.parametrize(
    "name", ["/host/dev/vfio/1", "/dev/vfio/1 (deleted)", "/tmp/x", "(unreachable)/1", "/dev/null"]
)
@pytest.mark.parametrize("cdev", [False, True])
def test_whatever_the_process_calls_it(name: str, cdev: bool) -> None:
    """It may have its /dev anywhere, or a node that it made."""
    fake = kernel()
    pid = fake.open_vf(VF0, "qemu-kvm", cdev=cdev)
    fake.machine.vfio.processes[pid].files = dict.fromkeys(range(6), name)
    assert holders_of(fake) == (Holder(pid, "qemu-kvm"),)
    assert holders_of(fake, VF1) == ()


@pytest.mark.parametrize("name", ["/dev/vfio/{}", "/tmp/vfio/{}", "/dev/vfio/{} (deleted)", "/dev/vfio/devices/vfio0"])
@pytest.mark.parametrize("number", [None, (1, 3), (GROUP_MAJOR, 999), (7, 0)])
def test_a_path_proves_nothing(name: str, number: tuple[int, int] | None) -> None:
    """Anybody can have a file of that name, or another device."""
    fake = kernel()
    pid = fake.open_vf(VF1)
    group = fake.link(f"/sys/bus/pci/devices/{VF0}/iommu_group")
    process = fake.machine.vfio.processes[pid]
    process.files, process.devices = {3: name.format(group)}, {3: number} if number else {}
    assert holders_of(fake) == ()
    assert apply(fake, {"services": ["dc"]}).plan.steps


def test_the_container_node_of_vfio_is_nobodys_vf() -> None:
    fake = kernel()
    process = fake.machine.vfio.processes[fake.open_vf(VF0)]
    process.files = {3: "/dev/vfio/vfio", 4: "socket:[4711]", 5: "/host/dev/vfio/vfio (deleted)"}
    process.devices = {3: (10, 196), 5: (10, 196)}
    assert holders_of(fake) == ()


def test_noiommu() -> None:
    fake = FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=1, vfs="vfio-pci"), iommu=False, noiommu=True, loaded=("qat_4xxx", "vfio_pci")
    )
    pid = fake.open_vf(VF0, "testpmd")
    assert holders_of(fake) == (Holder(pid, "testpmd"),)


UNNAMED = "which has a VFIO device open without its group, so that nothing says which one"


def test_a_device_without_its_group_is_one_that_nobody_else_has() -> None:
    """As it comes to a process by SCM_RIGHTS, or stays when the group is closed."""
    fake = kernel()
    pid, other = fake.open_vf(VF0, "testpmd"), fake.open_vf(VF1, "qemu-kvm")
    process = fake.machine.vfio.processes[pid]
    process.files, process.devices = {5: "anon_inode:[vfio-device]"}, {}
    perhaps = Holder(pid, "testpmd", note=UNNAMED)
    assert holders_of(fake) == holders_of(fake, FREE) == (perhaps,)
    assert holders_of(fake, VF1) == (Holder(other, "qemu-kvm"),)
    assert holders_of(fake, GEN4) == ()
    assert str(perhaps) == f"perhaps testpmd (pid {pid}, {UNNAMED})"
    with pytest.raises(RefusedError, match=r"^devices\[0\]: perhaps testpmd \(pid"):
        apply(fake, {"services": ["dc"]})
    assert fake.writes == []


def test_a_file_of_that_name_is_no_device() -> None:
    fake = kernel()
    process = fake.machine.vfio.processes[fake.open_vf(VF0)]
    process.files, process.devices = {5: "/tmp/anon_inode:[vfio-device]"}, {}
    assert holders_of(fake) == ()


def test_the_names_of_a_process_decide_nothing() -> None:
    fake = kernel()
    pid = fake.open_vf(VF0)
    fake.deny(f"/proc/{pid}/comm")
    fake.deny(f"/proc/{pid}/cgroup", errno.EIO)
    assert holders_of(fake) == (Holder(pid, "unknown"),)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESRCH])
@pytest.mark.parametrize("place", ["/proc/{}/fd", "/proc/{}/fd/*"])
def test_a_process_that_has_ended_has_nothing(place: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = kernel()
    fake.deny(place.format(fake.open_vf(VF0)), code)
    monkeypatch.setattr(fake.machine.vfio, "holders", lambda _function: [])
    assert holders_of(fake) == ()


OTHERS = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR)


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("place", ["/proc/{}/fd", "/proc/{}/fd/*"])
def test_whose_descriptors_cannot_be_seen_may_have_any_vf(
    place: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = kernel()
    pid, other = fake.open_vf(VF0), fake.open_vf(VF1, "qemu-kvm")
    fake.deny(place.format(pid), code)
    why = f"what process {pid} has open cannot be seen: {os.strerror(code)}; run as root with the capability CAP_SYS_PTRACE"
    assert holders_of(fake) == (Holder(0, "a process that cannot be seen", note=why),)
    assert holders_of(fake, VF1) == (Holder(other, "qemu-kvm"),)
    assert holders_of(fake, FREE) == (Holder(0, "a process", note=why),)
    assert holders_of(fake, GEN4) == ()
    assert fake.slept == 0
    with pytest.raises(RefusedError) as caught:
        apply(fake, {"services": ["dc"]})
    assert str(caught.value).startswith(
        f"devices[0]: a process that cannot be seen ({why}) has {VF0} open and qemu-kvm (pid {other}) has {VF1} open and "
        f"perhaps a process ({why}) has {FREE} and 13 more open, and "
    )
    assert fake.writes == []
    assert f"perhaps a process ({why})" in " ".join(table(read_node(fake)).split())
    monkeypatch.setattr(fake.machine.vfio, "holders", lambda _function: [])  # they let go
    assert apply(fake, {"services": ["dc"], "when_in_use": "force"}).plan.steps


@pytest.mark.parametrize("code", [*OTHERS, errno.ENOENT])
def test_processes_that_cannot_be_listed(code: int) -> None:
    """Where /proc is not mounted there are processes all the same."""
    fake = kernel()
    fake.deny("/proc", code)
    (holder,) = holders_of(fake)
    assert str(holder) == f"perhaps a process (the processes cannot be listed: {os.strerror(code)})"


@pytest.mark.parametrize("capabilities", ["0000000000000000", "00000000a80425fb", "000001fffff7ffff"])
def test_root_without_the_capability_to_see_others(capabilities: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc hides the processes of others, no error reports them. The second one is what containers get."""
    fake = kernel()
    read = fake.read
    status = f"Name:\tpython3\nCapPrm:\t000001ffffffffff\nCapEff:\t{capabilities}\n"
    monkeypatch.setattr(fake, "read", lambda path: status if path == "/proc/self/status" else read(path))
    (holder,) = holders_of(fake)
    assert str(holder) == (
        "perhaps a process (the processes of others cannot be seen; run as root with the capability CAP_SYS_PTRACE)"
    )


def test_nobody_needs_to_be_seen_without_vfio() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, vfs=vf(None)))
    fake.deny("/proc/devices", errno.ENOENT)
    fake.deny("/proc", errno.EACCES)
    assert holders_of(fake) == ()


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("place", ["/proc/devices", "/sys/class/vfio", "/sys/class/vfio/*", "/proc/self/status"])
def test_what_says_which_device_is_whose_cannot_be_read(place: str, code: int) -> None:
    fake = kernel()
    fake.open_vf(VF0)
    fake.deny(place, code)
    with pytest.raises(NodeError, match="cannot be read"):
        read_node(fake)


def test_groups_of_a_kernel_that_does_not_list_its_majors() -> None:
    fake = kernel()
    pid = fake.open_vf(VF0)
    fake.deny("/proc/devices", errno.ENOENT)
    assert holders_of(fake) == (Holder(pid, "qemu-system-x86"),)


def test_a_kernel_without_groups() -> None:
    """Linux can be built with the nodes of devices alone (CONFIG_VFIO_GROUP)."""
    fake = kernel()
    pid = fake.open_vf(VF0, "qemu-kvm", cdev=True)
    fake.deny("/sys/class/vfio", errno.ENOENT)
    fake.deny("/sys/class/vfio/*", errno.ENOENT)
    assert holders_of(fake) == (Holder(pid, "qemu-kvm"),)
    assert holders_of(fake, VF1) == ()


# What no process shows, and the kernel counts.

WHERE = "look for vfio and scm_fds in /proc/*/fdinfo/* and /proc/*/maps, or try again if it is just ending"
ENABLE = f"/sys/bus/pci/devices/{VF0}/enable"


@pytest.mark.parametrize("driver", ["vfio-pci", "qat_vfio_pci"])
def test_what_the_kernel_counts_as_open_is_in_use_though_no_process_shows_it(driver: str) -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, vfs=driver))
    fake.hide(fake.open_vf(VF0))
    assert holders_of(fake) == (Holder(0, "a process that cannot be seen", note=WHERE),)
    assert holders_of(fake, VF1) == holders_of(fake, GEN4) == ()
    with pytest.raises(RefusedError) as caught:
        apply(fake, {"services": ["dc"]})
    assert str(caught.value) == (
        f"devices[0]: a process that cannot be seen ({WHERE}) has {VF0} open, and the step state down on {GEN4} would take it away; "
        "end or drain that user first, or set when_in_use to skip or force"
    )
    assert fake.writes == []
    (skip,) = apply(fake, {"services": ["dc"], "when_in_use": "skip"}).plan.skipped
    assert skip.reason == f"a process that cannot be seen ({WHERE}) has {VF0} open"
    assert f"held by a process that cannot be seen ({WHERE})" in " ".join(table(read_node(fake)).split())


@pytest.mark.parametrize(
    "rule",
    [{"services": ["dc"]}, {"vfs": 0}, {"driver": "none"}, {"state": "absent"}],
    ids=lambda rule: next(iter(rule)),
)
def test_nothing_takes_such_a_vf_away(rule: dict[str, t.Any]) -> None:
    fake = kernel()
    fake.hide(fake.open_vf(VF0))
    with pytest.raises(RefusedError, match=r"a process that cannot be seen \(.*\) has 0000:6b:00\.1 open"):
        apply(fake, rule)
    assert fake.writes == []


def test_zero_does_not_overrule_whom_a_process_shows() -> None:
    """A group that is open without the device is not counted."""
    fake = kernel()
    pid = fake.open_vf(VF0, "testpmd")
    fake.close_device(pid)
    assert fake.read(ENABLE) == "0"
    assert holders_of(fake) == (Holder(pid, "testpmd"),)


def test_who_may_have_it_is_named_before_nobody() -> None:
    fake = kernel()
    fake.hide(fake.open_vf(VF0))
    pid = fake.open_vf(VF1, "testpmd")
    process = fake.machine.vfio.processes[pid]
    process.files, process.devices = {5: "anon_inode:[vfio-device]"}, {}
    assert holders_of(fake) == (Holder(pid, "testpmd", note=UNNAMED),)


def test_who_is_just_closing_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = kernel()
    pid = fake.open_vf(VF0)
    fake.hide(pid)
    monkeypatch.setattr(fake, "sleep", lambda _seconds: fake.end(pid))
    assert holders_of(fake) == ()


def test_who_has_just_opened_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = kernel()
    pid = fake.open_vf(VF0, "qemu-kvm")
    process = fake.machine.vfio.processes[pid]
    files, devices = dict(process.files), dict(process.devices)
    fake.hide(pid)

    def meanwhile(_seconds: float) -> None:
        process.files, process.devices = files, devices

    monkeypatch.setattr(fake, "sleep", meanwhile)
    assert holders_of(fake) == (Holder(pid, "qemu-kvm"),)


def test_all_of_them_are_waited_for_together() -> None:
    fake = kernel()
    for address in (VF0, VF1, FREE):
        fake.hide(fake.open_vf(address))
    assert [bool(function.holders) for function in read_node(fake).functions.values()].count(True) == 3
    assert 0 < fake.slept <= 2


@pytest.mark.parametrize("builtin", [False, True])
def test_what_root_has_enabled_by_hand_is_nobodys(builtin: bool) -> None:
    """While no VF of the driver is open. What is built in does not say whether one is."""
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=vf(None)), builtin=("vfio_pci",) if builtin else ())
    fake.write_bare(ENABLE, "1")
    apply(fake, {})
    assert fake.read(ENABLE) == "1"
    assert bool(holders_of(fake)) is builtin
    fake.hide(fake.open_vf(VF1))
    assert holders_of(fake)


def test_what_other_drivers_have_enabled_is_not_open() -> None:
    fake = FakeKernel.with_pfs(pf("c6xx", "0000:75:00.0", vfs="c6xxvf"), loaded=("qat_c62x", "vfio_pci"))
    assert fake.read("/sys/bus/pci/devices/0000:75:01.0/enable") == "1"
    assert not any(function.holders for function in read_node(fake).functions.values())


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("place", [ENABLE, "/sys/module/vfio_pci/refcnt"])
def test_whether_it_is_open_cannot_be_read(place: str, code: int) -> None:
    fake = kernel()
    fake.hide(fake.open_vf(VF0))
    fake.deny(place, code)
    with pytest.raises(NodeError, match="cannot be read"):
        read_node(fake)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENODEV])
def test_a_vf_that_has_just_gone_is_not_open(code: int) -> None:
    fake = kernel()
    fake.deny(ENABLE, code)
    assert holders_of(fake) == ()


@pytest.mark.parametrize("text", ["", "yes", "0x1"])
def test_what_is_no_count_says_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = kernel()
    read = fake.read
    monkeypatch.setattr(fake, "read", lambda path: text if path == ENABLE else read(path))
    with pytest.raises(NodeError) as caught:
        read_node(fake)
    assert str(caught.value) == f"{ENABLE}: {text!r} is no number; see that sysfs is mounted there"


def test_who_opens_it_unseen_after_the_reading_is_not_cut_off() -> None:
    fake = kernel()

    def meanwhile(_plan: Plan, _node: Node) -> None:
        fake.hide(fake.open_vf(VF0))

    with pytest.raises(
        RefusedError, match=r"^0000:6b:00\.1: a process that cannot be seen \(.*\) has just opened 0000"
    ):
        converge(fake, lambda: read_node(fake), planner({"services": ["dc"]}), SECONDS, meanwhile)
    assert fake.writes == []


def test_in_words() -> None:
    assert str(Holder(7, "qemu-kvm")) == "qemu-kvm (pid 7)"
    assert str(Holder(7, "testpmd", ID)) == "testpmd (pid 7) in container 4a3f6c5e9d0b"


@pytest.mark.parametrize("name", ["\x1b[2J\x1b[H", "\x1b]0;owned\x07", "a\n0000:ff:00.0", "\u202egpj", "a\rb", "\x9bJ"])
def test_what_a_process_calls_itself_reaches_no_terminal(name: str) -> None:
    fake = kernel()
    fake.open_vf(VF0, name)
    node = read_node(fake)
    with pytest.raises(RefusedError) as caught:
        apply(fake, {"services": ["dc"]})
    skipped = apply(fake, {"services": ["dc"], "when_in_use": "skip"}).plan
    texts = [*table(node).split("\n"), str(caught.value), *plan_text(skipped).split("\n")]
    # As Ansible prints results.
    results = (describe(node), caught.value.as_dict(), skipped.diff(), [one.as_dict() for one in skipped.skipped])
    texts += [json.dumps(one, ensure_ascii=False) for one in results]
    assert all(text.isprintable() for text in texts), texts
    assert len(table(node).split("\n")) == 4  # heading, PF, an empty line, and who has its VFs


# The same user, however it is known.

ONE, TWO = Holder(7, "a"), Holder(8, "a")
LISTED, OTHER_LISTED = Holder(0, "", "app", "default/a"), Holder(0, "", "app", "default/b")
CHECKPOINT = Holder(0, "", "app", "with uid 11-22", "by kubelet's checkpoint")
UNSEEN = Holder(0, "a process that cannot be seen", note="look for it")
UNKNOWN_POD, UNKNOWN_PROCESS = Holder(0, "", note="kubelet is ill"), Holder(0, "a process", note="it cannot be seen")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ONE, Holder(7, "renamed", "b" * 64), True),
        (ONE, TWO, False),
        (ONE, LISTED, False),
        (ONE, UNKNOWN_PROCESS, False),
        (UNKNOWN_PROCESS, Holder(0, "a process", note="for another reason"), True),
        (UNKNOWN_PROCESS, UNKNOWN_POD, False),
        (UNSEEN, ONE, True),
        (UNSEEN, UNKNOWN_PROCESS, True),
        (UNSEEN, LISTED, False),
        (UNSEEN, UNKNOWN_POD, False),
        (LISTED, Holder(0, "", "sidecar", "default/a"), True),
        (LISTED, OTHER_LISTED, False),
        (LISTED, CHECKPOINT, True),
        (CHECKPOINT, Holder(0, "", "app", "with uid 33-44", "by kubelet's checkpoint"), False),
        (LISTED, UNKNOWN_POD, True),
        (CHECKPOINT, UNKNOWN_POD, True),
    ],
)
def test_the_same_user(one: Holder, other: Holder, same: bool) -> None:
    assert one.is_same_as(other) is other.is_same_as(one) is same


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
        f"devices[0]: pod default/web-0 (container app) was given {VF0}, and the step state down on {GEN4} would take it away; "
        "end or drain that user first, or set when_in_use to skip or force"
    )
    assert fake.writes == []
    (skip,) = apply(fake, {"services": ["sym"], "when_in_use": "skip"}).plan.skipped
    assert skip.reason == f"pod default/web-0 (container app) was given {VF0}"
    assert apply(fake, {"services": ["sym"], "when_in_use": "force"}).plan.steps


def test_the_pod_is_named_before_its_process() -> None:
    fake = with_pod()
    fake.open_vf(VF0, "qemu-kvm", ID)
    function = read_node(fake).functions[VF0]
    assert [str(holder)[:4] for holder in function.holders] == ["pod ", "qemu"]
    assert "pod default/web-0 (container app)" in table(read_node(fake))


def test_a_vf_that_was_made_again_is_repaired_though_a_pod_had_it() -> None:
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
    fake = with_pod()
    assert bool(Holders(fake, pods=Assignments({VF0: (POD_HOLDER,)})).of(VF0, driver, None)) is known
    assert bool(Holders(fake, pods=Assignments({}, "kubelet is ill")).of(VF0, driver, None)) is unknown


def test_a_pod_that_comes_after_the_reading_is_not_cut_off() -> None:
    fake = with_pod()
    assignments, fake.assignments = fake.assignments, NO_PODS

    def meanwhile(_plan: Plan, _node: Node) -> None:
        fake.assignments = assignments

    with pytest.raises(RefusedError, match=r"^0000:6b:00\.1: pod default/web-0 \(container app\) has just been given"):
        converge(fake, lambda: read_node(fake), planner({"services": ["sym"]}), SECONDS, meanwhile)
    assert fake.writes == []


def test_a_pod_that_is_known_otherwise_meanwhile_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubelet answers once, and then does not."""
    fake = with_pod()
    fake.open_vf(VF0, "qemu")

    def meanwhile(_plan: Plan, _node: Node) -> None:
        fake.assignments = Assignments({VF0: (CHECKPOINT,)})
        fake.machine.vfio.processes[4001].command = "qemu-kvm"

    monkeypatch.setattr(fake.machine.vfio, "holders", lambda _function: [])  # they let go
    rule = {"services": ["sym"], "when_in_use": "force"}
    assert converge(fake, lambda: read_node(fake), planner(rule), SECONDS, meanwhile).plan.steps


def test_what_nobody_knows_is_not_taken_for_free() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, services="dc", total_vfs=1, vfs="vfio-pci"))
    fake.assignments = Assignments({}, "kubelet is ill")
    with pytest.raises(
        RefusedError, match=r"^devices\[0\]: perhaps a pod \(kubelet is ill\) was given 0000:6b:00\.1, and "
    ):
        apply(fake, {"services": ["sym"]})
    assert read_node(fake).functions[GEN4].holders == ()


def test_who_may_have_all_of_them_is_reported_once() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, services="dc", total_vfs=3, vfs="vfio-pci"))
    fake.assignments = Assignments({}, "kubelet is ill")
    pid = fake.open_vf(VF1, "qemu-kvm")
    with pytest.raises(RefusedError) as caught:
        apply(fake, {"services": ["sym"]})
    assert str(caught.value).startswith(f"devices[0]: perhaps a pod (kubelet is ill) was given {VF0} and 2 more, and ")
    fake.assignments = NO_PODS
    process = fake.machine.vfio.processes[pid]
    process.files[9], process.devices[9] = (
        "/dev/vfio/devices/vfio0",
        next(iter(fake.machine.vfio.numbers(fake.machine.bus.functions[VF0]))),
    )
    with pytest.raises(
        RefusedError, match=rf"^devices\[0\]: qemu-kvm \(pid {pid}\) has {VF0} and {VF1} open, and the step"
    ):
        apply(fake, {"services": ["sym"]})


@pytest.mark.parametrize(
    ("one", "number"),
    [
        (pf("4xxx", GEN4), 0),
        (pf("c6xx", GEN4, vfs="c6xxvf"), 0),
        (pf("4xxx", GEN4, vfs="vfio-pci"), 1),
        (pf("4xxx", GEN4, vfs=vf(None)), 1),
    ],
    ids=["no VF", "the host's driver", "VFIO", "no driver"],
)
def test_processes_are_looked_through_once_where_one_may_have_a_vf(one: Pf, number: int) -> None:
    """A VF without a driver may be one that the kernel takes from whoever has it open, until that lets go."""
    fake = FakeKernel.with_pfs(one)
    looked: list[int] = []
    fake.load_module("vfio-pci", (), SECONDS)

    def look() -> Seen:
        looked.append(1)
        return Seen()

    found = read_devices(fake)
    holders = Holders(fake, look=look)
    for function in found.functions.values():
        assert holders.of(function.address, function.driver, function.iommu_group) == ()
    assert len(looked) == number


def test_a_function_of_another_driver_in_a_group_that_somebody_has() -> None:
    fake = kernel()
    pid = fake.open_vf(VF0, "qemu-kvm")
    group = read_devices(fake).functions[VF0].iommu_group
    holders = read_holders(fake)
    assert holders.of(FREE, "nvme", group) == (Holder(pid, "qemu-kvm"),)
    assert holders.of(FREE, "nvme", None) == ()
