# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden plans: the steps for each situation that a node can be in, in the order in which they are taken."""

from __future__ import annotations

import errno
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import Binding, DesiredPf, desired_of
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import (
    Plan,
    Skip,
    described_users,
    module_options,
    plan_functions,
    plan_node,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.step import Step
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError, WriteTimeout
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.tests.fakes import FakeKernel, nic, pf, vf
from ansible_collections.accel.qat.tests.unit.node.nodes import (
    GEN2,
    GEN2_VF0,
    GEN2_VF1,
    GEN4,
    OTHER,
    VF0,
    VF1,
    described,
    plan_of,
)

CONTAINER = "0123456789abcdef" * 4
WITH_VFIO = {"loaded": ("qat_4xxx", "qat_c62x", "vfio_pci")}
NO_DENYLIST = {"options": {"vfio_pci": ("disable_denylist=1",)}}


def bound(*addresses: str, driver: str = "vfio-pci") -> list[str]:
    """Taking VFs that have no driver."""
    return [
        step
        for address in addresses
        for step in (f"override {address}: (none) -> {driver}", f"bind {address}: (none) -> {driver}")
    ]


def test_fresh_gen4() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2))
    assert described(plan_of(kernel, {"services": ["dc"]}).steps) == [
        "load_module vfio_pci: not loaded -> loaded",
        f"state {GEN4}: up -> down",
        f"services {GEN4}: sym;asym -> dc",
        f"autoprobe {GEN4}: 1 -> 0",
        f"vf_count {GEN4}: 0 -> 2",
        *bound(VF0, VF1),
    ]


def test_nothing_to_do() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, autoprobe=False, vfs="vfio-pci"))
    assert plan_of(kernel, {"services": ["asym", "sym"]}) == Plan()


def test_services_change_with_vfs() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, autoprobe=False, vfs="vfio-pci"))
    plan = plan_of(kernel, {"services": ["sym", "dc"]})
    assert described(plan.steps) == [
        f"state {GEN4}: up -> down",
        f"services {GEN4}: sym;asym -> sym;dc",
        f"vf_count {GEN4}: 0 -> 2",
        *bound(VF0, VF1),
    ]
    assert [step.disrupts for step in plan.steps[:3]] == [(VF0, VF1), (), ()]


def test_services_of_a_pf_that_is_down_and_stays_without_vfs() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, state="down"))
    assert described(plan_of(kernel, {"services": ["dc"], "vfs": 0}).steps) == [
        f"services {GEN4}: sym;asym -> dc",
        f"state {GEN4}: down -> up",
    ]


