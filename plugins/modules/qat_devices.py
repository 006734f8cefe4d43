#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configures a node's QAT devices."""

from __future__ import annotations

DOCUMENTATION = r"""
module: qat_devices
short_description: Manage services, VFs and drivers of QAT devices
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Sets the services of QAT PFs, creates or removes their VFs, and binds the VFs to a driver, all devices of a node in one call.
  - Reads the node, plans every write, rehearses the plan, and writes only what differs. Check mode shows the plan.
  - A PF that no rule selects is never touched.
  - A VF without its PF, as a virtual machine has it, is selected as a PF is, and bound.
  - To change services the kernel's driver takes the PF down, which removes its VFs; the module makes them again and binds them.
    A VF that a process or virtual machine has open is not taken away unless O(devices[].when_in_use) says so.
  - Kernel modules that are missing are loaded, C(vfio-pci) with C(disable_denylist=1) where a device before Gen4 needs it.
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
    description:
      - Rules. Each PF gets the first rule that selects it.
    type: list
    elements: dict
    required: true
    suboptions:
      select:
        description:
          - Which PFs the rule is for. A PF must fit every key given.
          - Without it the rule is for every PF.
        type: dict
        suboptions:
          address:
            description: PCI addresses of PFs, such as V(0000:6b:00.0).
            type: list
            elements: str
          family:
            description: Families, by the name of the PF's driver.
            type: list
            elements: str
            choices: [dh89xxcc, dh895xcc, c6xx, c3xxx, 200xx, d15xx, c4xxx, 4xxx, 420xx, 6xxx]
          device_id:
            description: PCI device ids of PFs, such as V(4940), or of VFs without their PF, such as V(4941).
            type: list
            elements: str
          numa_node:
            description: NUMA nodes; V(-1) is a device that belongs to none.
            type: list
            elements: int
          index:
            description: Positions among the node's QAT PFs in the order of their addresses, from V(0).
            type: list
            elements: int
      state:
        description: Whether the PF's VFs exist.
        type: str
        choices: [present, absent]
        default: present
      services:
        description:
          - The services of the PF, a set; the order does not matter.
          - Left as they are when not given.
          - For a VF without its PF, and where O(devices[].provision=false), a statement of what the VFs have.
          - Only PFs from Gen4 on can be given services, and at most two services at once (three on V(6xxx)). V(dcc) goes alone.
        type: list
        elements: str
        choices: [sym, asym, dc, dcc, decomp]
      driver:
        description: The driver of the VFs.
        type: str
        default: vfio-pci
      vfs:
        description:
          - How many VFs exist; all when not given.
          - The kernel's drivers create all VFs or none, so any other number is refused. Use O(devices[].advertise) instead.
        type: int
      advertise:
        description: How many VFs of the PF Kubernetes is offered, the first ones; all when not given. The rest stay for the host.
        type: int
      attach:
        description:
          - What Kubernetes attaches a VF to.
          - With V(container), as when not given, the container that asks for it gets its device node.
          - With V(vm) the virtual machine that runs as the pod gets it as a PCI device, and no container gets a device node. Such VFs are
            resources of their own, such as C(qat.intel.com/vm-cy).
        type: str
        choices: [container, vm]
      provision:
        description:
          - Whether the device is brought to the rule, as when not given. V(false) writes nothing at all, neither to the PF nor to its VFs.
          - What is there is offered to Kubernetes then, as far as the VFs have the driver.
        type: bool
      noiommu:
        description:
          - Whether VFIO may give VFs away without an IOMMU, where the node has none, as in a virtual machine without a virtual one.
          - Whoever has such a VF can read and write all of the node's memory. Not allowed when not given.
        type: bool
      when_in_use:
        description:
          - What happens when a change would take a VF from a process or virtual machine that has it open.
          - V(fail) fails before anything is written and names the process.
          - V(skip) leaves that PF (or, where only the VF itself changes, that VF) as it is.
          - V(force) takes it away. The kernel then asks the process to let go and waits for it; a process that does not
            blocks the device until it ends.
        type: str
        choices: [fail, skip, force]
        default: fail
  configuration_file:
    description:
      - File on the node that gets the rules, as C(qatctl) and the device plugin read them, when the devices are as they say.
      - It is written before anybody else may change the devices, so that a repair which the change itself has set off, by the
        events of new VFs, finds the new rules.
      - Nothing is written when not given.
    type: path
  assume_iommu:
    description:
      - Plan as if the IOMMU were on, for a check before the reboot that switches it on. Only check mode heeds it.
    type: bool
    default: false
  assume_drained:
    description:
      - Pods, as C(namespace/name), without which to plan, for a check before they are evicted. Only check mode heeds it.
    type: list
    elements: str
    default: []
seealso:
  - module: accel.qat.qat_info
  - module: accel.qat.sriov_vfs
  - module: accel.qat.pci_driver
"""

