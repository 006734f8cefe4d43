# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""QAT services: their names, the sets a family accepts, and how the kernel spells them.

Source: Linux drivers/crypto/intel/qat/qat_common/adf_cfg_services.c and Documentation/ABI/testing/sysfs-driver-qat.
"""

from __future__ import annotations

import itertools
import typing as t

from .families import Family

SERVICES: tuple[str, ...] = ("sym", "asym", "dc", "dcc", "decomp")
"""Every service there is, in the one order this project writes them (the order that all kernels accept for sym;asym)."""


RESOURCE_PREFIX = "qat.intel.com/"
"""What the names of resources of Kubernetes begin with that are VFs."""

_FOR_VMS = RESOURCE_PREFIX + "vm-"


def parse_services(text: str) -> frozenset[str]:
    """The set in what `cfg_services` prints; kernels differ in the order, so only sets compare. Blanks say nothing."""
    return frozenset(filter(None, map(str.strip, text.split(";"))))


def in_order(services: t.Iterable[str]) -> list[str]:
    """The services in this project's order; unknown ones last."""
    known = {name: position for position, name in enumerate(SERVICES)}
    return sorted(services, key=lambda name: (known.get(name, len(known)), name))


def written_services(services: t.Iterable[str]) -> str:
    """The text to write to `cfg_services`: before Linux 6.16 only certain orders are accepted, and these are among them."""
    return ";".join(in_order(services))


def services_problem(family: Family, services: frozenset[str]) -> str:
    """Why a family cannot offer this set of services, or an empty string."""
    unknown = in_order(services - family.services)
    if unknown:
        return f"a {family.name} device does not offer {' and '.join(unknown)}, only {', '.join(in_order(family.services))}"
    if "dcc" in services and len(services) > 1:
        return "dcc (chained compression) works only alone"
    if len(services) > family.max_services:
        return f"a {family.name} device offers at most {family.max_services} services at once"
    return ""


def resource_name(services: frozenset[str] | None) -> str:
    """The Kubernetes resource of a PF's VFs, after `qat.intel.com/`: Intel's device plugin uses the same names.

    `generic` where the services are not known (before Gen4), `cy` for sym and asym, otherwise the services joined by `-`.
    """
    if not services:
        return "generic"
    if services == {"sym", "asym"}:
        return "cy"
    return "-".join(in_order(services))


_BY_NAME = {
    resource_name(services): services
    for size in range(len(SERVICES) + 1)
    for services in map(frozenset, itertools.combinations(SERVICES, size))
}

RESOURCE_NAMES: frozenset[str] = frozenset(_BY_NAME)
"""What `resource_name` says of services that are known; a kernel may have others, whose names are its own text."""


def is_known(resource: str) -> bool:
    """Whether the full name of a resource is one of ours, whose services are known, and not made of what a kernel or others say."""
    name = for_containers(resource)
    return name.startswith(RESOURCE_PREFIX) and name.removeprefix(RESOURCE_PREFIX) in RESOURCE_NAMES


def services_named(resource: str) -> frozenset[str]:
    """The services that a resource has by its full name; none where that is `generic`, or one that nobody knows."""
    return _BY_NAME.get(for_containers(resource).removeprefix(RESOURCE_PREFIX), frozenset())


def for_vms(resource: str) -> str:
    """The resource for the same VFs where the virtual machine of a pod gets them, by an agent of the node, and no container does."""
    return _FOR_VMS + resource.removeprefix(RESOURCE_PREFIX)


def is_for_vms(resource: str) -> bool:
    """Whether the VFs of a resource, by its full name, are for the virtual machines of pods: `qat.intel.com/vm-cy` and the like."""
    return resource.startswith(_FOR_VMS)


def for_containers(resource: str) -> str:
    """The resource for the same VFs where containers get them: it names their services alone."""
    return RESOURCE_PREFIX + resource.removeprefix(_FOR_VMS) if is_for_vms(resource) else resource
