# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Boot Loader Specification entries: a file per kernel, read by systemd-boot, and by a GRUB that calls blscfg."""

from __future__ import annotations

import re
import typing as t

from ..._node.fields import lines_in, words_in

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

GRUB_ENTRIES = "/boot/loader/entries/*.conf"

_BLSCFG = re.compile(r"^[ \t]*blscfg\b", re.MULTILINE)


def read_entry(text: str) -> dict[str, list[str]]:
    """The fields of an entry; a field may stand there more than once."""
    fields: dict[str, list[str]] = {}
    for line in lines_in(text.replace("\r", "\n")):
        name, *value = words_in(line, 2) or [""]
        if name and not name.startswith("#"):
            fields.setdefault(name, []).extend(value or [""])
    return fields


def grub_reads_entries(machine: Machine, generated: str) -> bool:
    """Whether GRUB with this grub.cfg takes its menu from entries, so that grub.cfg itself has no kernel arguments."""
    return bool(machine.glob(GRUB_ENTRIES)) and _BLSCFG.search(machine.read(generated) or "") is not None
