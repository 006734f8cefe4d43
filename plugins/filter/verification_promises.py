# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Expectations of a Node object by what the configuration promises."""

from __future__ import annotations

from ansible_collections.accel.qat.plugins.module_utils._cluster.verification import promises

DOCUMENTATION = r"""
name: verification_promises
short_description: Make expectations of a Node object by what the configuration promises (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - As many VFs of each resource are expected to be allocatable as the configuration promises, and none of other resources of QAT.
options:
  _input:
    description: What M(accel.qat.device_plugin_info) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Ask kubelet and the device plugin
  accel.qat.device_plugin_info:
  register: result
  become: true

- name: Compare the node with the configuration
  accel.qat.cluster_node_info:
    node: node1
    expectations: "{{ result | accel.qat.verification_promises }}"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: Expectations for M(accel.qat.cluster_node_info).
  type: list
  elements: dict
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"verification_promises": promises}
