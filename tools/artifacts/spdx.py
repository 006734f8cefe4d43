# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what the image is made of, as SPDX 2.3 has it in JSON."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from . import spdx_document
from .debian_packages import Package
from .spdx_document import DOCUMENT, UNKNOWN, Part

_ITSELF = "SPDXRef-image"


def document(
    name: str,
    version: str,
    packages: Sequence[Package],
    components: Sequence[Mapping[str, t.Any]],
    moment: int,
) -> bytes:
    """The list of what an image of this name has: Debian's packages, and the components of a bundle's bill of materials."""
    parts = [
        spdx_document.part(
            "qat-device-plugin", version, "GPL-3.0-or-later", f"pkg:github/accel-qat/accel.qat@v{version}"
        ),
        *(_of_debian(package) for package in packages),
        *(_of_python(component) for component in components),
    ]
    itself = {**spdx_document.part(name, version, UNKNOWN, f"pkg:oci/{name}"), "SPDXID": _ITSELF}
    relations = [(DOCUMENT, "DESCRIBES", _ITSELF), *((_ITSELF, "CONTAINS", part["SPDXID"]) for part in parts)]
    return spdx_document.document(f"{name}-{version}", moment, [itself, *parts], relations)


def _of_debian(package: Package) -> Part:
    """Debian has the licences as text, in the file that the comment names."""
    place = f"pkg:deb/debian/{package.name}@{quote(package.version, safe='+~')}?arch={package.field('Architecture')}"
    part = spdx_document.part(package.name, package.version, UNKNOWN, place)
    return {**part, "licenseComments": f"/usr/share/doc/{package.name}/copyright"}


def _of_python(component: Mapping[str, t.Any]) -> Part:
    """A licence that is not one of SPDX's expressions is named in the comment."""
    (licence,) = component["licenses"]
    declared = licence.get("expression", UNKNOWN)
    part = spdx_document.part(component["name"], component["version"], declared, component["purl"])
    return part if "expression" in licence else {**part, "licenseComments": licence["license"]["name"]}
