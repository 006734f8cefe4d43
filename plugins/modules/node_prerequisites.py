#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looks at what the QAT devices of a node need."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_prerequisites
short_description: Gather what the QAT devices of a node need (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Looks at the drivers and the firmware files of the node's QAT PFs, at its kernel, its IOMMU and its cgroups, in one call.
  - The playbook C(accel.qat.preflight) runs it.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.info_module
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.roots
options:
  drivers:
    description: The drivers that the VFs are to have.
    type: list
    elements: str
    default: [vfio-pci]
  qatctl:
    description: Where the command C(qatctl) is to be.
    type: path
    default: /usr/local/sbin/qatctl
  root:
    description: Directory where the node's root file system is mounted, when Ansible runs in a container on the node.
    type: path
    default: /
seealso:
  - module: accel.qat.qat_info
"""

EXAMPLES = r"""
- name: See whether the firmware of the QAT devices is there
  become: true
  accel.qat.node_prerequisites:
  register: prerequisites
"""

RETURN = r"""
accel_qat:
  description: The node, as M(accel.qat.qat_info) returns it.
  returned: success
  type: dict
  sample: {kernel: 6.12.0-10-amd64, iommu: true, devices: []}
cgroup:
  description: The version of cgroups, V(v1) or V(v2), empty where it cannot be seen.
  returned: success
  type: str
  sample: v2
drivers:
  description:
    - The drivers of the PFs and those of O(drivers).
    - Each has its C(name), whether it is C(there), which is none where that cannot be seen, and a C(reason).
  returned: success
  type: list
  elements: dict
  sample:
    - {name: 4xxx, there: true, reason: loaded}
firmware:
  description: The same of the files of firmware that the driver of a PF asks for, by the address of the PF.
  returned: success
  type: dict
  sample:
    "0000:6b:00.0":
      - {name: qat_4xxx.bin, there: true, reason: /lib/firmware/qat_4xxx.bin}
      - {name: qat_4xxx_mmp.bin, there: false, reason: it is in none of the directories in which the kernel looks}
qatctl:
  description: Why the command cannot be at O(qatctl), such as another program of that name; empty where it can.
  returned: success
  type: str
  sample: ""
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure
  type: dict
  sample:
    kind: node
    where: /sys/bus/pci/devices
    problem: "cannot list the PCI devices: No such file or directory"
    remedy: mount sysfs, or set sysfs_root
    kernel_log: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host.installed import QATCTL
from ansible_collections.accel.qat.plugins.module_utils._host.machine import LiveMachine
from ansible_collections.accel.qat.plugins.module_utils._host.namesake import refuse_namesake
from ansible_collections.accel.qat.plugins.module_utils._host.prerequisites import CUSTOM_FIRMWARE, driver, firmware
from ansible_collections.accel.qat.plugins.module_utils._host.runner import output_of, runner
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import cgroup_version
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS, NodeModule
from ansible_collections.accel.qat.plugins.module_utils._node.absence import if_there
from ansible_collections.accel.qat.plugins.module_utils._node.cli.describe import describe
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, cannot_be_read


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "drivers": {"type": "list", "elements": "str", "default": ["vfio-pci"]},
            "qatctl": {"type": "path", "default": QATCTL},
            "root": {"type": "path", "default": "/"},
            **ROOTS,
        },
        supports_check_mode=True,
    )
    machine = LiveMachine(runner(module), module.params["root"])

    def work(run: NodeModule) -> dict[str, object]:
        node = run.read()
        custom = _custom_place(run)
        names = dict.fromkeys([*(pf.family.pf_driver for pf in node.qat if not pf.is_vf), *module.params["drivers"]])
        return {
            "changed": False,
            "accel_qat": describe(node),
            "cgroup": _cgroup(machine),
            "drivers": [driver(run.kernel, name).as_dict() for name in names],
            "firmware": {
                pf.address: [
                    firmware(machine, node.kernel_release, name, custom).as_dict() for name in pf.firmware_files
                ]
                for pf in node.qat
            },
            "qatctl": _namesake(machine, module.params["qatctl"]),
        }

    NodeModule(module).run(work)


def _custom_place(run: NodeModule) -> str:
    try:
        return if_there(lambda: run.kernel.read(CUSTOM_FIRMWARE), "")
    except OSError as error:
        raise cannot_be_read(error) from None


def _namesake(machine: LiveMachine, path: str) -> str:
    try:
        refuse_namesake(path, output_of(machine.run), machine.root)
    except NodeError as error:
        return error.sentence()
    return ""


def _cgroup(machine: LiveMachine) -> str:
    try:
        return cgroup_version(machine)
    except NodeError:
        return ""


if __name__ == "__main__":
    main()
