# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a simulation wants to know of the families: which one has a name."""

from __future__ import annotations

from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import FAMILIES, Family


def family_named(name: str) -> Family:
    """The family called `name`; raises KeyError when there is none."""
    for family in FAMILIES:
        if family.name == name:
            return family
    raise KeyError(name)
