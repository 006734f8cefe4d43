# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waits until the API server has a node as Ready, and asks its kubelet what is in force."""

from __future__ import annotations

import time
import typing as t
from datetime import datetime

from ansible_collections.accel.qat.plugins.module_utils._cluster.api import REQUEST_SECONDS, Cluster, ClusterError
from ansible_collections.accel.qat.plugins.module_utils._cluster.client import HAS_KUBERNETES, client_by
from ansible_collections.accel.qat.plugins.module_utils._cluster.configz import PATIENCE, read_configz
from ansible_collections.accel.qat.plugins.module_utils._cluster.in_force import (
    Asked,
    InForce,
    NotInForceError,
    compare,
    reported_by,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError

_PAUSE = 1.0
# A request is not given up before, however little is left.
_SHORTEST = 1.0
# The API server keeps whole seconds.
_ROUNDING = 1.0


class Api:
    """The API server, as far as one node's condition goes."""

    def __init__(self, kubeconfig: str, node: str, patience: float = 0.0) -> None:
        """Sees that the server knows the node; one that answers that it cannot now is asked again for so many seconds.

        Raises ConfigurationError, NodeError.
        """
        if not HAS_KUBERNETES:
            raise ConfigurationError(
                "the Python package kubernetes is missing on the controller",
                "kubeconfig",
                "install it, or leave kubeconfig out",
            )
        self._node = node
        self._cluster = Cluster(client_by(kubeconfig))
        self._cluster.be_patient(patience)
        try:
            self._cluster.node(node)
        except Exception as error:  # any of several libraries'
            raise NodeError(_problem(error), f"node {node}", f"{_remedy(error)}; nothing was written") from None
        # From here on each caller has a time of its own.
        self._cluster.be_patient(0.0)

    def wait_until_ready(self, since: float, seconds: float) -> None:
        """Until the node is Ready by a heartbeat that is not older than `since`, or that is new since the first look. Raises NodeError.

        Without that look at the heartbeat the node would count as Ready for as long as nobody has missed its kubelet. Both times are the
        node's time of day, which may have been set back between them.
        """
        end = time.monotonic() + seconds
        said = "the API server does not answer"
        first: str | None = None
        while (left := end - time.monotonic()) > 0:
            try:
                condition = _ready(self._cluster.node(self._node, min(REQUEST_SECONDS, max(_SHORTEST, left))))
                heartbeat = condition.get("lastHeartbeatTime")
                first = first or heartbeat
                ready, said = _state(condition, heartbeat != first or _seconds(heartbeat) + _ROUNDING >= since)
            except Exception as error:  # it may be away for a while, as its own node's kubelet is
                ready, said = False, _problem(error)
            if ready:
                return
            time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))
        raise NodeError(f"the node is not Ready within {seconds:g} seconds: {said}", f"node {self._node}")

    def require_in_force(self, asked: t.Sequence[Asked], seconds: float) -> InForce:
        """Whether kubelet says that it has what was asked; for so long it may be away. Raises NotInForceError for a difference.

        A kubelet that cannot be asked proves nothing, either way.
        """
        try:
            reported = reported_by(read_configz(self._cluster.core, self._node, min(seconds, PATIENCE)))
        except NodeError as error:
            return InForce(reason=error.sentence())
        differences = compare(asked, reported)
        if differences:
            raise NotInForceError(f"node {self._node}", differences)
        return InForce(True)


def _problem(error: Exception) -> str:
    if isinstance(error, ClusterError):
        return error.problem
    return f"the API server does not answer: {' '.join(str(error).split())[:200]}"


def _remedy(error: Exception) -> str:
    if isinstance(error, ClusterError) and error.status is None:
        return error.remedy
    return "set node_name to the node's name in the cluster, and kubeconfig to one that may read nodes"


def _ready(node: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """The condition Ready of a node, empty for none."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition["type"] == "Ready"), {})


def _state(condition: t.Mapping[str, t.Any], is_new: bool) -> tuple[bool, str]:
    if not condition:
        return False, "it has no condition Ready"
    if condition["status"] != "True":
        return False, str(condition.get("message") or condition.get("reason") or condition["status"])
    return is_new, "" if is_new else "kubelet has not reported since it was started"


def _seconds(heartbeat: str | None) -> float:
    """A time of the API (RFC 3339, metav1.Time) in seconds since the epoch; before all others for none."""
    return datetime.strptime(heartbeat, "%Y-%m-%dT%H:%M:%S%z").timestamp() if heartbeat else float("-inf")
