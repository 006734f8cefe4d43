#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Creates and removes SR-IOV virtual functions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_vfs
short_description: Manage SR-IOV VFs
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Sees that PFs have the wanted number of VFs, all PFs of a node in one call. Works on QAT PFs and on other SR-IOV devices.
  - The drivers of QAT PFs create all VFs or none, and some refuse to remove them by C(sriov_numvfs); the module takes the way
    that works on the device.
  - Services, and the drivers of VFs that exist, are left as they are. For the whole set-up use M(accel.qat.qat_devices).
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.changes
  - accel.qat.roots
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  devices:
    description: The PFs.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: PCI address of the PF.
        type: str
        required: true
      count:
        description: How many VFs it should have. All that it can have when not given.
        type: int
      drivers_autoprobe:
        description:
          - Whether the kernel gives new VFs to a driver by itself. Set before VFs are created.
          - Left as it is when not given.
        type: bool
  when_in_use:
    description:
      - What happens when a VF that would be removed is open in a process.
      - See O(accel.qat.qat_devices#module:devices[].when_in_use).
    type: str
    choices: [fail, skip, force]
    default: fail
seealso:
  - module: accel.qat.qat_devices
  - module: accel.qat.pci_driver
"""

EXAMPLES = r"""
- name: All VFs of a QAT PF, kept from kernel drivers, and four of a network card
  become: true
  accel.qat.sriov_vfs:
    devices:
      - address: "0000:6b:00.0"
        drivers_autoprobe: false
      - address: "0000:3b:00.0"
        count: 4

- name: No VFs
  become: true
  accel.qat.sriov_vfs:
    devices:
      - address: "0000:6b:00.0"
        count: 0
"""

RETURN = r"""
steps:
  description: Every write that was made, or that check mode would make, in order, as in RV(accel.qat.qat_devices#module:steps).
  returned: success
  type: list
  elements: dict
skipped_devices:
  description: What O(when_in_use=skip) left as it is.
  returned: success
  type: list
  elements: dict
  sample: []
vfs:
  description: The addresses of each PF's VFs afterwards. In check mode, as they are.
  returned: success
  type: dict
  sample: {"0000:3b:00.0": ["0000:3b:10.0", "0000:3b:10.2"]}
failure:
  description: What went wrong, in parts, as in RV(accel.qat.qat_devices#module:failure).
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._addressed import desired_vfs
from ansible_collections.accel.qat.plugins.module_utils._module import (
    CHANGES,
    ROOTS,
    NodeModule,
    changes,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import plan_for
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import WHEN_IN_USE


def main() -> None:
    """Run the module."""
    device = {
        "address": {"type": "str", "required": True},
        "count": {"type": "int"},
        "drivers_autoprobe": {"type": "bool"},
    }
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "dict", "required": True, "options": device},
            "when_in_use": {"type": "str", "choices": list(WHEN_IN_USE), "default": "fail"},
            **CHANGES,
            **ROOTS,
        },
        supports_check_mode=True,
    )

    def work(run: NodeModule) -> dict[str, t.Any]:
        desired = desired_vfs(module.params["devices"], module.params["when_in_use"])
        outcome = run.converge(
            lambda node: plan_for(desired.on(node), node, module.params["record"]), desired.addresses
        )
        vfs = {address: _vfs(outcome.after.functions[address]) for address in desired.addresses}
        return {**changes(outcome.plan), "vfs": vfs}

    NodeModule(module).run(work)


def _vfs(function: t.Any) -> list[str]:
    return [vf.address for vf in function.sriov.vfs] if function.sriov else []


if __name__ == "__main__":
    main()
