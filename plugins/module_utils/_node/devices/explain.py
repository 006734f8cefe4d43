# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the kernel means by an errno: which problem it is, and what to do. The errors page of the documentation shows the same rows.

Sources: Linux drivers/crypto/intel/qat/qat_common/adf_sysfs.c, adf_sriov.c, adf_cfg_services.c; drivers/pci/pci-sysfs.c, iov.c,
pci-driver.c; drivers/base/bus.c, dd.c (device_driver_attach); drivers/iommu/iommu.c (iommu_device_use_default_domain);
drivers/vfio/pci/vfio_pci.c and vfio_main.c.
"""

from __future__ import annotations

import errno
import os
import typing as t
from dataclasses import dataclass

from ..errors import DeviceGone, NodeError
from ..facts.pci import VFIO_PCI
from .step import Action, Step


@dataclass(frozen=True)
class Explanation:
    """What an errno of a step means.

    `driver` narrows a row to steps that bind to that driver, `has_group` to devices with or without an IOMMU group.
    """

    action: Action
    code: int
    problem: str
    remedy: str
    driver: str = ""
    has_group: bool | None = None

    def fits(self, step: Step, code: int, has_group: bool) -> bool:
        """Whether this row explains the step's errno."""
        if self.action is not step.action or self.code != code:
            return False
        return self.driver in ("", step.after) and self.has_group in (None, has_group)


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        Action.STATE,
        errno.EBUSY,
        "the PF is in reset, or the kernel itself uses it (IPsec, dm-crypt)",
        "wait for the reset to end, or stop the kernel's user, which /proc/crypto names; after a reset that failed, unbind the PF "
        "from its driver and bind it again",
    ),
    Explanation(
        Action.STATE,
        errno.EFAULT,
        "the driver could not start the device",
        "see the kernel's log; most often the firmware is missing (package linux-firmware or firmware-misc-nonfree)",
    ),
    Explanation(
        Action.STATE,
        errno.EINVAL,
        "the driver could not change the state",
        "see the kernel's log for the device's own message",
    ),
    Explanation(
        Action.SERVICES,
        errno.EINVAL,
        "this kernel does not know this combination of services, or the device lacks what it needs",
        "choose other services; Linux before 6.5 knows only sym;asym and dc",
    ),
    Explanation(Action.SERVICES, errno.EBUSY, "the PF is in reset", "wait for the reset to end"),
    Explanation(
        Action.VF_COUNT,
        errno.EBUSY,
        "the PF is in reset, the kernel itself uses it, or it has VFs already",
        "stop the kernel's user, which /proc/crypto names, and try again",
    ),
    Explanation(
        Action.VF_COUNT, errno.ENOENT, "no driver that can make VFs is bound to the PF", "bind the PF to its own driver"
    ),
    Explanation(
        Action.VF_COUNT,
        errno.EFAULT,
        "the driver has no device for this PF",
        "see the kernel's log; the firmware may be missing",
    ),
    Explanation(
        Action.VF_COUNT,
        errno.EINVAL,
        "the driver refuses to make VFs; Linux 6.12 to 6.15 do so where the IOMMU is off",
        "enable VT-d in the BIOS and boot with intel_iommu=on",
    ),
    Explanation(
        Action.VF_COUNT,
        errno.ENOMEM,
        "the BIOS left no memory or bus numbers for the VFs",
        "enable SR-IOV and ARI in the BIOS, or boot with pci=realloc or pci=assign-busses",
    ),
    Explanation(Action.VF_COUNT, errno.ERANGE, "the PF has fewer VFs than that", "ask for at most sriov_totalvfs"),
    Explanation(
        Action.VF_COUNT,
        errno.EIO,
        "the PF did not take the number of VFs",
        "see the kernel's log, and reset the device",
    ),
    Explanation(
        Action.BIND,
        errno.EINVAL,
        "the device has no IOMMU group, and vfio-pci takes none without",
        "enable VT-d in the BIOS and boot with intel_iommu=on",
        VFIO_PCI,
        has_group=False,
    ),
    Explanation(
        Action.BIND,
        errno.EINVAL,
        "vfio-pci refuses this device",
        "before Gen4, load vfio-pci with disable_denylist=1; otherwise reset the PF, and see the kernel's log",
        VFIO_PCI,
    ),
    Explanation(
        Action.BIND, errno.EINVAL, "the driver refuses this device", "see the kernel's log for the driver's own message"
    ),
    Explanation(
        Action.BIND,
        errno.EBUSY,
        "another driver has the device, its PF has VFs, or somebody has another device of its IOMMU group open",
        "unbind it there first, or end that user",
    ),
    Explanation(
        Action.BIND,
        errno.EAGAIN,
        "the driver waits for something else that is not there yet",
        "see the kernel's log for what it waits for, and try again",
    ),
    Explanation(
        Action.BIND,
        errno.ENODEV,
        "the driver does not take the device",
        "see that driver_override names the driver, and that it is one for this device (c6xxvf takes no VF of another family)",
    ),
    Explanation(Action.UNBIND, errno.ENODEV, "the device is no longer bound to this driver", "try again"),
)

