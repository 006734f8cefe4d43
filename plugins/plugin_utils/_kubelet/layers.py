# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a node's kubelet as layers, of which a later one wins, and in which of them the wanted fields go."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.accel.qat.plugins.module_utils._cluster.in_force import COMMAND_LINE
from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import (
    BY_NAME,
    EVICTION_FIELD,
    GATES_FIELD,
    MERGES_THRESHOLDS,
    merge,
    merge_flags,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import (
    ARGUMENTS_NAME,
    DROP_IN_NAME,
    Files,
    Flavour,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.rancher import DROP_INS_SINCE, arguments_dir
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Observed
from ansible_collections.accel.qat.plugins.module_utils._kubelet.version import Version
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError

from .documents import (
    DROP_IN,
    MANAGED,
    ArgumentLines,
    ConfigurationFile,
    Document,
    K3sArguments,
    NodeConfig,
    fields_of_arguments,
    join_arguments,
    k3s_argument,
    k3s_arguments,
    k3s_replaces,
)
from .yaml_text import Path

# K3s and RKE2 take feature-gates+ at the latest from this Kubernetes on.
_PLUS_SINCE = 24

BEHIND_A_LINK = "is a symbolic link, and kubelet reads no drop-ins behind one"


@dataclass(frozen=True)
class Layer:
    """One source of fields. What has no document cannot be changed here; flags come over files and replace their maps."""

    where: str
    fields: t.Mapping[str, t.Any]
    document: Document | None = None
    flags: bool = False
    ours: bool = False
    # Merged into the defaults of what it leaves out.
    drop_in: bool = False

    def says(self, path: Path) -> bool:
        """Whether it decides on the path, be it by taking away what is below."""
        if path[0] not in self.fields:
            return False
        value = self.fields[path[0]]
        return len(path) == 1 or value is None or (isinstance(value, dict) and path[1] in value)

    def value(self, path: Path) -> t.Any:
        """What stands there, None where nothing does."""
        value = self.fields.get(path[0])
        return value if len(path) == 1 or value is None else value.get(path[1]) if isinstance(value, dict) else None


@dataclass(frozen=True)
class Layers:
    """All layers, the one that counts least first, and the number of the one that is written.

    `hidden_by` is the file, if any, because of which nothing that is written there counts; `refused` says why there is none to write
    to. Those of flags come last.
    """

    layers: tuple[Layer, ...]
    target: int
    hidden_by: str = ""
    refused: ConfigurationError | None = None

    def effective(self) -> dict[str, t.Any]:
        """The fields as kubelet understands them."""
        return self._overlaid(*self._merged())

    def _merged(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        files: dict[str, t.Any] = {}
        flags: dict[str, t.Any] = {}
        for layer in self.layers:
            if layer.flags:
                flags = merge_flags(flags, layer.fields)
            else:
                files = merge(files, layer.fields)
        return files, flags

    def _overlaid(self, files: t.Mapping[str, t.Any], flags: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        # A map's flag replaces the file's map, but that of the gates adds to it (cmd/kubelet/app/server.go).
        kept = {name: value for name, value in files.items() if name not in flags or name == GATES_FIELD}
        return merge(kept, flags)

    def lost_to_flag(self, name: str) -> dict[str, t.Any]:
        """The entries of a map in files that a flag written now would replace."""
        files, flags = self._merged()
        if not self.layers[self.target].flags or name in flags or name == GATES_FIELD:
            return {}
        entries = files.get(name)
        return dict(entries) if isinstance(entries, dict) else {}

    @property
    def merges_thresholds(self) -> bool:
        """Whether kubelet adds its default thresholds to those of its file; a drop-in's word for it comes too late."""
        return any(layer.fields.get(MERGES_THRESHOLDS) is True for layer in self.layers if not layer.drop_in)

    def thresholds(self, unsaid: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """The hard eviction thresholds in force, where those of kubelet itself are these."""
        said = [layer for layer in self.layers if layer.fields.get(EVICTION_FIELD) is not None]
        base = {} if any(not layer.drop_in for layer in said) else unsaid
        if self.merges_thresholds and not any(layer.flags for layer in said):
            base = unsaid
        return {**base, **self.effective().get(EVICTION_FIELD, {})}

    def above_target(self, path: Path) -> t.Iterator[tuple[int, Layer]]:
        """The layers that say something about the path after the one that is written."""
        for number in range(self.target + 1, len(self.layers)):
            layer = self.layers[number]
            hides = layer.flags and not self.layers[self.target].flags and path[0] != GATES_FIELD
            if layer.says(path) or (hides and layer.says(path[:1])):
                yield number, layer

    def added_to(self, path: Path) -> t.Iterator[Layer]:
        """The layers to whose list kubelet would add what is written: that of a flag is never replaced by the same flag."""
        before = self.layers[: self.target] if self.layers[self.target].flags else ()
        return (layer for layer in before if layer.flags and isinstance(layer.value(path), list))

    def with_document(self, number: int, document: Document) -> Layers:
        """The same with another text in one layer."""
        layer = replace(self.layers[number], document=document, fields=document.fields())
        return replace(self, layers=(*self.layers[:number], layer, *self.layers[number + 1 :]))  # noqa: E203


def layers_of(observed: Observed, version: Version) -> Layers:
    """The layers of a node. Raises ConfigurationError where a file is malformed, or there is none to write to."""
    layers = WAYS[observed.kind.files].layers(observed, version)
    if layers.refused is not None:
        raise layers.refused
    return layers


def effective_fields(observed: Observed, version: Version) -> dict[str, t.Any]:
    """The fields in force, also where kubelet's directory of drop-ins has become a symbolic link. Raises ConfigurationError."""
    return WAYS[observed.kind.files].layers(observed, version).effective()


def in_force_by_operator(observed: Observed) -> dict[str, t.Any]:
    """The fields that the operator of OpenShift 4 and the unit give kubelet."""
    drop_ins = sorted(path for path in observed.files if path != observed.config)
    paths = [path for path in (observed.config, *drop_ins) if path in observed.files]
    files = [_file(ConfigurationFile, observed, path) for path in paths]
    return Layers((*files, *_flags(observed.words)), 0).effective()


def document_of(path: str, text: str, flavour: Flavour, version: Version) -> Document:
    """The document that such a file is, whichever layer it was."""
    return WAYS[flavour.files].document(text, path, version)


def _of_arguments(kind: type[ArgumentLines] | type[NodeConfig]) -> t.Callable[[Observed, Version], Layers]:
    """The layers of a file of flags, which comes over the files that it names."""

    def layers(observed: Observed, _version: Version) -> Layers:
        layer = _file(kind, observed, observed.config)
        named = _named(observed)
        if not named and kind(observed.files[observed.config], observed.config).has("config"):
            raise ConfigurationError(
                "the file that it names as kubelet's configuration cannot be made out",
                f"{observed.config}: config",
                "write its path plainly; nothing was written",
            )
        return Layers((*named, replace(layer, flags=True)), len(named))

    return layers


def _plain(observed: Observed, _version: Version) -> Layers:
    flags = {flag for flag, _text in join_arguments(observed.words)}
    if observed.words and not {"config", "config-dir"} & flags:
        runs = "runs" if observed.running else "is started"
        raise ConfigurationError(
            f"kubelet {runs} without --config, so no file has its configuration",
            COMMAND_LINE,
            f"start it with --config={observed.config}",
        )
    # Of a symbolic link kubelet reads nothing.
    directory = "" if observed.config_dir in observed.linked else observed.config_dir
    command_line = _flags(observed.words)
    if observed.config not in observed.files and not directory:
        none = ConfigurationError(
            "kubelet has no such configuration file",
            observed.config,
            "let the node join its cluster first, or set config to the file that kubelet is started with (--config)",
        )
        if not observed.config_dir:
            raise none
        return Layers(tuple(command_line), 0, refused=none)
    base = [_file(ConfigurationFile, observed, observed.config)] if observed.config in observed.files else []
    if not directory:
        return Layers((*base, *command_line), 0)
    _require_read(observed, directory)
    return _with_drop_ins(observed, directory, base, command_line)


def _rancher(observed: Observed, version: Version) -> Layers:
    arguments = _rancher_arguments(observed, version)
    by_unit = _unit_arguments(observed)
    if version.minor >= DROP_INS_SINCE:
        directory = observed.config_dir or observed.kind.drop_ins
        if directory in observed.linked:
            refused = ConfigurationError(
                BEHIND_A_LINK,
                directory,
                "put the directory itself there; nothing was written",
            )
            return Layers((*arguments, *by_unit), 0, refused=refused)
        _require_read(observed, directory)
        return _with_drop_ins(observed, directory, [], [*arguments, *by_unit])
    named = _named(observed)
    if by_unit:
        # Nothing is written: what is wanted would have to go where it cannot be changed.
        return Layers((*named, *arguments, *by_unit), len(named) + len(arguments))
    ours = f"{arguments_dir(observed.config)}/{ARGUMENTS_NAME}"
    position = sum(_rank(observed, layer.where) < _rank(observed, ours) for layer in arguments)
    if not any(layer.ours for layer in arguments):
        text = observed.files.get(ours, MANAGED)
        arguments.insert(position, Layer(ours, {}, K3sArguments(text, ours, version.minor >= _PLUS_SINCE), True, True))
    target = next(number for number, layer in enumerate(arguments) if layer.ours)
    behind = (path for path in _argument_paths(observed) if _rank(observed, path) > _rank(observed, ours))
    replaces = [path for path in behind if k3s_replaces(observed.files[path], path)]
    return Layers((*named, *arguments), len(named) + target, replaces[-1] if replaces else "")


def _argument_paths(observed: Observed) -> list[str]:
    """The files of kubelet's arguments that there are, in their order."""
    directory = arguments_dir(observed.config)
    beside = sorted(path for path in observed.files if path.startswith(f"{directory}/"))
    return [path for path in (observed.config, *beside) if path in observed.files]


def _rank(observed: Observed, path: str) -> tuple[bool, str]:
    return path != observed.config, path


def _named(observed: Observed) -> list[Layer]:
    """The files that kubelet's arguments name as its configuration: below all arguments, and never written."""
    layers = []
    for path in observed.named:
        if path not in observed.files:
            raise ConfigurationError(
                "kubelet's arguments name it as its configuration, and there is no such file",
                path,
                "correct config among the arguments, as a whole path; nothing was written",
            )
        fields = _file(ConfigurationFile, observed, path).fields
        layers.append(Layer(path, fields, drop_in=path != observed.named[0]))
    return layers


def _unit_arguments(observed: Observed) -> list[Layer]:
    """The kubelet arguments on the unit's command line.

    By the documentation of K3s and RKE2 they drop those of the files, by their source (pkg/configfilearg/parser.go) they come after
    them. So they come over what others have written there, and nothing of our own is relied on beside them.
    """
    parsed = [argument for argument in map(k3s_argument, observed.unit_arguments) if argument is not None]
    where = f"--kubelet-arg of {observed.unit}"
    return [Layer(where, fields_of_arguments(parsed), None, True)] if observed.unit_arguments else []


def _rancher_arguments(observed: Observed, version: Version) -> list[Layer]:
    """The kubelet arguments in config.yaml and config.yaml.d, where one without a plus drops what comes before it."""
    ours = f"{arguments_dir(observed.config)}/{ARGUMENTS_NAME}"
    layers: list[Layer] = []
    for path in _argument_paths(observed):
        text = observed.files[path]
        if k3s_replaces(text, path):
            layers = []
        if path == ours:
            document = K3sArguments(text, path, version.minor >= _PLUS_SINCE)
            layers.append(Layer(path, document.fields(), document, True, True))
        else:
            layers.append(Layer(path, fields_of_arguments(k3s_arguments(text, path)), None, True))
    return layers


def _require_read(observed: Observed, directory: str) -> None:
    """Refuse a directory of drop-ins that is not the one on kubelet's command line: kubelet reads none but that.

    The command lines of K3s and RKE2 do not say, nor does that of an RKE2 which is yet to be upgraded.
    """
    flags = dict(join_arguments(observed.words))
    named = flags.get("config-dir", "").rstrip("/")
    if named and named != directory:
        raise ConfigurationError(
            f"kubelet reads its drop-ins in {named}, and not in {directory}",
            "config_dir",
            f"leave it out, or start kubelet with --config-dir={directory}",
        )
    if not named and observed.kind.command_line_decides and (observed.running or "config" in flags):
        raise ConfigurationError(
            f"kubelet is started without --config-dir, and does not read what is in {directory}",
            "config_dir",
            f"leave it out, or start kubelet with --config-dir={directory}",
        )


def _with_drop_ins(observed: Observed, directory: str, base: t.Sequence[Layer], flags: t.Sequence[Layer]) -> Layers:
    ours = f"{directory}/{DROP_IN_NAME}"
    # As kubelet walks: what is in a directory comes where its name does.
    paths = sorted((path for path in observed.files if path.startswith(f"{directory}/")), key=_walked)
    drop_ins = [replace(_file(ConfigurationFile, observed, path), ours=path == ours, drop_in=True) for path in paths]
    if ours not in paths:
        position = sum(_walked(path) < _walked(ours) for path in paths)
        drop_ins.insert(position, Layer(ours, {}, ConfigurationFile(DROP_IN, ours), False, True, True))
    layers = (*base, *drop_ins, *flags)
    return Layers(layers, next(number for number, layer in enumerate(layers) if layer.where == ours))


def _walked(path: str) -> list[str]:
    return path.split("/")


def _file(kind: t.Callable[[str, str], Document], observed: Observed, path: str) -> Layer:
    if path not in observed.files:
        raise ConfigurationError("there is no such file", path, "set config to kubelet's configuration file")
    document = kind(observed.files[path], path)
    return Layer(path, document.fields(), document)


def _flags(words: t.Sequence[str]) -> list[Layer]:
    fields = fields_of_arguments(join_arguments(words))
    return [Layer(COMMAND_LINE, fields, None, True)] if fields else []


def describe(path: Path) -> str:
    """How a path is written for people."""
    return ".".join(path)


def leaves(wanted: t.Mapping[str, t.Any]) -> t.Iterator[tuple[Path, t.Any]]:
    """What is set one by one: fields, and the entries of maps but for the gates, which are decided on first."""
    for name, value in wanted.items():
        if name == GATES_FIELD:
            continue
        if BY_NAME[name].is_map:
            for key, entry in value.items():
                yield (name, key), entry
        else:
            yield (name,), value


def _rancher_document(text: str, path: str, version: Version) -> Document:
    if path.endswith(f"/{ARGUMENTS_NAME}"):
        return K3sArguments(text, path, version.minor >= _PLUS_SINCE)
    return ConfigurationFile(text, path)


class _Way(t.NamedTuple):
    layers: t.Callable[[Observed, Version], Layers]
    document: t.Callable[[str, str, Version], Document]


WAYS: t.Mapping[Files, _Way] = {
    Files.CONFIGURATION: _Way(_plain, lambda text, path, _version: ConfigurationFile(text, path)),
    Files.LINES: _Way(_of_arguments(ArgumentLines), lambda text, path, _version: ArgumentLines(text, path)),
    Files.NODE_CONFIG: _Way(_of_arguments(NodeConfig), lambda text, path, _version: NodeConfig(text, path)),
    Files.RANCHER: _Way(_rancher, _rancher_document),
}
