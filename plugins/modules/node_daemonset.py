#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Has a DaemonSet run on a Kubernetes node, and takes it away from there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_daemonset
short_description: Manage a DaemonSet on a Kubernetes node
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Makes a namespace and a DaemonSet, gives a node the label by which the DaemonSet runs there, and waits until its pod is ready.
  - Takes that label away again. With the last label of a cluster the DaemonSet goes. The namespace stays, since others may
    have something in it.
  - Is for one node, and is run for each; what is as it should be is left alone. The role P(accel.qat.qat_device_plugin#role) uses it.
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
      - V(present) has the DaemonSet run on the node.
      - V(absent) takes it away from the node.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: The name of the DaemonSet.
    type: str
    required: true
  namespace:
    description: Its namespace. One that is made here may have pods that mount directories of the host.
    type: str
    required: true
  label:
    description: The label that a node has while the DaemonSet runs there.
    type: str
    required: true
  value:
    description: The value of that label.
    type: str
    required: true
  definition:
    description:
      - The DaemonSet as a manifest has it. Name, namespace and C(nodeSelector) are those of this module.
      - Needed for O(state=present).
    type: dict
  wait:
    description: Whether to wait until the pod on the node is ready, or gone.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds that may take. They begin again whenever the DaemonSet has come further on any node, as it is updated on one node
        after the other.
    type: float
    default: 300
notes:
  - Needs the rights C(get) and C(patch) on C(nodes), C(list) on C(nodes) and C(pods), and C(get) and C(create) on
    C(namespaces), and C(get), C(create), C(update) and C(delete) on C(daemonsets).
  - A DaemonSet of this name that others have made, as Helm, is refused and left alone.
seealso:
  - module: accel.qat.unit_started
  - module: accel.qat.node_drain
"""

EXAMPLES = r"""
- name: Run the device plugin of a manifest on the node
  accel.qat.node_daemonset:
    node: "{{ inventory_hostname }}"
    name: accel-qat-device-plugin
    namespace: accel-qat
    label: accel.qat/device-plugin
    value: daemonset
    definition: "{{ lookup('ansible.builtin.file', 'daemonset.yaml') | from_yaml }}"
  delegate_to: localhost
  become: false

- name: Take it away from the node
  accel.qat.node_daemonset:
    node: "{{ inventory_hostname }}"
    name: accel-qat-device-plugin
    namespace: accel-qat
    label: accel.qat/device-plugin
    value: daemonset
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
labelled:
  description: Whether the node has the label now, or in check mode would have.
  returned: success
  type: bool
  sample: true
pods:
  description: The names of the pods that the DaemonSet had on the node. Those of a DaemonSet that others have made are not among them.
  returned: success
  type: list
  elements: str
  sample: [accel-qat-device-plugin-x7k2p]
failure:
  description: The parts of the message.
  returned: failure
  type: dict
  sample:
    kind: node
    where: daemonset accel-qat/accel-qat-device-plugin on node node1
    problem: "it is not ready within 300 seconds: it has no pod there"
    remedy: see kubectl describe daemonset, or raise wait_timeout
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._cluster.api import ClusterError, cluster_of
from ansible_collections.accel.qat.plugins.module_utils._cluster.client import ACCESS
from ansible_collections.accel.qat.plugins.module_utils._cluster.daemonset import (
    POD_SECURITY,
    differs,
    is_ours,
    labels_of,
    namespace,
    pods_of,
    progress,
    refuse_others,
    wanted,
    why_not_ready,
)
from ansible_collections.accel.qat.plugins.module_utils._cluster.module import ClusterModule
from ansible_collections.accel.qat.plugins.module_utils._cluster.objects import Object
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError

LOOK_SECONDS = 1.0
"""How often to look whether the pod is there, or gone."""

OPTIONS: dict[str, dict[str, t.Any]] = {
    "node": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "label": {"type": "str", "required": True},
    "value": {"type": "str", "required": True},
    "definition": {"type": "dict"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "float", "default": 300.0},
}

Difference = t.Dict[str, t.Any]  # noqa: UP006


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**OPTIONS, **ACCESS},
        required_if=[("state", "present", ["definition"])],
        supports_check_mode=True,
    )
    NodeDaemonset(module).run()


