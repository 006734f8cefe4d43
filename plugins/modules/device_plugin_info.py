#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reports what kubelet and the device plugins say on a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: device_plugin_info
short_description: Gather what kubelet and the device plugins say on a node
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Reports which sockets kubelet and the device plugins have, which resources are registered and allocatable, which pod and
    container has which device, and where that contradicts the configuration, the node, or itself.
  - Kubelet is asked by its PodResources socket, version v1 or, before Kubernetes 1.20, v1alpha1. The node needs nothing but
    Python for that.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.info_module
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.roots
options:
  devices:
    description:
      - The node's rules, as for M(accel.qat.qat_devices). By them RV(promised) is filled, and what is missing is reported.
      - When not given, those of the node itself are taken, C(/etc/accel-qat/node.json), where it has that file.
    type: list
    elements: dict
  plugin_address:
    description:
      - Where the device plugin of this collection serves its metrics, as C(HOST:PORT). It is asked there whether it is ready.
        The answer is believed only of a process of root, or of the user who asks, that is in no container.
      - Empty when it serves none, or when there is none.
    type: str
    default: 127.0.0.1:9482
notes:
  - Kubelet's directories belong to root, so run it with C(become).
seealso:
  - module: accel.qat.qat_info
"""

EXAMPLES = r"""
- name: Ask kubelet and the device plugin
  become: true
  accel.qat.device_plugin_info:
  register: result

- name: Show which pod has which VF
  ansible.builtin.debug:
    msg: "{{ result.pods }}"

- name: Fail where they contradict each other
  ansible.builtin.assert:
    that: result.mismatches | length == 0
    fail_msg: "{{ result.mismatches | map(attribute='problem') | join('; ') }}"
"""

RETURN = r"""
kubelet:
  description: Kubelet itself.
  returned: success
  type: dict
  contains:
    root:
      description: Its root directory.
      type: str
      sample: /var/lib/kubelet
    answers:
      description: Whether its PodResources socket answers.
      type: bool
      sample: true
    version:
      description: In which version, V(v1) or V(v1alpha1); none where it does not answer.
      type: str
      sample: v1
    problem:
      description: Why it does not answer, or does not say what is allocatable.
      type: str
      sample: ""
sockets:
  description:
    - The sockets in C(device-plugins) and C(plugins_registry) of kubelet's root directory, and in C(/var/lib/kubelet/device-plugins),
      which kubelet uses whatever its root directory is.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path.
      type: str
      sample: /var/lib/kubelet/device-plugins/kubelet.sock
    listening:
      description: Whether somebody listens.
      type: bool
      sample: true
    resource:
      description: The resource of a device plugin in C(plugins_registry), which names it; otherwise empty.
      type: str
      sample: ""
registered:
  description:
    - The healthy devices of each registered resource, by kubelet's checkpoint; none where there is no checkpoint.
  returned: success
  type: dict
  sample: {qat.intel.com/cy: ["0000:6b:00.1", "0000:6b:00.2"]}
allocatable:
  description:
    - The healthy devices of each resource, by kubelet itself, or by its checkpoint where it does not say (before Kubernetes
      1.23); none where neither says.
  returned: success
  type: dict
  sample: {qat.intel.com/cy: ["0000:6b:00.1", "0000:6b:00.2"]}
pods:
  description:
    - The devices that pods have, by kubelet itself, and those that its checkpoint gives besides to pods that live, as to
      init containers, or while it does not answer or has just started. Those that came by a claim (dynamic resource
      allocation) are among them.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: Namespace of the pod; empty where only the checkpoint has it.
      type: str
      sample: default
    pod:
      description: Name of the pod; its uid where only the checkpoint has it.
      type: str
      sample: web-0
    container:
      description: Name of the container.
      type: str
      sample: app
    resource:
      description: The resource.
      type: str
      sample: qat.intel.com/cy
    device:
      description: The id of the device, which for QAT is the PCI address of the VF.
      type: str
      sample: "0000:6b:00.1"
plugin:
  description: The device plugin of this collection; none where O(plugin_address) is empty.
  returned: success
  type: dict
  contains:
    answers:
      description: Whether it answers over HTTP, and it is the device plugin as far as is known.
      type: bool
      sample: true
    ready:
      description: Whether it is ready.
      type: bool
      sample: true
    problems:
      description: Why it is not.
      type: list
      elements: str
      sample: []
    registered:
      description: Whether kubelet has taken each resource.
      type: dict
      sample: {qat.intel.com/cy: true}
    unhealthy:
      description: How many VFs of a resource cannot be used.
      type: dict
      sample: {qat.intel.com/cy: 1}
promised:
  description: The VFs that the rules offer to Kubernetes, by resource.
  returned: success
  type: dict
  sample: {qat.intel.com/cy: ["0000:6b:00.1", "0000:6b:00.2"]}
free:
  description: The allocatable devices that no pod has, by resource; empty where it is not known what pods have.
  returned: success
  type: dict
  sample: {qat.intel.com/cy: ["0000:6b:00.2"]}
mismatches:
  description: What contradicts. Only resources that begin with C(qat.intel.com/) are judged.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(kubelet), it does not say what pods have. V(plugin), it is not ready. V(missing), a VF is promised and not
          allocatable. V(surplus), a device is allocatable and not promised. V(vanished), V(driver) and V(services), a pod
          has a VF that is gone, has another driver, or other services by now. V(shared), two pods have the
          same device. V(taken), a process has a VF open that is no pod's. V(socket), a dead socket.
      type: str
      sample: missing
    resource:
      description: The resource, or empty.
      type: str
      sample: qat.intel.com/cy
    device:
      description: The id of the device, or empty.
      type: str
      sample: "0000:6b:00.2"
    problem:
      description: A sentence.
      type: str
      sample: 0000:6b:00.2 should be offered as qat.intel.com/cy, and kubelet has no healthy device of that id
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._host.installed import PLUGIN_ADDRESS
from ansible_collections.accel.qat.plugins.module_utils._kubelet.audit import as_dict, promised, survey
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS, NodeModule, passed
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import (
    NoConfiguration,
    Rule,
    parse_configuration,
    read_rules,
)
from ansible_collections.accel.qat.plugins.module_utils._node.facts.paths import KUBELET_ROOTS, NODE_JSON


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "dict"},
            "plugin_address": {"type": "str", "default": PLUGIN_ADDRESS},
            **ROOTS,
        },
        supports_check_mode=True,
    )

    def work(run: NodeModule) -> dict[str, object]:
        rules = _rules(module.params["devices"])
        node = run.read()
        root = module.params["kubelet_root"]
        found = survey([root] if root else KUBELET_ROOTS, module.params["plugin_address"])
        return {"changed": False, **as_dict(found, promised(rules, node), node)}

    NodeModule(module).run(work)


def _rules(devices: list[dict[str, object]] | None) -> tuple[Rule, ...]:
    if devices is not None:
        return parse_configuration({"devices": passed(devices)})
    try:
        return read_rules(NODE_JSON, "")
    except NoConfiguration:
        return ()


if __name__ == "__main__":
    main()
