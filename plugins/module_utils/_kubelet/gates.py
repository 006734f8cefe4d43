# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The feature gates around device plugins, by kubelet version, and what to do with one on a given kubelet.

A kubelet does not start with a gate that it does not know, be it too new or removed since, nor with one that is locked to the
other value, nor from 1.35 on with one that is on and needs another that is off (component-base/featuregate). OpenShift's build ignores
gates that it does not know. Sources of the table: pkg/features/kube_features.go of the releases, and the pages "Feature Gates" and
"Feature Gates (removed)" of the Kubernetes documentation.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from enum import Enum

ALPHA, BETA, GA, DEPRECATED = "alpha", "beta", "GA", "deprecated"

# The gates that decide on all of a stage that are not named themselves (component-base/featuregate).
ALL_OF = {ALPHA: "AllAlpha", BETA: "AllBeta"}

# The kubelets that the table was written for, and is tested for.
OLDEST_MINOR, NEWEST_MINOR = 8, 37

# The first kubelet that looks at what gates need.
_NEEDS_SINCE = 35


@dataclass(frozen=True)
class Stage:
    """From Kubernetes 1.`since` on. `locked` means that a kubelet refuses the other value."""

    since: int
    name: str
    default: bool
    locked: bool = False


@dataclass(frozen=True)
class Gate:
    """A gate's life. A kubelet from 1.`removed` on does not know it any more; its behaviour stays that of the last stage.

    `needs` are the gates that have to be on where this one is, each with the first kubelet that insists on it.
    """

    name: str
    about: str
    stages: tuple[Stage, ...]
    removed: int | None = None
    needs: t.Mapping[str, int] = field(default_factory=dict)

    @property
    def since(self) -> int:
        """The first minor version that knows it."""
        return self.stages[0].since

    def known_to(self, minor: int) -> bool:
        """Whether such a kubelet takes it."""
        return self.since <= minor and (self.removed is None or minor < self.removed)

    def stage(self, minor: int) -> Stage:
        """The stage of a version that has come to it."""
        return [stage for stage in self.stages if stage.since <= minor][-1]

    def default(self, minor: int, named: t.Mapping[str, bool]) -> bool:
        """What it is where it is not named, beside the gates that are."""
        stage = self.stage(minor)
        return named.get(ALL_OF.get(stage.name, ""), stage.default)


def _needs(*names: str) -> dict[str, int]:
    """What a gate has needed for as long as needs have been looked at."""
    return dict.fromkeys(names, _NEEDS_SINCE)


def _graduated(alpha: int | None, beta: int, ga: int | None = None, *, locked: bool = True) -> tuple[Stage, ...]:
    """Off in alpha, on in beta, GA: the usual life."""
    first = () if alpha is None else (Stage(alpha, ALPHA, False),)
    last = () if ga is None else (Stage(ga, GA, True, locked),)
    return (*first, Stage(beta, BETA, True), *last)


