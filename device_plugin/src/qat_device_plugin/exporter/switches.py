# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches telemetry on where it is off, keeps a record of where, and switches it off there again.

The record is written before telemetry is switched on, so that whoever comes after a process that was killed knows what that one did.
Telemetry that somebody else has switched on, or has set otherwise since, is his.
"""

from __future__ import annotations

import json
import logging
import time
import typing as t
from pathlib import Path

from .._node.absence import if_there
from .._node.devices.activity import TelemetryState, may_stay_on, read_telemetry, switch_telemetry
from .._node.devices.read import read_devices
from .._node.errors import WriteTimeout
from .._node.facts.pci import normal_address
from .._node.files import json_bytes, open_regular, replace_file

if t.TYPE_CHECKING:
    from .._node.devices.activity import PfActivity
    from .._node.devices.snapshot import QatDevice
    from .._node.kernel.live import Kernel

log = logging.getLogger(__name__)

SAMPLES = 1
"""What the exporter writes: the last sample, without an average. Prometheus makes those."""

AGAIN_SECONDS = 60.0
"""How long a PF is left alone that has refused what was written to its telemetry."""

_RECORD = "telemetry.json"
_LARGEST_RECORD = 65536


class Switches:
    """The PFs whose telemetry this exporter, or the one before it, has switched on."""

    def __init__(self, kernel: Kernel, run_dir: Path, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._clock = clock
        self._path = run_dir / _RECORD
        self._ours = self._read()
        self._refused: dict[str, float] = {}
        """When the kernel has refused it, or has not answered."""

    @property
    def ours(self) -> frozenset[str]:
        """The addresses of these PFs."""
        return frozenset(self._ours)

    def switch_on(self, pfs: t.Sequence[PfActivity]) -> list[PfActivity]:
        """Switch telemetry on where it is off; returns those that were. Raises OSError for the record.

        A PF that has refused it is left alone for a while: its firmware may not answer, for which the driver waits for seconds.
        """
        self._give_back(pfs)
        off = [one for one in pfs if one.telemetry.state is TelemetryState.OFF and self._is_due(one.address)]
        new = {one.address for one in off} - self._ours
        if new:
            self._write(self._ours | new)
        return [one for one in off if self._set(one.device, SAMPLES)]

    def switch_off(self, devices: t.Sequence[QatDevice]) -> bool:
        """Switch off what was switched on, and forget it; whether all of it is off. Raises OSError for the record."""
        left = set(self._ours)
        for device in devices:
            if device.address not in left or self._is_done_with(device):
                left.discard(device.address)
        # A PF that is gone, or down, has forgotten it.
        left.intersection_update(device.address for device in devices)
        self._write(left)
        return not left

    def _give_back(self, pfs: t.Sequence[PfActivity]) -> None:
        """Whoever has set telemetry otherwise has it from then on."""
        theirs = {
            one.address for one in pfs if one.telemetry.control not in (None, 0, SAMPLES) and one.address in self._ours
        }
        if theirs:
            self._write(self._ours - theirs)
            log.info("somebody else has set telemetry", extra={"fields": {"pfs": " ".join(sorted(theirs))}})

    def _is_done_with(self, device: QatDevice) -> bool:
        """Switch off a PF that is as it was switched on; whether nothing is left to do. What cannot be seen may still be on."""
        found = read_telemetry(self._kernel, device)
        if found.control == SAMPLES:
            return self._set(device, 0)
        return not may_stay_on(found, device)

    def _is_due(self, address: str) -> bool:
        return self._clock() - self._refused.get(address, float("-inf")) >= AGAIN_SECONDS

    def _set(self, device: QatDevice, samples: int) -> bool:
        """Whether the kernel has taken it. What it refuses is logged once."""
        try:
            switch_telemetry(self._kernel, device, samples)
        except (OSError, WriteTimeout) as error:
            if device.address not in self._refused:
                fields = {
                    "pf": device.address,
                    "samples": samples,
                    "problem": getattr(error, "strerror", None) or str(error),
                }
                log.warning("telemetry cannot be switched", extra={"fields": fields})
            self._refused[device.address] = self._clock()
            return False
        self._refused.pop(device.address, None)
        log.info("telemetry is switched %s", "on" if samples else "off", extra={"fields": {"pf": device.address}})
        return True

    def _write(self, ours: t.Collection[str]) -> None:
        replace_file(str(self._path), json_bytes({"switched_on": sorted(ours)}), mode=0o600)
        self._ours = set(ours)

    def _read(self) -> set[str]:
        """What the record says. One that is damaged says nothing, and is written again."""
        text = if_there(self._text, "")
        if not text:
            return set()
        try:
            return {normal_address(str(one)) for one in json.loads(text)["switched_on"]}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("the record cannot be used", extra={"fields": {"file": self._path, "problem": error}})
            return set()

    def _text(self) -> str:
        with open(self._path, encoding="utf-8", errors="replace", opener=open_regular) as stream:
            return stream.read(_LARGEST_RECORD)


def switch_off(kernel: Kernel, switches: Switches) -> bool:
    """Switch telemetry off where the record says that it was switched on; whether all of it is off. Raises NodeError or OSError."""
    if not switches.ours:
        return True
    return switches.switch_off([one for one in read_devices(kernel).qat if not one.is_vf])
