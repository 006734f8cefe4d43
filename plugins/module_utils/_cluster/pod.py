# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The test pod: what it is, and what its state and its words mean. Decisions only."""

from __future__ import annotations

import typing as t

from .._node.errors import ConfigurationError
from .objects import Object
from .quantity import check_name

CONTAINER = "test"
LABEL = "accel.qat/test-pod"
_MINUTES = 15
"""A pod that was forgotten ends by itself after that."""

# Needs a shell, and tr, grep and sleep. Shells drop variables whose names have a dash, so they are read where the kernel keeps them.
SCRIPT = """
echo '-- environment'
tr '\\0' '\\n' < /proc/1/environ | grep -E '^(QAT[0-9]+|PCIDEVICE_|PCI_RESOURCE_)'
echo '-- device nodes'
for node in /dev/vfio/*; do [ -c "$node" ] && [ -r "$node" ] && [ -w "$node" ] && echo "$node"; done
echo '-- end'
exec sleep 3600
"""

_NO_IMAGE = frozenset({"ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName"})
_HOPELESS = _NO_IMAGE | {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
"""Reasons of a waiting container that no waiting changes."""

_ABOUT_ITS_IMAGE = _NO_IMAGE | {"ErrImagePull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}
"""Those of one that has no image, or none so far."""


class Seen(t.NamedTuple):
    """What the container saw."""

    environment: dict[str, str]
    device_nodes: tuple[str, ...]


def manifest(params: Object) -> dict[str, t.Any]:
    """The pod that the module's arguments describe; raises ConfigurationError."""
    for index, name in enumerate(params["resources"]):
        check_name(name, f"resources[{index}]")
        if name in params["resources"][:index]:
            raise ConfigurationError(
                f"{name} is there twice", where=f"resources[{index}]", remedy="remove one of the two"
            )
    if not params["image"]:
        raise ConfigurationError("the key is missing", where="image", remedy="name an image that has a shell")
    container: dict[str, t.Any] = {
        "name": CONTAINER,
        "image": params["image"],
        "imagePullPolicy": params["image_pull_policy"],
        "command": ["/bin/sh", "-c", SCRIPT],
        "resources": {"limits": dict.fromkeys(params["resources"], "1")},
        # Device nodes belong to root, so whatever user the image has would see less. To look at them root needs nothing more.
        "securityContext": {
            "runAsUser": 0,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    # By the scheduler, which should find that the node has them, but to this node alone.
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [params["node"]]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    spec: dict[str, t.Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "activeDeadlineSeconds": _MINUTES * 60,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "affinity": {"nodeAffinity": required},
        # A node is verified before it is given back to others.
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
    }
    if params["image_pull_secrets"]:
        spec["imagePullSecrets"] = [{"name": name} for name in params["image_pull_secrets"]]
    if params["runtime_class"]:
        spec["runtimeClassName"] = params["runtime_class"]
    metadata = {"name": params["name"], "namespace": params["namespace"], "labels": {LABEL: "true"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def is_ours(pod: Object) -> bool:
    """Whether the pod is one that the module made."""
    return LABEL in (pod["metadata"].get("labels") or {})


def seen(log: str) -> Seen | None:
    """What the container has printed; None while it has not printed all."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in log.splitlines():
        if line.startswith("-- "):
            lines = sections.setdefault(line[3:].strip(), [])
        elif line.strip():
            lines.append(line.strip())
    if "end" not in sections:
        return None
    pairs = (line.partition("=") for line in sections.get("environment", ()))
    return Seen({name: value for name, _equals, value in pairs}, tuple(sorted(sections.get("device nodes", ()))))


def failure(pod: Object) -> str:
    """Why the pod will never run, or no longer; empty while there is hope."""
    status = pod.get("status", {})
    if status.get("phase") in ("Failed", "Succeeded"):
        return _reason(status) or _terminated(status) or f"it is {status['phase']}"
    for state in _states(status):
        waiting = state.get("waiting") or {}
        if waiting.get("reason") in _HOPELESS:
            return _reason(waiting)
    return ""


def has_no_image(pod: Object) -> bool:
    """Whether it is its image that a container waits for."""
    reasons = ((state.get("waiting") or {}).get("reason") for state in _states(pod.get("status", {})))
    return any(reason in _ABOUT_ITS_IMAGE for reason in reasons)


def delay(pod: Object) -> str:
    """What the pod waits for, in the words of the API."""
    status = pod.get("status", {})
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _reason(condition)
    for state in _states(status):
        if state.get("waiting"):
            return _reason(state["waiting"])
    return f"it is {status.get('phase', 'not seen by anybody')}"


def _states(status: Object) -> list[Object]:
    return [one.get("state") or {} for one in status.get("containerStatuses") or ()]


def _terminated(status: Object) -> str:
    ended = [state["terminated"] for state in _states(status) if state.get("terminated")]
    return " ".join(f"{_reason(one)}, exit code {one.get('exitCode')}" for one in ended)


def _reason(of: Object) -> str:
    parts = (str(of.get(name) or "") for name in ("reason", "message"))
    return " ".join(": ".join(part for part in parts if part).split())
