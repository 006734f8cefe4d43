# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was asked of kubelet, compared with what it says is in force. Decisions only.

Kubelet reports by /configz, as `{"kubeletconfig": KubeletConfiguration}` in the form of v1beta1, or of v1alpha1 on 1.9, whose names are the
same: the file, its drop-ins and the flags together, with defaults, but of feature gates only those that something sets (initConfigz in
cmd/kubelet/app/server.go).
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, field

from .._kubelet.fields import BY_NAME, GATES_FIELD, Kind, read
from .._node.errors import ConfigurationError, NodeError
from .._node.printable import printable, shortened
from .quantity import parse_number

COMMAND_LINE = "kubelet's command line"
DEFAULT = "kubelet's own default"
_UNSEEN = "an argument or a file that is not seen here"
# Kubelet overwrites these by the number of CPUs in reservedSystemCPUs, in what it reports too (run in cmd/kubelet/app/server.go).
_RESERVED_CPUS = "reservedSystemCPUs"
_OVERWRITTEN = ("kubeReserved.cpu", "systemReserved.cpu")
# What every KubeletConfiguration of v1beta1 has in JSON, with no other type's name for it.
_ALWAYS_THERE = "syncFrequency"


@dataclass(frozen=True)
class Said:
    """What one place says of a field."""

    where: str
    value: t.Any


@dataclass(frozen=True)
class Asked:
    """A field, or `field.entry`, and what it should be. Travels as JSON.

    `where` is the layer that says so, empty for none. `unsaid` is what holds where kubelet does not mention it, and `group` the gate
    that decides where a gate is not mentioned. `others` are the places that may be in force instead, the likeliest first.
    """

    field: str
    wanted: t.Any
    where: str = ""
    unsaid: t.Any = None
    group: str = ""
    others: tuple[Said, ...] = ()

    @classmethod
    def of(cls, document: t.Mapping[str, t.Any]) -> Asked:
        """Of what `as_dict` gave."""
        return cls(**{**document, "others": tuple(Said(**other) for other in document["others"])})

    def as_dict(self) -> dict[str, t.Any]:
        """For a module's result."""
        return {**asdict(self), "others": [asdict(other) for other in self.others]}


@dataclass(frozen=True)
class Difference:
    """A field that is not in force as asked, and the layer that may have won."""

    field: str
    wanted: t.Any
    in_force: t.Any
    where: str
    layer: str

    def sentence(self) -> str:
        """In words, without a full stop."""
        says = f", which {self.where} says" if self.where else ""
        found, wanted = shown(self.in_force), shown(self.wanted)
        return f"{self.field} is {found} in force and not {wanted}{says}; it may come from {self.layer}"


@dataclass(frozen=True)
class InForce:
    """What came of it. `reason` says why it is not verified."""

    verified: bool = False
    reason: str = ""
    differences: tuple[Difference, ...] = field(default=())

    def as_dict(self) -> dict[str, t.Any]:
        """For a module's result."""
        return {**asdict(self), "differences": [asdict(one) for one in self.differences]}


class NotInForceError(NodeError):
    """Kubelet runs with another configuration than the one that was asked for."""

    def __init__(self, node: str, differences: t.Sequence[Difference]) -> None:
        said = ", and ".join(one.sentence() for one in differences)
        super().__init__(said, f"kubelet of {node}", "see what kubelet is started with, and restart it")
        self.in_force = InForce(False, said, tuple(differences))


def reported_by(answer: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The fields of the table, in their normal form, in what /configz answers. Raises NodeError for what is something else."""
    configuration = answer.get("kubeletconfig")
    if not isinstance(configuration, dict) or _ALWAYS_THERE not in configuration:
        raise NodeError(
            "what it answers is no KubeletConfiguration of v1beta1", "/configz", "see what answers in kubelet's place"
        )
    there = (one for one in BY_NAME.values() if configuration.get(one.name) is not None)
    try:
        return {one.name: read(one, configuration[one.name], f"/configz: {one.name}") for one in there}
    except ConfigurationError as error:
        raise NodeError(error.problem, error.where, "see what answers in kubelet's place") from None


def compare(asked: t.Iterable[Asked], reported: t.Mapping[str, t.Any]) -> tuple[Difference, ...]:
    """What is not in force as asked."""
    found = []
    for one in asked:
        if one.field in _OVERWRITTEN and reported.get(_RESERVED_CPUS):
            continue
        value, decided_by = _in_force(one, reported)
        if not alike(one.field, one.wanted, value):
            layer = decided_by or _likely(one, value)
            found.append(Difference(one.field, one.wanted, _clipped(value), one.where, layer))
    return tuple(found)


def _in_force(one: Asked, reported: t.Mapping[str, t.Any]) -> tuple[t.Any, str]:
    """The value, and the gate of many gates that has decided it, empty for none."""
    name, dot, entry = one.field.partition(".")
    value = reported.get(name)
    if not dot:
        return (one.unsaid if value is None else value), ""
    entries = value if isinstance(value, dict) else {}
    if name == GATES_FIELD and entry not in entries and one.group in entries:
        return entries[one.group], f"{GATES_FIELD}.{one.group}"
    return entries.get(entry, one.unsaid), ""


def _likely(one: Asked, value: t.Any) -> str:
    for other in one.others:
        if alike(one.field, other.value, value):
            return other.where
    if alike(one.field, one.unsaid, value):
        return DEFAULT
    return _UNSEEN if one.where == COMMAND_LINE else COMMAND_LINE


def alike(field: str, first: t.Any, second: t.Any) -> bool:
    """Whether two values of a field, or of `field.entry`, mean the same to kubelet."""
    kind = BY_NAME[field.partition(".")[0]].kind
    if first is None or second is None or isinstance(first, bool) or isinstance(second, bool):
        return first is second
    return bool(_comparable(kind, first) == _comparable(kind, second))


def _comparable(kind: Kind, value: t.Any) -> t.Any:
    """Equal for two spellings that mean the same to kubelet."""
    if kind is Kind.QUANTITIES:
        return _number(value)
    if kind is Kind.CPUS:
        return _cpus(str(value))
    if kind is Kind.NUMA_MEMORY:
        return _numa_memory(value)
    return str(value)


def _number(value: t.Any) -> t.Any:
    text = str(value).strip()
    try:
        return (parse_number(text[:-1]), "%") if text.endswith("%") else (parse_number(text), "")
    except ValueError:
        return text


def _cpus(text: str) -> t.Any:
    """The ranges, in order and joined where they touch."""
    ranges: list[list[int]] = []
    try:
        pairs = sorted(
            (int(first), int(last or first)) for first, _dash, last in (part.partition("-") for part in text.split(","))
        )
    except ValueError:
        return text
    for first, last in pairs:
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1][1] = max(ranges[-1][1], last)
        else:
            ranges.append([first, last])
    return ranges


def _numa_memory(value: t.Any) -> t.Any:
    """By node and kind of memory, whatever their order."""
    try:
        limits = [
            ((int(entry["numaNode"]), name), _number(limit))
            for entry in value
            for name, limit in entry["limits"].items()
        ]
        return sorted(limits, key=lambda one: one[0])
    except (TypeError, KeyError, ValueError, AttributeError):
        return value


def _clipped(value: t.Any) -> t.Any:
    """Kubelet may say anything, of any length."""
    return value if value is None or isinstance(value, bool) else printable(shortened(shown(value), 200))


def shown(value: t.Any) -> str:
    """A value in a sentence."""
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value)
