# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server in the place of the fake one, with a kubelet that is played over HTTP.

    ACCEL_QAT_API_SERVER=https://127.0.0.1:6443 ACCEL_QAT_API_TOKEN=... pytest tests/unit/cluster/test_extended_resource.py \
        tests/unit/cluster/test_node_drain.py

The tests that break the server itself run on the fake one in any case.
"""

from __future__ import annotations

import json
import ssl
import threading
import typing as t
import urllib.error
import urllib.request
import uuid

JsonObject = t.Dict[str, t.Any]  # noqa: UP006


class RealCluster:
    """What FakeCluster offers to tests, for a Node that is made for one test."""

    def __init__(self, url: str, token: str, name: str = "node1", sync_seconds: float | None = 0.2) -> None:
        self.url = url
        self.name = name
        self.sync_seconds = sync_seconds
        self.plugins: dict[str, int] = {}
        self._token = token
        self._context = ssl._create_unverified_context()  # its certificate is its own
        self._lock = threading.RLock()
        self._budgets: list[str] = []
        self._delete()
        labels = {"kubernetes.io/hostname": name}
        self._ask("POST", "/api/v1/nodes", {"kind": "Node", "metadata": {"name": name, "labels": labels}}, "kubelet")
        self.set_ready(True)
        self._write("kubelet", {"capacity": {"cpu": "8"}})
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._be_kubelet)
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()
        for budget in self._budgets:
            self._ask("DELETE", budget)
        self._see_to_pods(all_of_them=True)
        self._delete()

    def set_ready(self, ready: bool, message: str = "") -> None:
        now = "2026-01-01T00:00:00Z"
        conditions = [
            {"type": "MemoryPressure", "status": "False", "lastHeartbeatTime": now},
            {"type": "Ready", "status": "True" if ready else "Unknown", "message": message, "lastHeartbeatTime": now},
        ]
        self._write("kubelet", {"conditions": conditions})

    def remove_status(self) -> None:
        patch = [{"op": "remove", "path": f"/status/{name}"} for name in ("capacity", "allocatable")]
        status = self._node()["status"]
        present = [one for one in patch if one["path"].rpartition("/")[2] in status]
        self._ask("PATCH", self._path + "/status", present, "test", "application/json-patch+json")

    def forget_resources(self) -> None:
        self._write("kubelet", {"capacity": dict.fromkeys(self.capacity(), "0")})

    def give(self, name: str, quantity: int) -> None:
        self._write("kubectl-patch", {"capacity": {name: str(quantity)}})

    def capacity(self) -> dict[str, str]:
        return self._extended("capacity")

    def allocatable(self) -> dict[str, str]:
        return self._extended("allocatable")

    def cordon(self) -> None:
        self._ask("PATCH", self._path, {"spec": {"unschedulable": True}}, "test", "application/merge-patch+json")

    def cordoned(self) -> tuple[bool, list[str]]:
        node = self._node()
        annotations = node["metadata"].get("annotations") or {}
        return bool(node["spec"].get("unschedulable")), [name for name in annotations if "accel" in name]

    def add_pod(self, name: str, owner: str = "ReplicaSet", phase: str = "Running", **more: t.Any) -> None:
        namespace, name = name.split("/")
        node = more.pop("node", self.name)
        owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": str(uuid.uuid4()), "controller": True}]
        metadata = {"name": name, "labels": {"name": name}, "ownerReferences": owners if owner else [], **more}
        spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 1}
        self._ask("POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": metadata, "spec": spec})
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        self._ask("PATCH", path, {"status": {"phase": phase}}, "kubelet", "application/merge-patch+json")

    def keep(self, name: str) -> None:
        """Nothing here computes what a budget allows, so it allows nothing."""
        namespace, name = name.split("/")
        versions = [one["version"] for one in self._ask("GET", "/apis/policy")["versions"]]
        group = f"/apis/policy/{'v1' if 'v1' in versions else 'v1beta1'}/namespaces/{namespace}/poddisruptionbudgets"
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"name": name}}}
        self._ask("POST", group, {"metadata": {"name": name}, "spec": spec})
        self._budgets.append(f"{group}/{name}")

    def pod_names(self) -> list[str]:
        found = (pod["metadata"] for pod in self._pods())
        return sorted(f"{metadata['namespace']}/{metadata['name']}" for metadata in found)

    def _pods(self) -> list[JsonObject]:
        return list(self._ask("GET", "/api/v1/pods")["items"])

    def _see_to_pods(self, all_of_them: bool = False) -> None:
        for pod in self._pods():
            metadata = pod["metadata"]
            if all_of_them or metadata.get("deletionTimestamp"):
                path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
                self._ask("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})

    def _extended(self, kind: str) -> dict[str, str]:
        return {name: value for name, value in (self._node()["status"].get(kind) or {}).items() if "/" in name}

    def patches(self) -> list[str]:
        """Something, where the module has written a field that it still owns."""
        managers = [entry["manager"] for entry in self._node()["metadata"]["managedFields"]]
        return [manager for manager in managers if manager == "accel.qat"]

    @property
    def _path(self) -> str:
        return f"/api/v1/nodes/{self.name}"

    def _node(self) -> JsonObject:
        return self._ask("GET", self._path)

    def _delete(self) -> None:
        try:
            self._ask("DELETE", self._path)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 404:
                raise

    def _write(self, manager: str, status: JsonObject) -> None:
        self._ask(
            "PATCH", self._path + "/status", {"status": status}, manager, "application/strategic-merge-patch+json"
        )

    def _be_kubelet(self) -> None:
        while not self._stopped.wait(self.sync_seconds or 0.2):
            if self.sync_seconds is None:
                continue
            self._see_to_pods()
            status = self._node()["status"]
            capacity = {**status.get("capacity", {}), **{name: str(count) for name, count in self.plugins.items()}}
            gone = dict.fromkeys(set(status.get("allocatable", {})) - set(capacity))
            changed = {name: value for name, value in capacity.items() if status.get("capacity", {}).get(name) != value}
            self._write("kubelet", {"capacity": changed, "allocatable": {**capacity, **gone}})

    def _ask(
        self, method: str, path: str, body: t.Any = None, manager: str = "test", kind: str = "application/json"
    ) -> JsonObject:
        url = f"{self.url}{path}?fieldManager={manager}" if body is not None else self.url + path
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        with self._lock, urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            found: JsonObject = json.loads(answer.read())
            return found
