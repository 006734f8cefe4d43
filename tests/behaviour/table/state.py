# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qat/state, and what comes and goes with it (drivers/crypto/intel/qat/qat_common/adf_sysfs.c, adf_init.c, adf_dev_mgr.c)."""

from __future__ import annotations

from ..steps import (
    FROM_6_12,
    GEN1,
    GEN2,
    GEN4,
    MISSING,
    NO_SRIOV,
    ODD_GEN4,
    VF,
    Step,
    case,
    count,
    device,
    driver,
    link,
    load,
    missing,
    read,
    since,
    soon,
    switch,
    there,
    write,
    write_bare,
)

STATE = device(GEN4, "qat/state")
SERVICES = device(GEN4, "qat/cfg_services")
VF_COUNT = device(GEN4, "sriov_numvfs")


def _vf_of_vfio() -> list[Step]:
    """VFs, of which vfio-pci drives the first."""
    return [
        write(VF_COUNT, "16"),
        load("vfio_pci"),
        write(device(VF, "driver_override"), "vfio-pci"),
        write(driver("vfio-pci", "bind"), VF),
    ]


CASES = (
    case(
        "only PFs from Gen4 on have a directory qat",
        [there(device(one, "qat/state")) for one in (GEN4, ODD_GEN4)],
        [missing(device(one, "qat")) for one in (GEN2, GEN1, NO_SRIOV)],
    ),
    case(
        "a driver's name is not its module's",
        [
            step
            for one, name, module in (
                (GEN4, "4xxx", "qat_4xxx"),
                (ODD_GEN4, "420xx", "qat_420xx"),
                (GEN2, "c6xx", "qat_c62x"),
                (GEN1, "dh895xcc", "qat_dh895xcc"),
            )
            for step in (link(device(one, "driver"), name), link(device(one, "driver/module"), module))
        ],
    ),
    case("a bound PF is up", read(STATE, "up")),
    case("down and up again", write(STATE, "down"), read(STATE, "down"), write(STATE, "up"), read(STATE, "up")),
    case(
        "down twice",
        write(STATE, "down"),
        write(STATE, "down", since("6.12", "ok", before="EINVAL")),
        read(STATE, "down"),
    ),
    case("up twice", write(STATE, "up"), read(STATE, "up")),
    case(
        "an unknown state",
        write(STATE, "sideways", "EINVAL"),
        write(STATE, "", "EINVAL"),
        write(STATE, "UP", "EINVAL"),
        read(STATE, "up"),
    ),
    case(
        "a newline at the end does not matter, and no text is nothing written",
        write_bare(STATE, ""),
        read(STATE, "up"),
        write_bare(STATE, "down"),
        read(STATE, "down"),
        write_bare(SERVICES, "dc"),
        write_bare(SERVICES, ""),
        read(SERVICES, "dc"),
        write_bare(STATE, "up"),
        read(STATE, "up"),
    ),
    case(
        "a PF that the kernel uses is busy, whatever is written",
        switch(GEN4, "kernel_users", "1"),
        write(STATE, "down", "EBUSY"),
        write(STATE, "up", "EBUSY"),
        write(STATE, "sideways", "EBUSY"),
        read(STATE, "up"),
        switch(GEN4, "kernel_users", "0"),
        write(STATE, "down"),
    ),
    case(
        "a PF in reset is busy until it is over",
        # A reset alone is over before a machine that has much to do writes again.
        switch(GEN4, "delay_up", "8000"),
        switch(GEN4, "reset", "1"),
        write(STATE, "down", "EBUSY"),
        soon(write(STATE, "up")),
        read(STATE, "up"),
    ),
    case(
        "a PF that does not come up stays down",
        write(STATE, "down"),
        switch(GEN4, "fail_up", "14"),
        write(STATE, "up", "EFAULT"),
        read(STATE, "down"),
        write(STATE, "up"),
        read(STATE, "up"),
    ),
    case(
        "a PF that does not go down stays up",
        switch(GEN4, "fail_down", "5"),
        write(STATE, "down", since("6.12", "EIO", before="EINVAL")),
        read(STATE, "up"),
        write(STATE, "down"),
    ),
    case(
        "down removes the VFs, and up does not bring them back",
        write(VF_COUNT, "16"),
        read(VF_COUNT, "16"),
        write(STATE, "down"),
        read(VF_COUNT, "0"),
        missing(device(VF, "vendor")),
        count(device(GEN4, "virtfn*"), "0"),
        write(STATE, "up"),
        read(VF_COUNT, "0"),
    ),
    case(
        "VFs that are made again have lost their override",
        write(VF_COUNT, "16"),
        write(device(VF, "driver_override"), "vfio-pci"),
        write(STATE, "down"),
        write(VF_COUNT, "16"),
        read(device(VF, "driver_override"), "(null)"),
        link(device(VF, "driver"), MISSING),
    ),
    case(
        "a reset makes the VFs again, without their override",
        _vf_of_vfio(),
        switch(GEN4, "reset", "1"),
        soon(read(VF_COUNT, "16")),
        soon(read(device(VF, "driver_override"), "(null)")),
        soon(write(STATE, "up")),
        link(device(VF, "driver"), MISSING),
        generations=FROM_6_12,
    ),
    case(
        "a reset on old kernels removes the VFs",
        _vf_of_vfio(),
        switch(GEN4, "reset", "1"),
        soon(write(STATE, "up")),
        read(VF_COUNT, "0"),
        missing(device(VF, "vendor")),
        generations=("6.1",),
    ),
    case(
        "a PF whose reset fails stays busy until its driver is unbound",
        switch(GEN4, "fail_up", "14"),
        switch(GEN4, "reset", "1"),
        soon(read(STATE, "down")),
        write(STATE, "up", "EBUSY"),
        write("/sys/bus/pci/drivers/4xxx/unbind", GEN4),
        write("/sys/bus/pci/drivers/4xxx/bind", GEN4),
        read(STATE, "up"),
        write(STATE, "down"),
    ),
)
