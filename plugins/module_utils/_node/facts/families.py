# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The QAT families that exist: ids, modules, drivers and what each can do.

This table is the only place that knows a QAT id, module or driver name. Sources: Linux drivers/crypto/intel/qat
(adf_accel_devices.h, */adf_drv.c, */adf_*_hw_data.h), drivers/vfio/pci/vfio_pci.c for the denylist, and DPDK's
doc/guides/cryptodevs/qat.rst for the families that only the out-of-tree package drives.
"""

from __future__ import annotations

from dataclasses import dataclass

INTEL = 0x8086


@dataclass(frozen=True)
class Model:
    """One pair of PCI device ids: the PF's, its VFs', and the name people use for it.

    `firmware` begins the names of the files that its driver asks the kernel for (ADF_*_FW and ADF_*_MMP), empty where that is not known.
    """

    pf_id: int
    vf_id: int
    name: str
    firmware: str = ""

    @property
    def firmware_files(self) -> tuple[str, ...]:
        """Names of the files of its firmware, as the driver asks for them."""
        return (f"{self.firmware}.bin", f"{self.firmware}_mmp.bin") if self.firmware else ()


@dataclass(frozen=True)
class Family:
    """QAT devices that share a driver.

    `name` is the driver's directory in /sys/bus/pci/drivers, which is what people see; the module that provides it is often
    called otherwise (`c6xx` comes from `qat_c62x`). `vf_driver` is None where the kernel has no driver for the VFs.
    `has_services` says that the PF has a `qat/` directory with `state` and `cfg_services`. `denylisted` says that vfio-pci
    refuses the ids unless it was loaded with `disable_denylist=1`. `in_tree` says that the kernel has a driver for the PFs, and not only
    Intel's package.
    """

    name: str
    generation: int
    models: tuple[Model, ...]
    pf_module: str
    vf_module: str | None = None
    vf_driver: str | None = None
    has_services: bool = False
    max_services: int = 0
    services: frozenset[str] = frozenset()
    denylisted: bool = False
    in_tree: bool = True

    @property
    def pf_driver(self) -> str:
        """Name of the PF's driver in /sys/bus/pci/drivers."""
        return self.name


_GEN4_SERVICES = frozenset({"sym", "asym", "dc", "dcc"})

FAMILIES: tuple[Family, ...] = (
    Family("dh89xxcc", 1, (Model(0x0434, 0x0442, "DH89xxCC"),), "qat_dh89xxcc", in_tree=False),
    Family(
        "dh895xcc",
        1,
        (Model(0x0435, 0x0443, "DH895xCC", "qat_895xcc"),),
        "qat_dh895xcc",
        vf_module="qat_dh895xccvf",
        vf_driver="dh895xccvf",
        denylisted=True,
    ),
    Family(
        "c6xx",
        2,
        (Model(0x37C8, 0x37C9, "C62x", "qat_c62x"),),
        "qat_c62x",
        vf_module="qat_c62xvf",
        vf_driver="c6xxvf",
        denylisted=True,
    ),
    Family(
        "c3xxx",
        2,
        (Model(0x19E2, 0x19E3, "C3xxx", "qat_c3xxx"),),
        "qat_c3xxx",
        vf_module="qat_c3xxxvf",
        vf_driver="c3xxxvf",
        denylisted=True,
    ),
    Family("200xx", 2, (Model(0x18EE, 0x18EF, "200xx"),), "qat_200xx", "qat_200xxvf", "200xxvf", in_tree=False),
    Family("d15xx", 2, (Model(0x6F54, 0x6F55, "D15xx"),), "qat_d15xx", "qat_d15xxvf", "d15xxvf", in_tree=False),
    Family("c4xxx", 3, (Model(0x18A0, 0x18A1, "C4xxx"),), "qat_c4xxx", "qat_c4xxxvf", "c4xxxvf", in_tree=False),
    Family(
        "4xxx",
        4,
        (
            Model(0x4940, 0x4941, "4xxx", "qat_4xxx"),
            Model(0x4942, 0x4943, "401xx", "qat_4xxx"),
            Model(0x4944, 0x4945, "402xx", "qat_402xx"),
        ),
        "qat_4xxx",
        has_services=True,
        max_services=2,
        services=_GEN4_SERVICES,
    ),
    Family(
        "420xx",
        4,
        (Model(0x4946, 0x4947, "420xx", "qat_420xx"),),
        "qat_420xx",
        has_services=True,
        max_services=2,
        services=_GEN4_SERVICES,
    ),
    Family(
        "6xxx",
        6,
        (Model(0x4948, 0x4949, "6xxx", "qat_6xxx"),),
        "qat_6xxx",
        has_services=True,
        max_services=3,
        services=_GEN4_SERVICES | {"decomp"},
    ),
)

VF_DRIVERS: frozenset[str] = frozenset(family.vf_driver for family in FAMILIES if family.vf_driver)
"""The kernel's own drivers for VFs."""

PF_DRIVERS: frozenset[str] = frozenset(family.pf_driver for family in FAMILIES)
"""The kernel's own drivers for PFs."""

FAMILY_NAMES: tuple[str, ...] = tuple(family.name for family in FAMILIES)

_BY_PF_ID = {model.pf_id: family for family in FAMILIES for model in family.models}
_BY_VF_ID = {model.vf_id: family for family in FAMILIES for model in family.models}


def family_of_pf(vendor_id: int, device_id: int) -> Family | None:
    """The family of a PF, or None when the ids are not those of a QAT PF."""
    return _BY_PF_ID.get(device_id) if vendor_id == INTEL else None


def family_of_vf(vendor_id: int, device_id: int) -> Family | None:
    """The family of a VF, or None when the ids are not those of a QAT VF."""
    return _BY_VF_ID.get(device_id) if vendor_id == INTEL else None


def module_of_driver(driver: str) -> str:
    """The module that provides a PCI driver; for drivers that are not QAT's own, modprobe knows the module by the driver's name."""
    for family in FAMILIES:
        if driver == family.pf_driver:
            return family.pf_module
        if driver == family.vf_driver and family.vf_module:
            return family.vf_module
    return driver
