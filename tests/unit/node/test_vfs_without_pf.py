# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VFs without their PF, as a virtual machine has them, and devices whose provisioning is not ours."""

from __future__ import annotations

import errno
import itertools
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.cli.describe import describe, table
from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import converge
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import (
    Baseline,
    plan_restoration,
    read_record,
    write_record,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import (
    Binding,
    DesiredPf,
    desired_of,
    original_pf,
    rule_for,
    warnings_of,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import module_options, plan_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.step import Action
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError, RefusedError
from ansible_collections.accel.qat.tests.fakes import FakeKernel, LoneVf, NodeSpec, lone_vf, pf
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4, VF0, VF1, apply, described, plan_of

FIRST, SECOND, OLD = "0000:00:05.0", "0000:00:06.0", "0000:00:07.0"
MODE = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
USDM = "/sys/module/usdm_drv"


def guest(*vfs: LoneVf, **others: t.Any) -> FakeKernel:
    return FakeKernel.of(NodeSpec(lone_vfs=vfs or (lone_vf("4xxx", FIRST), lone_vf("4xxx", SECOND)), **others))


def test_read_as_devices_of_one_vf() -> None:
    node = read_node(guest(lone_vf("4xxx", FIRST, numa_node=1, device_id=0x4945), lone_vf("c6xx", OLD)))
    first, old = node.qat
    assert (first.is_vf, first.index, first.model, first.vf_addresses()) == (True, -1, "402xx", (FIRST,))
    assert first.vfs == (node.functions[FIRST],)
    assert (old.family.name, old.function.driver) == ("c6xx", "c6xxvf")


def test_indexes_are_those_of_pfs() -> None:
    node = read_node(FakeKernel.of(NodeSpec((pf("4xxx", GEN4),), (lone_vf("4xxx", FIRST),))))
    assert [(device.address, device.index) for device in node.qat] == [(FIRST, -1), (GEN4, 0)]
    rules = parse_configuration({"devices": [{"select": {"index": 0}}]})
    assert [rule_for(rules, device) is not None for device in node.qat] == [False, True]


@pytest.mark.parametrize("counted", ["16", "0"])
def test_a_vf_that_comes_or_goes_without_its_link_is_none(counted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while the kernel makes it, nor while its removal waits for whoever has it open."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, vfs="vfio-pci"))
    read = kernel.read
    monkeypatch.setattr(kernel, "read", lambda path: counted if path.endswith("sriov_numvfs") else read(path))
    for function in kernel.machine.bus.functions.values():
        function.physfn = None
    assert [device.address for device in read_node(kernel).qat] == [GEN4]


def test_a_vf_that_goes_with_its_pf_while_they_are_read_is_none() -> None:
    """Their ids have been read before."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs="vfio-pci"))
    for address, name in itertools.product((GEN4, VF0, VF1), ("", "/[!vd]*", "/driver*", "/virtfn*")):
        kernel.deny(f"/sys/bus/pci/devices/{address}{name}", errno.ENOENT)
    assert [device.is_vf for device in read_node(kernel).qat] == [False]


def test_bound_as_the_vfs_of_a_pf_are() -> None:
    kernel = guest(lone_vf("4xxx", FIRST), lone_vf("c6xx", OLD))
    assert described(plan_of(kernel, {}).steps) == [
        "load_module vfio_pci: not loaded -> disable_denylist=1",
        f"override {FIRST}: (none) -> vfio-pci",
        f"bind {FIRST}: (none) -> vfio-pci",
        f"override {OLD}: (none) -> vfio-pci",
        f"unbind {OLD}: c6xxvf -> (none)",
        f"bind {OLD}: (none) -> vfio-pci",
    ]
    apply(kernel, {})
    assert plan_of(kernel, {}).steps == ()
    node = read_node(kernel)
    rules = parse_configuration({"devices": [{}]})
    assert module_options(desired_of(rules, node), node) == {"vfio-pci": "disable_denylist=1"}


def test_it_has_one_vf_which_is_itself() -> None:
    """Whether it is desired or was found: what a record says of more would be another device's."""
    node = read_node(guest(lone_vf("c6xx", OLD)))
    (desired,) = desired_of(parse_configuration({"devices": [{}]}), node)
    assert desired == DesiredPf(OLD, "devices[0]", vf_count=1, binding=Binding("vfio-pci", "vfio-pci"), noiommu=False)
    found = original_pf(node, OLD)
    assert (found.vf_count, list(found.bindings.values())) == (1, [Binding("c6xxvf", None)])


def test_one_that_cannot_be_bound_does_not_keep_the_others() -> None:
    kernel = guest()
    kernel.switch(FIRST, "refuse_vfio", "0x1")
    with pytest.raises(NodeError, match="vfio-pci refuses this device"):
        apply(kernel, {})
    functions = kernel.machine.bus.functions
    assert [functions[one].driver is not None for one in (FIRST, SECOND)] == [False, True]


def test_one_in_use_is_left() -> None:
    kernel = guest(lone_vf("4xxx", FIRST, "vfio-pci", held_by="dpdk-testpmd"))
    with pytest.raises(RefusedError, match=f"has {FIRST} open"):
        plan_of(kernel, {"driver": "pci-stub"})
    assert [skip.device for skip in plan_of(kernel, {"driver": "pci-stub", "when_in_use": "skip"}).skipped] == [FIRST]


def test_services_are_a_statement() -> None:
    kernel = guest()
    rules = parse_configuration({"devices": [{"select": {"address": FIRST}, "services": ["dc"]}, {}]})
    apply(kernel, {"select": {"address": FIRST}, "services": ["dc"]}, {})
    assert not any("cfg_services" in write.path for write in kernel.writes)
    node = read_node(kernel)
    devices = describe(node, rules)["devices"]
    assert [(one["services"], one["services_stated"], one["resource"], one["advertised"]) for one in devices] == [
        (["dc"], True, "qat.intel.com/dc", [FIRST]),
        (None, False, "qat.intel.com/generic", [SECOND]),
    ]
    assert [line.split()[3:6] for line in table(node, rules).splitlines()[1:]] == [
        ["dc", "(stated)", "is"],
        ["-", "is", "one"],
    ]


@pytest.mark.parametrize(("key", "value"), [("vfs", 1), ("advertise", 0), ("state", "absent")])
def test_keys_about_the_vfs_of_a_pf(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan_of(guest(), {key: value})
    assert str(caught.value) == (
        f"devices[0].{key}: {key} is about the VFs of a PF, and {FIRST} is a VF whose PF is not on this node; "
        f"remove {key}, or have the rule select PFs alone"
    )


def test_it_cannot_be_removed() -> None:
    """As the module sriov_vfs with a count of 0 would have it, to which any function without VFs is as it should be."""
    assert plan_node([DesiredPf(FIRST, "devices[0]", vf_count=0)], read_node(guest())).steps == ()


def test_services_before_gen4_cannot_be_stated() -> None:
    with pytest.raises(ConfigurationError, match="whose services cannot be set"):
        plan_of(guest(lone_vf("c6xx", OLD)), {"services": ["sym"]})


class Bench:
    """A node with a record on the disk, as modules and qatctl have it."""

    def __init__(self, kernel: FakeKernel, path: Path, *rules: dict[str, t.Any]) -> None:
        self.kernel = kernel
        self._path = str(path / "found.json")
        self._rules = parse_configuration({"devices": list(rules)})

    def apply(self) -> None:
        def remember(plan: t.Any, node: t.Any) -> None:
            write_record(self._path, read_record(self._path).with_pfs_of(plan, node))

        converge(
            self.kernel,
            lambda: read_node(self.kernel),
            lambda node: plan_node(desired_of(self._rules, node), node, read_record(self._path).on(node).assigned),
            60.0,
            remember,
        )

    def tear_down(self) -> list[str]:
        found = read_record(self._path)
        outcome = converge(
            self.kernel, lambda: read_node(self.kernel), lambda node: plan_restoration(found, node), 60.0
        )
        return described(outcome.steps)


def test_given_back_to_the_driver_that_it_had(tmp_path: Path) -> None:
    bench = Bench(guest(lone_vf("4xxx", FIRST), lone_vf("c6xx", OLD)), tmp_path, {})
    bench.apply()
    assert bench.tear_down()[-1] == "unload_module vfio_pci: loaded -> not loaded"
    functions = bench.kernel.machine.bus.functions
    driver = functions[OLD].driver
    assert (functions[FIRST].driver, driver and driver.name) == (None, "c6xxvf")
    assert {functions[one].override for one in (FIRST, OLD)} == {None}


# Without an IOMMU.


def test_without_an_iommu_only_where_the_rule_says_so() -> None:
    for mode in (None, False, True):
        with pytest.raises(RefusedError, match="the IOMMU is off"):
            plan_of(guest(iommu=False, noiommu=mode, loaded=("vfio_pci",)), {})


def test_what_one_rule_gives_up_no_other_does() -> None:
    for first, second in ((FIRST, SECOND), (SECOND, FIRST)):
        with pytest.raises(RefusedError, match=f"^{second}: the IOMMU is off"):
            plan_of(guest(iommu=False, noiommu=False), {"select": {"address": first}, "noiommu": True}, {})


def test_the_mode_is_switched_on_before_the_first_vf_and_off_by_teardown(tmp_path: Path) -> None:
    kernel = guest(iommu=False, noiommu=False)
    bench = Bench(kernel, tmp_path, {"select": {"address": FIRST}, "noiommu": True}, {"noiommu": True})
    bench.apply()
    switches = [(write.path, write.value) for write in kernel.writes if write.path == MODE]
    assert switches == [(MODE, "Y")]
    node = read_node(kernel)
    assert (node.iommu, node.noiommu) == (False, True)
    assert describe(node)["devices"][0]["vfs"][0]["vfio_node"] == "/dev/vfio/noiommu-0"
    assert bench.tear_down()[-2:] == ["noiommu vfio: Y -> N", "unload_module vfio_pci: loaded -> not loaded"]
    assert kernel.machine.vfio.noiommu is False


def test_a_mode_that_was_on_before_stays_on(tmp_path: Path) -> None:
    bench = Bench(guest(iommu=False, noiommu=True, loaded=("vfio_pci",)), tmp_path, {"noiommu": True})
    bench.apply()
    bench.tear_down()
    assert bench.kernel.machine.vfio.noiommu is True


def test_where_an_iommu_is_at_work_the_mode_is_left_alone() -> None:
    kernel = guest(noiommu=False, loaded=("vfio_pci",))
    assert Action.NOIOMMU not in {step.action for step in plan_of(kernel, {"noiommu": True}).steps}
    assert warnings_of(parse_configuration({"devices": [{"noiommu": True}]}), read_node(kernel)) == ()


@pytest.mark.parametrize("driver", ["vfio-pci", "qat_vfio_pci"])
def test_a_kernel_that_cannot_do_without(driver: str) -> None:
    with pytest.raises(RefusedError) as caught:
        plan_of(guest(iommu=False, loaded=(driver.replace("-", "_"),)), {"noiommu": True, "driver": driver})
    assert str(caught.value) == (
        "devices[0].noiommu: this kernel's VFIO cannot do without an IOMMU (CONFIG_VFIO_NOIOMMU); "
        "give the virtual machine a virtual IOMMU, or boot a kernel that has it"
    )


def test_a_mode_that_cannot_be_switched_stops_before_the_first_vf() -> None:
    kernel = guest(iommu=False, noiommu=False, loaded=("vfio_pci",))
    kernel.fail_writes(MODE, 1)
    with pytest.raises(NodeError, match=f"^{MODE}: .*EPERM"):
        apply(kernel, {"noiommu": True})
    assert kernel.machine.bus.functions[FIRST].override is None


def test_it_is_said_what_that_gives_up() -> None:
    rules = parse_configuration({"devices": [{"select": {"address": FIRST}}, {"noiommu": True}]})
    assert warnings_of(rules, read_node(guest(iommu=False))) == (
        (
            "devices[1].noiommu: no IOMMU keeps the VFs from the node's memory, so whoever has one, as a pod, can read and write "
            "all of it."
        ),
    )


@pytest.mark.parametrize("rule", [{}, {"provision": False}])
def test_it_is_said_of_vfs_too_that_have_the_driver_already(rule: dict[str, t.Any]) -> None:
    kernel = guest(lone_vf("4xxx", FIRST, "vfio-pci"), iommu=False, noiommu=True)
    assert plan_of(kernel, rule).steps == ()
    (warning,) = warnings_of(parse_configuration({"devices": [rule]}), read_node(kernel))
    assert warning.startswith("devices[0]: no IOMMU keeps the VFs from the node's memory")


# What is not provisioned.


def out_of_tree(monkeypatch: pytest.MonkeyPatch, vfs: str = "vfio-pci") -> FakeKernel:
    """A node with Intel's package: its module is there, and its driver has no directory qat."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=vfs))
    exists = kernel.exists
    monkeypatch.setattr(kernel, "exists", lambda path: path == USDM or exists(path))
    kernel.deny(f"/sys/bus/pci/devices/{GEN4}/qat/*", 2)
    return kernel


@pytest.mark.parametrize(
    ("rule", "resource"), [({}, "generic"), ({"services": ["dc"]}, "dc"), ({"services": ["sym", "asym"]}, "cy")]
)
def test_vfs_of_the_out_of_tree_driver_are_offered_as_they_are(
    rule: dict[str, t.Any], resource: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = out_of_tree(monkeypatch)
    assert plan_of(kernel, {"provision": False, **rule}).steps == ()
    rules = parse_configuration({"devices": [{"provision": False, **rule}]})
    (device,) = describe(read_node(kernel), rules)["devices"]
    assert (device["resource"], len(device["advertised"])) == (f"qat.intel.com/{resource}", 2)
    assert (device["services_stated"], device["is_provisioned"]) == (bool(rule), False)


@pytest.mark.parametrize("rule", [{"services": ["dc"]}, {"vfs": 0}, {"state": "absent"}])
def test_the_out_of_tree_driver_is_refused_with_the_way_out(
    rule: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RefusedError, match=r"out-of-tree QAT package .* set provision to false in the rule"):
        plan_of(out_of_tree(monkeypatch), rule)


def test_only_vfs_with_the_driver_are_offered() -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs="vfio-pci"))
    kernel.write("/sys/bus/pci/drivers/vfio-pci/unbind", "0000:6b:00.1", 1.0)
    rules = parse_configuration({"devices": [{"provision": False}]})
    assert describe(read_node(kernel), rules)["devices"][0]["advertised"] == ["0000:6b:00.2"]


@pytest.mark.parametrize(("key", "value"), [("state", "absent"), ("vfs", 16), ("noiommu", True)])
def test_what_contradicts(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration({"devices": [{"provision": False, key: value}]})
    assert str(caught.value) == (
        f"devices[0].{key}: {key} contradicts provision false, by which nothing is written; remove {key}, or set provision to true"
    )


def test_a_record_says_whether_the_mode_was_set(tmp_path: Path) -> None:
    path = str(tmp_path / "found.json")
    for noiommu_set in (False, True):
        write_record(path, Baseline({}, noiommu_set=noiommu_set))
        assert read_record(path).noiommu_set is noiommu_set
