# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What came of each node in a run of the playbook site, out of what its tasks have left among the node's variables. Decisions only."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.accel.qat.plugins.plugin_utils._table import table

Variables = t.Mapping[str, t.Any]
Row = dict[str, t.Any]

CHANGES = (
    "__qat_node_kernel_args",
    "__qat_node_directories",
    "qat_node_configured",
    "__qat_node_qatctl",
    "__qat_node_boot_files",
    "__qat_device_plugin_release",
    "__qat_device_plugin_files",
    "__qat_device_plugin_started",
    "__qat_drain_result",
    "__qat_drain_back",
)
"""What tasks register that change a node; of kubelet's there is `__qat_kubelet_changed`, since others look with the same task."""

_UNKNOWN = "-"
_COLUMNS = ("NODE", "RUN", "PFS", "VFS", "CHANGED", "REBOOT LEFT", "VERIFIED")


def row_of(node: str, variables: Variables, is_alive: bool) -> Row:
    """What came of one node. `is_alive` says that Ansible has not lost it. None stands for what is not known."""
    devices = _devices(variables)
    verified = variables.get("qat_verify_result") or {}
    return {
        "node": node,
        "run": _state(variables, is_alive),
        "pfs": None if devices is None else [one["address"] for one in devices],
        "vfs": None if devices is None else _vfs(devices),
        "changed": _changed(variables),
        "reboot_left": _flag(variables.get("qat_node_reboot_required")),
        "verified": _flag(verified.get("ok")),
    }


def lines(rows: t.Sequence[Row]) -> list[str]:
    """The rows for a person."""
    return table([_COLUMNS, *(_cells(row) for row in rows)])


def _state(variables: Variables, is_alive: bool) -> str:
    if "__qat_begun" not in variables:
        return "not begun"
    if not is_alive:
        return "lost"
    return "held back" if "__qat_held_back" in variables else "ok"


def _devices(variables: Variables) -> list[t.Any] | None:
    """The PFs that a rule is for, as they are; none where they were not configured."""
    known = (variables.get("qat_node_configured") or {}).get("accel_qat")
    return None if known is None else [one for one in known["devices"] if one["rule"]]


def _vfs(devices: t.Iterable[t.Any]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in devices:
        if one["resource"] and one["advertised"]:
            counts[str(one["resource"])] += len(one["advertised"])
    return dict(sorted(counts.items()))


def _changed(variables: Variables) -> bool:
    results = (variables.get(name) or {} for name in CHANGES)
    return any(_flag(one.get("changed")) for one in results) or bool(_flag(variables.get("__qat_kubelet_changed")))


def _flag(value: t.Any) -> bool | None:
    # A fact that was made from a template may be a text.
    return None if value is None else value in (True, "True", "true")


def _cells(row: Row) -> tuple[str, ...]:
    vfs = row["vfs"]
    shown = _UNKNOWN if vfs is None else ", ".join(f"{name} {count}" for name, count in vfs.items()) or "none"
    pfs = _UNKNOWN if row["pfs"] is None else str(len(row["pfs"]))
    return (row["node"], row["run"], pfs, shown, *(_word(row[name]) for name in ("changed", "reboot_left", "verified")))


def _word(flag: bool | None) -> str:
    if flag is None:
        return _UNKNOWN
    return "yes" if flag else "no"
