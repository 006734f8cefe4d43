# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node was like before this collection changed it, and the way back there.

A PF is recorded once, right before the first write that concerns it. The record outlives reboots, upgrades and later changes,
and goes with the restoration.
"""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass, field, replace

from .errors import ConfigurationError, NodeError
from .files import json_bytes, replace_file
from .plan import Plan, plan_node
from .step import NONE, Action, Step
from .target import Binding, PfTarget, original_target

if t.TYPE_CHECKING:
    from .picture import Node

RECORD = "/var/lib/accel-qat/found.json"

_FORMAT = 1


@dataclass(frozen=True)
class Found:
    """The PFs as they were found, by address, and whether vfio-pci was loaded.

    `given` are the drivers that VFs have been given since, by PF.
    """

    targets: t.Mapping[str, PfTarget]
    vfio_pci_loaded: bool = True
    given: t.Mapping[str, frozenset[str]] = field(default_factory=dict)

    def with_pfs_of(self, plan: Plan, node: Node) -> Found:
        """The same and those PFs that the plan changes and that are not recorded yet."""
        changed = {step.pf for step in plan.steps if node.qat_at(step.pf) is not None}
        new = {pf: original_target(node, pf) for pf in sorted(changed) if pf not in self.targets}
        loaded = self.vfio_pci_loaded if self.targets else node.vfio_pci.module is not None
        given = {pf: self.given.get(pf, frozenset()) | _given_by(plan, pf) for pf in {*self.given, *changed}}
        return Found({**self.targets, **new}, loaded, {pf: drivers for pf, drivers in given.items() if drivers})


def _given_by(plan: Plan, pf: str) -> frozenset[str]:
    """The drivers that the plan gives to VFs of a PF."""
    naming = (Action.OVERRIDE, Action.BIND)
    return frozenset(
        step.after
        for step in plan.steps
        if step.pf == pf and step.of_vf and step.action in naming and step.after != NONE
    )


def read_record(path: str) -> Found:
    """The record, empty when there is none. Raises ConfigurationError when it cannot be understood."""
    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']} is not known")
        targets = {address: _target(address, path, entry) for address, entry in document["devices"].items()}
        given = {address: frozenset(entry["drivers_given"]) for address, entry in document["devices"].items()}
        return Found(targets, bool(document["vfio_pci_loaded"]), given)
    except FileNotFoundError:
        return Found({})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"the record of what was found on this node cannot be read: {error!r}",
            where=path,
            remedy="restore the file from a backup, or remove it to let the present state count as the one found",
        ) from None


def write_record(path: str, found: Found) -> None:
    """Replace the record so that a power cut leaves the old file or the new one. Raises NodeError."""
    document = {
        "format": _FORMAT,
        "vfio_pci_loaded": found.vfio_pci_loaded,
        "devices": {
            address: dict(_entry(target), drivers_given=sorted(found.given.get(address, ())))
            for address, target in found.targets.items()
        },
    }
    try:
        replace_file(path, json_bytes(document), 0o600)
    except OSError as error:
        raise NodeError(
            f"what was found on this node cannot be recorded: {error.strerror}",
            where=path,
            remedy="make the directory writable, or name another file as record; nothing was changed",
        ) from None


def remove_record(path: str) -> None:
    """Remove the record and its directory when nothing else is in it. A record that is not there is no error."""
    try:
        os.unlink(path)
        os.rmdir(os.path.dirname(path))
    except OSError:
        return


def remember(path: str, plan: Plan, node: Node) -> None:
    """Record the PFs that the plan is about to change for the first time."""
    found = read_record(path)
    more = found.with_pfs_of(plan, node)
    if more != found:
        write_record(path, more)


def plan_restoration(found: Found, node: Node, when_in_use: str = "fail") -> Plan:
    """The plan back to what was found. PFs that have gone since are left out; raises RefusedError while a VF is in use."""
    present = [
        replace(target, when_in_use=when_in_use) for target in found.targets.values() if node.qat_at(target.address)
    ]
    plan = plan_node(present, node, found.given)
    vfio = node.vfio_pci
    freed = {step.device for step in plan.steps if step.action is Action.UNBIND} | {
        address for step in plan.steps for address in step.disrupts
    }
    if found.targets and not found.vfio_pci_loaded and vfio.module is not None and not set(vfio.bound) - freed:
        unload = Step(Action.UNLOAD_MODULE, vfio.module.name, "loaded", "not loaded", "it was not loaded before")
        return Plan((*plan.steps, unload), plan.skipped)
    return plan


def _entry(target: PfTarget) -> dict[str, t.Any]:
    return {
        "services": None if target.services is None else sorted(target.services),
        "state": target.state,
        "driven": target.driven,
        "drivers_autoprobe": target.autoprobe,
        "vfs": [
            {"driver": binding.driver, "driver_override": binding.override}
            # A VF that was not there had no driver; the place of each in the list is its index.
            for binding in (target.bindings.get(index, Binding(None, None)) for index in range(target.vf_count or 0))
        ],
    }


def _target(address: str, path: str, entry: t.Mapping[str, t.Any]) -> PfTarget:
    services = entry["services"]
    return PfTarget(
        address=address,
        where=path,
        services=None if services is None else frozenset(services),
        vf_count=len(entry["vfs"]),
        bindings={index: Binding(vf["driver"], vf["driver_override"]) for index, vf in enumerate(entry["vfs"])},
        autoprobe=entry["drivers_autoprobe"],
        state=entry["state"],
        driven=entry["driven"],
    )