GATES = (
    Gate("DevicePlugins", "kubelet.sock, where device plugins register", _graduated(8, 10, 26), 28),
    Gate("KubeletPodResources", "which pod has which device, on a socket of kubelet", _graduated(13, 15, 28), 30),
    Gate(
        "KubeletPodResourcesGetAllocatable",
        "which devices can be allocated, on that socket",
        _graduated(21, 23, 28),
        30,
    ),
    Gate("KubeletPodResourcesGet", "the devices of one pod, on that socket", _graduated(27, 34, 36)),
    Gate("KubeletPodResourcesDynamicResources", "devices of resource claims, on that socket", _graduated(27, 34, 36)),
    Gate(
        "KubeletPodResourcesListUseActivePods",
        "only active pods, on that socket",
        (Stage(34, DEPRECATED, True),),
    ),
    Gate("TopologyManager", "devices and CPUs of one NUMA node", _graduated(16, 18, 27), 29),
    Gate(
        "TopologyManagerPolicyOptions",
        "topologyManagerPolicyOptions",
        (*_graduated(26, 28, 32, locked=False), Stage(36, GA, True, locked=True)),
    ),
    Gate(
        "TopologyManagerPolicyAlphaOptions",
        "the alpha ones of topologyManagerPolicyOptions",
        (Stage(26, ALPHA, False),),
    ),
    Gate(
        "TopologyManagerPolicyBetaOptions",
        "the beta ones of topologyManagerPolicyOptions",
        (Stage(26, BETA, False), Stage(28, BETA, True)),
    ),
    Gate("CPUManager", "exclusive CPUs", _graduated(8, 10, 26), 33),
    Gate("CPUManagerPolicyOptions", "cpuManagerPolicyOptions", _graduated(22, 23, 33)),
    Gate("CPUManagerPolicyAlphaOptions", "the alpha ones of cpuManagerPolicyOptions", (Stage(23, ALPHA, False),)),
    Gate("CPUManagerPolicyBetaOptions", "the beta ones of cpuManagerPolicyOptions", (Stage(23, BETA, True),)),
    Gate("MemoryManager", "memory of one NUMA node", _graduated(21, 22, 32), 36),
    Gate("DevicePluginCDIDevices", "CDI names from device plugins", _graduated(28, 29, 31), 34),
    Gate(
        "DynamicResourceAllocation",
        "resource claims",
        (
            Stage(26, ALPHA, False),
            Stage(32, BETA, False),
            Stage(34, GA, True),
            Stage(35, GA, True, locked=True),
        ),
    ),
    Gate(
        "ResourceHealthStatus",
        "the health of devices in a pod's status",
        _graduated(31, 36),
        needs=_needs("DynamicResourceAllocation"),
    ),
    Gate(
        "ResourceHealthStatusMessage",
        "why a device is unhealthy, in a pod's status",
        _graduated(None, 36),
        needs=_needs("ResourceHealthStatus"),
    ),
    Gate(
        "DRAExtendedResource",
        "extended resources from resource claims",
        _graduated(34, 36, 37),
        needs=_needs("DynamicResourceAllocation"),
    ),
    Gate(
        "DRADeviceTaints",
        "taints on devices of resource claims",
        _graduated(33, 36, 37, locked=False),
        needs=_needs("DynamicResourceAllocation"),
    ),
    Gate(
        "DRADeviceTaintRules",
        "rules that taint such devices",
        (Stage(35, ALPHA, False), Stage(36, BETA, False), Stage(37, GA, True)),
        needs=_needs("DRADeviceTaints"),
    ),
    Gate(
        "DRAConsumableCapacity",
        "devices that several claims share",
        _graduated(34, 36),
        needs=_needs("DynamicResourceAllocation"),
    ),
    Gate(
        "DRAPartitionableDevices",
        "devices that are made of others",
        _graduated(33, 36),
        needs=_needs("DynamicResourceAllocation"),
    ),
    Gate("DRAResourceClaimDeviceStatus", "the state of devices in a resource claim", _graduated(32, 33, 37)),
    Gate(
        "DRADeviceBindingConditions",
        "devices that are waited for",
        _graduated(34, 36),
        needs=_needs("DynamicResourceAllocation", "DRAResourceClaimDeviceStatus"),
    ),
    Gate(
        "DRAResourceClaimGranularStatusAuthorization",
        "who may write the state of a resource claim",
        _graduated(None, 36),
        needs=_needs("DynamicResourceAllocation", "DRAResourceClaimDeviceStatus"),
    ),
    Gate(
        "DRAPrioritizedList",
        "several requests in a resource claim, of which the first that fits counts",
        (*_graduated(33, 34, 36, locked=False), Stage(37, GA, True, locked=True)),
        needs=_needs("DynamicResourceAllocation"),
    ),
    Gate(
        "DRAAdminAccess",
        "resource claims that take nothing away",
        _graduated(32, 34, 36),
        needs=_needs("DynamicResourceAllocation"),
    ),
    Gate("PodLevelResources", "resources of a pod as a whole", _graduated(32, 34)),
    Gate(
        "PodLevelResourceManagers",
        "CPU, memory and topology manager for such pods",
        (Stage(36, ALPHA, False), Stage(37, BETA, False)),
        needs=_needs("PodLevelResources"),
    ),
    Gate(
        "PodLevelResourcesFixDefaulting",
        "the defaults of such pods",
        _graduated(None, 37),
        needs=_needs("PodLevelResources"),
    ),
    Gate("InPlacePodVerticalScaling", "resources of a container that change", _graduated(27, 33, 35)),
    Gate(
        "InPlacePodLevelResourcesVerticalScaling",
        "resources of a pod as a whole that change",
        _graduated(35, 36),
        needs=_needs("InPlacePodVerticalScaling", "PodLevelResources", "NodeDeclaredFeatures"),
    ),
    Gate(
        "InPlacePodVerticalScalingExclusiveCPUs",
        "the same for containers with CPUs of their own",
        (Stage(32, ALPHA, False),),
        needs=_needs("InPlacePodVerticalScaling"),
    ),
    Gate(
        "InPlacePodVerticalScalingExclusiveMemory",
        "the same for containers with memory of one NUMA node",
        (Stage(34, ALPHA, False),),
        needs=_needs("InPlacePodVerticalScaling"),
    ),
    Gate(
        "InPlacePodVerticalScalingInitContainers",
        "the same for init containers",
        _graduated(None, 36, 37),
        needs=_needs("InPlacePodVerticalScaling", "NodeDeclaredFeatures"),
    ),
    Gate("NodeDeclaredFeatures", "what a node says that it can", _graduated(35, 36, 37)),
    Gate("ContainerRestartRules", "rules for the restart of a container", _graduated(34, 35)),
    Gate(
        "RestartAllContainersOnContainerExits",
        "the restart of a pod's containers together",
        _graduated(35, 36),
        needs=_needs("ContainerRestartRules", "NodeDeclaredFeatures"),
    ),
    Gate(
        "ExtendWebSocketsToKubelet",
        "exec and attach by WebSockets",
        _graduated(None, 36),
        needs=_needs("NodeDeclaredFeatures"),
    ),
    Gate("PodsAPI", "the pods of a node, on a socket of kubelet", _graduated(36, 37)),
    Gate(
        "UserNamespacesSupport",
        "pods with users of their own",
        # Up to 1.27 it had another name.
        (Stage(28, ALPHA, False), Stage(30, BETA, False), Stage(33, BETA, True), Stage(36, GA, True, locked=True)),
    ),
    Gate(
        "UserNamespacesHostNetworkSupport",
        "such pods in the host's network",
        (Stage(35, ALPHA, False),),
        needs={**_needs("UserNamespacesSupport"), "NodeDeclaredFeatures": 36},
    ),
    Gate(
        "ProcMountType",
        "a /proc of which nothing is hidden",
        (Stage(12, ALPHA, False), Stage(31, BETA, False), Stage(33, BETA, True), Stage(36, GA, True, locked=True)),
        needs=_needs("UserNamespacesSupport"),
    ),
    Gate("MemoryQoS", "guarantees of memory by cgroup v2", _graduated(22, 37)),
    Gate(
        "DisableCPUQuotaWithExclusiveCPUs",
        "no CPU quota for containers with CPUs of their own",
        (Stage(33, BETA, True), Stage(36, DEPRECATED, True), Stage(37, DEPRECATED, True, locked=True)),
    ),
    Gate(
        "CustomCPUCFSQuotaPeriod",
        "cpuCFSQuotaPeriod",
        (Stage(12, ALPHA, False), Stage(36, GA, True)),
    ),
    Gate("KubeletPluginsWatcher", "the directory plugins_registry", _graduated(11, 12, 13, locked=False), 17),
    Gate(
        "DynamicKubeletConfig",
        "kubelet's configuration from the API server",
        (Stage(4, ALPHA, False), Stage(11, BETA, True), Stage(22, DEPRECATED, False)),
        26,
    ),
)

