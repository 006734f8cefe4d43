# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what the PFs of a node do: telemetry, counters, power. Switches telemetry on and off, and says which ring pairs it follows.

Reading switches nothing on. Of the heartbeat its counts alone are read: each read of its status is a check of the device, and a second
reader of it makes the first one take the device for dead (adf_heartbeat.c, adf_hb_check_polling_freq).

Rate limits (qat_rl) cannot be read: the files show what was written to them last, and an agreement only after its number was written,
where somebody else may be about to write another one (adf_sysfs_rl.c).
"""

from __future__ import annotations

import enum
import errno
import os
import typing as t
from dataclasses import dataclass, field

from ..absence import is_absent
from ..errors import NodeError
from ..facts.paths import debug_directory, debug_file
from ..kernel.live import Kernel
from .snapshot import Node, PciFunction, QatDevice
from .telemetry import (
    SLOTS,
    DeviceSample,
    EngineCounters,
    PowerStatus,
    RingPairSample,
    parse_compression_errors,
    parse_count,
    parse_device_data,
    parse_firmware_counters,
    parse_power,
    parse_ring_pair,
)

CONTROL = "telemetry/control"
DEVICE_DATA = "telemetry/device_data"

SWITCH_SECONDS = 10.0
"""How long a write to telemetry may take: it asks the firmware to stop and to start (adf_tl_halt, adf_tl_run)."""

FIRMWARE, SENT, FAILED, COMPRESSION, POWER = (
    "fw_counters",
    "heartbeat/queries_sent",
    "heartbeat/queries_failed",
    "cnv_errors",
    "pm_status",
)
COUNTER_FILES = (FIRMWARE, SENT, FAILED, COMPRESSION, POWER)

_Parsed = t.TypeVar("_Parsed")


class TelemetryState(enum.Enum):
    """Whether a PF's telemetry can be read, and if not, why."""

    ON = "on"
    OFF = "off"
    DOWN = "down"
    UNSUPPORTED = "unsupported"
    NO_DEBUGFS = "no_debugfs"
    LOCKED_DOWN = "locked_down"
    DENIED = "denied"
    SILENT = "silent"
    FAILED = "failed"


_REASONS: t.Mapping[TelemetryState, str] = {
    TelemetryState.ON: "",
    TelemetryState.OFF: "it is switched off",
    TelemetryState.DOWN: "the PF is down",
    TelemetryState.UNSUPPORTED: "the device, its driver or its firmware has none: it needs Gen4 or later, and Linux 6.8",
    TelemetryState.NO_DEBUGFS: "debugfs is not mounted, or no driver has the PF",
    TelemetryState.LOCKED_DOWN: "it is off or the kernel is locked down, as with secure boot",
    TelemetryState.DENIED: "only root may read debugfs",
    TelemetryState.SILENT: "the kernel does not answer, since it is at work on the device",
}


@dataclass(frozen=True)
class Telemetry:
    """A PF's telemetry. `sample` is None unless it is on; `control` is how many samples it averages, None where that is not known.

    `problem` is what the kernel answered where the state is FAILED.
    """

    state: TelemetryState
    control: int | None = None
    sample: DeviceSample | None = None
    problem: str = ""

    @property
    def reason(self) -> str:
        """Why there is no sample, in a few words; empty where there is one."""
        return self.problem or _REASONS[self.state]


