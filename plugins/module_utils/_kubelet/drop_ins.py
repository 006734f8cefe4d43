# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The drop-ins below a directory, as kubelet finds them: at any depth, names that begin with a dot too (cmd/kubelet/app/server.go)."""

from __future__ import annotations

import os

from .._node.absence import is_absent
from .._node.errors import NodeError


def drop_ins(root: str, directory: str) -> list[str]:
    """Their paths on the node, in kubelet's order: each directory by name, with what is in it at its place. Raises NodeError."""

    def failed(error: OSError) -> None:
        # A place on the way that is a file has no drop-ins either.
        if not is_absent(error) and not isinstance(error, NotADirectoryError):
            raise NodeError(f"cannot be read: {error.strerror}", directory, "run as root (become: true)") from None

    top = root.rstrip("/") + directory
    found = []
    for place, _directories, names in os.walk(top, onerror=failed):
        inside = directory + place[len(top) :]  # noqa: E203
        found += [f"{inside}/{name}" for name in names if name.endswith(".conf")]
    return sorted(found, key=lambda path: path.split("/"))
