# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing a VF that somebody has open waits until it is closed (drivers/vfio/vfio_main.c), with locks held meanwhile."""

from __future__ import annotations

from ..steps import (
    FROM_6_12,
    GEN4,
    HANGS,
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
    write,
)

STATE = device(GEN4, "qat/state")
VF_COUNT = device(GEN4, "sriov_numvfs")
BIND = driver("vfio-pci", "bind")
UNBIND = driver("vfio-pci", "unbind")


def _second_vf_in_use() -> list[Step]:
    """The first VF is bound and free, the second one is bound and open."""
    return [
        write(VF_COUNT, "16"),
        load("vfio_pci"),
        *(write(device(one, "driver_override"), "vfio-pci") for one in (VF, OTHER_VF)),
        *(write(BIND, one) for one in (VF, OTHER_VF)),
        hold(OTHER_VF),
    ]


CASES = (
    case(
        "unbinding a VF in use hangs until it is closed",
        _second_vf_in_use(),
        write(UNBIND, OTHER_VF, HANGS),
        # Whoever writes may have been slow to begin.
        soon(link(device(OTHER_VF, "driver"), MISSING)),
        missing(driver("vfio-pci", OTHER_VF)),
        there(group_node(OTHER_VF)),
        read(device(OTHER_VF, "driver_override"), HANGS),
        read(device(VF, "driver_override"), "vfio-pci"),
        read(VF_COUNT, "16"),
        write(UNBIND, VF),
        let_go(),
        soon(read(device(OTHER_VF, "driver_override"), "vfio-pci")),
        write(BIND, OTHER_VF),
        generations=NEWEST,
    ),
    case(
        "a PF that is taken down hangs at the first VF in use",
        _second_vf_in_use(),
        write(STATE, "down", HANGS),
        soon(read(STATE, "down")),
        soon(there(device(VF, "vendor"), MISSING)),
        there(device(OTHER_VF, "vendor"), THERE),
        there(device("0000:6b:02.0", "vendor"), THERE),
        let_go(),
        soon(read(VF_COUNT, "0")),
        there(device(OTHER_VF, "vendor"), MISSING),
        read(STATE, "down"),
    ),
    case(
        "removing VFs in use hangs, and so does who asks how many there are",
        _second_vf_in_use(),
        write(VF_COUNT, "0", HANGS),
        soon(read(VF_COUNT, HANGS)),
        let_go(),
        soon(read(VF_COUNT, "0")),
        soon(read(STATE, "up")),
        generations=FROM_6_12,
    ),
    case(
        "unbinding a PF whose VFs are in use hangs",
        _second_vf_in_use(),
        write(driver("4xxx", "unbind"), GEN4, HANGS),
        soon(read(VF_COUNT, HANGS)),
        let_go(),
        soon(link(device(GEN4, "driver"), MISSING)),
        read(VF_COUNT, "0"),
    ),
    case(
        "a VF in use does not make its PF busy",
        _second_vf_in_use(),
        write(STATE, "sideways", "EINVAL"),
        write(STATE, "up"),
        read(VF_COUNT, "16"),
    ),
    case(
        "a slow device is waited for",
        switch(GEN4, "delay_down", "300"),
        write(STATE, "down"),
        read(STATE, "down"),
        generations=NEWEST,
    ),
    case(
        "a device that is too slow is down in the end",
        switch(GEN4, "delay_down", "10000"),
        write(STATE, "down", HANGS),
        soon(read(STATE, "down")),
        generations=NEWEST,
    ),
)
