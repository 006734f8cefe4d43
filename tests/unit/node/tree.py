# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's files in a directory, for the live kernel; FIFOs block as sysfs files do whose device somebody holds."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.accel.qat.plugins.module_utils._node.kernel.live import LiveKernel

DEVICE = "/sys/bus/pci/devices/0000:6b:00.0"
OTHER = "/sys/bus/pci/devices/0000:70:00.0"


class Tree:
    """A host's files, mounted at other places."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kernel = LiveKernel(f"{root}/host-sys/", f"{root}/host-proc", f"{root}/host-dev")
        for directory in ("host-sys/bus/pci/devices/0000:6b:00.0/qat", "host-proc", "host-dev"):
            (root / directory).mkdir(parents=True)

    def at(self, path: str) -> Path:
        return self.root / ("host-" + path.lstrip("/"))

    def file(self, path: str, content: bytes = b"") -> Path:
        place = self.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return place

    def fifo(self, path: str) -> Path:
        os.mkfifo(self.at(path))
        return self.at(path)
