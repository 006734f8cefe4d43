# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes of a node's files: one file, several that stand together or not at all, and what diff mode shows of them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._node.document import Part, is_content, is_path
from .._node.errors import NodeError

if t.TYPE_CHECKING:
    from .._node.files import Owner
    from .machine import Machine

PRIVATE = 0o600

_MODES = range(0o10000)
_STAYS = (1 << 32) - 1
"""The number of a user or a group that says that it stays (chown(2))."""


@dataclass(frozen=True)
class FileEdit:
    """A file as it is and as it should be; None for no file.

    With a `mode` it has that, and `owner` or who runs this, from its first byte on. Without, both stay, and a new file is 0644.
    """

    path: str
    before: str | None
    after: str | None
    mode: int | None = None
    owner: Owner | None = None

    @classmethod
    def of(cls, document: t.Mapping[str, t.Any]) -> FileEdit:
        """What `dataclasses.asdict` has made of one, maybe by way of JSON. Raises ValueError where it is something else."""
        return cls.parse(Part(document, ""))

    @classmethod
    def parse(cls, part: Part) -> FileEdit:
        """The same of a part of a document."""
        path = part.text("path", is_path)
        if path is None:
            raise ValueError("a change is of no file")
        mode, owner = part.get("mode", int, type(None)), part.get("owner", list, tuple, type(None))
        if not (mode is None or mode in _MODES) or not (owner is None or _is_owner(owner)):
            raise ValueError(f"mode or owner of {path} is none")
        before, after = (part.text(name, is_content) for name in ("before", "after"))
        return cls(path, before, after, mode, None if owner is None else (owner[0], owner[1]))

    @property
    def changes(self) -> bool:
        """Whether the file is not yet as it should be."""
        return self.before != self.after

    @property
    def private(self) -> bool:
        """Whether the file is for who runs this alone."""
        return self.mode == PRIVATE

    def reversed(self) -> FileEdit:
        """The way back."""
        return replace(self, before=self.after, after=self.before)

    def make(self, machine: Machine) -> None:
        """Write or remove the file. Raises NodeError."""
        if self.after is None:
            machine.remove(self.path)
        elif self.mode is None:
            machine.write(self.path, self.after)
        else:
            machine.write(self.path, self.after, self.mode, self.owner)

    def diff(self) -> dict[str, str]:
        """The change as diff mode shows it."""
        return difference(self.path, self.before or "", self.after or "")


def _is_owner(numbers: t.Sequence[t.Any]) -> bool:
    return len(numbers) == 2 and all(
        isinstance(one, int) and not isinstance(one, bool) and 0 <= one < _STAYS for one in numbers
    )


def removal_of(machine: Machine, path: str) -> FileEdit:
    """What takes away the file that is there now; the way back of it gives it mode and owner again. Raises NodeError."""
    mode, owner = machine.attributes(path) or (None, None)
    return FileEdit(path, machine.read(path), None, mode, owner)


class Transaction:
    """Changes files in order, and puts back all of them as they were first."""

    def __init__(self, machine: Machine, back: t.Iterable[FileEdit] = ()) -> None:
        """`back` are the ways back of files that an earlier run may have changed."""
        self._machine = machine
        self._back = {edit.path: edit for edit in back}

    def note(self, *paths: str) -> None:
        """Remember how files are, for something else changes them too. Raises NodeError."""
        for path in paths:
            if path not in self._back:
                self._back[path] = removal_of(self._machine, path).reversed()

    def make(self, edit: FileEdit) -> None:
        """Make one change. Raises NodeError."""
        self.note(edit.path)
        edit.make(self._machine)

    def put_back(self) -> None:
        """Put back what can be put back. Raises a NodeError that says what stands differently."""
        failed: dict[str, NodeError] = {}
        for back in self._back.values():
            try:
                self._put_back(back)
            except NodeError as error:
                failed[back.path] = error
        if failed:
            path, *others = failed
            first = failed[path]
            also = f"; nor can {' and '.join(others)} be put back" if others else ""
            raise NodeError(f"{first.problem}{also}", first.where, first.remedy) from first

    def left(self) -> list[str]:
        """The files that are not as they were first. Raises NodeError."""
        return [back.path for back in self._back.values() if self._machine.read(back.path) != back.after]

    def _put_back(self, back: FileEdit) -> None:
        now = None if back.after is None else self._machine.read(back.path)
        if now is None:
            back.make(self._machine)
        elif now != back.after:
            # With what belongs to the file that stands there: its access list, too.
            replace(back, mode=None, owner=None).make(self._machine)


def difference(label: str, before: str, after: str) -> dict[str, str]:
    """What diff mode shows: two texts below one label. Bytes that are no UTF-8 cannot be shown."""
    before, after = (text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in (before, after))
    return {"before_header": label, "after_header": label, "before": before, "after": after}
