# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics, as a file for the textfile collector of node_exporter. docs/metrics.md has the table."""

from __future__ import annotations

import typing as t

from .._node.files import replace_file
from .agent import Counters
from .decide import ATTACH, DETACH, REASONS

_PREFIX = "qat_vm_attach_"


def exposition(counters: Counters) -> str:
    """All metrics as they are now."""
    done = {f'action="{action}"': counters.done[action] for action in (ATTACH, DETACH)}
    failures = {f'reason="{reason}"': counters.failures[reason] for reason in REASONS}
    standing = {f'reason="{reason}"': counters.standing[reason] for reason in REASONS}
    return "".join(
        (
            _family("connected", "gauge", "Whether libvirt answers.", {"": int(counters.connected)}),
            _family("changes_total", "counter", "VFs attached to domains and detached from their next start.", done),
            _family("failures_total", "counter", "Problems that were reported, by reason.", failures),
            _family("problems", "gauge", "Problems of now, by reason.", standing),
            _family(
                "look_timestamp_seconds", "gauge", "When the domains were last looked at.", {"": counters.looked_at}
            ),
        )
    )


def write(path: str, counters: Counters) -> None:
    """Replace the file. Raises OSError."""
    replace_file(path, exposition(counters).encode())


def _family(name: str, kind: str, text: str, values: t.Mapping[str, float]) -> str:
    full = _PREFIX + name
    lines = [f"{full}{{{labels}}} {value}" if labels else f"{full} {value}" for labels, value in values.items()]
    return "\n".join((f"# HELP {full} {text}", f"# TYPE {full} {kind}", *lines, ""))
