#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Adds, changes and removes extended resources of a Kubernetes node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: extended_resource
short_description: Manage extended resources of a Kubernetes node
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Extended resources are countable things of a node that Kubernetes schedules by and otherwise knows nothing of, such as
    C(example.com/dongle). Unlike those of a device plugin, nothing is put into the container.
  - Patches the capacity in the status of the Node, and waits until kubelet has copied it to what is allocatable.
  - Refuses the name of a resource that a device plugin of the node has, since kubelet writes its capacity at every update.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.actiongroup_cluster
  - accel.qat.cluster
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  node:
    description: The name of the Node object.
    type: str
    required: true
  resources:
    description: The resources. Others of the node are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The full name, with a domain in front, such as V(example.com/dongle).
        type: str
        required: true
      quantity:
        description:
          - How many there are, a whole number. Suffixes such as in V(2k) are understood.
          - Required unless O(resources[].state=absent).
        type: str
      state:
        description: Whether the node has the resource.
        type: str
        choices: [present, absent]
        default: present
  wait:
    description: Whether to wait until what is allocatable follows. Kubelet looks about every 10 seconds.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds to wait for that.
      - For so long the API server may be away, too. An address at which nobody answers from the beginning fails at once.
    type: float
    default: 60
notes:
  - Needs the rights C(get) on C(nodes) and C(patch) on C(nodes/status).
  - A device plugin is recognised by the API server's record of who wrote a field, which there is since Kubernetes 1.18. On
    older ones, and for a plugin that registers later, the module fails while it waits, when kubelet has written the capacity
    again; without O(wait) it does not notice.
  - Kubelet keeps patched resources over its restarts, but sets them to 0 where its device-manager checkpoint is gone, as after a
    new installation of the node. Run the module again then.
seealso:
  - module: accel.qat.device_plugin_info
"""

EXAMPLES = r"""
- name: Give a node four dongles, and take the old ones away
  accel.qat.extended_resource:
    node: "{{ inventory_hostname }}"
    resources:
      - name: example.com/dongle
        quantity: 4
      - name: example.com/old-dongle
        state: absent
  delegate_to: localhost
  become: false
"""

RETURN = r"""
node:
  description: The name of the node.
  returned: success
  type: str
  sample: node1
resources:
  description: What was asked for, in that order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      sample: example.com/dongle
    before:
      description: The capacity before; none where the resource was not there.
      type: int
      sample: 2
    capacity:
      description: The capacity now, or in check mode what it would be; none where the resource is not there.
      type: int
      sample: 4
    allocatable:
      description: What pods can get in all, as the API server said last; none where the resource is not there.
      type: int
      sample: 4
failure:
  description: The parts of the message.
  returned: failure
  type: dict
  sample:
    kind: refused
    where: resources[0]
    problem: a device plugin on node1 has qat.intel.com/cy
    remedy: choose another name
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._cluster.api import Cluster, cluster_of
from ansible_collections.accel.qat.plugins.module_utils._cluster.client import ACCESS
from ansible_collections.accel.qat.plugins.module_utils._cluster.extended import (
    RESTART,
    Change,
    Wanted,
    amount,
    changes_of,
    difference,
    missing,
    parse_wanted,
    patch_of,
    ready_problem,
    refuse_overwritten,
    refuse_owned,
)
from ansible_collections.accel.qat.plugins.module_utils._cluster.module import ClusterModule
from ansible_collections.accel.qat.plugins.module_utils._cluster.objects import Object
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError

LOOK_SECONDS = 1.0
"""How often to look whether kubelet has followed."""

OPTIONS = {
    "node": {"type": "str", "required": True},
    "resources": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "quantity": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "float", "default": 60.0},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={**OPTIONS, **ACCESS}, supports_check_mode=True)
    ExtendedResource(module).run()


class ExtendedResource(ClusterModule):
    """`changed` says whether the node was patched."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self._name: str = module.params["node"]

    def result(self) -> dict[str, object]:
        """Bring the quantities onto the node's status, and wait until allocatable follows."""
        wanted = parse_wanted(self._params["resources"])
        cluster = cluster_of(self._module)
        if self._params["wait"]:
            cluster.be_patient(self._params["wait_timeout"])
        before = cluster.node(self._name)
        changes = changes_of(wanted, before)
        refuse_owned(wanted, changes, before)
        after = before
        if not self._module.check_mode:
            if changes:
                after = cluster.patch_node_status(self._name, patch_of(changes, before))
                self.changed = True
                self._warn(changes)
            if self._params["wait"]:
                after = self._wait(cluster, wanted)
        return {
            "changed": bool(changes),
            "diff": difference(changes),
            "node": self._name,
            "resources": [
                {
                    "name": one.name,
                    "before": amount(before, "capacity", one.name),
                    "capacity": one.quantity,
                    "allocatable": amount(after, "allocatable", one.name),
                }
                for one in wanted
            ],
        }

    def _warn(self, changes: tuple[Change, ...]) -> None:
        names = [change.name for change in changes if change.after]
        if names:
            self._module.warn(f"{self._name}: " + RESTART.format(names=", ".join(names)))

    def _wait(self, cluster: Cluster, wanted: tuple[Wanted, ...]) -> Object:
        seconds: float = self._params["wait_timeout"]
        deadline = time.monotonic() + seconds
        while True:
            node = cluster.node(self._name)
            refuse_overwritten(wanted, node)
            problems = missing(wanted, node)
            if not problems:
                return node
            if time.monotonic() >= deadline:
                why = ready_problem(node)
                raise NodeError(
                    f"what is allocatable has not followed after {seconds:g} seconds: {'; '.join(problems)}",
                    where=self._name,
                    remedy=f"the node is not Ready: {why}" if why else "see that kubelet runs, or raise wait_timeout",
                )
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
