# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files in which kubelets find their configuration, all read and changed alike: by field, and by entry of a field.

A path is a field's name, or that of a map and of one entry: `("cpuManagerPolicy",)`, `("featureGates", "DevicePlugins")`.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.accel.qat.plugins.module_utils._kubelet.environment import (
    with_word,
    without_word,
    words_of,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.extra_arguments import NAME as EXTRA_ARGUMENTS
from ansible_collections.accel.qat.plugins.module_utils._kubelet.extra_arguments import config_dir_in
from ansible_collections.accel.qat.plugins.module_utils._kubelet.fields import (
    ALL_BY_NAME,
    BY_FLAG,
    BY_NAME,
    Field,
    Kind,
    from_flag,
    merge_flags,
    read,
    to_flag,
)
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.base import plain_name
from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours.rancher import KEY as K3S_KEY
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, RefusedError

from .yaml_text import Path, YamlText

MANAGED = "# Managed by accel.qat.kubelet_config\n"
API_VERSION = "kubelet.config.k8s.io/v1beta1"
KIND = "KubeletConfiguration"
DROP_IN = f"{MANAGED}apiVersion: {API_VERSION}\nkind: {KIND}\n"
CONFIG_DIR = "config-dir"

_Text = t.TypeVar("_Text")


class Document(t.Protocol):
    """One file's text. Not changed itself: each change gives a new one."""

    where: str

    @property
    def text(self) -> str:
        """The whole file."""

    def fields(self) -> dict[str, t.Any]:
        """The fields of the table that stand in it, in their normal form."""

    def with_value(self, path: Path, value: t.Any) -> Document:
        """The same with this value there."""

    def without(self, path: Path) -> Document:
        """The same without that entry."""


class ConfigurationFile:
    """A KubeletConfiguration in YAML or JSON."""

    def __init__(self, text: str, where: str) -> None:
        """Raises ConfigurationError where it is malformed or something else."""
        self._yaml = YamlText(text, where)
        self.where = where
        kind = self._yaml.get(("kind",))
        if kind != KIND or self._yaml.get(("apiVersion",)) != API_VERSION:
            raise ConfigurationError(
                f"it is no {KIND} of {API_VERSION}", where, "name kubelet's own configuration file, or repair it"
            )

    @property
    def text(self) -> str:
        return self._yaml.text

    def fields(self) -> dict[str, t.Any]:
        there = (field for field in ALL_BY_NAME.values() if self._yaml.has(field.name))
        return {field.name: read(field, self._yaml.get((field.name,)), self._place(field.name)) for field in there}

    def _place(self, name: str) -> str:
        line = self._yaml.line((name,))
        return f"{self.where}:{line}: {name}" if line else f"{self.where}: {name}"

    def with_value(self, path: Path, value: t.Any) -> Document:
        return ConfigurationFile(self._yaml.with_value(path, value).text, self.where)

    def without(self, path: Path) -> Document:
        return ConfigurationFile(self._yaml.without(path).text, self.where)


class _Flags:
    """Arguments `--flag=value`, in their order. Of a flag that stands several times the last one counts; maps and lists add up."""

    def __init__(self, arguments: t.Sequence[tuple[str, str]]) -> None:
        self._arguments = tuple(arguments)

    def fields(self) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {}
        for flag, text in self._arguments:
            field = BY_FLAG.get(flag)
            if field is not None:
                found = merge_flags(found, {field.name: read(field, from_flag(field, text), field.flag)})
        return found

    def changed(self, path: Path, value: t.Any) -> list[tuple[int | None, str, str | None]]:
        """What to do to the arguments: position (None to add), flag, and text (None to remove)."""
        field = BY_NAME[path[0]]
        places = [number for number, (flag, _text) in enumerate(self._arguments) if flag == field.flag]
        if len(path) == 1:
            if value is None:
                return [(number, field.flag, None) for number in places]
            last = places[-1] if places else None
            earlier: list[tuple[int | None, str, str | None]] = [(number, field.flag, None) for number in places[:-1]]
            return [*earlier, (last, field.flag, to_flag(field, value))]
        return self._changed_entry(field, path[1], value, places)

    def _changed_entry(
        self, field: Field, name: str, value: t.Any, places: list[int]
    ) -> list[tuple[int | None, str, str | None]]:
        todo: list[tuple[int | None, str, str | None]] = []
        done = value is None
        for number in reversed(places):
            entries = from_flag(field, self._arguments[number][1])
            if name not in entries:
                continue
            if done:
                del entries[name]
            else:
                entries[name], done = value, True
            todo.append((number, field.flag, to_flag(field, entries) if entries else None))
        if done:
            return todo
        if places and not field.one_each:
            entries = {**from_flag(field, self._arguments[places[-1]][1]), name: value}
            return [*todo, (places[-1], field.flag, to_flag(field, entries))]
        return [*todo, (None, field.flag, to_flag(field, {name: value}))]