def test_a_pf_that_is_down_comes_up_before_its_vfs() -> None:
    """Or fails to, where it is in reset."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1, state="down", autoprobe=False), **WITH_VFIO)
    up, count = f"state {GEN4}: down -> up", f"vf_count {GEN4}: 0 -> 1"
    assert described(plan_of(kernel, {}).steps) == [up, count, *bound(VF0)]
    services = f"services {GEN4}: sym;asym -> dc"
    assert described(plan_of(kernel, {"services": ["dc"]}).steps) == [services, up, count, *bound(VF0)]


def test_a_few_vfs_that_differ() -> None:
    vfs = [vf("vfio-pci"), vf(None, "vfio-pci"), vf(None)]
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=3, autoprobe=False, vfs=vfs))
    assert described(plan_of(kernel, {}).steps) == [
        f"bind {VF1}: (none) -> vfio-pci",
        *bound("0000:6b:00.3"),
    ]


def test_gen2_whose_vfs_the_kernels_driver_has() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=2, vfs=vf()))
    plan = plan_of(kernel, {})
    assert described(plan.steps) == [
        "load_module vfio_pci: not loaded -> disable_denylist=1",
        f"autoprobe {GEN2}: 1 -> 0",
        f"override {GEN2_VF0}: (none) -> vfio-pci",
        f"unbind {GEN2_VF0}: c6xxvf -> (none)",
        f"bind {GEN2_VF0}: (none) -> vfio-pci",
        f"override {GEN2_VF1}: (none) -> vfio-pci",
        f"unbind {GEN2_VF1}: c6xxvf -> (none)",
        f"bind {GEN2_VF1}: (none) -> vfio-pci",
    ]
    assert plan.steps[3].disrupts == (GEN2_VF0,)


def test_gen2_removal_lets_the_pf_go_and_come_back() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=2, vfs=vf()))
    plan = plan_of(kernel, {"state": "absent"})
    assert described(plan.steps) == [f"unbind {GEN2}: c6xx -> (none)", f"bind {GEN2}: (none) -> c6xx"]
    assert plan.steps[0].disrupts == (GEN2_VF0, GEN2_VF1)


def test_gen4_removal_takes_the_pf_down_and_up() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs="vfio-pci"))
    assert described(plan_of(kernel, {"state": "absent"}).steps) == [
        f"state {GEN4}: up -> down",
        f"state {GEN4}: down -> up",
    ]


def test_pf_driver_missing() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=1), loaded=("vfio_pci",), **NO_DENYLIST)
    assert described(plan_of(kernel, {}).steps) == [
        "load_module qat_c62x: not loaded -> loaded",
        f"autoprobe {GEN2}: 1 -> 0",
        f"vf_count {GEN2}: 0 -> 1",
        *bound(GEN2_VF0),
    ]


def test_one_module_for_several_pfs() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1), pf("4xxx", OTHER, total_vfs=1), loaded=())
    loads = [line for line in described(plan_of(kernel, {}).steps) if line.startswith("load")]
    assert loads == ["load_module vfio_pci: not loaded -> loaded", "load_module qat_4xxx: not loaded -> loaded"]


def test_pf_unbound() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1, driver=None), loaded=("qat_4xxx", "vfio_pci"))
    plan = plan_of(kernel, {})
    assert described(plan.steps) == [
        f"bind {GEN4}: (none) -> 4xxx",
        f"autoprobe {GEN4}: 1 -> 0",
        f"vf_count {GEN4}: 0 -> 1",
        *bound(VF0),
    ]
    assert plan.steps[0].reveals


BOUND = f"bind {GEN4}: (none) -> 4xxx"


@pytest.mark.parametrize(
    ("desired", "steps"),
    [
        ({}, []),
        ({"autoprobe": True}, []),
        ({"driven": True}, [BOUND]),
        ({"state": "up"}, [BOUND]),
        ({"state": "down"}, [BOUND, f"state {GEN4}: up -> down"]),
        (
            {"services": frozenset({"dc"})},
            [BOUND, f"state {GEN4}: up -> down", f"services {GEN4}: (none) -> dc", f"state {GEN4}: down -> up"],
        ),
        ({"vf_count": 1}, [BOUND, f"vf_count {GEN4}: 0 -> 1"]),
    ],
)
def test_a_pf_gets_its_driver_where_anything_needs_it(desired: dict[str, t.Any], steps: list[str]) -> None:
    """By which it is up."""
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1, driver=None), loaded=("qat_4xxx",)))
    assert described(plan_node([DesiredPf(GEN4, "a test", **desired)], node).steps) == steps


def test_denylist_reload() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=1), **WITH_VFIO)
    assert described(plan_of(kernel, {}).steps)[:2] == [
        "unload_module vfio_pci: loaded -> not loaded",
        "load_module vfio_pci: not loaded -> disable_denylist=1",
    ]


def test_kernel_vf_driver() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=1))
    assert described(plan_of(kernel, {"driver": "c6xxvf"}).steps) == [
        "load_module qat_c62xvf: not loaded -> loaded",
        f"autoprobe {GEN2}: 1 -> 0",
        f"vf_count {GEN2}: 0 -> 1",
        *bound(GEN2_VF0, driver="c6xxvf"),
    ]


def test_several_pfs_go_in_the_order_of_their_addresses() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", OTHER, total_vfs=1), pf("4xxx", GEN4, total_vfs=1), **WITH_VFIO)
    node = read_node(kernel)
    desired_pfs = desired_of(parse_configuration({"devices": [{}]}), node)
    plan = plan_node(desired_pfs, node)
    assert plan == plan_node(desired_pfs[::-1], node)
    assert list(dict.fromkeys(step.pf for step in plan.steps)) == [GEN4, OTHER]


# In use.


def held(*vfs: t.Any, **others: t.Any) -> FakeKernel:
    return FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, autoprobe=False, vfs=vfs, **others))


QEMU = vf("vfio-pci", held_by="qemu-system-x86")


def test_in_use_fails() -> None:
    with pytest.raises(RefusedError) as caught:
        plan_of(held(vf("vfio-pci"), QEMU), {"services": ["dc"]})
    assert str(caught.value) == (
        f"devices[0]: qemu-system-x86 (pid 4001) has {VF1} open, and the step state down on {GEN4} would take it away; "
        "end or drain that user first, or set when_in_use to skip or force"
    )


def test_names_everybody_in_the_way() -> None:
    other = vf("vfio-pci", held_by="testpmd")
    with pytest.raises(RefusedError) as caught:
        plan_of(held(other, QEMU), {"services": ["dc"]})
    assert str(caught.value) == (
        f"devices[0]: testpmd (pid 4001) has {VF0} open and qemu-system-x86 (pid 4002) has {VF1} open, and the step state down on "
        f"{GEN4} would take them away; end or drain them first, or set when_in_use to skip or force"
    )
    with pytest.raises(RefusedError, match="and unbinding them from vfio-pci would take them away"):
        plan_of(held(other, QEMU), {"driver": "qat_vfio_pci"})


@pytest.mark.parametrize(
    ("count", "what"),
    [(1, VF0), (2, f"{VF0} and {VF1}"), (3, f"{VF0} and 2 more"), (4, f"{VF0} and 3 more")],
)
def test_names_a_user_of_several_vfs_once(count: int, what: str) -> None:
    pod = Holder(0, "", container="app", pod="default/crypto")
    addresses = (VF0, VF1, "0000:6b:00.3", "0000:6b:00.4")
    users = [(address, pod) for address in addresses[:count]]
    assert described_users(users) == [f"pod default/crypto (container app) was given {what}"]


def test_of_several_users_of_a_vf_the_first_is_named() -> None:
    kernel = held(QEMU, vf("vfio-pci"))
    kernel.open_vf(VF0, "testpmd")
    first, second = read_node(kernel).functions[VF0].holders
    assert first.command != second.command
    plan = plan_of(kernel, {"services": ["dc"], "when_in_use": "skip"})
    assert plan.skipped == (Skip(GEN4, f"{first} has {VF0} open"),)


def test_names_the_container() -> None:
    user = vf("vfio-pci", held_by="testpmd", container=CONTAINER)
    with pytest.raises(RefusedError, match=r"testpmd \(pid 4001\) in container 0123456789ab has"):
        plan_of(held(user, vf("vfio-pci")), {"state": "absent"})


def test_in_use_fails_for_a_single_vf() -> None:
    with pytest.raises(RefusedError) as caught:
        plan_of(held(QEMU, vf("vfio-pci")), {"driver": "qat_vfio_pci"})
    assert f"has {VF0} open, and unbinding it from vfio-pci would take it away" in str(caught.value)


def test_in_use_skips_the_pf_where_all_of_it_would_change() -> None:
    plan = plan_of(held(QEMU, vf("vfio-pci")), {"services": ["dc"], "when_in_use": "skip"})
    assert plan == Plan((), (Skip(GEN4, f"qemu-system-x86 (pid 4001) has {VF0} open"),))


def test_in_use_skips_the_vf_where_only_that_would_change() -> None:
    plan = plan_of(held(QEMU, vf("vfio-pci")), {"driver": "qat_vfio_pci", "when_in_use": "skip"})
    assert {step.device for step in plan.steps} == {"qat_vfio_pci", VF1}
    assert plan.skipped == (Skip(VF0, f"qemu-system-x86 (pid 4001) has {VF0} open"),)


def test_in_use_is_forced() -> None:
    plan = plan_of(held(QEMU, vf("vfio-pci")), {"services": ["dc"], "when_in_use": "force"})
    assert described(plan.steps)[0] == f"state {GEN4}: up -> down"
    assert plan.skipped == ()


def test_users_of_what_stays_do_not_matter() -> None:
    assert plan_of(held(QEMU, vf("vfio-pci")), {"services": ["sym", "asym"]}) == Plan()


def kernels_own(*used: str) -> FakeKernel:
    """Two VFs on the kernel's driver, of which its own crypto uses these."""
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=2, vfs=vf()), **NO_DENYLIST)
    for address in used:
        kernel.use_vf(address)
    return kernel


