#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin `kubelet_config`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_config
short_description: Manage fields of a node's own kubelet configuration
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Merges fields of KubeletConfiguration into the configuration that the node has, whichever way its kubelet is run, and restarts
    kubelet when something has changed. Everything else in the files stays as it is, with comments and order.
  - Feature gates are decided on by the kubelet's own version. One that is the default is left out, one with which this kubelet would not
    start is removed, one that it does not know or has locked is refused before anything is written.
  - Where it can, kubelet itself is asked whether it takes the files before they are written. When it does not come back, the files are
    put back as they were and it runs with them again.
  - On OpenShift 4 nothing is written; RV(manifest) is what the Machine Config Operator is to be given.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.platform_linux
  - accel.qat.attributes.actiongroup_qat
  - accel.qat.kubelet
  - accel.qat.roots
attributes:
  check_mode:
    support: full
    details:
      - Kubelet is asked whether it takes the files also then.
  diff_mode:
    support: full
    details:
      - Of a file that gives kubelet arguments only these are shown.
  idempotent:
    support: full
options:
  configuration:
    description:
      - The fields, by their names in KubeletConfiguration. Fields that are not named stay as they are, and so do the other entries of
        a field with names and values.
    type: dict
    default: {}
    suboptions:
      featureGates:
        description: Feature gates, each V(true) or V(false).
        type: dict
      cpuManagerPolicy:
        description: >-
          Whether containers of guaranteed pods get CPUs of their own. V(static) needs CPUs reserved for the system.
        type: str
        choices: [none, static]
      cpuManagerPolicyOptions:
        description: Options of the policy V(static), such as C(full-pcpus-only). From Kubernetes 1.22 on.
        type: dict
      topologyManagerPolicy:
        description: >-
          Whether devices, CPUs and memory of a container come from one NUMA node. From Kubernetes 1.16 on.
        type: str
        choices: [none, best-effort, restricted, single-numa-node]
      topologyManagerScope:
        description: Whether that holds for each container or for the pod as a whole. From Kubernetes 1.20 on.
        type: str
        choices: [container, pod]
      topologyManagerPolicyOptions:
        description: Options of the policy, such as C(prefer-closest-numa-nodes). From Kubernetes 1.26 on.
        type: dict
      reservedSystemCPUs:
        description: >-
          CPUs for the system and Kubernetes alone, such as V(0-1,8). They come before the C(cpu) of the two below. From
          Kubernetes 1.17 on.
        type: str
      kubeReserved:
        description: What is kept for Kubernetes, as C(cpu), C(memory), C(ephemeral-storage), C(pid).
        type: dict
      systemReserved:
        description: What is kept for the system, with the same names.
        type: dict
      evictionHard:
        description: >-
          Thresholds such as C(memory.available); kubelet evicts pods below them. Where there were none, its defaults for the
          others are written too, since kubelet drops them as soon as one is set.
        type: dict
      memoryManagerPolicy:
        description: >-
          Whether containers of guaranteed pods get memory of one NUMA node. V(Static) needs C(reservedMemory). From
          Kubernetes 1.21 on.
        type: str
        choices: ["None", Static]
      reservedMemory:
        description: >-
          What each NUMA node keeps, a list of C(numaNode) and C(limits). The sum is that of the reservations and the
          hard eviction threshold of memory. From Kubernetes 1.21 on.
        type: list
        elements: dict
      failCgroupV1:
        description: >-
          Whether kubelet does not start on a node with cgroup v1. From 1.35 on it is V(true) where nothing is said. From
          Kubernetes 1.31 on.
        type: bool
  device_plugin_gates:
    description:
      - Whether to see that the gates C(DevicePlugins) and C(KubeletPodResources) are on, on every kubelet that has them. Without the
        first there are no device plugins.
    type: bool
    default: true
  drop_in:
    description:
      - Whether the fields go into a drop-in where kubelet has no directory of them. It is given one then, by C(--config-dir) in
        C(KUBELET_EXTRA_ARGS) in the file that kubelet's unit reads, and an upgrade by kubeadm leaves both alone.
      - V(auto) does so for a kubelet from 1.30 on whose unit is as Kubernetes' packages have it. Elsewhere the fields go into kubelet's
        configuration file, and a warning says why.
      - V(always) refuses a kubelet that cannot be given one, V(never) has the fields in the configuration file.
      - Fields of ours that are in the other place are moved, with the same restart.
      - Of no effect where kubelet has a directory of drop-ins already, and for the other flavours.
    type: str
    choices: [auto, always, never]
    default: auto
  state:
    description:
      - V(present) brings the fields in.
      - V(found) puts everything back as it was before the first change by this module. What somebody else has changed since stays.
        O(configuration) is not looked at.
    type: str
    choices: [present, found]
    default: present
  drained:
    description:
      - Whether the node is drained.
      - A change of C(cpuManagerPolicy), C(memoryManagerPolicy) or of what they reserve takes the removal of C(cpu_manager_state) or
        C(memory_manager_state), and with it of what running pods were given. It is refused unless this is V(true).
    type: bool
    default: false
  restart:
    description:
      - Whether to restart kubelet when something has changed, or when it was not restarted since an earlier run has changed something.
      - V(false) is refused where C(cpu_manager_state) or C(memory_manager_state) has to go, since kubelet writes them while it runs.
    type: bool
    default: true
  prove:
    description: Whether to ask the node's kubelet if it takes the files. It is asked where it is a program of its own.
    type: bool
    default: true
  backup:
    description: Whether to keep a copy of each file that is replaced, beside it, with the time in its name.
    type: bool
    default: false
  timeout:
    description: Seconds to wait until kubelet is back, and once more until the node is Ready.
    type: float
    default: 120
  kubeconfig:
    description:
      - A kubeconfig on the controller. With it, a restart is followed by waiting until the API server has the node as Ready, and the files
        are put back when it does not become so.
      - Kubelet is then asked what it has in force, which takes the right to get C(nodes/proxy). The files are put back too where that
        is not what was asked. Without that right, or where kubelet does not answer, RV(in_force) says so.
      - A kubelet on which nothing is to be changed is asked too, and the module fails where it runs with something else.
      - The controller's environment variables E(K8S_AUTH_PROXY), E(K8S_AUTH_NO_PROXY), E(K8S_AUTH_SSL_CA_CERT) and so on go before what it
        says, as for M(accel.qat.cluster_access).
      - Needs the Python package kubernetes on the controller.
    type: path
  node_name:
    description: The node's name in the cluster. By default C(inventory_hostname).
    type: str
  machine_config_pool:
    description: On OpenShift 4, the pool that RV(manifest) is for.
    type: str
    default: worker
