# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values with which kubelet does not start, and of which it cannot be asked: it looks at them only where the proof ends it.

Sources: pkg/kubelet/cm of 1.34 to 1.37 (cpumanager, memorymanager, topologymanager), pkg/kubelet/eviction/helpers.go,
parseResourceList in cmd/kubelet/app/server.go, and pkg/kubelet/apis/config/validation.
"""

from __future__ import annotations

import re
import typing as t
from fractions import Fraction

from ansible_collections.accel.qat.plugins.module_utils._cluster.quantity import parse_number
from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import (
    CGROUPS_OF_RESERVED,
    EVICTION_FIELD,
    FAIL_CGROUP_V1,
    GATES_FIELD,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.gates import NEWEST_MINOR, find_gate
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError

_FAILS_ON_CGROUP_V1_SINCE = 35
_RESERVED = ("kubeReserved", "systemReserved")
_RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")
_SIGNALS = (
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "allocatableMemory.available",
    "pid.available",
)
# What stands for no threshold.
_NO_THRESHOLD = ("0%", "100%")
_MOST_NUMA_NODES = "max-allowable-numa-nodes"
# With no more NUMA nodes kubelet starts whatever that option says, which may not say less (defaultMaxAllowableNUMANodes).
_LEAST_NUMA_NODES = 8
# What kubelet reads as a number of 64 bits (Atoi of Go).
_NUMBER = re.compile(r"\+?[0-9]{1,18}")
_YES = ("1", "t", "T", "true", "TRUE", "True")
_NO = ("0", "f", "F", "false", "FALSE", "False")
_STABLE, _BETA, _ALPHA = "", "Beta", "Alpha"

# Of each option the first kubelet of each level; the gates are called after the levels.
_Levels = t.Mapping[int, str]
_CPU_OPTIONS: t.Mapping[str, _Levels] = {
    "full-pcpus-only": {22: _STABLE, 23: _BETA, 33: _STABLE},
    "distribute-cpus-across-numa": {23: _ALPHA, 33: _BETA},
    "align-by-socket": {25: _ALPHA},
    "distribute-cpus-across-cores": {31: _ALPHA},
    "strict-cpu-reservation": {32: _ALPHA, 33: _BETA, 35: _STABLE},
    "prefer-align-cpus-by-uncorecache": {32: _ALPHA, 34: _BETA, 36: _STABLE},
}
_TOPOLOGY_OPTIONS: t.Mapping[str, _Levels] = {
    "prefer-closest-numa-nodes": {26: _ALPHA, 28: _BETA, 32: _STABLE},
    _MOST_NUMA_NODES: {31: _BETA, 35: _STABLE},
}
# Which of the CPU manager's options exclude each other.
_EITHER_OR = (
    ("full-pcpus-only", "distribute-cpus-across-cores"),
    ("distribute-cpus-across-numa", "distribute-cpus-across-cores"),
    ("prefer-align-cpus-by-uncorecache", "distribute-cpus-across-cores"),
    ("prefer-align-cpus-by-uncorecache", "distribute-cpus-across-numa"),
)


class Wanted(t.NamedTuple):
    """The fields as they would be in force, on a kubelet 1.`minor`. `thresholds` are the hard ones, with those that are unsaid.

    `numa_nodes` is how many the node has, 0 where that cannot be seen.
    """

    fields: t.Mapping[str, t.Any]
    thresholds: t.Mapping[str, t.Any]
    minor: int
    numa_nodes: int = 0
    where: str = "configuration"

    def refusal(self, problem: str, field: str, remedy: str) -> ConfigurationError:
        """That kubelet does not start so."""
        return ConfigurationError(f"kubelet does not start with {problem}", f"{self.where}.{field}", remedy)

    @property
    def reserved_memory(self) -> list[t.Any]:
        """What NUMA nodes reserve; what is no such list in a file of others is for kubelet to refuse."""
        found = self.fields.get("reservedMemory")
        entries = found if isinstance(found, list) else []
        sound = all(isinstance(entry, dict) and isinstance(entry.get("limits"), dict) for entry in entries)
        return entries if sound else []

    def is_on(self, gate: str) -> bool:
        """Whether a gate of the table is on."""
        known = find_gate(gate)
        if known is None or not known.known_to(self.minor):
            return known is not None and known.since <= self.minor
        named = self.fields.get(GATES_FIELD, {})
        return bool(named.get(gate, known.default(self.minor, named)))


def require_start(wanted: Wanted, before: t.Mapping[str, t.Any]) -> None:
    """Refuse what of the changes against `before` kubelet would not start with. Raises ConfigurationError."""
    for check, involved in _CHECKS:
        if any(wanted.fields.get(name) != before.get(name) for name in involved):
            check(wanted)


def fails_on_cgroup_v1(fields: t.Mapping[str, t.Any], minor: int) -> bool:
    """Whether a kubelet with these fields does not start on a node with cgroup v1."""
    return fields.get(FAIL_CGROUP_V1, minor >= _FAILS_ON_CGROUP_V1_SINCE) is True


def require_cgroups_taken(fields: t.Mapping[str, t.Any], minor: int, cgroup: str) -> None:
    """Refuse a node with cgroup v1 for a kubelet that fails there. Raises ConfigurationError."""
    if cgroup == "v1" and fails_on_cgroup_v1(fields, minor):
        raise ConfigurationError(
            f"kubelet 1.{minor} does not start on a node with cgroup v1, unless {FAIL_CGROUP_V1} is false",
            f"configuration.{FAIL_CGROUP_V1}",
            "boot the node with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or set it to false",
        )


def require_cpus_reserved(wanted: Wanted) -> None:
    """What the policy static takes."""
    if wanted.fields.get("cpuManagerPolicy") != "static" or wanted.fields.get("reservedSystemCPUs"):
        return
    if not _sum(wanted.fields.get(name, {}).get("cpu") for name in _RESERVED):
        raise wanted.refusal(
            "static and no CPU reserved",
            "cpuManagerPolicy",
            "set reservedSystemCPUs, or cpu in kubeReserved or systemReserved",
        )


def require_memory_reserved(wanted: Wanted) -> None:
    """What the policy Static takes."""
    if wanted.fields.get("memoryManagerPolicy") == "Static" and not wanted.fields.get("reservedMemory"):
        raise wanted.refusal("Static and no memory reserved", "memoryManagerPolicy", "set reservedMemory")


def _require_memory_adds_up(wanted: Wanted) -> None:
    require_memory_reserved(wanted)
    reserved = wanted.reserved_memory
    if wanted.fields.get("memoryManagerPolicy") != "Static" or not reserved:
        return
    threshold = str(wanted.thresholds.get("memory.available", "0"))
    threshold = "0" if threshold in _NO_THRESHOLD else threshold
    names = {name for entry in reserved for name in entry["limits"]}
    names |= {name for field in _RESERVED for name in wanted.fields.get(field, {}) if _is_memory(name)} | {"memory"}
    for name in sorted(names):
        # What a percentage comes to is for the node to say.
        if name == "memory" and threshold.endswith("%"):
            continue
        kept = [
            *(wanted.fields.get(field, {}).get(name) for field in _RESERVED),
            threshold if name == "memory" else None,
        ]
        total, of_nodes = _sum(kept), _sum(entry["limits"].get(name) for entry in reserved)
        if total != of_nodes:
            where = (
                "kubeReserved, systemReserved and evictionHard memory.available"
                if name == "memory"
                else "kubeReserved and systemReserved"
            )
            raise wanted.refusal(
                f"{_shown(of_nodes)} of {name} in reservedMemory and {_shown(total)} in {where} together",
                "reservedMemory",
                "make both sums equal",
            )


def _require_reserved_memory_sound(wanted: Wanted) -> None:
    seen: set[tuple[t.Any, str]] = set()
    for entry in wanted.reserved_memory:
        for name, limit in entry["limits"].items():
            node = str(entry.get("numaNode"))
            if not _is_memory(name):
                raise wanted.refusal(f"{name} in it", "reservedMemory", "write memory or hugepages-SIZE")
            if not _sum([limit]):
                raise wanted.refusal(f"no {name} of NUMA node {node} in it", "reservedMemory", "leave it out")
            if (node, name) in seen:
                raise wanted.refusal(f"{name} of NUMA node {node} in it twice", "reservedMemory", "leave one of them")
            seen.add((node, name))


def _require_reservable(wanted: Wanted) -> None:
    for field in _RESERVED:
        for name in wanted.fields.get(field, {}):
            if name not in _RESERVABLE:
                raise wanted.refusal(
                    f"{name} in it", f"{field}.{name}", f"write one of {', '.join(_RESERVABLE)}, or leave it out"
                )


def _require_thresholds_taken(wanted: Wanted) -> None:
    for name, value in wanted.fields.get(EVICTION_FIELD, {}).items():
        place, text = f"{EVICTION_FIELD}.{name}", str(value)
        if name not in _SIGNALS and wanted.minor <= NEWEST_MINOR:
            raise wanted.refusal(f"a threshold of {name}", place, f"write one of {', '.join(_SIGNALS)}")
        if text.endswith("%") and _sum([text[:-1]]) > 100:
            raise wanted.refusal(f"{text} there", place, "write at most 100%")
        if not text.endswith("%") and not _sum([text]):
            raise wanted.refusal(f"{text} there", place, "write more, or 0% for no threshold")


def _require_cgroups_left(wanted: Wanted) -> None:
    cgroups = [name for name in CGROUPS_OF_RESERVED if wanted.fields.get(name)]
    if wanted.fields.get("reservedSystemCPUs") and cgroups:
        raise wanted.refusal(
            f"reservedSystemCPUs beside {cgroups[0]}",
            "reservedSystemCPUs",
            f"reserve CPUs by kubeReserved and systemReserved, or remove {cgroups[0]}",
        )


def _require_cpu_options_taken(wanted: Wanted) -> None:
    field = "cpuManagerPolicyOptions"
    options = wanted.fields.get(field) or {}
    if options and wanted.fields.get("cpuManagerPolicy", "none") != "static":
        raise wanted.refusal(
            "options without the policy static", field, "set cpuManagerPolicy to static, or leave them out"
        )
    _require_options_known(wanted, field, options, _CPU_OPTIONS, "CPUManagerPolicy")
    for name, value in options.items():
        _require_switch(wanted, field, name, value)
    for one, other in _EITHER_OR:
        if options.get(one) in _YES and options.get(other) in _YES:
            raise wanted.refusal(f"{one} and {other} at once", field, "leave one of them out")
    if options.get("align-by-socket") in _YES and wanted.fields.get("topologyManagerPolicy") == "single-numa-node":
        raise wanted.refusal(
            "align-by-socket and topologyManagerPolicy single-numa-node at once", field, "leave one of them out"
        )


def _require_topology_options_taken(wanted: Wanted) -> None:
    field = "topologyManagerPolicyOptions"
    options = wanted.fields.get(field) or {}
    _require_options_known(wanted, field, options, _TOPOLOGY_OPTIONS, "TopologyManagerPolicy")
    for name, value in options.items():
        if name != _MOST_NUMA_NODES:
            _require_switch(wanted, field, name, value)
        elif not (_NUMBER.fullmatch(str(value)) and int(value) >= _LEAST_NUMA_NODES):
            raise wanted.refusal(
                f"{value!r} there", f"{field}.{name}", f"write a number of at least {_LEAST_NUMA_NODES}"
            )


def _require_numa_nodes_taken(wanted: Wanted) -> None:
    field = "topologyManagerPolicy"
    policy = wanted.fields.get(field) or "none"
    if policy == "none" or not wanted.is_on("TopologyManager"):
        return
    options = wanted.fields.get("topologyManagerPolicyOptions") or {}
    named = str(options.get(_MOST_NUMA_NODES, _LEAST_NUMA_NODES))
    if _NUMBER.fullmatch(named) and wanted.numa_nodes > int(named):
        has_option = wanted.minor >= min(_TOPOLOGY_OPTIONS[_MOST_NUMA_NODES])
        more = f"set {_MOST_NUMA_NODES} in topologyManagerPolicyOptions to {wanted.numa_nodes} or more, or "
        raise wanted.refusal(
            f"the policy {policy} and {wanted.numa_nodes} NUMA nodes where {int(named)} are allowed",
            field,
            f"{more if has_option else ''}leave the policy at none",
        )


def _require_options_known(
    wanted: Wanted, field: str, options: t.Mapping[str, t.Any], known: t.Mapping[str, _Levels], gates: str
) -> None:
    if options and not wanted.is_on(f"{gates}Options"):
        raise wanted.refusal(
            f"options and the gate {gates}Options off", field, f"set {gates}Options to true, or leave them out"
        )
    for name in options:
        levels = [level for since, level in known.get(name, {}).items() if since <= wanted.minor]
        if not levels and (wanted.minor <= NEWEST_MINOR or name in known):
            there = [option for option, since in known.items() if min(since) <= wanted.minor]
            raise wanted.refusal(
                f"an option that 1.{wanted.minor} does not have", f"{field}.{name}", f"write one of {', '.join(there)}"
            )
        gate = f"{gates}{levels[-1]}Options" if levels and levels[-1] else ""
        if gate and not wanted.is_on(gate):
            raise wanted.refusal(
                f"an option that is {levels[-1].lower()} and the gate {gate} off",
                f"{field}.{name}",
                f"set {gate} to true, or leave it out",
            )


def _require_switch(wanted: Wanted, field: str, name: str, value: str) -> None:
    if value not in (*_YES, *_NO) and name in (*_CPU_OPTIONS, *_TOPOLOGY_OPTIONS):
        raise wanted.refusal(f"{value!r} there", f"{field}.{name}", "write true or false")


def _is_memory(name: str) -> bool:
    return name == "memory" or name.startswith("hugepages-")


def _sum(quantities: t.Iterable[t.Any]) -> Fraction:
    """All of them; what kubelet cannot read either is nothing."""
    total = Fraction(0)
    for quantity in quantities:
        try:
            total += Fraction(0) if quantity is None else parse_number(quantity)
        except ValueError:
            continue
    return total


def _shown(number: Fraction) -> str:
    for suffix, power in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if number and (number / 2**power).denominator == 1:
            return f"{number / 2**power}{suffix}"
    return str(number)


_MEMORY = ("memoryManagerPolicy", "reservedMemory", *_RESERVED, EVICTION_FIELD)
_OPTIONS = ("topologyManagerPolicy", GATES_FIELD)
_CHECKS: tuple[tuple[t.Callable[[Wanted], None], tuple[str, ...]], ...] = (
    (require_cpus_reserved, ("cpuManagerPolicy", "reservedSystemCPUs", *_RESERVED)),
    (_require_reserved_memory_sound, ("reservedMemory",)),
    (_require_reservable, _RESERVED),
    (_require_thresholds_taken, (EVICTION_FIELD,)),
    (_require_memory_adds_up, _MEMORY),
    (_require_cgroups_left, ("reservedSystemCPUs",)),
    (_require_cpu_options_taken, ("cpuManagerPolicy", "cpuManagerPolicyOptions", *_OPTIONS)),
    (_require_topology_options_taken, ("topologyManagerPolicyOptions", *_OPTIONS)),
    (_require_numa_nodes_taken, ("topologyManagerPolicyOptions", *_OPTIONS)),
)
