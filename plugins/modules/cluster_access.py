#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Says what is lacking to speak to the Kubernetes API, all of it at once."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_access
short_description: Report what is lacking to do something by the Kubernetes API (internal)
version_added: 1.0.0
author:
  - accel.qat contributors (@accel-qat)
description:
  - Looks whether the Python packages are there, whether the API server can be reached and knows the node, and whether these credentials
    have the rights that are named. Reports all that is lacking, one sentence each, and does not fail for it.
  - The rights are asked for by SelfSubjectAccessReviews, which every user of a cluster may make. Where the API server does not answer one,
    nothing is known of that right, and nothing is said to be lacking.
  - The playbooks run it before the first change of a node, so that nothing is begun that cannot be ended. Each role that speaks to the
    API server has its own question, and what two of them ask is asked once.
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
  questions:
    description: What somebody is to do by the API, each with what it takes.
    type: list
    elements: dict
    required: true
    suboptions:
      purpose:
        description: What it is for. The answer has it too.
        type: str
        required: true
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
        description: What these credentials should be allowed to do.
        type: list
        elements: dict
        default: []
        suboptions:
          verb:
            description: The verb, such as V(get).
            type: str
            required: true
          resource:
            description: The resource, such as V(nodes), V(pods/eviction) or V(daemonsets.apps).
            type: str
            required: true
          namespace:
            description: The namespace; empty for all of them.
            type: str
            default: ''
  wait_timeout:
    description:
      - For how many seconds the API server may be away, as right after another node of the control plane was rebooted.
      - An address at which nobody answers from the beginning is reported at once.
    type: float
    default: 30
seealso:
  - module: accel.qat.node_drain
  - module: accel.qat.cluster_node_info
"""

EXAMPLES = r"""
- name: See what is lacking to cordon the node
  accel.qat.cluster_access:
    questions:
      - purpose: cordon
        node: "{{ inventory_hostname }}"
        rights:
          - {verb: get, resource: nodes}
          - {verb: patch, resource: nodes}
  delegate_to: localhost
  become: false
"""

RETURN = r"""
answers:
  description: One for each question, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    purpose:
      description: That of the question.
      type: str
      sample: cordon
    missing:
      description: What is lacking, one sentence each.
      type: list
      elements: str
      sample:
        - "/usr/bin/python3 on controller: the Python package jmespath is missing; install it there, as with /usr/bin/python3 -m pip install
          jmespath"
    unknown:
      description: The rights of which the API server did not say whether these credentials have them.
      type: list
      elements: str
      sample: []
    ours:
      description: Whether the node is cordoned by M(accel.qat.node_drain), as by a run that failed.
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
from ansible_collections.accel.qat.plugins.module_utils._cluster.api import Cluster, ClusterError, cluster_of
from ansible_collections.accel.qat.plugins.module_utils._cluster.client import ACCESS, HAS_KUBERNETES
from ansible_collections.accel.qat.plugins.module_utils._cluster.drain import is_cordoned_by_us
from ansible_collections.accel.qat.plugins.module_utils._cluster.module import ClusterModule
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError

RIGHT: dict[str, dict[str, t.Any]] = {
    "verb": {"type": "str", "required": True},
    "resource": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": ""},
}
QUESTION: dict[str, dict[str, t.Any]] = {
    "purpose": {"type": "str", "required": True},
    "node": {"type": "str", "required": True},
    "packages": {"type": "list", "elements": "str", "choices": ["kubernetes", "jmespath"], "default": ["kubernetes"]},
    "rights": {"type": "list", "elements": "dict", "default": [], "options": RIGHT},
}
OPTIONS: dict[str, dict[str, t.Any]] = {
    "questions": {"type": "list", "elements": "dict", "required": True, "options": QUESTION},
    "wait_timeout": {"type": "float", "default": 30.0},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={**OPTIONS, **ACCESS}, supports_check_mode=True)
    ClusterAccess(module).run()


class ClusterAccess(ClusterModule):
    """It changes nothing."""

    def result(self) -> dict[str, object]:
        """Answer every question. Raises ConfigurationError."""
        questions = [(question, parse_rights(question["rights"])) for question in self._params["questions"]]
        server = _Server(self._module) if HAS_KUBERNETES else None
        return {"changed": False, "answers": [_answer(server, *question) for question in questions]}


def _answer(server: _Server | None, question: dict[str, t.Any], rights: t.Sequence[Right]) -> dict[str, object]:
    missing = [
        package_is_missing(name, sys.executable, platform.node())
        for name in question["packages"]
        if not _is_there(name)
    ]
    said = Said() if server is None else server.said(question["node"], rights)
    return {
        "purpose": question["purpose"],
        "missing": [error.sentence() for error in (*missing, *said.missing)],
        "unknown": [str(right) for right in said.unknown],
        "ours": said.ours,
    }


class Said(t.NamedTuple):
    """What the API server says to one question."""

    missing: tuple[NodeError, ...] = ()
    unknown: tuple[Right, ...] = ()
    ours: bool = False


class _Server:
    """The API server, which is asked the same thing once."""

    def __init__(self, module: AnsibleModule) -> None:
        self._cluster: Cluster | NodeError
        try:
            self._cluster = cluster_of(module)
            self._cluster.be_patient(module.params["wait_timeout"])
        except NodeError as error:
            self._cluster = error
        self._nodes: dict[str, bool | ClusterError] = {}
        self._rights: dict[Right, bool | None] = {}

    def said(self, node: str, rights: t.Sequence[Right]) -> Said:
        """What it says of a node, and of rights."""
        if isinstance(self._cluster, NodeError):
            return Said(missing=(self._cluster,))
        found = self._is_ours(self._cluster, node)
        if not isinstance(found, ClusterError):
            return self._of_rights(self._cluster, rights)._replace(ours=found)
        # That these credentials may not get nodes is said with the other rights.
        missing = () if found.status == 403 and Right("get", "nodes") in rights else (found,)
        if found.status not in (403, 404):
            return Said(missing)
        of_rights = self._of_rights(self._cluster, rights)
        return of_rights._replace(missing=missing + of_rights.missing)

    def _is_ours(self, cluster: Cluster, node: str) -> bool | ClusterError:
        if node not in self._nodes:
            try:
                self._nodes[node] = is_cordoned_by_us(cluster.node(node))
            except ClusterError as error:
                self._nodes[node] = error
        return self._nodes[node]

    def _of_rights(self, cluster: Cluster, rights: t.Sequence[Right]) -> Said:
        answers = {right: self._may(cluster, right) for right in rights}
        refused = [right for right, answer in answers.items() if answer is False]
        host = str(cluster.core.api_client.configuration.host)
        return Said(
            missing=(lacking(refused, host),) if refused else (),
            unknown=tuple(right for right, answer in answers.items() if answer is None),
        )

    def _may(self, cluster: Cluster, right: Right) -> bool | None:
        if right not in self._rights:
            try:
                self._rights[right] = allowed(cluster.review_access(review(right)))
            except ClusterError:
                self._rights[right] = None
        return self._rights[right]


def _is_there(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
