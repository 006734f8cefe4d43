# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network card with SR-IOV: a bystander, and the proof that VFs and drivers are not handled for QAT alone."""

from __future__ import annotations

from .pci import Bus, Driver, Function
from .tree import Working

PF_IDS = (0x8086, 0x10C9)
VF_ID = 0x10CA


class NicDriver(Driver):
    """A PF driver that makes as many VFs as asked for, and none when asked for none."""

    def __init__(self, bus: Bus) -> None:
        super().__init__("igb", "igb", (PF_IDS,))
        self._bus = bus

    def remove(self, function: Function) -> Working:
        yield from self._bus.disable_vfs(function)

    def configure_vfs(self, function: Function, count: int) -> Working:
        if count:
            self._bus.enable_vfs(function, count)
        else:
            yield from self._bus.disable_vfs(function)


def vf_driver() -> Driver:
    """The driver of its VFs."""
    return Driver("igbvf", "igbvf", ((PF_IDS[0], VF_ID),))
