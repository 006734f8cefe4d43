# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods that ask for a VF, one after the other without a pause, to see which of them kubelet refuses."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tests.lab.qat_lab import pod_image
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.api import ApiError
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import PODS

if TYPE_CHECKING:
    from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster

LIMIT = 300.0


class Admissions:
    """As a context manager it makes such pods all the while. Each is removed as soon as kubelet has said what becomes of it.

    Kubelet admits a pod, and asks for its VF, before anything is started for it. These wait for a volume that never comes, which costs
    the node next to nothing, so that there are many of them. No scheduler stands between, which would hold pods back while the node
    offers nothing. Between two of them are so many seconds of `pause`: without one kubelet alone takes most of an emulated node's time.
    """

    def __init__(self, cluster: Cluster, resource: str, pause: float = 0.0) -> None:
        self.admitted = 0
        self.refused: list[str] = []
        self._cluster = cluster
        self._resource = resource
        self._pause = pause
        self._stop = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Admissions:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._problem:
            raise self._problem

    def __str__(self) -> str:
        return f"{self.admitted} admitted, {len(self.refused)} refused: {sorted(set(self.refused))}"

    def wait_for(self, number: int) -> None:
        """Wait until so many more have been admitted or refused."""
        wanted = self._number() + number
        while self._number() < wanted and self._thread.is_alive():
            time.sleep(0.1)

    def _number(self) -> int:
        return self.admitted + len(self.refused)

    def _run(self) -> None:
        try:
            for number in itertools.count():
                if self._stop.wait(self._pause):
                    return
                self._try(f"{self._resource.rpartition('/')[2]}-{number}")
        except BaseException as error:  # whatever it is, the test has to know
            self._problem = error

    def _try(self, name: str) -> None:
        create_waiting_pod(self._cluster, name, self._resource)
        end = time.monotonic() + LIMIT
        while not (status := self._cluster.pod(name)["status"]).get("startTime"):
            if time.monotonic() > end:
                raise TimeoutError(f"kubelet says nothing of pod {name}: {status}")
            time.sleep(0.02)
        if status["phase"] == "Failed":
            self.refused.append(f"{status.get('reason')}: {status.get('message')}")
        else:
            self.admitted += 1
        with contextlib.suppress(ApiError):
            self._cluster.api.delete(f"{PODS}/{name}?gracePeriodSeconds=0")


def create_waiting_pod(cluster: Cluster, name: str, resource: str) -> None:
    """Make a pod on the first node with one unit of the resource. Nothing of it is started, since its volume never comes."""
    container: dict[str, Any] = {
        "name": "main",
        "image": pod_image.NAME,
        "imagePullPolicy": "Never",
        "resources": {"limits": {resource: "1"}},
        "volumeMounts": [{"name": "never", "mountPath": "/never"}],
    }
    specification = {
        "nodeName": cluster.nodes[0],
        "containers": [container],
        "volumes": [{"name": "never", "configMap": {"name": "never"}}],
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
    }
    cluster.api.post(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": specification})
