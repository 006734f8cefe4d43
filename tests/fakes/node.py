# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions of a node that a test starts from; `FakeKernel.of` and `FakeKernel.with_pfs` make kernels of them."""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import Field, dataclass, fields

OWN = "own"


def _shown(one: t.Any) -> str:
    """Only what differs from the defaults, so that a failing example of a property test can be read, and pasted into a test."""
    given = [f"{entry.name}={getattr(one, entry.name)!r}" for entry in fields(one) if _differs(one, entry)]
    return f"{type(one).__name__}({', '.join(given)})"


def _differs(one: t.Any, entry: Field[t.Any]) -> bool:
    return bool(getattr(one, entry.name) != entry.default)


class _Vfs(tuple["Vf", ...]):
    """VFs that show themselves as (Vf(),) * 16 + (Vf(driver=None),)."""

    __slots__ = ()

    def __repr__(self) -> str:
        runs = [(one, len(list(group))) for one, group in itertools.groupby(self)]
        return " + ".join(f"({one!r},) * {count}" if count > 1 else f"({one!r},)" for one, count in runs) or "()"


@dataclass(frozen=True, repr=False)
class Vf:
    """A VF: its driver (`OWN`: whichever the kernel gives it), its override, and the command that has it open."""

    driver: str | None = OWN
    override: str | None = None
    held_by: str = ""
    container: str = ""

    __repr__ = _shown


@dataclass(frozen=True, repr=False)
class Pf:
    """A QAT PF. None leaves to the kernel what it does; `vfs` are the VFs that exist, all of them or none."""

    family: str
    address: str
    numa_node: int = -1
    device_id: int | None = None
    total_vfs: int | None = None
    driver: str | None = OWN
    services: str | None = None
    state: str | None = None
    autoprobe: bool = True
    vfs: tuple[Vf, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "vfs", _Vfs(self.vfs))

    __repr__ = _shown


@dataclass(frozen=True, repr=False)
class LoneVf:
    """A VF without its PF, as a virtual machine has it: a function of its own. `vf` is what driver it has, and who has it open."""

    family: str
    address: str
    numa_node: int = -1
    device_id: int | None = None
    vf: Vf = Vf()

    __repr__ = _shown


@dataclass(frozen=True)
class Nic:
    """A network card with SR-IOV, driven by igb if that is loaded; `vfs` of its VFs exist."""

    address: str
    numa_node: int = -1
    total_vfs: int = 7
    vfs: int = 0


@dataclass(frozen=True, repr=False)
class NodeSpec:
    """A whole node.

    `loaded` are modules, in the order of loading; None: those of the PFs, as udev would. `options` are modprobe.d's, `missing` modules
    are not on the disk, `builtin` ones cannot be unloaded. `udev` loads the modules of VFs that appear. `cdevs`: VFIO has nodes in
    /dev/vfio/devices. `noiommu`: VFIO's unsafe mode, None where the kernel is built without it. `requires_iommu`: the PF's driver makes
    no VFs without one, as Linux 6.12 to 6.15 do.
    """

    pfs: tuple[Pf, ...] = ()
    lone_vfs: tuple[LoneVf, ...] = ()
    nics: tuple[Nic, ...] = ()
    generation: str = "6.12"
    iommu: bool = True
    loaded: tuple[str, ...] | None = None
    options: t.Mapping[str, tuple[str, ...]] | None = None
    missing: tuple[str, ...] = ()
    builtin: tuple[str, ...] = ()
    udev: bool = True
    cdevs: bool = False
    noiommu: bool | None = None
    requires_iommu: bool = False

    __repr__ = _shown

    @property
    def devices(self) -> tuple[Pf | LoneVf, ...]:
        """The PFs, and the VFs without their PF."""
        return (*self.pfs, *self.lone_vfs)


def pf(
    family: str,
    address: str,
    vfs: str | Vf | t.Sequence[Vf] = (),
    **others: t.Any,
) -> Pf:
    """A PF with these VFs: `vfs="vfio-pci"` or `vfs=vf(...)` is all of them alike, a sequence names the first ones."""
    if isinstance(vfs, str):
        vfs = vf(vfs)
    if isinstance(vfs, Vf):
        vfs = (vfs,) * 256
    return Pf(family, address, vfs=tuple(vfs), **others)


def vf(driver: str | None = OWN, override: str | None = None, held_by: str = "", container: str = "") -> Vf:
    """A VF. VFIO's drivers need an override; it is the driver's name when not given."""
    if override is None and driver in ("vfio-pci", "qat_vfio_pci"):
        override = driver
    return Vf(driver, override, held_by, container)


def lone_vf(family: str, address: str, driver: str | None = OWN, held_by: str = "", **others: t.Any) -> LoneVf:
    """A VF without its PF, with this driver."""
    return LoneVf(family, address, vf=vf(driver, held_by=held_by), **others)


nic = Nic
