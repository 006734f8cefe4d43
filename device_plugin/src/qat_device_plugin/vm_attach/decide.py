# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done for the domains: a pure function of them, of what kubelet has given, and of the drivers of the node's QAT VFs.

A domain is believed nothing but which container it says it is, and that alone gives it no VF: kubelet must have given the VF to this
pod, by its name and by its uid, and no other domain may have it or say that it is the same container.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass

from .._node.facts.pci import VFIO_DRIVERS
from .domain import ContainerOfPod, Domain
from .kubelet import Said

ATTACH, DETACH = "attach", "detach"


class Step(t.NamedTuple):
    """A change of one domain: attach or detach a VF, now, at its next start, or both."""

    action: str
    uuid: str
    name: str
    address: str
    live: bool
    config: bool


class Problem(t.NamedTuple):
    """Why a domain does not get a VF. `reason` is a word for metrics, `text` a sentence; `domain` and `address` are empty for all."""

    reason: str
    domain: str
    address: str
    text: str


@dataclass(frozen=True)
class Decision:
    """The steps in their order, and what speaks against further ones."""

    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()


REASONS = {
    "kubelet": "kubelet does not say which VFs pods have",
    "libvirt": "libvirt does not answer",
    "node": "the QAT devices of the node cannot be read",
    "domain": "a domain cannot be understood",
    "claimed_twice": "two domains say that they are the same container",
    "unconfirmed": "kubelet's two sources do not agree on a VF, as while it starts or a pod comes or goes",
    "not_a_vf": "what kubelet has given is no QAT VF of this node",
    "driver": "the VF is not bound to vfio-pci or qat_vfio_pci",
    "held": "another domain has the VF",
    "failed": "libvirt refuses to attach or detach the VF",
}
"""The words for metrics, and what they mean."""


def decide(domains: t.Sequence[Domain], said: Said, drivers: t.Mapping[str, str | None]) -> Decision:
    """What to do. `drivers` are those of the node's QAT VFs, by address; None for a VF without one.

    What stands in the way of one domain is no obstacle for others. Detaching comes first: a VF that another domain gives back is
    free only once that is done, so it is attached at the next look.
    """
    if said.problem:
        concerned = any(one.container or _ours(one) for one in domains)
        return Decision(problems=(Problem("kubelet", "", "", said.problem),) if concerned else ())
    claims = Counter(one.container for one in domains if one.container)
    detaching: list[Step] = []
    attaching: list[Step] = []
    problems: list[Problem] = []
    for domain in sorted(domains, key=lambda one: (one.name, one.uuid)):
        if domain.problem:
            problems.append(Problem("domain", domain.name, "", domain.problem))
            continue
        if domain.container and claims[domain.container] > 1:
            problems.append(Problem("claimed_twice", domain.name, "", _claimed_twice(domain, domains)))
            continue
        wanted, unconfirmed = _vfs_of(domain.container, said)
        problems += (
            Problem("unconfirmed", domain.name, address, text)
            for address, text in sorted(unconfirmed.items())
            if not _rests_with(domain, address)
        )
        detaching += _stale(domain, wanted | set(unconfirmed))
        for address in sorted(wanted):
            live = domain.active and not any(one.address == address for one in domain.live)
            config = domain.persistent and not any(one.address == address for one in domain.config)
            if not live and not config:
                continue
            problem = _obstacle(domain, address, domains, drivers)
            if problem:
                problems.append(problem)
            else:
                attaching.append(Step(ATTACH, domain.uuid, domain.name, address, live, config))
    return Decision((*detaching, *attaching), tuple(problems))


def _vfs_of(container: ContainerOfPod | None, said: Said) -> tuple[set[str], dict[str, str]]:
    """The VFs that both sources give to a container, and those that one of them does, with the reason why that is not enough.

    What the checkpoint has for another pod is that one's, if its name is the same.
    """
    if container is None:
        return set(), {}
    name = (container.namespace, container.pod, container.container)
    listed = {address for *who, address in said.listed if tuple(who) == name}
    kept = {address for uid, of, address in said.kept if (uid, of) == (container.uid, container.container)}
    of_others = {address for uid, of, address in said.kept if (uid, of) != (container.uid, container.container)}
    not_listed = dict.fromkeys(kept - listed, f"kubelet does not list it for the pod {container} so far")
    not_kept = dict.fromkeys(
        listed - kept - of_others, f"kubelet lists it for the pod {container}, and its checkpoint does not"
    )
    return listed & kept, {**not_listed, **not_kept}


def _rests_with(domain: Domain, address: str) -> bool:
    """Whether it is defined and does not run: so is the machine of a pod that has ended, which kubelet lists without its VFs."""
    return not domain.active and any(one.address == address for one in domain.config)


def _ours(domain: Domain) -> set[str]:
    return {one.address for one in domain.config if one.is_ours}


def _stale(domain: Domain, may_have: t.Container[str]) -> list[Step]:
    """What this service has put into the next start of a domain, and what is not its pod's any more: it would take another pod's VF.

    From a domain that runs nothing is taken.
    """
    if not domain.persistent:
        return []
    addresses = sorted(address for address in _ours(domain) if address not in may_have)
    return [Step(DETACH, domain.uuid, domain.name, address, live=False, config=True) for address in addresses]


def _obstacle(
    domain: Domain, address: str, domains: t.Sequence[Domain], drivers: t.Mapping[str, str | None]
) -> Problem | None:
    if address not in drivers:
        return Problem("not_a_vf", domain.name, address, "it is no VF of a QAT device of this node")
    driver = drivers[address]
    if driver not in VFIO_DRIVERS:
        return Problem("driver", domain.name, address, f"it is bound to {driver or 'no driver'} instead of vfio-pci")
    holder = next((one for one in domains if one.uuid != domain.uuid and one.has(address)), None)
    if holder:
        return Problem("held", domain.name, address, f"the domain {holder.name} has it")
    return None


def _claimed_twice(domain: Domain, domains: t.Sequence[Domain]) -> str:
    others = [one.name for one in domains if one.container == domain.container and one.uuid != domain.uuid]
    return f"it says that it is {domain.container}, and so does {others[0]}; neither gets a VF"
