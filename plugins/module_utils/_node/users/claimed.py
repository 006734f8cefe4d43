# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which VF a device is that a pod has by a claim (dynamic resource allocation): its name says it, or else its CDI specification."""

from __future__ import annotations

import errno
import os
import re
import typing as t

from ..absence import if_there
from ..facts.paths import vfio_node
from ..files import read_whole

CDI_DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""Where container runtimes look (CNCF container-device-interface, SPEC.md)."""

QAT_DRIVER = "qat.intel.com"
"""The driver of Intel's; its devices are VFs, whatever their names."""

_ADDRESS = re.compile(r"(?:^|[^0-9a-f])([0-9a-f]{4,8})[-_.:]([0-9a-f]{2})[-_.:]([0-9a-f]{2})[-_.:]([0-7])$")
_NODE = re.compile(r"/dev/vfio/(?:noiommu-)?([0-9]+)\b")


def devices_of(name: str, cdi_names: t.Sequence[str]) -> list[str]:
    """The PCI address of the device, or the VFIO nodes that its CDI specification gives to a container, or else only its name.

    A specification is JSON or YAML: all nodes count that are named in a file which also names the device. Raises OSError where one
    cannot be read.
    """
    names = [name, *(one.rpartition("=")[2] for one in cdi_names)]
    for one in names:
        match = _ADDRESS.search(one.lower())
        if match is not None:
            return ["{}:{}:{}.{}".format(*match.groups())]
    nodes = sorted({node for text in _specifications() for node in _NODE.findall(text) if _names(text, names)})
    return [vfio_node(node) for node in nodes] or [name]


def is_identified(device: str) -> bool:
    """Whether `devices_of` could find more than the name."""
    return _ADDRESS.search(device) is not None or _NODE.match(device) is not None


def _names(text: str, names: t.Iterable[str]) -> bool:
    return any(re.search(rf"(?<![\w.:-]){re.escape(name)}(?![\w.:-])", text) for name in names if name)


def _specifications() -> t.Iterator[str]:
    for directory in CDI_DIRECTORIES:
        for name in _names_in(directory):
            if name.endswith((".json", ".yaml")):
                yield _text(os.path.join(directory, name))


def _names_in(directory: str) -> t.Sequence[str]:
    nothing: t.Sequence[str] = ()
    return if_there(lambda: sorted(os.listdir(directory)), nothing)


def _text(path: str) -> str:
    """The file's text; empty where it has gone since the directory was listed."""
    try:
        return if_there(lambda: read_whole(path), b"").decode("utf-8", "replace")
    except ValueError:
        # A part of it could lack the name.
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path) from None
