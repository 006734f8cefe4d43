#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts a node's QAT devices back as they were found."""

from __future__ import annotations

DOCUMENTATION = r"""
module: qat_restore
short_description: Restore QAT devices as they were found
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Restores services, states, VFs, drivers and overrides of every PF that M(accel.qat.qat_devices), M(accel.qat.sriov_vfs),
    C(qatctl) or, on its VFs, M(accel.qat.pci_driver) changed, from the record made before the first change, and removes the record.
  - C(vfio-pci) is unloaded when it was not loaded before and nothing uses it any more.
  - Nothing happens to the devices of a node without a record.
  - A PF in whose place another card is since, or that has gone, is left alone.
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
  when_in_use:
    description:
      - What happens when a VF that would be taken away is open in a process.
      - See O(accel.qat.qat_devices#module:devices[].when_in_use). With V(skip), the record is kept for those that were left.
    type: str
    choices: [fail, skip, force]
    default: fail
  configuration_file:
    description:
      - File on the node with the rules, as C(qatctl) and the device plugin read them, to be removed before the first write, when
        nothing speaks against putting the devices back.
      - Without it nothing brings the rules back, neither udev while VFs change nor the next boot. Nothing else may change the devices
        meanwhile, and where another change goes on for too long nothing is removed.
    type: path
seealso:
  - module: accel.qat.qat_devices
"""

EXAMPLES = r"""
- name: Give the QAT devices back
  become: true
  accel.qat.qat_restore:
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
accel_qat:
  description: The node afterwards, as M(accel.qat.qat_info) returns it. In check mode, as it is.
  returned: success
  type: dict
  sample: {kernel: 6.12.0-10-amd64, iommu: true, devices: []}
failure:
  description: What went wrong, in parts, as in RV(accel.qat.qat_devices#module:failure).
  returned: failure
  type: dict
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._module import (
    CHANGES,
    ROOTS,
    NodeModule,
    changes,
)
from ansible_collections.accel.qat.plugins.module_utils._node.cli.describe import describe
from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import Outcome
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import (
    plan_restoration,
    read_record,
    remove_configuration,
    remove_record,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import WHEN_IN_USE
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "when_in_use": {"type": "str", "choices": list(WHEN_IN_USE), "default": "fail"},
            "configuration_file": {"type": "path"},
            **CHANGES,
            **ROOTS,
        },
        supports_check_mode=True,
    )

    def work(run: NodeModule) -> dict[str, t.Any]:
        record, configuration = module.params["record"], module.params["configuration_file"]
        was_recorded = False
        was_configured = bool(configuration) and os.path.lexists(configuration)

        def plan(node: Node) -> Plan:
            nonlocal was_recorded
            found = read_record(record)  # under the lock: who had it may have recorded more
            was_recorded = bool(found.pfs)
            return plan_restoration(found, node, module.params["when_in_use"], run.kernel.has_module)

        def forget_configuration() -> None:
            if configuration:
                remove_configuration(configuration)

        def forget(outcome: Outcome) -> None:
            forget_configuration()
            if not outcome.skipped:
                remove_record(record)

        outcome = run.converge(plan, at_first=forget_configuration, at_end=forget)
        result = changes(outcome.plan)
        # The record and the rules go too.
        result["changed"] = result["changed"] or was_configured or (was_recorded and not outcome.skipped)
        return {**result, "accel_qat": describe(outcome.after)}

    NodeModule(module).run(work)


if __name__ == "__main__":
    main()