@pytest.mark.parametrize(
    ("rule", "act"),
    [({}, f"unbinding {GEN2_VF0} from c6xxvf"), ({"state": "absent"}, f"unbinding {GEN2} from c6xx")],
)
def test_what_the_kernel_itself_uses_is_in_use(rule: dict[str, t.Any], act: str) -> None:
    kernel = kernels_own(GEN2_VF1)
    assert refusal(kernel, **rule) == (
        f"devices[0]: the kernel itself uses VFs of c6xxvf, and {act} could take one of them away; stop the kernel's users, which "
        "/proc/crypto names, or set when_in_use to skip or force"
    )
    assert plan_of(kernel, {**rule, "when_in_use": "force"}) == plan_of(kernels_own(), rule)


def test_what_the_kernel_itself_uses_is_skipped() -> None:
    reason = "the kernel itself uses VFs of c6xxvf"
    plan = plan_of(kernels_own(GEN2_VF1), {"when_in_use": "skip"})
    assert (described(plan.steps), plan.skipped) == (
        [f"autoprobe {GEN2}: 1 -> 0"],
        (Skip(GEN2_VF0, reason), Skip(GEN2_VF1, reason)),
    )
    assert plan_of(kernels_own(GEN2_VF1), {"state": "absent", "when_in_use": "skip"}) == Plan((), (Skip(GEN2, reason),))


