# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All faces give one answer to what the rules offer to Kubernetes: the modules' facts, the audit, verification, and the plugin."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from qat_device_plugin.catalogue import Snapshot, allotments_of, left_out_of, offers_of, resources_of

from ansible_collections.accel.qat.plugins.module_utils._cluster.verification import promises
from ansible_collections.accel.qat.plugins.module_utils._kubelet.audit import promised
from ansible_collections.accel.qat.plugins.module_utils._node.cli.describe import describe
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import rule_for
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import VM, Rule, parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.plugins.module_utils._node.facts.services import for_containers, is_for_vms
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf, vf
from ansible_collections.accel.qat.tests.fakes.strategies import scenarios

PF = "0000:6b:00.0"
GENERIC = "qat.intel.com/generic"


def faces(node: Node, rules: tuple[Rule, ...]) -> dict[str, dict[str, list[str]]]:
    """The VFs that exist and are offered, by resource and by face."""
    there = set(node.functions)
    # The plugin's copy of the engine has classes of its own, which compare by their fields.
    plugin_node: t.Any = node
    plugin_rules: t.Any = rules
    resources = resources_of(plugin_node, {})
    offers = offers_of(Snapshot(plugin_node, frozenset()), plugin_rules, resources, {})
    facts: dict[str, list[str]] = {}
    for device in describe(node, rules)["devices"]:
        if device["advertised"]:
            facts.setdefault(device["resource"], []).extend(device["advertised"])
    audit = {
        resource: [address for address in vfs if address in there] for resource, vfs in promised(rules, node).items()
    }
    return {
        "facts": facts,
        "audit": {resource: vfs for resource, vfs in audit.items() if vfs},
        "plugin": {resource: [one.address for one in vfs] for resource, vfs in offers.items() if vfs},
    }


def counts(node: Node, rules: tuple[Rule, ...]) -> list[dict[str, int]]:
    """How many VFs of each resource are to be, there or not: by the audit, by what verification expects of it, and by the plugin."""
    plugin_node: t.Any = node
    plugin_rules: t.Any = rules
    allotted: dict[str, int] = {}
    for one in allotments_of(plugin_node, plugin_rules, resources_of(plugin_node, {})).values():
        if one.vfs:
            allotted[one.resource] = allotted.get(one.resource, 0) + one.vfs
    wanted = promised(rules, node)
    expected = promises({"promised": wanted, "allocatable": None})
    return [
        {resource: len(vfs) for resource, vfs in wanted.items()},
        {str(one["name"]).removeprefix("allocatable "): one["equals"] for one in expected},
        allotted,
    ]


SERVICES: tuple[frozenset[str] | None, ...] = (
    None,
    frozenset(),
    frozenset({"sym", "asym"}),
    frozenset({"dc"}),
    frozenset({"dcc"}),
)


@given(scenarios(), st.data())
def test_all_faces_agree(scenario: t.Any, data: st.DataObject) -> None:
    spec, document = scenario
    try:
        rules = parse_configuration(document)
    except ConfigurationError:
        rules = parse_configuration({"devices": [{}]})
    node = read_node(FakeKernel.of(spec))
    # Also what no driver in Linux shows: services before Gen4, and none after.
    node = replace(
        node,
        qat=tuple(
            replace(one, services=data.draw(st.just(one.services) | st.sampled_from(SERVICES))) for one in node.qat
        ),
    )
    event("offers something" if promised(rules, node) else "offers nothing")
    by_face = faces(node, rules)
    assert by_face["facts"] == by_face["audit"] == by_face["plugin"]
    first, *others = counts(node, rules)
    assert all(one == first for one in others)
    for resource, vfs in promised(rules, node).items():
        for device in (one for one in node.qat if set(vfs) & set(one.vf_addresses())):
            rule = rule_for(rules, device)
            assert rule is not None
            assert is_for_vms(resource) == (rule.attach == VM)
            is_generic = for_containers(resource) == GENERIC
            assert is_generic or device.family.has_services
            assert not is_generic or not device.shows_services or not rule.provision
            assert not is_generic or not device.family.has_services or not rule.services


@pytest.mark.parametrize("driver", ["c6xxvf", "pci-stub", "igb_uio"])
@pytest.mark.parametrize("family", ["c6xx", "4xxx"])
def test_vfs_of_the_host_are_offered_by_nobody(family: str, driver: str) -> None:
    node = read_node(FakeKernel.with_pfs(pf(family, PF, total_vfs=2, vfs=vf())))
    rules = parse_configuration({"devices": [{"driver": driver}]})
    assert faces(node, rules) == {"facts": {}, "audit": {}, "plugin": {}}
    assert counts(node, rules) == [{}, {}, {}]
    assert describe(node, rules)["devices"][0]["advertised"] == []


@pytest.mark.parametrize("document", [{}, {"services": ["dc"]}, {"advertise": 1}])
@pytest.mark.parametrize("case", ["no driver", "does not show its services", "shows none"])
def test_from_gen4_on_nothing_is_generic(case: str, document: dict[str, t.Any]) -> None:
    kernel = FakeKernel.with_pfs(pf("4xxx", PF, total_vfs=2, driver=None if case == "no driver" else "own"))
    node = read_node(kernel)
    services = frozenset[str]() if case == "shows none" else None
    node = replace(node, qat=tuple(replace(one, services=services) for one in node.qat))
    rules = parse_configuration({"devices": [document]})
    assert counts(node, rules) == [{}, {}, {}]
    assert describe(node, rules)["devices"][0]["resource"] is None
    plugin_node: t.Any = node
    plugin_rules: t.Any = rules
    (why,) = left_out_of(plugin_node, plugin_rules, {}).values()
    assert ("it has no driver" in why) == (case == "no driver")


@pytest.mark.parametrize("services", SERVICES)
def test_before_gen4_the_family_decides(services: frozenset[str] | None) -> None:
    node = read_node(
        FakeKernel.with_pfs(
            pf("c6xx", PF, total_vfs=2, vfs=vf("vfio-pci")), options={"vfio_pci": ("disable_denylist=1",)}
        )
    )
    node = replace(node, qat=tuple(replace(one, services=services) for one in node.qat))
    rules = parse_configuration({"devices": [{}]})
    vfs = [one.address for one in node.qat[0].vfs]
    assert faces(node, rules) == {face: {GENERIC: vfs} for face in ("facts", "audit", "plugin")}


def test_other_services_than_the_rule_names_are_not_passed_off_as_these() -> None:
    """A pod that asks for crypto gets nothing rather than compression."""
    node = read_node(FakeKernel.with_pfs(pf("4xxx", PF, total_vfs=2, services="dc", vfs=vf("vfio-pci"))))
    rules = parse_configuration({"devices": [{"services": ["sym", "asym"]}]})
    cy = "qat.intel.com/cy"
    assert [set(one) for one in counts(node, rules)] == [{cy}] * 3
    plugin_node: t.Any = node
    plugin_rules: t.Any = rules
    snapshot = Snapshot(plugin_node, frozenset({"1", "2"}))
    offers = offers_of(snapshot, plugin_rules, resources_of(plugin_node, {}), {})
    assert list(offers) == [cy]
    assert {str(reason.detail) for one in offers[cy] for reason in one.reasons} >= {
        f"its PF {PF} has the services dc instead of sym;asym"
    }
