# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PCI addresses, and the drivers that give functions to user space."""

from __future__ import annotations

import re

VFIO_PCI = "vfio-pci"
VFIO_DRIVERS = frozenset({VFIO_PCI, "qat_vfio_pci"})
"""The drivers that give VFs to user space, all of which need an IOMMU. The second one is for live migration (drivers/vfio/pci/qat)."""

_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")


def is_address(text: str) -> bool:
    """Whether it is a PCI address as sysfs writes it."""
    return _ADDRESS.fullmatch(text) is not None


def normal_address(text: str) -> str:
    """A PCI address as sysfs writes it: `0000:6b:00.0`. Raises ValueError.

    Accepts upper case, a missing domain, and one with more zeros in front, as other tools print it.
    """
    address = text.strip().lower()
    if address.count(":") == 1:
        address = "0000:" + address
    if not _ADDRESS.fullmatch(address):
        raise ValueError(text)
    domain, _colon, place = address.partition(":")
    return f"{int(domain, 16):04x}:{place}"


def address_after(address: str, distance: int) -> str:
    """The address `distance` routing ids after this one (PCIe SR-IOV: VF n is at first offset + n * stride from its PF)."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(address)
    domain, bus, device, function = match.groups()
    routing_id = (int(bus, 16) << 8 | int(device, 16) << 3 | int(function)) + distance
    return f"{domain}:{routing_id >> 8:02x}:{routing_id >> 3 & 31:02x}.{routing_id & 7}"
