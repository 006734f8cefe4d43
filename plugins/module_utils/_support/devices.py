# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What sysfs has of QAT functions as it stands there, also where the engine cannot make a snapshot of it."""

from __future__ import annotations

import re
import typing as t

from .._node.absence import if_there
from .._node.facts.families import family_of_pf, family_of_vf
from .._node.facts.paths import DEVICES, IOMMU_GROUPS, MODULES, device_file
from .._node.fields import is_number
from .files import ABSENT, reason_of, seen

if t.TYPE_CHECKING:
    from .._node.kernel.live import Kernel

_ATTRIBUTES = [
    "vendor",
    "device",
    "class",
    "revision",
    "subsystem_vendor",
    "subsystem_device",
    "numa_node",
    "local_cpulist",
    "enable",
    "power_state",
    "d3cold_allowed",
    "reset_method",
    "driver_override",
    "current_link_speed",
    "current_link_width",
    "max_link_speed",
    "max_link_width",
    "ari_enabled",
    "sriov_totalvfs",
    "sriov_numvfs",
    "sriov_offset",
    "sriov_stride",
    "sriov_vf_device",
    "sriov_drivers_autoprobe",
    "sriov_vf_total_msix",
    "aer_dev_correctable",
    "aer_dev_nonfatal",
    "aer_dev_fatal",
    "power/runtime_status",
    "qat/state",
    "qat/cfg_services",
    "qat/auto_reset",
    "qat/pm_idle_enabled",
    "qat/num_rps",
    "qat/rp2srv",
    "qat_ras/errors_correctable",
    "qat_ras/errors_nonfatal",
    "qat_ras/errors_fatal",
]
_LINKS = ("driver", "iommu_group", "physfn")
_MODULES = re.compile(r"(?:intel_)?qat(?:_\w+)?|vfio(?:_\w+)?|iommufd|firmware_class|irqbypass|usdm_drv")
_OF_MODULE = ("version", "srcversion", "taint", "initstate", "refcnt")


def functions(kernel: Kernel) -> dict[str, t.Any]:
    """The attributes of each QAT function, by its address; what could not be read with the reason. Raises OSError."""
    addresses = [address for address in kernel.list(DEVICES) if _is_qat(kernel, address)]
    kernel.expect([device_file(address, name) for address in addresses for name in _ATTRIBUTES])
    return {address: _attributes(kernel, address) for address in addresses}


def _is_qat(kernel: Kernel, address: str) -> bool:
    texts = [if_there(lambda name=name: kernel.read(device_file(address, name)), "") for name in ("vendor", "device")]  # type: ignore[misc]
    if not all(re.fullmatch("0x[0-9a-f]+", text) for text in texts):
        return False
    vendor, device = (int(text, 16) for text in texts)
    return family_of_pf(vendor, device) is not None or family_of_vf(vendor, device) is not None


def _attributes(kernel: Kernel, address: str) -> dict[str, str]:
    found = {name: seen(lambda name=name: kernel.read(device_file(address, name))) for name in _ATTRIBUTES}  # type: ignore[misc]
    found.update({name: seen(lambda name=name: kernel.link(device_file(address, name))) for name in _LINKS})  # type: ignore[misc]
    return {name: text for name, text in found.items() if text != ABSENT}


def iommu_groups(kernel: Kernel) -> dict[str, t.Any]:
    """The groups in which QAT functions are, with whatever else is in them, and how many there are in all. Raises OSError."""
    groups: dict[str, t.Any] = {}
    for address in (address for address in kernel.list(DEVICES) if _is_qat(kernel, address)):
        group = seen(lambda address=address: kernel.link(device_file(address, "iommu_group")))  # type: ignore[misc]
        if is_number(group) and group not in groups:
            groups[group] = {
                "type": seen(lambda group=group: kernel.read(f"{IOMMU_GROUPS}/{group}/type")),  # type: ignore[misc]
                "devices": _names(kernel, f"{IOMMU_GROUPS}/{group}/devices"),
            }
    return {
        "groups": groups,
        "in_all": len(_names(kernel, IOMMU_GROUPS)),
        "units": _names(kernel, "/sys/class/iommu"),
        "vfio": _names(kernel, "/dev/vfio"),
    }


def modules(kernel: Kernel) -> dict[str, t.Any]:
    """The modules that QAT and VFIO need, as far as they are loaded, with their parameters. Raises OSError."""
    return {name: _module(kernel, name) for name in kernel.list(MODULES) if _MODULES.fullmatch(name)}


def _module(kernel: Kernel, name: str) -> dict[str, t.Any]:
    said = {one: seen(lambda one=one: kernel.read(f"{MODULES}/{name}/{one}")) for one in _OF_MODULE}  # type: ignore[misc]
    place = f"{MODULES}/{name}/parameters"
    return {
        **{one: text for one, text in said.items() if text != ABSENT},
        "parameters": {one: seen(lambda one=one: kernel.read(f"{place}/{one}")) for one in _names(kernel, place)},  # type: ignore[misc]
    }


def _names(kernel: Kernel, path: str) -> list[str]:
    try:
        return list(kernel.list(path))
    except OSError as error:
        return [] if reason_of(error) == ABSENT else [reason_of(error)]
