# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node of files with its kubelet's socket, and the cluster that it is of."""

from __future__ import annotations

from pathlib import Path

from harness.node_files import NodeFiles
from harness.pod_resources import KubeletThread

from ansible_collections.accel.qat.tests.unit.cluster.api_server import FakeCluster

CY = "qat.intel.com/cy"
PF, VF0, VF1 = "0000:6b:00.0", "0000:6b:00.1", "0000:6b:00.2"


class NodeOfCluster:
    """A node with two VFs. `root` is kubelet's root directory; the node's file systems are in `n` below it, programs in `bin`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = NodeFiles(root / "n")
        self.files.add_pf(PF, vfs=2)
        for vf in (VF0, VF1):
            (self.files.devices / vf / "driver_override").write_text("vfio-pci\n")
        # What the engine reads besides: drivers that are there, and an IOMMU.
        (self.files.sys / "bus/pci/drivers/vfio-pci").mkdir(parents=True, exist_ok=True)
        (self.files.sys / "module/vfio_pci/parameters").mkdir(parents=True)
        self.kubelet = KubeletThread(root)
        self.kubelet.fake.allocatable = {CY: [VF0, VF1]}
        self.kubelet.start()
        self.cluster = FakeCluster()
        self.cluster.plugins[CY] = 2

    def program(self, name: str, does: str) -> None:
        """A program of the node, in the shell's words."""
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def close(self) -> None:
        self.cluster.close()
        self.kubelet.close()
