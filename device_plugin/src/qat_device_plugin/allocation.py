# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container gets with its VFs: device nodes, environment, annotations and CDI names.

Each consumer of the environment has a rule of its own for the variable's name, noted below with its source.

A VF for a virtual machine is named, and not given: Virtlet makes a disk of every device node that a container has
(pkg/libvirttools/block_volumesource.go), so an agent of the node attaches the VF to the machine instead.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ._node.facts.paths import VFIO, device_directory, device_file
from ._node.facts.services import is_for_vms
from ._node.kernel.live import Kernel
from .catalogue import OfferedVf
from .probe import link, names_in

CDI_KIND = "qat.intel.com/vf"
ANNOTATION = "qat.intel.com/vfs"
"""Has the addresses of the VFs for a virtual machine, in what kubelet asks of the runtime for the container."""


class AllocationError(Exception):
    """A VF that was asked for cannot be given; the message names it and says why."""


@dataclass(frozen=True)
class Answer:
    """The answer for one container: paths of device nodes, the same inside and outside; variables; CDI names; annotations."""

    nodes: tuple[str, ...]
    environment: t.Mapping[str, str]
    cdi_names: tuple[str, ...] = ()
    annotations: t.Mapping[str, str] = field(default_factory=dict)


def answer(
    kernel: Kernel, resource: str, offer: t.Sequence[OfferedVf], addresses: t.Sequence[str], cdi: bool = False
) -> Answer:
    """What a container gets that asks for the VFs at `addresses`; raises AllocationError for one that it cannot have."""
    known = {vf.address: vf for vf in offer}
    try:
        names = names_of_nodes(kernel)
        nodes = [_node_of(kernel, resource, known.get(address), address, names) for address in addresses]
    except OSError as error:
        raise AllocationError(f"it cannot be seen whether {', '.join(addresses)} can be used: {error}") from None
    if is_for_vms(resource):
        return Answer((), environment(resource, addresses), annotations={ANNOTATION: ",".join(addresses)})
    return Answer(
        nodes=(*dict.fromkeys(nodes), VFIO + "/vfio"),
        environment=environment(resource, addresses),
        cdi_names=tuple(f"{CDI_KIND}={address}" for address in addresses) if cdi else (),
    )


def environment(resource: str, addresses: t.Sequence[str]) -> dict[str, str]:
    """The variables that name the VFs, in the order in which they were asked for.

    `QATn`: Intel's plugin (cmd/qat_plugin). `PCIDEVICE_...`: the SR-IOV network device plugin, whose form Kata's agent translates
    to the guest's addresses (src/agent/src/device). `PCI_RESOURCE_...`: KubeVirt (pkg/util/util.go). The last two write the
    resource in upper case with `_` for `/` and `.`, and keep dashes.
    """
    name = resource.replace("/", "_").replace(".", "_").upper()
    together = ",".join(addresses)
    numbered = {f"QAT{position}": address for position, address in enumerate(addresses)}
    return {**numbered, f"PCIDEVICE_{name}": together, f"PCI_RESOURCE_{name}": together}


def _node_of(kernel: Kernel, resource: str, vf: OfferedVf | None, address: str, names: t.Container[str]) -> str:
    """The VFIO node of a VF as it is now, since a VF that was created again can have another one."""
    if vf is None:
        raise AllocationError(f"{address} is not a VF of {resource} on this node")
    if vf.reasons:
        raise AllocationError(f"{address} cannot be used now: {'; '.join(reason.detail for reason in vf.reasons)}")
    driver = link(kernel, device_file(address, "driver"))
    if driver != vf.driver:
        raise AllocationError(f"{address} cannot be used: {_why_not(kernel, address, driver, vf.driver)}")
    node = vfio_node_of(kernel, address, names)
    if node is None:
        raise AllocationError(f"{address} cannot be used: it has no node in {VFIO}")
    return node


def _why_not(kernel: Kernel, address: str, driver: str | None, wanted: str) -> str:
    if driver is None and not names_in(kernel, device_directory(address)):
        return "it is not on the node any more"
    return f"it is bound to {driver or 'no driver'} instead of {wanted}"


def names_of_nodes(kernel: Kernel) -> frozenset[str]:
    """The names of the VFIO nodes that there are now. Raises OSError where they cannot be seen."""
    return frozenset(names_in(kernel, VFIO))


def vfio_node_of(kernel: Kernel, address: str, names: t.Container[str]) -> str | None:
    """The VFIO group node of a function as it is now, or None. `names` are those of the nodes. Raises OSError.

    Without an IOMMU its name has a prefix (Linux drivers/vfio/group.c, vfio_group_create).
    """
    group = link(kernel, device_file(address, "iommu_group"))
    candidates = (group, f"noiommu-{group}") if group else ()
    return next((f"{VFIO}/{name}" for name in candidates if name in names), None)
