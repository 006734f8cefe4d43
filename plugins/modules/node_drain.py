#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cordons a Kubernetes node and evicts pods from it, and takes that cordon back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
short_description: Drain or uncordon a Kubernetes node
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Marks a node as unschedulable, evicts all pods or those that are named, and waits until they are gone.
  - Pods are evicted and not deleted, so that their PodDisruptionBudgets hold. An eviction that a budget refuses is tried again
    until the time is over.
  - The node remembers by the annotation C(accel.qat/cordoned) that it was cordoned by this module. Only such a cordon is taken back;
    that of an administrator stays.
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
  state:
    description:
      - V(drained) cordons the node and evicts pods.
      - V(schedulable) takes the cordon back if it is this module's, and does nothing otherwise.
    type: str
    choices: [drained, schedulable]
    default: drained
  pods:
    description:
      - The pods to evict, as C(namespace/name). An empty list evicts none. Those that are not on the node are gone already.
      - When not given, all pods of the node but finished ones, those of DaemonSets and static ones.
      - A named pod of a DaemonSet, or a static one, is refused before anything is done, since it would be back at once.
    type: list
    elements: str
  force:
    description:
      - Whether to evict pods without a controller, too, which nothing starts again elsewhere.
      - Otherwise they are refused before the node is cordoned.
    type: bool
    default: false
  wait_timeout:
    description:
      - How many seconds it may take until the pods are gone.
      - Within the same seconds the API server may be away, as it is while its own node reboots. Before the node is cordoned, an address at
        which nobody answers from the beginning fails at once.
    type: float
    default: 300
notes:
  - Needs the rights C(get) and C(patch) on C(nodes), C(get) on C(pods), and C(create) on C(pods/eviction); without O(pods) also C(list) on
    C(pods).
  - Data in an C(emptyDir) goes with its pod.
  - A node that was cordoned stays so when the module fails afterwards. The message says so.
seealso:
  - module: accel.qat.qat_devices
  - module: accel.qat.kubelet_config
"""

EXAMPLES = r"""
- name: Evict the pods that use the VFs of a PF
  accel.qat.node_drain:
    node: "{{ inventory_hostname }}"
    pods: [default/proxy-0, default/proxy-1]
  delegate_to: localhost
  become: false

- name: Let pods come again
  accel.qat.node_drain:
    node: "{{ inventory_hostname }}"
    state: schedulable
  delegate_to: localhost
  become: false
"""

RETURN = r"""
node:
  description: The name of the node.
  returned: success
  type: str
  sample: node1
cordoned:
  description: Whether the node is cordoned now, by whomever, or in check mode would be.
  returned: success
  type: bool
  sample: true
evicted:
  description: The pods that were evicted, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [default/proxy-0, default/proxy-1]
failure:
  description: The parts of the message.
  returned: failure
  type: dict
  sample:
    kind: node
    where: pod default/proxy-0
    problem: "it cannot be evicted within 300 seconds, and node node1 stays cordoned: Cannot evict pod as it would violate the pod's
      disruption budget."
    remedy: see its PodDisruptionBudget, or raise wait_timeout
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._cluster.api import ClusterError, cluster_of
from ansible_collections.accel.qat.plugins.module_utils._cluster.client import ACCESS
from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import (
    Leaving,
    Pod,
    cordon_patch,
    difference,
    is_cordoned,
    is_ours,
    leaving,
    parse_names,
    pod_of,
    uncordon_patch,
)
from ansible_collections.accel.qat.plugins.module_utils._cluster.module import ClusterModule
from ansible_collections.accel.qat.plugins.module_utils._cluster.objects import Object
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError

LOOK_SECONDS = 2.0
"""How often to look who is left, and to try those again that a budget kept."""

OPTIONS: dict[str, dict[str, t.Any]] = {
    "node": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["drained", "schedulable"], "default": "drained"},
    "pods": {"type": "list", "elements": "str"},
    "force": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float", "default": 300.0},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={**OPTIONS, **ACCESS}, supports_check_mode=True)
    NodeDrain(module).run()


