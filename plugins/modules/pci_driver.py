#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Binds PCI functions to drivers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pci_driver
short_description: Manage the drivers of PCI functions
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Sees that PCI functions are bound to the wanted drivers, all functions of a node in one call. Works on QAT VFs and on any
    other PCI function.
  - Uses C(driver_override), which concerns this one function, and never C(new_id), which takes other functions along.
  - While a VF of a PF is in use, the PF keeps its driver too. What a QAT PF was bound to is not recorded, unlike what its VFs
    were. Give it back with this module before M(accel.qat.qat_restore) is to put it back.
  - Reads every write back, since the kernel accepts a binding that then does not happen.
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
    description: The functions.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: PCI address.
        type: str
        required: true
      driver:
        description: The driver, such as V(vfio-pci). Without it the function is unbound from its driver.
        type: str
      override:
        description:
          - Whether C(driver_override) keeps every other driver away from then on.
          - Where it is V(false), C(driver_override) is cleared, and the driver must know the device's ids by itself.
          - By default V(true) where O(devices[].driver) is given.
        type: bool
  when_in_use:
    description:
      - What happens when a function that would be unbound is open in a process.
      - See O(accel.qat.qat_devices#module:devices[].when_in_use).
    type: str
    choices: [fail, skip, force]
    default: fail
seealso:
  - module: accel.qat.qat_devices
  - module: accel.qat.sriov_vfs
"""

EXAMPLES = r"""
- name: Two VFs for virtual machines
  become: true
  accel.qat.pci_driver:
    devices:
      - address: "0000:6b:00.1"
        driver: vfio-pci
      - address: "0000:6b:00.2"
        driver: vfio-pci

- name: A VF without a driver
  become: true
  accel.qat.pci_driver:
    devices:
      - address: "0000:6b:00.3"
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
drivers:
  description: The driver of each function afterwards, or none. In check mode, as it is.
  returned: success
  type: dict
  sample: {"0000:6b:00.1": vfio-pci}
failure:
  description: What went wrong, in parts, as in RV(accel.qat.qat_devices#module:failure).
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._addressed import bindings_by_address
from ansible_collections.accel.qat.plugins.module_utils._module import (
    CHANGES,
    ROOTS,
    NodeModule,
    changes,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import plan_functions
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import WHEN_IN_USE


def main() -> None:
    """Run the module."""
    device = {
        "address": {"type": "str", "required": True},
        "driver": {"type": "str"},
        "override": {"type": "bool"},
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
        bindings = bindings_by_address(module.params["devices"])
        when_in_use = module.params["when_in_use"]
        outcome = run.converge(lambda node: plan_functions(bindings, node, when_in_use), bindings)
        drivers = {address: outcome.after.functions[address].driver for address in bindings}
        return {**changes(outcome.plan), "drivers": drivers}

    NodeModule(module).run(work)


if __name__ == "__main__":
    main()
