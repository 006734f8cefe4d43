# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the node is asked to do: the plan, and the rest of an earlier run that was cut off."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, replace

from ansible_collections.accel.qat.plugins.module_utils._host.edits import PRIVATE, FileEdit
from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import VALIDATED_FLAGS
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import Files
from ansible_collections.accel.qat.plugins.module_utils._kubelet.journal import journal_of
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import STATE_FILES, Observed, policy
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError

from .documents import join_arguments
from .plan import Desired, Plan, plan_kubelet
from .record import Record


@dataclass(frozen=True)
class Decision:
    """The plan, the arguments of the module that applies it (None where nothing is to do), and what is said of an earlier run."""

    plan: Plan
    order: dict[str, t.Any] | None = None
    # Whether an earlier run was cut off, so that this one ends its work.
    resumed: bool = False
    # Whether kubelet runs with older files, and is not restarted by this run either.
    restart_pending: bool = False


def decide(observed: Observed, desired: Desired, options: t.Mapping[str, t.Any]) -> Decision:
    """What to do. Raises ConfigurationError or RefusedError; then nothing may be written."""
    pending = observed.pending or {}
    resumed = bool(pending.get("cut_off"))
    if resumed and pending["restarts"] and not desired.restart:
        files = " and ".join(change["path"] for change in pending["changes"] if change["path"] != options["record"])
        raise RefusedError(
            f"an earlier run was cut off while it changed {files}, and may have left kubelet stopped",
            observed.unit or "service",
            "set restart to true to have it ended; nothing was written",
        )
    before = _as_before(observed, options["record"]) if resumed else observed
    plan = plan_kubelet(before, desired)
    left = resumed or bool(pending.get("restart_left"))
    restart_pending = left and not resumed and not desired.restart
    record_stale = desired.restore and (before.record is not None or bool(pending))
    if not plan.edits and not record_stale and (not left or restart_pending):
        return Decision(plan, restart_pending=restart_pending)
    writes = _writes(before, plan, pending.get("changes", ()) if resumed else (), options["record"])
    restart_later = bool(plan.edits and observed.unit) and not desired.restart and not desired.restore
    order = {
        **_order(observed, plan, options, restart=desired.restart and (bool(plan.edits) or left)),
        "writes": [asdict(write) for write in writes if write.changes],
        "directories": sorted({*plan.made, *(_made_by_pending(pending, options["record"]) if resumed else ())}),
        "restart_later": restart_later,
    }
    return Decision(plan, order, resumed, restart_pending or restart_later)


def _order(observed: Observed, plan: Plan, options: t.Mapping[str, t.Any], restart: bool) -> dict[str, t.Any]:
    """What of it follows from the plan alone, whatever an earlier run has left."""
    # The kubelet that is there cannot speak for one of another version.
    proof = _proof(observed, plan) if options["prove"] and plan.edits and not options["kubelet_version"] else None
    return {
        "unit": observed.unit,
        "restart": restart,
        "state_files": list(plan.state_files),
        "device_plugins_dir": observed.kind.device_plugins_dir,
        "serves_device_plugins": plan.serves_device_plugins,
        "timeout": options["timeout"],
        "backup": options["backup"],
        "root": options["root"],
        "proc_root": options["proc_root"],
        "started_with": list(plan.started_with),
        "journal": journal_of(options["record"]),
        "confirmed": not (restart and options["kubeconfig"]),
        **({"proof": proof} if proof else {}),
    }


def _as_before(observed: Observed, record: str) -> Observed:
    """The node as it was before the run that was cut off. What somebody else has changed since stays."""
    pending = observed.pending or {}
    files, was = dict(observed.files), observed.record
    made = _made_by_pending(pending, record)
    for change in pending["changes"]:
        if change["now"] != change["after"]:
            continue
        if change["path"] == record:
            was = change["before"]
        elif change["before"] is None:
            files.pop(change["path"], None)
        else:
            files[change["path"]] = change["before"]
    # One that was taken away would have to go, had it not gone.
    gone = {
        manager: policy(pending["states"][f"{observed.kubelet_dir}/{name}"])
        for manager, name in STATE_FILES.items()
        if f"{observed.kubelet_dir}/{name}" in pending["states"]
    }
    there = observed.drop_ins_there and observed.kind.adds_drop_ins not in made
    return replace(observed, files=files, record=was, states={**observed.states, **gone}, drop_ins_there=there)


def _made_by_pending(pending: t.Mapping[str, t.Any], record: str) -> set[str]:
    """The directories that a run which was cut off has made, or would have."""
    texts = (change["after"] for change in pending["changes"] if change["path"] == record)
    return {directory for text in texts for directory in Record.parse(text).directories_made}


def _writes(before: Observed, plan: Plan, changes: t.Sequence[t.Mapping[str, t.Any]], record: str) -> list[FileEdit]:
    """From what stands on the node now to what the plan wants; what only the run that was cut off had wanted goes back."""
    now = {change["path"]: _from_now(change) for change in changes}
    planned = {edit.path for edit in plan.edits} | {record}
    back = [
        replace(now[change["path"]], after=change["before"])
        for change in changes
        if change["path"] not in planned and change["now"] == change["after"]
    ]
    edits = [replace(now.get(edit.path, edit), after=edit.after) for edit in plan.edits]
    known = now.get(record, FileEdit(record, before.record, None))
    return [replace(known, after=plan.record, mode=PRIVATE), *back, *edits]


def _from_now(change: t.Mapping[str, t.Any]) -> FileEdit:
    """The change from what stands there now. What was taken away comes with the mode and owner it had, or not at all."""
    edit = replace(FileEdit.of(change), before=change["now"])
    return edit if edit.before is None else replace(edit, mode=None, owner=None)


def _proof(observed: Observed, plan: Plan) -> dict[str, t.Any] | None:
    """How kubelet can be asked, None where it is not a program of its own or where another version is meant."""
    if observed.program.rpartition("/")[2] != "kubelet":
        return None
    since = observed.kind.proven_since
    if since is None or plan.version.minor < since:
        return None
    arguments = join_arguments(observed.words)
    values = dict(arguments)
    is_kubelets = observed.kind.files is Files.CONFIGURATION
    return {
        "program": observed.program,
        "config": observed.config if is_kubelets else values.get("config", ""),
        "config_dir": plan.config_dir,
        "flags": [f"--{flag}={text}" for flag, text in arguments if flag in VALIDATED_FLAGS],
    }