EXAMPLES = r"""
- name: Symmetric and asymmetric crypto on every PF, all VFs on vfio-pci
  become: true
  accel.qat.qat_devices:
    devices:
      - services: [sym, asym]

- name: Compression on the PFs of NUMA node 1, crypto on the others, four VFs of each kept for the host
  become: true
  accel.qat.qat_devices:
    devices:
      - select:
          numa_node: [1]
        services: [dc]
        advertise: 12
      - services: [sym, asym]
        advertise: 12

- name: Take the VFs of one PF away
  become: true
  accel.qat.qat_devices:
    devices:
      - select:
          address: ["0000:6b:00.0"]
        state: absent
"""

RETURN = r"""
steps:
  description: Every write that was made, or that check mode would make, in order.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: The kind of step.
      type: str
      sample: services
    device:
      description: PCI address or name of the kernel module.
      type: str
      sample: "0000:6b:00.0"
    path:
      description: The file that is written.
      type: str
      sample: /sys/bus/pci/devices/0000:6b:00.0/qat/cfg_services
    value:
      description: What is written.
      type: str
      sample: dc
    shows:
      description: The file that C(before) and C(after) are the values of; a driver is bound by writing to another.
      type: str
      sample: /sys/bus/pci/devices/0000:6b:00.0/qat/cfg_services
    before:
      description: What was there.
      type: str
      sample: sym;asym
    after:
      description: What is there afterwards.
      type: str
      sample: dc
    why:
      description: The reason.
      type: str
      sample: the configuration asks for these services
    disrupts:
      description: VFs that the step takes away.
      type: list
      elements: str
      sample: ["0000:6b:00.1"]
skipped_devices:
  description: What C(when_in_use=skip) left as it is.
  returned: success
  type: list
  elements: dict
  sample:
    - {device: "0000:6b:00.0", reason: "qemu-system-x86 (pid 4711) has 0000:6b:00.1 open"}
configuration:
  description: The rules as O(configuration_file) holds them.
  returned: success
  type: dict
  sample: {devices: [{services: [sym, asym], driver: vfio-pci, state: present, when_in_use: fail}]}
configuration_file:
  description: The same as O(configuration_file).
  returned: success
  type: str
  sample: /etc/accel-qat/node.json
configuration_checksum:
  description: SHA-1 of O(configuration_file) with these rules, as M(ansible.builtin.stat) returns it, in check mode too.
  returned: success
  type: str
  sample: 6c9b9f2b3d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d
unused_rules:
  description: The rules that took no PF of this node.
  returned: success
  type: list
  elements: str
  sample: ["devices[1]"]
module_options:
  description: The options that kernel modules need at the next boot for this configuration, by module.
  returned: success
  type: dict
  sample: {vfio-pci: disable_denylist=1}
python:
  description:
    - The Python on the node that runs modules.
    - Named C(/usr/bin/python3) where that is the same, since a name with a version goes with the next upgrade of the distribution.
  returned: success
  type: str
  sample: /usr/bin/python3
accel_qat:
  description: The node afterwards, as M(accel.qat.qat_info) returns it. In check mode, as it is.
  returned: success
  type: dict
  sample: {kernel: 6.12.0-10-amd64, iommu: true, devices: []}
failure:
  description: What went wrong, in parts.
  returned: failure
  type: dict
  contains:
    kind:
      description: V(configuration), V(refused), V(apply), V(timeout) or V(node).
      type: str
      sample: configuration
    where:
      description: The place in the options, the file, or the device.
      type: str
      sample: devices[0].vfs
    problem:
      description: What is wrong there.
      type: str
      sample: 0000:6b:00.0 cannot have 8 VFs, the kernel's driver creates all 16 or none
    remedy:
      description: What to do.
      type: str
      sample: leave the count out, and use advertise to offer Kubernetes fewer VFs
    kernel_log:
      description: The kernel's own warnings and errors about the device since the first write.
      type: list
      elements: str
      sample: ["4xxx 0000:6b:00.0: Device busy"]
    failed_at:
      description: For V(apply), each step that failed, with its own problem and remedy.
      type: list
      elements: dict
    rolled_back:
      description: For V(apply), the writes that put the PF back as it was found.
      type: list
      elements: dict
    stands:
      description: For V(apply), the writes that were made and stay.
      type: list
      elements: dict
    left:
      description: For V(apply), the PF that could not be put back as it was found; empty when there is none.
      type: str
      sample: ""
"""

