# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, links and directories that are worked out from a model each time somebody looks."""

from __future__ import annotations

import errno
import os
import typing as t

Owner = t.TypeVar("Owner")


def failure(code: int, path: str = "") -> OSError:
    """What a system call that failed with this errno raises in Python."""
    return OSError(code, os.strerror(code), path) if path else OSError(code, os.strerror(code))


class Entry:
    """Something with a name in a directory."""

    def enter(self) -> Directory:
        """The directory to go on from; raises OSError where there is none."""
        raise failure(errno.ENOTDIR)


class Directory(Entry):
    """A directory. Subclasses say what is in it."""

    def enter(self) -> Directory:
        return self

    def names(self) -> t.Iterable[str]:
        """What is in it, in any order."""
        raise NotImplementedError

    def entry(self, name: str) -> Entry | None:
        """The entry of that name, or None."""
        raise NotImplementedError


class Link(Entry):
    """A symbolic link: the text it holds, and what that text leads to (None: nothing)."""

    __slots__ = ("_to", "text")

    def __init__(self, text: str, to: Directory | None) -> None:
        self.text = text
        self._to = to

    @property
    def leads_somewhere(self) -> bool:
        """Whether there is what it leads to."""
        return self._to is not None

    def enter(self) -> Directory:
        if self._to is None:
            raise failure(errno.ENOENT)
        return self._to


class Wait:
    """What a kernel thread waits for, with a lock held maybe: a moment, or something that a process has to do first."""

    def over(self) -> bool:
        raise NotImplementedError

    def seconds(self) -> float | None:
        """How long it still takes, or None when nobody knows."""
        return None


Working = t.Iterator[Wait]
"""An operation of the kernel that may have to wait: it yields what it waits for, and is resumed when that is over."""


class Attribute(t.Generic[Owner]):
    """One kind of file: how its text is made, what a write to it does, and whether an owner has it at all.

    `lock` says what a reader has to wait for. `secret` files are for root only.
    """

    __slots__ = ("lock", "present", "secret", "show", "store")

    def __init__(
        self,
        show: t.Callable[[Owner], str] | None = None,
        store: t.Callable[[Owner, str], Working | None] | None = None,
        *,
        present: t.Callable[[Owner], bool] | None = None,
        lock: t.Callable[[Owner], bool] | None = None,
        secret: bool = False,
    ) -> None:
        self.show = show
        self.store = store
        self.present = present
        self.lock = lock
        self.secret = secret


class File(Entry):
    """An attribute of one owner."""

    __slots__ = ("_attribute", "_owner")

    def __init__(self, attribute: Attribute[t.Any], owner: t.Any) -> None:
        self._attribute = attribute
        self._owner = owner

    @property
    def secret(self) -> bool:
        """Whether only root may read it."""
        return self._attribute.secret

    @property
    def locked(self) -> bool:
        """Whether a reader would wait without end, because an operation that hangs holds a lock."""
        return self._attribute.lock is not None and self._attribute.lock(self._owner)

    def read(self) -> str:
        """The text. A file without read permission gives EACCES even to root (Linux fs/kernfs/file.c)."""
        if self._attribute.show is None:
            raise failure(errno.EACCES)
        return self._attribute.show(self._owner)

    def write(self, text: str) -> Working | None:
        """Have the kernel take the text; raises OSError."""
        if self._attribute.store is None:
            raise failure(errno.EACCES)
        return self._attribute.store(self._owner, text)


class Attributes(Directory, t.Generic[Owner]):
    """The directory of an owner's files."""

    def __init__(self, owner: Owner, attributes: t.Mapping[str, Attribute[Owner]]) -> None:
        self._owner = owner
        self._attributes = attributes

    def names(self) -> t.Iterable[str]:
        owner = self._owner
        return [name for name, one in self._attributes.items() if one.present is None or one.present(owner)]

    def entry(self, name: str) -> Entry | None:
        attribute = self._attributes.get(name)
        if attribute is None or (attribute.present is not None and not attribute.present(self._owner)):
            return None
        return File(attribute, self._owner)


class Fixed(Directory):
    """A directory whose entries are known from the start."""

    def __init__(self, entries: t.Mapping[str, Entry]) -> None:
        self._entries = entries

    def names(self) -> t.Iterable[str]:
        return self._entries

    def entry(self, name: str) -> Entry | None:
        return self._entries.get(name)


class Listed(Directory):
    """A directory whose entries are asked for when needed."""

    def __init__(self, names: t.Callable[[], t.Iterable[str]], entry: t.Callable[[str], Entry | None]) -> None:
        self._names = names
        self._entry = entry

    def names(self) -> t.Iterable[str]:
        return self._names()

    def entry(self, name: str) -> Entry | None:
        return self._entry(name)


def find(root: Directory, path: str) -> Entry:
    """The entry at an absolute path; a link in the last place is not followed. Raises OSError."""
    entry: Entry | None = root
    for name in path.split("/")[1:]:
        entry = entry.enter().entry(name) if entry is not None else None
        if entry is None:
            raise failure(errno.ENOENT, path)
    assert entry is not None
    return entry


class Only(Entry):
    """A device node or another file of which only the existence matters."""
