#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reports what QAT devices a node has and how they are set up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: qat_info
short_description: Gather the QAT devices of a node and how they are set up
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Reads every Intel QAT PF and VF of the node in one call, with drivers, services, IOMMU groups, NUMA nodes and the processes
    that hold a VF open.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.info_module
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.roots
options:
  devices:
    description:
      - The node's rules, as for M(accel.qat.qat_devices).
      - With them, RV(accel_qat.devices[].rule) and RV(accel_qat.devices[].advertised) are filled.
    type: list
    elements: dict
    default: []
notes:
  - Processes of other users are seen only by root, so run it with C(become).
seealso:
  - module: accel.qat.qat_devices
"""

EXAMPLES = r"""
- name: Read the node's QAT devices
  become: true
  accel.qat.qat_info:
  register: result

- name: Show the addresses of the VFs on vfio-pci
  ansible.builtin.debug:
    msg: "{{ result.accel_qat.devices | map(attribute='vfs') | flatten | selectattr('driver', 'eq', 'vfio-pci')
      | map(attribute='address') }}"
"""

RETURN = r"""
accel_qat:
  description: The node.
  returned: always
  type: dict
  contains:
    kernel:
      description: The release of the running kernel.
      type: str
      sample: 6.12.0-10-amd64
    iommu:
      description: Whether the IOMMU isolates devices.
      type: bool
      sample: true
    noiommu:
      description: Whether VFIO is set to give VFs away without an IOMMU.
      type: bool
      sample: false
    vfio_pci:
      description: The driver vfio-pci.
      type: dict
      contains:
        loaded:
          description: Whether it is there.
          type: bool
          sample: true
        denylist:
          description: Whether it refuses QAT devices before Gen4; none while it is not loaded.
          type: bool
          sample: false
    devices:
      description: The QAT PFs, and the VFs without their PF, in the order of their addresses.
      type: list
      elements: dict
      contains:
        address:
          description: PCI address.
          type: str
          sample: "0000:6b:00.0"
        is_vf:
          description: Whether it is a VF without its PF, as a virtual machine has it; it is then its own only VF.
          type: bool
          sample: false
        index:
          description: Position among the node's QAT PFs; -1 for a VF without its PF.
          type: int
          sample: 0
        family:
          description: Family, by the name of the PF's driver.
          type: str
          sample: 4xxx
        model:
          description: The name of this very device.
          type: str
          sample: 402xx
        generation:
          description: QAT generation.
          type: int
          sample: 4
        vendor_id:
          description: PCI vendor id.
          type: str
          sample: "8086"
        device_id:
          description: PCI device id.
          type: str
          sample: "4940"
        driver:
          description: The driver bound to the PF, or none.
          type: str
          sample: 4xxx
        numa_node:
          description: NUMA node, or -1.
          type: int
          sample: 0
        iommu_group:
          description: IOMMU group of the PF, or none.
          type: str
          sample: "12"
        state:
          description: V(up), V(down), or none where the driver does not say (before Gen4).
          type: str
          sample: up
        blocked:
          description: Whether the kernel is still at work on the PF or a VF, because a write to it has not returned.
          type: bool
          sample: false
        services:
          description:
            - The services, or none where the driver does not say (before Gen4).
            - Of a VF without its PF, and of what is not provisioned, what the rule states.
          type: list
          elements: str
          sample: [sym, asym]
        services_stated:
          description: Whether a rule states RV(accel_qat.devices[].services), and nobody can see them.
          type: bool
          sample: false
        auto_reset:
          description: Whether the driver resets a device that fails by itself.
          type: bool
          sample: false
        pm_idle_enabled:
          description: Whether the device saves power when idle.
          type: bool
          sample: true
        ring_pairs:
          description: Number of ring pairs.
          type: int
          sample: 64
        ras_errors:
          description: The RAS error counters, or none where the kernel has none.
          type: dict
          sample: {errors_correctable: 0, errors_nonfatal: 0, errors_fatal: 0}
        vfs_total:
          description: How many VFs the PF can have; 0 where SR-IOV is off in the BIOS.
          type: int
          sample: 16
        vfs_count:
          description: How many VFs it has.
          type: int
          sample: 16
        drivers_autoprobe:
          description: Whether the kernel gives new VFs to a driver by itself.
          type: bool
          sample: false
        resource:
          description:
            - The Kubernetes resource that its VFs are, by the services of the rule where that names any, and by its C(attach).
            - None for a PF from Gen4 on that does not report its services.
          type: str
          sample: qat.intel.com/cy
        rule:
          description: The rule of O(devices) that is for this PF, or none.
          type: str
          sample: devices[0]
        is_provisioned:
          description: Whether that rule has it brought to something; not where it says C(provision) V(false).
          type: bool
          sample: true
        advertised:
          description: The VFs that exist and that Kubernetes is offered by that rule; none where it leaves them to a driver of the host.
          type: list
          elements: str
          sample: ["0000:6b:00.1"]
        vfs:
          description: The VFs.
          type: list
          elements: dict
          contains:
            address:
              description: PCI address.
              type: str
              sample: "0000:6b:00.1"
            device_id:
              description: PCI device id.
              type: str
              sample: "4941"
            driver:
              description: The driver bound to the VF, or none.
              type: str
              sample: vfio-pci
            driver_override:
              description: The only driver that may take the VF, or none.
              type: str
              sample: vfio-pci
            iommu_group:
              description: IOMMU group, or none.
              type: str
              sample: "13"
            vfio_node:
              description: The device node, or none while no driver is bound.
              type: str
              sample: /dev/vfio/13
            numa_node:
              description: NUMA node, or -1.
              type: int
              sample: 0
            held_by:
              description:
                - The pods that Kubernetes has given the VF to, and the processes that have it open.
                - Of a process, C(pid), C(command) and the id of its C(container). Of a pod, its namespace and name as C(pod), and
                  the name of the C(container).
                - C(note) says how a pod is known when kubelet does not answer; with C(note) alone it is not known whether
                  a pod has the VF. Where C(command) is C(a process that cannot be seen) the kernel counts the VF as open, and
                  C(note) says how to find who has it.
              type: list
              elements: dict
              sample:
                - {pid: null, command: "", container: app, pod: default/web-0, note: ""}
                - {pid: 4711, command: qemu-system-x86, container: "", pod: "", note: ""}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS, NodeModule, passed
from ansible_collections.accel.qat.plugins.module_utils._node.cli.describe import describe
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import parse_configuration


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"devices": {"type": "list", "elements": "dict", "default": []}, **ROOTS},
        supports_check_mode=True,
    )

    def work(run: NodeModule) -> dict[str, object]:
        rules = parse_configuration({"devices": passed(module.params["devices"])})
        return {"changed": False, "accel_qat": describe(run.read(), rules)}

    NodeModule(module).run(work)


if __name__ == "__main__":
    main()
