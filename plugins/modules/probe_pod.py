#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs a pod that requests one VF of each resource, and reports what it sees."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe_pod
short_description: Run a pod with one VF of each resource and report what it sees
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Creates a pod that the scheduler should place on one node, waits until it runs, and reads from its log which variables and
    device nodes its container sees. The pod then keeps its VFs until it is deleted with O(state=absent), or 15 minutes.
  - A pod that does not run is deleted again, and the module fails with the reason.
extends_documentation_fragment:
  - accel.qat.attributes
  - accel.qat.attributes.actiongroup_cluster
  - accel.qat.cluster
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(state=absent) it is. With O(state=present) a pod of an earlier run is replaced by a new one.
options:
  name:
    description: The name of the pod.
    type: str
    required: true
  namespace:
    description: Its namespace, which must exist.
    type: str
    default: default
  state:
    description: Whether the pod is there.
    type: str
    choices: [present, absent]
    default: present
  node:
    description: The node that it should land on. Required with O(state=present).
    type: str
  image:
    description:
      - The image of its container. Required with O(state=present).
      - It needs C(/bin/sh), C(tr), C(grep) and C(sleep), as every image with BusyBox has.
    type: str
  image_pull_policy:
    description: When the image is pulled.
    type: str
    choices: [Always, IfNotPresent, Never]
    default: IfNotPresent
  image_pull_secrets:
    description: Names of the secrets with which it is pulled.
    type: list
    elements: str
    default: []
  runtime_class:
    description: The runtime class, such as that of Kata. The cluster's default when not given.
    type: str
  resources:
    description: Names of the resources, of each of which one is requested.
    type: list
    elements: str
    default: []
  wait_timeout:
    description:
      - How many seconds it may take until the pod runs, or is gone.
      - Within the same seconds a pod of an earlier run goes, and the API server may be away. A pod that does not run is then deleted, which
        may take as long again.
      - An address at which nobody answers from the beginning fails at once.
    type: float
    default: 120
notes:
  - Needs the rights C(create), C(get) and C(delete) on C(pods), C(get) on C(pods/log), and C(list) on C(events), in the namespace.
  - The container runs as root, since device nodes belong to root.
seealso:
  - module: accel.qat.device_plugin_info
"""

EXAMPLES = r"""
- name: See what a pod with a VF sees
  accel.qat.probe_pod:
    name: qat-test
    node: node1
    image: registry.example.com/busybox@sha256:9db7b59979c38555a39def84a31fb98b5296952f9e3afd4f6f11f05b07adfab0
    resources: [qat.intel.com/cy]
  delegate_to: localhost
  become: false
  register: result

- name: Delete it
  accel.qat.probe_pod:
    name: qat-test
    state: absent
  delegate_to: localhost
  become: false
"""

RETURN = r"""
pod:
  description: The pod.
  returned: success
  type: dict
  sample: {namespace: default, name: qat-test, node: node1, container: test}
environment:
  description: The variables in the container that name devices.
  returned: O(state=present), not in check mode
  type: dict
  sample: {QAT0: "0000:6b:00.1", PCIDEVICE_QAT_INTEL_COM_CY: "0000:6b:00.1"}
device_nodes:
  description: The nodes in C(/dev/vfio) that the container can read and write.
  returned: O(state=present), not in check mode
  type: list
  elements: str
  sample: [/dev/vfio/8, /dev/vfio/vfio]
failure:
  description: The parts of the message.
  returned: failure
  type: dict
  sample:
    kind: node
    where: pod default/qat-test
    problem: "it does not run: UnexpectedAdmissionError: Allocate failed"
    remedy: see the device plugin's log on node1
