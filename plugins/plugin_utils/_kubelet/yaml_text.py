# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes single entries of a YAML text and leaves every other byte of it alone: comments, order, quoting, indentation.

A YAML library that reads and writes a whole document brings all of it into its own form. Here the parser only says where things
stand, and text is put in there.
"""

from __future__ import annotations

import copy
import json
import re
import typing as t

import yaml

from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, RefusedError

Path = tuple[str, ...]

_NUMBER = re.compile(r"[-+]?[\d.][\d._]*([eE][-+]?\d+)?")
_MERGE = "tag:yaml.org,2002:merge"
# A kubelet's file has hundreds.
_MOST_NODES = 100_000


class YamlText:
    """A YAML document that is a mapping, or empty. Not changed itself: each change gives a new one."""

    def __init__(self, text: str, where: str) -> None:
        """Raises ConfigurationError with the line where it cannot be read."""
        self.text = text
        self.where = where
        self._end = "\r\n" if "\r\n" in text else "\n"
        text = _readable(text)
        try:
            roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
            if roots and _size(roots[0], frozenset(), {}) > _MOST_NODES:
                raise ConfigurationError(
                    f"the YAML has more than {_MOST_NODES} values", where, "write those of aliases out"
                )
            self.data = yaml.safe_load(text) if len(roots) == 1 else None
        except yaml.YAMLError as error:
            raise ConfigurationError(
                f"the YAML is malformed: {_problem(error)}", _place(where, error), "repair it"
            ) from None
        except RecursionError:
            raise ConfigurationError("the YAML is nested too deeply", where, "repair it") from None
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            # The library's own, for what looks like a date, a number or the like and is none.
            raise ConfigurationError(f"the YAML has a value that is none: {error}", where, "repair it") from None
        if len(roots) > 1:
            raise ConfigurationError("there is more than one YAML document", where, "leave one")
        self._root: yaml.Node | None = roots[0] if roots else None
        if self.data is None:
            self.data = {}
        if not isinstance(self.data, dict):
            raise ConfigurationError("it is no mapping of names to values", where, "repair it")
        if isinstance(self._root, yaml.MappingNode):
            self._require_names_once(self._root)

    def get(self, path: Path) -> t.Any:
        """The value there, None where there is none."""
        value: t.Any = self.data
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def has(self, name: str) -> bool:
        """Whether the name stands there, be it with nothing behind it."""
        return isinstance(self.data, dict) and name in self.data

    def line(self, path: Path) -> int | None:
        """The line of that entry, from 1; None where it does not stand there itself, but by an alias or a merge key."""
        try:
            found = self._entry(path)
        except RefusedError:
            return None
        return found[0].start_mark.line + 1 if found else None

    def with_value(self, path: Path, value: t.Any) -> YamlText:
        """The same with this value there. Raises RefusedError where the text is written in a way that cannot be edited safely."""
        return self._proven(self._with_value(path, value), path, value)

    def without(self, path: Path) -> YamlText:
        """The same without that entry. A mapping that is left without entries goes too."""
        return self._proven(self._without(path), path, None)

    def _proven(self, changed: YamlText, path: Path, value: t.Any) -> YamlText:
        """The changed text, once read again: the entry is as it should be, and nothing else has another meaning."""
        if changed.get(path) != value or _others(changed.data, path) != _others(self.data, path):
            raise RefusedError(f"{'.'.join(path)} cannot be changed in this file", self.where, "change it by hand")
        return changed

    def _without(self, path: Path) -> YamlText:
        found = self._entry(path)
        if found is None:
            return self
        parent = self._mapping(path[:-1])
        flow = self._flow(path[:-1])
        if flow is not None:
            return self._with_flow(flow, path, None)
        if len(path) > 1 and parent is not None and len(parent.value) == 1:
            return self._without(path[:-1])
        key, value = found
        first, last = key.start_mark.line, _last_line(key, value)
        lines = self.text.splitlines(keepends=True)
        return YamlText("".join([*lines[:first], *lines[last + 1 :]]), self.where)  # noqa: E203

    def _with_value(self, path: Path, value: t.Any) -> YamlText:
        parent = self._mapping(path[:-1])
        if parent is None and len(path) > 1:
            if self.get(path[:-1]) is not None:
                name = ".".join(path[:-1])
                raise RefusedError(f"{name} has no entries", f"{self.where}:{self.line(path[:-1])}", "repair it")
            return self._with_value(path[:-1], {path[-1]: value})
        flow = self._flow(path[:-1])
        if flow is not None:
            return self._with_flow(flow, path, value)
        found = self._entry(path)
        if found is None:
            return self._inserted(parent, path[-1], value)
        key, node = found
        if isinstance(node, yaml.ScalarNode) and not isinstance(value, (dict, list)):
            start, end = node.start_mark.index, node.end_mark.index
            text = render_scalar(value)
            if start == end:
                start = end = self.text.index(":", key.end_mark.index) + 1
                text = f" {text}"
            return YamlText(self.text[:start] + text + self.text[end:], self.where)
        first, last = key.start_mark.line, _last_line(key, node)
        lines = self.text.splitlines(keepends=True)
        new = self._rendered(path[-1], value, key.start_mark.column)
        return YamlText("".join([*lines[:first], new, *lines[last + 1 :]]), self.where)  # noqa: E203

    def _inserted(self, parent: yaml.MappingNode | None, name: str, value: t.Any) -> YamlText:
        lines = self.text.splitlines(keepends=True)
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += self._end
        if parent is None or not parent.value:
            position, column = len(lines), 0
        else:
            position, column = _last_line(*parent.value[-1]) + 1, parent.value[0][0].start_mark.column
        return YamlText(
            "".join([*lines[:position], self._rendered(name, value, column), *lines[position:]]), self.where
        )

    def _rendered(self, name: str, value: t.Any, column: int) -> str:
        return "".join(" " * column + line + self._end for line in render_entry(name, value))

    def _require_names_once(self, node: yaml.MappingNode, prefix: str = "") -> None:
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise ConfigurationError(
                    f"{prefix}{name} is given twice, in lines {seen[name]} and {line}", self.where, "leave one of them"
                )
            seen[name] = line
            if isinstance(value, yaml.MappingNode) and not _is_alias(key, value):
                self._require_names_once(value, f"{prefix}{name}.")

    def _mapping(self, path: Path) -> yaml.MappingNode | None:
        """The mapping there, None where there is none or nothing in it yet."""
        if not path:
            return self._root if isinstance(self._root, yaml.MappingNode) else None
        found = self._entry(path)
        return found[1] if found and isinstance(found[1], yaml.MappingNode) else None

    def _entry(self, path: Path) -> tuple[yaml.Node, yaml.Node] | None:
        parent = self._mapping(path[:-1])
        for key, value in parent.value if parent else ():
            if key.tag == _MERGE or (key.value == path[-1] and _is_alias(key, value)):
                raise RefusedError(
                    "an alias or a merge key is where something has to change",
                    f"{self.where}:{key.start_mark.line + 1}",
                    "write the values out",
                )
            if key.value == path[-1]:
                return key, value
        return None

    def _flow(self, path: Path) -> Path | None:
        """The outermost mapping on the way to `path` that is written with braces."""
        for length in range(len(path) + 1):
            node = self._mapping(path[:length])
            if node is not None and node.flow_style:
                return path[:length]
        return None

    def _span(self, path: Path) -> tuple[int, int]:
        """Where the mapping there begins and ends."""
        node = self._mapping(path)
        return (node.start_mark.index, node.end_mark.index) if node else (0, 0)

    def _with_flow(self, flow: Path, path: Path, value: t.Any) -> YamlText:
        """Write a mapping with braces again, with the value, or without it for None."""
        data: t.Any = copy.deepcopy(self.get(flow))
        *above, last = path[len(flow) :]  # noqa: E203
        place = data
        for name in above:
            place = place.setdefault(name, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
        start, end = self._span(flow)
        old = self.text[start:end]
        if "#" in old:
            raise RefusedError(
                "there are comments inside of braces", self.where, "write one entry a line, without braces"
            )
        return YamlText(self.text[:start] + _braces(data, old) + self.text[end:], self.where)


def render_entry(name: str, value: t.Any) -> list[str]:
    """The lines of one entry, without indentation of its own."""
    if isinstance(value, dict) and value:
        return [f"{name}:", *(f"  {line}" for key, entry in value.items() for line in render_entry(key, entry))]
    if isinstance(value, list) and value:
        text = yaml.safe_dump(value, default_flow_style=False, sort_keys=False, width=10_000)
        return [f"{name}:", *text.splitlines()]
    return [f"{name}: {render_scalar(value)}"]


def render_scalar(value: t.Any) -> str:
    """A single value, quoted where some reader could take it for something else than text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return f'"{value}"'
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()


