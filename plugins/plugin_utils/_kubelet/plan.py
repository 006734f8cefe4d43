# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decides what to change for the wanted kubelet configuration: a pure function of the node's snapshot and the desired fields."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.accel.qat.plugins.module_utils._cluster.in_force import Asked, alike
from ansible_collections.accel.qat.plugins.module_utils._host.edits import FileEdit
from ansible_collections.accel.qat.plugins.module_utils._kubelet import fields as known
from ansible_collections.accel.qat.plugins.module_utils._kubelet.environment import assignment
from ansible_collections.accel.qat.plugins.module_utils._kubelet.extra_arguments import NAME as EXTRA_ARGUMENTS
from ansible_collections.accel.qat.plugins.module_utils._kubelet.extra_arguments import argument_of
from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import (
    CPU,
    EVICTION_FIELD,
    GATES_FIELD,
    MEMORY,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours import AUTO
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import Flavour
from ansible_collections.accel.qat.plugins.module_utils._kubelet.gates import (
    DEVICE_PLUGINS,
    NEEDED,
    OLDEST_MINOR,
    Decision,
    Verdict,
    decide,
    decide_unasked,
    find_gate,
    unmet_needs,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import STATE_FILES, Observed
from ansible_collections.accel.qat.plugins.module_utils._kubelet.options import ALWAYS
from ansible_collections.accel.qat.plugins.module_utils._kubelet.version import Version, parse_version
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, RefusedError

from .asked import asked_of_files, asked_of_operator
from .documents import Document
from .layers import Layers, describe, document_of, effective_fields, in_force_by_operator, layers_of, leaves
from .placement import (
    EMPTY,
    Leaf,
    Placement,
    as_started,
    drop_in_of,
    drop_ins_in,
    found_of,
    in_order,
    place,
    read_by_kubelet,
    with_files,
)
from .record import Record
from .startable import (
    Wanted,
    require_cgroups_taken,
    require_cpus_reserved,
    require_memory_reserved,
    require_start,
)
from .yaml_text import Path

_POLICIES = {CPU: ("cpuManagerPolicy", "static"), MEMORY: ("memoryManagerPolicy", "Static")}


@dataclass(frozen=True)
class Desired:
    """What the caller wants; `configuration` in its normal form."""

    configuration: t.Mapping[str, t.Any] = field(default_factory=dict)
    device_plugin_gates: bool = True
    restore: bool = False
    drained: bool = False
    restart: bool = True
    machine_config_pool: str = "worker"
    drop_in: str = AUTO
    # Whether the version is one that may come, and not that of the kubelet that is there.
    version_given: bool = False


@dataclass(frozen=True)
class Plan:
    """What to do. No edits means that nothing changes."""

    flavour: str
    version: Version
    edits: tuple[FileEdit, ...] = ()
    decisions: tuple[Decision, ...] = ()
    state_files: tuple[str, ...] = ()
    record: str | None = None
    effective: t.Mapping[str, t.Any] = field(default_factory=dict)
    manifest: t.Mapping[str, t.Any] | None = None
    # Kubelet's directory of drop-ins once it is started with the files, and those that were made for one of ours.
    config_dir: str = ""
    made: tuple[str, ...] = ()
    # Our drop-in, empty where there is none then; and the file that gives kubelet an administrator's arguments.
    drop_in: str = ""
    extra_arguments: str = ""
    # What is to be on its command line then.
    started_with: tuple[str, ...] = ()
    # What somebody should know of it.
    notes: tuple[str, ...] = ()
    # What kubelet should have in force then.
    asked: tuple[Asked, ...] = ()

    def diff(self) -> list[dict[str, str]]:
        """What diff mode shows. Of a file of arguments only these: what else is in it, such as a proxy's password, nobody needs to see."""
        return [
            _arguments_alone(edit).diff() if edit.path == self.extra_arguments else edit.diff() for edit in self.edits
        ]

    @property
    def serves_device_plugins(self) -> bool:
        """Whether kubelet.sock is there once kubelet runs."""
        gate = DEVICE_PLUGINS
        named = self.effective.get(GATES_FIELD, {})
        if not gate.known_to(self.version.minor):
            return self.version.minor >= gate.since
        return bool(named.get(gate.name, gate.default(self.version.minor, named)))


def _arguments_alone(edit: FileEdit) -> FileEdit:
    before, after = (text and assignment(text, EXTRA_ARGUMENTS) for text in (edit.before, edit.after))
    return replace(edit, before=before, after=after)


def asks_for_offered(desired: Desired) -> bool:
    """Whether the plan needs the gates that the kubelet itself lists: one is wanted that is not in the table."""
    return not desired.restore and any(find_gate(name) is None for name in desired.configuration.get(GATES_FIELD, {}))


def _version(observed: Observed, desired: Desired) -> Version:
    version = parse_version(observed.version)
    if desired.version_given and version.minor < OLDEST_MINOR:
        raise ConfigurationError(
            f"{version.text} is older than 1.{OLDEST_MINOR}, the first kubelet with device plugins",
            "kubelet_version",
            'write a version such as "1.30" in quotes: without them YAML reads the number 1.3',
        )
    return version


def plan_kubelet(observed: Observed, desired: Desired) -> Plan:
    """The plan. Raises ConfigurationError or RefusedError; then nothing may be written."""
    version = _version(observed, desired)
    observed = as_started(observed)
    if desired.restore:
        return _restoration(observed, desired, version)
    known.require_known(desired.configuration, version)
    if observed.kind.by_manifest:
        return _manifest(observed, desired, version)
    real = layers_of(observed, version)
    if real.hidden_by and real.layers[real.target].where in observed.files:
        raise _hidden(real)
    placement = place(observed, version, desired.drop_in)
    before = layers_of(placement.observed, version)
    layers, thresholds = before, {}
    for path, value in _still_wanted(placement.moved, desired.configuration, observed.kind, version):
        if path[0] == EVICTION_FIELD:
            thresholds[path[1]] = value
        else:
            layers = _with_leaf(layers, path, value)
    layers, decisions = _with_gates(layers, desired, version, observed.offered)
    wanted = _with_moved(desired.configuration, thresholds)
    for path, value in leaves(_with_thresholds(wanted, layers, observed.kind, version)):
        layers = _with_leaf(layers, path, value)
    effective = layers.effective()
    made = _edits(placement.observed, layers)
    edits, record, after = placement.finish(made, placement.record.with_edits(made, before, layers))
    _require_place(placement, desired, edits)
    if edits or desired.version_given:
        require_cgroups_taken(effective, version.minor, observed.cgroup)
    if edits:
        in_force = layers.thresholds(observed.kind.unsaid_thresholds(version.minor))
        require_start(Wanted(effective, in_force, version.minor, observed.numa_nodes), real.effective())
        observed.kind.require_kept(version.minor, observed.config, *_for_others(desired.configuration, decisions))
        if observed.running and not desired.version_given:
            observed.kind.require_read(version.minor, observed.config_dir, observed.files)
    return Plan(
        observed.flavour,
        version,
        edits,
        decisions,
        _state_files(observed, desired, real.effective(), effective) if edits else (),
        record.text() if edits else observed.record,
        {name: value for name, value in effective.items() if name in known.BY_NAME},
        config_dir=read_by_kubelet(after),
        drop_in=drop_in_of(after),
        extra_arguments=after.extra_arguments,
        made=_made(observed, record, after),
        started_with=_started_with(after, edits),
        notes=_notes(placement, edits),
        asked=asked_of_files(desired.configuration, decisions, version.minor, real, layers),
    )


def _for_others(
    configuration: t.Mapping[str, t.Any], decisions: t.Sequence[Decision]
) -> tuple[dict[str, t.Any], list[str]]:
    """What others are to write in our place: fields with the gates that are to be named, and the gates that are to go."""
    fields = {name: value for name, value in configuration.items() if name != GATES_FIELD}
    asked = configuration.get(GATES_FIELD, {})
    gates = {
        one.gate: one.wanted for one in decisions if one.verdict is Verdict.SET and (one.changes or one.gate in asked)
    }
    going = [one.gate for one in decisions if one.verdict is Verdict.REMOVE]
    return ({**fields, GATES_FIELD: gates} if gates else fields), going


def _still_wanted(
    moved: t.Iterable[Leaf], configuration: t.Mapping[str, t.Any], flavour: Flavour, version: Version
) -> t.Iterator[Leaf]:
    """Of the fields that move, those of which nothing else is said now."""
    said = {*(path for path, _value in leaves(configuration))}
    said |= {(GATES_FIELD, name) for name in configuration.get(GATES_FIELD, {})}
    unsaid = flavour.unsaid_thresholds(version.minor)
    for path, value in moved:
        name, *key = path
        # A drop-in is merged into kubelet's own thresholds.
        own = name == EVICTION_FIELD and unsaid.get(key[0]) == value
        if path not in said and not own:
            yield path, value


def _with_moved(configuration: t.Mapping[str, t.Any], thresholds: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """With the thresholds that move: a file gets kubelet's own beside them."""
    wanted = {**thresholds, **configuration.get(EVICTION_FIELD, {})}
    return {**configuration, EVICTION_FIELD: wanted} if thresholds else configuration


def _require_place(placement: Placement, desired: Desired, edits: t.Sequence[FileEdit]) -> None:
    """Refuse the file where a drop-in was asked for. Raises RefusedError."""
    observed = placement.real
    if placement.fault and desired.drop_in == ALWAYS and (edits or observed.config in placement.record.files):
        raise RefusedError(
            f"kubelet cannot be given --config-dir={observed.kind.adds_drop_ins}: {placement.fault}",
            "drop_in",
            f"start kubelet with --config-dir={observed.kind.adds_drop_ins}, or leave drop_in out to have the fields in "
            f"{observed.config}; nothing was written",
        )


def _notes(placement: Placement, edits: t.Sequence[FileEdit]) -> tuple[str, ...]:
    if not edits or not placement.fault:
        return ()
    observed = placement.real
    # Where kubelet has another file than that of kubeadm, another tool has made it, as kubespray.
    by_kubeadm = observed.config == observed.kind.config
    again = "kubeadm writes again when it upgrades the node" if by_kubeadm else "the tool that made it may write again"
    return (
        f"The fields are in {observed.config}, which {again}, since kubelet cannot be given --config-dir: {placement.fault}.",
    )


def _made(observed: Observed, record: Record, after: Observed) -> tuple[str, ...]:
    """The directories that were made for our drop-in. Kubelet does not start where it is given one that is not there."""
    made = Record.parse(observed.record).directories_made | record.directories_made
    return tuple(sorted(made if drop_in_of(after) else made - {after.config_dir}))


def _started_with(after: Observed, edits: t.Sequence[FileEdit]) -> tuple[str, ...]:
    is_argument = after.config_dir and any(edit.path == after.extra_arguments for edit in edits)
    return (argument_of(after.config_dir),) if is_argument else ()


def _with_gates(
    layers: Layers, desired: Desired, version: Version, offered: t.Mapping[str, bool]
) -> tuple[Layers, tuple[Decision, ...]]:
    found = layers.effective().get(GATES_FIELD, {})
    wanted = desired.configuration.get(GATES_FIELD, {})
    minor, lenient = version.minor, version.ignores_unknown_gates
    named = {**found, **wanted}
    decisions = [
        decide(name, value, minor, found.get(name), offered, ignores_unknown=lenient, named=named)
        for name, value in wanted.items()
    ]
    if desired.device_plugin_gates:
        needed = [name for name in NEEDED if name not in wanted]
        decisions += [decide(name, True, minor, found.get(name), None, True, lenient, named) for name in needed]
    asked = {decision.gate for decision in decisions}
    unasked = [decide_unasked(name, value, minor, lenient) for name, value in found.items() if name not in asked]
    decisions += [decision for decision in unasked if decision is not None]
    for decision in decisions:
        if decision.verdict is Verdict.REFUSE:
            raise RefusedError(
                decision.reason, f"configuration.{GATES_FIELD}.{decision.gate}", "leave it out; nothing was written"
            )
        if decision.changes:
            path = (GATES_FIELD, decision.gate)
            value = decision.wanted if decision.verdict is Verdict.SET else None
            layers = _with_leaf(layers, path, value, decision.reason)
    _require_needs_met(layers, wanted, version)
    return layers, tuple(decisions)


def _require_needs_met(layers: Layers, wanted: t.Mapping[str, bool], version: Version) -> None:
    """Refuse a gate that is on without one that it needs: kubelet would not start. Raises RefusedError."""
    for gate, need in unmet_needs(layers.effective().get(GATES_FIELD, {}), version.minor):
        blamed = next(name for name in (need, gate) if name in wanted or _where(layers, (GATES_FIELD, name)))
        raise RefusedError(
            f"kubelet {version.short} has {gate} on, which needs {need}, and would not start with that off",
            f"configuration.{GATES_FIELD}.{blamed}"
            if blamed in wanted
            else f"{_where(layers, (GATES_FIELD, blamed))}: {GATES_FIELD}.{blamed}",
            f"leave it out, or set {gate if blamed == need else need} to {'false' if blamed == need else 'true'} too; "
            "nothing was written",
        )


def _where(layers: Layers, path: Path) -> str:
    """The last place that says something of it, empty for none."""
    return next((layer.where for layer in reversed(layers.layers) if layer.value(path) is not None), "")


def _with_thresholds(
    configuration: t.Mapping[str, t.Any], layers: Layers, flavour: Flavour, version: Version
) -> t.Mapping[str, t.Any]:
    """With those of kubelet's hard eviction thresholds that were in force unsaid: it drops all of them once one is set.

    But for a drop-in, which is merged into them (cmd/kubelet/app/server.go).
    """
    wanted = configuration.get(EVICTION_FIELD)
    target = layers.layers[layers.target]
    if not wanted or target.drop_in or (layers.merges_thresholds and not target.flags):
        return configuration
    unsaid: t.Mapping[str, t.Any] = flavour.unsaid_thresholds(version.minor)
    if flavour.thresholds_by_flag and not any(EVICTION_FIELD in layer.fields for layer in layers.layers if layer.flags):
        # Its flag hides the thresholds of a file that is named; who has written these there has meant them.
        unsaid = {**unsaid, **layers.effective().get(EVICTION_FIELD, {})}
    elif EVICTION_FIELD in layers.effective():
        return configuration
    return {**configuration, EVICTION_FIELD: {**unsaid, **wanted}}


def _with_leaf(layers: Layers, path: Path, value: t.Any, why: str = "") -> Layers:
    """The layers with this value in force, or with none for None."""
    name, *key = path
    effective = layers.effective().get(name)
    if key:
        effective = effective.get(key[0]) if isinstance(effective, dict) else None
    if alike(name, effective, value):
        return layers
    for number, layer in list(layers.above_target(path)):
        if layer.document is None or (value is not None and not layer.ours):
            because = f"; {why}" if why and value is None else ""
            raise RefusedError(
                f"{describe(path)} is set here and comes over {layers.layers[layers.target].where}{because}",
                layer.where,
                "change it here, or remove it",
            )
        layers = layers.with_document(number, layer.document.without(path))
    _require_replaced(layers, path)
    if value is not None:
        document = _document(layers, layers.target)
        for entry, below in layers.lost_to_flag(name).items() if key else ():
            document = document.with_value((name, entry), below)
        return layers.with_document(layers.target, document.with_value(path, value))
    for number, layer in enumerate(layers.layers):
        if layer.value(path) is None:
            continue
        if layer.document is None:
            raise RefusedError(
                f"{describe(path)} is set here{f'; {why}' if why else ''}", layer.where, "remove it here"
            )
        layers = layers.with_document(number, layer.document.without(path))
    return layers


def _require_replaced(layers: Layers, path: Path) -> None:
    """Refuse to write what kubelet would add to what others say. Raises RefusedError."""
    for layer in layers.added_to(path):
        raise RefusedError(
            f"{describe(path)} is set here, and kubelet would add to it what {layers.layers[layers.target].where} says",
            layer.where,
            "change it here, or remove it",
        )


def _hidden(layers: Layers) -> ConfigurationError:
    ours = layers.layers[layers.target].where
    return ConfigurationError(
        f"kubelet-arg replaces what {ours} says before it", layers.hidden_by, "write kubelet-arg+ there"
    )


def _document(layers: Layers, number: int) -> Document:
    layer = layers.layers[number]
    if layers.hidden_by and number == layers.target:
        raise _hidden(layers)
    if layer.document is None:
        raise RefusedError(
            "kubelet's arguments are given here, and those in files do not count beside them",
            layer.where,
            "move them to kubelet-arg in config.yaml; nothing was written",
        )
    return layer.document


def _edits(observed: Observed, layers: Layers) -> tuple[FileEdit, ...]:
    edits = []
    for layer in layers.layers:
        if layer.document is None:
            continue
        before = observed.files.get(layer.where)
        after: str | None = layer.document.text
        if layer.ours and after in EMPTY:
            after = None
        if after != before:
            edits.append(FileEdit(layer.where, before, after))
    return tuple(edits)


def _state_files(
    observed: Observed, desired: Desired, before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]
) -> tuple[str, ...]:
    """The resource managers' state files with which kubelet would not start again.

    Raises RefusedError unless the node is drained and kubelet is restarted: a running kubelet writes such a file again.
    """
    stale = []
    for manager, policy in observed.states.items():
        name, static = _POLICIES[manager]
        wanted = after.get(name, known.DEFAULTS[name])
        changed = _managed(before, manager) != _managed(after, manager)
        if policy != wanted or (wanted == static and changed):
            stale.append(manager)
    paths = tuple(f"{observed.kubelet_dir}/{STATE_FILES[manager]}" for manager in stale)
    if paths and not desired.restart:
        raise RefusedError(
            "kubelet would not start with this file after the change, and without a restart it cannot be removed",
            paths[0],
            "set restart to true, or drain the node, stop kubelet, remove the file and run again",
        )
    if paths and not desired.drained:
        raise RefusedError(
            f"the change makes kubelet give up {STATE_FILES[stale[0]]}, and with it what running pods were given",
            paths[0],
            "drain the node and set drained to true",
        )
    return paths


def _managed(effective: t.Mapping[str, t.Any], manager: str) -> dict[str, t.Any]:
    """The fields that a manager's state depends on; of maps only its own resource."""
    managed = {}
    for name, value in effective.items():
        if manager not in known.ALL_BY_NAME[name].managers:
            continue
        if known.ALL_BY_NAME[name].kind is known.Kind.QUANTITIES and isinstance(value, dict):
            managed[name] = {key: entry for key, entry in value.items() if key.split(".")[0] == manager}
        else:
            managed[name] = value
    return {name: value for name, value in managed.items() if value}


def _manifest(observed: Observed, desired: Desired, version: Version) -> Plan:
    """On OpenShift 4 the Machine Config Operator writes; what it is to be given."""
    decisions = []
    for name, value in desired.configuration.get(GATES_FIELD, {}).items():
        decisions.append(decide(name, value, version.minor, ignores_unknown=True))
    if desired.device_plugin_gates:
        decisions += [decide(name, True, version.minor, needed_only=True, ignores_unknown=True) for name in NEEDED]
    for decision in decisions:
        if decision.verdict in (Verdict.SET, Verdict.REFUSE):
            raise RefusedError(
                f"{decision.reason}, and a KubeletConfig of OpenShift 4 takes no gates",
                f"configuration.{GATES_FIELD}.{decision.gate}",
                "set it in the FeatureGate named cluster, which ends upgrades of the cluster, or leave it out",
            )
    settings = {name: value for name, value in desired.configuration.items() if name != GATES_FIELD}
    if settings.get(EVICTION_FIELD):
        settings[EVICTION_FIELD] = {**known.default_thresholds(version.minor), **settings[EVICTION_FIELD]}
    _require_complete_there(observed, settings, version)
    manifest = observed.kind.manifest(settings, desired.machine_config_pool) if settings else None
    asked = asked_of_operator(settings)
    return Plan(
        observed.flavour, version, decisions=tuple(decisions), effective=settings, manifest=manifest, asked=asked
    )


def _require_complete_there(observed: Observed, settings: t.Mapping[str, t.Any], version: Version) -> None:
    """Refuse a wanted static policy for which neither the settings nor what kubelet has otherwise reserve anything."""
    policies = {name: settings.get(name) for name, _static in _POLICIES.values()}
    if any(settings.get(name) == static for name, static in _POLICIES.values()):
        fields = {**known.merge(in_force_by_operator(observed), settings), **policies}
        for check in (require_cpus_reserved, require_memory_reserved):
            check(Wanted(fields, {}, version.minor))


def _restoration(observed: Observed, desired: Desired, version: Version) -> Plan:
    """Back to what was found: whole files where nobody else has changed them since, else entry by entry."""
    record = Record.parse(observed.record)
    if observed.kind.by_manifest or not record.files:
        return Plan(observed.flavour, version, record=observed.record)
    before = effective_fields(observed, version)
    after = observed
    kept = ""
    # The arguments last: others may have put files where one of ours has kubelet look.
    for path, found in sorted(record.files.items(), key=lambda item: item[1].gives_arguments):
        text = observed.files.get(path)
        if text is None:
            if found.was_removed and found.text is not None:
                after = with_files(after, [FileEdit(path, None, found.text)])
            continue
        others = [other for directory in found.directories for other in drop_ins_in(after, directory)]
        if others:
            kept = f"{others[0]} is of somebody else, so that {path} still gives kubelet --config-dir."
            continue
        old = found_of(path, found, observed, version)
        if old is not None and not found.gives_arguments:
            old = _startable(document_of(path, old, observed.kind, version), version).text
        after = with_files(after, [FileEdit(path, text, old)])
    after = as_started(after)
    edits = in_order(observed, after)
    effective = effective_fields(after, version)
    if edits:
        require_cgroups_taken(effective, version.minor, observed.cgroup)
    return Plan(
        observed.flavour,
        version,
        edits,
        (),
        _state_files(observed, desired, before, effective) if edits else (),
        None,
        effective,
        config_dir=read_by_kubelet(after),
        drop_in=drop_in_of(after),
        extra_arguments=after.extra_arguments,
        made=_made(observed, record, after),
        notes=(kept,) if kept else (),
    )


def _startable(document: Document, version: Version) -> Document:
    """Without the gates that were found, and with which a kubelet that is newer by now would not start."""
    gates = {name: value for name, value in (document.fields().get(GATES_FIELD) or {}).items() if value is not None}
    stop = {
        name
        for name, value in gates.items()
        if decide_unasked(name, value, version.minor, version.ignores_unknown_gates) is not None
    }
    for gate, need in unmet_needs({name: gates[name] for name in gates if name not in stop}, version.minor):
        stop.add(need if need in gates else gate)
    for name in stop:
        document = document.without((GATES_FIELD, name))
    return document
