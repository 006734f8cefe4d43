# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Kubernetes API through the client `kubernetes`, with each failure reported in one sentence.

Objects come as their JSON says them, not as the client's classes: those drop what they do not know.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .._node.errors import NodeError
from .bounded import UnboundedError
from .client import HAS_KUBERNETES, IMPORT_ERROR, client_of
from .objects import FIELD_MANAGER, Object
from .tls import TlsError, fault

try:
    import kubernetes
    import urllib3.exceptions
    from kubernetes.client.exceptions import ApiException
except ImportError:
    AWAY: tuple[type[Exception], ...] = ()
else:
    # What the client raises while nobody listens, or whoever did is ending. Not for a certificate that is wrong.
    AWAY = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.TimeoutError,
        urllib3.exceptions.ProtocolError,
        ConnectionError,
    )

REQUEST_SECONDS = 30.0
"""How long one request may take."""

AWAY_SECONDS = 2.0
"""How often to try again while the API server is away."""

AWAY_STATUS = (500, 502, 503, 504)
"""What is answered in the place of an API server that is away, or by one whose etcd is, as while that chooses another leader."""

_FOR_GOOD = "more than one PodDisruptionBudget"
"""What an eviction is answered with status 500, and will be."""

_ENDING = "because it is being terminated"
"""What it is answered with status 403 in a namespace that is about to go, until the pod is about to go, too (NamespaceLifecycle)."""

_ANOTHER = "UID in precondition"
"""What it is answered with status 409 where the name is another pod's by now, and in no other conflict."""


class ClusterError(NodeError):
    """The API server cannot be reached, or refuses. `status` is the HTTP status of a refusal, `words` are its own.

    `away` says that it may be there again in a while, and `heard` that somebody is at its address; `repeated` that the same was asked
    before, and the answer lost.
    """

    kind = "cluster"

    def __init__(
        self,
        problem: str,
        where: str = "",
        remedy: str = "",
        status: int | None = None,
        words: str = "",
        away: bool = False,
        heard: bool = False,
    ) -> None:
        super().__init__(problem, where, remedy)
        self.status = status
        self.words = words
        self.away = away
        self.heard = heard or status is not None
        self.repeated = False


class Patience:
    """Asks again while whoever is asked is away, until so many seconds have passed.

    An address at which nobody was heard so far is wrong rather than away: it is asked again only with `unheard`.
    """

    def __init__(self, seconds: float = 0.0, unheard: bool = False) -> None:
        self._until = time.monotonic() + seconds
        # Whether anybody was at that address so far.
        self._heard = unheard

    def renew(self, seconds: float, unheard: bool = False) -> None:
        """So many seconds from now on."""
        self._until = time.monotonic() + seconds
        self._heard = self._heard or unheard

    def ask(self, ask: t.Callable[[], str]) -> str:
        """What `ask` returns. Raises the ClusterError of the last time that it was asked."""
        repeated = False
        while True:
            try:
                found = ask()
            except ClusterError as error:
                error.repeated = repeated
                self._heard = self._heard or error.heard
                if not (error.away and self._heard) or time.monotonic() >= self._until:
                    raise
            else:
                self._heard = True
                return found
            repeated = True
            time.sleep(min(AWAY_SECONDS, max(0.0, self._until - time.monotonic())))


