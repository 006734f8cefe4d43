# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether credentials may do what a run will want of them: what to ask the API server, and what its answer means. Decisions only."""

from __future__ import annotations

import re
import typing as t

from .._node.errors import ConfigurationError, NodeError
from .objects import Object

_RESOURCE = re.compile(r"[a-z]+([.][a-z0-9.-]+)?(/[a-z]+)?")
_VERB = re.compile(r"[a-z]+")


class Right(t.NamedTuple):
    """A verb on a resource, such as `pods/eviction` or `daemonsets.apps`; in every namespace where none is named."""

    verb: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" in namespace {self.namespace}" if self.namespace else "")


def parse_rights(entries: t.Sequence[Object]) -> tuple[Right, ...]:
    """The rights that the module's arguments name; raises ConfigurationError."""
    found = []
    for index, entry in enumerate(entries):
        for key, pattern in (("verb", _VERB), ("resource", _RESOURCE)):
            if not pattern.fullmatch(entry[key]):
                raise ConfigurationError(
                    f"{entry[key]!r} is no {key}",
                    where=f"rights[{index}]",
                    remedy="write it as a role of Kubernetes does",
                )
        found.append(Right(entry["verb"], entry["resource"], entry["namespace"]))
    return tuple(found)


def review(right: Right) -> Object:
    """The SelfSubjectAccessReview that asks for it."""
    named, _slash, subresource = right.resource.partition("/")
    resource, _dot, group = named.partition(".")
    attributes = {
        "verb": right.verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }


def allowed(answer: Object) -> bool | None:
    """What the API server says of it; None where it does not know, as when one of those that it asks did not answer."""
    status = answer.get("status")
    if not isinstance(status, dict) or not isinstance(status.get("allowed"), bool):
        return None
    if not status["allowed"] and status.get("evaluationError") and not status.get("denied"):
        return None
    return bool(status["allowed"])


def lacking(rights: t.Sequence[Right], host: str) -> NodeError:
    """What to say of rights that these credentials do not have."""
    return NodeError(
        f"these credentials may not {', '.join(map(str, rights))}",
        where=f"the API server {host}",
        remedy="give them these rights, see docs/drain.md, docs/verify.md and docs/daemonset.md",
    )


def package_is_missing(name: str, python: str, host: str) -> NodeError:
    """What to say of a Python package that cannot be imported."""
    return NodeError(
        f"the Python package {name} is missing",
        where=f"{python} on {host}",
        remedy=f"install it there, as with {python} -m pip install {name}",
    )
