# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PFs that vanish and return (drivers/pci/remove.c, probe.c)."""

from __future__ import annotations

from ..steps import (
    DEVICES,
    GEN2,
    GEN4,
    MISSING,
    NEWEST,
    VF,
    case,
    count,
    device,
    link,
    missing,
    read,
    soon,
    switch,
    write,
)

VF_COUNT = device(GEN4, "sriov_numvfs")
STATE = device(GEN4, "qat/state")
ALL_OF_IT = f"{DEVICES}/0000:6b:*"

CASES = (
    case(
        "a PF that vanishes takes its VFs with it",
        write(VF_COUNT, "16"),
        switch(GEN4, "present", "0"),
        missing(device(GEN4, "vendor")),
        missing(device(VF, "vendor")),
        count(ALL_OF_IT, "0"),
        read(STATE, "ENOENT"),
        write(VF_COUNT, "16", "ENOENT"),
        write("/sys/bus/pci/drivers_probe", GEN4, "ENODEV"),
        link(device(GEN2, "driver"), "c6xx"),
        generations=NEWEST,
    ),
    case(
        "a PF that returns has forgotten everything",
        write(STATE, "down"),
        write(device(GEN4, "qat/cfg_services"), "dc"),
        write(VF_COUNT, "16"),
        write(device(GEN4, "sriov_drivers_autoprobe"), "0"),
        write(device(GEN4, "driver_override"), "4xxx"),
        switch(GEN4, "present", "0"),
        count(ALL_OF_IT, "0"),
        switch(GEN4, "present", "1"),
        soon(link(device(GEN4, "driver"), "4xxx")),
        soon(read(STATE, "up")),
        count(ALL_OF_IT, "1"),
        read(device(GEN4, "qat/cfg_services"), "sym;asym"),
        read(device(GEN4, "sriov_drivers_autoprobe"), "1"),
        read(device(GEN4, "driver_override"), "(null)"),
        read(VF_COUNT, "0"),
        write(VF_COUNT, "16"),
        read(VF_COUNT, "16"),
    ),
    case(
        "a PF that is removed by hand returns with a rescan",
        write(VF_COUNT, "16"),
        write(device(GEN4, "remove"), "1"),
        count(ALL_OF_IT, "0"),
        write("/sys/bus/pci/rescan", "1"),
        soon(read(STATE, "up")),
        read(VF_COUNT, "0"),
        machine_only="nothing of ours removes a PF",
    ),
    case(
        "a PF that does not come up keeps no driver",
        write("/sys/bus/pci/drivers/4xxx/unbind", GEN4),
        switch(GEN4, "fail_up", "14"),
        write("/sys/bus/pci/drivers/4xxx/bind", GEN4, "EFAULT"),
        link(device(GEN4, "driver"), MISSING),
        missing(device(GEN4, "qat")),
        write("/sys/bus/pci/drivers/4xxx/bind", GEN4),
        read(STATE, "up"),
        generations=NEWEST,
    ),
)