@dataclass(frozen=True)
class Counters:
    """What a PF's driver counts beside telemetry. None where it is not there, or could not be read.

    `firmware` is by acceleration engine. `queries_sent` and `queries_failed` are the heartbeat's. `compression_errors` are compressions
    that did not decompress to what was compressed. `unreadable` says by file why what is there could not be read.
    """

    firmware: tuple[EngineCounters, ...] | None = None
    queries_sent: int | None = None
    queries_failed: int | None = None
    compression_errors: int | None = None
    power: PowerStatus | None = None
    unreadable: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PfActivity:
    """A PF, with its state, services and VFs in `device`, and what it does."""

    device: QatDevice
    telemetry: Telemetry
    counters: Counters

    @property
    def address(self) -> str:
        return self.device.address

    @property
    def vfs(self) -> tuple[PciFunction, ...]:
        """The VFs that exist now, each with its holders where these were looked for."""
        return self.device.vfs

    @property
    def utilization(self) -> t.Mapping[str, float]:
        """By engine the part of it that works, the mean of its slices, 0 to 1. Empty without telemetry."""
        return self.telemetry.sample.utilization if self.telemetry.sample else {}

    @property
    def read_bytes_per_second(self) -> int | None:
        """What the device reads by PCIe; None without telemetry."""
        return self.telemetry.sample.read_bytes_per_second if self.telemetry.sample else None

    @property
    def written_bytes_per_second(self) -> int | None:
        """What the device writes by PCIe; None without telemetry."""
        return self.telemetry.sample.written_bytes_per_second if self.telemetry.sample else None

    @property
    def latency(self) -> float | None:
        """Seconds from a request to its answer, on average ("get to put"). None without telemetry, or before the first sample."""
        sample = self.telemetry.sample
        return sample.latencies.get("get_to_put_avg") if sample and sample.samples else None


def activity_of(kernel: Kernel, node: Node, counters: bool = True) -> tuple[PfActivity, ...]:
    """What the PFs of a node that was read do. A PF that cannot be asked has the reason in its telemetry; nothing is raised for it.

    Without `counters` these are empty, and no firmware is asked for them.
    """
    pfs = [device for device in node.qat if not device.is_vf]
    names = (CONTROL, DEVICE_DATA, *(COUNTER_FILES if counters else ()))
    kernel.expect([_file(device, name) for device in pfs for name in names])
    return tuple(
        PfActivity(device, read_telemetry(kernel, device), read_counters(kernel, device) if counters else Counters())
        for device in pfs
    )


def read_telemetry(kernel: Kernel, device: QatDevice) -> Telemetry:
    """A PF's telemetry as it is now: whether it is on, and its last sample."""
    control = _read(kernel, _file(device, CONTROL), parse_count)
    data = _read(kernel, _file(device, DEVICE_DATA), parse_device_data)
    samples = control if isinstance(control, int) else None
    if isinstance(data, DeviceSample):
        return Telemetry(TelemetryState.ON, samples, data)
    if data.code == errno.EPERM and samples is not None:
        return Telemetry(TelemetryState.OFF, samples)
    # Data of telemetry that is off is refused as all is in a kernel that is locked down: the control file says which of the two it is.
    unread = control if data.code == errno.EPERM and isinstance(control, _Unread) else data
    if unread.absent:
        return _without(kernel, device)
    state = _STATES.get(unread.code, TelemetryState.FAILED)
    return Telemetry(state, samples, problem=unread.text if state is TelemetryState.FAILED else "")


def may_stay_on(found: Telemetry, device: QatDevice) -> bool:
    """Whether a PF's telemetry may be on without that being seen. A PF that is down, has none, or has not its driver has forgotten it."""
    is_left = device.function.driver != device.family.pf_driver
    has_forgotten = is_left or found.state in (TelemetryState.DOWN, TelemetryState.UNSUPPORTED)
    return found.control is None and not has_forgotten


def read_counters(kernel: Kernel, device: QatDevice) -> Counters:
    """What a PF's driver counts. A file that is there and cannot be read is in `unreadable`."""
    unreadable: dict[str, str] = {}

    def read(name: str, parse: t.Callable[[str], _Parsed]) -> _Parsed | None:
        found = _read(kernel, _file(device, name), parse)
        if not isinstance(found, _Unread):
            return found
        if not found.absent:
            unreadable[name] = found.text
        return None

    return Counters(
        firmware=read(FIRMWARE, parse_firmware_counters),
        queries_sent=read(SENT, parse_count),
        queries_failed=read(FAILED, parse_count),
        compression_errors=read(COMPRESSION, parse_compression_errors),
        power=read(POWER, parse_power),
        unreadable=unreadable,
    )


