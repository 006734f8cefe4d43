# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads that fail, and not for want of what they read: over the fake kernel, and over files.

Whatever reads a node is compared with them: with any one read failing so, it refuses or says the same as before. It never sees fewer
users, fewer VFs, or a VF that is free. `FailingReads` is for what speaks to a kernel, `FileFaults` for what opens files itself.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import cannot_be_read
from ansible_collections.accel.qat.plugins.module_utils._node.kernel import descriptors
from ansible_collections.accel.qat.plugins.module_utils._node.kernel.descriptors import OpenFiles

from .kernel import FakeKernel
from .tree import failure

READ_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.EACCES, errno.ENOMEM, errno.EINTR)
"""What says something of the reader or the machine, and nothing of what is read."""


class FailingReads(FakeKernel):
    """A kernel of which one read fails: the one that is `left` reads away. `looks` are the reads so far, each with its path."""

    left = -1
    code = errno.EIO

    def __init__(self, *arguments: t.Any, **named: t.Any) -> None:
        super().__init__(*arguments, **named)
        self.looks: list[str] = []

    def fail(self, after: int, code: int) -> None:
        """So many reads still succeed; the one after them fails."""
        self.left, self.code = after, code

    def read(self, path: str) -> str:
        self._look(path)
        return super().read(path)

    def list(self, path: str) -> t.Sequence[str]:
        self._look(path)
        return super().list(path)

    def link(self, path: str) -> str:
        self._look(path)
        return super().link(path)

    def open_files(self, pid: int, majors: t.Collection[int]) -> OpenFiles:
        self._look(f"/proc/{pid}/fd")
        return super().open_files(pid, majors)

    def exists(self, path: str) -> bool:
        try:
            self._look(path)
        except OSError as error:
            raise cannot_be_read(error) from None
        return super().exists(path)

    def _look(self, path: str) -> None:
        self.looks.append(path)
        self.left -= 1
        if self.left == -1:
            raise failure(self.code, path)


_CALLS: t.Sequence[tuple[t.Any, str]] = (
    (os, "open"),
    (os, "listdir"),
    (os, "scandir"),
    (os, "readlink"),
    (os, "stat"),
    (os, "lstat"),
    (os, "access"),
    (builtins, "open"),
)
"""How files are looked at."""


class FileFaults:
    """Files below a directory that cannot be looked at, also not by processes that are forked meanwhile. `seen` are all that were."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.seen: dict[str, None] = {}
        self._failing = ""
        self._code = 0

    @contextlib.contextmanager
    def watching(self) -> t.Iterator[None]:
        """Note what is looked at, and fail what should fail."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(descriptors, "_statx", None)  # it is not to be had for tests
            for module, name in _CALLS:
                patched.setattr(module, name, self._wrapped(getattr(module, name)))
            yield

    @contextlib.contextmanager
    def failing(self, path: str, code: int) -> t.Iterator[None]:
        """Each look at the file fails."""
        self._failing, self._code = path, code
        try:
            with self.watching():
                yield
        finally:
            self._failing = ""

    def _wrapped(self, call: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        readlink = os.readlink

        def look(path: t.Any, *arguments: t.Any, **named: t.Any) -> t.Any:
            directory = named.get("dir_fd")
            place = path
            if directory is not None:
                place = f"{readlink(f'/proc/self/fd/{directory}')}/{path}"
            elif isinstance(path, int):
                place = readlink(f"/proc/self/fd/{path}")
            if isinstance(place, str) and place.startswith(self._root):
                self.seen[place] = None
                if place == self._failing:
                    raise failure(self._code, place)
            return call(path, *arguments, **named)

        return look
