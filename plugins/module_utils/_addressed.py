# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is desired of single devices that are named by their addresses, as the modules `sriov_vfs` and `pci_driver` take them."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ._node.devices.desired import (
    NO_VFS,
    Binding,
    DesiredPf,
    all_or_none,
)
from ._node.devices.rules import DRIVER_PATTERN, HOW_TO_WRITE_AN_ADDRESS
from ._node.devices.snapshot import Node
from ._node.errors import ConfigurationError
from ._node.facts.pci import normal_address


@dataclass(frozen=True)
class DesiredVfs:
    """How many VFs single PFs should have; `vf_count` None means all."""

    pfs: tuple[DesiredPf, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(desired.address for desired in self.pfs)

    def on(self, node: Node) -> tuple[DesiredPf, ...]:
        """The PFs with their counts, for this node. Raises ConfigurationError where a PF cannot have them."""
        return tuple(replace(desired, vf_count=_count(desired, node)) for desired in self.pfs)


def desired_vfs(devices: t.Sequence[t.Mapping[str, t.Any]], when_in_use: str) -> DesiredVfs:
    """What a list of `address`, `count`, `drivers_autoprobe` desires. Raises ConfigurationError."""
    desired_pfs = tuple(
        DesiredPf(
            address=address,
            where=f"devices[{position}]",
            vf_count=device["count"],
            autoprobe=device["drivers_autoprobe"],
            when_in_use=when_in_use,
        )
        for position, (address, device) in enumerate(_addressed(devices))
    )
    return DesiredVfs(desired_pfs)


def bindings_by_address(devices: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, Binding]:
    """The bindings in a list of `address`, `driver`, `override`. Raises ConfigurationError."""
    return {
        address: _binding(device, f"devices[{position}]")
        for position, (address, device) in enumerate(_addressed(devices))
    }


def _binding(device: t.Mapping[str, t.Any], where: str) -> Binding:
    driver = device["driver"] or None
    if driver is not None and not re.fullmatch(DRIVER_PATTERN, driver):
        raise ConfigurationError(
            f"{driver!r} is malformed", where=where + ".driver", remedy="use letters, digits, - and _"
        )
    if driver is None and device["override"]:
        raise ConfigurationError(
            "override needs a driver", where=where + ".override", remedy="name the driver, or leave it out"
        )
    return Binding(driver, None if device["override"] is False else driver)


def _addressed(devices: t.Sequence[t.Mapping[str, t.Any]]) -> list[tuple[str, t.Mapping[str, t.Any]]]:
    found: list[tuple[str, t.Mapping[str, t.Any]]] = []
    for position, device in enumerate(devices):
        where = f"devices[{position}].address"
        try:
            address = normal_address(device["address"])
        except ValueError:
            raise ConfigurationError(
                f"{device['address']!r} is malformed", where=where, remedy=HOW_TO_WRITE_AN_ADDRESS
            ) from None
        if any(address == earlier for earlier, _device in found):
            raise ConfigurationError(f"{address} is given twice", where=where, remedy="name it once")
        found.append((address, device))
    return found


def _count(desired: DesiredPf, node: Node) -> int:
    function = node.function(desired.address)
    if function is None:
        raise ConfigurationError(
            f"the node has no PCI function {desired.address}",
            where=desired.where + ".address",
            remedy="see lspci -D for those it has",
        )
    total = function.sriov.total if function.sriov else 0
    if not total and desired.vf_count != 0:
        raise ConfigurationError(
            f"{desired.address} cannot have VFs", where=desired.where, remedy=f"name a PF, and {NO_VFS}"
        )
    wanted = total if desired.vf_count is None else desired.vf_count
    if node.qat_at(desired.address) is not None:
        return all_or_none(wanted, total, desired.address, desired.where + ".count")
    if not 0 <= wanted <= total:
        raise ConfigurationError(
            f"{desired.address} can have {total} VFs, not {wanted}",
            where=desired.where + ".count",
            remedy=f"ask for 0 to {total}",
        )
    return wanted
