# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet's PodResources socket and its checkpoint, without the rest of a kubelet, for a node where pods are only pretended.

    python3 -m harness.give ROOT

Listens below ROOT, kubelet's root directory, and answers with what ROOT/given.json has at that moment: a list of objects with
`namespace`, `pod`, `uid`, `container`, `resource` and `devices`. The checkpoint follows that file. Ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import typing as t
from pathlib import Path

from .pod_resources import FakePodResources

GIVEN = "given.json"


class FromFile(FakePodResources):
    """Answers with what the file has."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root

    def given(self) -> list[dict[str, t.Any]]:
        found: list[dict[str, t.Any]] = json.loads((self.root / GIVEN).read_text())
        return found

    def _list(self) -> bytes:
        self.pods = {
            (one["namespace"], one["pod"]): {one["container"]: {one["resource"]: one["devices"]}}
            for one in self.given()
        }
        return super()._list()

    def keep(self) -> None:
        """Write the checkpoint, and a directory for each pod."""
        entries = [
            {
                "PodUID": one["uid"],
                "ContainerName": one["container"],
                "ResourceName": one["resource"],
                "DeviceIDs": {"-1": one["devices"]},
            }
            for one in self.given()
        ]
        path = self.root / "device-plugins/kubelet_internal_checkpoint"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name("draft")
        draft.write_text(json.dumps({"Data": {"PodDeviceEntries": entries, "RegisteredDevices": {}}, "Checksum": 1}))
        draft.replace(path)
        for one in self.given():
            (self.root / "pods" / one["uid"]).mkdir(parents=True, exist_ok=True)


async def serve(root: Path) -> None:
    """Listen until the signal comes."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    (root / "pods").mkdir(parents=True, exist_ok=True)
    kubelet = FromFile(root)
    kubelet.keep()
    await kubelet.start()
    said = kubelet.given()
    while not stop.is_set():
        if kubelet.given() != said:
            said = kubelet.given()
            kubelet.keep()
        await asyncio.sleep(0.1)
    await kubelet.stop()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
