# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The archive: what goes in is redacted and bounded, in an order of its own, with a list of it and of what could not be had."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
import time
import typing as t

from .._node.errors import NodeError
from .._node.printable import printable, shortened
from .files import LeftOut, reason_of
from .redaction import Form, redact

MOST_OF_A_FILE = 512 << 10
MOST_IN_ALL = 16 << 20
"""Bytes, before they are compressed."""
FORMAT = 1
README, INDEX = "README", "index.json"

# A text file stays one, and does nothing to the terminal of whoever shows it.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NO_NAME = re.compile(r"[^\w.@:+\-]")


class Source(t.NamedTuple):
    """What is to be in the archive by this name. `look` gives its text, or raises why it cannot be had."""

    name: str
    about: str
    origin: str
    form: Form
    look: t.Callable[[], str]


class Entry(t.NamedTuple):
    """A file of the archive. Of one that is `shortened` the last part is there."""

    name: str
    about: str
    origin: str
    content: bytes
    redacted: int
    shortened: bool


class Missing(t.NamedTuple):
    """What could not be had, and why."""

    name: str
    about: str
    origin: str
    reason: str


class Bundle:
    """The archive in the making. `seconds` is how long taking everything may last."""

    def __init__(self, host: str, taken: float, seconds: float = 180.0, most: int = MOST_IN_ALL) -> None:
        self._host = host
        self._taken = taken
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._left = most
        self._most = most
        self.entries: dict[str, Entry] = {}
        self.missing: list[Missing] = []

    @property
    def redacted(self) -> int:
        """How many secrets were taken out, or what looks like one."""
        return sum(entry.redacted for entry in self.entries.values())

    def take(self, source: Source) -> None:
        """Put it in, or note why not. It raises nothing: one thing that is missing keeps nobody from the others."""
        source = source._replace(origin=printable(source.origin))
        if source.name in self.entries or any(one.name == source.name for one in self.missing):
            return
        if time.monotonic() > self._deadline:
            self._lacks(source, f"left out: all of it would take longer than {self._seconds:g} seconds")
            return
        try:
            self._put(source, source.look())
        except Exception as error:
            self._lacks(source, why_not(error))

    def _put(self, source: Source, text: str) -> None:
        cleaned, count = redact(text, source.form)
        content = _CONTROL.sub(_escaped, cleaned).encode("utf-8", "backslashreplace")
        is_long = len(content) > MOST_OF_A_FILE
        if is_long and source.form is not Form.LOG:
            raise LeftOut(f"larger than {MOST_OF_A_FILE} bytes")
        if is_long:
            content = content[-MOST_OF_A_FILE:].partition(b"\n")[2]
        if len(content) > self._left:
            raise LeftOut(f"left out: the archive would have more than {self._most} bytes")
        self._left -= len(content)
        self.entries[source.name] = Entry(source.name, source.about, source.origin, content, count, is_long)

    def _lacks(self, source: Source, reason: str) -> None:
        said, _count = redact(printable(shortened(reason)), Form.PLAIN)
        self.missing.append(Missing(source.name, source.about, source.origin, said))

    def index(self) -> dict[str, t.Any]:
        """What is in the archive and what is not, for machines."""
        return {
            "format": FORMAT,
            "host": self._host,
            "taken": self._time(),
            "redacted": self.redacted,
            "files": [
                {
                    "name": one.name,
                    "about": one.about,
                    "from": one.origin,
                    "bytes": len(one.content),
                    "redacted": one.redacted,
                    "shortened": one.shortened,
                }
                for one in self._in_order()
            ],
            "missing": [
                {"name": one.name, "about": one.about, "from": one.origin, "reason": one.reason}
                for one in sorted(self.missing)
            ],
        }

    def _in_order(self) -> list[Entry]:
        return [self.entries[name] for name in sorted(self.entries)]

    def _time(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._taken))

    def _readme(self) -> str:
        lines = [
            f"Support bundle of {printable(self._host)}, taken {self._time()} by accel.qat.gather.",
            "",
            f"Secrets, and what looks like one, are replaced by [redacted]: {self.redacted} in all. Look through it before you send it.",
            f"The same as below for machines is in {INDEX}.",
            "",
            *_list([(one.name, f"{one.about}{_notes(one)}", one.origin) for one in self._in_order()]),
            "",
            "What could not be had:" if self.missing else "Nothing is missing.",
            *_list([(one.name, one.reason, one.origin) for one in sorted(self.missing)]),
        ]
        return "\n".join(lines) + "\n"

    def files(self) -> list[tuple[str, bytes]]:
        """All files of the archive in their order."""
        index = json.dumps(self.index(), indent=2, ensure_ascii=False) + "\n"
        return [
            (README, self._readme().encode("utf-8", "backslashreplace")),
            (INDEX, index.encode("utf-8", "backslashreplace")),
            *((one.name, one.content) for one in self._in_order()),
        ]

    def write(self, path: str) -> int:
        """Write it to a new file, which nobody else ever reads; returns its size. Raises NodeError, and leaves no file then."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _cannot_be_written(path, error) from None
        try:
            with os.fdopen(descriptor, "wb") as stream:
                self._pack(stream)
                stream.flush()
                return os.fstat(descriptor).st_size
        except OSError as error:
            os.unlink(path)
            raise _cannot_be_written(path, error) from None

    def _pack(self, stream: t.IO[bytes]) -> None:
        seconds = int(self._taken)
        with gzip.GzipFile("", "wb", fileobj=stream, mtime=seconds) as packed, _tar(packed) as archive:
            for name, content in self.files():
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.mode = len(content), seconds, 0o644
                archive.addfile(member, io.BytesIO(content))


def _tar(packed: gzip.GzipFile) -> tarfile.TarFile:
    return tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT)


def why_not(error: Exception) -> str:
    """Why something could not be had."""
    if isinstance(error, (LeftOut, NodeError)):
        return str(error)
    if isinstance(error, OSError):
        return reason_of(error)
    return f"cannot be taken: {type(error).__name__}: {error}"


def place_of(path: str) -> str:
    """A path of the node as the name of a file in the archive: below `files`, and nowhere else."""
    parts = (_NO_NAME.sub("_", part) for part in path.split("/"))
    return "/".join(["files", *(part for part in parts if part.strip("."))])


def _notes(entry: Entry) -> str:
    notes = [f"{entry.redacted} redacted"] if entry.redacted else []
    notes += ["its last part"] if entry.shortened else []
    return f" ({', '.join(notes)})" if notes else ""


def _list(rows: t.Sequence[tuple[str, str, str]]) -> list[str]:
    return [f"  {name}\n      {text}; from {origin}" for name, text, origin in rows]


def _escaped(match: t.Match[str]) -> str:
    return f"\\x{ord(match.group()):02x}"


def _cannot_be_written(path: str, error: OSError) -> NodeError:
    return NodeError(
        f"the archive cannot be written: {error.strerror or error}",
        path,
        "make room there, or see that it is a new file",
    )