def test_what_the_kernel_uses_of_other_drivers_does_not_matter() -> None:
    kernel = FakeKernel.with_pfs(
        pf("c6xx", GEN2, total_vfs=1, vfs=vf()), pf("dh895xcc", OTHER, total_vfs=1, vfs=vf()), **NO_DENYLIST
    )
    kernel.use_vf(read_node(kernel).qat[0].vfs[0].address)
    assert plan_of(kernel, {"select": {"address": [GEN2]}}).steps


# Refusals.


def refusal(kernel: FakeKernel, **rule: t.Any) -> str:
    with pytest.raises(RefusedError) as caught:
        plan_of(kernel, rule)
    assert kernel.writes == []
    return str(caught.value)


@pytest.mark.parametrize("driver", ["vfio-pci", "qat_vfio_pci"])
def test_iommu_off(driver: str) -> None:
    assert refusal(FakeKernel.with_pfs(pf("4xxx", GEN4), iommu=False), driver=driver) == (
        f"{VF0}: the IOMMU is off, and {driver} takes no device without it; enable VT-d in the BIOS, or a virtual IOMMU on the "
        "host of a virtual machine, boot with intel_iommu=on (the role accel.qat.qat_node sets it), and try again"
    )


def test_iommu_off_on_purpose() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1), iommu=False, noiommu=True, **WITH_VFIO)
    assert described(plan_of(kernel, {"noiommu": True}).steps)[-1] == f"bind {VF0}: (none) -> vfio-pci"
    assert "the IOMMU is off" in refusal(kernel)


def test_foreign_driver() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, driver="vfio-pci"))
    assert refusal(kernel) == (
        f"devices[0]: {GEN4} belongs to the driver vfio-pci; give it back to 4xxx, or take it out of the configuration"
    )


@pytest.mark.parametrize("rule", [{"services": ["dc"]}, {"state": "absent"}, {}])
def test_a_vf_of_somebody_else(rule: dict[str, t.Any]) -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=[vf("vfio-pci"), vf()]))
    kernel.machine.bus.functions[VF1].override = "pci-stub"
    assert refusal(kernel, **rule) == (
        f"devices[0]: {VF1} belongs to the driver pci-stub, which somebody else gave it; free it (unbind it and empty its "
        "driver_override), name that driver in the rule, or set when_in_use to force"
    )
    assert plan_of(kernel, {**rule, "when_in_use": "force"}).steps


def test_of_several_vfs_of_somebody_else_the_first_is_named() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=[vf(), vf()], autoprobe=False), **WITH_VFIO)
    for address, driver in ((VF0, "pci-stub"), (VF1, "uio_pci_generic")):
        kernel.machine.bus.functions[address].override = driver
    assert refusal(kernel).startswith(
        f"devices[0]: {VF0} belongs to the driver pci-stub, which somebody else gave it; "
    )
    reason = f"{VF0} belongs to the driver pci-stub; {VF1} belongs to the driver uio_pci_generic"
    plan = plan_of(kernel, {"services": ["dc"], "when_in_use": "skip"})
    assert plan == Plan((), (Skip(GEN4, reason),))


def test_a_vf_of_somebody_else_is_skipped() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=[vf(), vf()], autoprobe=False), **WITH_VFIO)
    kernel.machine.bus.functions[VF1].override = "pci-stub"
    reason = f"{VF1} belongs to the driver pci-stub"
    plan = plan_of(kernel, {"when_in_use": "skip"})
    assert ({step.device for step in plan.steps}, plan.skipped) == ({VF0}, (Skip(VF1, reason),))
    assert plan_of(kernel, {"services": ["dc"], "when_in_use": "skip"}) == Plan((), (Skip(GEN4, reason),))


def test_a_driver_that_was_given_before_is_not_somebody_elses() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=[vf(), vf()], autoprobe=False), **WITH_VFIO)
    kernel.machine.bus.functions[VF1].override = "pci-stub"
    node, rules = read_node(kernel), parse_configuration({"devices": [{}]})
    assert {step.device for step in plan_node(desired_of(rules, node), node, {GEN4: {"pci-stub"}}).steps} == {VF0, VF1}
    with pytest.raises(RefusedError):
        plan_node(desired_of(rules, node), node, {OTHER: {"pci-stub"}})


