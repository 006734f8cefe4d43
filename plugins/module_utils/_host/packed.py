# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A program in one file that Python runs: its sources, and beside each the byte code of the Python that runs it.

Python takes byte code of a zip file only where it is its own kind, and else the source (zipimport, from 3.8 on): a file from before
an upgrade of Python still runs, and is slower to start.
"""

from __future__ import annotations

import hashlib
import io
import os
import typing as t
import zipfile
from dataclasses import dataclass, field
from functools import partial

from .._node.absence import if_there

Run = t.Callable[[t.Sequence[str]], str]
"""Runs a command and returns what it prints, or nothing where it fails."""

# A zip file knows no time before this; a fixed one makes the same parts the same file.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_KIND = "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"


@dataclass(frozen=True)
class Packed:
    """Its first line, which names the Python; sources and byte code by their names in the zip file.

    `kind` is the kind of Python that was to make the byte code, also where it could not.
    """

    head: bytes
    sources: t.Mapping[str, bytes]
    code: t.Mapping[str, bytes] = field(default_factory=dict)
    kind: str = ""

    @property
    def digest(self) -> str:
        """What first line and sources come to: by this it is known whether they have to be sent."""
        parts = [self.head, *(part for name, text in sorted(self.sources.items()) for part in (name.encode(), text))]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def is_as(self, digest: str, kind: str) -> bool:
        """Whether it has these sources, and what this kind of Python has made of them, and nothing else. Empty is any kind."""
        whole = not self.code or self.code.keys() == {f"{name}c" for name in self.sources}
        kinds = {self.kind, *(code[:4].hex() for code in self.code.values())}
        return self.digest == digest and whole and (not kind or kinds == {kind})

    def content(self) -> bytes:
        """The file."""
        packed = io.BytesIO()
        packed.write(self.head)
        with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = self.kind.encode()
            for name, text in sorted({**self.sources, **self.code}.items()):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, text)
        return packed.getvalue()


def unpack(content: bytes) -> Packed | None:
    """The parts of such a file; None for anything else, a damaged one too."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
            kind = archive.comment.decode()
    except Exception:  # zipfile raises a dozen kinds for a damaged file
        return None
    head, line_end, _rest = content.partition(b"\n")
    sources = {name: text for name, text in parts.items() if name.endswith(".py")}
    code = {name: text for name, text in parts.items() if name not in sources}
    return Packed(head + line_end, sources, code, kind)


def kind_of(python: str, run: Run) -> str:
    """Which byte code this Python takes; empty where it cannot be run."""
    return run([python, "-I", "-c", _KIND]).strip()


def with_code(packed: Packed, kind: str, python: str, path: str, run: Run, directory: str) -> Packed:
    """With byte code of this Python and kind, made in an empty directory; without where it cannot be made. `path` is for tracebacks."""
    for name, text in packed.sources.items():
        place = os.path.join(directory, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as stream:
            stream.write(text)
    # Not compared with the source, which is in the same file.
    options = ["-q", "-b", "--invalidation-mode", "unchecked-hash"]
    run([python, "-I", "-m", "compileall", *options, "-s", directory, "-p", path, directory])
    code = {f"{name}c": if_there(partial(_read, os.path.join(directory, f"{name}c")), b"") for name in packed.sources}
    return Packed(packed.head, packed.sources, code if all(code.values()) else {}, kind)


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()
