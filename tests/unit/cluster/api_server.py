# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kubernetes API server over HTTP with the kubelet of one node, as far as the modules that speak to it notice.

Behaves as the real one does for these calls: a patch of the Node leaves its status alone, a JSON patch that removes what is not
there is refused with 422 as a whole, who wrote a field is recorded, and what is allocatable follows at kubelet's next look. An eviction
that a budget forbids is refused with 429, and the budget's name stands in the causes alone.
Sources: k8s.io/apimachinery pkg/api/errors, k8s.io/apiserver pkg/endpoints/handlers/patch.go, k8s.io/kubernetes pkg/registry/core/node,
pkg/registry/core/pod/storage/eviction.go, pkg/kubelet/nodestatus.
"""

from __future__ import annotations

import copy
import json
import re
import socket
import ssl
import threading
import time
import typing as t
import urllib.parse
import uuid
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JsonObject = t.Dict[str, t.Any]  # noqa: UP006

TOKEN = "secret-token"


class Refusal(Exception):
    """An answer that is no success: an HTTP status, the API's reason, words, and those of its causes."""

    def __init__(self, status: int, reason: str, message: str, *causes: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.causes = [{"reason": reason, "message": cause} for cause in causes]


class Absence(Exception):
    """The connection ends without an answer."""


class FakeCluster:
    """The server with one node. `sync_seconds` is the time between two looks of kubelet; None for a kubelet that is down.

    `plugins` are the resources of device plugins, of which kubelet writes the capacity at each look. `run_pod` is what a container
    does: it gets the pod and returns its status and its log, at a look of kubelet or, with `sees_pods_at_once`, before the request
    that makes the pod is answered; `pod_gone` is called when kubelet has cleaned up after it.
    `delete_takes` is how many seconds that takes, None for ever. `budgets` says how often an eviction is refused first, by pod.
    `configz` is what kubelet answers there, one after the other; the last one for good.
    `absences` says how often a request, by a pattern for its method and path, finds nobody who answers it; `losses` how often it is
    done and its answer lost. `first` is what the first requests are refused with.
    """

    def __init__(self, name: str = "node1", sync_seconds: float | None = 0.05, has_managed_fields: bool = True) -> None:
        self.name = name
        self.sync_seconds = sync_seconds
        self.plugins: dict[str, int] = {}
        self.refusals: dict[str, Refusal] = {}
        self.first: list[Refusal] = []
        self.requests: list[tuple[str, str, t.Any]] = []
        self.pods: dict[tuple[str, str], JsonObject] = {}
        self.logs: dict[tuple[str, str], str] = {}
        self.events: list[JsonObject] = []
        self.run_pod: t.Callable[[JsonObject], tuple[JsonObject, str]] = lambda _pod: ({"phase": "Running"}, "")
        self.sees_pods_at_once = False
        self.pod_gone: t.Callable[[JsonObject], None] = lambda _pod: None
        self.delete_takes: float | None = 0.1
        self.budgets: dict[tuple[str, str], float] = {}
        self.absences: dict[str, float] = {}
        self.losses: dict[str, float] = {}
        # Rights that these credentials do not have, as `create pods/eviction`; and what is answered to whoever asks for one.
        self.forbidden: set[str] = set()
        self.review: t.Callable[[str], JsonObject] = lambda right: {"allowed": right not in self.forbidden}
        self.configz: list[JsonObject | str | Refusal] = [Refusal(503, "ServiceUnavailable", "no kubelet")]
        self._has_managed_fields = has_managed_fields
        self._lock = threading.RLock()
        self._node: JsonObject = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {},
                "annotations": {"volumes.kubernetes.io/controller-managed": "true"},
            },
            "spec": {},
            "status": {"capacity": {}, "allocatable": {}, "conditions": []},
        }
        self._fields: dict[str, set[tuple[str, ...]]] = {}
        self.set_ready(True)
        self._own("kubelet", ("f:status", "f:conditions", 'k:{"type":"MemoryPressure"}', "f:lastHeartbeatTime"))
        self._write("kubelet", "cpu", "8")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}),
            threading.Thread(target=self._be_kubelet),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()

    # What happens to the node.

    def set_ready(self, ready: bool, message: str = "") -> None:
        with self._lock:
            self._node["status"]["conditions"] = [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True" if ready else "Unknown", "message": message},
            ]

    def remove_status(self) -> None:
        """A Node that somebody made by hand and no kubelet has written to yet."""
        with self._lock:
            self._node["status"] = {}

    def forget_resources(self) -> None:
        """What a start of kubelet without its checkpoint does to extended resources."""
        with self._lock:
            for name in [name for name in self._node["status"]["capacity"] if "/" in name]:
                self._write("kubelet", name, "0")

    def cordon(self) -> None:
        """Somebody runs kubectl cordon."""
        with self._lock:
            self._patch_spec({"spec": {"unschedulable": True}}, "kubectl-cordon")

    def uncordon(self) -> None:
        """Somebody runs kubectl uncordon, which knows of no annotation."""
        with self._lock:
            self._patch_spec({"spec": {"unschedulable": None}}, "kubectl-uncordon")

    def annotations(self) -> set[str]:
        with self._lock:
            return set(self._node["metadata"]["annotations"])

    def cordoned(self) -> tuple[bool, list[str]]:
        """Whether the node is, and its annotations of ours."""
        with self._lock:
            annotations = self._node["metadata"]["annotations"]
            return bool(self._node["spec"].get("unschedulable")), [name for name in annotations if "accel" in name]

    def add_pod(self, name: str, owner: str = "ReplicaSet", phase: str = "Running", **more: t.Any) -> None:
        """A pod `namespace/name` on the node. `owner` is the kind of its controller; `more` is for its metadata, and `node`."""
        namespace, name = name.split("/")
        node = more.pop("node", self.name)
        owners = (
            [{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "u", "controller": True}] if owner else []
        )
        metadata = {"namespace": namespace, "name": name, "uid": str(uuid.uuid4()), "ownerReferences": owners, **more}
        with self._lock:
            self.pods[namespace, name] = {
                "metadata": metadata,
                "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
                "status": {"phase": phase},
            }

    def keep(self, name: str) -> None:
        """A budget that lets go of this pod at no time."""
        namespace, name = name.split("/")
        self.budgets[namespace, name] = float("inf")

    def pod_names(self) -> list[str]:
        with self._lock:
            return sorted("/".join(key) for key in self.pods)

    def give(self, name: str, quantity: int) -> None:
        """Somebody patches a capacity with kubectl."""
        with self._lock:
            self._write("kubectl-patch", name, str(quantity))

    def capacity(self) -> dict[str, str]:
        with self._lock:
            return {name: value for name, value in self._node["status"]["capacity"].items() if "/" in name}

    def allocatable(self) -> dict[str, str]:
        with self._lock:
            return {name: value for name, value in self._node["status"]["allocatable"].items() if "/" in name}

    def patches(self) -> list[t.Any]:
        return [body for method, _path, body in self.requests if method == "PATCH"]

    # The API.

    def answer(self, method: str, path: str, headers: Message, body: t.Any) -> JsonObject | str:
        url = urllib.parse.urlsplit(path)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.requests.append((method, url.path, body))
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if self.first:
            raise self.first.pop(0)
        for pattern, times in self.absences.items():
            if times and re.fullmatch(pattern, f"{method} {url.path}"):
                self.absences[pattern] -= 1
                raise Absence
        for pattern, refusal in self.refusals.items():
            if re.fullmatch(pattern, f"{method} {url.path}"):
                raise refusal
        with self._lock:
            answer = self._route(method, url.path.strip("/").split("/"), headers, query, body)
        for pattern, times in self.losses.items():
            if times and re.fullmatch(pattern, f"{method} {url.path}"):
                self.losses[pattern] -= 1
                raise Absence
        return answer

    def _route(
        self, method: str, parts: list[str], headers: Message, query: dict[str, str], body: t.Any
    ) -> JsonObject | str:
        if parts == ["api", "v1", "nodes", self.name, "proxy", "configz"] and method == "GET":
            return self._configz()
        if parts == ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] and method == "POST":
            return {**body, "status": self.review(_right(body["spec"]["resourceAttributes"]))}
        if parts[:3] == ["api", "v1", "nodes"] and len(parts) in (4, 5):
            return self._route_node(method, parts[3], parts[4:], headers, query, body)
        if parts == ["api", "v1", "pods"] and method == "GET":
            field, _equals, value = query.get("fieldSelector", "").partition("=")
            assert field == "spec.nodeName"
            found = [pod for pod in self.pods.values() if pod["spec"].get("nodeName") == value]
            return {"kind": "PodList", "items": copy.deepcopy(found)}
        if parts[:3] == ["api", "v1", "namespaces"] and len(parts) > 4:
            return self._route_pod(method, parts[3], parts[4], parts[5:], query, body)
        raise Refusal(404, "NotFound", "the server could not find the requested resource")

    def _configz(self) -> JsonObject | str:
        found = self.configz.pop(0) if len(self.configz) > 1 else self.configz[0]
        if isinstance(found, Refusal):
            raise found
        return found

    def _route_node(
        self,
        method: str,
        name: str,
        rest: list[str],
        headers: Message,
        query: dict[str, str],
        body: t.Any,
    ) -> JsonObject:
        if name != self.name:
            raise Refusal(404, "NotFound", f'nodes "{name}" not found')
        if method == "GET":
            return self._shown()
        kind = headers.get("Content-Type")
        if method == "PATCH" and kind == "application/merge-patch+json" and not rest:
            self._patch_spec(body, query.get("fieldManager", ""))
            return self._shown()
        if method != "PATCH" or kind != "application/json-patch+json":
            raise Refusal(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        if rest != ["status"]:
            return self._shown()  # "no change": the strategy of Node drops changes of the status
        self._patch_status(body, query.get("fieldManager", "python-requests"))
        return self._shown()

    def _patch_spec(self, patch: JsonObject, manager: str) -> None:
        before = self._node["spec"].get("unschedulable")
        _merge(self._node, patch)
        path = ("f:spec", "f:unschedulable")
        if self._node["spec"].get("unschedulable") != before:
            self._disown(path)
            if "unschedulable" in self._node["spec"] and manager:
                self._own(manager, path)

    def _patch_status(self, patch: list[JsonObject], manager: str) -> None:
        node = copy.deepcopy(self._node)
        for operation in patch:
            _apply(node, operation)
        capacity = node["status"].get("capacity", {})
        for name, value in capacity.items():
            if not isinstance(value, str):
                raise Refusal(400, "BadRequest", f"unable to decode: capacity {name} is not a string")
            if "/" in name and not value.isdigit():
                message = f'Node "{self.name}" is invalid: status.capacity.{name}: Invalid value: "{value}": must be an integer'
                raise Refusal(422, "Invalid", message)
            capacity[name] = _canonical(value)
        before = self._node["status"].get("capacity", {})
        self._node = node
        for name in {*before, *capacity}:
            if before.get(name) != capacity.get(name):
                self._disown(("f:status", "f:capacity", "f:" + name))
                if name in capacity:
                    self._own(manager, ("f:status", "f:capacity", "f:" + name))

    def _shown(self) -> JsonObject:
        node = copy.deepcopy(self._node)
        if self._has_managed_fields:
            node["metadata"]["managedFields"] = [
                {"manager": manager, "operation": "Update", **subresource, "fieldsV1": _nested(those)}
                for manager, paths in self._fields.items()
                for subresource, those in (
                    ({"subresource": "status"}, {path for path in paths if path[0] == "f:status"}),
                    ({}, {path for path in paths if path[0] != "f:status"}),
                )
                if those
            ]
        return node

    def _own(self, manager: str, path: tuple[str, ...]) -> None:
        self._fields.setdefault(manager, set()).add(path)

    def _disown(self, path: tuple[str, ...]) -> None:
        for paths in self._fields.values():
            paths.discard(path)

    # Kubelet.

    def _write(self, manager: str, name: str, value: str) -> None:
        if self._node["status"]["capacity"].get(name) != value:
            self._node["status"]["capacity"][name] = value
            self._disown(("f:status", "f:capacity", "f:" + name))
            self._own(manager, ("f:status", "f:capacity", "f:" + name))

    def _be_kubelet(self) -> None:
        while not self._stopped.wait(self.sync_seconds or 0.05):
            if self.sync_seconds is None:
                continue
            with self._lock:
                if "capacity" not in self._node["status"]:
                    self._node["status"].update(capacity={}, allocatable={})
                for name, count in self.plugins.items():
                    self._write("kubelet", name, str(count))
                self._node["status"]["allocatable"] = dict(self._node["status"]["capacity"])
                self._see_to_pods()

    def _see_to_pods(self) -> None:
        now = time.monotonic()
        for key, pod in list(self.pods.items()):
            deleted = pod["metadata"].get("deletedAt")
            if deleted is not None and self.delete_takes is not None and now - deleted >= self.delete_takes:
                self.pod_gone(self.pods.pop(key))
            elif pod["status"] == {"phase": "Pending"}:
                status, self.logs[key] = self.run_pod(pod)
                pod["status"] = status

    def _route_pod(
        self, method: str, namespace: str, kind: str, rest: list[str], query: dict[str, str], body: t.Any
    ) -> JsonObject | str:
        if namespace == "missing":
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        if kind == "events":
            name = re.search(r"involvedObject\.name=([^,]+)", query.get("fieldSelector", ""))
            assert name is not None
            found = [event for event in self.events if event["involvedObject"]["name"] == name[1]]
            return {"kind": "EventList", "items": found}
        if method == "POST" and rest[1:] == ["eviction"]:
            return self._evict((namespace, rest[0]), body)
        if method == "POST":
            key = (namespace, body["metadata"]["name"])
            if key in self.pods:
                raise Refusal(409, "AlreadyExists", f'pods "{key[1]}" already exists')
            self.pods[key] = {**copy.deepcopy(body), "status": {"phase": "Pending"}}
            if self.sees_pods_at_once:
                self._see_to_pods()
            return self.pods[key]
        key = (namespace, rest[0])
        if key not in self.pods:
            raise Refusal(404, "NotFound", f'pods "{rest[0]}" not found')
        if rest[1:] == ["log"]:
            return self.logs.get(key, "")
        if method == "DELETE":
            self._delete(key)
        return self.pods[key]

    def _delete(self, key: tuple[str, str]) -> None:
        metadata = self.pods[key]["metadata"]
        metadata.setdefault("deletedAt", time.monotonic())
        metadata.setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")

    def _evict(self, key: tuple[str, str], body: JsonObject) -> JsonObject:
        if key not in self.pods:
            raise Refusal(404, "NotFound", f'pods "{key[1]}" not found')
        assert {"apiVersion", "kind"}.isdisjoint(body), "that of another release would be refused"
        wanted, found = body["deleteOptions"]["preconditions"]["uid"], self.pods[key]["metadata"]["uid"]
        if wanted != found:
            message = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
            raise Refusal(409, "Conflict", message)
        if self.budgets.get(key, 0):
            self.budgets[key] -= 1
            message = "Cannot evict pod as it would violate the pod's disruption budget."
            cause = "The disruption budget b needs 1 healthy pods and has 1 currently"
            raise Refusal(429, "TooManyRequests", message, cause)
        self._delete(key)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201}


