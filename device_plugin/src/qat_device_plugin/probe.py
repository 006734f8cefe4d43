# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the engine does not: who is in an IOMMU group, and each PF's state, error counters and heartbeat, which give no event.

Sources: Linux Documentation/ABI/testing/debugfs-driver-qat, sysfs-driver-qat and sysfs-driver-qat_ras.
"""

from __future__ import annotations

import errno
import typing as t

from ._node.absence import if_there, is_absent
from ._node.devices.snapshot import Node, QatDevice
from ._node.facts.paths import IOMMU_GROUPS, debug_file, device_file, qat_file
from ._node.fields import is_number
from ._node.kernel.live import Kernel
from .health import Reading

DEFAULT_INTERVAL = 0.5
"""Seconds between two checks by the driver where it does not say (adf_heartbeat.h)."""

_MARGIN = 2
"""Between two readings lie at least this many intervals of the driver: a reading too early says that the device is dead."""


_NO_READING = frozenset({errno.EINVAL, errno.ETIMEDOUT, errno.ENOTDIR})
"""What the kernel answers for a driver that has no device as yet, or no more, and where it is still at work on the device.

Also where `heartbeat` is no directory: Intel's out-of-tree driver has a file of that name, which is not read (adf_heartbeat_debugfs.c).
"""


def read_groups(kernel: Kernel, node: Node) -> dict[str, dict[str, str | None]]:
    """The driver of each device in the IOMMU groups of the VFs. Raises OSError where that cannot be seen."""
    groups = {vf.iommu_group for device in node.qat for vf in device.vfs if vf.iommu_group}
    return {group: _drivers(kernel, f"{IOMMU_GROUPS}/{group}/devices") for group in groups}


def _drivers(kernel: Kernel, directory: str) -> dict[str, str | None]:
    """The driver of each device in a directory of devices."""
    return {name: link(kernel, f"{directory}/{name}/driver") for name in names_in(kernel, directory)}


def names_in(kernel: Kernel, directory: str) -> t.Sequence[str]:
    """What is in a directory, nothing where it is not there. Raises OSError where that cannot be seen."""
    nothing: t.Sequence[str] = ()
    return if_there(lambda: kernel.list(directory), nothing)


def link(kernel: Kernel, path: str) -> str | None:
    """The last component of a symbolic link's target, or None where there is none. Raises OSError where that cannot be seen."""
    nothing: str | None = None
    return if_there(lambda: kernel.link(path), nothing)


class Prober:
    """Looks at PFs. The one reader of their heartbeat, since the driver takes a second one for a dead device."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._not_before: dict[str, float] = {}

    def probe(
        self, devices: t.Sequence[QatDevice], now: float, heartbeats: bool = True
    ) -> tuple[dict[str, Reading], frozenset[str]]:
        """A reading of each PF by its address, and the PFs that show no heartbeat at all. Raises OSError where one cannot be seen.

        Without `heartbeats` these are left to another reader.
        """
        self._kernel.expect([qat_file(device.address, "state") for device in devices if device.family.has_services])
        readings: dict[str, Reading] = {}
        silent: set[str] = set()
        for device in devices:
            beats: bool | None = None
            if heartbeats and now >= self._not_before.get(device.address, now):
                status = self._status(device)
                if status in ("0", "-1"):
                    beats = status == "0"
                    self._not_before[device.address] = now + _MARGIN * self._interval(device)
                elif status is not None:
                    silent.add(device.address)
            readings[device.address] = Reading(self._state(device), beats, self._fatal_errors(device))
        return readings, frozenset(silent)

    def next_heartbeat(self, address: str) -> float:
        """When the heartbeat of a PF may be read again; a time in the past where it has not been read."""
        return self._not_before.get(address, 0.0)

    def _state(self, device: QatDevice) -> str | None:
        return self._read(qat_file(device.address, "state")) if device.family.has_services else None

    def _fatal_errors(self, device: QatDevice) -> int | None:
        text = self._read(device_file(device.address, "qat_ras/errors_fatal"))
        return int(text) if text and is_number(text) else None

    def _status(self, device: QatDevice) -> str | None:
        """What the heartbeat says, empty where there is none; None where nobody may read it, as in a locked down kernel."""
        try:
            return self._read(_heartbeat(device) + "/status") or ""
        except PermissionError as error:
            if error.errno == errno.EACCES and device.address in self._not_before:
                raise
            return None

    def _interval(self, device: QatDevice) -> float:
        milliseconds = self._read(_heartbeat(device) + "/config")
        return int(milliseconds) / 1000 if milliseconds and is_number(milliseconds) else DEFAULT_INTERVAL

    def _read(self, path: str) -> str | None:
        """The file's text; None where it is not there, or the kernel has nothing to report. Raises every other OSError."""
        try:
            return self._kernel.read(path)
        except OSError as error:
            if is_absent(error) or error.errno in _NO_READING:
                return None
            raise


def _heartbeat(device: QatDevice) -> str:
    return debug_file(device.family.name, device.address, "heartbeat")
