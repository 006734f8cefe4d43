# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node has of that which its QAT devices need, beside the devices themselves: firmware files and kernel modules. Only looks.

`True` is seen to be there, `False` is seen not to be, and `None` could not be seen, with the reason.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import asdict, dataclass

from .._node.errors import NodeError
from .._node.facts.families import module_of_driver
from .._node.facts.paths import DRIVERS, MODULES

if t.TYPE_CHECKING:
    from .._node.kernel.live import Kernel
    from .machine import Machine

CUSTOM_FIRMWARE = f"{MODULES}/firmware_class/parameters/path"
"""Where an administrator can have the kernel look before all other places (Documentation/driver-api/firmware/fw_search_path.rst)."""

_COMPRESSED = (".zst", ".xz")
_CONFIG = "CONFIG_FW_LOADER_COMPRESS"


@dataclass(frozen=True)
class Seen:
    """Whether something is there, where or why not, and the same for machines."""

    name: str
    there: bool | None
    reason: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        """As the module returns it."""
        return asdict(self)


def driver(kernel: Kernel, name: str) -> Seen:
    """Whether the kernel has a PCI driver, or a module that brings it."""
    module = module_of_driver(name)
    try:
        loaded = kernel.exists(f"{DRIVERS}/{name}") or kernel.exists(f"{MODULES}/{module.replace('-', '_')}")
        if loaded:
            return Seen(name, True, "loaded")
        if kernel.has_module(module):
            return Seen(name, True, f"the module {module}, not loaded")
    except NodeError as error:
        return Seen(name, None, error.sentence())
    return Seen(name, False, f"the running kernel has no module {module}")


def firmware(machine: Machine, release: str, name: str, custom: str) -> Seen:
    """Whether a file of firmware is where the kernel looks for it, in a form that it reads."""
    try:
        plain, compressed = _found(machine, [f"{place}/{name}" for place in _places(release, custom)])
        if plain:
            return Seen(name, True, plain)
        if not compressed:
            return Seen(name, False, "it is in none of the directories in which the kernel looks")
        return _of_compressed(name, compressed, _kernel_config(machine, release))
    except NodeError as error:
        return Seen(name, None, error.sentence())


def _places(release: str, custom: str) -> t.Iterator[str]:
    """In the kernel's own order (drivers/base/firmware_loader/main.c, fw_path)."""
    if custom.startswith("/"):
        yield custom.rstrip("/")
    for updates in ("/updates", ""):
        if release:
            yield f"/lib/firmware{updates}/{release}"
        yield f"/lib/firmware{updates}"


def _found(machine: Machine, paths: t.Sequence[str]) -> tuple[str, list[str]]:
    plain = next(filter(machine.exists, paths), "")
    return plain, [path + suffix for path in paths for suffix in _COMPRESSED if machine.exists(path + suffix)]


def _of_compressed(name: str, paths: t.Sequence[str], config: str | None) -> Seen:
    if config is None:
        return Seen(name, None, f"{paths[0]} is compressed, and it is not seen whether this kernel reads such files")
    read = next((path for path in paths if _reads(config, os.path.splitext(path)[1])), "")
    return Seen(name, bool(read), read or f"{paths[0]} is compressed, and this kernel does not read such files")


def _reads(config: str, suffix: str) -> bool:
    own = {".zst": "_ZSTD", ".xz": "_XZ"}[suffix]
    # Before Linux 5.19 there was xz alone, without a switch of its own.
    alone = suffix == ".xz" and f"{_CONFIG}_XZ" not in config
    return re.search(f"(?m)^{_CONFIG}{'' if alone else own}=y$", config) is not None


def _kernel_config(machine: Machine, release: str) -> str | None:
    places = (f"/boot/config-{release}", f"/lib/modules/{release}/config") if release else ()
    return next((text for text in map(machine.read, places) if text is not None), None)