class Cluster:
    """The few calls that the modules make."""

    def __init__(self, client: t.Any) -> None:
        """`client` is one of `client.py`."""
        self._core = kubernetes.client.CoreV1Api(client)
        self._patience = Patience()

    @functools.cached_property
    def _apps(self) -> t.Any:
        """What few modules need, and what loads classes of the client that no other module has to wait for."""
        return kubernetes.client.AppsV1Api(self._core.api_client)

    def be_patient(self, seconds: float, unheard: bool = False) -> None:
        """For so many seconds from now on, try again when the API server is away, as it is while its own node reboots."""
        self._patience.renew(seconds, unheard)

    def node(self, name: str, seconds: float = REQUEST_SECONDS) -> Object:
        """A Node, for which each request may take so long; raises ClusterError."""
        return self._call(f"node {name}", self._core.read_node, name, _request_timeout=seconds)

    def patch_node(self, name: str, patch: Object) -> Object:
        """Merge something into a Node; None takes a field away."""
        return self._call(
            f"node {name}",
            self._core.patch_node,
            name,
            patch,
            field_manager=FIELD_MANAGER,
            _content_type="application/merge-patch+json",
        )

    def patch_node_status(self, name: str, patch: t.Sequence[Object]) -> Object:
        """Patch a Node's status, which is a resource of its own: a patch of the Node leaves its status alone."""
        return self._call(
            f"node {name}",
            self._core.patch_node_status,
            name,
            list(patch),
            field_manager=FIELD_MANAGER,
            _content_type="application/json-patch+json",
        )

    def create_pod(self, namespace: str, pod: Object) -> Object:
        """Create a pod, of whose name there was none; returns the one that is there where an earlier answer was lost."""
        try:
            return self._call(f"namespace {namespace}", self._core.create_namespaced_pod, namespace, pod)
        except ClusterError as error:
            made = self.pod(namespace, pod["metadata"]["name"]) if error.status == 409 and error.repeated else None
            if made is None:
                raise
            return made

    def pod(self, namespace: str, name: str) -> Object | None:
        """A pod, or None where there is none of this name."""
        return self._if_there(f"pod {namespace}/{name}", self._core.read_namespaced_pod, name, namespace)

    def pods_on(self, node: str) -> list[Object]:
        """The pods of all namespaces that are on a node."""
        found = self._call(
            f"pods of node {node}", self._core.list_pod_for_all_namespaces, field_selector=f"spec.nodeName={node}"
        )
        return list(found.get("items") or ())

    def is_other_node_with(self, selector: str, name: str) -> bool:
        """Whether a selector of labels finds any node but that of this name. A list of all would be long."""
        options = {"label_selector": selector, "field_selector": f"metadata.name!={name}", "limit": 1}
        found = self._call(f"nodes with {selector}", self._core.list_node, **options)
        # One that has come to the limit may not have found any yet.
        return bool(found.get("items") or (found.get("metadata") or {}).get("continue"))

    def namespace(self, name: str) -> Object | None:
        """A namespace, or None where there is none of this name."""
        return self._if_there(f"namespace {name}", self._core.read_namespace, name)

    def create_namespace(self, namespace: Object) -> None:
        """Create a namespace. Another run may have done so since."""
        with _but_for(409):
            self._call(f"namespace {namespace['metadata']['name']}", self._core.create_namespace, namespace)

    def daemonset(self, namespace: str, name: str) -> Object | None:
        """A DaemonSet, or None where there is none of this name."""
        where = f"daemonset {namespace}/{name}"
        return self._if_there(where, self._apps.read_namespaced_daemon_set, name, namespace)

    def create_daemonset(self, daemonset: Object) -> None:
        """Create a DaemonSet. Another run may have done so since."""
        metadata = daemonset["metadata"]
        create = self._apps.create_namespaced_daemon_set
        with _but_for(409):
            where = f"daemonset {metadata['namespace']}/{metadata['name']}"
            self._call(where, create, metadata["namespace"], daemonset, field_manager=FIELD_MANAGER)

    def replace_daemonset(self, daemonset: Object, trial: bool = False) -> Object:
        """Write all of a DaemonSet, or with `trial` have the API server say what it would be."""
        metadata = daemonset["metadata"]
        options = {"dry_run": "All"} if trial else {}
        return self._call(
            f"daemonset {metadata['namespace']}/{metadata['name']}",
            self._apps.replace_namespaced_daemon_set,
            metadata["name"],
            metadata["namespace"],
            daemonset,
            field_manager=FIELD_MANAGER,
            **options,
        )

    def delete_daemonset(self, namespace: str, name: str) -> None:
        """Delete a DaemonSet with its pods; it may be gone already."""
        with _but_for(404):
            self._call(f"daemonset {namespace}/{name}", self._apps.delete_namespaced_daemon_set, name, namespace)

    def _if_there(self, where: str, method: t.Callable[..., t.Any], *arguments: t.Any) -> Object | None:
        try:
            return self._call(where, method, *arguments)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def evict_pod(self, namespace: str, name: str, uid: str) -> str:
        """Ask that a pod be evicted; it may be gone already, or be another by now. Why it cannot be now, otherwise empty.

        Without a version in the body, every API server takes it for its own: policy/v1beta1 until 1.21, policy/v1 since 1.22.
        """
        eviction = {
            "metadata": {"namespace": namespace, "name": name},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        evict = self._core.create_namespaced_pod_eviction
        try:
            self._call(f"pod {namespace}/{name}", evict, name, namespace, eviction)
        except ClusterError as error:
            if _may_be_evicted_later(error):
                return error.words or "the API server gives no reason"
            if error.status not in (404, 409):
                raise
        return ""

    def delete_pod(self, namespace: str, name: str, grace_seconds: int) -> None:
        """Delete a pod; it may be gone already."""
        try:
            self._call(
                f"pod {namespace}/{name}",
                self._core.delete_namespaced_pod,
                name,
                namespace,
                grace_period_seconds=grace_seconds,
            )
        except ClusterError as error:
            if error.status != 404:
                raise

    def pod_log(self, namespace: str, name: str, container: str) -> str:
        """What a container of a pod has printed."""
        read = self._core.read_namespaced_pod_log
        return self._text(f"pod {namespace}/{name}", read, name, namespace, container=container)

    def pod_events(self, namespace: str, name: str) -> list[Object]:
        """The events of a pod, the oldest first."""
        selector = f"involvedObject.kind=Pod,involvedObject.name={name}"
        where = f"events of pod {namespace}/{name}"
        found = self._call(where, self._core.list_namespaced_event, namespace, field_selector=selector)
        return list(found.get("items") or ())

    def review_access(self, review: Object) -> Object:
        """Have the API server say whether these credentials may do something (SelfSubjectAccessReview)."""
        reviews = kubernetes.client.AuthorizationV1Api(self._core.api_client)
        return self._call("the rights of these credentials", reviews.create_self_subject_access_review, review)

    @property
    def core(self) -> t.Any:
        """The client's CoreV1Api."""
        return self._core

    def _call(self, where: str, method: t.Callable[..., t.Any], *arguments: t.Any, **options: t.Any) -> Object:
        try:
            answer = json.loads(self._text(where, method, *arguments, **options))
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ClusterError("the API server's answer is not JSON", where, "see what else listens at its address")
        return answer

    def _text(self, where: str, method: t.Callable[..., t.Any], *arguments: t.Any, **options: t.Any) -> str:
        return self._patience.ask(lambda: self._answer(where, method, *arguments, **options))

    def _answer(self, where: str, method: t.Callable[..., t.Any], *arguments: t.Any, **options: t.Any) -> str:
        try:
            return answer(self._core, where, method, *arguments, **options)
        except UnboundedError as error:
            problem = f"the API server's answer is {error}"
            raise ClusterError(problem, where, "see what else listens at its address", heard=True) from None


def cluster_of(module: AnsibleModule) -> Cluster:
    """The cluster that a module's arguments say. Ends the module where the client is missing; raises ConfigurationError."""
    if not HAS_KUBERNETES:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=IMPORT_ERROR)
    return Cluster(client_of(module.params))