def read_slots(kernel: Kernel, device: QatDevice) -> dict[str, RingPairSample]:
    """By slot the ring pair that stands in it, with its last sample: none while telemetry is off, or nobody has chosen any."""
    kernel.expect([_slot(device, name) for name in SLOTS])
    found = {name: _read(kernel, _slot(device, name), parse_ring_pair) for name in SLOTS}
    return {name: one for name, one in found.items() if isinstance(one, RingPairSample)}


def switch_telemetry(kernel: Kernel, device: QatDevice, samples: int) -> None:
    """Switch a PF's telemetry on, with so many samples to be averaged, or off with 0.

    Raises OSError with the kernel's errno, or WriteTimeout. With `samples` above 4 it is EINVAL.
    """
    kernel.write(_file(device, CONTROL), str(samples), SWITCH_SECONDS)


def follow(kernel: Kernel, device: QatDevice, ring_pairs: t.Sequence[int]) -> None:
    """Have the slots stand for these ring pairs, at most four, and telemetry on. For who has switched it on himself.

    With it off, a slot is changed without a restart of its own. A ring pair that stands in another slot is refused without an error
    (adf_tl_debugfs.c, adf_tl_dbg_change_rp_index), which only shows once telemetry is on: then it is chosen once more. Values of the
    ring pairs are theirs after SETTLE_SECONDS. Raises OSError, WriteTimeout, or NodeError where the kernel does not take them.
    """
    switch_telemetry(kernel, device, 0)
    for slot, ring_pair in zip(SLOTS, ring_pairs):
        kernel.write(_slot(device, slot), str(ring_pair), SWITCH_SECONDS)
    switch_telemetry(kernel, device, 1)
    shown = {slot: one.ring_pair for slot, one in read_slots(kernel, device).items()}
    missing = [one for one in ring_pairs if one not in shown.values()]
    free = [slot for slot in SLOTS if shown.get(slot) not in ring_pairs]
    for slot, ring_pair in zip(free, missing):
        kernel.write(_slot(device, slot), str(ring_pair), SWITCH_SECONDS)
    if missing and not {one.ring_pair for one in read_slots(kernel, device).values()}.issuperset(ring_pairs):
        raise NodeError(
            f"telemetry does not follow the ring pairs {', '.join(map(str, ring_pairs))}",
            where=device.address,
            remedy="see who else writes to telemetry in debugfs",
        )


class _Unread(t.NamedTuple):
    """Why a file was not read: an errno, 0 for a text of another form."""

    code: int
    text: str
    absent: bool


_STATES: t.Mapping[int, TelemetryState] = {
    errno.EPERM: TelemetryState.LOCKED_DOWN,
    errno.EACCES: TelemetryState.DENIED,
    errno.ETIMEDOUT: TelemetryState.SILENT,
}


def _read(kernel: Kernel, path: str, parse: t.Callable[[str], _Parsed]) -> _Parsed | _Unread:
    try:
        return parse(kernel.read(path))
    except ValueError as error:
        return _Unread(0, f"{path} is of another form than Linux's: {error}", absent=False)
    except OSError as error:
        code = error.errno or errno.EIO
        # Intel's out-of-tree driver has a file of the name `heartbeat`, below which there is nothing (adf_heartbeat_debugfs.c).
        return _Unread(code, f"{path}: {os.strerror(code)}", is_absent(error) or code == errno.ENOTDIR)


def _without(kernel: Kernel, device: QatDevice) -> Telemetry:
    """A PF that shows no telemetry, though nothing hinders from seeing it."""
    if device.state == "down":
        return Telemetry(TelemetryState.DOWN)
    try:
        there = kernel.exists(debug_directory(device.family.name, device.address))
    except NodeError as error:
        return Telemetry(TelemetryState.FAILED, problem=str(error))
    return Telemetry(TelemetryState.UNSUPPORTED if there else TelemetryState.NO_DEBUGFS)


def _file(device: QatDevice, name: str) -> str:
    return debug_file(device.family.name, device.address, name)


def _slot(device: QatDevice, slot: str) -> str:
    return _file(device, f"telemetry/rp_{slot}_data")