class NodeDaemonset(ClusterModule):
    """`changed` says whether anything was written."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self._node: str = module.params["node"]
        self._name: str = module.params["name"]
        self._namespace: str = module.params["namespace"]
        self._label: tuple[str, str] = module.params["label"], module.params["value"]
        self._before: Difference = {}
        self._after: Difference = {}
        self._found: list[str] = []
        self._progress: set[tuple[int, int, int, int]] = set()

    def result(self) -> dict[str, object]:
        """Have it, or have it no longer."""
        self._cluster = cluster_of(self._module)
        is_wanted = self._params["state"] == "present"
        if is_wanted:
            self._have()
        else:
            self._take_away()
        diff = {"before": self._before, "after": self._after}
        changed = self._before != self._after
        return {"changed": changed, "diff": diff, "node": self._node, "labelled": is_wanted, "pods": self._found}

    def _look(self) -> Object | None:
        """The DaemonSet."""
        self._cluster.be_patient(self._params["wait_timeout"])
        return self._cluster.daemonset(self._namespace, self._name)

    @property
    def _where(self) -> str:
        return f"daemonset {self._namespace}/{self._name}"

    def _note(self, what: str, before: t.Any, after: t.Any, change: t.Callable[[], t.Any]) -> None:
        """Note a part of the difference, and make it."""
        self._before[what], self._after[what] = before, after
        if before != after and not self._module.check_mode:
            change()
            self.changed = True

    # Having it.

    def _have(self) -> None:
        found = self._look()
        if found:
            refuse_others(found, self._where)
            self._found = self._names()
        self._have_namespace()
        self._have_daemonset(found)
        self._set_label(self._label[1])
        if self._params["wait"] and not self._module.check_mode:
            self._wait(self._why_not_ready, "it is not ready within {:g} seconds: {}")

    def _have_namespace(self) -> None:
        found = self._cluster.namespace(self._namespace)
        create = namespace(self._namespace)
        # One of others has the level that they want.
        level = labels_of(found).get(POD_SECURITY) if found else None
        after = level if found else labels_of(create)[POD_SECURITY]
        self._note("pod_security", level, after, lambda: self._cluster.create_namespace(create))

    def _have_daemonset(self, found: Object | None) -> None:
        selector = dict([self._label])
        body = wanted(self._params["definition"], self._name, self._namespace, selector, found)
        if found is None:
            self._note("daemonset", None, body["spec"], lambda: self._cluster.create_daemonset(body))
            return
        trial = self._cluster.replace_daemonset(body, trial=True)
        after = trial if differs(found, trial) else found
        old, new = ({"labels": labels_of(one), "spec": one["spec"]} for one in (found, after))
        self._note("daemonset", old, new, lambda: self._cluster.replace_daemonset(body))

    def _set_label(self, value: str | None) -> None:
        key = self._label[0]
        before = labels_of(self._cluster.node(self._node)).get(key)
        patch = {"metadata": {"labels": {key: value}}}
        self._note("label", before, value, lambda: self._cluster.patch_node(self._node, patch))

    def _why_not_ready(self) -> str:
        daemonset = self._cluster.daemonset(self._namespace, self._name)
        if not daemonset:
            return "somebody has deleted it"
        come = progress(daemonset)
        self._progress.add(come)
        words = why_not_ready(daemonset, self._pods())
        return words and f"{words} ({come[1]} of {come[3]} nodes have the present one)"

    def _pods(self) -> list[Object]:
        return pods_of(self._cluster.pods_on(self._node), self._name, self._namespace)

    def _names(self) -> list[str]:
        return [str(pod["metadata"].get("name")) for pod in self._pods()]

    # Having it no longer.

    def _take_away(self) -> None:
        found = self._look()
        if not found or is_ours(found):
            self._found = self._names()
        self._remove_label()
        if found and not is_ours(found):
            if self._pods():
                refuse_others(found, self._where)
            return
        if found and self._params["wait"] and not self._module.check_mode:
            self._wait(self._why_still_there, "its pod is still there after {:g} seconds: {}")
        if self._cluster.is_other_node_with("=".join(self._label), self._node):
            return
        if found:
            delete = self._cluster.delete_daemonset
            self._note("daemonset", True, False, lambda: delete(self._namespace, self._name))

    def _remove_label(self) -> None:
        """A node that is not in the cluster has none."""
        try:
            self._set_label(None)
        except ClusterError as error:
            if error.status != 404:
                raise

    def _why_still_there(self) -> str:
        return ", ".join(self._names())

    def _wait(self, problem: t.Callable[[], str], sentence: str) -> None:
        """Until there is no problem. The nodes get it one after the other, so the time begins again with each that has it."""
        seconds: float = self._params["wait_timeout"]
        self._cluster.be_patient(seconds)
        deadline, steps = time.monotonic() + seconds, 0
        while words := problem():
            if len(self._progress) > steps:
                self._cluster.be_patient(seconds)
                deadline, steps = time.monotonic() + seconds, len(self._progress)
            elif time.monotonic() >= deadline:
                raise NodeError(
                    sentence.format(seconds, words),
                    where=f"{self._where} on node {self._node}",
                    remedy="see kubectl describe daemonset, or raise wait_timeout",
                )
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