def _may_be_evicted_later(error: ClusterError) -> bool:
    """A budget, somebody else who changes the pod in this moment, or a namespace that takes its pods with it."""
    if error.status == 409:
        return _ANOTHER not in error.words
    return error.status == 429 or (error.status == 403 and _ENDING in error.words)


@contextlib.contextmanager
def _but_for(status: int) -> t.Iterator[None]:
    """Take this answer for success."""
    try:
        yield
    except ClusterError as error:
        if error.status != status:
            raise


def answer(core: t.Any, where: str, method: t.Callable[..., t.Any], *arguments: t.Any, **options: t.Any) -> str:
    """What the API server answers one call of the client `core`. Raises ClusterError, and UnboundedError as `bounded.py` says."""
    host = str(core.api_client.configuration.host)
    try:
        found = method(*arguments, **{"_request_timeout": REQUEST_SECONDS, **options}, _preload_content=False)
        # Before release 36 of the client a refusal of an answer that is not taken apart is not raised.
        if not 200 <= found.status < 300:
            raise _refusal(found.status, found.data, found.headers, where)
        return bytes(found.data).decode("utf-8", "replace")
    except ApiException as error:
        raise _refusal(error.status, error.body, error.headers, where) from None
    except TlsError as error:
        reason, remedy, away = fault(error.cause)
        raise _unreached(reason, host, remedy, away, heard=True) from None
    except urllib3.exceptions.ProxyError as error:
        raise _no_way_through(error, host) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreached(
            _reason(error),
            host,
            "see that the address is right and that the controller may connect to it",
            away=isinstance(error, AWAY),
            heard=_is_somebody(error),
        ) from None