def test_a_driver_that_the_rule_names_is_not_somebody_elses() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, autoprobe=False, vfs="vfio-pci"))
    kernel.machine.bus.functions[VF1].override = "pci-stub"
    assert {step.device for step in plan_of(kernel, {"driver": "pci-stub"}).steps} >= {VF0, VF1}


def test_foreign_override() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, driver=None))
    kernel.write(f"/sys/bus/pci/devices/{GEN4}/driver_override", "vfio-pci", 1)
    kernel.writes.clear()
    assert "belongs to the driver vfio-pci" in refusal(kernel)


def test_denylist_and_vfio_pci_in_use() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, vfs="vfio-pci"), pf("c6xx", GEN2), **WITH_VFIO)
    bound_to = ", ".join([VF0, VF1, "0000:6b:00.3"])
    assert refusal(kernel, select={"index": 1}) == (
        f"{GEN2_VF0}: vfio-pci refuses the device with its denylist, and it drives {bound_to}; "
        "set options vfio-pci disable_denylist=1 in modprobe.d and reboot, or free those devices first"
    )


def test_denylist_and_vfio_pci_built_in() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2), builtin=("vfio_pci",))
    assert refusal(kernel) == (
        f"{GEN2_VF0}: vfio-pci refuses the device with its denylist, and it is built into this kernel; "
        "boot with vfio-pci.disable_denylist=1"
    )


def test_driver_without_services() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4))
    kernel.deny(f"*/{GEN4}/qat/*", errno.ENOENT)
    assert refusal(kernel, services=["dc"]) == (
        f"devices[0].services: the driver of {GEN4} offers no cfg_services; use the driver in Linux 6.0, RHEL 8.7 or "
        "RHEL 9.2, or newer, instead of that of kernel 6.12.48+deb13-amd64 or an out-of-tree driver"
    )


@pytest.mark.parametrize(
    ("sign", "name"),
    [
        ("/sys/module/usdm_drv", "Intel's out-of-tree QAT package (module usdm_drv)"),
        ("/sys/fs/cgroup/system.slice/qat.service", "qatlib's service qat.service"),
    ],
)
def test_rival(sign: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4))
    exists = kernel.exists
    monkeypatch.setattr(kernel, "exists", lambda path: path == sign or exists(path))
    assert refusal(kernel) == (
        f"{GEN4}: {name} is active and manages the QAT devices of this node; "
        "stop and mask its units, qat.service and the qat.timer that starts it although it is disabled "
        "(systemctl mask --now qat.service qat.timer), set provision to false in the rule where the VFs that are there should be "
        "offered as they are, or take this node out of the configuration"
    )


def test_a_rival_for_qat_devices_is_none_for_a_network_card() -> None:
    node = replace(read_node(FakeKernel.with_pfs(pf("4xxx", GEN4), nics=(nic(CARD),)), [CARD]), rival="qatlib")
    assert described(plan_node([DesiredPf(CARD, "here", vf_count=3)], node).steps) == [f"vf_count {CARD}: 0 -> 3"]
    with pytest.raises(RefusedError, match="qatlib is active"):
        plan_node([DesiredPf(GEN4, "here", vf_count=16)], node)


def test_a_device_on_which_the_kernel_is_still_at_work() -> None:
    kernel = held(QEMU, vf("vfio-pci"))
    with pytest.raises(Exception, match="has not returned"):
        kernel.write(f"/sys/bus/pci/devices/{GEN4}/qat/state", "down", 1)
    kernel.writes.clear()
    assert refusal(kernel) == (
        f"devices[0]: the kernel is still at work on {GEN4}: an earlier write to it has not returned; "
        "end the process that has one of its VFs open (fuser -v /dev/vfio/*), and try again"
    )


def test_a_pf_that_does_not_answer_at_all() -> None:
    kernel = held(QEMU, vf("vfio-pci"))
    with pytest.raises(WriteTimeout):
        kernel.write("/sys/bus/pci/drivers/4xxx/unbind", GEN4, 1)
    kernel.writes.clear()
    assert f"the kernel is still at work on {GEN4}" in refusal(kernel)


# Single PFs and functions, as the modules sriov_vfs and pci_driver ask for them.


