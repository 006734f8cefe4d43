# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which programs of a node may be run by root: those that nobody else could have put there."""

from __future__ import annotations

import os
import stat
import typing as t

from .._node.absence import is_absent
from .._node.errors import ConfigurationError, NodeError, RefusedError, remedy_for

_MOST_LINKS = 40


class Fault(t.NamedTuple):
    """Why a program is not to be run: the place in its path, what is wrong there, and what to do."""

    place: str
    problem: str
    remedy: str


def require_trusted(root: str, program: str) -> None:
    """Refuse a program that others than root could exchange. Raises ConfigurationError where there is none, NodeError."""
    fault = fault_of(root, program)
    if fault is None:
        return
    if not fault.problem:
        raise ConfigurationError(f"there is no {program}", "kubelet", "name the kubelet program of this node")
    raise RefusedError(
        f"{fault.problem}, so that {program} is not run as root",
        fault.place,
        f"{fault.remedy}, or set kubelet_version, with which it is not run",
    )


def fault_of(root: str, program: str) -> Fault | None:
    """What speaks against running a program; None where it and each directory above it are root's, and nobody else may write there.

    A link is followed inside of `root`. A program that is not there has a fault without a problem. Raises NodeError.
    """
    root = root.rstrip("/")
    # Who runs this could exchange its own files by other means.
    trusted = {0, os.geteuid()}
    place, ahead, links = "", ["", *program.split("/")[1:]], 0
    while ahead:
        part = ahead.pop(0)
        if part == "..":
            place = os.path.dirname(place)
            continue
        here = f"{place}/{part}" if part not in ("", ".") else place
        try:
            state = os.lstat(root + here or "/")
            target = os.readlink(root + here) if stat.S_ISLNK(state.st_mode) else None
        except OSError as error:
            if is_absent(error) or isinstance(error, NotADirectoryError):
                return Fault(here, "", "")
            raise NodeError(f"cannot be looked at: {error.strerror}", here, remedy_for(error)) from None
        if state.st_uid not in trusted:
            return Fault(here or "/", f"it belongs to user {state.st_uid}", "give it to root")
        if target is not None:
            links += 1
            if links > _MOST_LINKS:
                return Fault(program, "the symbolic link leads in a circle", "repair it")
            place, ahead = ("" if target.startswith("/") else place), [*target.split("/"), *ahead]
            continue
        if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return Fault(here or "/", "others than root may write to it", "let root alone write to it (chmod go-w)")
        if not ahead and not stat.S_ISREG(state.st_mode):
            return Fault(here or "/", "it is no file", "name the kubelet program of this node")
        place = here
    return None
