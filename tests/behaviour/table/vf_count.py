# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a QAT driver makes of sriov_numvfs (drivers/crypto/intel/qat/qat_common/adf_sriov.c)."""

from __future__ import annotations

from ..steps import (
    FROM_6_12,
    GEN1,
    GEN2,
    GEN4,
    NEWEST,
    case,
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
    unload,
    write,
)

STATE = device(GEN4, "qat/state")
VF_COUNT = device(GEN4, "sriov_numvfs")
GEN2_VF_COUNT = device(GEN2, "sriov_numvfs")

CASES = (
    *(
        case(
            f"{count} VFs asked for",
            write(VF_COUNT, count),
            read(VF_COUNT, "16"),
            link(device(GEN4, "virtfn0"), "0000:6b:00.1"),
            link(device(GEN4, "virtfn15"), "0000:6b:02.0"),
            missing(device(GEN4, "virtfn16")),
            read(STATE, "up"),
        )
        for count in ("1", "7", "16")
    ),
    case(
        "VFs before Gen4",
        write(GEN2_VF_COUNT, "3"),
        read(GEN2_VF_COUNT, "16"),
        link(device(GEN2, "virtfn0"), "0000:75:01.0"),
        write(device(GEN1, "sriov_numvfs"), "32"),
        link(device(GEN1, "virtfn31"), "0000:7a:04.7"),
    ),
    case(
        "0 removes the VFs, from 6.12 on",
        write(VF_COUNT, "16"),
        write(VF_COUNT, "0", since("6.12", "ok", before="EINVAL")),
        read(VF_COUNT, since("6.12", "0", before="16")),
        read(STATE, "up"),
    ),
    case(
        "0 before Gen4",
        write(GEN2_VF_COUNT, "16"),
        write(GEN2_VF_COUNT, "0", since("6.12", "ok", before="EINVAL")),
        read(GEN2_VF_COUNT, since("6.12", "0", before="16")),
    ),
    case("0 without VFs", write(VF_COUNT, "0"), read(VF_COUNT, "0")),
    case(
        "VFs made of a PF that is down bring it up",
        write(STATE, "down"),
        write(VF_COUNT, "16"),
        read(VF_COUNT, "16"),
        read(STATE, "up"),
    ),
    case(
        "unbinding the driver removes the VFs",
        write(GEN2_VF_COUNT, "16"),
        write(driver("c6xx", "unbind"), GEN2),
        read(GEN2_VF_COUNT, "0"),
        missing(device(GEN2, "virtfn0")),
        write(driver("c6xx", "bind"), GEN2),
        read(GEN2_VF_COUNT, "0"),
        write(GEN2_VF_COUNT, "16"),
        read(GEN2_VF_COUNT, "16"),
    ),
    case(
        "unloading the module removes the VFs",
        write(VF_COUNT, "16"),
        unload("qat_4xxx"),
        read(VF_COUNT, "0"),
        load("qat_4xxx"),
        link(device(GEN4, "driver"), "4xxx"),
    ),
    case(
        "a PF that the kernel uses makes no VFs",
        switch(GEN4, "kernel_users", "2"),
        write(VF_COUNT, "16", "EBUSY"),
        read(VF_COUNT, "0"),
        read(STATE, "up"),
    ),
    case(
        "a PF that the kernel uses keeps its VFs",
        write(VF_COUNT, "16"),
        switch(GEN4, "kernel_users", "1"),
        write(VF_COUNT, "0", since("6.12", "EBUSY", before="EINVAL")),
        read(VF_COUNT, "16"),
    ),
    case(
        "a PF in reset makes no VFs",
        switch(GEN2, "reset", "1"),
        soon(write(GEN2_VF_COUNT, "16")),
        read(GEN2_VF_COUNT, "16"),
    ),
    case(
        "a PF that does not come up makes no VFs",
        switch(GEN4, "fail_up", "5"),
        write(VF_COUNT, "16", since("6.12", "EIO", before="EFAULT")),
        read(VF_COUNT, "0"),
        read(STATE, "down"),
        write(VF_COUNT, "16", since("6.12", "ok", before="EINVAL")),
        read(VF_COUNT, since("6.12", "16", before="0")),
    ),
    case(
        "no memory for VFs",
        switch(GEN4, "fail_enable_vfs", "12"),
        write(VF_COUNT, "16", "ENOMEM"),
        read(VF_COUNT, "0"),
        read(STATE, since("6.12", "down", before="up")),
        write(VF_COUNT, "16", since("6.12", "ok", before="EINVAL")),
    ),
    case(
        "down and up make an old kernel try VFs again",
        switch(GEN4, "fail_enable_vfs", "12"),
        write(VF_COUNT, "16", "ENOMEM"),
        write(VF_COUNT, "16", "EINVAL"),
        write(STATE, "down"),
        write(VF_COUNT, "16"),
        read(VF_COUNT, "16"),
        generations=("6.1",),
    ),
    case(
        "a fault while VFs are removed",
        write(VF_COUNT, "16"),
        switch(GEN4, "fail_disable_vfs", "16"),
        write(VF_COUNT, "0", "EBUSY"),
        read(VF_COUNT, "16"),
        write(VF_COUNT, "0"),
        read(VF_COUNT, "0"),
        generations=FROM_6_12,
    ),
    case(
        "fewer VFs than promised",
        switch(GEN4, "missing_vfs", "2"),
        write(VF_COUNT, "16"),
        there(device(GEN4, "virtfn13")),
        missing(device(GEN4, "virtfn14")),
        read(VF_COUNT, "14"),
    ),
    case(
        "VFs without an IOMMU",
        write(VF_COUNT, "16"),
        read(VF_COUNT, "16"),
        missing(device("0000:6b:00.1", "iommu_group")),
        iommu=False,
    ),
    case(
        "kernels that ask for an IOMMU",
        write("/sys/module/intel_qat/parameters/require_iommu", "Y"),
        write(VF_COUNT, "16", "EINVAL"),
        read(VF_COUNT, "0"),
        iommu=False,
        generations=NEWEST,
    ),
)
