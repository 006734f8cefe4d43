# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether GRUB starts an entry that gets what is written into its settings, or into the entries of kernels.

Sources: util/grub.d/00_header.in (next_entry of grub-reboot comes first, and with the default `saved` saved_entry of
grub-set-default), util/grub.d/40_custom.in (the text of the script is the entry), util/grub.d/41_custom.in (custom.cfg beside
grub.cfg, behind all others), util/grub.d/30_os-prober.in (other systems).
"""

from __future__ import annotations

import re
import typing as t

from ..._node.errors import RefusedError
from ..._node.fields import lines_in
from ..arguments import Request, parse
from .by_hand import ByHand, OutOfReach, out_of_reach
from .grub_menu import Item, named, read_menu, started
from .grub_settings import ALWAYS

if t.TYPE_CHECKING:
    from ..._host.machine import Machine

SAVED = "saved"
_CUSTOM = "custom.cfg"
_OTHER_SYSTEMS = "_os-prober"
_VARIABLE = re.compile(r"^(\w+)=(.*)$", re.MULTILINE | re.ASCII)


def beyond_settings(
    machine: Machine, generated: str | None, default: str, request: Request, source: str, has_more: bool = False
) -> OutOfReach:
    """What the entry that is started has or lacks where it gets nothing from `source`. Raises RefusedError as `out_of_reach` does.

    `has_more` says that the menu has more entries than grub.cfg, so that an entry is known by its name alone.
    """
    if generated is None:
        return out_of_reach((), (), request)
    directory = generated.rpartition("/")[0]
    custom = f"{directory}/{_CUSTOM}"
    menu = read_menu(machine.read(generated) or "") + read_menu(machine.read(custom) or "", custom)
    saved = dict(_VARIABLE.findall(machine.read(f"{directory}/grubenv") or ""))
    usual = saved.get("saved_entry") or "0" if default == SAVED else default
    boots: list[list[ByHand]] = []
    for name in filter(None, [saved.get("next_entry"), usual]):
        item = named(menu, name) if has_more else started(menu, name)
        is_theirs = item is not None and _is_written_by_hand(machine, item, settings_count=not has_more)
        boots.append([_by_hand(item, source)] if item is not None and is_theirs else [])
    return out_of_reach(boots[0], [entry for boot in boots[1:] for entry in boot], request)


def _by_hand(item: Item, source: str) -> ByHand:
    refusal = RefusedError(
        f"GRUB starts {item.title}, an entry that gets no arguments from {source}",
        item.script,
        "set them in that entry by hand, or have another one started (GRUB_DEFAULT, grub-set-default)",
    )
    return ByHand(refusal, item.line or parse(""))


def _is_written_by_hand(machine: Machine, item: Item, settings_count: bool) -> bool:
    """Whether the entry stands so in a file, or is of another system, and not one that a script makes of the settings."""
    if item.script.endswith(_OTHER_SYSTEMS):
        return True
    text = (machine.read(item.script) or "") if item.script else ""
    written = [line.strip() for line in lines_in(text)]
    # A script of an administrator may have the settings come into its own text: `cat << EOF`, and $GRUB_CMDLINE_LINUX below it.
    is_filled_in = settings_count and item.start not in ("", *written) and ALWAYS in text
    return item.head in written and not is_filled_in
