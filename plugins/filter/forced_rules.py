# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules that take VFs from whoever has them."""

from __future__ import annotations

from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import forced_rules

DOCUMENTATION = r"""
name: forced_rules
short_description: Make rules that take VFs from whoever has them (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - For check mode, to see which VFs a change would take away. Rules that leave VFs in use alone, with C(when_in_use=skip), stay as they
    are.
options:
  _input:
    description: Rules, as M(accel.qat.qat_devices) takes them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: See which steps take VFs away
  accel.qat.qat_devices:
    devices: "{{ qat_node_devices | accel.qat.forced_rules }}"
  check_mode: true
  become: true
"""

RETURN = r"""
_value:
  description: The rules.
  type: list
  elements: dict
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"forced_rules": forced_rules}
