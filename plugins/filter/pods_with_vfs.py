# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pods that have VFs."""

from __future__ import annotations

from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import pods_with_vfs

DOCUMENTATION = r"""
name: pods_with_vfs
short_description: Name the pods that have VFs (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - A pod of which only the uid is known, since kubelet does not answer, is left out.
positional: vfs
options:
  _input:
    description: What M(accel.qat.qat_info) returns as RV(accel.qat.qat_info#module:accel_qat).
    type: dict
    required: true
  vfs:
    description: PCI addresses of the VFs in question; all when not given.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Look at the node
  accel.qat.qat_info:
  register: result
  become: true

- name: Show which pods have VFs of it
  ansible.builtin.debug:
    msg: "{{ result.accel_qat | accel.qat.pods_with_vfs }}"
"""

RETURN = r"""
_value:
  description: The pods, each as C(namespace/name), in alphabetical order.
  type: list
  elements: str
  sample: [default/proxy-0, default/proxy-1]
"""


class FilterModule:
    """Ansible asks it for its filters."""

    def filters(self) -> dict[str, object]:
        """The filters by name."""
        return {"pods_with_vfs": pods_with_vfs}
