# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads files of others, of which nobody but root may say which they are: a link that others have put there is not followed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from .._node.absence import is_absent

MOST_OF_A_SOURCE = 256 << 10
"""Bytes of a file that is read."""
ABSENT = "not there"
_MOST_LINKS = 40


class LeftOut(Exception):
    """Why something is not taken, in a few words."""


def reason_of(error: OSError) -> str:
    """Why something could not be had."""
    if is_absent(error):
        return ABSENT
    return f"cannot be read: {error.strerror or error}"


def seen(look: t.Callable[[], str]) -> str:
    """What it finds, or why that could not be had."""
    try:
        return look()
    except OSError as error:
        return reason_of(error)


def read_text(root: str, path: str, most: int) -> str:
    """The text of a regular file below `root`. Raises OSError, or LeftOut: one that is longer than `most` bytes is not taken in parts.

    Half a value could not be known for a secret.
    """
    with contextlib.closing(_Walk(root)) as walk:
        content = walk.open(path).read(most + 1)
    if len(content) > most:
        raise LeftOut(f"larger than {most} bytes")
    if b"\0" in content:
        raise LeftOut("no text")
    return content.decode("utf-8", "backslashreplace")


class _Walk:
    """The way down to a file, directory by directory, each held open, so that nobody exchanges one on the way."""

    def __init__(self, root: str) -> None:
        self._held = contextlib.ExitStack()
        top = self._keep(os.open(root, os.O_PATH | os.O_DIRECTORY))
        self._root = _Step(top, _is_roots(os.fstat(top)))
        self._steps = [self._root]

    def close(self) -> None:
        """Let go of all of it."""
        self._held.close()

    def open(self, path: str) -> t.BinaryIO:
        """The file at the path. Raises OSError, LeftOut."""
        ahead, links = path.split("/"), 0
        while ahead:
            part = ahead.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                self._steps = self._steps[:-1] or [self._root]
                continue
            here = self._steps[-1]
            descriptor = self._keep(os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=here.descriptor))
            state = os.fstat(descriptor)
            if stat.S_ISLNK(state.st_mode):
                links += 1
                ahead = [*self._target(descriptor, here, links).split("/"), *ahead]
            elif any(ahead):
                self._steps.append(_Step(descriptor, here.trusted and _is_roots(state)))
            else:
                return self._file(descriptor, state, here)
        raise LeftOut("no regular file")

    def _target(self, descriptor: int, here: _Step, links: int) -> str:
        if not here.trusted:
            raise LeftOut("a link, in a directory to which others than root may write")
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink("", dir_fd=descriptor)
        if target.startswith("/"):
            self._steps = [self._root]
        return target

    def _file(self, descriptor: int, state: os.stat_result, here: _Step) -> t.BinaryIO:
        if not stat.S_ISREG(state.st_mode):
            raise LeftOut("no regular file")
        if not here.trusted and state.st_nlink > 1:
            raise LeftOut("it has another name too, and is in a directory to which others than root may write")
        # What was looked at is what is opened.
        return self._held.enter_context(open(f"/proc/self/fd/{descriptor}", "rb"))

    def _keep(self, descriptor: int) -> int:
        self._held.callback(os.close, descriptor)
        return descriptor


class _Step(t.NamedTuple):
    """A directory, and whether nobody but root can have put into it what is there."""

    descriptor: int
    trusted: bool


def _is_roots(state: os.stat_result) -> bool:
    # Who runs this could read the file by other means.
    return state.st_uid in (0, os.geteuid()) and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
