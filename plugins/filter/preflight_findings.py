# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings out of what the tasks of the playbook preflight saw."""

from __future__ import annotations

from ansible_collections.accel.qat.plugins.plugin_utils._preflight import findings, lines, reasons

DOCUMENTATION = r"""
name: preflight_findings
short_description: Make findings of what the tasks of the playbook preflight saw (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - For the playbook C(accel.qat.preflight).
options:
  _input:
    description: The results of the tasks, by the names that the playbook gives them.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Make the findings
  ansible.builtin.set_fact:
    findings: "{{ {'kubernetes': false, 'now': {}, 'with_arguments': {}} | accel.qat.preflight_findings }}"
"""

RETURN = r"""
_value:
  description: >-
    C(findings), a dictionary for each thing that was looked at, with C(what), C(found), C(state), which is V(ok), V(note), V(unknown)
    or V(STOPS), and a C(reason); C(lines), the same as a table; C(reasons), why C(accel.qat.site) would stop.
  type: dict
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"preflight_findings": _all}


def _all(seen: dict[str, object]) -> dict[str, object]:
    found = findings(seen)
    return {"findings": found, "lines": lines(found), "reasons": reasons(found)}
