# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The specification by which a container runtime finds VFs under their CDI names.

Source: github.com/cncf-tags/container-device-interface, SPEC.md. Names that begin with a digit need 0.5.0.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from pathlib import Path

from ._node.kernel import Kernel
from ._node.paths import VFIO
from .allocation import CDI_KIND, vfio_node_of

FILE = CDI_KIND.replace("/", "-") + ".json"


def specification(nodes: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The document that gives each VF its node, by address, and all of them the node that VFIO needs besides."""
    return {
        "cdiVersion": "0.5.0",
        "kind": CDI_KIND,
        "devices": [
            {"name": address, "containerEdits": {"deviceNodes": [{"path": node, "permissions": "rw"}]}}
            for address, node in sorted(nodes.items())
        ],
        "containerEdits": {"deviceNodes": [{"path": VFIO + "/vfio", "permissions": "rw"}]},
    }


def nodes_of(kernel: Kernel, addresses: t.Iterable[str]) -> dict[str, str]:
    """The VFIO nodes as they are now of those VFs that have one."""
    found = ((address, vfio_node_of(kernel, address)) for address in addresses)
    return {address: node for address, node in found if node is not None}


def write(directory: Path, nodes: t.Mapping[str, str]) -> None:
    """Write the specification in one go, if it differs; a runtime never sees half of it. Raises OSError.

    One without devices is invalid (SPEC.md), and runtimes complain of it: then there is none. Nobody removes it when the service
    ends: the runtime needs it whenever it starts a container anew.
    """
    path = directory / FILE
    if not nodes:
        path.unlink(missing_ok=True)
        return
    text = json.dumps(specification(nodes), indent=2) + "\n"
    with contextlib.suppress(OSError):
        if path.read_text() == text:
            return
    directory.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{FILE}.{os.getpid()}")  # runtimes read names that end with .json
    draft.write_text(text)
    draft.replace(path)
