# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a VF cannot be used: every reason there is, with its words. docs/metrics.md has a row for each code."""

from __future__ import annotations

import typing as t

from ._node.facts.paths import VFIO, vfio_node
from ._node.printable import printable

REASONS = (
    "vanished",
    "blocked",
    "driver",
    "vfio_node",
    "iommu_group",
    "services",
    "pf_state",
    "heartbeat",
    "ras_fatal",
    "given",
)
"""Every code there is."""


class Reason(t.NamedTuple):
    """Why a VF cannot be used: a code of a fixed set, for metrics, and words for people."""

    code: str
    detail: str


def vanished(vf: str, pf: str) -> Reason:
    """It was offered, and is not there any more. A VF without its PF has its own address as the PF's."""
    whose = "" if vf == pf else f" (it was a VF of {pf})"
    return Reason("vanished", f"it is not on the node any more{whose}")


def blocked() -> Reason:
    """The kernel does not answer for it."""
    return Reason("blocked", "the kernel is still at work on it")


def pf_blocked(pf: str) -> Reason:
    """Nor for its PF."""
    return Reason("blocked", f"the kernel is still at work on its PF {pf}")


def wrong_driver(driver: str | None, wanted: str) -> Reason:
    """It is not bound as the rules want it."""
    return Reason("driver", f"it is bound to {driver or 'no driver'} instead of {wanted}")


def no_group() -> Reason:
    """There is no IOMMU."""
    return Reason("vfio_node", "it has no IOMMU group")


def no_node(group: str, names: t.Container[str]) -> Reason:
    """Its group has no node. `names` are those in /dev/vfio: `devices` is there where VFIO has a node for each device."""
    if "devices" in names:
        why = f"the kernel may have nodes in {VFIO}/devices alone (IOMMUFD without CONFIG_VFIO_GROUP), which are not offered"
        return Reason("vfio_node", f"{vfio_node(group)} is missing: {why}")
    return Reason("vfio_node", f"{vfio_node(group)} is missing")


def group_shared(group: str, others: str) -> Reason:
    """Its group is not its own."""
    return Reason("iommu_group", f"its IOMMU group {group} has {others}")


def services_unread(pf: str) -> Reason:
    """Nobody knows what it offers."""
    return Reason("services", f"the services of its PF {pf} cannot be read")


def other_services(pf: str, has: str, wanted: str) -> Reason:
    """It is not what its resource says."""
    return Reason("services", f"its PF {pf} has the services {has} instead of {wanted}")


def pf_state(pf: str, state: str) -> Reason:
    """Its PF is down."""
    return Reason("pf_state", f"its PF {pf} is {state}")


def no_heartbeat(pf: str) -> Reason:
    """Its PF is dead."""
    return Reason("heartbeat", f"its PF {pf} has no heartbeat")


def fatal_errors(pf: str, count: int | None) -> Reason:
    """Its PF is distrusted."""
    return Reason("ras_fatal", f"its PF {pf} has had {count} fatal errors")


def given_otherwise(resource: str) -> Reason:
    """A pod has it by its other resource, or may have got it so a moment ago."""
    return Reason("given", f"a pod has it as {resource}, or may just have been given it so")


def given_by_claim(driver: str) -> Reason:
    """A pod has it by dynamic resource allocation, of which kubelet's device manager knows nothing."""
    return Reason("given", f"a pod has it by a claim, from the driver {printable(driver)}")


def given_by_unknown_claim(device: str) -> Reason:
    """A pod may have it so."""
    return Reason("given", f"a pod has {printable(device)} by a claim, and nothing says which VF that is")


def given_unknown() -> Reason:
    """Nobody has been able to read kubelet's checkpoint so far."""
    return Reason(
        "given", "it is not known whether a pod has it, as kubelet's checkpoint cannot be read; the log says why"
    )
