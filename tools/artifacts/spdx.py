# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what the image is made of, as SPDX 2.3 has it in JSON."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from .debian_packages import Package
from .oci import timestamp

_PLACE = "https://github.com/accel-qat/accel.qat/spdx"
_ITSELF = "SPDXRef-image"
UNKNOWN = "NOASSERTION"


def document(
    name: str,
    version: str,
    packages: Sequence[Package],
    components: Sequence[Mapping[str, t.Any]],
    moment: int,
) -> bytes:
    """The list of what an image of this name has: Debian's packages, and the components of a bundle's bill of materials."""
    parts = [
        _part("qat-device-plugin", version, f"pkg:github/accel-qat/accel.qat@v{version}", "GPL-3.0-or-later"),
        *(_of_debian(package) for package in packages),
        *(_of_python(component) for component in components),
    ]
    itself = {**_part(name, version, f"pkg:oci/{name}", UNKNOWN), "SPDXID": _ITSELF}
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", _ITSELF), *((_ITSELF, "CONTAINS", part["SPDXID"]) for part in parts)]
    content = {
        "packages": [itself, *parts],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }
    # Another content is another document, which its name has to show.
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    head = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}",
        "documentNamespace": f"{_PLACE}/{name}-{version}-{digest}",
        "creationInfo": {
            "created": timestamp(moment),
            "creators": ["Organization: accel.qat contributors"],
        },
    }
    return (json.dumps({**head, **content}, indent=2) + "\n").encode()


def _of_debian(package: Package) -> dict[str, t.Any]:
    """Debian has the licences as text, in the file that the comment names."""
    place = f"pkg:deb/debian/{package.name}@{quote(package.version, safe='+~')}?arch={package.field('Architecture')}"
    part = _part(package.name, package.version, place, UNKNOWN)
    return {**part, "licenseComments": f"/usr/share/doc/{package.name}/copyright"}


def _of_python(component: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A licence that is not one of SPDX's expressions is named in the comment."""
    (licence,) = component["licenses"]
    part = _part(component["name"], component["version"], component["purl"], licence.get("expression", UNKNOWN))
    return part if "expression" in licence else {**part, "licenseComments": licence["license"]["name"]}


def _part(name: str, version: str, place: str, licence: str) -> dict[str, t.Any]:
    return {
        "SPDXID": f"SPDXRef-{re.sub('[^A-Za-z0-9.-]', '-', name)}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": licence,
        "copyrightText": UNKNOWN,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": place}],
    }
