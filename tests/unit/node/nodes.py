# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for fake nodes, and steps in a form that is easy to compare."""

from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import SECONDS, Outcome, converge
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import desired_of
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan, plan_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.step import Step
from ansible_collections.accel.qat.tests.fakes import FakeKernel

GEN4 = "0000:6b:00.0"
OTHER = "0000:70:00.0"
GEN2 = "0000:75:00.0"
VF0, VF1 = "0000:6b:00.1", "0000:6b:00.2"
GEN2_VF0, GEN2_VF1 = "0000:75:01.0", "0000:75:01.1"

RuleDocument = t.Mapping[str, t.Any]


def planner(*rules: RuleDocument) -> t.Callable[[Node], Plan]:
    parsed = parse_configuration({"devices": [dict(rule) for rule in rules]})
    return lambda node: plan_node(desired_of(parsed, node), node)


def plan_of(kernel: FakeKernel, *rules: RuleDocument) -> Plan:
    return planner(*rules)(read_node(kernel))


def apply(kernel: FakeKernel, *rules: RuleDocument, seconds: float = SECONDS) -> Outcome:
    return converge(kernel, lambda: read_node(kernel), planner(*rules), seconds)


def lose_vf(kernel: FakeKernel, pf: str, index: int) -> None:
    """One VF is no longer there, as after it was removed by itself."""
    sriov = kernel.machine.bus.functions[pf].sriov
    assert sriov is not None
    del kernel.machine.bus.functions[sriov.vfs.pop(index).address]


def described(steps: t.Iterable[Step]) -> list[str]:
    """Each step as `action device: before -> after`."""
    return [f"{step.action.value} {step.device}: {step.before} -> {step.after}" for step in steps]
