# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container has which VF, by what kubelet has said last. Shown to operators, it decides nothing.

Names of pods are others' words: kubelet's socket gives at most what `grpc_call` bounds, and what is shown of it is bounded here.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ._node.facts.paths import vfio_node
from ._node.printable import printable
from ._node.users.podresources import Given
from ._node.users.pods import Named, Pods, address_of
from .catalogue import numa_node_of
from .model import Model

if t.TYPE_CHECKING:
    from .kernel_thread import KernelThread

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

    def holder(self, address: str, iommu_group: str | None) -> Given | None:
        """Who has the VF with this address: by the address, or by a claim, which knows the node of the VF's group."""
        by_claim = "" if iommu_group is None else vfio_node(iommu_group)
        return self.by_device.get(address) or self.by_device.get(by_claim)

    def containers(self, vfs: t.Iterable[tuple[str, str | None]]) -> dict[str, Container]:
        """By address who has which of these VFs, each given by its address and its IOMMU group."""
        holders = ((address, self.holder(address, group)) for address, group in vfs)
        return {address: container_of(given) for address, given in holders if given}


async def ask(thread: KernelThread, roots: t.Sequence[str]) -> Named:
    """Ask the kubelets with one of these root directories, in a thread of its own: one that does not answer holds up nothing.

    One that did not answer before is asked again, by a `Pods` that has not given up on it.
    """
    try:
        return await thread.run(lambda: Pods(roots).named())
    except OSError as error:  # there are as many threads as there may be
        return Named(problem=error.strerror or str(error))


def attributed(before: Attribution, named: Named, now: float) -> Attribution:
    """What is known after one more question at the time `now`. Of the containers of a pod that share a VF the first by name has it."""
    if named.problem:
        return replace(before, problem=named.problem)
    by_device: dict[str, Given] = {}
    for one in sorted(named.given):
        by_device.setdefault(address_of(one.device), one)
    return Attribution(by_device, now, "")


class Container(t.NamedTuple):
    """A container that has a VF, by names as labels have them. Where nobody can name a pod, it has its uid, and no namespace."""

    namespace: str
    pod: str
    container: str


def container_of(given: Given) -> Container:
    """The container that a device was given to."""
    return Container(*map(shown_name, (given.namespace, given.pod, given.container)))


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

    for resource, offer in model.offers.items():
        for vf in offer:
            place = Holding(resource, vf.pf_address, vf.address, str(vf.numa_node))
            found.setdefault(vf.address, _held(place, attribution.holder(vf.address, groups.get(vf.address))))
    for device in model.snapshot.node.qat if model.snapshot else ():
        for function in device.vfs:
            given = attribution.holder(function.address, function.iommu_group)
            if given and function.address not in found:
                node = str(numa_node_of(function, device))
                place = Holding(shown_name(given.resource), device.address, function.address, node)
                found[function.address] = _held(place, given)
    return list(found.values())


def _groups(model: Model) -> dict[str, str]:
    functions = model.snapshot.node.functions.values() if model.snapshot else ()
    return {one.address: one.iommu_group for one in functions if one.iommu_group is not None}


def _held(place: Holding, given: Given | None) -> Holding:
    return Holding(*place[:4], *container_of(given)) if given else place


def shown_name(name: str) -> str:
    """A name that others have given, as a label has it."""
    return printable(name[:LONGEST_NAME])[:LONGEST_NAME]
