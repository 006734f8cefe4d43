#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Says what is lacking to speak to the Kubernetes API, all of it at once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_access
short_description: Report what is lacking to do something by the Kubernetes API (internal)
version_added: 0.1.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Looks whether the Python packages are there, whether the API server can be reached and knows the node, and whether these credentials
    have the rights that are named. Reports all that is lacking, one sentence each, and does not fail for it.
  - The rights are asked for by SelfSubjectAccessReviews, which every user of a cluster may make. Where the API server does not answer one,
    nothing is known of that right, and nothing is said to be lacking.
  - The roles run it before the first change of a node, so that nothing is begun that cannot be ended.
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
    support: full
options:
  node:
    description: The name of the Node object.
    type: str
    required: true
  packages:
    description: The Python packages that whoever comes later imports on this host.
    type: list
    elements: str
    choices: [kubernetes, jmespath]
    default: [kubernetes]
  rights:
    description: What these credentials should be allowed to do in the core API.
    type: list
    elements: dict
    default: []
    suboptions:
      verb:
        description: The verb, such as V(get).
        type: str
        required: true
      resource:
        description: The resource, such as V(nodes) or V(pods/eviction).
        type: str
        required: true
      namespace:
        description: The namespace; empty for all of them.
        type: str
        default: ''
seealso:
  - module: accel.qat.node_drain
  - module: accel.qat.cluster_node_info
"""

EXAMPLES = r"""
- name: See what is lacking to cordon the node
  accel.qat.cluster_access:
    node: "{{ inventory_hostname }}"
    rights:
      - {verb: get, resource: nodes}
      - {verb: patch, resource: nodes}
  delegate_to: localhost
  become: false
"""

RETURN = r"""
missing:
  description: What is lacking, one sentence each.
  returned: success
  type: list
  elements: str
  sample:
    - "/usr/bin/python3 on controller: the Python package jmespath is missing; install it there, as with /usr/bin/python3 -m pip install
      jmespath"
unknown:
  description: The rights of which the API server did not say whether these credentials have them.
  returned: success
  type: list
  elements: str
  sample: []
ours:
  description: Whether the node is cordoned by M(accel.qat.node_drain), as by a run that failed.
  returned: success
  type: bool
  sample: false
"""

import importlib
import platform
import sys
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.accel.qat.plugins.module_utils._cluster.access import (
    Right,
    allowed,
    lacking,
    package_is_missing,
    parse_rights,
    review,
)
from ansible_collections.accel.qat.plugins.module_utils._cluster.api import (
    ACCESS,
    HAS_KUBERNETES,
    Cluster,
    ClusterError,
)
from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import is_ours
from ansible_collections.accel.qat.plugins.module_utils._cluster.module import ClusterModule
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError

OPTIONS: dict[str, dict[str, t.Any]] = {
    "node": {"type": "str", "required": True},
    "packages": {"type": "list", "elements": "str", "choices": ["kubernetes", "jmespath"], "default": ["kubernetes"]},
    "rights": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "verb": {"type": "str", "required": True},
            "resource": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": ""},
        },
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={**OPTIONS, **ACCESS}, supports_check_mode=True)
    ClusterAccess(module).run()


class ClusterAccess(ClusterModule):
    """It changes nothing."""

    def result(self) -> dict[str, object]:
        """Look at everything, and collect what is lacking."""
        self._missing: list[NodeError] = [
            package_is_missing(name, sys.executable, platform.node())
            for name in self._params["packages"]
            if not _is_there(name)
        ]
        self._unknown: list[Right] = []
        self._ours = False
        rights = parse_rights(self._params["rights"])
        if HAS_KUBERNETES:
            self._ask(rights)
        return {
            "changed": False,
            "missing": [error.sentence() for error in self._missing],
            "unknown": [str(right) for right in self._unknown],
            "ours": self._ours,
        }

    def _ask(self, rights: t.Sequence[Right]) -> None:
        try:
            cluster = Cluster(self._module)
        except NodeError as error:
            self._missing.append(error)
            return
        try:
            self._ours = is_ours(cluster.node(self._params["node"]))
        except ClusterError as error:
            # That these credentials may not get nodes is said with the other rights.
            if error.status != 403 or Right("get", "nodes") not in rights:
                self._missing.append(error)
            if error.status not in (403, 404):
                return
        self._missing += self._refused(cluster, rights)

    def _refused(self, cluster: Cluster, rights: t.Sequence[Right]) -> t.Iterator[NodeError]:
        refused = []
        for right in rights:
            answer = self._may(cluster, right)
            if answer is None:
                self._unknown.append(right)
            elif not answer:
                refused.append(right)
        if refused:
            yield lacking(refused, str(cluster.core.api_client.configuration.host))

    def _may(self, cluster: Cluster, right: Right) -> bool | None:
        try:
            return allowed(cluster.review_access(review(right)))
        except ClusterError:
            return None


def _is_there(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