def test_a_network_card_gets_vfs_and_loses_them() -> None:
    card = "0000:03:00.0"
    node = read_node(FakeKernel.with_pfs(nics=(nic(card),)), [card])
    plan = plan_node([DesiredPf(card, "devices[0]", vf_count=3)], node)
    assert described(plan.steps) == [f"vf_count {card}: 0 -> 3"]
    node = read_node(FakeKernel.with_pfs(nics=(nic(card, vfs=3),)), [card])
    plan = plan_node([DesiredPf(card, "devices[0]", vf_count=0)], node)
    assert described(plan.steps) == [f"vf_count {card}: 3 -> 0"]
    assert len(plan.steps[0].disrupts) == 3


CARD = "0000:03:00.0"
CARD_VF0 = "0000:03:10.0"


def card_with_a_vf_in_use() -> FakeKernel:
    kernel = FakeKernel.with_pfs(nics=(nic(CARD, vfs=3),), loaded=("igb", "igbvf", "vfio_pci"))
    for path, value in (
        (f"devices/{CARD_VF0}/driver_override", "vfio-pci"),
        ("drivers/igbvf/unbind", CARD_VF0),
        ("drivers/vfio-pci/bind", CARD_VF0),
    ):
        kernel.write(f"/sys/bus/pci/{path}", value, 1)
    kernel.open_vf(CARD_VF0)
    return kernel


def test_a_vf_of_a_network_card_in_use_keeps_the_others_too() -> None:
    node = read_node(card_with_a_vf_in_use(), [CARD])
    with pytest.raises(
        RefusedError, match=rf"^here: qemu-system-x86 \(pid \d+\) has {CARD_VF0} open, and the step vf_count 0"
    ):
        plan_node([DesiredPf(CARD, "here", vf_count=0)], node)
    assert plan_node([DesiredPf(CARD, "here", vf_count=0, when_in_use="skip")], node).steps == ()


@pytest.mark.parametrize("card", [True, False])
def test_the_driver_of_a_pf_stays_while_one_of_its_vfs_is_in_use(card: bool) -> None:
    kernel, address, vf0 = (card_with_a_vf_in_use(), CARD, CARD_VF0) if card else (held(QEMU), GEN4, VF0)
    node = read_node(kernel, [address])
    with pytest.raises(RefusedError, match=rf"has {vf0} open, and unbinding {address} from "):
        plan_functions({address: Binding("vfio-pci", "vfio-pci")}, node, "fail")


def test_a_pf_that_is_not_there() -> None:
    with pytest.raises(RefusedError) as caught:
        plan_node([DesiredPf(GEN4, "devices[0]")], read_node(FakeKernel.with_pfs()))
    assert str(caught.value) == f"devices[0]: {GEN4} has gone; see the kernel's log for why"


def test_more_vfs_than_there_can_be() -> None:
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4), pf("4xxx", OTHER, total_vfs=0)))
    with pytest.raises(RefusedError) as caught:
        plan_node([DesiredPf(GEN4, "here", vf_count=17)], node)
    assert str(caught.value) == f"here: {GEN4} can have 16 VFs, not 17; ask for at most 16"
    with pytest.raises(RefusedError, match=r"cannot have VFs; enable SR-IOV in the BIOS, and .*virtual machine"):
        plan_node([DesiredPf(OTHER, "here", vf_count=1)], node)


def test_vfs_that_are_made_again_get_back_what_they_had() -> None:
    kernel = held(vf("vfio-pci"), vf(None, "vfio-pci"))
    node = read_node(kernel)
    plan = plan_node([DesiredPf(GEN4, "here", services=frozenset({"dc"}))], node)
    assert described(plan.steps) == [
        f"state {GEN4}: up -> down",
        f"services {GEN4}: sym;asym -> dc",
        f"vf_count {GEN4}: 0 -> 2",
        *bound(VF0),
        f"override {VF1}: (none) -> vfio-pci",
    ]


@pytest.mark.parametrize(
    ("binding", "steps"),
    [
        (Binding("vfio-pci", "vfio-pci"), []),
        (Binding("vfio-pci", None), [f"override {VF0}: vfio-pci -> (none)"]),
        (Binding(None, None), [f"override {VF0}: vfio-pci -> (none)", f"unbind {VF0}: vfio-pci -> (none)"]),
        (Binding(None, "vfio-pci"), [f"unbind {VF0}: vfio-pci -> (none)"]),
        (
            Binding("qat_vfio_pci", "vfio-pci"),
            [
                "load_module qat_vfio_pci: not loaded -> loaded",
                f"override {VF0}: vfio-pci -> qat_vfio_pci",
                f"unbind {VF0}: vfio-pci -> (none)",
                f"bind {VF0}: (none) -> qat_vfio_pci",
                f"override {VF0}: qat_vfio_pci -> vfio-pci",
            ],
        ),
    ],
)
def test_single_functions(binding: Binding, steps: list[str]) -> None:
    assert described(plan_functions({VF0: binding}, read_node(held(vf("vfio-pci"))), "fail").steps) == steps


