# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which VF a device is that a pod has by a claim (dynamic resource allocation): its name says it, or else its CDI specification."""

from __future__ import annotations

import errno
import json
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
_KIND = re.compile(r"""^["']?kind["']?\s*:\s*["']?([^\s"'#,}]+)""", re.MULTILINE)


class Specifications:
    """The CDI specifications of a node. They are read when the first device has a name that does not say which one it is, and only then."""

    def __init__(self) -> None:
        self._known: tuple[_Specification, ...] | None = None

    def devices_of(self, name: str, cdi_names: t.Sequence[str]) -> list[str]:
        """The PCI address of a device, or the VFIO nodes that a specification gives to a container with it, or else only its name.

        `cdi_names` are `KIND=NAME`; where there are none the device may have its own name in a specification of any kind. Raises OSError
        where a specification cannot be read.
        """
        for one in (name, *(one.rpartition("=")[2] for one in cdi_names)):
            match = _ADDRESS.search(one.lower())
            if match is not None:
                return ["{}:{}:{}.{}".format(*match.groups())]
        nodes = sorted({node for one in cdi_names or (name,) for node in self._nodes_of(one)})
        return [vfio_node(node) for node in nodes] or [name]

    def _nodes_of(self, name: str) -> t.Iterator[str]:
        if self._known is None:
            self._known = tuple(_specifications())
        kind, _equals, device = name.rpartition("=")
        for one in self._known:
            # What does not say its kind may be of any.
            if not kind or one.kind in ("", kind):
                yield from one.nodes_of(device)


def is_identified(device: str) -> bool:
    """Whether `devices_of` could find more than the name."""
    return _ADDRESS.search(device) is not None or _NODE.match(device) is not None


class _Specification(t.NamedTuple):
    """The VFIO nodes of a specification: those of each device by its name, and where it is no JSON, its text and all that it has."""

    kind: str
    nodes: t.Mapping[str, t.Sequence[str]]
    text: str = ""
    all_nodes: t.Sequence[str] = ()

    def nodes_of(self, device: str) -> t.Sequence[str]:
        """Those that a container with this device may get."""
        return self.all_nodes if device and self.text and _is_named(device, self.text) else self.nodes.get(device, ())


def _specifications() -> t.Iterator[_Specification]:
    for directory in CDI_DIRECTORIES:
        for name in _names_in(directory):
            if name.endswith((".json", ".yaml")):
                yield _specification(_text(os.path.join(directory, name)))


def _specification(text: str) -> _Specification:
    try:
        return _of_json(json.loads(text))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        # YAML, for which the standard library has no parser: which of its nodes are a device's is not known.
        nodes = _NODE.findall(text)
        kind = _KIND.search(text)
        return _Specification(kind[1] if kind else "", {}, text if nodes else "", nodes)


def _of_json(document: t.Any) -> _Specification:
    """Raises KeyError, TypeError or AttributeError where it is none (SPEC.md, "CDI JSON Specification")."""
    shared = _nodes_in(document.get("containerEdits"))
    nodes: dict[str, list[str]] = {}
    for device in document["devices"]:
        nodes.setdefault(device["name"], []).extend(_nodes_in(device) + shared)
    return _Specification(str(document.get("kind", "")), nodes)


def _nodes_in(part: t.Any) -> list[str]:
    return _NODE.findall(json.dumps(part))


def _is_named(device: str, text: str) -> bool:
    """Whether the text has this as the value of a key `name`, in a line of its own or among others in braces."""
    value = rf"""(["']?){re.escape(device)}\1\s*(?:$|[,}}\]#])"""
    return re.search(rf"""(?:^|[\s{{\[,-])["']?name["']?\s*:\s*{value}""", text, re.MULTILINE) is not None


def _names_in(directory: str) -> t.Sequence[str]:
    """What is in a directory, nothing where there is none: a runtime finds nothing there either."""
    nothing: t.Sequence[str] = ()
    try:
        return if_there(lambda: sorted(os.listdir(directory)), nothing)
    except NotADirectoryError:
        return nothing


def _text(path: str) -> str:
    """The file's text; empty where it has gone since the directory was listed."""
    try:
        return if_there(lambda: read_whole(path), b"").decode("utf-8", "replace")
    except ValueError:
        # A part of it could lack the name.
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path) from None