notes:
  - The work is done by an action plugin of the same name, which runs M(accel.qat.kubelet_read), and M(accel.qat.kubelet_apply) where
    something changes.
  - O(sysfs_root) and O(dev_root) are accepted as by the other modules of the action group, and not used.
seealso:
  - name: Kubelet configuration
    description: All fields that kubelet knows.
    link: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
"""

EXAMPLES = r"""
- name: See that kubelet serves device plugins
  become: true
  accel.qat.kubelet_config:

- name: Give devices, CPUs and memory of one NUMA node to a pod
  become: true
  accel.qat.kubelet_config:
    configuration:
      topologyManagerPolicy: single-numa-node
      topologyManagerScope: pod

- name: Give CPUs of their own to guaranteed pods, on a drained node
  become: true
  accel.qat.kubelet_config:
    configuration:
      cpuManagerPolicy: static
      reservedSystemCPUs: 0-1
    drained: true
    kubeconfig: ~/.kube/config

- name: Show what would have to go before an upgrade to 1.30
  become: true
  accel.qat.kubelet_config:
    kubelet_version: "1.30"
  check_mode: true
  diff: true

- name: Put it back as it was found
  become: true
  accel.qat.kubelet_config:
    state: found
"""

RETURN = r"""
flavour:
  description:
    - How the node's kubelet is run, as in O(flavour).
    - V(none) with O(when_missing=skip) on a node without a kubelet, and with O(state=found) where nothing was changed.
  returned: success
  type: str
  sample: kubeadm
kubelet_version:
  description: The version of Kubernetes that was decided for.
  returned: success
  type: str
  sample: 1.31.4
