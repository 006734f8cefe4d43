# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads /configz of a node's kubelet through the API server, which hands on what the node says: bounded in size and time."""

from __future__ import annotations

import json
import typing as t

from .api import REQUEST_SECONDS, ClusterError, Patience, answer
from .bounded import UnboundedError, bound
from .client import HAS_KUBERNETES
from .objects import Object

if HAS_KUBERNETES:  # else nobody has a client to give
    import kubernetes

LONGEST = 1024 * 1024
"""Bytes of an answer. A kubelet's own are some 8 KiB, and K3s has those of the control plane beside them."""

PATIENCE = 30.0
"""Seconds for which a kubelet that has just said that it is ready may not answer yet."""

_REMEDIES = {
    403: "let these credentials get nodes/proxy, see docs/verify.md",
    404: "see that the Node's name is right, and that kubelet's enableDebuggingHandlers is not false",
}


def read_configz(core: t.Any, node: str, patience: float = 0.0) -> Object:
    """What /configz answers. Raises ClusterError, also for what is longer or takes longer than any kubelet's.

    A kubelet that is starting is asked again for so many seconds.
    """
    bounded = _bounded(core)
    where = f"kubelet of node {node}"
    ask = bounded.connect_get_node_proxy_with_path
    try:
        return _parsed(
            Patience(patience, unheard=True).ask(lambda: answer(bounded, where, ask, node, "configz")), where
        )
    except UnboundedError as error:
        raise ClusterError(f"the answer is {error}", "/configz", "see what answers in kubelet's place") from None
    except ClusterError as error:
        remedy = _REMEDIES.get(error.status or 0, error.remedy)
        raise ClusterError(error.problem, error.where, remedy, error.status, error.words) from None


def _parsed(text: str, where: str) -> Object:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ClusterError("its answer is no JSON object", where, "see what answers in kubelet's place")
    return found


def _bounded(core: t.Any) -> t.Any:
    """A client like this one with bounds of kubelet's."""
    api = kubernetes.client.ApiClient(core.api_client.configuration)
    return kubernetes.client.CoreV1Api(bound(api, LONGEST, REQUEST_SECONDS))
