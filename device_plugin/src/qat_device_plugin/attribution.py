# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container has which VF, by what kubelet has said last. Decisions only; it is shown to operators, and decides nothing.

Names of pods are others' words: kubelet's socket gives at most what `grpc_call` bounds, and what is shown of it is bounded here.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ._node.facts.paths import vfio_node
from ._node.printable import printable
from ._node.users.podresources import Given
from ._node.users.pods import Named, address_of
from .catalogue import numa_node_of
from .model import Model

LONGEST_NAME = 253
"""Characters of a name that are shown: Kubernetes has no longer one (RFC 1123 subdomain)."""


@dataclass(frozen=True)
class Attribution:
    """Who has which device. `seen` is when kubelet said so, in seconds of a clock that only goes forward; None while it never has.

    `by_device` are the holders by the address of a device or its node. `problem` says why kubelet's last answer is missing, and is empty
    where it is not; what it said before stays.
    """

    by_device: t.Mapping[str, Given] = field(default_factory=dict)
    seen: float | None = None
    problem: str = "kubelet has not been asked so far"


def attributed(before: Attribution, named: Named, now: float) -> Attribution:
    """What is known after one more question at the time `now`. Of the containers of a pod that share a VF the first by name has it."""
    if named.problem:
        return replace(before, problem=named.problem)
    by_device: dict[str, Given] = {}
    for one in sorted(named.given):
        by_device.setdefault(address_of(one.device), one)
    return Attribution(by_device, now, "")


class Holding(t.NamedTuple):
    """A VF and the container that has it, each field as a label has it; the last three are empty where no pod has the VF."""

    resource: str
    pf: str
    vf: str
    numa_node: str
    namespace: str = ""
    pod: str = ""
    container: str = ""


def holdings(model: Model, attribution: Attribution) -> list[Holding]:
    """Every VF that is offered, once, with who has it; and each other VF of the node that a pod has, as one whose rule was changed."""
    found: dict[str, Holding] = {}
    groups = _groups(model)

    def holder(vf: str) -> Given | None:
        by_claim = vfio_node(groups[vf]) if vf in groups else ""
        return attribution.by_device.get(vf) or attribution.by_device.get(by_claim)

    for resource, offer in model.offers.items():
        for vf in offer:
            place = Holding(resource, vf.pf_address, vf.address, str(vf.numa_node))
            found.setdefault(vf.address, _held(place, holder(vf.address)))
    for device in model.snapshot.node.qat if model.snapshot else ():
        for function in device.vfs:
            given = holder(function.address)
            if given and function.address not in found:
                node = str(numa_node_of(function, device))
                place = Holding(shown_name(given.resource), device.address, function.address, node)
                found[function.address] = _held(place, given)
    return list(found.values())


def _groups(model: Model) -> dict[str, str]:
    functions = model.snapshot.node.functions.values() if model.snapshot else ()
    return {one.address: one.iommu_group for one in functions if one.iommu_group is not None}


def _held(place: Holding, given: Given | None) -> Holding:
    if given is None:
        return place
    names = (shown_name(name) for name in (given.namespace, given.pod, given.container))
    return Holding(*place[:4], *names)


def shown_name(name: str) -> str:
    """A name that others have given, as a label has it."""
    return printable(name[:LONGEST_NAME])[:LONGEST_NAME]