GENERAL: t.Mapping[int, tuple[str, str]] = {
    errno.EACCES: (
        "permission denied",
        "run as root (become: true); for root, see what SELinux or AppArmor has denied",
    ),
    errno.EPERM: ("the kernel does not allow it", "run as root on the host; kernel lockdown can also be the cause"),
    errno.EROFS: ("sysfs is mounted read-only", "run on the host, or in a container that mounts /sys writable"),
    errno.ENOENT: ("the file is missing", "see that the device is there and its driver bound"),
    errno.ENODEV: ("the driver has no device here", "see the kernel's log, and that the PF is bound to its driver"),
}
"""What an errno means where no row above explains it: problem and remedy."""


def explain(step: Step, error: OSError, has_group: bool, log: t.Sequence[str]) -> NodeError:
    """The sentence for a step that the kernel refused. `log` are the kernel's own lines about the device."""
    code = error.errno or 0
    problem, remedy = _meaning(step, code, has_group)
    name = errno.errorcode.get(code, str(code))
    said = f"writing {step.value!r} failed with {name} ({os.strerror(code)}), {problem}"
    return NodeError(_with_log(said, log), where=step.path, remedy=remedy, log=log)


def gone(step: Step, log: t.Sequence[str]) -> DeviceGone:
    """The sentence for a device that left the bus before or while the step was taken."""
    remedy = (
        "see the kernel's log for why; after a reset of its PF, a VF comes back, and so does this step at the next run"
    )
    if not step.of_vf:
        remedy = "see the kernel's log for why"
    return DeviceGone(_with_log(f"{step.device} has gone", log), where=step.path, remedy=remedy, log=log)


def brought_up(step: Step, log: t.Sequence[str]) -> NodeError:
    """The sentence for services that are refused since somebody has brought the PF up meanwhile (adf_sysfs.c, cfg_services_store)."""
    problem = f"{step.device} takes services only while it is down, and something else has brought it up"
    return NodeError(
        _with_log(problem, log), where=step.path, remedy="see which other tool manages this device", log=log
    )


def unlike(step: Step, found: str, log: t.Sequence[str]) -> NodeError:
    """The sentence for a write that the kernel accepted and did not apply."""
    if step.action is Action.VF_COUNT:
        problem = f"the kernel made {found} VFs instead of {step.after}"
        remedy = "see the kernel's log, and the BIOS for memory and bus numbers for VFs"
    else:
        problem = f"the kernel accepted {step.value!r}, but {step.shows} is {found}"
        remedy = "see whether another tool manages this device"
    return NodeError(_with_log(problem, log), where=step.path, remedy=remedy, log=log)


def _with_log(problem: str, log: t.Sequence[str]) -> str:
    return f'{problem} (the kernel says "{_decisive_line(log)}")' if log else problem


def _decisive_line(log: t.Sequence[str]) -> str:
    """The first line, since what follows from it comes after; the driver core's own says no more than the errno does."""
    return next((line for line in log if ": probe of " not in line), log[0])


def _meaning(step: Step, code: int, has_group: bool) -> tuple[str, str]:
    for row in EXPLANATIONS:
        if row.fits(step, code, has_group):
            return row.problem, row.remedy
    return GENERAL.get(
        code, ("which this step is not known to give", "see the kernel's log for the device's own message")
    )