def _readable(text: str) -> str:
    """The text for a reader of YAML, with everything at its place: between the words of JSON a tab may be, and nowhere else in it."""
    if "\t" not in text or not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return text
    try:
        json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


def _braces(data: t.Any, old: str) -> str:
    """The mapping in the form of the old text: JSON as it was indented, or YAML in one line."""
    try:
        json.loads(old)
    except ValueError:
        return yaml.safe_dump(data, default_flow_style=True, sort_keys=False, width=10_000).strip()
    indented = re.search(r"\n([ \t]+)\S", old)
    return json.dumps(data, indent=indented.group(1) if indented else None)


def _others(data: t.Any, path: Path) -> t.Any:
    """The data without that entry, and without the mappings that this leaves empty."""
    if not isinstance(data, dict):
        return data or None
    rest = {name: value for name, value in data.items() if name != path[0]}
    if len(path) > 1 and (inner := _others(data.get(path[0]), path[1:])):
        rest[path[0]] = inner
    return rest


def _size(node: yaml.Node, above: frozenset[int], known: dict[int, int]) -> int:
    """How many nodes there are with each alias as what it stands for: too many where that stands around it, and no more than that."""
    if id(node) in above:
        return _MOST_NODES + 1
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        parts = (part for one in node.value for part in (one if isinstance(one, tuple) else (one,)))
        size = 1 + sum(_size(part, above | {id(node)}, known) for part in parts)
        known[id(node)] = min(size, _MOST_NODES + 1)
    return known[id(node)]


def _is_alias(key: yaml.Node, value: yaml.Node) -> bool:
    """An alias gives the node that it stands for, with the place where that one is."""
    return bool(value.start_mark.index < key.end_mark.index)


def _last_line(key: yaml.Node, value: yaml.Node) -> int:
    if isinstance(value, yaml.CollectionNode) and not value.flow_style and value.value:
        last = value.value[-1]
        return _last_line(*last) if isinstance(last, tuple) else _last_line(last, last)
    mark = value.end_mark
    ends_before = mark.column == 0 and mark.line > value.start_mark.line
    return max(int(key.start_mark.line), int(mark.line) - ends_before)


def _problem(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return " ".join(str(problem).split())


def _place(where: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{where}:{mark.line + 1}" if mark else where
