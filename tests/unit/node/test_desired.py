# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import (
    NO_VFS,
    Binding,
    DesiredPf,
    advertised,
    desired_at,
    desired_of,
    original_pf,
    rule_for,
    unused_rules,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.tests.fakes import FakeKernel, nic, pf, vf
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN4, OTHER, VF0, lose_vf


@pytest.fixture
def node() -> Node:
    return read_node(
        FakeKernel.with_pfs(
            pf("4xxx", GEN4, numa_node=0, vfs="vfio-pci"),
            pf("4xxx", OTHER, numa_node=1, device_id=0x4944),
            pf("c6xx", GEN2, numa_node=1),
        )
    )


def rules(*documents: dict[str, t.Any]) -> t.Any:
    return parse_configuration({"devices": list(documents)})


@pytest.mark.parametrize(
    ("select", "taken"),
    [
        ({}, [GEN4, OTHER, GEN2]),
        ({"address": OTHER}, [OTHER]),
        ({"address": [GEN2, GEN4]}, [GEN4, GEN2]),
        ({"family": "4xxx"}, [GEN4, OTHER]),
        ({"family": "420xx"}, []),
        ({"device_id": "4944"}, [OTHER]),
        ({"device_id": ["0x37c8", "4940"]}, [GEN4, GEN2]),
        ({"numa_node": 1}, [OTHER, GEN2]),
        ({"numa_node": -1}, []),
        ({"index": [0, 2]}, [GEN4, GEN2]),
        ({"family": "4xxx", "numa_node": 1}, [OTHER]),
        ({"family": "c6xx", "numa_node": 0}, []),
    ],
)
def test_selects(node: Node, select: dict[str, t.Any], taken: list[str]) -> None:
    assert [desired.address for desired in desired_of(rules({"select": select}), node)] == taken


def test_takes_the_first_rule_that_fits(node: Node) -> None:
    chosen = rules({"select": {"numa_node": 1, "family": "4xxx"}}, {"select": {"numa_node": 1}})
    assert [(desired.address, desired.where) for desired in desired_of(chosen, node)] == [
        (OTHER, "devices[0]"),
        (GEN2, "devices[1]"),
    ]
    assert rule_for(chosen, node.qat[0]) is None


def test_of_one_device_alone_whatever_the_rules_ask_of_others(node: Node) -> None:
    """So that a PF comes back after a reset also where the rule of another one cannot be met."""
    chosen = rules({"select": {"address": GEN4}}, {"select": {"family": "c6xx"}, "services": ["sym"]})
    assert [desired.address for desired in desired_at(chosen, node, GEN4)] == [GEN4]
    assert desired_at(chosen, node, OTHER) == ()
    assert desired_at(chosen, node, "0000:ff:00.0") == ()
    with pytest.raises(ConfigurationError, match="whose services cannot be set"):
        desired_at(chosen, node, GEN2)


def test_names_rules_without_a_pf(node: Node) -> None:
    chosen = rules({"select": {"family": "420xx"}}, {"select": {"index": 1}}, {"select": {"index": 5}})
    assert unused_rules(chosen, node) == ("devices[0]", "devices[2]")


def test_targets() -> None:
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4), pf("c6xx", GEN2)))
    present = rules({"select": {"index": 0}, "services": ["dc"]}, {"driver": "c6xxvf", "when_in_use": "skip"})
    assert desired_of(present, node) == (
        DesiredPf(
            GEN4,
            "devices[0]",
            frozenset({"dc"}),
            16,
            Binding("vfio-pci", "vfio-pci"),
            autoprobe=False,
            state="up",
            driven=True,
            noiommu=False,
        ),
        DesiredPf(
            GEN2,
            "devices[1]",
            None,
            16,
            Binding("c6xxvf", "c6xxvf"),
            autoprobe=False,
            driven=True,
            noiommu=False,
            when_in_use="skip",
        ),
    )
    assert desired_of(rules({"state": "absent"}), node) == (
        DesiredPf(GEN4, "devices[0]", vf_count=0, autoprobe=True, state="up", driven=True, noiommu=False),
        DesiredPf(GEN2, "devices[0]", vf_count=0, autoprobe=True, driven=True, noiommu=False),
    )


