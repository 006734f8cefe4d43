#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what decides on a node's kubelet configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_read
short_description: Gather what decides on a node's kubelet configuration (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Reports the flavour of the node's kubelet, its version, command line, unit and configuration files, in one call.
  - M(accel.qat.kubelet_config) runs it by itself. It is of use alone to see what that module sees.
  - Of the configuration and the command line of K3s and RKE2 only kubelet's arguments are returned, since the rest has secrets. Other
    files are returned whole.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.info_module
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.kubelet
  - accel.qat.roots
options:
  if_recorded:
    description: Whether to look only where O(record) is, and to return nothing elsewhere.
    type: bool
    default: false
  offered:
    description: Whether to ask the kubelet's help for the feature gates that it offers, which takes a start of the program.
    type: bool
    default: true
notes:
  - O(sysfs_root) and O(dev_root) are accepted as by the other modules of the action group, and not used.
seealso:
  - module: accel.qat.kubelet_config
"""

EXAMPLES = r"""
- name: See which kubelet a node has
  become: true
  accel.qat.kubelet_read:
  register: kubelet
"""

RETURN = r"""
observed:
  description: What the node has; none with O(when_missing=skip) or O(if_recorded=true) where there is nothing to report.
  returned: success
  type: dict
  contains:
    flavour:
      description: As in O(flavour), and never V(auto).
      type: str
    version:
      description: What the kubelet says of its version.
      type: str
    program:
      description: The kubelet, or the program that contains it.
      type: str
    running:
      description: Whether it runs.
      type: bool
    words:
      description: Its command line, or the one that systemd would start it with.
      type: list
      elements: str
    unit:
      description: Its systemd unit, empty when there is none.
      type: str
    unit_arguments:
      description: What the unit of K3s or RKE2 gives kubelet as C(--kubelet-arg).
      type: list
      elements: str
    config:
      description: Its configuration file.
      type: str
    config_dir:
      description: Its directory of drop-ins, empty when it is started without one.
      type: str
    linked:
      description: Of the directories of drop-ins those that are symbolic links, behind which kubelet reads none.
      type: list
      elements: str
    extra_arguments:
      description: The file of C(KUBELET_EXTRA_ARGS) that its unit reads, empty where an argument there is not sure to reach kubelet.
      type: str
    extra_arguments_fault:
      description: Why there is none.
      type: str
    drop_ins_there:
      description: Whether the directory is there that kubelet would be given by such an argument.
      type: bool
    kubelet_dir:
      description: Where it has its state.
      type: str
    files:
      description: Its configuration files, the file of its arguments, and those that O(record) names, by path.
      type: dict
    states:
      description: The policy in the state file of each resource manager, V(cpu) and V(memory), that has one.
      type: dict
    offered:
      description: The feature gates in the kubelet's help, with their defaults; none with O(offered=false).
      type: dict
    record:
      description: The record of what was found before the first change.
      type: str
    named:
      description: The files and drop-ins that kubelet's arguments in other files name as its configuration.
      type: list
      elements: str
    cgroup:
      description: The version of cgroups, V(v1) or V(v2), empty where it cannot be seen.
      type: str
    numa_nodes:
      description: How many NUMA nodes there are, 0 where that cannot be seen.
      type: int
    pending:
      description:
        - What an earlier change has left, none where nothing is. C(cut_off) where a run has ended in the midst of it, with its C(changes)
          and the C(states) that it took away; C(restart_left) where kubelet was not restarted since the files were written.
      type: dict
  sample:
    flavour: kubeadm
    version: Kubernetes v1.31.4
    program: /usr/bin/kubelet
    running: true
    words: [/usr/bin/kubelet, --config=/var/lib/kubelet/config.yaml]
    unit: kubelet.service
    unit_arguments: []
    config: /var/lib/kubelet/config.yaml
    config_dir: ""
    linked: []
    extra_arguments: /etc/default/kubelet
    extra_arguments_fault: ""
    drop_ins_there: false
    kubelet_dir: /var/lib/kubelet
    files:
      /var/lib/kubelet/config.yaml: |
        apiVersion: kubelet.config.k8s.io/v1beta1
        kind: KubeletConfiguration
    states: {cpu: none}
    offered: {KubeletPodResourcesGet: false}
    record: null
    pending: null
    named: []
    cgroup: v2
    numa_nodes: 2
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure
  type: dict
  sample:
    kind: configuration
    where: flavour
    problem: no kubelet is found on this node
    remedy: install Kubernetes first, or set flavour, and kubelet to the path of the program
    kernel_log: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._kubelet.flavours import MissingError
from ansible_collections.accel.qat.plugins.module_utils._kubelet.journal import journal_of
from ansible_collections.accel.qat.plugins.module_utils._kubelet.node_side import run
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Request, observe
from ansible_collections.accel.qat.plugins.module_utils._kubelet.options import ONLY_READ, READ
from ansible_collections.accel.qat.plugins.module_utils._module import ROOTS

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.plugins.module_utils._host.machine import LiveMachine


def read(module: AnsibleModule, machine: LiveMachine) -> dict[str, t.Any]:
    """The snapshot, as the module returns it."""
    parameters = module.params
    record = parameters["record"]
    request = Request(
        flavour=parameters["flavour"],
        config=parameters["config"] or "",
        config_dir=parameters["config_dir"] or "",
        kubelet=parameters["kubelet"] or "",
        version=parameters["kubelet_version"] or "",
        service=parameters["service"] or "",
        record=record,
        offered=parameters["offered"],
    )
    nothing = {"changed": False, "observed": None}
    if parameters["if_recorded"] and not any(map(machine.exists, (record, journal_of(record)))):
        return nothing
    try:
        return {"changed": False, "observed": observe(machine, parameters["proc_root"], request).as_dict()}
    except MissingError:
        if parameters["when_missing"] == "skip":
            return nothing
        raise


def main() -> None:
    """Read the parameters, and run."""
    module = AnsibleModule(argument_spec={**READ, **ONLY_READ, **ROOTS}, supports_check_mode=True)
    run(module, lambda machine: read(module, machine))


if __name__ == "__main__":
    main()
