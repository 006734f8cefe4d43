# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vfio-pci: what it refuses, and which nodes it makes (drivers/vfio/pci/vfio_pci.c, vfio_pci_core.c; drivers/vfio/group.c)."""

from __future__ import annotations

from ..steps import (
    GEN2,
    GEN2_VF,
    GEN4,
    MISSING,
    NEWEST,
    OTHER_VF,
    THERE,
    VF,
    Step,
    case,
    device,
    driver,
    group_node,
    hold,
    let_go,
    link,
    load,
    missing,
    read,
    soon,
    switch,
    there,
    unload,
    write,
)

BIND = driver("vfio-pci", "bind")
UNBIND = driver("vfio-pci", "unbind")
PROBE = "/sys/bus/pci/drivers_probe"
DENYLIST = "/sys/module/vfio_pci/parameters/disable_denylist"


def _free_gen2_vfs() -> list[Step]:
    return [
        write(device(GEN2, "sriov_drivers_autoprobe"), "0"),
        write(device(GEN2, "sriov_numvfs"), "16"),
        write(device(GEN2_VF, "driver_override"), "vfio-pci"),
    ]


def bound_vf() -> list[Step]:
    """A VF that vfio-pci drives."""
    return [
        write(device(GEN4, "sriov_numvfs"), "16"),
        load("vfio_pci"),
        write(device(VF, "driver_override"), "vfio-pci"),
        write(BIND, VF),
    ]


CASES = (
    case(
        "a group's node exists while a driver of VFIO has the function",
        write(device(GEN4, "sriov_numvfs"), "16"),
        load("vfio_pci"),
        missing(group_node(VF)),
        write(device(VF, "driver_override"), "vfio-pci"),
        write(BIND, VF),
        soon(there(group_node(VF))),
        there("/dev/vfio/vfio"),
        there(device(VF, "vfio-dev")),
        missing(device(OTHER_VF, "vfio-dev")),
        missing(group_node(OTHER_VF)),
        write(UNBIND, VF),
        soon(there(group_node(VF), MISSING)),
        missing(device(VF, "vfio-dev")),
        generations=NEWEST,
    ),
    case(
        "functions with an IOMMU are in groups",
        write(device(GEN4, "sriov_numvfs"), "16"),
        there(device(GEN4, "iommu_group")),
        there(device(VF, "iommu_group")),
        there("/sys/class/iommu/dmar0"),
        generations=NEWEST,
    ),
    case(
        "vfio-pci takes nothing without an IOMMU",
        write(device(GEN4, "sriov_numvfs"), "16"),
        load("vfio_pci"),
        missing(device(VF, "iommu_group")),
        missing("/sys/class/iommu/dmar0"),
        write(device(VF, "driver_override"), "vfio-pci"),
        write(BIND, VF, "EINVAL"),
        link(device(VF, "driver"), MISSING),
        generations=NEWEST,
        iommu=False,
    ),
    case(
        "the denylist refuses VFs before Gen4",
        _free_gen2_vfs(),
        load("vfio_pci"),
        read(DENYLIST, "N"),
        write(BIND, GEN2_VF, "EINVAL"),
        link(device(GEN2_VF, "driver"), MISSING),
    ),
    case(
        "the denylist refuses PFs before Gen4",
        load("vfio_pci"),
        write(driver("c6xx", "unbind"), GEN2),
        write(device(GEN2, "driver_override"), "vfio-pci"),
        write(BIND, GEN2, "EINVAL"),
        generations=NEWEST,
    ),
    case(
        "vfio-pci without its denylist",
        load("vfio_pci", "disable_denylist=1"),
        read(DENYLIST, "Y"),
        _free_gen2_vfs(),
        write(BIND, GEN2_VF),
        link(device(GEN2_VF, "driver"), "vfio-pci"),
        generations=NEWEST,
    ),
    case(
        "vfio-pci takes what waits for it as soon as it is loaded",
        _free_gen2_vfs(),
        load("vfio_pci", "disable_denylist=1"),
        link(device(GEN2_VF, "driver"), "vfio-pci"),
        write(BIND, GEN2_VF, "EBUSY"),
        generations=NEWEST,
    ),
    case(
        "the denylist can be switched off only while loading",
        load("vfio_pci"),
        write(DENYLIST, "Y", "EACCES"),
        load("vfio_pci", "disable_denylist=1"),
        read(DENYLIST, "N"),
        unload("vfio_pci"),
        load("vfio_pci", "disable_denylist=1"),
        read(DENYLIST, "Y"),
        generations=NEWEST,
    ),
    case(
        "ids given while loading",
        load("vfio_pci", "ids=8086:4941"),
        write(device(GEN4, "sriov_numvfs"), "16"),
        link(device(VF, "driver"), "vfio-pci"),
        generations=NEWEST,
    ),
    case(
        "a VF that refuses vfio-pci",
        switch(GEN4, "refuse_vfio", "0x1"),
        write(device(GEN4, "sriov_drivers_autoprobe"), "0"),
        write(device(GEN4, "sriov_numvfs"), "16"),
        load("vfio_pci"),
        [write(device(one, "driver_override"), "vfio-pci") for one in (VF, OTHER_VF)],
        [write(PROBE, one) for one in (VF, OTHER_VF)],
        link(device(VF, "driver"), MISSING),
        link(device(OTHER_VF, "driver"), "vfio-pci"),
        write(BIND, VF, "EINVAL"),
        switch(GEN4, "refuse_vfio", "0"),
        write(BIND, VF),
        link(device(VF, "driver"), "vfio-pci"),
    ),
    case(
        "unloading vfio-pci frees what nobody uses",
        bound_vf(),
        unload("vfio_pci"),
        link(device(VF, "driver"), MISSING),
        missing("/sys/bus/pci/drivers/vfio-pci"),
        missing("/sys/module/vfio_pci"),
        generations=NEWEST,
    ),
    case(
        "vfio-pci cannot be unloaded while somebody uses a VF",
        bound_vf(),
        hold(VF),
        read("/sys/module/vfio_pci/refcnt", "1"),
        unload("vfio_pci", "fails"),
        link(device(VF, "driver"), "vfio-pci"),
        let_go(),
        soon(read("/sys/module/vfio_pci/refcnt", "0")),
        unload("vfio_pci"),
        generations=NEWEST,
    ),
    case(
        "without the unsafe mode in this kernel there is no switch for it",
        load("vfio_pci"),
        there("/sys/module/vfio", THERE),
        missing("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"),
        generations=NEWEST,
    ),
    case("a module that is not there", load("no_such_module", expected="fails"), generations=NEWEST),
)