"""

import contextlib
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._cluster.api import cluster_of
from ansible_collections.accel.qat.plugins.module_utils._cluster.client import ACCESS
from ansible_collections.accel.qat.plugins.module_utils._cluster.module import ClusterModule
from ansible_collections.accel.qat.plugins.module_utils._cluster.objects import Object
from ansible_collections.accel.qat.plugins.module_utils._cluster.pod import (
    CONTAINER,
    Seen,
    delay,
    failure,
    has_no_image,
    is_ours,
    manifest,
    seen,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError

LOOK_SECONDS = 0.5
"""How often to look how far the pod is."""

OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": "default"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "node": {"type": "str"},
    "image": {"type": "str"},
    "image_pull_policy": {"type": "str", "choices": ["Always", "IfNotPresent", "Never"], "default": "IfNotPresent"},
    "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "runtime_class": {"type": "str"},
    "resources": {"type": "list", "elements": "str", "default": []},
    "wait_timeout": {"type": "float", "default": 120.0},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**OPTIONS, **ACCESS},
        required_if=[("state", "present", ("node", "image"))],
        supports_check_mode=True,
    )
    ProbePod(module).run()


class ProbePod(ClusterModule):
    """`changed` says whether a pod was made or deleted."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self._namespace: str = self._params["namespace"]
        self._name: str = self._params["name"]
        self._where = f"pod {self._namespace}/{self._name}"
        self._deadline = 0.0

    def result(self) -> dict[str, object]:
        """Make the pod and report what it sees, or delete it."""
        self._pod = {} if self._params["state"] == "absent" else manifest(self._params)
        self._cluster = cluster_of(self._module)
        self._wait()
        found = self._cluster.pod(self._namespace, self._name)
        if found is not None:
            self._refuse_others(found)
        result = {
            "namespace": self._namespace,
            "name": self._name,
            "node": self._params["node"],
            "container": CONTAINER,
        }
        if self._module.check_mode or (found is None and not self._pod):
            return {"changed": bool(found or self._pod), "pod": result}
        if found is not None:
            self._delete()
        if not self._pod:
            return {"changed": True, "pod": result}
        try:
            saw = self._run()
        except NodeError:
            # Whatever keeps it from being deleted, the first problem is the one to report; the pod ends by itself.
            if self.changed:
                with contextlib.suppress(NodeError):
                    self._wait()
                    self._delete()
            raise
        return {"changed": True, "pod": result, "environment": saw.environment, "device_nodes": list(saw.device_nodes)}

    def _run(self) -> Seen:
        self._refuse_others(self._cluster.create_pod(self._namespace, self._pod))
        self.changed = True
        while True:
            pod = self._cluster.pod(self._namespace, self._name)
            if pod is None:
                raise NodeError("it was deleted by somebody else", self._where, "run this again")
            why = failure(pod)
            if why:
                raise self._does_not_run(pod, why)
            if pod.get("status", {}).get("phase") == "Running":
                saw = seen(self._cluster.pod_log(self._namespace, self._name, CONTAINER))
                if saw is not None:
                    return saw
            if time.monotonic() >= self._deadline:
                raise self._does_not_run(pod, f"after {self._params['wait_timeout']:g} seconds, {delay(pod)}")
            time.sleep(LOOK_SECONDS)

    def _refuse_others(self, pod: Object) -> None:
        if not is_ours(pod):
            raise RefusedError("it is there, and none of this module's", self._where, "choose another name")

    def _wait(self) -> None:
        """From now on the time runs, for the pod and the API server."""
        seconds: float = self._params["wait_timeout"]
        self._cluster.be_patient(seconds)
        self._deadline = time.monotonic() + seconds

    def _does_not_run(self, pod: Object, why: str) -> NodeError:
        last = self._last_warning()
        more = f" ({last})" if last and last not in why else ""
        node, image = self._params["node"], self._params["image"]
        remedy = f"see the journals of kubelet and of the device plugin on {node}, and who else has the VFs"
        if has_no_image(pod):
            remedy = f"name an image that {node} can have in place of {image} by image, in the role qat_verify by qat_verify_image"
        return NodeError(f"it does not run: {why}{more}", where=self._where, remedy=remedy)

    def _last_warning(self) -> str:
        """Nice to have: the reason is known without it, and the right to list events may be missing."""
        try:
            events = self._cluster.pod_events(self._namespace, self._name)
        except NodeError:
            return ""
        warnings: list[Object] = [event for event in events if event.get("type") == "Warning"]
        return " ".join(str(warnings[-1].get("message", "")).split()) if warnings else ""

    def _delete(self) -> None:
        # Not 0: that takes the pod from the API at once, while its container still runs and has the VF.
        self._cluster.delete_pod(self._namespace, self._name, 1)
        self.changed = True
        while self._cluster.pod(self._namespace, self._name) is not None:
            if time.monotonic() >= self._deadline:
                raise NodeError(
                    f"it is deleted and still there after {self._params['wait_timeout']:g} seconds",
                    where=self._where,
                    remedy="see that kubelet runs on its node, or raise wait_timeout",
                )
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
