# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the kernel counts a function as open, which no process can hide.

The file `enable` of a PCI function shows how often it was enabled (drivers/pci/pci-sysfs.c, enable_show). The drivers of VFIO enable it
when it is opened first, and disable it when the last one has closed it: vfio_pci_core_enable and vfio_pci_core_disable in
drivers/vfio/pci/vfio_pci_core.c, which qat_vfio_pci calls too; before Linux 5.15 vfio_pci_enable and vfio_pci_disable in vfio_pci.c.
Neither binding counts, nor sleep while nobody has it. Seen on Linux 6.1 and 6.12.

Zero proves nothing: a group that is open without the device is not counted (drivers/vfio/group.c), nor a node in /dev/vfio/devices before
it belongs to an iommufd (device_cdev.c), and a VF cannot be removed while the latter is open. Other drivers count what they have bound.
"""

from __future__ import annotations

from ..absence import if_there
from ..facts.families import module_of_driver
from ..facts.paths import MODULES, device_file
from ..fields import number_of
from ..kernel.live import Kernel


def counts_as_open(kernel: Kernel, address: str, driver: str) -> bool:
    """Whether somebody has the function open, which this driver of VFIO has.

    Raises OSError where that cannot be read, and NodeError where what is read is no number.
    """
    # What root has enabled by hand counts, too. But whoever opens a VF takes its driver's module before, and lets go of it afterwards.
    module = module_of_driver(driver).replace("-", "_")
    return (
        _number(kernel, device_file(address, "enable"), 0) > 0 and _number(kernel, f"{MODULES}/{module}/refcnt", 1) > 0
    )


def _number(kernel: Kernel, path: str, otherwise: int) -> int:
    """The number in a file; `otherwise` where there is none, as a driver that is built in has no uses to show."""
    text = if_there(lambda: kernel.read(path), None)
    return otherwise if text is None else number_of(text, path)
