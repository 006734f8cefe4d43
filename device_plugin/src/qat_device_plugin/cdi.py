# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The specifications by which a container runtime finds VFs under their CDI names.

There is one for all VFs, whose names Allocate gives with `--cdi`, and one for each resource, of which kubelet need not know: Kata's
cold plug asks kubelet what a pod has, and looks up `RESOURCE=DEVICE`.

Sources: github.com/cncf-tags/container-device-interface, SPEC.md (names that begin with a digit need 0.5.0; the class of a kind may have
letters, digits, `-`, `_` and `.`); Kata src/runtime/pkg/device_cold_plug.go formatCDIDevIDs, src/libs/pod-resources-rs.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ._node.absence import is_absent
from ._node.facts.paths import VFIO
from ._node.facts.services import RESOURCE_NAMES, RESOURCE_PREFIX
from ._node.files import read_whole, replace_file
from ._node.kernel.live import Kernel
from .allocation import CDI_KIND, names_of_nodes, vfio_node_of

KINDS = frozenset(RESOURCE_PREFIX + name for name in RESOURCE_NAMES)
"""The kinds of the specifications for resources: their names. One of a service that nobody knows gets none: teardown would leave it."""


def file_of(kind: str) -> str:
    """The name of the file with the specification of a kind."""
    return kind.replace("/", "-") + ".json"


FILE = file_of(CDI_KIND)


def specification(nodes: t.Mapping[str, str], kind: str = CDI_KIND) -> dict[str, t.Any]:
    """The document that gives each VF its node, by address, and all of them the node that VFIO needs besides."""
    return {
        "cdiVersion": "0.5.0",
        "kind": kind,
        "devices": [
            {"name": address, "containerEdits": {"deviceNodes": [{"path": node, "permissions": "rw"}]}}
            for address, node in sorted(nodes.items())
        ],
        "containerEdits": {"deviceNodes": [{"path": VFIO + "/vfio", "permissions": "rw"}]},
    }


def nodes_of(kernel: Kernel, addresses: t.Iterable[str]) -> dict[str, str]:
    """The VFIO nodes as they are now of those VFs that have one. Raises OSError where that cannot be seen."""
    names = names_of_nodes(kernel)
    found = ((address, vfio_node_of(kernel, address, names)) for address in addresses)
    return {address: node for address, node in found if node is not None}


def write(directory: Path, nodes: t.Mapping[str, str], kind: str = CDI_KIND) -> None:
    """Write the specification in one go, if it differs; a runtime never sees half of it. Raises OSError.

    One without devices is invalid (SPEC.md), and runtimes complain of it: then there is none. Nobody removes it when the service
    ends: the runtime needs it whenever it starts a container again.
    """
    path = directory / file_of(kind)
    if not nodes:
        _remove(path)
        return
    content = json.dumps(specification(nodes, kind), indent=2).encode() + b"\n"
    if _content(path) != content:
        # A draft in between has no name that runtimes read, which end with .json.
        replace_file(str(path), content)


def _content(path: Path) -> bytes | None:
    """What the file has; None where it cannot be read, whatever it is: it is about to be written.

    Drivers of others write into the directory from their pods, and the event loop is waiting here.
    """
    try:
        return read_whole(str(path))
    except (OSError, ValueError):
        return None


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        if not is_absent(error):
            raise


class Specifications:
    """The files of one directory. Those of resources that are no more are removed, also of a process before this one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: frozenset[str] | None = None

    def write(self, kernel: Kernel, offers: t.Mapping[str, t.Sequence[str]], by_name: bool) -> None:
        """Bring the files to what is offered, the addresses by resource; `by_name` is whether there is one for all VFs.

        Raises OSError, the first one, when all are written and removed that can be.
        """
        nodes = nodes_of(kernel, (address for addresses in offers.values() for address in addresses))
        kept = KINDS.intersection(offers)
        wanted = {CDI_KIND: nodes} if by_name else {}
        for resource in sorted(kept):
            wanted[resource] = {one: nodes[one] for one in offers[resource] if one in nodes}
        if kept != self._kept:
            wanted.update({resource: {} for resource in sorted(KINDS - kept)})
        problem: OSError | None = None
        for kind, theirs in wanted.items():
            try:
                write(self._directory, theirs, kind)
            except OSError as error:
                problem = problem or error
        if problem:
            raise problem
        self._kept = kept