WRONG = (
    (
        {"select": {"address": "0000:ff:00.0"}},
        (
            "devices[0].select.address: 0000:ff:00.0 is not a QAT device of this node; "
            f"the node's QAT devices are: {GEN4}, {OTHER}, {GEN2}"
        ),
    ),
    (
        {"select": {"address": VF0}},
        f"devices[0].select.address: {VF0} is a VF of the PF {GEN4}; the node's QAT devices are: {GEN4}, {OTHER}, {GEN2}",
    ),
    (
        {"select": {"address": [GEN4, "0000:ff:00.0"]}},
        (
            "devices[0].select.address: 0000:ff:00.0 is not a QAT device of this node; "
            f"the node's QAT devices are: {GEN4}, {OTHER}, {GEN2}"
        ),
    ),
    (
        {"select": {"family": "c6xx"}, "services": ["sym"]},
        (
            f"devices[0].services: {GEN2} is a c6xx device, whose services cannot be set; "
            "remove services, or select only PFs from Gen4 on"
        ),
    ),
    (
        {"select": {"index": 0}, "services": ["decomp"]},
        (
            f"devices[0].services: {GEN4}: a 4xxx device does not offer decomp, only sym, asym, dc, dcc; "
            "choose other services for this PF"
        ),
    ),
    (
        {"select": {"index": 0}, "services": ["dcc", "sym"]},
        f"devices[0].services: {GEN4}: dcc (chained compression) works only alone; choose other services for this PF",
    ),
    (
        {"select": {"index": 0}, "services": ["dc", "sym", "asym"]},
        (
            f"devices[0].services: {GEN4}: a 4xxx device offers at most 2 services at once; "
            "choose other services for this PF"
        ),
    ),
    (
        {"select": {"index": 0}, "vfs": 8},
        (
            f"devices[0].vfs: {GEN4} cannot have 8 VFs, the kernel's driver creates all 16 or none; "
            "leave the count out, and use advertise to offer Kubernetes fewer VFs"
        ),
    ),
    (
        {"select": {"index": 0}, "vfs": 17},
        (
            f"devices[0].vfs: {GEN4} cannot have 17 VFs, the kernel's driver creates all 16 or none; "
            "leave the count out, and use advertise to offer Kubernetes fewer VFs"
        ),
    ),
    (
        {"select": {"index": 0}, "advertise": 17},
        f"devices[0].advertise: {GEN4} has 16 VFs, so 17 cannot be advertised; advertise at most 16",
    ),
)


@pytest.mark.parametrize(("document", "sentence"), WRONG, ids=[sentence[:60] for _document, sentence in WRONG])
def test_says_what_does_not_fit_the_node(node: Node, document: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        desired_of(rules(document), node)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("select", [{}, {"family": "4xxx"}])
def test_a_kernels_driver_of_vfs_takes_none_of_another_family(node: Node, select: dict[str, t.Any]) -> None:
    """Only when the VFs were there would that driver refuse them."""
    with pytest.raises(ConfigurationError) as caught:
        desired_of(rules({"select": select, "driver": "c6xxvf"}), node)
    assert str(caught.value) == (
        f"devices[0].driver: {GEN4} is a 4xxx device, whose VFs c6xxvf does not take; "
        "have the rule select the family of c6xxvf alone, or name another driver"
    )
    assert desired_of(rules({"select": {"family": "c6xx"}, "driver": "c6xxvf"}), node)
    assert desired_of(rules({"select": select, "driver": "c6xxvf", "provision": False}), node) == ()


def test_a_node_without_qat() -> None:
    with pytest.raises(ConfigurationError) as caught:
        desired_of(rules({}), read_node(FakeKernel.with_pfs()))
    assert str(caught.value) == (
        "devices[0]: the node has no QAT device; see that BIOS has it enabled, in a virtual machine that its host gives it VFs, "
        "or take the node out of the group"
    )
    assert desired_of(rules({"state": "absent"}), read_node(FakeKernel.with_pfs())) == ()


def test_a_node_without_qat_is_reported_at_the_first_rule_that_asks_for_vfs() -> None:
    none, asking, last = (
        {"select": {"index": [0]}, "state": "absent"},
        {"select": {"index": [1]}},
        {"select": {"index": [2]}},
    )
    with pytest.raises(ConfigurationError, match="the node has no QAT device") as caught:
        desired_of(rules(none, asking, last), read_node(FakeKernel.with_pfs()))
    assert caught.value.where == "devices[1]"


def test_a_network_card_is_no_vf_without_its_pf() -> None:
    card = "0000:03:00.0"
    with pytest.raises(ConfigurationError, match="the node has no QAT device"):
        desired_of(rules({}), read_node(FakeKernel.with_pfs(nics=(nic(card, vfs=1),)), [card]))


def test_a_pf_without_sriov() -> None:
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=0)))
    with pytest.raises(ConfigurationError) as caught:
        desired_of(rules({}), node)
    assert str(caught.value) == (
        f"devices[0]: {GEN4} cannot have VFs; enable SR-IOV in the BIOS, and see that the kernel has CONFIG_PCI_IOV; in a virtual machine "
        "that was given the PF, make the VFs on its host instead"
    )
    assert desired_of(rules({"vfs": 0}), node)[0].vf_count == 0