def _right(attributes: JsonObject) -> str:
    """As `create pods/eviction`."""
    return (
        f"{attributes['verb']} {'/'.join(attributes[key] for key in ('resource', 'subresource') if key in attributes)}"
    )


def _canonical(quantity: str) -> str:
    """As the API server writes it: with the largest suffix that needs no fraction."""
    for suffix, zeros in (("M", 6), ("k", 3)):
        if quantity.isdigit() and int(quantity) and quantity.endswith("0" * zeros):
            return quantity[:-zeros] + suffix
    return quantity


def _apply(document: JsonObject, operation: JsonObject) -> None:
    """One operation of a JSON patch (RFC 6902), refused as the API server does."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    target: t.Any = document
    for part in parents:
        if part not in target:
            message = f"add operation does not apply: doc is missing path: {operation['path']}: missing value"
            raise Refusal(422, "Invalid", "the server rejected our request due to an error in our request: " + message)
        target = target[part]
    if operation["op"] == "add":
        target[last] = operation["value"]
    elif operation["op"] == "remove":
        if last not in target:
            raise Refusal(422, "Invalid", "the server rejected our request due to an error in our request")
        del target[last]
    else:
        raise Refusal(400, "BadRequest", f"unexpected kind: {operation['op']}")


def _merge(document: JsonObject, patch: JsonObject) -> None:
    """A merge patch (RFC 7386)."""
    for name, value in patch.items():
        if value is None:
            document.pop(name, None)
        elif isinstance(value, dict):
            _merge(document.setdefault(name, {}), value)
        else:
            document[name] = value


def _nested(paths: t.Iterable[tuple[str, ...]]) -> JsonObject:
    tree: JsonObject = {}
    for path in paths:
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
    return tree


def _handler(cluster: FakeCluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: t.Any) -> None:
            """Say nothing."""

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                answer = cluster.answer(self.command, self.path, self.headers, json.loads(body) if body else None)
                self._send(200, answer)
            except Absence:
                self.close_connection = True
            except Refusal as refusal:
                words = {"status": "Failure", "reason": refusal.reason, "code": refusal.status, "message": str(refusal)}
                details = {"details": {"causes": refusal.causes}} if refusal.causes else {}
                self._send(refusal.status, {"kind": "Status", "apiVersion": "v1", **words, **details})

        def _send(self, status: int, answer: JsonObject | str) -> None:
            text = answer if isinstance(answer, str) else json.dumps(answer)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do  # noqa: N815

    return Handler


def raw_server(
    answer: t.Iterable[bytes], closes: int = 0, context: ssl.SSLContext | None = None
) -> tuple[str, threading.Thread]:
    """One that sends this to its one client, until that has gone. It closes so many connections before, and speaks TLS with a context."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            for _number in range(closes):
                with listener.accept()[0] as connection:
                    connection.recv(65536)
            accepted = listener.accept()[0]
            try:
                with context.wrap_socket(accepted, server_side=True) if context else accepted as connection:
                    connection.recv(65536)
                    for piece in answer:
                        connection.sendall(piece)
            except OSError:  # it has seen enough
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    return f"http{'s' if context else ''}://127.0.0.1:{listener.getsockname()[1]}", thread


def endless(status: str, *headers: str) -> t.Iterator[bytes]:
    yield "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()
    while True:
        yield b"x" * 65536


def drops() -> t.Iterator[bytes]:
    """An answer that comes a byte at a time, for longer than any test waits for it."""
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    while True:
        time.sleep(0.02)
        yield b" "
