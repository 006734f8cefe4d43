# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The drop-ins below a directory, as kubelet finds them: at any depth, names that begin with a dot too.

Source: mergeKubeletConfigurations in cmd/kubelet/app/server.go, and WalkDir of Go's path/filepath, which looks at the directory itself
by lstat(2): behind a symbolic link it finds nothing, but where a slash follows the link's name.
"""

from __future__ import annotations

import os
import stat

from .._node.absence import if_there, is_absent
from .._node.errors import NodeError, remedy_for


def drop_ins(root: str, directory: str) -> list[str]:
    """Their paths on the node, in kubelet's order: each directory by name, with what is in it at its place. Raises NodeError.

    `directory` is as kubelet is given it: a slash at its end counts.
    """
    if is_link(root, directory):
        return []
    directory = directory.rstrip("/")

    def failed(error: OSError) -> None:
        _require_absent(error, directory)

    top = root.rstrip("/") + directory
    found = []
    for place, _directories, names in os.walk(top, onerror=failed):
        inside = directory + place[len(top) :]  # noqa: E203
        found += [f"{inside}/{name}" for name in names if name.endswith(".conf")]
    return sorted(found, key=lambda path: path.split("/"))


def is_link(root: str, directory: str) -> bool:
    """Whether kubelet finds a symbolic link there, and so no drop-ins. Raises NodeError."""
    try:
        status = if_there(lambda: os.lstat(root.rstrip("/") + directory), None)
    except OSError as error:
        _require_absent(error, directory)
        return False
    return status is not None and stat.S_ISLNK(status.st_mode)


def _require_absent(error: OSError, directory: str) -> None:
    # A place on the way that is a file has no drop-ins either.
    if not is_absent(error) and not isinstance(error, NotADirectoryError):
        raise NodeError(f"cannot be read: {error.strerror}", directory, remedy_for(error)) from None
