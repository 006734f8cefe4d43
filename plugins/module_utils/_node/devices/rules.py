# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The desired state: one schema for inventory, node.json, module arguments and the device plugin.

`SCHEMA` is JSON Schema (draft 2020-12, the few keywords that `check` knows). `parse_configuration` turns a document into rules.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from ..absence import is_absent
from ..errors import ConfigurationError, remedy_for
from ..facts.families import FAMILY_NAMES, PF_DRIVERS
from ..facts.pci import VFIO_DRIVERS, VFIO_PCI, normal_address
from ..facts.services import SERVICES
from ..files import read_whole

WHEN_IN_USE = ("fail", "skip", "force")
STATES = ("present", "absent")
CONTAINER, VM = "container", "vm"
ATTACH = (CONTAINER, VM)

HOW_TO_WRITE_AN_ADDRESS = 'write a PCI address in quotes, such as "0000:6b:00.0"'
"""To YAML 1.1 0000:31:00.0 is a number of base 60, which nobody finds again in what is malformed."""

DRIVER_PATTERN = "^[A-Za-z0-9_][A-Za-z0-9_-]*$"
"""The name of a driver: a part of a path, and a word for modprobe, to which what begins with - is an option."""

_DEVICE_ID = {"type": "string", "pattern": "^(0x)?[0-9A-Fa-f]{4}$"}
_ADDRESS = {"type": "string", "pattern": "^([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-1][0-9A-Fa-f]\\.[0-7]$"}


def _one_or_more(items: dict[str, t.Any], description: str) -> dict[str, t.Any]:
    return {"oneOf": [items, {"type": "array", "items": items, "minItems": 1}], "description": description}


SELECT: dict[str, t.Any] = {
    "type": "object",
    "description": "Which PFs, and VFs without their PF, the rule is for; each must fit every key given. Without it: all of them.",
    "additionalProperties": False,
    "properties": {
        "address": _one_or_more(_ADDRESS, "PCI addresses of PFs, or of VFs without their PF, such as 0000:6b:00.0."),
        "family": _one_or_more(
            {"type": "string", "enum": list(FAMILY_NAMES)}, "Families, by the name of the PF's driver."
        ),
        "device_id": _one_or_more(
            _DEVICE_ID, "PCI device ids of PFs, such as 4940, or of VFs without their PF, such as 4941."
        ),
        "numa_node": _one_or_more(
            {"type": "integer", "minimum": -1}, "NUMA nodes; -1 is a device that belongs to none."
        ),
        "index": _one_or_more(
            {"type": "integer", "minimum": 0}, "Positions among the node's QAT PFs in the order of their addresses."
        ),
    },
}

RULE: dict[str, t.Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "select": SELECT,
        "state": {
            "type": "string",
            "enum": list(STATES),
            "default": "present",
            "description": "Whether the PF's VFs exist.",
        },
        "services": {
            "type": "array",
            "items": {"type": "string", "enum": list(SERVICES)},
            "minItems": 1,
            "uniqueItems": True,
            "description": "The services of the PF, a set. Left as they are when absent. Only for PFs from Gen4 on. Of a VF without its "
            "PF, and with provision false, a statement that nobody can check.",
        },
        "driver": {
            "type": "string",
            "pattern": DRIVER_PATTERN,
            "default": VFIO_PCI,
            "description": "The driver of the VFs.",
        },
        "vfs": {
            "type": "integer",
            "minimum": 0,
            "description": "How many VFs exist; all when absent. The kernel's drivers create all of them or none.",
        },
        "advertise": {
            "type": "integer",
            "minimum": 0,
            "description": "How many VFs of the PF Kubernetes is offered, the first ones; all when absent. The rest stay for the host.",
        },
        "attach": {
            "type": "string",
            "enum": list(ATTACH),
            "description": (
                "What Kubernetes attaches a VF to: the container that asks for it, as when absent; or the virtual machine that "
                "runs as its pod. Those for VMs are resources of their own, such as qat.intel.com/vm-cy."
            ),
        },
        "provision": {
            "type": "boolean",
            "description": (
                "Whether the device is brought to the rule, as when absent. If false, nothing is written, and the VFs that are there "
                "and have the driver are offered."
            ),
        },
        "noiommu": {
            "type": "boolean",
            "description": (
                "Whether VFIO may give VFs away without an IOMMU, where there is none: whoever has one can read and write all of the "
                "node's memory. Not when absent."
            ),
        },
        "when_in_use": {
            "type": "string",
            "enum": list(WHEN_IN_USE),
            "default": "fail",
            "description": "What happens when a change would take a VF from a process or virtual machine that has it open.",
        },
    },
}

SCHEMA: dict[str, t.Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "accel.qat node configuration",
    "type": "object",
    "additionalProperties": False,
    "required": ["devices"],
    "properties": {
        "devices": {
            "type": "array",
            "items": RULE,
            "maxItems": 500,  # each is compared with each, and no node has so many devices
            "description": "Rules; the first that fits a PF is used.",
        }
    },
}

_LONGEST = 200
"""How much of a wrong value a message shows."""

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
}