def parse_argument(text: str) -> tuple[str, str] | None:
    """Flag and value of one argument, None where it is none. A flag alone is true."""
    text = text.strip()
    if not text or text.startswith("#"):
        return None
    name, equals, value = text.lstrip("-").partition("=")
    if not equals and " " in name:
        name, _space, value = name.partition(" ")
        equals = "="
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return plain_name(name), value if equals else "true"


def join_arguments(words: t.Sequence[str]) -> list[tuple[str, str]]:
    """Flags and values of a command line, where a value may be a word of its own."""
    found: list[tuple[str, str]] = []
    for word in words:
        if word.startswith("--"):
            argument = parse_argument(word)
            if argument is not None:
                found.append(argument)
        elif found and found[-1][1] == "true":
            found[-1] = (found[-1][0], word)
    return found


def fields_of_arguments(arguments: t.Sequence[tuple[str, str]]) -> dict[str, t.Any]:
    """The fields that these flags set."""
    return _Flags(arguments).fields()


# Nothing, a comment, or one flag and maybe a value of one word, in quotes or without.
_IS_PLAIN_LINE = re.compile(r"""(#.*|-[\w.-]+((=| +)("[^"]*"|'[^']*'|[^ \t"'\\]*))?)?""", re.S)
_HAS_OURS = re.compile(rf"--?({'|'.join(map(re.escape, (*BY_FLAG, CONFIG_DIR, 'config')))})(?![\w-])")


class ArgumentLines:
    """A file with one flag a line, as MicroK8s has it."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where

    def fields(self) -> dict[str, t.Any]:
        return _Flags([argument for _line, argument in self._arguments()]).fields()

    def with_value(self, path: Path, value: t.Any) -> Document:
        return self._changed(path, value)

    def without(self, path: Path) -> Document:
        return self._changed(path, None)

    def has(self, flag: str) -> bool:
        """Whether the flag stands in it."""
        return any(name == flag for _line, (name, _text) in self._arguments())

    def _arguments(self) -> list[tuple[int, tuple[str, str]]]:
        self._require_plain()
        parsed = ((number, parse_argument(line)) for number, line in enumerate(_lines(self.text)))
        return [(number, argument) for number, argument in parsed if argument is not None]

    def _require_plain(self) -> None:
        """Refuse a line of more than one flag where a flag of ours is in it: the snaps give all words of all lines to kubelet."""
        for number, line in enumerate(_lines(self.text)):
            plain = _IS_PLAIN_LINE.fullmatch(line.strip()) and not _goes_on(line.strip())
            if not plain and _HAS_OURS.search(plain_name(line)):
                raise ConfigurationError(
                    "the line is not one flag with its value",
                    f"{self.where}:{number + 1}",
                    "write one flag a line, as --flag=value, and comments in lines of their own; nothing was written",
                )

    def _changed(self, path: Path, value: t.Any) -> ArgumentLines:
        lines: list[str | None] = list(_lines(self.text))
        numbers = [number for number, _argument in self._arguments()]
        flags = _Flags([argument for _number, argument in self._arguments()])
        for position, flag, text in flags.changed(path, value):
            line = None if text is None else f"--{flag}={_quoted(text)}\n"
            if position is not None:
                lines[numbers[position]] = line
                continue
            if lines and lines[-1] is not None and not lines[-1].endswith("\n"):
                lines[-1] += "\n"
            lines.append(line)
        return ArgumentLines("".join(line for line in lines if line is not None), self.where)


def _lines(text: str) -> list[str]:
    """The lines as a shell has them, with their ends: no other character ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _goes_on(line: str) -> bool:
    """Whether the line is a flag alone whose value is the next word, in another line."""
    field = BY_FLAG.get(plain_name(line.lstrip("-")))
    return field is not None and field.kind is not Kind.SWITCH


def _quoted(text: str) -> str:
    """MicroK8s gives the lines to a shell."""
    return f'"{text}"' if set("<;") & set(text) else text


class EnvironmentFile:
    """The file that gives kubelet an administrator's arguments; of them the directory of drop-ins alone."""

    def __init__(self, text: str, where: str, keep_line: bool = True) -> None:
        """With `keep_line` a line stays in which nothing is left."""
        self.text = text
        self.where = where
        self._keep_line = keep_line

    def fields(self) -> dict[str, t.Any]:
        self._sure(words_of(self.text, EXTRA_ARGUMENTS))
        directory = config_dir_in(self.text)
        return {CONFIG_DIR: directory} if directory else {}

    def with_value(self, path: Path, value: t.Any) -> Document:
        return self._with_text(with_word(self.text, EXTRA_ARGUMENTS, f"--{path[0]}={value}"))

    def without(self, path: Path) -> Document:
        word = f"--{path[0]}={self.fields()[path[0]]}"
        return self._with_text(without_word(self.text, EXTRA_ARGUMENTS, word, self._keep_line))

    def _with_text(self, text: str | None) -> EnvironmentFile:
        return EnvironmentFile(self._sure(text), self.where, self._keep_line)

    def _sure(self, made_out: _Text | None) -> _Text:
        if made_out is None:
            raise RefusedError(
                f"{EXTRA_ARGUMENTS} cannot be made out for certain",
                self.where,
                "write its arguments between double quotes, in one line; nothing was written",
            )
        return made_out