gates:
  description: What becomes of each feature gate, and why.
  returned: success
  type: list
  elements: dict
  contains:
    gate:
      description: Its name.
      type: str
    verdict:
      description: V(set), V(leave out) or V(remove).
      type: str
    reason:
      description: Why.
      type: str
  sample:
    - gate: DevicePlugins
      verdict: leave out
      reason: "kubelet 1.31 does not know DevicePlugins since 1.28: it is always on"
files:
  description: The files that were written or removed, in check mode those that would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/kubernetes/kubelet.conf.d/99-accel-qat.conf, /etc/default/kubelet]
drop_in:
  description: Our drop-in where the fields are then in one, else empty.
  returned: success
  type: str
  sample: /etc/kubernetes/kubelet.conf.d/99-accel-qat.conf
state_files:
  description: The resource managers' state files that were removed before kubelet was started.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/kubelet/cpu_manager_state]
effective:
  description: Those of the fields above that are in force then, from all files and from kubelet's command line.
  returned: success
  type: dict
  sample: {topologyManagerPolicy: single-numa-node}
manifest:
  description:
    - On OpenShift 4, the KubeletConfig to apply to the cluster; else none.
    - On k0s, which is refused where something would have to be written, the ClusterConfig with a worker profile of what is wanted.
  returned: success, and where k0s has to be given something
  type: dict
  sample: null
service:
  description: The systemd unit of kubelet.
  returned: success
  type: str
  sample: kubelet.service
proven:
  description: Whether kubelet itself has taken the files as valid before they were written.
  returned: success
  type: bool
  sample: true
restarted:
  description: Whether kubelet was restarted.
  returned: success
  type: bool
  sample: true
backups:
  description: The copies that were made, by file.
  returned: success
  type: dict
  sample: {}
resumed:
  description: >-
    Whether an earlier run was cut off in the midst of a change, in check mode too. This one puts back what that one had written, as far as
    it is not wanted, and ends with kubelet running.
  returned: success
  type: bool
  sample: false
restart_pending:
  description: Whether kubelet has not been restarted since files were written with O(restart=false), and was not by this run.
  returned: success
  type: bool
  sample: false
asked:
  description:
    - What kubelet should have in force then by O(configuration) and O(device_plugin_gates), field by field, for the role
      C(accel.qat.qat_verify). Nothing with O(state=found).
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: The field, or the field and its entry.
      type: str
      sample: topologyManagerPolicy
    wanted:
      description: Its value.
      type: raw
      sample: single-numa-node
    where:
      description: The file, or kubelet's command line, that says so; empty where it is kubelet's default.
      type: str
      sample: /var/lib/kubelet/config.yaml
    unsaid:
      description: What holds where kubelet does not mention it.
      type: raw
      sample: none
    group:
      description: For a feature gate, the one that decides on all of its stage where it is not mentioned itself.
      type: str
      sample: ""
    others:
      description: What other places say, and what the files said before.
      type: list
      elements: dict
      sample: []
in_force:
  description: What came of the question whether kubelet itself says that it has in force what was asked.
  returned: success, and on failure because of a difference
  type: dict
  contains:
    verified:
      description:
        - Whether kubelet says so. V(false) where it could not be asked, which is no failure, and where it has something else in force.
      type: bool
      sample: true
    reason:
      description: Why it is not verified, otherwise empty.
      type: str
      sample: ""
    differences:
      description: What is not in force as asked, each with C(field), C(wanted), C(in_force), C(where) it is set, and the C(layer)
        that may have won.
      type: list
      elements: dict
      sample: []
failure:
  description: The same as RV(ignore:msg) for machines.
  returned: failure
  type: dict
  contains:
    kind:
      description:
        - V(configuration) for a malformed request or file, V(refused) when nothing was written, V(apply) when the files were put back.
      type: str
    where:
      description: The option, file or unit in question.
      type: str
    problem:
      description: What is wrong.
      type: str
    remedy:
      description: What to do.
      type: str
    kernel_log:
      description: Always empty here.
      type: list
      elements: str
  sample:
    kind: refused
    where: configuration.featureGates.DevicePlugins
    problem: "kubelet 1.28 does not know DevicePlugins since 1.28: it is always on"
    remedy: leave it out; nothing was written
    kernel_log: []
"""
