# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What kubelet should have in force after a plan, field by field, with the layers that have a say in it."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.accel.qat.plugins.module_utils._cluster.in_force import Asked, Said
from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import GATES_FIELD
from ansible_collections.accel.qat.plugins.module_utils._kubelet.gates import ALPHA, BETA, Decision, Verdict, find_gate

from .layers import Layers, describe, leaves

BEFORE = "what the files said before, with which kubelet may still run"
OPERATOR = "the KubeletConfig of the Machine Config Operator"

# What kubelet does where nobody says anything, for the fields whose value is one (config/v1beta1/defaults.go).
_UNSAID: t.Mapping[str, t.Any] = {
    "cpuManagerPolicy": "none",
    "memoryManagerPolicy": "None",
    "topologyManagerPolicy": "none",
    "topologyManagerScope": "container",
    "reservedMemory": [],
}
# The gates that decide on all of a stage that are not named themselves (component-base/featuregate).
_GROUPS = {ALPHA: "AllAlpha", BETA: "AllBeta"}


def asked_of_files(
    wanted: t.Mapping[str, t.Any], decisions: t.Iterable[Decision], minor: int, before: Layers, after: Layers
) -> tuple[Asked, ...]:
    """The wanted fields, and the gates that were decided on, where the files say them."""
    earlier = before.effective()
    return tuple(_with_layers(one, earlier, after) for one in (*_asked(wanted), *_asked_gates(decisions, minor)))


def asked_of_operator(wanted: t.Mapping[str, t.Any]) -> tuple[Asked, ...]:
    """The wanted fields where OpenShift 4 brings them."""
    return tuple(replace(one, where=OPERATOR) for one in _asked(wanted))


def _asked(wanted: t.Mapping[str, t.Any]) -> t.Iterator[Asked]:
    for path, value in leaves(wanted):
        yield Asked(describe(path), value, unsaid=_UNSAID.get(path[0]) if len(path) == 1 else None)


def _asked_gates(decisions: t.Iterable[Decision], minor: int) -> t.Iterator[Asked]:
    """But for those that the kubelet does not have: it says nothing of them, and they are always on, or nowhere."""
    for decision in decisions:
        gate = find_gate(decision.gate)
        if decision.wanted is None or (gate is not None and not gate.known_to(minor)):
            continue
        unsaid = decision.wanted if decision.verdict is not Verdict.SET else not decision.wanted
        group = "" if gate is None else _GROUPS.get(gate.stage(minor).name, "")
        yield Asked(describe((GATES_FIELD, decision.gate)), decision.wanted, unsaid=unsaid, group=group)


def _with_layers(one: Asked, before: t.Mapping[str, t.Any], after: Layers) -> Asked:
    name, dot, entry = one.field.partition(".")
    path = (name, entry) if dot else (name,)
    says = [Said(layer.where, layer.value(path)) for layer in reversed(after.layers) if layer.value(path) is not None]
    where = says[0].where if says and says[0].value == one.wanted else ""
    others = [other for other in says if other.where != where]
    earlier = before.get(name)
    if dot:
        earlier = earlier.get(entry) if isinstance(earlier, dict) else None
    if earlier is not None:
        others.append(Said(BEFORE, earlier))
    return replace(one, where=where, others=tuple(other for other in others if other.value != one.wanted))
