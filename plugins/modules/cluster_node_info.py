#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compares a Kubernetes node with expectations."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_node_info
short_description: Gather a Kubernetes Node object and compare it with expectations
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Reads a Node object and evaluates JMESPath expressions over it.
  - An expectation that is not met does not fail the module; it is reported in RV(checks).
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.info_module
  - accel.qat.attributes.actiongroup_cluster
  - accel.qat.cluster
options:
  node:
    description: The name of the Node object.
    type: str
    required: true
  expectations:
    description: What is expected of the node.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What people call it. The query when not given.
        type: str
      query:
        description: A JMESPath expression over the Node object, as C(kubectl get node -o json) shows it.
        type: str
        required: true
      equals:
        description:
          - What the expression should give; V(true) when not given.
          - A number and its text are alike, since quantities are text in the API.
        type: raw
  kubelet_configuration:
    description:
      - Whether to ask the node's kubelet, through the API server, what configuration is in force.
      - Needs the right to get C(nodes/proxy). A kubelet that cannot be asked does not fail the module.
    type: bool
    default: false
  wait_timeout:
    description: For how many seconds the API server may be away, as it is while its own node reboots.
    type: float
    default: 0
requirements:
  - jmespath (Python package, on the host that runs the module)
seealso:
  - module: accel.qat.device_plugin_info
"""

EXAMPLES = r"""
- name: See that the node is ready and offers 32 VFs
  accel.qat.cluster_node_info:
    node: "{{ inventory_hostname }}"
    expectations:
      - name: the node is Ready
        query: status.conditions[?type == 'Ready'].status | [0]
        equals: "True"
      - name: VFs for crypto
        query: status.allocatable."qat.intel.com/cy"
        equals: 32
      - name: at least 12 VFs for compression
        query: to_number(status.allocatable."qat.intel.com/dc") >= `12`
  delegate_to: localhost
  become: false
  register: result
"""

RETURN = r"""
node:
  description: The name of the node.
  returned: success
  type: str
  sample: node1
capacity:
  description: What the node has.
  returned: success
  type: dict
  sample: {cpu: "64", qat.intel.com/cy: "32"}
allocatable:
  description: What pods can get in all.
  returned: success
  type: dict
  sample: {cpu: "63", qat.intel.com/cy: "32"}
checks:
  description: The expectations, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: What people call it.
      type: str
      sample: VFs for crypto
    query:
      description: The expression.
      type: str
      sample: status.allocatable."qat.intel.com/cy"
    expected:
      description: What it should give.
      type: raw
      sample: 32
    found:
      description: What it gave; none where there is nothing.
      type: raw
      sample: "16"
    ok:
      description: Whether that is as expected.
      type: bool
      sample: false
    reason:
      description: A sentence where it is not, otherwise empty.
      type: str
      sample: VFs for crypto is 16 and should be 32
kubelet:
  description: What kubelet says of itself, with O(kubelet_configuration=true).
  returned: success
  type: dict
  contains:
    configuration:
      description: The fields in force that M(accel.qat.kubelet_config) can set, by their names; none where kubelet could not be asked.
      type: dict
      sample: {topologyManagerPolicy: single-numa-node}
    problem:
      description: Why kubelet could not be asked, otherwise empty.
      type: str
      sample: ""
failure:
  description: The parts of the message.
  returned: failure
  type: dict
  sample:
    kind: configuration
    where: expectations[0].query
    problem: it is not JMESPath
    remedy: correct it
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.accel.qat.plugins.module_utils._cluster.api import Cluster, cluster_of
from ansible_collections.accel.qat.plugins.module_utils._cluster.client import ACCESS
from ansible_collections.accel.qat.plugins.module_utils._cluster.configz import PATIENCE, read_configz
from ansible_collections.accel.qat.plugins.module_utils._cluster.expectations import (
    HAS_JMESPATH,
    IMPORT_ERROR,
    check,
    parse_expectations,
)
from ansible_collections.accel.qat.plugins.module_utils._cluster.in_force import reported_by
from ansible_collections.accel.qat.plugins.module_utils._cluster.module import ClusterModule
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError

_NOT_ASKED = {"configuration": None, "problem": "kubelet was not asked"}

OPTIONS = {
    "node": {"type": "str", "required": True},
    "expectations": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str"},
            "query": {"type": "str", "required": True},
            "equals": {"type": "raw"},
        },
    },
    "kubelet_configuration": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float", "default": 0.0},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={**OPTIONS, **ACCESS}, supports_check_mode=True)
    if not HAS_JMESPATH:
        module.fail_json(msg=missing_required_lib("jmespath"), exception=IMPORT_ERROR)
    ClusterNodeInfo(module).run()


class ClusterNodeInfo(ClusterModule):
    """It changes nothing."""

    def result(self) -> dict[str, object]:
        """Check the expectations against the node."""
        expectations = parse_expectations(self._params["expectations"])
        cluster = cluster_of(self._module)
        cluster.be_patient(self._params["wait_timeout"], unheard=True)
        node = cluster.node(self._params["node"])
        status = node.get("status", {})
        return {
            "changed": False,
            "node": self._params["node"],
            "capacity": status.get("capacity") or {},
            "allocatable": status.get("allocatable") or {},
            "checks": [check(expectation, node) for expectation in expectations],
            "kubelet": self._kubelet(cluster) if self._params["kubelet_configuration"] else _NOT_ASKED,
        }

    def _kubelet(self, cluster: Cluster) -> dict[str, object]:
        try:
            answer = read_configz(cluster.core, self._params["node"], min(self._params["wait_timeout"], PATIENCE))
            return {"configuration": reported_by(answer), "problem": ""}
        except NodeError as error:
            return {"configuration": None, "problem": error.sentence()}


if __name__ == "__main__":
    main()