@pytest.mark.parametrize(("desired", "count"), [({}, 16), ({"advertise": 3}, 3), ({"advertise": 0}, 0)])
def test_advertises_the_first_vfs(node: Node, desired: dict[str, t.Any], count: int) -> None:
    addresses = [one.address for one in node.qat[0].vfs]
    assert list(advertised(rules(desired), node.qat[0])) == addresses[:count]


def test_a_vf_that_is_missing_moves_no_other_into_its_place() -> None:
    """What is beyond `advertise` stays with the host."""
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4, vfs="vfio-pci"))
    lose_vf(kernel, GEN4, 3)
    node = read_node(kernel)
    addresses = advertised(rules({"advertise": 12}), node.qat[0])
    assert [node.functions[address].index for address in addresses] == [0, 1, 2, *range(4, 12)]
    assert set(original_pf(node, GEN4).bindings) == {*range(16)} - {3}


def test_advertises_nothing_of_other_pfs(node: Node) -> None:
    assert advertised(rules({"select": {"index": 1}}), node.qat[0]) == ()
    assert advertised(rules({"state": "absent"}), node.qat[0]) == ()


def test_the_original_pf_is_what_is_there() -> None:
    kernel = FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=2, services="dc", autoprobe=False, vfs=[vf("vfio-pci"), vf(None)]),
        pf("c6xx", GEN2, driver=None),
    )
    node = read_node(kernel)
    assert original_pf(node, GEN4) == DesiredPf(
        GEN4,
        GEN4,
        frozenset({"dc"}),
        2,
        bindings={0: Binding("vfio-pci", "vfio-pci"), 1: Binding(None, None)},
        autoprobe=False,
        state="up",
        driven=True,
    )
    assert original_pf(node, GEN2) == DesiredPf(GEN2, GEN2, vf_count=0, autoprobe=True)


@pytest.mark.parametrize("state", ["up", "down", "recovering", None])
def test_of_the_original_state_only_one_that_can_be_written_again(node: Node, state: str | None) -> None:
    odd = replace(node, qat=tuple(replace(device, state=state) for device in node.qat))
    assert original_pf(odd, GEN4).state == (state if state in ("up", "down") else None)


@pytest.mark.parametrize("count", range(15, 18))
def test_all_vfs_can_be_advertised_and_no_more(count: int) -> None:
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4)))
    if count <= 16:
        assert len(desired_of(rules({"advertise": count}), node)) == 1
    else:
        with pytest.raises(ConfigurationError, match="so 17 cannot be advertised"):
            desired_of(rules({"advertise": count}), node)


@pytest.mark.parametrize("desired", [{}, {"vfs": 16}, {"vfs": 1}, {"advertise": 1}])
def test_a_pf_whose_sriov_is_off_is_not_passed_over(desired: dict[str, t.Any]) -> None:
    """It has the files of SR-IOV, and no VFs to give."""
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4)))
    (device,) = node.qat
    sriov = device.function.sriov
    assert sriov is not None
    off = replace(device, function=replace(device.function, sriov=replace(sriov, total=0)))
    with pytest.raises(ConfigurationError) as caught:
        desired_of(rules(desired), replace(node, qat=(off,)))
    assert str(caught.value) == (f"devices[0]: {GEN4} cannot have VFs; {NO_VFS}")