@dataclass(frozen=True)
class Select:
    """Which PFs, and VFs without their PF, a rule is for. None means that the key does not matter."""

    addresses: frozenset[str] | None = None
    families: frozenset[str] | None = None
    device_ids: frozenset[int] | None = None
    numa_nodes: frozenset[int] | None = None
    indexes: frozenset[int] | None = None


@dataclass(frozen=True)
class Rule:
    """One rule. `where` is its place in the document; `services`, `vfs` and `advertise` are None when left open."""

    where: str
    select: Select
    state: str = "present"
    services: frozenset[str] | None = None
    driver: str = VFIO_PCI
    vfs: int | None = None
    advertise: int | None = None
    attach: str = CONTAINER
    when_in_use: str = "fail"
    provision: bool = True
    noiommu: bool = False


class NoConfiguration(ConfigurationError):
    """There is no such file."""


class UnseenConfiguration(ConfigurationError):
    """The file is there, and cannot be read now, which says nothing of what is in it."""


def read_rules(path: str, remedy: str) -> tuple[Rule, ...]:
    """The rules of a node.json. Raises ConfigurationError; `remedy` says what to do where the file is not there."""
    try:
        text = read_whole(path).decode()
    except UnicodeDecodeError:
        raise ConfigurationError("is not UTF-8 text", where=path, remedy="correct the file") from None
    except OSError as error:
        if is_absent(error):
            raise NoConfiguration("there is no such file", where=path, remedy=remedy) from None
        raise UnseenConfiguration(
            f"cannot be read: {error.strerror}",
            where=path,
            remedy=remedy_for(error, "see that it is a file"),
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"cannot be read: {error}", where=path, remedy="correct the file") from None
    return parse_json(text, path)


def parse_json(text: str, where: str) -> tuple[Rule, ...]:
    """The rules of a node.json; raises ConfigurationError with the line and column of malformed JSON."""
    try:
        return parse_configuration(json.loads(text, object_pairs_hook=_each_once))
    except RecursionError:
        raise ConfigurationError("is nested too deeply", where=where, remedy="correct the file") from None
    except ValueError as error:
        raise ConfigurationError(f"not valid JSON: {error}", where=where, remedy="correct the file") from None
    except ConfigurationError as error:
        raise ConfigurationError(error.problem, where=f"{where}: {error.where}", remedy=error.remedy) from None


def _each_once(pairs: t.Sequence[tuple[str, t.Any]]) -> dict[str, t.Any]:
    """An object whose keys are given once: of two the latter would count, and the reader see the former."""
    found: dict[str, t.Any] = {}
    for key, value in pairs:
        if key in found:
            raise ConfigurationError("the key is given twice", where=key, remedy="remove one")
        found[key] = value
    return found


def parse_configuration(document: t.Any) -> tuple[Rule, ...]:
    """Checks a document against the schema and for contradictions; raises ConfigurationError naming the place."""
    check(document, SCHEMA, "")
    rules = tuple(_rule(entry, f"devices[{position}]") for position, entry in enumerate(document["devices"]))
    _refuse_dead_rules(rules)
    return rules


def check(value: t.Any, schema: t.Mapping[str, t.Any], where: str) -> None:
    """Raises ConfigurationError at the first place that does not fit; understands the keywords that this file uses."""
    if "oneOf" in schema:
        one, more = schema["oneOf"]
        check(value, more if isinstance(value, (list, tuple)) else one, where)
        return
    _check_type(value, schema["type"], where)
    if schema["type"] == "object":
        _check_object(value, schema, where)
    elif schema["type"] == "array":
        _check_array(value, schema, where)
    elif schema["type"] == "integer" and value < schema.get("minimum", value):
        raise ConfigurationError(f"{value} is too small", where=where, remedy=f"use {schema['minimum']} or more")
    elif "enum" in schema and value not in schema["enum"]:
        raise ConfigurationError(
            f"{value!r} is not known",
            where=where,
            remedy=f"use one of {', '.join(str(one) for one in schema['enum'])}",
        )
    elif "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise ConfigurationError(f"{value!r} is malformed", where=where, remedy=_example(schema))


def _example(schema: t.Mapping[str, t.Any]) -> str:
    if schema is _ADDRESS:
        return HOW_TO_WRITE_AN_ADDRESS
    if schema is _DEVICE_ID:
        return 'write four hexadecimal digits in quotes, such as "4940"'
    return "use letters, digits, - and _"


def _check_type(value: t.Any, name: str, where: str) -> None:
    if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and name == "integer"):
        article = "an" if name[0] in "aio" else "a"
        raise ConfigurationError(
            f"{_shown(value)} is not {article} {name}",
            where=where or "the document",
            remedy="correct it",
        )