def _unreached(reason: str, host: str, remedy: str, away: bool, heard: bool) -> ClusterError:
    return ClusterError(f"the API server cannot be reached: {reason}", host, remedy, away=away, heard=heard)


_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b(.*)", re.DOTALL)
"""How http.client reports a proxy that does not connect to the API server, with its status and words."""

_PROXY_REMEDIES = {
    403: "have the proxy let the controller through to the API server, or name that in no_proxy",
    407: "give the proxy's address with a user and password that it takes, as http://USER:PASSWORD@HOST:PORT",
}


def _no_way_through(error: t.Any, host: str) -> ClusterError:
    """A proxy that is away, or that answers in the API server's place, as one does that cannot connect to it."""
    cause = error.original_error
    if isinstance(cause, urllib3.exceptions.SSLError) and cause.args and isinstance(cause.args[0], Exception):
        reason, remedy, away = fault(cause.args[0])
        return _unreached(f"the proxy does not answer: {reason}", host, remedy, away, heard=True)
    refused = _TUNNEL.search(str(cause))
    if refused is None:
        remedy = "see that proxy names one to which the controller may connect"
        reason = f"the proxy does not answer: {_reason(cause)}"
        return _unreached(reason, host, remedy, isinstance(cause, AWAY), _is_somebody(cause))
    status = int(refused[1])
    remedy = _PROXY_REMEDIES.get(status, "see why the proxy does not connect to it")
    reason = f"the proxy answers {' '.join(f'{status}{refused[2]}'.split())}"
    return _unreached(reason, host, remedy, away=status in AWAY_STATUS, heard=True)


def _is_somebody(error: BaseException) -> bool:
    """Whether a connection was made, and came no further in time or broke off: TLS, or the answer."""
    somebody = (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError, ConnectionError)
    return isinstance(error, somebody) and not isinstance(error, ConnectionRefusedError)


_REMEDIES = {
    401: "see that the credentials of the kubeconfig or api_key are valid",
    403: "give these credentials the right to do that, see docs/extended_resources.md, docs/verify.md, docs/drain.md and docs/daemonset.md",
    404: "see that the name is right",
    407: _PROXY_REMEDIES[407],
}


def _refusal(status: int | None, body: t.Any, headers: t.Any, where: str) -> ClusterError:
    """An answer that is not a success."""
    target = _target(headers) if 300 <= (status or 0) < 400 else ""
    if target:
        remedy = "give the address of the API server itself"
        return ClusterError(f"the API server answers {status}: it points to {target}", where, remedy, status=status)
    words = _words(body)
    remedy = _REMEDIES.get(status or 0, "correct what it names, or try again later")
    return ClusterError(
        f"the API server answers {status}: {words or 'without a reason'}",
        where,
        remedy,
        status=status,
        words=words,
        away=status in AWAY_STATUS and _FOR_GOOD not in words,
    )


def _target(headers: t.Any) -> str:
    """Where an answer points, without a query or password, which are nobody's business."""
    target = re.split("[?#]", str((headers or {}).get("Location") or ""), maxsplit=1)[0]
    return re.sub("//[^/]*@", "//", target)[:200]


def _words(body: t.Any) -> str:
    """What the API server says itself, with what it says of the causes; a budget's name stands only there."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        answer = json.loads(text)
        message = str(answer["message"])
        causes = (answer.get("details") or {}).get("causes") or ()
        reasons = [str(cause["message"]) for cause in causes if cause.get("message")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return " ".join(text.split())[:200]
    return " ".join([message, *(one for one in reasons if one not in message)])


def _reason(error: BaseException) -> str:
    """The innermost cause, which says most."""
    reason = getattr(error, "reason", None)
    while isinstance(reason, BaseException) and getattr(reason, "reason", None):
        reason = reason.reason  # type: ignore[attr-defined]
    cause = reason or error
    # Of one that broke off, urllib3 has what happened beside its own word for it.
    cause = next((one for one in cause.args if isinstance(one, OSError)), cause) if reason is None else cause
    text = str(getattr(cause, "strerror", None) or cause)
    return re.sub(r"^.*: (\[Errno -?\d+\] )?", "", text) or type(cause).__name__
