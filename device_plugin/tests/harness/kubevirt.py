# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How KubeVirt's launcher reads the variables of a device plugin, and what it makes of them, in words of our own.

Source: kubevirt 1.9, pkg/util/util.go (names of variables) and pkg/virt-launcher/virtwrap/device/hostdevice (addresspool.go and generic):
a pool of addresses for each resource, in the order of the variable, one after the other; what was taken is struck from all pools;
the devices have to be as many as the machine asks for.
"""

from __future__ import annotations

import re
import typing as t


class TooFewError(Exception):
    """The machine asks for more devices than there are addresses: it does not start."""


def variable_of(resource: str) -> str:
    """Upper case, `_` for `/` and `.`; dashes stay."""
    return "PCI_RESOURCE_" + resource.upper().replace("/", "_").replace(".", "_")


def addresses_of(environment: t.Mapping[str, str], devices: t.Sequence[tuple[str, str]]) -> dict[str, str]:
    """The address of each of the machine's devices, which are pairs of a name and a resource. Raises TooFewError."""
    pools = {
        resource: [one for one in environment.get(variable_of(resource), "").rstrip(",").split(",") if one]
        for _name, resource in devices
    }
    found: dict[str, str] = {}
    for name, resource in devices:
        if not pools[resource]:
            raise TooFewError(f"no address is left for {name}, of {resource}")
        found[name] = pools[resource][0]
        for pool in pools.values():
            if found[name] in pool:
                pool.remove(found[name])
    return found


def host_device_of(name: str, address: str) -> str:
    """The element in the domain's definition."""
    domain, bus, slot, function = re.split("[:.]", address)
    place = f"<address type='pci' domain='0x{domain}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/>"
    return f"<hostdev mode='subsystem' type='pci' managed='no'><source>{place}</source><alias name='ua-hostdevice-{name}'/></hostdev>"
