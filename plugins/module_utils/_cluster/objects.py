# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects of the API, and who wrote their fields."""

from __future__ import annotations

import typing as t

Object = t.Mapping[str, t.Any]
"""An object of the API, as its JSON says it."""

FIELD_MANAGER = "accel.qat"
"""Under this name the API server records what we wrote."""


def writers(subject: Object, *path: str) -> frozenset[str]:
    """The field managers that own a field; none where the API server does not record them."""
    return frozenset(
        str(entry.get("manager"))
        for entry in subject["metadata"].get("managedFields") or ()
        if _has(entry.get("fieldsV1") or {}, path)
    )


def _has(fields: Object, path: t.Sequence[str]) -> bool:
    for step in path:
        if not isinstance(fields, dict) or step not in fields:
            return False
        fields = fields[step]
    return True