class NodeConfig:
    """node-config.yaml of OpenShift 3.x, where `kubeletArguments` has a list of texts for each flag."""

    _KEY = "kubeletArguments"

    def __init__(self, text: str, where: str) -> None:
        self._yaml = YamlText(text, where)
        self.where = where

    @property
    def text(self) -> str:
        return self._yaml.text

    def fields(self) -> dict[str, t.Any]:
        return _Flags(self._arguments()).fields()

    def with_value(self, path: Path, value: t.Any) -> Document:
        return self._changed(path, value)

    def without(self, path: Path) -> Document:
        return self._changed(path, None)

    def has(self, flag: str) -> bool:
        """Whether the flag stands in it."""
        return any(name == flag for name, _text in self._arguments())

    def _arguments(self) -> list[tuple[str, str]]:
        found = self._yaml.get((self._KEY,))
        if found is None:
            return []
        if not isinstance(found, dict) or not all(isinstance(texts, list) for texts in found.values()):
            raise ConfigurationError("it is no mapping of flags to lists", f"{self.where}: {self._KEY}", "repair it")
        return [(str(flag), str(text)) for flag, texts in found.items() for text in texts]

    def _changed(self, path: Path, value: t.Any) -> NodeConfig:
        flag = BY_NAME[path[0]].flag
        texts: list[str | None] = [text for name, text in self._arguments() if name == flag]
        for position, _flag, text in _Flags([(flag, str(text)) for text in texts]).changed(path, value):
            if position is None:
                texts.append(text)
            else:
                texts[position] = text
        kept = [text for text in texts if text is not None]
        place = (self._KEY, flag)
        changed = self._yaml.with_value(place, kept) if kept else self._yaml.without(place)
        return NodeConfig(changed.text, self.where)


class K3sArguments:
    """A file of config.yaml.d of K3s or RKE2 that is all our own; its `kubelet-arg+` adds to what the files before it say."""

    def __init__(self, text: str, where: str, extends_defaults: bool = True) -> None:
        self.text = text
        self.where = where
        self._extends_defaults = extends_defaults
        self._arguments = k3s_arguments(text, where)

    def fields(self) -> dict[str, t.Any]:
        return _Flags(self._arguments).fields()

    def with_value(self, path: Path, value: t.Any) -> Document:
        return self._changed(path, value)

    def without(self, path: Path) -> Document:
        return self._changed(path, None)

    def _changed(self, path: Path, value: t.Any) -> K3sArguments:
        arguments: list[tuple[str, str] | None] = list(self._arguments)
        for position, flag, text in _Flags(self._arguments).changed(path, value):
            argument = None if text is None else (flag, text)
            if position is None:
                arguments.append(argument)
            else:
                arguments[position] = argument
        kept = [self._written(*argument) for argument in arguments if argument is not None]
        empty = YamlText(MANAGED, self.where)
        text = empty.with_value((f"{K3S_KEY}+",), kept).text if kept else MANAGED
        return K3sArguments(text, self.where, self._extends_defaults)

    def _written(self, flag: str, text: str) -> str:
        # A plain feature-gates would drop those that K3s gives kubelet itself; its plus adds (pkg/util/args.go).
        plus = "+" if self._extends_defaults and flag == "feature-gates" else ""
        return f"{flag}{plus}={text}"


def k3s_arguments(text: str, where: str) -> list[tuple[str, str]]:
    """The kubelet's flags in one file of K3s or RKE2."""
    document = YamlText(text, where)
    found: list[tuple[str, str]] = []
    for key in (K3S_KEY, f"{K3S_KEY}+"):
        values = document.get((key,))
        for value in values if isinstance(values, list) else [] if values is None else [values]:
            argument = k3s_argument(str(value))
            if argument is not None:
                found.append(argument)
    return found


def k3s_argument(text: str) -> tuple[str, str] | None:
    """The flag and value of one kubelet-arg, None where it is none."""
    argument = parse_argument(text)
    return None if argument is None else (argument[0].rstrip("+-"), argument[1])


def k3s_replaces(text: str, where: str) -> bool:
    """Whether the file has kubelet-arg without a plus, which drops what the files before it say."""
    return YamlText(text, where).get((K3S_KEY,)) is not None
