# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strategies draw nodes that can be, and configurations that the schema takes."""

from __future__ import annotations

import typing as t

from hypothesis import given, settings

from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import SCHEMA, check
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.tests.fakes import FakeKernel, NodeSpec
from ansible_collections.accel.qat.tests.fakes.strategies import Document, Fault, faults, kernels, nodes, scenarios

quick = settings(max_examples=200)


@quick
@given(nodes())
def test_every_node_can_be(spec: NodeSpec) -> None:
    node = read_node(FakeKernel.of(spec))
    assert [device.address for device in node.qat] == sorted(one.address for one in spec.devices)
    assert [device.vfs[0].holders != () for device in node.qat if device.is_vf] == [
        bool(one.vf.held_by) for one in spec.lone_vfs
    ]
    for pf, device in zip(spec.pfs, (one for one in node.qat if not one.is_vf)):
        assert bool(device.vfs) == bool(pf.vfs)
        assert sum(bool(one.holders) for one in device.vfs) == sum(bool(one.held_by) for one in pf.vfs)


@quick
@given(scenarios())
def test_every_configuration_fits_the_schema(scenario: tuple[NodeSpec, Document]) -> None:
    check(scenario[1], SCHEMA, "")


@quick
@given(nodes().flatmap(lambda spec: faults(spec).map(lambda chosen: (spec, chosen))))
def test_every_fault_can_be_switched_on(pair: tuple[NodeSpec, list[Fault]]) -> None:
    spec, chosen = pair
    kernel = FakeKernel.of(spec)
    for fault in chosen:
        fault.switch_on(kernel)
    assert kernel.writes == []


KINDS: t.Mapping[str, t.Callable[[Node], bool]] = {
    "no QAT": lambda node: not node.qat,
    "four PFs": lambda node: len(node.qat) == 4,
    "a VF in use": lambda node: any(vf.holders for device in node.qat for vf in device.vfs),
    "VFs before Gen4 at vfio-pci": lambda node: any(
        device.family.denylisted and "vfio-pci" in _drivers(device.vfs) for device in node.qat
    ),
    "VFs that differ": lambda node: any(len(_drivers(device.vfs)) > 1 for device in node.qat),
    "a PF without a driver": lambda node: any(device.function.driver is None for device in node.qat),
    "a PF that is down": lambda node: any(device.state == "down" for device in node.qat),
    "no IOMMU": lambda node: bool(node.qat) and not node.iommu,
    "no SR-IOV": lambda node: any(device.function.sriov is None for device in node.qat),
}


def test_nodes_of_every_kind_are_drawn() -> None:
    seen: set[str] = set()

    @settings(quick, derandomize=True, database=None)
    @given(kernels())
    def look(kernel: FakeKernel) -> None:
        node = read_node(kernel)
        seen.update(kind for kind, is_of in KINDS.items() if is_of(node))

    look()
    assert seen == set(KINDS)


def _drivers(vfs: t.Iterable[t.Any]) -> set[str | None]:
    return {vf.driver for vf in vfs}