class NodeDrain(ClusterModule):
    """`changed` says whether the node was patched or a pod evicted."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self._node: str = module.params["node"]
        self._seconds: float = module.params["wait_timeout"]
        self._deadline = time.monotonic() + self._seconds

    def result(self) -> dict[str, object]:
        """Drain the node, or give it back."""
        entries = self._params["pods"]
        self._names = None if entries is None else parse_names(entries)
        self._cluster = cluster_of(self._module)
        if self._params["state"] == "schedulable":
            self._cluster.be_patient(self._seconds, unheard=True)
            try:
                return self._give_back(self._cluster.node(self._node))
            except ClusterError as error:
                raise self._cordoned_still(error, " if it is") from None
        self._cluster.be_patient(self._seconds)
        return self._drain(self._cluster.node(self._node))

    def _give_back(self, node: Object) -> dict[str, object]:
        if is_ours(node) and not self._module.check_mode:
            self._patch(uncordon_patch())
        before = is_cordoned(node)
        return self._result(is_ours(node), before, before and not is_ours(node), ())

    def _drain(self, node: Object) -> dict[str, object]:
        before = is_cordoned(node)
        found = self._leaving()
        if not self._module.check_mode:
            if not before:
                self._patch(cordon_patch())
            try:
                # Until the cordon another may have come.
                found = found if before else self._leaving()
                self._evict(found)
            except (ClusterError, RefusedError) as error:
                raise self._cordoned_still(error) from None
        return self._result(not before or bool(found.to_evict), before, True, found.to_evict)

    def _cordoned_still(self, error: ClusterError | RefusedError, unless: str = "") -> NodeError:
        return type(error)(f"{error.problem}, and node {self._node} stays cordoned{unless}", error.where, error.remedy)

    def _result(self, changed: bool, before: bool, after: bool, pods: t.Sequence[Pod]) -> dict[str, object]:
        evicted = [str(pod) for pod in pods]
        diff = difference(before, after, evicted)
        return {"changed": changed, "diff": diff, "node": self._node, "cordoned": after, "evicted": evicted}

    def _patch(self, patch: Object) -> None:
        self._cluster.patch_node(self._node, patch)
        self.changed = True

    def _leaving(self) -> Leaving:
        return leaving(self._pods(), self._node, self._names is not None, self._params["force"])

    def _pods(self) -> list[Object]:
        """The pods in question, as far as they are there."""
        if self._names is None:
            return self._cluster.pods_on(self._node)
        found = (self._cluster.pod(namespace, name) for namespace, name in self._names)
        return [pod for pod in found if pod is not None]

    def _evict(self, found: Leaving) -> None:
        kept = dict.fromkeys(found.to_evict, "")
        left = {*found.to_evict, *found.going}
        while left:
            for pod in list(kept):
                kept[pod] = self._cluster.evict_pod(*pod)
                if not kept[pod]:
                    del kept[pod]
                    self.changed = True
            left &= {pod_of(pod) for pod in self._pods()}
            kept = {pod: words for pod, words in kept.items() if pod in left}
            if left and time.monotonic() >= self._deadline:
                raise self._too_late(min(left), kept)
            if left:
                time.sleep(LOOK_SECONDS)

    def _too_late(self, pod: Pod, kept: t.Mapping[Pod, str]) -> NodeError:
        stays = f"and node {self._node} stays cordoned"
        if kept:
            first = min(kept)
            return NodeError(
                f"it cannot be evicted within {self._seconds:g} seconds, {stays}: {kept[first]}",
                where=f"pod {first}",
                remedy="see its PodDisruptionBudget, or raise wait_timeout",
            )
        return NodeError(
            f"it is evicted and still there after {self._seconds:g} seconds, {stays}",
            where=f"pod {pod}",
            remedy="see that kubelet runs on the node, or raise wait_timeout",
        )


if __name__ == "__main__":
    main()
