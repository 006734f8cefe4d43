# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server of `api_server` with namespaces, DaemonSets, and the controller that makes their pods.

Sources: k8s.io/kubernetes pkg/controller/daemon/daemon_controller.go, update.go, pkg/registry/apps/daemonset/strategy.go.
"""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.accel.qat.tests.unit.cluster.api_server import FakeCluster, JsonObject, Refusal

if t.TYPE_CHECKING:
    from email.message import Message

Key = t.Tuple[str, str]  # noqa: UP006


class DaemonsetCluster(FakeCluster):
    """`comes_up` says whether new pods get ready, and `container` what the status of their container is where they do not.

    `others` are more nodes with the label of a DaemonSet, by their names. While `later` is above zero, each look at a DaemonSet shows one
    more node that has its present template, and with the last of these pods get ready. With `is_short` a list of nodes
    ends before the first.
    """

    def __init__(self) -> None:
        self.namespaces: dict[str, JsonObject] = {"default": _object("default")}
        self.daemonsets: dict[Key, JsonObject] = {}
        self.others: list[str] = []
        self.comes_up = True
        self.later = 0
        self.is_short = False
        self._updated = 0
        self.container: JsonObject = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
        self._made = 0
        super().__init__()

    def labels(self) -> dict[str, str]:
        """Those of the node."""
        with self._lock:
            return dict(self._node["metadata"]["labels"])

    def add_daemonset(self, namespace: str, name: str, labels: JsonObject, specification: JsonObject) -> None:
        """One that somebody else has made."""
        with self._lock:
            self.namespaces.setdefault(namespace, _object(namespace))
            self.daemonsets[namespace, name] = {**_object(name, labels), "spec": specification, "status": {}}

    def _route(
        self, method: str, parts: list[str], headers: Message, query: dict[str, str], body: t.Any
    ) -> JsonObject | str:
        if parts == ["api", "v1", "nodes"] and method == "GET":
            key, _equals, value = query["labelSelector"].partition("=")
            names = [self.name] if self._node["metadata"]["labels"].get(key) == value else []
            field, _unequal, but = query["fieldSelector"].partition("!=")
            assert field == "metadata.name"
            found = [{"metadata": {"name": name}} for name in names + self.others if name != but]
            page = [] if self.is_short else found[: int(query["limit"])]
            return {"kind": "NodeList", "items": page, "metadata": {"continue": "x"} if len(found) > len(page) else {}}
        if parts[:3] == ["api", "v1", "namespaces"] and len(parts) < 5:
            return self._namespace(method, parts[3:], body)
        if parts[:4] == ["apis", "apps", "v1", "namespaces"] and parts[5] == "daemonsets":
            return self._daemonset(method, parts[4], parts[6:], query, body)
        return super()._route(method, parts, headers, query, body)

    def _namespace(self, method: str, rest: list[str], body: t.Any) -> JsonObject:
        if method == "POST":
            name = body["metadata"]["name"]
            if name in self.namespaces:
                raise Refusal(409, "AlreadyExists", f'namespaces "{name}" already exists')
            self.namespaces[name] = _object(name, body["metadata"]["labels"])
            return self.namespaces[name]
        if rest[0] not in self.namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{rest[0]}" not found')
        return self.namespaces[rest[0]]

    def _daemonset(
        self, method: str, namespace: str, rest: list[str], query: dict[str, str], body: t.Any
    ) -> JsonObject:
        if namespace not in self.namespaces:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        name = rest[0] if rest else body["metadata"]["name"]
        key = (namespace, name)
        found = self.daemonsets.get(key)
        if method == "POST":
            if found:
                raise Refusal(409, "AlreadyExists", f'daemonsets.apps "{name}" already exists')
            self.daemonsets[key] = _complete(body, 1)
            return self.daemonsets[key]
        if found is None:
            raise Refusal(404, "NotFound", f'daemonsets.apps "{name}" not found')
        if method == "PUT":
            made = _complete(body, found["metadata"].get("generation", 1))
            if made["spec"] != found["spec"]:
                made["metadata"]["generation"] += 1
            if query.get("dryRun") != "All":
                self.daemonsets[key] = made
            return made
        if method == "DELETE":
            del self.daemonsets[key]
        if method == "GET" and self.later:
            self.later -= 1
            self._updated += 1
            self.comes_up = not self.later
            self._see_to_pods()
        return found

    def _see_to_pods(self) -> None:
        """As the controller: the pod of the present template, beside the one before until it is ready."""
        super()._see_to_pods()
        for (namespace, name), daemonset in self.daemonsets.items():
            daemonset["status"] = {
                "observedGeneration": daemonset["metadata"].get("generation", 0),
                "desiredNumberScheduled": 1 + len(self.others),
                "updatedNumberScheduled": self._updated,
            }
            self._see_to_daemonset(namespace, name, daemonset)
        for (namespace, name), pod in list(self.pods.items()):
            (owner,) = pod["metadata"]["ownerReferences"] or [{}]
            if owner.get("name") != "o" and (namespace, owner.get("name")) not in self.daemonsets:
                self._delete((namespace, name))

    def _see_to_daemonset(self, namespace: str, name: str, daemonset: JsonObject) -> None:
        template = daemonset["spec"]["template"]["spec"]
        labels = self._node["metadata"]["labels"]
        runs = template.get("nodeSelector", {}).items() <= labels.items()
        ours = {key: pod for key, pod in self.pods.items() if pod["metadata"]["ownerReferences"][0]["name"] == name}
        current = [key for key, pod in ours.items() if pod["spec"]["containers"] == template["containers"]]
        if runs and not current:
            self._made += 1
            self.add_pod(f"{namespace}/{name}-{self._made}", "DaemonSet")
            pod = self.pods[namespace, f"{name}-{self._made}"]
            pod["metadata"]["ownerReferences"][0]["name"] = name
            pod["spec"]["containers"] = copy.deepcopy(template["containers"])
            pod["status"] = {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "False", "message": "not yet"}],
            }
        elif current and self.comes_up:
            self.pods[current[0]]["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
            for key in ours.keys() - {current[0]}:
                self._delete(key)
        elif current:
            self.pods[current[0]]["status"]["containerStatuses"] = [self.container]
        if not runs:
            for key in ours:
                self._delete(key)


def _object(name: str, labels: JsonObject | None = None) -> JsonObject:
    return {"metadata": {"name": name, "labels": dict(labels or {}), "annotations": {}}}


def _complete(body: JsonObject, generation: int) -> JsonObject:
    """With what the API server adds."""
    made = copy.deepcopy(body)
    made["metadata"]["generation"] = generation
    made["metadata"]["uid"] = "u"
    made["spec"].setdefault("revisionHistoryLimit", 10)
    for container in made["spec"]["template"]["spec"]["containers"]:
        container.setdefault("terminationMessagePath", "/dev/termination-log")
    made.setdefault("status", {})
    return made