def _shown(value: t.Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _check_object(value: t.Mapping[str, t.Any], schema: t.Mapping[str, t.Any], where: str) -> None:
    known = schema["properties"]
    for key in value:
        if key not in known:
            raise ConfigurationError(
                "unknown key", where=_below(where, str(key)), remedy=f"known here are {', '.join(known)}"
            )
    for key in schema.get("required", ()):
        if key not in value:
            raise ConfigurationError("the key is missing", where=_below(where, key), remedy="add it")
    for key, entry in value.items():
        check(entry, known[key], _below(where, key))


def _check_array(value: t.Sequence[t.Any], schema: t.Mapping[str, t.Any], where: str) -> None:
    if len(value) < schema.get("minItems", 0):
        raise ConfigurationError("the list is empty", where=where, remedy="name at least one, or leave the key out")
    if len(value) > schema.get("maxItems", len(value)):
        raise ConfigurationError(
            f"{len(value)} entries are too many", where=where, remedy=f"use at most {schema['maxItems']}"
        )
    for position, entry in enumerate(value):
        place = f"{where}[{position}]"
        check(entry, schema["items"], place)
        if schema.get("uniqueItems") and entry in value[:position]:
            raise ConfigurationError(f"{entry!r} is given twice", where=place, remedy="name it once")


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _rule(entry: t.Mapping[str, t.Any], where: str) -> Rule:
    services = entry.get("services")
    rule = Rule(
        where=where,
        select=_select(entry.get("select", {})),
        state=entry.get("state", "present"),
        services=None if services is None else frozenset(services),
        driver=entry.get("driver", VFIO_PCI),
        vfs=entry.get("vfs"),
        advertise=entry.get("advertise"),
        attach=entry.get("attach", CONTAINER),
        when_in_use=entry.get("when_in_use", "fail"),
        provision=entry.get("provision", True),
        noiommu=entry.get("noiommu", False),
    )
    _refuse_contradictions(rule)
    return rule


def _select(entry: t.Mapping[str, t.Any]) -> Select:
    def chosen(key: str, normal: t.Callable[[t.Any], t.Any]) -> frozenset[t.Any] | None:
        if key not in entry:
            return None
        values = entry[key] if isinstance(entry[key], (list, tuple)) else [entry[key]]
        return frozenset(normal(value) for value in values)

    return Select(
        addresses=chosen("address", normal_address),
        families=chosen("family", str),
        device_ids=chosen("device_id", lambda text: int(text, 16)),
        numa_nodes=chosen("numa_node", int),
        indexes=chosen("index", int),
    )


def _refuse_contradictions(rule: Rule) -> None:
    if rule.driver in PF_DRIVERS:
        raise ConfigurationError(
            f"{rule.driver} is the driver of PFs, and a VF needs another",
            where=rule.where + ".driver",
            remedy="leave it out for vfio-pci, or name a driver of VFs",
        )
    if rule.attach == VM and rule.driver not in VFIO_DRIVERS:
        raise ConfigurationError(
            f"a VF with the driver {rule.driver} cannot be attached to a virtual machine",
            where=rule.where + ".driver",
            remedy="leave it out for vfio-pci, or remove attach",
        )
    if rule.attach == VM and rule.noiommu:
        raise ConfigurationError(
            "without an IOMMU a VF cannot be attached to a virtual machine",
            where=rule.where + ".noiommu",
            remedy="remove noiommu, or remove attach",
        )
    if not rule.provision:
        _refuse_writes(rule)
    if rule.state == "absent" and rule.vfs:
        raise ConfigurationError(
            f"{rule.vfs} VFs contradict state absent",
            where=rule.where + ".vfs",
            remedy="remove vfs, or set state to present",
        )
    vfs = 0 if rule.state == "absent" else rule.vfs
    if rule.advertise and vfs is not None and rule.advertise > vfs:
        raise ConfigurationError(
            f"{rule.advertise} VFs cannot be advertised where {vfs} exist",
            where=rule.where + ".advertise",
            remedy=f"advertise at most {vfs}",
        )


def _refuse_writes(rule: Rule) -> None:
    """A device that is not provisioned stays as it is."""
    asked = {"state": rule.state == "absent", "vfs": rule.vfs is not None, "noiommu": rule.noiommu}
    for key in (key for key, is_asked in asked.items() if is_asked):
        raise ConfigurationError(
            f"{key} contradicts provision false, by which nothing is written",
            where=f"{rule.where}.{key}",
            remedy=f"remove {key}, or set provision to true",
        )


def _refuse_dead_rules(rules: t.Sequence[Rule]) -> None:
    """A rule that no PF can ever reach contradicts the rule before it, which has taken its PFs."""
    for position, rule in enumerate(rules):
        for earlier in rules[:position]:
            if _covers(earlier.select, rule.select):
                raise ConfigurationError(
                    f"the rule is never used: {earlier.where} takes every PF that it selects",
                    where=rule.where,
                    remedy="put the narrower rule first, or remove one",
                )


def _covers(wide: Select, narrow: Select) -> bool:
    pairs = (
        (wide.addresses, narrow.addresses),
        (wide.families, narrow.families),
        (wide.device_ids, narrow.device_ids),
        (wide.numa_nodes, narrow.numa_nodes),
        (wide.indexes, narrow.indexes),
    )
    return all(first is None or (second is not None and second <= first) for first, second in pairs)