@pytest.mark.parametrize(("mode", "is_bound"), [(None, False), (False, False), (True, True)])
def test_a_single_function_without_an_iommu_is_bound_where_the_node_allows_it(
    mode: bool | None, is_bound: bool
) -> None:
    """No rule gives up for it what an IOMMU keeps from whoever has it."""
    kernel = FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=1, autoprobe=False, vfs=vf(None)), iommu=False, noiommu=mode, **WITH_VFIO
    )
    node, bindings = read_node(kernel), {VF0: Binding("vfio-pci", "vfio-pci")}
    if is_bound:
        assert described(plan_functions(bindings, node, "fail").steps) == bound(VF0)
    else:
        with pytest.raises(RefusedError, match=f"^{VF0}: the IOMMU is off"):
            plan_functions(bindings, node, "fail")


def test_a_function_that_is_not_there() -> None:
    with pytest.raises(RefusedError) as caught:
        plan_functions({"0000:ff:00.0": Binding(None, None)}, read_node(FakeKernel.with_pfs()), "fail")
    assert str(caught.value) == "0000:ff:00.0: the node has no such PCI function; see lspci -D for those it has"


def test_a_driver_of_pfs_is_for_no_vf() -> None:
    kernel = held(vf("vfio-pci"))
    with pytest.raises(RefusedError) as caught:
        plan_functions({VF0: Binding("4xxx", None)}, read_node(kernel), "fail")
    assert str(caught.value) == f"{VF0}: 4xxx is the driver of PFs, and {VF0} is a VF; name a driver of VFs"
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, driver=None), loaded=("qat_4xxx",))
    plan = plan_functions({GEN4: Binding("4xxx", "4xxx")}, read_node(kernel), "fail")
    assert described(plan.steps)[-1] == f"bind {GEN4}: (none) -> 4xxx"


def test_a_single_vf_on_the_denylist() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=1, vfs=vf(None)))
    plan = plan_functions({GEN2_VF0: Binding("vfio-pci", "vfio-pci")}, read_node(kernel), "fail")
    assert described(plan.steps) == ["load_module vfio_pci: not loaded -> disable_denylist=1", *bound(GEN2_VF0)]


def test_a_pf_by_itself_is_skipped_while_one_of_its_vfs_is_in_use() -> None:
    plan = plan_functions({GEN4: Binding(None, None)}, read_node(held(QEMU), [GEN4]), "skip")
    assert plan == Plan((), (Skip(GEN4, f"qemu-system-x86 (pid 4001) has {VF0} open"),))


def whys(steps: t.Iterable[Step]) -> list[str]:
    """Each step as `action: why`."""
    return [f"{step.action.value}: {step.why}" for step in steps]


def test_every_step_says_why() -> None:
    kernel = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=2, vfs=[vf(), vf()]), **WITH_VFIO)
    assert whys(plan_of(kernel, {}).steps)[:6] == [
        f"unload_module: its denylist refuses {GEN2_VF0}",
        f"load_module: its denylist refuses {GEN2_VF0}",
        "autoprobe: new VFs wait for the configured driver",
        "override: keeps other drivers away",
        "unbind: vfio-pci should have it",
        "bind: the configured driver",
    ]
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1, autoprobe=False, vfs="vfio-pci"))
    assert whys(plan_of(kernel, {"vfs": 0, "services": ["dc"]}).steps) == [
        "state: services can be set only while the PF is down, which removes its VFs",
        "services: the configuration asks for these services",
        "autoprobe: new VFs go to their kernel driver again",
        "state: the PF should be up",
    ]
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1))
    assert (
        whys(plan_of(kernel, {"vfs": 0, "services": ["dc"]}).steps)[0]
        == "state: services can be set only while the PF is down"
    )
    single = plan_functions({VF0: Binding(None, None)}, read_node(held(vf("vfio-pci"))), "fail")
    assert whys(single.steps) == ["override: the kernel chooses the driver again", "unbind: no driver should have it"]


@pytest.mark.parametrize("state", ["up", "down"])
def test_a_pf_without_sriov_keeps_its_state(state: str) -> None:
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=0, state=state)))
    assert plan_node([DesiredPf(GEN4, "a test")], node) == Plan()


