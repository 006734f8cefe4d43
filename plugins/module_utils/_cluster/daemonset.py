# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A DaemonSet that runs on the nodes that have a label: what to write, and whether its pod on a node is ready. Decisions only."""

from __future__ import annotations

import typing as t

from .._node.errors import RefusedError
from .objects import Object

OWNER_LABEL, OWNER = "app.kubernetes.io/managed-by", "accel.qat"
"""What we have made has this label. What others have made is left alone."""

POD_SECURITY = "pod-security.kubernetes.io/enforce"
"""A namespace without it may have a level by default that lets no pod mount directories of the host."""

GENERATION_LABEL, GENERATION_ANNOTATION = "pod-template-generation", "deprecated.daemonset.template.generation"
"""Of a pod, and of its DaemonSet: which template it is. A webhook may give the pod another image or environment.
Source: k8s.io/kubernetes pkg/controller/daemon/util/daemonset_util.go, IsPodUpdated.
"""


def namespace(name: str) -> Object:
    """The namespace as it is made."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {OWNER_LABEL: OWNER, POD_SECURITY: "privileged"}},
    }


def is_ours(found: Object) -> bool:
    """Whether we have made it."""
    return bool(labels_of(found).get(OWNER_LABEL) == OWNER)


def labels_of(found: Object) -> Object:
    """Its labels, none where it has none."""
    return t.cast("Object", (found.get("metadata") or {}).get("labels") or {})


def refuse_others(found: Object, where: str) -> None:
    """Raises RefusedError where somebody else has made the DaemonSet."""
    if not is_ours(found):
        by = labels_of(found).get(OWNER_LABEL)
        raise RefusedError(
            f"somebody else has made this DaemonSet{f', {by}' if by else ''}",
            where=where,
            remedy="remove it, or leave it to that and set qat_device_plugin_deploy to none",
        )


def wanted(definition: Object, name: str, namespace: str, selector: Object, found: Object | None) -> Object:
    """The DaemonSet as it is written. Labels and annotations that others have given it stay."""
    before = (found or {}).get("metadata") or {}
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {**(before.get("labels") or {}), **labels_of(definition), OWNER_LABEL: OWNER},
        "annotations": dict(before.get("annotations") or {}),
    }
    template = definition["spec"]["template"]
    pod = {**template["spec"], "nodeSelector": dict(selector)}
    specification = {**definition["spec"], "template": {**template, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": specification}


def differs(before: Object, after: Object) -> bool:
    """Whether the API server would change it, by its answer to a trial."""
    return bool(before["spec"] != after["spec"] or labels_of(before) != labels_of(after))


def pods_of(pods: t.Iterable[Object], name: str, namespace: str) -> list[Object]:
    """Those of a DaemonSet."""

    def is_owner(owner: Object) -> bool:
        return owner.get("kind") == "DaemonSet" and owner.get("name") == name

    there = (pod for pod in pods if pod["metadata"].get("namespace") == namespace)
    return [pod for pod in there if any(map(is_owner, pod["metadata"].get("ownerReferences") or ()))]


def why_not_ready(daemonset: Object, pods: t.Sequence[Object]) -> str:
    """What the DaemonSet lacks on the node of its pods there; empty where that of the present template is ready, alone."""
    if (daemonset.get("status") or {}).get("observedGeneration", 0) < daemonset["metadata"].get("generation", 0):
        return "the controller has not seen it yet"
    if not pods:
        return "it has no pod there"
    current = [pod for pod in pods if _is_current(pod, daemonset)]
    if not current:
        return "its pod there is of the former template"
    if len(pods) > 1:
        return "the pod before is still there" if any(map(_is_ready, current)) else _why(current[0])
    return "" if _is_ready(current[0]) else _why(current[0])


def progress(daemonset: Object) -> tuple[int, int, int, int]:
    """How far the controller has come.

    The generation that it has seen, then how many nodes have a pod of the present template, one that is available, and are to have one.
    """
    status = daemonset.get("status") or {}
    keys = ("observedGeneration", "updatedNumberScheduled", "numberAvailable", "desiredNumberScheduled")
    seen, updated, available, desired = (int(status.get(key) or 0) for key in keys)
    return seen, updated, available, desired


def _is_current(pod: Object, daemonset: Object) -> bool:
    """Whether a pod that is not about to go is of the present template."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    of_pod = labels_of(pod).get(GENERATION_LABEL)
    wanted_one = (daemonset["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION)
    # A template that comes back has another generation, and its pods stay.
    return bool(of_pod and of_pod == wanted_one) or _has_program_of(pod, daemonset)


def _has_program_of(pod: Object, daemonset: Object) -> bool:
    """By what says which program runs, with which settings; both as the API server has completed them."""
    (wanted_one, *_rest) = daemonset["spec"]["template"]["spec"]["containers"]
    (found, *_rest) = pod["spec"]["containers"]
    return all(found.get(key) == wanted_one.get(key) for key in ("image", "env"))


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _why(pod: Object) -> str:
    """Why a pod is not ready, with the last words of its container."""
    status = pod.get("status") or {}
    where = f"pod {pod['metadata'].get('name')} is not ready"
    for container in status.get("containerStatuses") or ():
        ended = (container.get("lastState") or {}).get("terminated") or {}
        waiting = (container.get("state") or {}).get("waiting") or {}
        words = ended.get("message") or waiting.get("message") or waiting.get("reason")
        if words:
            return f"{where}: {' '.join(str(words).split())[:400]}"
    unmet = [one.get("message") for one in status.get("conditions") or () if one.get("status") != "True"]
    words = next(filter(None, unmet), status.get("message") or status.get("phase") or "")
    return f"{where}: {words}" if words else where