import hashlib
import os
import sys
from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host.edits import FileEdit
from ansible_collections.accel.qat.plugins.module_utils._module import (
    CHANGES,
    ROOTS,
    NodeModule,
    argument_of,
    changes,
    passed,
)
from ansible_collections.accel.qat.plugins.module_utils._node.cli.describe import describe
from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import ApplyError
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import plan_for
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import (
    desired_of,
    unused_rules,
    warnings_of,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan, module_options
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import SCHEMA, parse_configuration
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node, without_pods
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, remedy_for
from ansible_collections.accel.qat.plugins.module_utils._node.files import json_bytes, open_regular, replace_file

PYTHON = "/usr/bin/python3"


class StoredConfiguration:
    """The rules in a file; without a path, nowhere."""

    def __init__(self, path: str | None, configuration: dict[str, object]) -> None:
        self.content = json_bytes(configuration)
        after = self.content.decode()
        self._edit = FileEdit(path or "", _text_of(path) if path else after, after)
        self._is_written = False

    @property
    def differs(self) -> bool:
        """Whether the file was not like this."""
        return self._edit.changes

    def write(self) -> None:
        """Replace the file unless it is like this. Raises NodeError."""
        if not self.differs:
            return
        try:
            replace_file(self._edit.path, self.content)
        except OSError as error:
            raise _cannot("written", self._edit.path, error) from None
        self._is_written = True

    def later_boots(self) -> str:
        """What to add to the remedy where a part of the rules is in force and the file has the former ones."""
        if not self.differs or self._is_written or not self._edit.before:
            return ""
        return f"; {self._edit.path} still has the former rules, to which the node returns at the next reset of a PF or boot"

    def diff(self) -> dict[str, str]:
        """What diff mode shows of the file."""
        return self._edit.diff()


def _text_of(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="", opener=open_regular) as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot("read", path, error) from None


def _cannot(done: str, path: str, error: OSError) -> NodeError:
    remedy = f"{remedy_for(error, 'see what is there')}, or name another file"
    return NodeError(f"the configuration cannot be {done}: {error.strerror}", where=path, remedy=remedy)


def python() -> str:
    """This Python, by the name that outlives an upgrade of the distribution where it has that one."""
    return PYTHON if os.path.realpath(PYTHON) == os.path.realpath(sys.executable) else sys.executable


def main() -> None:
    """Run the module."""
    rules_argument = argument_of(SCHEMA["properties"]["devices"])
    module = AnsibleModule(
        argument_spec={
            "devices": {**rules_argument, "required": True},
            "configuration_file": {"type": "path"},
            "assume_iommu": {"type": "bool", "default": False},
            "assume_drained": {"type": "list", "elements": "str", "default": []},
            **CHANGES,
            **ROOTS,
        },
        supports_check_mode=True,
    )

    assume_iommu: bool = module.check_mode and module.params["assume_iommu"]
    drained: frozenset[str] = frozenset(module.params["assume_drained"] if module.check_mode else ())

    def work(run: NodeModule) -> dict[str, object]:
        configuration = {"devices": passed(module.params["devices"])}
        rules = parse_configuration(configuration)
        stored = StoredConfiguration(module.params["configuration_file"], configuration)

        def plan(node: Node) -> Plan:
            assumed = replace(without_pods(node, drained), iommu=node.iommu or assume_iommu)
            return plan_for(desired_of(rules, node), assumed, module.params["record"])

        try:
            outcome = run.converge(plan, then=stored.write)
        except NodeError as error:
            if run.done or (isinstance(error, ApplyError) and error.done):
                error.remedy += stored.later_boots()
            raise
        made = changes(outcome.plan)
        for warning in warnings_of(rules, outcome.after):
            module.warn(warning)
        return {
            **made,
            "changed": made["changed"] or stored.differs,
            "diff": [made["diff"], stored.diff()] if stored.differs else made["diff"],
            "configuration": configuration,
            "configuration_file": module.params["configuration_file"],
            "configuration_checksum": hashlib.sha1(stored.content, usedforsecurity=False).hexdigest(),
            "python": python(),
            "unused_rules": list(unused_rules(rules, outcome.after)),
            "module_options": module_options(desired_of(rules, outcome.after), outcome.after),
            "accel_qat": describe(outcome.after, rules),
        }

    NodeModule(module).run(work)


if __name__ == "__main__":
    main()
