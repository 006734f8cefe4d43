# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The support bundle of a provisioned node has what an engineer needs, of a real kernel, systemd and kubelet, and no secret of theirs."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.accel.qat.tests.cluster.provisioned.resources import CY, FIRST

if TYPE_CHECKING:
    from ansible_collections.accel.qat.tests.controller.controller import Controller
    from ansible_collections.accel.qat.tests.machine.node import Node

SECRET = "s3cr3t0fTheLab"
DROP_IN = "/etc/systemd/system/kubelet.service.d/50-lab.conf"
PRESENT = (
    "qat/devices.json",
    "qat/plan.json",
    "qat/kubernetes.json",
    "sysfs/devices.json",
    "sysfs/iommu_groups.json",
    "sysfs/modules.json",
    "system/cmdline",
    "kubelet/kubelet.json",
    "kubelet/checkpoint.json",
    "device_plugin/readyz",
    "device_plugin/metrics",
    "cluster/node.json",
    "logs/kernel",
    "logs/qat-node.service",
    "logs/accel-qat-device-plugin.service",
    "logs/kubelet.service",
    "systemd/kubelet.service",
    "files/etc/accel-qat/node.json",
    f"files{DROP_IN}",
)


def in_archive(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        streams = {name: archive.extractfile(name) for name in archive.getnames()}
        return {name: stream.read().decode() for name, stream in streams.items() if stream is not None}


def test_a_bundle_of_the_node(node: Node, controller: Controller, settings: dict[str, Any], tmp_path: Path) -> None:
    drop_in = f"[Service]\\nEnvironment=LAB_WORD={SECRET}\\nEnvironment=HTTP_PROXY=http://me:{SECRET}@proxy:3128\\n"
    node.run(f"printf '{drop_in}' > {DROP_IN}; systemctl daemon-reload; echo 'qat: token={SECRET}' > /dev/kmsg")
    try:
        run = controller.run("accel.qat.gather", **settings, qat_gather_directory=str(tmp_path))
    finally:
        node.run(f"rm {DROP_IN}; systemctl daemon-reload")
    assert run.code == 0, run.output
    assert [task.name for task in run.tasks if task.changed] == ["Copy the archive to the controller"]
    assert node.run("find /tmp /var/tmp /root -maxdepth 1 -name 'accel-qat-gather-*'") == ""
    (path,) = tmp_path.glob("*.tar.gz")
    found = in_archive(path)
    assert [name for name in PRESENT if name not in found] == [], found["README"]
    assert [name for name, text in found.items() if SECRET in text] == []
    assert json.loads(found["qat/plan.json"])["steps"] == []
    assert len(json.loads(found["qat/kubernetes.json"])["allocatable"][CY]) == 16
    assert json.loads(found["cluster/node.json"])["allocatable"][CY] == "16"
    assert json.loads(found["sysfs/devices.json"])[FIRST]["sriov_numvfs"] == "16"
    assert found["device_plugin/readyz"].startswith("HTTP status 200")
    assert "PRIVATE KEY" not in "".join(found.values())