# What QAT needs on every kubelet that knows it: where pods get VFs from, and where to see which pod has which.
NEEDED = ("DevicePlugins", "KubeletPodResources")

_BY_NAME = {gate.name: gate for gate in GATES}

# The one that decides on kubelet.sock.
DEVICE_PLUGINS = _BY_NAME["DevicePlugins"]


class Verdict(str, Enum):
    """What becomes of a gate in the configuration."""

    SET = "set"
    LEAVE_OUT = "leave out"
    REMOVE = "remove"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Decision:
    """What becomes of one gate, and why, in one sentence without a full stop."""

    gate: str
    wanted: bool | None
    found: bool | None
    verdict: Verdict
    reason: str

    @property
    def changes(self) -> bool:
        """Whether the configuration has to change for it."""
        if self.verdict is Verdict.SET:
            return self.found is not self.wanted
        return self.verdict is Verdict.REMOVE

    def as_dict(self) -> dict[str, t.Any]:
        """For a module's result."""
        return {"gate": self.gate, "verdict": self.verdict.value, "reason": self.reason}


def find_gate(name: str) -> Gate | None:
    """The table's entry."""
    return _BY_NAME.get(name)


def decide(
    name: str,
    wanted: bool,
    minor: int,
    found: bool | None = None,
    offered: t.Mapping[str, bool] | None = None,
    needed_only: bool = False,
    ignores_unknown: bool = False,
    named: t.Mapping[str, bool] | None = None,
) -> Decision:
    """What to do on a kubelet 1.`minor` so that the gate is `wanted`.

    `found` is what the node's configuration says, None where it says nothing. `offered` are the gates that the kubelet itself
    lists in its help, with their defaults, for those that are not in the table. With `needed_only`, a gate that this kubelet does
    not have yet is no error: there is nothing to switch on. With `ignores_unknown`, it starts with gates that it does not know. `named`
    are all gates of the configuration, of which one may decide on many.
    """
    gate = find_gate(name)
    if gate is None:
        default = (offered or {}).get(name)
        if default is None:
            what = "it would be ignored" if ignores_unknown else "with it would not start"
            verdict, why = (Verdict.REFUSE, f"kubelet 1.{minor} is not known to have a gate {name}, and {what}")
        else:
            # One that decides on others does so only where it is named.
            default = not wanted if name in ALL_OF.values() else default
            verdict, why = _by_default(name, wanted, minor, found, default, "by default")
    elif minor < gate.since:
        verdict, why = _too_early(gate, minor, found, needed_only, ignores_unknown)
    elif not gate.known_to(minor):
        verdict, why = _removed(gate, wanted, minor, found, ignores_unknown)
    else:
        stage = gate.stage(minor)
        if stage.locked and wanted is not stage.default:
            verdict, why = (
                Verdict.REFUSE,
                f"kubelet 1.{minor} has {name} locked to {_yaml(stage.default)}, and would not start",
            )
        else:
            group = ALL_OF.get(stage.name, "")
            by = f"by {group} ({stage.name})" if group in (named or {}) else f"by default ({stage.name})"
            verdict, why = _by_default(name, wanted, minor, found, gate.default(minor, named or {}), by)
    return Decision(name, wanted, found, verdict, why)


