# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fields of KubeletConfiguration that the collection sets: their values, their flags, and what a change of them takes.

Source: kubelet.config.k8s.io/v1beta1, and cmd/kubelet/app/options of the releases for the flags, with the types of k8s.io/component-base
cli/flag: those of the policies' options are a MapStringString that does not split at commas.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from enum import Enum

from .._node.errors import ConfigurationError
from .version import Version

GATES_FIELD = "featureGates"
EVICTION_FIELD = "evictionHard"

# All of them are for the whole text.
_QUANTITY = re.compile(r"\d+(\.\d+)?([eE]\d+|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?", re.A)
_PERCENTAGE = re.compile(r"\d+(\.\d+)?%", re.A)
_CPUS = re.compile(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*", re.A)
_GATE = re.compile(r"[A-Z]\w*", re.A)
_NUMBER = re.compile(r"\d{1,9}", re.A)
# Names and values that can stand in a flag too, between its commas.
_NAME = re.compile(r"[\w./-]+", re.A)
_VALUE = re.compile(r"[\w.+-]*", re.A)


class Kind(Enum):
    """What a field's value is."""

    CHOICE = "one of its choices"
    CPUS = "a list of CPUs such as 0-1,8"
    GATES = "names of gates, each true or false"
    QUANTITIES = "resources and quantities"
    OPTIONS = "names and values"
    NUMA_MEMORY = "a list of numaNode and limits"
    SWITCH = "true or false"
    TEXT = "a text"


MAPS = (Kind.GATES, Kind.QUANTITIES, Kind.OPTIONS)


@dataclass(frozen=True)
class Field:
    """One field. `managers` are those whose state file does not survive a change of it."""

    name: str
    kind: Kind
    flag: str
    since: int
    about: str
    choices: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    # What stands between a name and its value in the flag.
    separator: str = "="
    # Whether its flag takes one name with its value, and stands again for each further one.
    one_each: bool = False

    @property
    def is_map(self) -> bool:
        """Whether the value has entries of its own, each of which is set alone."""
        return self.kind in MAPS


CPU, MEMORY = "cpu", "memory"

FIELDS = (
    Field(GATES_FIELD, Kind.GATES, "feature-gates", 8, "Feature gates, each V(true) or V(false)."),
    Field(
        "cpuManagerPolicy",
        Kind.CHOICE,
        "cpu-manager-policy",
        8,
        "Whether containers of guaranteed pods get CPUs of their own. V(static) needs CPUs reserved for the system.",
        ("none", "static"),
        (CPU,),
    ),
    Field(
        "cpuManagerPolicyOptions",
        Kind.OPTIONS,
        "cpu-manager-policy-options",
        22,
        "Options of the policy V(static), such as C(full-pcpus-only).",
        (),
        (CPU,),
        one_each=True,
    ),
    Field(
        "topologyManagerPolicy",
        Kind.CHOICE,
        "topology-manager-policy",
        16,
        "Whether devices, CPUs and memory of a container come from one NUMA node.",
        ("none", "best-effort", "restricted", "single-numa-node"),
    ),
    Field(
        "topologyManagerScope",
        Kind.CHOICE,
        "topology-manager-scope",
        20,
        "Whether that holds for each container or for the pod as a whole.",
        ("container", "pod"),
    ),
    Field(
        "topologyManagerPolicyOptions",
        Kind.OPTIONS,
        "topology-manager-policy-options",
        26,
        "Options of the policy, such as C(prefer-closest-numa-nodes).",
        one_each=True,
    ),
    Field(
        "reservedSystemCPUs",
        Kind.CPUS,
        "reserved-cpus",
        17,
        "CPUs for the system and Kubernetes alone, such as V(0-1,8). They come before the C(cpu) of the two below.",
        (),
        (CPU,),
    ),
    Field(
        "kubeReserved",
        Kind.QUANTITIES,
        "kube-reserved",
        8,
        "What is kept for Kubernetes, as C(cpu), C(memory), C(ephemeral-storage), C(pid).",
        (),
        (CPU, MEMORY),
    ),
    Field(
        "systemReserved",
        Kind.QUANTITIES,
        "system-reserved",
        8,
        "What is kept for the system, with the same names.",
        (),
        (CPU, MEMORY),
    ),
    Field(
        EVICTION_FIELD,
        Kind.QUANTITIES,
        "eviction-hard",
        8,
        "Thresholds such as C(memory.available); kubelet evicts pods below them. Where there were none, its defaults for the others "
        "are written too, since kubelet drops them as soon as one is set.",
        (),
        (MEMORY,),
        "<",
    ),
    Field(
        "memoryManagerPolicy",
        Kind.CHOICE,
        "memory-manager-policy",
        21,
        "Whether containers of guaranteed pods get memory of one NUMA node. V(Static) needs C(reservedMemory).",
        ("None", "Static"),
        (MEMORY,),
    ),
    Field(
        "reservedMemory",
        Kind.NUMA_MEMORY,
        "reserved-memory",
        21,
        "What each NUMA node keeps, a list of C(numaNode) and C(limits). The sum is that of the reservations and the hard eviction "
        "threshold of memory.",
        (),
        (MEMORY,),
    ),
    Field(
        "failCgroupV1",
        Kind.SWITCH,
        "fail-cgroupv1",
        31,
        "Whether kubelet does not start on a node with cgroup v1. From 1.35 on it is V(true) where nothing is said.",
    ),
)

FAIL_CGROUP_V1, MERGES_THRESHOLDS = "failCgroupV1", "mergeDefaultEvictionSettings"
CGROUPS_OF_RESERVED = ("systemReservedCgroup", "kubeReservedCgroup")

# What is not set here, but has a say in what kubelet makes of the others.
SEEN = (
    Field(MERGES_THRESHOLDS, Kind.SWITCH, "", 33, "Whether default thresholds are added to those of evictionHard."),
    Field("systemReservedCgroup", Kind.TEXT, "system-reserved-cgroup", 8, "The cgroup of the system."),
    Field("kubeReservedCgroup", Kind.TEXT, "kube-reserved-cgroup", 8, "The cgroup of Kubernetes."),
)

BY_NAME = {field.name: field for field in FIELDS}
ALL_BY_NAME = {field.name: field for field in (*FIELDS, *SEEN)}
BY_FLAG = {field.flag: field for field in ALL_BY_NAME.values() if field.flag}

# The flags that kubelet takes its configuration as valid or not by, together with its files (ValidateKubeletConfiguration in
# pkg/kubelet/apis/config/validation of 1.10 to 1.36). 1.24 to 1.26 do not start without the runtime's endpoint, which is a flag there
# (ValidateKubeletFlags in cmd/kubelet/app/options). What is not here has no say in that, and some of it would let a kubelet that is
# only asked write its log on the node or join the cluster: --log-dir, --dynamic-config-dir, --kubeconfig.
VALIDATED_FLAGS = (
    *BY_FLAG,
    "cgroup-root",
    "cgroups-per-qos",
    "container-log-max-files",
    "container-runtime-endpoint",
    "cpu-cfs-quota-period",
    "enforce-node-allocatable",
    "event-burst",
    "event-qps",
    "hairpin-mode",
    "healthz-port",
    "image-gc-high-threshold",
    "image-gc-low-threshold",
    "iptables-drop-bit",
    "iptables-masquerade-bit",
    "kube-api-burst",
    "kube-api-qps",
    "max-open-files",
    "max-pods",
    "minimum-image-ttl-duration",
    "node-status-max-images",
    "oom-score-adj",
    "pods-per-core",
    "port",
    "read-only-port",
    "register-with-taints",
    "registry-burst",
    "registry-qps",
    "rotate-server-certificates",
    "seccomp-default",
    "serialize-image-pulls",
    "system-cgroups",
)

# What kubelet does where the field is left out.
DEFAULTS = {"cpuManagerPolicy": "none", "memoryManagerPolicy": "None"}


def default_thresholds(minor: int) -> dict[str, str]:
    """Kubelet's own hard eviction thresholds, which it only has where the field is left out as a whole.

    Source: pkg/kubelet/eviction/defaults_linux.go; imagefs.inodesFree came with 1.30.
    """
    newer = {"imagefs.inodesFree": "5%"} if minor >= 30 else {}
    return {
        "memory.available": "100Mi",
        "nodefs.available": "10%",
        "nodefs.inodesFree": "5%",
        "imagefs.available": "15%",
        **newer,
    }


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """The fields as options of an Ansible argument."""
    return {field.name: _argument(field) for field in FIELDS}


def normal(fields: t.Mapping[str, t.Any], where: str = "configuration") -> dict[str, t.Any]:
    """Wanted fields in the form in which they are compared and written. Raises ConfigurationError.

    Quantities and values of options are text, gates are bool.
    """
    wanted: dict[str, t.Any] = {}
    for name, value in fields.items():
        if value is None:
            continue
        if name not in BY_NAME:
            known = ", ".join(BY_NAME)
            raise ConfigurationError("the field is not known here", f"{where}.{name}", f"write one of {known}")
        wanted[name] = _normal(BY_NAME[name], value, f"{where}.{name}")
    return wanted


def require_known(wanted: t.Mapping[str, t.Any], version: Version, where: str = "configuration") -> None:
    """Refuse fields that this kubelet does not have yet. Raises ConfigurationError."""
    for name in wanted:
        since = BY_NAME[name].since
        if version.minor < since:
            raise ConfigurationError(
                f"kubelet {version.short} does not have the field, it comes with 1.{since}",
                f"{where}.{name}",
                "leave it out, or upgrade kubelet",
            )


def to_flag(field: Field, value: t.Any) -> str:
    """A field's value as its flag has it."""
    if field.is_map:
        return ",".join(f"{name}{field.separator}{_text(entry)}" for name, entry in value.items())
    if field.kind is Kind.NUMA_MEMORY:
        return ";".join(
            f"{entry['numaNode']}:" + ",".join(f"{name}={limit}" for name, limit in entry["limits"].items())
            for entry in value
        )
    return _text(value)


def from_flag(field: Field, text: str) -> t.Any:
    """The value that a flag's text means. What cannot be understood is left out of it."""
    if field.is_map:
        parts = [text] if field.one_each else text.split(",")
        pairs = (part.split(field.separator, 1) for part in parts if field.separator in part)
        entries = {pair[0].strip(): pair[1].strip() for pair in pairs}
        if field.kind is Kind.GATES:
            return {name: value.lower() in ("true", "t", "1") for name, value in entries.items()}
        return entries
    if field.kind is Kind.SWITCH:
        return text.lower() in ("true", "t", "1")
    if field.kind is Kind.NUMA_MEMORY:
        nodes = (part.split(":", 1) for part in text.split(";") if ":" in part)
        return [
            {"numaNode": int(node), "limits": dict(limit.split("=", 1) for limit in limits.split(",") if "=" in limit)}
            for node, limits in nodes
            if _NUMBER.fullmatch(node.strip())
        ]
    return text


def read(field: Field, value: t.Any, where: str) -> t.Any:
    """A value as it stands in a file, in the normal form where it has one, else as it is, with texts for what JSON does not have.

    Raises ConfigurationError for what has no entries and should have, and for gates that are neither true nor false. None stays, for a
    field and for an entry: in a drop-in it takes away what is below (a JSON merge patch).
    """
    if value is None:
        return None
    if field.is_map and isinstance(value, dict) and None in value.values():
        there = {name: entry for name, entry in value.items() if entry is not None}
        return {**read(field, there, where), **{str(name): None for name, entry in value.items() if entry is None}}
    try:
        return _normal(field, value, where)
    except ConfigurationError:
        if field.kind is Kind.GATES or (field.is_map and not isinstance(value, dict)):
            raise
        return _plain(value)
    except ValueError:  # Python's limit to the digits of a number
        raise ConfigurationError("has a number that is too long", where, "repair it") from None


def _plain(value: t.Any) -> t.Any:
    """As kubelet has it, who makes JSON of a file: names are texts there, and so is what YAML takes for a date or for bytes."""
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return list(map(_plain, value))
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def merge(base: t.Mapping[str, t.Any], over: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Fields with others laid over them: entries of maps one by one, anything else whole. None takes away what is below."""
    merged = dict(base)
    for name, value in over.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            below = merged.get(name)
            laid = {**(below if isinstance(below, dict) else {}), **value}
            merged[name] = {key: entry for key, entry in laid.items() if entry is not None}
        else:
            merged[name] = value
    return merged


def merge_flags(base: t.Mapping[str, t.Any], over: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The same of flags, where those of a list add to each other (ReservedMemoryVar in pkg/util/flag)."""
    lists = {
        name: value for name, value in over.items() if isinstance(value, list) and isinstance(base.get(name), list)
    }
    return merge(base, {**over, **{name: [*base[name], *value] for name, value in lists.items()}})


def _argument(field: Field) -> dict[str, t.Any]:
    if field.is_map:
        return {"type": "dict"}
    if field.kind is Kind.NUMA_MEMORY:
        return {"type": "list", "elements": "dict"}
    if field.kind is Kind.SWITCH:
        return {"type": "bool"}
    spec: dict[str, t.Any] = {"type": "str"}
    if field.choices:
        spec["choices"] = list(field.choices)
    return spec


def _normal(field: Field, value: t.Any, where: str) -> t.Any:
    if field.kind is Kind.CHOICE:
        if value not in field.choices:
            raise ConfigurationError(f"{value!r} is no such policy", where, f"write one of {', '.join(field.choices)}")
        return str(value)
    if field.kind is Kind.CPUS:
        return _cpus(str(value), where)
    if field.kind is Kind.SWITCH:
        return _switch(value, where)
    if field.kind is Kind.TEXT:
        return str(value)
    if field.kind is Kind.NUMA_MEMORY:
        return _numa_memory(value, where)
    if not isinstance(value, dict):
        raise ConfigurationError(f"{value!r} is no mapping", where, "write names and values")
    return {str(name): _entry(field, str(name), entry, f"{where}.{name}") for name, entry in value.items()}


def _entry(field: Field, name: str, value: t.Any, where: str) -> t.Any:
    if field.kind is Kind.GATES:
        _matching(_GATE, name, where, "write a gate's name such as DevicePlugins")
        return _switch(value, where)
    _matching(_NAME, name, where, "write a name such as memory.available or full-pcpus-only")
    text = _text(value)
    if field.kind is Kind.OPTIONS:
        return _matching(_VALUE, text, where, "write a word or a number")
    if field.kind is Kind.QUANTITIES and not (field.separator == "<" and _PERCENTAGE.fullmatch(text)):
        return _matching(_QUANTITY, text, where, "write a quantity such as 500m or 1Gi")
    return text


def _switch(value: t.Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{value!r} is neither true nor false", where, "write true or false")
    return value


def _cpus(text: str, where: str) -> str:
    _matching(_CPUS, text, where, "write CPUs such as 0-1,8")
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if dash and int(first) > int(last):
            raise ConfigurationError(f"{part} is no range of CPUs", where, f"write {last}-{first}")
    return text


def _numa_memory(value: t.Any, where: str) -> list[dict[str, t.Any]]:
    remedy = "write a list such as [{numaNode: 0, limits: {memory: 1Gi}}]"
    if not isinstance(value, list):
        raise ConfigurationError(f"{value!r} is no list", where, remedy)
    nodes = []
    for position, entry in enumerate(value):
        place = f"{where}[{position}]"
        if not isinstance(entry, dict) or set(entry) != {"numaNode", "limits"} or not isinstance(entry["limits"], dict):
            raise ConfigurationError(f"{entry!r} is not numaNode and limits", place, remedy)
        number = _matching(_NUMBER, str(entry["numaNode"]), f"{place}.numaNode", "write a number")
        limits = {
            str(name): _matching(_QUANTITY, _text(limit), f"{place}.limits.{name}", "write a quantity such as 1Gi")
            for name, limit in entry["limits"].items()
        }
        nodes.append({"numaNode": int(number), "limits": limits})
    return nodes


def _matching(pattern: re.Pattern[str], text: str, where: str, remedy: str) -> str:
    if not pattern.fullmatch(text):
        raise ConfigurationError(f"{text!r} cannot be understood", where, remedy)
    return text


def _text(value: t.Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