@pytest.mark.parametrize(
    ("family", "desired", "options"),
    [
        ("c6xx", {}, {"vfio-pci": "disable_denylist=1"}),
        ("c6xx", {"driver": "c6xxvf"}, {}),
        ("c6xx", {"state": "absent"}, {}),
        ("4xxx", {}, {}),
    ],
)
def test_module_options(family: str, desired: dict[str, t.Any], options: dict[str, str]) -> None:
    node = read_node(FakeKernel.with_pfs(pf(family, GEN4)))
    assert module_options(desired_of(parse_configuration({"devices": [desired]}), node), node) == options


def test_diff_shows_first_and_last_of_each_file() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, vfs="vfio-pci"))
    devices = f"/sys/bus/pci/devices/{GEN4}"
    assert plan_of(kernel, {"services": ["dc"], "vfs": 0}).diff() == {
        "before": f"{devices}/qat/state: up\n{devices}/qat/cfg_services: sym;asym\n",
        "after": f"{devices}/qat/state: up\n{devices}/qat/cfg_services: dc\n",
    }


@pytest.mark.parametrize(
    ("found", "wanted", "steps"),
    [
        ("up", "down", [f"state {GEN4}: up -> down"]),
        ("down", "up", [f"state {GEN4}: down -> up"]),
        ("down", "down", []),
        ("up", "up", []),
        ("down", None, []),
        ("up", None, []),
    ],
)
def test_a_pf_without_vfs_is_as_the_target_says_or_as_it_was(found: str, wanted: str | None, steps: list[str]) -> None:
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, state=found)))
    assert described(plan_node([DesiredPf(GEN4, "a test", vf_count=0, state=wanted)], node).steps) == steps


def test_a_pf_that_was_down_is_down_again_after_its_services_were_set() -> None:
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, state="down", services="sym")))
    desired = DesiredPf(GEN4, "a test", services=frozenset({"dc"}))
    assert described(plan_node([desired], node).steps) == [f"services {GEN4}: sym -> dc"]


@pytest.mark.parametrize("autoprobe", [True, False])
def test_new_vfs_have_a_driver_only_where_the_kernel_gives_them_one(autoprobe: bool) -> None:
    kernel = FakeKernel.with_pfs(
        pf("c6xx", GEN2, total_vfs=1, autoprobe=autoprobe), loaded=("qat_c62x", "qat_c62xvf", "vfio_pci"), **NO_DENYLIST
    )
    desired = DesiredPf(GEN2, "a test", vf_count=1, binding=Binding("vfio-pci", "vfio-pci"))
    made = f"vf_count {GEN2}: 0 -> 1"
    grabbed = [
        f"override {GEN2_VF0}: (none) -> vfio-pci",
        f"unbind {GEN2_VF0}: c6xxvf -> (none)",
        f"bind {GEN2_VF0}: (none) -> vfio-pci",
    ]
    steps = described(plan_node([desired], read_node(kernel)).steps)
    assert steps == ([made, *grabbed] if autoprobe else [made, *bound(GEN2_VF0)])


def test_a_refusal_names_the_vf_that_is_to_be_bound() -> None:
    """Not one that has its driver and only lacks the override."""
    kernel = FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=2, autoprobe=False, vfs=[vf("vfio-pci"), vf(None)]), **WITH_VFIO
    )
    kernel.machine.bus.functions[VF0].override = None
    node = read_node(kernel)
    assert described(plan_node(desired_of(parse_configuration({"devices": [{}]}), node), node).steps) == [
        f"override {VF0}: (none) -> vfio-pci",
        *bound(VF1),
    ]
    with pytest.raises(RefusedError) as caught:
        plan_node(desired_of(parse_configuration({"devices": [{}]}), node), replace(node, iommu=False))
    assert caught.value.where == VF1


def test_a_refusal_by_the_denylist_names_the_vf_that_is_to_be_bound() -> None:
    kernel = FakeKernel.with_pfs(
        pf("c6xx", GEN2, total_vfs=2, autoprobe=False, vfs=[vf("vfio-pci"), vf(None)]), **WITH_VFIO, **NO_DENYLIST
    )
    kernel.machine.bus.functions[GEN2_VF0].override = None
    node = read_node(kernel)
    node = replace(node, vfio_pci=replace(node.vfio_pci, denylist=True))
    with pytest.raises(RefusedError, match="vfio-pci refuses the device with its denylist") as caught:
        plan_node(desired_of(parse_configuration({"devices": [{}]}), node), node)
    assert caught.value.where == GEN2_VF1
