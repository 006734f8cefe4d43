# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks as a table for people."""

from __future__ import annotations

from ansible_collections.accel.qat.plugins.module_utils._cluster.verification import table

DOCUMENTATION = r"""
name: verification_table
short_description: Show checks as a table (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - A line for each check, and below them the reasons of those that failed.
options:
  _input:
    description: What P(accel.qat.verification_checks#filter) made.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the report
  ansible.builtin.debug:
    msg: "{{ (checks | accel.qat.verification_table).splitlines() }}"
"""

RETURN = r"""
_value:
  description: The table.
  type: str
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"verification_table": table}
