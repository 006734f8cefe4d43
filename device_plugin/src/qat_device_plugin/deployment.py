# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which the device plugin is deployed on a node, and what one instance does about another that is there already.

Whoever has the lock has written into its file how it is deployed and where it listens: what a process of another PID namespace is
cannot be known otherwise. The file is in a directory that only root may enter.
"""

from __future__ import annotations

import json
import typing as t

from ._node.errors import NodeError

SERVICE, DAEMONSET = "service", "daemonset"
DEPLOYMENTS = (SERVICE, DAEMONSET)
"""A service of the host, which systemd starts and reloads, or a pod of a DaemonSet, which is replaced by another pod."""

NEXT = "next"
"""A file in the directory of the lock. The deployment that it names takes over, once, from an instance of another one."""

_IN_WORDS = {SERVICE: "a service of the host", DAEMONSET: "a pod of a DaemonSet"}
_KEPT = 16
"""How many instances that have handed over are remembered: a node has two at a time."""
_LONGEST = 128


class OtherDeployment(NodeError):
    """The node's device plugin is deployed in another way already."""


class Holder(t.NamedTuple):
    """Who has the lock. `door` is the file name of its socket for a successor.

    `instance` is what it is over all its restarts, a pod's uid, and `former` are those that have handed over since the boot, the last one
    at the end. Such a one may start again before it is removed.
    """

    deployment: str
    door: str
    instance: str = ""
    former: tuple[str, ...] = ()

    def text(self) -> str:
        """As it is in the file of the lock."""
        return json.dumps({**self._asdict(), "former": list(self.former[-_KEPT:])})

    def followed_by(self, deployment: str, door: str, instance: str) -> Holder:
        """Who has the lock after this one has handed over."""
        return Holder(deployment, door, instance, (*self.former, self.instance)[-_KEPT:])

    def after(self, before: Holder) -> Holder:
        """The same where this one has found the lock free: who has handed over before is still known, whoever begins again first."""
        return self._replace(former=tuple(one for one in before.former if one not in ("", self.instance)))


def holder_of(text: str) -> Holder | None:
    """Who has the lock by the text of its file, None where that does not say."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("former"), list):
        return None
    words = [found.get(name) for name in ("deployment", "door", "instance")] + found["former"]
    if not all(isinstance(word, str) and len(word) <= _LONGEST for word in words):
        return None
    holder = Holder(found["deployment"], found["door"], found["instance"], tuple(found["former"][-_KEPT:]))
    is_known = holder.deployment in DEPLOYMENTS and holder.door.endswith(".sock") and "/" not in holder.door
    return holder if is_known else None


def takes_over(holder: Holder, deployment: str, instance: str, expected: str, where: str) -> bool:
    """Whether an instance takes over from the one that has the lock, rather than wait for its end; raises OtherDeployment.

    `expected` is the deployment that may take over from another one. A service takes over from a service only where it is reloaded, and a
    pod never from one that has taken over from it.
    """
    if holder.deployment != deployment:
        if expected != deployment:
            raise OtherDeployment(
                f"the device plugin of this node is {_IN_WORDS[holder.deployment]} already,"
                f" and {_IN_WORDS[deployment]} cannot run beside it",
                where=where,
                remedy="remove one of the two, or change over with the variable qat_device_plugin_deploy",
            )
        return True
    return deployment == DAEMONSET and instance != holder.instance and instance not in holder.former
