# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hardware a machine has: its QAT devices, memory, processors, and what its kernel does by default."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from .errors import LabError

FAMILIES = {"4xxx": 16, "420xx": 16, "c6xx": 16, "dh895xcc": 32, "4xxxvf": 0}
"""VFs of one PF of each family (facts of the in-tree drivers' *_hw_data.h); 4xxxvf is a VF without its PF."""

GENERATIONS = ("6.1", "6.12", "6.16")
"""Kernels whose QAT driver the simulated one can behave like."""

DEFAULT_PFS = "4xxx@6b:0,4xxx@70:1"

# Bus numbers that the machine's root port reserves and its IOMMU therefore knows.
BUSES = range(0x20, 0xC0)

_PF = re.compile(
    r"(?P<family>\w+)@(?:(?P<domain>[0-9a-f]{4}):)?(?P<bus>[0-9a-f]{2})(?::(?P<node>\d+))?(?:/(?P<vfs>\d+))?"
)


@dataclass(frozen=True)
class Pf:
    """One simulated PF; node None where the platform names no NUMA node, vfs 0 where the BIOS has SR-IOV off."""

    family: str
    domain: int
    bus: int
    node: int | None
    vfs: int

    @property
    def address(self) -> str:
        """PCI address as in sysfs."""
        return f"{self.domain:04x}:{self.bus:02x}:00.0"


def parse_pfs(text: str) -> list[Pf]:
    """Parse FAMILY@[DOMAIN:]BUS[:NODE][/VFS],... as the simulated hardware does; LabError if it would not take it."""
    return [_parse_pf(item) for item in text.split(",") if item]


def _parse_pf(text: str) -> Pf:
    match = _PF.fullmatch(text)
    if not match or match["family"] not in FAMILIES:
        raise LabError(
            f"{text!r} is no PF: write FAMILY@[DOMAIN:]BUS[:NODE][/VFS], for example 4xxx@6b:0; "
            f"families are {', '.join(FAMILIES)}."
        )
    pf = Pf(
        family=match["family"],
        domain=int(match["domain"] or "0", 16),
        bus=int(match["bus"], 16),
        node=int(match["node"]) if match["node"] else None,
        vfs=int(match["vfs"]) if match["vfs"] else FAMILIES[match["family"]],
    )
    if pf.vfs > FAMILIES[pf.family]:
        raise LabError(f"{text!r}: a {pf.family} PF has at most {FAMILIES[pf.family]} VFs.")
    if pf.domain == 0 and pf.bus not in BUSES:
        raise LabError(f"{text!r}: buses of domain 0 are {BUSES.start:02x} to {BUSES.stop - 1:02x}.")
    return pf


@dataclass(frozen=True)
class Hardware:
    """Everything that makes one virtual machine different from another before it boots.

    memory is in MiB. iommu False stands for a kernel that leaves the IOMMU off unless its arguments ask for it.
    """

    pfs: str = DEFAULT_PFS
    generation: str = "6.12"
    iommu: bool = True
    memory: int = 1024
    cpus: int = 2

    def __post_init__(self) -> None:
        """Refuse what the simulation could not be started with."""
        addresses = [pf.address for pf in parse_pfs(self.pfs)]
        if twice := sorted({address for address in addresses if addresses.count(address) > 1}):
            raise LabError(f"two PFs cannot both be at {', '.join(twice)}.")
        if self.generation not in GENERATIONS:
            raise LabError(f"{self.generation!r} is no kernel generation: choose from {', '.join(GENERATIONS)}.")
        if self.cpus % self.nodes:
            raise LabError(f"{self.cpus} processors cannot be shared evenly by {self.nodes} NUMA nodes: use --cpus.")

    @property
    def nodes(self) -> int:
        """Number of NUMA nodes that the PFs ask for."""
        return 1 + max((pf.node or 0 for pf in parse_pfs(self.pfs)), default=0)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)
