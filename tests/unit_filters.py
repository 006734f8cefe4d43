# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of templates of units, for tests that render these without Ansible."""

from __future__ import annotations

import typing as t

from ansible_collections.accel.qat.plugins.filter import unit_word

UNIT_FILTERS: dict[str, t.Any] = {
    f"accel.qat.{name}": function for name, function in unit_word.FilterModule().filters().items()
}
