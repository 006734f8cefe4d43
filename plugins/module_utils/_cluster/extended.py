# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Extended resources in a node's status: what to patch, who owns a name, and whether kubelet has followed. Decisions only.

Kubelet copies capacity to allocatable at its next look at its own status, so allocatable is never patched
(k8s.io/kubernetes pkg/kubelet/nodestatus/setters.go, MachineInfo). The same look writes the capacity of every resource of a device
plugin, so a name that a plugin has cannot be patched for longer than that.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._node.errors import ConfigurationError, NodeError, RefusedError
from .objects import Object, writers
from .quantity import check_name, parse_quantity

_KUBELETS = frozenset({"kubelet", "k3s", "k3s-agent", "rke2", "kubelite"})
"""The field managers of kubelet in the usual distributions; the first word of its User-Agent."""

RESTART = (
    "kubelet keeps {names} over its restarts as long as it has its device-manager checkpoint; where that is gone, as after a "
    "new installation of the node, its start sets them to 0 until this is run again"
)


@dataclass(frozen=True)
class Wanted:
    """What the capacity of a resource should be; None that it is not there. `where` is the place in the module's arguments."""

    name: str
    quantity: int | None
    where: str


@dataclass(frozen=True)
class Change:
    """A resource whose capacity differs. None stands for one that is not there."""

    name: str
    before: int | None
    after: int | None


def parse_wanted(entries: t.Sequence[Object]) -> tuple[Wanted, ...]:
    """The entries `{name, quantity, state}` of the module; raises ConfigurationError."""
    found: dict[str, Wanted] = {}
    for index, entry in enumerate(entries):
        where = f"resources[{index}]"
        name = str(entry["name"])
        check_name(name, f"{where}.name")
        if name in found:
            raise ConfigurationError(
                f"{name} is named by {found[name].where} too", where=f"{where}.name", remedy="keep one of the two"
            )
        found[name] = Wanted(name, _quantity(entry, where), where)
    return tuple(found.values())


def _quantity(entry: Object, where: str) -> int | None:
    quantity = entry.get("quantity")
    if entry.get("state") == "absent":
        if quantity is not None:
            raise ConfigurationError(
                "a resource that should be absent has no quantity", where=f"{where}.quantity", remedy="remove it"
            )
        return None
    if quantity is None:
        raise ConfigurationError("the key is missing", where=f"{where}.quantity", remedy="add it")
    try:
        return parse_quantity(quantity)
    except ValueError as error:
        raise ConfigurationError(str(error), where=f"{where}.quantity", remedy="correct it") from None


def amount(node: Object, kind: str, name: str) -> int | None:
    """How much of a resource the node's `capacity` or `allocatable` has; None where it does not name it."""
    text = (node.get("status", {}).get(kind) or {}).get(name)
    return None if text is None else parse_quantity(text)


def changes_of(wanted: t.Iterable[Wanted], node: Object) -> tuple[Change, ...]:
    """What differs from the node's capacity."""
    found = ((one, amount(node, "capacity", one.name)) for one in wanted)
    return tuple(Change(one.name, before, one.quantity) for one, before in found if before != one.quantity)


def refuse_owned(wanted: t.Iterable[Wanted], changes: t.Iterable[Change], node: Object) -> None:
    """Raise RefusedError for the first change of a resource that a device plugin of the node has."""
    changed = {change.name for change in changes}
    for one in wanted:
        if one.name in changed and plugin_has(node, one.name):
            raise RefusedError(
                f"a device plugin on {name_of(node)} has {one.name}, kubelet itself wrote its capacity of "
                f"{amount(node, 'capacity', one.name)} and would write it again",
                where=one.where,
                remedy="choose another name, or stop that device plugin and wait until the capacity is 0",
            )


def plugin_has(node: Object, name: str) -> bool:
    """Whether a device plugin has a resource now, as far as the API shows: kubelet wrote the capacity last, and it is not 0.

    Kubelet writes 0 for a plugin that has left, and at its start where its checkpoint is gone; such a name is free. API servers
    before 1.18 do not record who wrote what: there this is always false, and `overwritten` finds out after the patch.
    """
    return bool(amount(node, "capacity", name)) and bool(
        writers(node, "f:status", "f:capacity", "f:" + name) & _kubelets(node)
    )


def _kubelets(node: Object) -> frozenset[str]:
    """The field managers that are this node's kubelet: those of the heartbeat, which nobody else writes, and the usual names."""
    heartbeat = writers(node, "f:status", "f:conditions", 'k:{"type":"MemoryPressure"}', "f:lastHeartbeatTime")
    return heartbeat | _KUBELETS


def patch_of(changes: t.Iterable[Change], node: Object) -> list[dict[str, str | dict[str, str]]]:
    """The JSON patch (RFC 6902) of the node's status. The API server refuses it as a whole if a removed one has gone meanwhile."""
    operations: list[dict[str, str | dict[str, str]]] = []
    if not isinstance(node.get("status", {}).get("capacity"), dict):
        operations.append({"op": "add", "path": "/status/capacity", "value": {}})
    for change in changes:
        path = "/status/capacity/" + escaped(change.name)
        if change.after is None:
            operations.append({"op": "remove", "path": path})
        else:
            operations.append({"op": "add", "path": path, "value": str(change.after)})
    return operations


def escaped(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def difference(changes: t.Iterable[Change]) -> dict[str, t.Any]:
    """What diff mode shows."""
    pairs = tuple(changes)
    return {
        "before": {"capacity": {change.name: str(change.before) for change in pairs if change.before is not None}},
        "after": {"capacity": {change.name: str(change.after) for change in pairs if change.after is not None}},
    }


def missing(wanted: t.Iterable[Wanted], node: Object) -> list[str]:
    """What of the node's allocatable is not as wanted yet, in words."""
    found = ((one, amount(node, "allocatable", one.name)) for one in wanted)
    return [
        f"{one.name} is {'not there' if now is None else now} and should be "
        f"{'gone' if one.quantity is None else one.quantity}"
        for one, now in found
        if now != one.quantity
    ]


def refuse_overwritten(wanted: t.Iterable[Wanted], node: Object) -> None:
    """Raise NodeError where somebody has changed the capacity since it was patched."""
    for one in wanted:
        now = amount(node, "capacity", one.name)
        if now != one.quantity:
            raise NodeError(
                f"the capacity of {one.name} on {name_of(node)} was patched to "
                f"{'be gone' if one.quantity is None else one.quantity} and is {'gone' if now is None else now} by now",
                where=one.where,
                remedy="a device plugin of the node has this name, or somebody else patches it; choose another name",
            )


def name_of(node: Object) -> str:
    """The node's name."""
    return str(node["metadata"]["name"])


def ready_problem(node: Object) -> str:
    """Why the node is not Ready, in the words of the API; empty when it is."""
    for condition in node.get("status", {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") != "True":
            return str(condition.get("message") or condition.get("reason") or "it does not say why")
    return ""
