# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the properties speak of: configuring a node, and what the node then really is.

What a node is comes from the machine's model and not from the engine's own reading, which is itself under test.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import ApplyError, Outcome, converge
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import Baseline
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import desired_of
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan, plan_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import Rule
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import family_of_vf
from ansible_collections.accel.qat.tests.fakes import FakeKernel, NodeSpec
from ansible_collections.accel.qat.tests.fakes.pci import Function
from ansible_collections.accel.qat.tests.fakes.qat import QatDriver

SECONDS = 60.0


@dataclass
class Bench:
    """A node, the rules for it, and the record that the engine keeps of what it found."""

    kernel: FakeKernel
    rules: tuple[Rule, ...]
    found: Baseline = field(default_factory=lambda: Baseline({}))

    @classmethod
    def of(cls, spec: NodeSpec, rules: tuple[Rule, ...]) -> Bench:
        return cls(FakeKernel.of(spec), rules)

    def read(self) -> Node:
        return read_node(self.kernel)

    def plan(self, node: Node) -> Plan:
        return plan_node(desired_of(self.rules, node), node, self.found.on(node).assigned)

    def converge(self) -> Outcome:
        return converge(self.kernel, self.read, self.plan, SECONDS, self.remember)

    def remember(self, plan: Plan, node: Node) -> None:
        self.found = self.found.with_pfs_of(plan, node)

    def pfs(self) -> dict[str, PfState]:
        """Every QAT PF, VF without its PF, and network card, by address."""
        functions = self.kernel.machine.bus.functions.values()
        return {one.address: state_of(one) for one in functions if one.physfn is None}

    def held(self) -> dict[str, Function]:
        """The VFs that somebody has open."""
        vfio = self.kernel.machine.vfio
        functions = self.kernel.machine.bus.functions
        return {address: one for address, one in functions.items() if one.vfio_device is not None and vfio.holders(one)}

    def end_all_holders(self) -> None:
        """Whoever has a VF open ends."""
        for pid in tuple(self.kernel.machine.vfio.processes):
            self.kernel.end(pid)


def is_ours(rule: Rule | None) -> bool:
    """Whether a device that this rule takes may be written to."""
    return rule is not None and rule.provision


def pf_address_of(vf: Function) -> str:
    """The address of the VF's PF, or its own where it has none."""
    return vf.physfn.address if vf.physfn else vf.address


class VfState(t.NamedTuple):
    """A VF, as far as a configuration decides it."""

    driver: str | None
    override: str | None


class PfState(t.NamedTuple):
    """A PF, as far as a configuration decides it. `services` and `state` are None where the driver has none.

    A VF without its PF is its own only VF.
    """

    driver: str | None
    services: frozenset[str] | None
    state: str | None
    autoprobe: bool | None
    vfs: tuple[VfState, ...]


def state_of(pf: Function) -> PfState:
    if family_of_vf(*pf.ids) is not None:
        return PfState(None, None, None, None, (VfState(_driver(pf), pf.override),))
    device = pf.driver.devices.get(pf.address) if isinstance(pf.driver, QatDriver) else None
    has_services = device is not None and device.family.has_services
    return PfState(
        driver=_driver(pf),
        services=frozenset(device.services.split(";")) if device is not None and has_services else None,
        state=("up" if device.up else "down") if device is not None and has_services else None,
        autoprobe=pf.sriov.autoprobe if pf.sriov else None,
        vfs=tuple(VfState(_driver(vf), vf.override) for vf in (pf.sriov.vfs.values() if pf.sriov else ())),
    )


def _driver(function: Function) -> str | None:
    return function.driver.name if function.driver else None


def assert_as_reported(bench: Bench, before: dict[str, PfState], error: ApplyError) -> None:
    """PFs of which nothing was written, or of which everything was undone, are as they were."""
    changed = {step.configured for step in error.done} | set(error.left.split(", "))
    after = bench.pfs()
    for address, state in before.items():
        if address not in changed:
            assert as_left(after[address], state)


def as_left(after: PfState, before: PfState) -> bool:
    """Whether nobody wrote to a PF and its VFs.

    A module that is loaded for another PF takes every function that waited for it without a driver; that is the kernel's doing.
    """
    if before.driver is None and after.driver is not None:
        return not after.vfs
    drivers = all(now.driver == then.driver or then.driver is None for now, then in zip(after.vfs, before.vfs))
    overrides = [vf.override for vf in after.vfs] == [vf.override for vf in before.vfs]
    return drivers and overrides and after._replace(vfs=()) == before._replace(vfs=())
