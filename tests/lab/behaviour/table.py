# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table: facts of the in-tree QAT drivers, the PCI core and vfio-pci, each with what a program sees of it.

Sources: drivers/crypto/intel/qat/qat_common/{adf_sysfs,adf_sriov,adf_init,adf_aer,adf_cfg_services,adf_heartbeat}.c,
drivers/pci/{iov,pci-sysfs,pci-driver}.c, drivers/vfio/pci/vfio_pci.c of Linux 6.1, 6.12 and 6.16, and
Documentation/ABI/testing/{sysfs,debugfs}-driver-qat*.
"""

from __future__ import annotations

from .steps import Count, Fault, Link, Load, Read, Row, Since, Step, Until, Wait, Write

PFS = "4xxx@6b:0,4xxx@70:1,420xx@75:1,c6xx@7a:0,dh895xcc@80:1,c6xx@85:0/0"
"""Hardware the table is about."""

DEVICES = "bus/pci/devices"
FIRST, SECOND, LATE, OLD, OLDEST, NO_SRIOV = (
    "0000:6b:00.0",
    "0000:70:00.0",
    "0000:75:00.0",
    "0000:7a:00.0",
    "0000:80:00.0",
    "0000:85:00.0",
)
PF = f"{DEVICES}/{FIRST}"
VF = f"{DEVICES}/0000:6b:00.1"
OLD_PF = f"{DEVICES}/{OLD}"
OLD_VF = f"{DEVICES}/0000:7a:01.0"
DEBUG = f"kernel/debug/qat_4xxx_{FIRST}"
HEARTBEAT = f"{DEBUG}/heartbeat"
NEW = ("6.12", "6.16")

CREATE = (Write(f"{PF}/sriov_numvfs", "16"), Count(f"{PF}/virtfn*", "16"))
NO_AUTOPROBE = Write(f"{PF}/sriov_drivers_autoprobe", "0")


def bind(vf: str, outcome: str = "vfio-pci") -> tuple[Step, ...]:
    """Hand a VF to vfio-pci in the way that does not touch any other VF, and see which driver it got."""
    return (
        Load("vfio-pci"),
        Write(f"{DEVICES}/{vf}/driver_override", "vfio-pci"),
        # Accepted whatever comes of it: only the link tells.
        Write("bus/pci/drivers_probe", vf),
        Link(f"{DEVICES}/{vf}/driver", outcome),
    )


def services(text: str, outcome: str | Since, reads: str | Since) -> tuple[Step, ...]:
    """Set the services of a PF that is down."""
    return (
        Write(f"{PF}/qat/state", "down"),
        Write(f"{PF}/qat/cfg_services", text, outcome),
        Read(f"{PF}/qat/cfg_services", reads),
    )


DEFAULT = "sym;asym"
PAIRS = ("sym", "asym", "dcc")

IDENTITY = (
    Row(
        "a PF is bound to a driver whose name is not the module's",
        (
            Link(f"{PF}/driver", "4xxx"),
            Link(f"{DEVICES}/{LATE}/driver", "420xx"),
            Link(f"{OLD_PF}/driver", "c6xx"),
            Link(f"{DEVICES}/{OLDEST}/driver", "dh895xcc"),
            Link(f"{PF}/driver/module", "qat_4xxx"),
            Link(f"{OLD_PF}/driver/module", "qat_c62x"),
        ),
    ),
    Row(
        "ids, class and NUMA node",
        (
            Read(f"{PF}/vendor", "0x8086"),
            Read(f"{PF}/device", "0x4940"),
            Read(f"{PF}/class", "0x0b4000"),
            Read(f"{PF}/numa_node", "0"),
            Read(f"{DEVICES}/{SECOND}/numa_node", "1"),
            Read(f"{DEVICES}/{LATE}/device", "0x4946"),
            Read(f"{OLD_PF}/device", "0x37c8"),
            Read(f"{DEVICES}/{OLDEST}/device", "0x0435"),
            Read(f"{PF}/sriov_totalvfs", "16"),
            Read(f"{DEVICES}/{OLDEST}/sriov_totalvfs", "32"),
        ),
    ),
    Row(
        "only gen 4 has the qat group",
        (Count(f"{DEVICES}/*/qat", "3"), Count(f"{OLD_PF}/qat", "0"), Count(f"{DEVICES}/{OLDEST}/qat", "0")),
    ),
    Row(
        "attributes of the qat group grew over time",
        (
            Count(f"{PF}/qat/*", Since("6.12", "6", "2")),
            Count(f"{PF}/qat_ras/*", Since("6.12", "4", "0")),
            Read(f"{PF}/qat/pm_idle_enabled", Since("6.12", "1", "ENOENT")),
            Read(f"{PF}/qat/num_rps", Since("6.12", "64", "ENOENT")),
            Read(f"{PF}/qat/auto_reset", Since("6.12", "off", "ENOENT")),
        ),
    ),
    Row(
        "SR-IOV off in the BIOS: no SR-IOV files at all",
        (
            Link(f"{DEVICES}/{NO_SRIOV}/driver", "c6xx"),
            Count(f"{DEVICES}/{NO_SRIOV}/sriov_*", "0"),
            Write(f"{DEVICES}/{NO_SRIOV}/sriov_numvfs", "1", "ENOENT"),
        ),
    ),
)

STATE = (
    Row(
        "up after probe, services by the parity of the device number",
        (
            Read(f"{PF}/qat/state", "up"),
            Read(f"{PF}/qat/cfg_services", "sym;asym"),
            Read(f"{DEVICES}/{SECOND}/qat/cfg_services", "dc"),
        ),
    ),
    Row(
        "down and up",
        (
            Write(f"{PF}/qat/state", "down"),
            Read(f"{PF}/qat/state", "down"),
            Write(f"{PF}/qat/state", "up"),
            Read(f"{PF}/qat/state", "up"),
        ),
    ),
    Row(
        "down twice",
        (Write(f"{PF}/qat/state", "down"), Write(f"{PF}/qat/state", "down", Since("6.12", "ok", "EINVAL"))),
    ),
    Row("up twice", (Write(f"{PF}/qat/state", "up"), Read(f"{PF}/qat/state", "up"))),
    Row("a trailing newline does not matter", (Write(f"{PF}/qat/state", "down\n"), Read(f"{PF}/qat/state", "down"))),
    Row(
        "an unknown state",
        (
            Write(f"{PF}/qat/state", "sideways", "EINVAL"),
            Write(f"{PF}/qat/state", "", "ok"),
            Read(f"{PF}/qat/state", "up"),
        ),
    ),
    Row(
        "a user inside the kernel: busy comes before nonsense",
        (
            Fault(FIRST, "kernel_users", "1"),
            Write(f"{PF}/qat/state", "down", "EBUSY"),
            Write(f"{PF}/qat/state", "sideways", "EBUSY"),
            Read(f"{PF}/qat/state", "up"),
            Fault(FIRST, "kernel_users", "0"),
            Write(f"{PF}/qat/state", "down"),
        ),
    ),
    Row(
        "firmware that does not load leaves the device down",
        (
            Write(f"{PF}/qat/state", "down"),
            Fault(FIRST, "fail_up", "14"),
            Write(f"{PF}/qat/state", "up", "EFAULT"),
            Read(f"{PF}/qat/state", "down"),
            Write(f"{PF}/qat/state", "up"),
            Read(f"{PF}/qat/state", "up"),
        ),
    ),
    Row(
        "a failing down: old kernels hide the reason",
        (
            Fault(FIRST, "fail_down", "5"),
            Write(f"{PF}/qat/state", "down", Since("6.12", "EIO", "EINVAL")),
            Read(f"{PF}/qat/state", "up"),
        ),
    ),
    Row(
        "down destroys the VFs, up does not bring them back",
        (
            *CREATE,
            Write(f"{PF}/qat/state", "down"),
            Read(f"{PF}/sriov_numvfs", "0"),
            Count(f"{PF}/virtfn*", "0"),
            Write(f"{PF}/qat/state", "up"),
            Read(f"{PF}/sriov_numvfs", "0"),
        ),
    ),
)

SERVICES = (
    Row(
        "services of a device that is up",
        (
            Write(f"{PF}/qat/cfg_services", "dc", "EINVAL"),
            Read(f"{PF}/qat/cfg_services", DEFAULT),
            Write(f"{PF}/qat/cfg_services", "nonsense", "EINVAL"),
        ),
    ),
    Row("dc", services("dc", "ok", "dc")),
    Row("dc with a newline", services("dc\n", "ok", "dc")),
    Row("sym;asym", services("sym;asym", "ok", Since("6.16", "asym;sym", "sym;asym"))),
    Row("asym;sym", services("asym;sym", Since("6.12", "ok", "EINVAL"), Since("6.12", "asym;sym", DEFAULT))),
    *(
        Row(one, services(one, Since("6.12", "ok", "EINVAL"), Since("6.12", one, DEFAULT)))
        for one in ("sym", "asym", "dcc")
    ),
    Row("sym;dc", services("sym;dc", Since("6.12", "ok", "EINVAL"), Since("6.12", "sym;dc", DEFAULT))),
    Row("dc;sym", services("dc;sym", "ok", Since("6.16", "sym;dc", "dc;sym")), only=NEW),
    Row("dc;asym", services("dc;asym", "ok", Since("6.16", "asym;dc", "dc;asym")), only=NEW),
    *(
        Row(f"refused: {bad}", services(bad, "EINVAL", DEFAULT))
        for bad in ("sym;asym;dc", "sym;sym", "dcc;sym", "decomp", "sym,asym", "sym asym", "SYM", "crypto", ";", "sym;")
    ),
    Row("nothing written changes nothing", services("", "ok", DEFAULT)),
    Row(
        "services survive down and up",
        (
            *services("dc", "ok", "dc"),
            Write(f"{PF}/qat/state", "up"),
            Write(f"{PF}/qat/state", "down"),
            Write(f"{PF}/qat/state", "up"),
            Read(f"{PF}/qat/cfg_services", "dc"),
        ),
    ),
    Row(
        "services do not survive the driver",
        (
            *services("dc", "ok", "dc"),
            Write(f"{PF}/driver/unbind", FIRST),
            Link(f"{PF}/driver", "none"),
            Count(f"{PF}/qat", "0"),
            Write("bus/pci/drivers/4xxx/bind", FIRST),
            Read(f"{PF}/qat/cfg_services", DEFAULT),
            Read(f"{PF}/qat/state", "up"),
        ),
    ),
    Row(
        "no capability left: the value is stored, then refused",
        (
            Write(f"{PF}/qat/state", "down"),
            Fault(FIRST, "no_capabilities", "1"),
            Write(f"{PF}/qat/cfg_services", "dc", "EINVAL"),
            Read(f"{PF}/qat/cfg_services", "dc"),
        ),
    ),
    Row(
        "a failing change stores nothing",
        (
            Write(f"{PF}/qat/state", "down"),
            Fault(FIRST, "fail_services", "12"),
            Write(f"{PF}/qat/cfg_services", "dc", "ENOMEM"),
            Read(f"{PF}/qat/cfg_services", DEFAULT),
            Write(f"{PF}/qat/cfg_services", "dc"),
        ),
    ),
)

OTHER_ATTRIBUTES = (
    Row(
        "pm_idle_enabled only while down, and kept",
        (
            Write(f"{PF}/qat/pm_idle_enabled", "0", "EINVAL"),
            Write(f"{PF}/qat/state", "down"),
            Write(f"{PF}/qat/pm_idle_enabled", "maybe", "EINVAL"),
            Write(f"{PF}/qat/pm_idle_enabled", "n"),
            Write(f"{PF}/qat/state", "up"),
            Write(f"{PF}/qat/state", "down"),
            Read(f"{PF}/qat/pm_idle_enabled", "0"),
        ),
        only=NEW,
    ),
    Row(
        "auto_reset takes boolean words in any state",
        (
            Write(f"{PF}/qat/auto_reset", "on"),
            Read(f"{PF}/qat/auto_reset", "on"),
            Write(f"{PF}/qat/auto_reset", "n"),
            Read(f"{PF}/qat/auto_reset", "off"),
            Write(f"{PF}/qat/auto_reset", "perhaps", "EINVAL"),
        ),
        only=NEW,
    ),
    Row(
        "rp2srv: choose, then read",
        (
            Read(f"{PF}/qat/rp2srv", "EINVAL"),
            Write(f"{PF}/qat/rp2srv", "64", "EINVAL"),
            Write(f"{PF}/qat/rp2srv", "x", "EINVAL"),
            Write(f"{PF}/qat/rp2srv", "0"),
            Read(f"{PF}/qat/rp2srv", "asym"),
            Write(f"{PF}/qat/rp2srv", "63"),
            Read(f"{PF}/qat/rp2srv", "sym"),
        ),
        only=NEW,
    ),
    Row(
        "rp2srv follows the services",
        (
            *services("dc", "ok", "dc"),
            Write(f"{PF}/qat/state", "up"),
            Write(f"{PF}/qat/rp2srv", "2"),
            Read(f"{PF}/qat/rp2srv", "dc"),
        ),
        only=NEW,
    ),
    Row(
        "RAS counters count, and are cleared by 1 and a newline only",
        (
            Fault(FIRST, "error", "correctable 3"),
            Fault(FIRST, "error", "fatal"),
            Read(f"{PF}/qat_ras/errors_correctable", "3"),
            Read(f"{PF}/qat_ras/errors_nonfatal", "0"),
            Read(f"{PF}/qat_ras/errors_fatal", "1"),
            Write(f"{PF}/qat_ras/reset_error_counters", "1", "EINVAL"),
            Write(f"{PF}/qat_ras/reset_error_counters", "0\n", "EINVAL"),
            Write(f"{PF}/qat_ras/reset_error_counters", "1\n"),
            Read(f"{PF}/qat_ras/errors_correctable", "0"),
        ),
        only=NEW,
    ),
    Row(
        "RAS counters are there only while up",
        (
            Fault(FIRST, "error", "nonfatal 2"),
            Write(f"{PF}/qat/state", "down"),
            Read(f"{PF}/qat_ras/errors_nonfatal", "ENOENT"),
            Write(f"{PF}/qat/state", "up"),
            Read(f"{PF}/qat_ras/errors_nonfatal", "0"),
        ),
        only=NEW,
    ),
)

VFS = (
    Row(
        "all VFs, whatever number is asked for",
        (
            Write(f"{PF}/sriov_numvfs", "1"),
            Read(f"{PF}/sriov_numvfs", "16"),
            Count(f"{PF}/virtfn*", "16"),
            Read(f"{VF}/vendor", "0x8086"),
            Read(f"{VF}/device", "0x4941"),
            Read(f"{VF}/numa_node", "0"),
            Link(f"{VF}/physfn", FIRST),
            Link(f"{PF}/virtfn15", "0000:6b:02.0"),
            Link(f"{VF}/driver", "none"),
            Count(f"{VF}/qat", "0"),
            Count(f"{VF}/iommu_group/devices/*", "1"),
        ),
    ),
    Row(
        "numbers the PCI core refuses",
        (
            Write(f"{PF}/sriov_numvfs", "17", "ERANGE"),
            Write(f"{PF}/sriov_numvfs", "many", "EINVAL"),
            Write(f"{PF}/sriov_numvfs", "0"),
            *CREATE,
            Write(f"{PF}/sriov_numvfs", "16"),
            Write(f"{PF}/sriov_numvfs", "8", "EBUSY"),
        ),
    ),
    Row(
        "numvfs 0 removes the VFs only in new kernels",
        (
            *CREATE,
            Write(f"{PF}/sriov_numvfs", "0", Since("6.12", "ok", "EINVAL")),
            Read(f"{PF}/sriov_numvfs", Since("6.12", "0", "16")),
            Read(f"{PF}/qat/state", "up"),
        ),
    ),
    Row(
        "numvfs starts a device that is down",
        (Write(f"{PF}/qat/state", "down"), *CREATE, Read(f"{PF}/qat/state", "up")),
    ),
    Row(
        "services stay when VFs come",
        (*services("dc", "ok", "dc"), *CREATE, Read(f"{PF}/qat/cfg_services", "dc")),
    ),
    Row(
        "a PF without driver",
        (Write(f"{PF}/driver/unbind", FIRST), Write(f"{PF}/sriov_numvfs", "16", "ENOENT")),
    ),
    Row(
        "unbinding the PF's driver removes the VFs",
        (*CREATE, Write(f"{PF}/driver/unbind", FIRST), Count(f"{DEVICES}/0000:6b:*", "1")),
    ),
    Row(
        "a user inside the kernel blocks VFs",
        (
            Fault(FIRST, "kernel_users", "1"),
            Write(f"{PF}/sriov_numvfs", "16", "EBUSY"),
            Fault(FIRST, "kernel_users", "0"),
            *CREATE,
            Fault(FIRST, "kernel_users", "1"),
            Write(f"{PF}/sriov_numvfs", "0", Since("6.12", "EBUSY", "EINVAL")),
            Count(f"{PF}/virtfn*", "16"),
        ),
    ),
    Row(
        "failing VFs: new kernels leave the device down and ready, old ones up and stuck",
        (
            Fault(FIRST, "fail_enable_vfs", "12"),
            Write(f"{PF}/sriov_numvfs", "16", "ENOMEM"),
            Read(f"{PF}/sriov_numvfs", "0"),
            Read(f"{PF}/qat/state", Since("6.12", "down", "up")),
            Write(f"{PF}/sriov_numvfs", "16", Since("6.12", "ok", "EINVAL")),
        ),
    ),
    Row(
        "an old kernel that is stuck after failing VFs is freed by down",
        (
            Fault(FIRST, "fail_enable_vfs", "12"),
            Write(f"{PF}/sriov_numvfs", "16", "ENOMEM"),
            Write(f"{PF}/qat/state", "down"),
            *CREATE,
        ),
        only=("6.1",),
    ),
    Row(
        "a device that does not start gets no VFs",
        (
            Fault(FIRST, "fail_up", "5"),
            Write(f"{PF}/sriov_numvfs", "16", Since("6.12", "EIO", "EFAULT")),
            Read(f"{PF}/qat/state", "down"),
            Read(f"{PF}/sriov_numvfs", "0"),
        ),
    ),
    Row(
        "removal that fails leaves the VFs",
        (
            *CREATE,
            Fault(FIRST, "fail_disable_vfs", "16"),
            Write(f"{PF}/sriov_numvfs", "0", "EBUSY"),
            Count(f"{PF}/virtfn*", "16"),
        ),
        only=NEW,
    ),
    Row(
        "fewer VFs than promised: the write succeeds",
        (Fault(FIRST, "missing_vfs", "2"), Write(f"{PF}/sriov_numvfs", "16"), Count(f"{PF}/virtfn*", "14")),
    ),
    Row(
        "the oldest family has 32 VFs, numbered from device 1 on",
        (
            Write(f"{DEVICES}/{OLDEST}/sriov_drivers_autoprobe", "0"),
            Write(f"{DEVICES}/{OLDEST}/sriov_numvfs", "1"),
            Count(f"{DEVICES}/{OLDEST}/virtfn*", "32"),
            Link(f"{DEVICES}/{OLDEST}/virtfn0", "0000:80:01.0"),
            Link(f"{DEVICES}/{OLDEST}/virtfn31", "0000:80:04.7"),
            Read(f"{DEVICES}/0000:80:01.0/device", "0x0443"),
        ),
    ),
    Row(
        "autoprobe takes a boolean",
        (
            Write(f"{PF}/sriov_drivers_autoprobe", "2", "EINVAL"),
            NO_AUTOPROBE,
            Read(f"{PF}/sriov_drivers_autoprobe", "0"),
        ),
    ),
)

BINDING = (
    Row("a VF goes to vfio-pci by its override", (NO_AUTOPROBE, *CREATE, *bind("0000:6b:00.1"))),
    Row(
        "an override is a wish, not a binding",
        (
            NO_AUTOPROBE,
            *CREATE,
            Read(f"{VF}/driver_override", "(null)"),
            Write(f"{VF}/driver_override", "no-such-driver"),
            Write("bus/pci/drivers_probe", "0000:6b:00.1"),
            Link(f"{VF}/driver", "none"),
            Write(f"{VF}/driver_override", "\n"),
            Read(f"{VF}/driver_override", "(null)"),
        ),
    ),
    Row(
        "bind and unbind say no",
        (
            NO_AUTOPROBE,
            *CREATE,
            *bind("0000:6b:00.1"),
            Write("bus/pci/drivers/vfio-pci/bind", "0000:6b:00.1", "EBUSY"),
            Write("bus/pci/drivers/vfio-pci/bind", "0000:6b:00.2", "ENODEV"),
            Write("bus/pci/drivers/vfio-pci/unbind", "0000:6b:00.2", "ENODEV"),
            Write("bus/pci/drivers/vfio-pci/bind", "0000:ff:1f.7", "ENODEV"),
            Write("bus/pci/drivers_probe", "0000:ff:1f.7", "ENODEV"),
            Write("bus/pci/drivers/vfio-pci/unbind", "0000:6b:00.1"),
            Link(f"{VF}/driver", "none"),
        ),
    ),
    Row(
        "old VFs are grabbed by their kernel driver",
        (
            Write(f"{OLD_PF}/sriov_numvfs", "16"),
            Link(f"{OLD_VF}/driver", "c6xxvf", seconds=5),
            Link(f"{OLD_VF}/driver/module", "qat_c62xvf", seconds=5),
        ),
    ),
    Row(
        "old VFs are left alone without autoprobe",
        (
            Write(f"{OLD_PF}/sriov_drivers_autoprobe", "0"),
            Write(f"{OLD_PF}/sriov_numvfs", "16"),
            Link(f"{OLD_VF}/driver", "none"),
        ),
    ),
    Row(
        "vfio-pci refuses old VFs: they are on its denylist",
        (
            Write(f"{OLD_PF}/sriov_drivers_autoprobe", "0"),
            Write(f"{OLD_PF}/sriov_numvfs", "16"),
            *bind("0000:7a:01.0", "none"),
            Write("bus/pci/drivers/vfio-pci/bind", "0000:7a:01.0", "EINVAL"),
            Read("module/vfio_pci/parameters/disable_denylist", "N"),
        ),
    ),
    Row(
        "vfio-pci refuses a broken VF, and no other",
        (
            Fault(FIRST, "refuse_vfio", "0x2"),
            NO_AUTOPROBE,
            *CREATE,
            *bind("0000:6b:00.1"),
            *bind("0000:6b:00.2", "none"),
            Write("bus/pci/drivers/vfio-pci/bind", "0000:6b:00.2", "EINVAL"),
            Fault(FIRST, "refuse_vfio", "0"),
            *bind("0000:6b:00.2"),
        ),
    ),
    Row(
        "vfio-pci refuses a PF that has VFs",
        (
            *CREATE,
            Load("vfio-pci"),
            Write(f"{DEVICES}/{SECOND}/driver/unbind", SECOND),
            Write(f"{DEVICES}/{SECOND}/driver_override", "vfio-pci"),
            Write("bus/pci/drivers_probe", SECOND),
            Link(f"{DEVICES}/{SECOND}/driver", "vfio-pci"),
            # And a PF that vfio-pci has gives no VFs.
            Write(f"{DEVICES}/{SECOND}/sriov_numvfs", "16", "ENOENT"),
        ),
    ),
)

RESET = (
    Row(
        "a reset makes new VFs, without their override; old kernels make none",
        (
            NO_AUTOPROBE,
            *CREATE,
            *bind("0000:6b:00.1"),
            Fault(FIRST, "reset", "1"),
            Wait(0.1),
            Write(f"{PF}/qat/state", "down", "EBUSY"),
            Wait(2.5),
            Read(f"{PF}/qat/state", "up"),
            Read(f"{PF}/sriov_numvfs", Since("6.12", "16", "0")),
            Link(f"{VF}/driver", "none"),
            Read(f"{VF}/driver_override", Since("6.12", "(null)", "ENOENT")),
        ),
    ),
    Row(
        "a reset keeps the services",
        (
            *services("dc", "ok", "dc"),
            Write(f"{PF}/qat/state", "up"),
            Fault(FIRST, "reset", "1"),
            Wait(1),
            Read(f"{PF}/qat/cfg_services", "dc"),
            Read(f"{PF}/qat/state", "up"),
        ),
    ),
    Row(
        "a reset that fails leaves the device busy until its driver is unbound",
        (
            Fault(FIRST, "fail_up", "5"),
            Fault(FIRST, "reset", "1"),
            Wait(1),
            Read(f"{PF}/qat/state", "down"),
            Write(f"{PF}/qat/state", "up", "EBUSY"),
            Write(f"{PF}/driver/unbind", FIRST),
            Write("bus/pci/drivers/4xxx/bind", FIRST),
            Read(f"{PF}/qat/state", "up"),
        ),
    ),
    Row(
        "a fatal error resets only with auto_reset",
        (
            *CREATE,
            Fault(FIRST, "error", "fatal"),
            Wait(0.1),
            Count(f"{PF}/virtfn*", "16"),
            Write(f"{PF}/qat/auto_reset", "on"),
            # The reset alone is over before a machine that has much to do writes again.
            Fault(FIRST, "delay_up", "1500"),
            Fault(FIRST, "error", "fatal"),
            Wait(0.1),
            Write(f"{PF}/qat/state", "up", "EBUSY"),
            Wait(4),
            Count(f"{PF}/virtfn*", "16"),
        ),
        only=NEW,
    ),
    Row(
        "a PF vanishes and returns as new",
        (
            *services("dc", "ok", "dc"),
            *CREATE,
            Fault(FIRST, "present", "0"),
            Count(f"{DEVICES}/0000:6b:*", "0"),
            Fault(FIRST, "present", "1"),
            Count(f"{DEVICES}/0000:6b:*", "1"),
            Until(f"{PF}/qat/state", "up"),
            Read(f"{PF}/qat/cfg_services", DEFAULT),
            Read(f"{PF}/sriov_numvfs", "0"),
            *CREATE,
        ),
    ),
    Row(
        "a PF removed by hand returns with a rescan",
        (
            *CREATE,
            Write(f"{PF}/remove", "1"),
            Count(f"{DEVICES}/0000:6b:*", "0"),
            Write("bus/pci/rescan", "1"),
            Until(f"{PF}/qat/state", "up"),
            Read(f"{PF}/sriov_numvfs", "0"),
        ),
    ),
)

DEBUGFS = (
    Row(
        "the directory is named after the driver",
        (
            Count(f"kernel/debug/qat_4xxx_{SECOND}/dev_cfg", "1"),
            Count(f"kernel/debug/qat_420xx_{LATE}/dev_cfg", "1"),
            Count(f"kernel/debug/qat_c6xx_{OLD}/dev_cfg", "1"),
            Count(f"kernel/debug/qat_dh895xcc_{OLDEST}/dev_cfg", "1"),
            Count(f"kernel/debug/qat_c6xx_{OLD}/heartbeat/status", Since("6.12", "1", "0")),
        ),
    ),
    Row(
        "all but dev_cfg is there only while up",
        (
            Count(f"{HEARTBEAT}/*", Since("6.12", "4", "0")),
            Write(f"{PF}/qat/state", "down"),
            Count(f"{DEBUG}/*", "1"),
            Write(f"{PF}/qat/state", "up"),
            Count(f"{HEARTBEAT}/*", Since("6.12", "4", "0")),
        ),
    ),
    Row(
        "two queries within the interval: the second one fails",
        (
            Read(f"{HEARTBEAT}/status", "0"),
            Read(f"{HEARTBEAT}/status", "-1"),
            Wait(0.3),
            Read(f"{HEARTBEAT}/status", "0"),
            Read(f"{HEARTBEAT}/queries_sent", "2"),
            Read(f"{HEARTBEAT}/queries_failed", "0"),
        ),
        only=NEW,
    ),
    Row(
        "a device counts as hung at the third query without an answer",
        (
            Fault(FIRST, "heartbeat", "dead"),
            Read(f"{HEARTBEAT}/status", "0"),
            Wait(0.3),
            Read(f"{HEARTBEAT}/status", "0"),
            Wait(0.3),
            Read(f"{HEARTBEAT}/status", "-1"),
            Read(f"{HEARTBEAT}/queries_failed", "1"),
            Fault(FIRST, "heartbeat", "alive"),
            Wait(0.3),
            Read(f"{HEARTBEAT}/status", "0"),
        ),
        only=NEW,
    ),
    Row(
        "auto_reset revives a hung device, and makes its VFs again",
        (
            *CREATE,
            Write(f"{PF}/qat/auto_reset", "on"),
            Fault(FIRST, "heartbeat", "lost"),
            Read(f"{HEARTBEAT}/status", "0"),
            Wait(0.3),
            Read(f"{HEARTBEAT}/status", "0"),
            Wait(0.3),
            Read(f"{HEARTBEAT}/status", "-1"),
            Wait(3),
            Read(f"{HEARTBEAT}/status", "0"),
            Count(f"{PF}/virtfn*", "16"),
        ),
        only=NEW,
    ),
    Row(
        "the interval: fixed on gen 4, free from 200 ms on before",
        (
            Read(f"{HEARTBEAT}/config", "200"),
            Write(f"{HEARTBEAT}/config", "199", "EINVAL"),
            Write(f"{HEARTBEAT}/config", "1000"),
            Read(f"{HEARTBEAT}/config", "200"),
            Read(f"kernel/debug/qat_c6xx_{OLD}/heartbeat/config", "500"),
            Write(f"kernel/debug/qat_c6xx_{OLD}/heartbeat/config", "1000"),
            Read(f"kernel/debug/qat_c6xx_{OLD}/heartbeat/config", "1000"),
        ),
        only=NEW,
    ),
)

TELEMETRY = f"{DEBUG}/telemetry"

TELEMETRY_ROWS = (
    Row(
        "telemetry is off at first, and gen 4 only",
        (
            Read(f"{TELEMETRY}/control", Since("6.12", "0", "ENOENT")),
            Read(f"{TELEMETRY}/device_data", Since("6.12", "EPERM", "ENOENT")),
            Count(f"kernel/debug/qat_c6xx_{OLD}/telemetry", "0"),
        ),
    ),
    Row(
        "telemetry is switched on by a number of samples up to 4",
        (
            Write(f"{TELEMETRY}/control", "5", "EINVAL"),
            Write(f"{TELEMETRY}/control", "4"),
            Read(f"{TELEMETRY}/control", "4"),
            Read(f"{TELEMETRY}/rp_A_data", "EPERM"),
            Write(f"{TELEMETRY}/control", "0"),
            Read(f"{TELEMETRY}/device_data", "EPERM"),
        ),
        only=NEW,
    ),
    Row(
        "a ring pair is watched in one slot at a time: a second one says yes and does nothing",
        (
            Write(f"{TELEMETRY}/control", "1"),
            Write(f"{TELEMETRY}/rp_A_data", "64", "EINVAL"),
            Write(f"{TELEMETRY}/rp_A_data", "7"),
            Write(f"{TELEMETRY}/rp_B_data", "7"),
            Read(f"{TELEMETRY}/rp_B_data", "EPERM"),
            Write(f"{TELEMETRY}/rp_B_data", "8"),
            Write(f"{PF}/qat/state", "down"),
            Read(f"{TELEMETRY}/control", "ENOENT"),
            Write(f"{PF}/qat/state", "up"),
            Read(f"{TELEMETRY}/control", "0"),
        ),
        only=NEW,
    ),
)

ROWS = (*IDENTITY, *STATE, *SERVICES, *OTHER_ATTRIBUTES, *VFS, *BINDING, *RESET, *DEBUGFS, *TELEMETRY_ROWS)
