# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of parts as SPDX 2.3 has it in JSON, whatever they are parts of."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from collections.abc import Sequence

from .oci import timestamp

UNKNOWN = "NOASSERTION"
DOCUMENT = "SPDXRef-DOCUMENT"
_PLACE = "https://github.com/accel-qat/accel.qat/spdx"

Part = dict[str, t.Any]


def part(name: str, version: str, licence: str, purl: str = "") -> Part:
    """What SPDX calls a package, with its package URL where it has one."""
    reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
    return {
        # Letters, digits, dots and dashes alone.
        "SPDXID": f"SPDXRef-{re.sub('[^A-Za-z0-9.-]', '-', f'{name}-{version}')}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": licence,
        "copyrightText": UNKNOWN,
        **({"externalRefs": [reference]} if purl else {}),
    }


def document(name: str, moment: int, parts: Sequence[Part], relations: Sequence[tuple[str, str, str]]) -> bytes:
    """The list of this name, of a time in seconds since 1970. Relations are an id, what it does, and the id that it does it to."""
    content = {
        "packages": parts,
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }
    # Another content is another document, which its namespace has to show.
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    head = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": name,
        "documentNamespace": f"{_PLACE}/{name}-{digest}",
        "creationInfo": {
            "created": timestamp(moment),
            "creators": ["Organization: accel.qat contributors"],
        },
    }
    return (json.dumps({**head, **content}, indent=2) + "\n").encode()
