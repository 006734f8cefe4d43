# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release consists of, as SPDX 2.3 has it in JSON: each file with its hash, and what the bundles of the device plugin contain."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..artifacts import spdx_document

_LICENCE = "GPL-3.0-or-later"
_BILL = "bom.cdx.json"
# In names of bundles, debs and rpms of the device plugin.
_FOR_PYTHON = re.compile(r"[-.]py(3\.\d+)[-_.]")


def bill_of(files: Iterable[Path], version: str, moment: int) -> bytes:
    """The document. `moment` is the time of the commit in seconds: another one would be another document."""
    files = sorted(files, key=lambda path: path.name)
    contents = {python: _components(path) for path in files if (python := _python_of_bundle(path))}
    parts = [_file(path, version) for path in files]
    relations = [(spdx_document.DOCUMENT, "DESCRIBES", str(part["SPDXID"])) for part in parts]
    components: dict[str, dict[str, t.Any]] = {}
    for path, part in zip(files, parts, strict=True):
        found = _FOR_PYTHON.search(path.name)
        for component in contents.get(found[1], ()) if found else ():
            listed = _component(component)
            components[str(listed["SPDXID"])] = listed
            relations.append((str(part["SPDXID"]), "CONTAINS", str(listed["SPDXID"])))
    listed_parts = [*parts, *(components[key] for key in sorted(components))]
    return spdx_document.document(f"accel.qat-{version}", moment, listed_parts, relations)


def _python_of_bundle(path: Path) -> str:
    found = _FOR_PYTHON.search(path.name)
    return found[1] if found and path.name.endswith(".tar.gz") else ""


def _components(bundle: Path) -> Sequence[Mapping[str, t.Any]]:
    with tarfile.open(bundle) as tar:
        stream = tar.extractfile(_BILL)
        assert stream is not None
        found: Sequence[Mapping[str, t.Any]] = json.load(stream)["components"]
        return found


def _file(path: Path, version: str) -> dict[str, t.Any]:
    return {
        **spdx_document.part(path.name, version, _LICENCE),
        "packageFileName": path.name,
        "checksums": [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(path.read_bytes()).hexdigest()}],
    }


def _component(component: Mapping[str, t.Any]) -> spdx_document.Part:
    licence = component["licenses"][0].get("expression", spdx_document.UNKNOWN)
    return spdx_document.part(component["name"], component["version"], licence, purl=component["purl"])
