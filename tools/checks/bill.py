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
from datetime import UTC, datetime
from pathlib import Path

_PLACE = "https://github.com/accel-qat/accel.qat"
_LICENCE = "GPL-3.0-or-later"
_BILL = "bom.cdx.json"
_UNKNOWN = "NOASSERTION"
# In names of bundles, debs and rpms of the device plugin.
_FOR_PYTHON = re.compile(r"[-.]py(3\.\d+)[-_.]")


def bill_of(files: Iterable[Path], version: str, moment: int) -> bytes:
    """The document. `moment` is the time of the commit in seconds: another one would be another document."""
    files = sorted(files, key=lambda path: path.name)
    contents = {python: _components(path) for path in files if (python := _python_of_bundle(path))}
    parts = [_file(path, version) for path in files]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", str(part["SPDXID"])) for part in parts]
    components: dict[str, dict[str, t.Any]] = {}
    for path, part in zip(files, parts, strict=True):
        found = _FOR_PYTHON.search(path.name)
        for component in contents.get(found[1], ()) if found else ():
            listed = _component(component)
            components[str(listed["SPDXID"])] = listed
            relations.append((str(part["SPDXID"]), "CONTAINS", str(listed["SPDXID"])))
    name = f"accel.qat-{version}"
    hashes = "".join(part["checksums"][0]["checksumValue"] for part in parts)
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        # It has to be one for each content.
        "documentNamespace": f"{_PLACE}/spdx/{name}-{hashlib.sha256(hashes.encode()).hexdigest()}",
        "creationInfo": {
            "created": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Organization: accel.qat contributors"],
        },
        "packages": [*parts, *(components[key] for key in sorted(components))],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


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
        **_part(path.name, version, _LICENCE),
        "packageFileName": path.name,
        "checksums": [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(path.read_bytes()).hexdigest()}],
    }


def _component(component: Mapping[str, t.Any]) -> dict[str, t.Any]:
    reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": component["purl"]}
    licence = component["licenses"][0].get("expression", _UNKNOWN)
    return {**_part(component["name"], component["version"], licence), "externalRefs": [reference]}


def _part(name: str, version: str, licence: str) -> dict[str, t.Any]:
    return {
        # Letters, digits, dots and dashes alone.
        "SPDXID": f"SPDXRef-{re.sub(r'[^A-Za-z0-9.-]', '-', f'{name}-{version}')}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": licence,
        "copyrightText": _UNKNOWN,
    }
