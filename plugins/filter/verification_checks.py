# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks out of what the tasks of the role qat_verify found."""

from __future__ import annotations

from ansible_collections.accel.qat.plugins.module_utils._cluster.verification import Check, Result, checks_of

DOCUMENTATION = r"""
name: verification_checks
short_description: Make checks of what the tasks of the role qat_verify found (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - For the role C(accel.qat.qat_verify).
options:
  _input:
    description: The results of the tasks, by the names C(devices), C(kubelet), C(before), C(node), C(vms), C(pod), C(during), C(after)
      and C(qat).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Make the report of the verification
  ansible.builtin.set_fact:
    checks: "{{ {'devices': {'problem': ''}} | accel.qat.verification_checks }}"
"""

RETURN = r"""
_value:
  description: >-
    A dictionary for each check, with C(check), C(expected), C(found), C(ok), which is none where nobody could say, and C(reason).
  type: list
  elements: dict
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"verification_checks": _checks}


def _checks(results: dict[str, Result]) -> list[Check]:
    return checks_of(**results)
