# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Has systemd read its units again where it does not know one as it stands on the disk."""

from __future__ import annotations

import os
import typing as t

from .._host.file_set import Entry
from .._host.machine import Machine
from .._node.errors import NodeError
from .systemctl import Systemctl

_ASKED = ("LoadState", "NeedDaemonReload")


def is_known(shown: t.Mapping[str, str], installed: bool) -> bool:
    """Whether systemd knows a unit as it stands; `installed` says that its file is there and has something in it."""
    return shown["NeedDaemonReload"] == "no" and (not installed or shown["LoadState"] == "loaded")


def installed_by(entries: t.Iterable[Entry]) -> set[str]:
    """The names of the files that are there when the entries are as wanted. Of an empty one systemd makes a masked unit."""
    return {os.path.basename(entry.path) for entry in entries if entry.state == "present" and entry.text}


def read_again(
    machine: Machine, units: t.Sequence[str], entries: t.Sequence[Entry], changed: bool, rehearse: bool
) -> bool:
    """Whether systemd had to read its units again, since a file was changed now or by a run that was cut off before this.

    With `rehearse` it is only said. Raises NodeError, also where systemd does not take a unit that it has read.
    """
    if not units:
        return False
    systemctl = Systemctl(machine)
    installed = installed_by(entries)
    if not changed and all(is_known(systemctl.show(unit, *_ASKED), unit in installed) for unit in units):
        return False
    if not rehearse:
        systemctl.reload_units()
        for unit in installed.intersection(units):
            _require_loaded(systemctl, unit)
    return True


def _require_loaded(systemctl: Systemctl, unit: str) -> None:
    state = systemctl.show(unit, *_ASKED)["LoadState"]
    if state != "loaded":
        raise NodeError(
            f"systemd has read the unit, and does not take it: {state}", unit, f"see systemctl status {unit}"
        )
