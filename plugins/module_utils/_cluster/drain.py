# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Draining a node: which pods have to go, which must not, and whose cordon it is. Decisions only.

As `kubectl drain` sees it (k8s.io/kubectl pkg/drain/filters.go), but that a pod's emptyDir is no reason to leave it.
"""

from __future__ import annotations

import re
import typing as t

from .._node.errors import ConfigurationError, RefusedError
from .objects import FIELD_MANAGER, Object, writers

OURS = "accel.qat/cordoned"
"""The annotation of a node that was cordoned by us, and that we may give back."""

_MIRROR = "kubernetes.io/config.mirror"
"""Kubelet's mark on the API's image of a static pod (k8s.io/api core/v1 MirrorPodAnnotationKey)."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class Pod(t.NamedTuple):
    """One pod. Another of the same name has another `uid`."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Leaving(t.NamedTuple):
    """The pods that have to go: those to evict, and those that are on their way already."""

    to_evict: tuple[Pod, ...]
    going: tuple[Pod, ...]


def parse_names(entries: t.Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Namespace and name of each `namespace/name`; raises ConfigurationError."""
    found: dict[tuple[str, str], None] = {}
    for index, entry in enumerate(entries):
        namespace, _slash, name = entry.partition("/")
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
            raise ConfigurationError(
                f"{entry!r} does not name a pod", where=f"pods[{index}]", remedy="write namespace/name"
            )
        found[namespace, name] = None
    return tuple(found)


def leaving(pods: t.Iterable[Object], node: str, named: bool, force: bool) -> Leaving:
    """Which of the pods have to leave the node; raises RefusedError where one would not, or would be lost.

    `named` says that these very pods are meant: then a finished one goes, too, and one that cannot be evicted is an error instead of
    being left alone. A pod of the same name on another node is as good as gone.
    """
    here = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") == node]
    staying = {
        "DaemonSet": [pod for pod in here if _of_daemon_set(pod)],
        "static": [pod for pod in here if _static(pod)],
    }
    if named:
        _refuse_staying(node, staying)
    candidates = [pod for pod in here if not (_of_daemon_set(pod) or _static(pod)) and (named or not _finished(pod))]
    going = [pod for pod in candidates if pod["metadata"].get("deletionTimestamp")]
    rest = [pod for pod in candidates if not pod["metadata"].get("deletionTimestamp")]
    bare = [pod for pod in rest if not _controller(pod) and not _finished(pod)]
    if bare and not force:
        raise RefusedError(
            f"{_listed(bare)} without a controller would not be started again elsewhere",
            where=f"node {node}",
            remedy="delete what is no longer needed, or set force to evict all the same",
        )
    return Leaving(_sorted(rest), _sorted(going))


def _refuse_staying(node: str, staying: t.Mapping[str, t.Sequence[Object]]) -> None:
    if staying["DaemonSet"]:
        raise RefusedError(
            f"{_listed(staying['DaemonSet'])} of a DaemonSet would be started here again at once",
            where=f"node {node}",
            remedy="keep the DaemonSet away from the node first, by its nodeSelector or affinity",
        )
    if staying["static"]:
        raise RefusedError(
            f"{_listed(staying['static'])} from a manifest on the node cannot be evicted",
            where=f"node {node}",
            remedy="take the manifest out of kubelet's directory of static pods first",
        )


def _listed(pods: t.Sequence[Object]) -> str:
    names = [str(pod_of(pod)) for pod in pods]
    return f"{'pod' if len(names) == 1 else 'pods'} {', '.join(sorted(names))}"


def _sorted(pods: t.Iterable[Object]) -> tuple[Pod, ...]:
    return tuple(sorted(map(pod_of, pods)))


def pod_of(pod: Object) -> Pod:
    """Which pod an object of the API is."""
    metadata = pod["metadata"]
    return Pod(str(metadata["namespace"]), str(metadata["name"]), str(metadata.get("uid", "")))


def _controller(pod: Object) -> str:
    """The kind of what would start it again; empty where nothing does."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner.get("kind")) for owner in owners if owner.get("controller")), "")


def _of_daemon_set(pod: Object) -> bool:
    return _controller(pod) == "DaemonSet"


def _static(pod: Object) -> bool:
    return _MIRROR in (pod["metadata"].get("annotations") or {})


def _finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_cordoned(node: Object) -> bool:
    """Whether the scheduler leaves the node alone."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def is_ours(node: Object) -> bool:
    """Whether the node says that we have cordoned it, and nobody else has since somebody took that cordon back.

    Who does that by other means leaves the annotation. API servers before 1.18 do not record who wrote what: there the annotation decides.
    """
    if OURS not in (node["metadata"].get("annotations") or {}):
        return False
    by = writers(node, "f:spec", "f:unschedulable")
    return not is_cordoned(node) or not by or FIELD_MANAGER in by


def is_cordoned_by_us(node: Object) -> bool:
    """Whether it is cordoned, and that cordon is ours."""
    return is_cordoned(node) and is_ours(node)


def cordon_patch() -> Object:
    """The merge patch that cordons a node, and says that it was us."""
    return {"metadata": {"annotations": {OURS: "true"}}, "spec": {"unschedulable": True}}


def uncordon_patch() -> Object:
    """The merge patch that takes both back."""
    return {"metadata": {"annotations": {OURS: None}}, "spec": {"unschedulable": None}}


def difference(before: bool, after: bool, evicted: t.Sequence[str]) -> dict[str, object]:
    """What diff mode shows: whether the node is cordoned, and the pods that go."""
    return {
        "before": {"unschedulable": before, "pods": list(evicted)},
        "after": {"unschedulable": after, "pods": []},
    }


# What of a node's devices matters.


def forced_rules(rules: t.Sequence[Object]) -> list[dict[str, t.Any]]:
    """The rules as they would be for a node without users, but that those which skip a VF in use still do."""
    return [{**rule, "when_in_use": "skip" if rule.get("when_in_use") == "skip" else "force"} for rule in rules]


def pods_with_vfs(node: Object, vfs: t.Collection[str] | None = None) -> list[str]:
    """The pods, as `namespace/name`, that have these VFs, or any, of a node as `qat_info` returns it.

    One of which only the uid is known has no name, and stays out.
    """
    found = [vf for device in node.get("devices") or () for vf in device["vfs"]]
    holders = [holder for vf in found if vfs is None or vf["address"] in vfs for holder in vf["held_by"]]
    return sorted({str(holder["pod"]) for holder in holders if "/" in (holder["pod"] or "")})
