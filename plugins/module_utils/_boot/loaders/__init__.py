# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The boot loaders that can be given kernel arguments, by the names users give them."""

from __future__ import annotations

import typing as t

from .grub import Grub
from .grubby import Grubby
from .rpm_ostree import RpmOstree
from .systemd_boot import SystemdBoot

if t.TYPE_CHECKING:
    from ..._host.machine import Machine
    from ..plan import BootLoader
    from ..running import Running

LOADERS: t.Mapping[str, t.Callable[[Machine, Running], BootLoader]] = {
    Grub.name: lambda machine, running: Grub(machine, running.line),
    Grubby.name: lambda machine, _running: Grubby(machine),
    RpmOstree.name: lambda machine, _running: RpmOstree(machine),
    SystemdBoot.name: lambda machine, running: SystemdBoot(machine, running.line, running.entry),
}