def decide_unasked(name: str, found: bool, minor: int, ignores_unknown: bool = False) -> Decision | None:
    """What to do with a gate that stands in the configuration and that nobody asked for: None to leave it alone.

    It goes when this kubelet would not start with it. Of gates that are not in the table nothing is known.
    """
    gate = find_gate(name)
    if gate is None:
        return None
    known = gate.known_to(minor)
    if not known and ignores_unknown:
        return None
    if minor < gate.since:
        why = f"kubelet 1.{minor} does not know {name} before 1.{gate.since}, and would not start with it"
    elif not known:
        why = f"kubelet 1.{minor} does not know {name} since 1.{gate.removed}, and would not start with it"
    elif gate.stage(minor).locked and found is not gate.stage(minor).default:
        why = f"kubelet 1.{minor} has {name} locked to {_yaml(gate.stage(minor).default)}, and would not start with {_yaml(found)}"
    else:
        return None
    return Decision(name, None, found, Verdict.REMOVE, why)


def unmet_needs(values: t.Mapping[str, bool], minor: int) -> list[tuple[str, str]]:
    """The gates that are on, each with one that it needs and that is off, where `values` are what the configuration says."""
    return [
        (gate.name, need)
        for gate in GATES
        if gate.known_to(minor) and _is_on(gate, values, minor)
        for need, since in gate.needs.items()
        if since <= minor and not _is_on(_BY_NAME[need], values, minor)
    ]


def _is_on(gate: Gate, values: t.Mapping[str, bool], minor: int) -> bool:
    return values.get(gate.name, gate.default(minor, values))


def _by_default(name: str, wanted: bool, minor: int, found: bool | None, default: bool, by: str) -> tuple[Verdict, str]:
    said = f"kubelet 1.{minor} has {name} {_state(default)} {by}"
    if wanted is not default:
        return Verdict.SET, said
    if found is None or found is wanted:
        return Verdict.LEAVE_OUT, said
    return Verdict.REMOVE, f"{said}, and the configuration says otherwise"


def _too_early(
    gate: Gate, minor: int, found: bool | None, needed_only: bool, ignores_unknown: bool
) -> tuple[Verdict, str]:
    said = f"kubelet 1.{minor} does not know {gate.name} before 1.{gate.since}"
    if needed_only and (found is None or ignores_unknown):
        return Verdict.LEAVE_OUT, said
    what = "ignores it" if ignores_unknown else "would not start with it"
    return Verdict.REMOVE if needed_only else Verdict.REFUSE, f"{said}, and {what}"


def _removed(gate: Gate, wanted: bool, minor: int, found: bool | None, ignores_unknown: bool) -> tuple[Verdict, str]:
    last = gate.stages[-1].default
    said = f"kubelet 1.{minor} does not know {gate.name} since 1.{gate.removed}: it is always {_state(last)}"
    if wanted is not last:
        return Verdict.REFUSE, said
    if found is None or ignores_unknown:
        return Verdict.LEAVE_OUT, said
    return Verdict.REMOVE, f"{said}, and would not start with the gate"


def _state(value: bool) -> str:
    return "on" if value else "off"


def _yaml(value: bool) -> str:
    return "true" if value else "false"
