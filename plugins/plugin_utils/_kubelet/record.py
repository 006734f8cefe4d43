# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node's kubelet configuration was before this collection changed it, and the way back there."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.accel.qat.plugins.module_utils._host.edits import FileEdit
from ansible_collections.accel.qat.plugins.module_utils._node.document import (
    Part,
    is_content,
    is_path,
    read_object,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError

from .documents import CONFIG_DIR, Document
from .layers import Layer, Layers
from .yaml_text import Path

_FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One entry of a file: what was found, and what was written; None for nothing."""

    path: Path
    found: t.Any
    written: t.Any


@dataclass(frozen=True)
class File:
    """One file. `whole` as long as nobody else has changed it between two changes of ours: then `text` is what was found."""

    text: str | None
    whole: bool
    written: str
    entries: tuple[Entry, ...] = ()
    # Whether it gives kubelet arguments, of which ours is a directory of drop-ins; and whether that was made for it.
    gives_arguments: bool = False
    directory_made: bool = False

    @property
    def directories(self) -> tuple[str, ...]:
        """Those of drop-ins that it gives kubelet by an argument of ours."""
        return tuple(entry.written for entry in self.entries) if self.gives_arguments else ()

    @property
    def was_removed(self) -> bool:
        """Whether the last change took the file away."""
        return self.written == _digest(None)

    def restored(self, text: str, document_of: t.Callable[[str], Document]) -> str | None:
        """The file as it was found, None for none. What somebody else has changed since stays."""
        if self.whole and _digest(text) == self.written:
            return self.text
        document = document_of(text)
        for entry in self.entries:
            if Layer("", document.fields()).value(entry.path) == entry.written:
                document = _put_back(document, entry)
        return document.text


@dataclass(frozen=True)
class Record:
    """The files that were changed, by path."""

    files: t.Mapping[str, File] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Record:
        """Read a record, empty for None. Raises ConfigurationError."""
        if text is None:
            return cls()
        try:
            top = read_object(text)
            number = top.get("format", int)
            if number != _FORMAT:
                raise ValueError(f"format {number} is not known")
            return cls({_path(path): _file(part) for path, part in top.named("files").items()})
        except ValueError as error:
            raise ConfigurationError(
                f"the record of what was found cannot be read: {error}",
                "record",
                "restore the file from a backup, or remove it to let the present configuration count as the one found",
            ) from None

    def text(self) -> str:
        """The record as a file."""
        files = {
            path: {
                "text": file.text,
                "whole": file.whole,
                "written": file.written,
                "entries": [
                    {"path": list(entry.path), "found": entry.found, "written": entry.written} for entry in file.entries
                ],
                **({"gives_arguments": True, "directory_made": file.directory_made} if file.gives_arguments else {}),
            }
            for path, file in self.files.items()
        }
        return json.dumps({"format": _FORMAT, "files": files}, indent=2) + "\n"

    def with_edits(self, edits: t.Sequence[FileEdit], before: Layers, after: Layers) -> Record:
        """The same with these changes; of each entry what was found first is kept."""
        files = dict(self.files)
        for edit in edits:
            old = _layer(before, edit.path)
            new = _layer(after, edit.path)
            changes = [
                Entry(path, old.value(path), new.value(path))
                for path in sorted({*_paths(old), *_paths(new)})
                if old.value(path) != new.value(path)
            ]
            digest = _digest(edit.after)
            earlier = files.get(edit.path)
            if earlier is None:
                files[edit.path] = File(edit.before, True, digest, tuple(changes))
                continue
            whole = earlier.whole and _digest(edit.before) == earlier.written
            files[edit.path] = replace(earlier, whole=whole, written=digest, entries=_joined(earlier.entries, changes))
        return Record(files)

    @property
    def directories_made(self) -> set[str]:
        """The directories that were made for a drop-in of ours."""
        return {directory for file in self.files.values() if file.directory_made for directory in file.directories}

    def with_argument(self, edit: FileEdit, directory: str, made: bool) -> Record:
        """The same with the file that gives kubelet a directory of drop-ins, which may have been made for that."""
        entry = Entry((CONFIG_DIR,), None, directory)
        file = File(edit.before, True, _digest(edit.after), (entry,), True, made)
        return Record({**self.files, edit.path: file})

    def without(self, *paths: str) -> Record:
        """The same without these files."""
        return Record({path: file for path, file in self.files.items() if path not in paths})


def _put_back(document: Document, entry: Entry) -> Document:
    if entry.found is None:
        return document.without(entry.path)
    return document.with_value(entry.path, entry.found)


def _joined(earlier: t.Sequence[Entry], later: t.Sequence[Entry]) -> tuple[Entry, ...]:
    entries = {entry.path: entry for entry in earlier}
    for entry in later:
        known = entries.get(entry.path)
        # Somebody else's value in between is what was found.
        found = known.found if known is not None and known.written == entry.found else entry.found
        entries[entry.path] = Entry(entry.path, found, entry.written)
    return tuple(entry for entry in entries.values() if entry.found != entry.written)


def _paths(layer: Layer) -> t.Iterator[Path]:
    for name, value in layer.fields.items():
        if isinstance(value, dict):
            yield from ((name, key) for key in value)
        else:
            yield (name,)


def _layer(layers: Layers, path: str) -> Layer:
    return next(layer for layer in layers.layers if layer.where == path)


def _digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode("utf-8", "surrogateescape")).hexdigest()


def _path(text: str) -> str:
    if not is_path(text):
        raise ValueError(f"{text!r} is no path of a file")
    return text


def _file(part: Part) -> File:
    """A file of the record. Raises ValueError where it is something else, as all of these."""
    more = [part.has(name) and part.get(name, bool) for name in ("gives_arguments", "directory_made")]
    entries = tuple(_entry(one, gives_arguments=more[0]) for one in part.parts("entries"))
    return File(part.text("text", is_content), part.get("whole", bool), part.get("written", str), entries, *more)


def _entry(part: Part, gives_arguments: bool) -> Entry:
    path = tuple(part.texts("path", bool))
    written = part.text("written", is_path) if gives_arguments else part.value("written")
    if len(path) not in (1, 2) or (gives_arguments and written is None):
        raise ValueError("an entry of it is of nothing")
    return Entry(path, part.value("found"), written)
