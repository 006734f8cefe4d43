# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PFs that vanish and return (drivers/pci/remove.c, probe.c)."""

from __future__ import annotations

from ..steps import GEN2, GEN4, MISSING, NEWEST, VF, case, device, link, missing, read, soon, switch, write

CASES = (
    case(
        "a PF that vanishes takes its VFs with it",
        write(device(GEN4, "sriov_numvfs"), "16"),
        switch(GEN4, "present", "0"),
        missing(device(GEN4, "vendor")),
        missing(device(VF, "vendor")),
        read(device(GEN4, "qat/state"), "ENOENT"),
        write(device(GEN4, "sriov_numvfs"), "16", "ENOENT"),
        write("/sys/bus/pci/drivers_probe", GEN4, "ENODEV"),
        link(device(GEN2, "driver"), "c6xx"),
        generations=NEWEST,
    ),
    case(
        "a PF that returns has forgotten everything",
        write(device(GEN4, "qat/state"), "down"),
        write(device(GEN4, "qat/cfg_services"), "dc"),
        write(device(GEN4, "sriov_drivers_autoprobe"), "0"),
        write(device(GEN4, "driver_override"), "4xxx"),
        switch(GEN4, "present", "0"),
        switch(GEN4, "present", "1"),
        soon(link(device(GEN4, "driver"), "4xxx")),
        read(device(GEN4, "qat/state"), "up"),
        read(device(GEN4, "qat/cfg_services"), "sym;asym"),
        read(device(GEN4, "sriov_drivers_autoprobe"), "1"),
        read(device(GEN4, "driver_override"), "(null)"),
        generations=NEWEST,
    ),
    case(
        "a PF that does not come up keeps no driver",
        write("/sys/bus/pci/drivers/4xxx/unbind", GEN4),
        switch(GEN4, "fail_up", "14"),
        write("/sys/bus/pci/drivers/4xxx/bind", GEN4, "EFAULT"),
        link(device(GEN4, "driver"), MISSING),
        missing(device(GEN4, "qat")),
        write("/sys/bus/pci/drivers/4xxx/bind", GEN4),
        read(device(GEN4, "qat/state"), "up"),
        generations=NEWEST,
    ),
)
