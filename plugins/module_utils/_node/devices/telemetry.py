# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a QAT driver prints of a PF's work, as values in base units: bytes per second, seconds, ratios.

Sources: Linux drivers/crypto/intel/qat/qat_common (adf_tl_debugfs.c and .h, adf_gen4_tl.c, adf_gen6_tl.c, adf_fw_counters.c,
adf_cnv_dbgfs.c, adf_heartbeat_dbgfs.c, adf_gen4_pm_debugfs.c) and Documentation/ABI/testing/debugfs-driver-qat_telemetry.

A line that is not known here is left out, so that a newer kernel may print more; so is a number that no kernel prints.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ..fields import is_number, lines_in, words_in

SLOTS = ("A", "B", "C", "D")
"""The slots of a PF's telemetry, each for one ring pair (ADF_GEN4_TL_MAX_RP_NUM, ADF_GEN6_TL_MAX_RP_NUM)."""

RING_PAIRS_OF_VF = 4
"""How many ring pairs a VF has from Gen4 on: VF n has 4n to 4n+3 (ADF_GEN4_NUM_BANKS_PER_VF, adf_gen6_shared.c)."""

SAMPLE_SECONDS = 1.0
"""The device writes a sample so often (ADF_TL_DATA_WR_INTERVAL_MS)."""

SETTLE_SECONDS = 2.0
"""After a slot was given another ring pair it shows the former one's values until the driver has taken a sample.

The driver looks twice in each sample, and keeps what it has over the restart (adf_telemetry.c, tl_work_handler).
"""

_LONGEST_TEXT = 65536
_MOST_LINES = 1024
_LARGEST = 2**64 - 1

_BYTES_PER_MEGABIT = 125000
_NANOSECONDS = 1e-9

_LATENCIES = {
    "max_rd_lat": "read_max",
    "rd_lat_acc_avg": "read_avg",
    "max_gp_lat": "get_to_put_max",
    "gp_lat_acc_avg": "get_to_put_avg",
    "at_page_req_lat_avg": "page_request_avg",
    "at_trans_lat_avg": "translation_avg",
    "re_acc_avg": "ring_empty_avg",
}
"""Latencies by the name of their line. The greatest get-to-put latency is that of the first acceleration engine alone."""

_DEVTLB = {
    "at_glob_devtlb_hit": "descriptor_hits",
    "at_glob_devtlb_miss": "descriptor_misses",
    "tl_at_payld_devtlb_hit": "payload_hits",
    "tl_at_payld_devtlb_miss": "payload_misses",
}

_OF_SLICE = re.compile(r"(util|exec)_([a-z]{1,16})([0-9]{1,3})")
_OF_QUEUE = re.compile(r"cmdq_(wait|exec|drain)_([a-z]{1,16})([0-9]{1,3})")
_ENGINE_ROW = re.compile(r"\s*([0-9]{1,5}):?\s+([0-9]{1,20})(?:\s+([0-9]{1,20}))?(?:\s.*)?")
_POWER_ROW = re.compile(r"([a-z_]{1,40}): (0x[0-9a-f]{1,8}|0|min|max)")


@dataclass(frozen=True)
class Slice:
    """One slice of an engine, such as slice 0 of `pke`, in the last sample.

    `utilization` is the part of its time that it worked, 0 to 1. `executions` is what the device counted; whether over the sample or
    since telemetry was switched on no source says.
    """

    engine: str
    number: int
    utilization: float | None = None
    executions: int | None = None


@dataclass(frozen=True)
class CommandQueue:
    """One command queue of an engine, from Gen6 on: what the device counted of its states (cmdq_wait_, cmdq_exec_, cmdq_drain_)."""

    engine: str
    number: int
    counts: t.Mapping[str, int]


@dataclass(frozen=True)
class DeviceSample:
    """The last sample of a PF (telemetry/device_data). What the device does not measure is None or missing.

    `samples` were taken since telemetry was switched on; with none as yet all values are zero. `latencies` are in seconds, by kind.
    `transactions` are PCIe partial transactions in the sample; `translations_used` the most entries of the translation buffer in use.
    """

    samples: int
    slices: tuple[Slice, ...] = ()
    written_bytes_per_second: int | None = None
    read_bytes_per_second: int | None = None
    latencies: t.Mapping[str, float] = field(default_factory=dict)
    transactions: int | None = None
    translations_used: int | None = None
    queues: tuple[CommandQueue, ...] = ()

    @property
    def utilization(self) -> dict[str, float]:
        """By engine the part of it that works: the mean of its slices, 0 to 1.

        The firmware spreads requests over the slices, so that an engine has room as long as any of them has.
        """
        engines: dict[str, list[float]] = {}
        for one in self.slices:
            if one.utilization is not None:
                engines.setdefault(one.engine, []).append(one.utilization)
        return {engine: sum(parts) / len(parts) for engine, parts in engines.items()}


@dataclass(frozen=True)
class RingPairSample:
    """The last sample of a ring pair that stands in a slot (telemetry/rp_A_data to rp_D_data). What is not measured is None or missing.

    `service` is what the ring pair does, as the driver prints it. `devtlb` are hits and misses in the sample.
    """

    samples: int
    ring_pair: int
    service: str = ""
    written_bytes_per_second: int | None = None
    read_bytes_per_second: int | None = None
    latencies: t.Mapping[str, float] = field(default_factory=dict)
    transactions: int | None = None
    devtlb: t.Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineCounters:
    """What an acceleration engine has been asked, and has answered, since the device came up (fw_counters)."""

    engine: int
    requests: int
    responses: int


@dataclass(frozen=True)
class PowerStatus:
    """A PF's power (pm_status): `level` is min or max, None where it is not printed. `events` are counts since the device came up."""

    level: str | None = None
    events: t.Mapping[str, int] = field(default_factory=dict)


def parse_device_data(text: str) -> DeviceSample:
    """What telemetry/device_data says. Raises ValueError where it is of another form, without `sample_cnt` first."""
    values = _values(text)
    return DeviceSample(
        samples=values["sample_cnt"],
        slices=tuple(_slices(values)),
        written_bytes_per_second=_bandwidth(values, "bw_in"),
        read_bytes_per_second=_bandwidth(values, "bw_out"),
        latencies=_latencies(values),
        transactions=values.get("pci_trans_cnt"),
        translations_used=values.get("at_max_tlb_used", values.get("at_max_utlb_used")),
        queues=tuple(_queues(values)),
    )


def parse_ring_pair(text: str) -> RingPairSample:
    """What telemetry/rp_A_data and its like say. Raises ValueError where it is of another form, without the ring pair's number."""
    values = _values(text)
    if "rp_num" not in values:
        raise ValueError("it has no line rp_num")
    return RingPairSample(
        samples=values["sample_cnt"],
        ring_pair=values["rp_num"],
        service=_service(text),
        written_bytes_per_second=_bandwidth(values, "bw_in"),
        read_bytes_per_second=_bandwidth(values, "bw_out"),
        latencies=_latencies(values),
        transactions=values.get("pci_trans_cnt"),
        devtlb={kind: values[name] for name, kind in _DEVTLB.items() if name in values},
    )


def parse_firmware_counters(text: str) -> tuple[EngineCounters, ...]:
    """What fw_counters says: a row for each acceleration engine but those of the driver's own use. Raises ValueError without a row."""
    rows = [row for row in _rows(text) if row[2] is not None]
    if not rows:
        raise ValueError("it has no row of an acceleration engine")
    return tuple(EngineCounters(engine, requests, responses or 0) for engine, requests, responses in rows)


def parse_compression_errors(text: str) -> int:
    """What cnv_errors says: compressions that did not decompress to what was compressed, of all engines. 0 without compression."""
    return sum(errors for _engine, errors, _last in _rows(text))


def parse_count(text: str) -> int:
    """A file with one number, such as heartbeat/queries_sent, which ends with a NUL byte. Raises ValueError for another form."""
    number = _number(text.replace("\0", "").strip())
    if number is None:
        raise ValueError("it is no count")
    return number


def parse_power(text: str) -> PowerStatus:
    """What pm_status says of the power level and what changed it. Raises ValueError where it says nothing of either."""
    found = {match[1]: match[2] for match in map(_POWER_ROW.fullmatch, _lines(text)) if match}
    level = found.get("power_level")
    events = {
        name[: -len("_count")]: int(value, 0)
        for name, value in found.items()
        if name.endswith(("_irq_count", "_ack_count", "_nack_count")) and value not in ("min", "max")
    }
    if level not in ("min", "max") and not events:
        raise ValueError("it has no power level")
    return PowerStatus(level if level in ("min", "max") else None, events)


def ring_pairs_of_vf(index: int) -> tuple[int, ...]:
    """The ring pairs of a VF from Gen4 on, one for each slot."""
    return tuple(range(index * RING_PAIRS_OF_VF, (index + 1) * RING_PAIRS_OF_VF))


def _lines(text: str) -> list[str]:
    """Raises ValueError for a text of a size that no kernel prints: a file of debugfs can be anything that is mounted over it."""
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"it has more than {_LONGEST_TEXT} characters")
    lines = lines_in(text.replace("\0", ""))
    if len(lines) > _MOST_LINES:
        raise ValueError(f"it has more than {_MOST_LINES} lines")
    return lines


def _values(text: str) -> dict[str, int]:
    """The latest value by the name of each line that has one, or four: value, least, greatest and average. The first name counts."""
    found: dict[str, int] = {}
    for number, line in enumerate(_lines(text)):
        name, *fields = words_in(line) or [""]
        numbers = [one for one in map(_number, fields) if one is not None]
        if number == 0 and name != "sample_cnt":
            raise ValueError("its first line is not sample_cnt")
        if len(numbers) == len(fields) and len(fields) in (1, 4):
            found.setdefault(name, numbers[0])
    if "sample_cnt" not in found:
        raise ValueError("it has no number of samples")
    return found


def _number(text: str) -> int | None:
    """The number that a kernel prints as %llu; None for anything else."""
    number = int(text) if is_number(text) and len(text) <= len(str(_LARGEST)) else None
    return number if number is not None and number <= _LARGEST else None


def _service(text: str) -> str:
    rows = map(words_in, _lines(text))
    words = next((row[1] for row in rows if len(row) == 2 and row[0] == "service_type"), "")
    return words if re.fullmatch(r"[a-zA-Z]{1,16}", words) else ""


def _bandwidth(values: t.Mapping[str, int], name: str) -> int | None:
    """Bytes per second of what is printed as megabits per second (adf_tl_debugfs.c, tl_bw_hw_units_to_mbps)."""
    return values[name] * _BYTES_PER_MEGABIT if name in values else None


def _latencies(values: t.Mapping[str, int]) -> dict[str, float]:
    return {kind: values[name] * _NANOSECONDS for name, kind in _LATENCIES.items() if name in values}


def _slices(values: t.Mapping[str, int]) -> t.Iterator[Slice]:
    found: dict[tuple[str, int], dict[str, int]] = {}
    for kind, engine, number, value in _of_units(_OF_SLICE, values):
        found.setdefault((engine, number), {})[kind] = value
    for (engine, number), parts in found.items():
        utilization = parts.get("util")
        # A percentage; what is more is a device that is wrong, and no time that it worked.
        known = utilization is not None and utilization <= 100
        yield Slice(engine, number, utilization / 100 if known and utilization is not None else None, parts.get("exec"))


def _queues(values: t.Mapping[str, int]) -> t.Iterator[CommandQueue]:
    found: dict[tuple[str, int], dict[str, int]] = {}
    for kind, engine, number, value in _of_units(_OF_QUEUE, values):
        found.setdefault((engine, number), {})[kind] = value
    return (CommandQueue(engine, number, counts) for (engine, number), counts in found.items())


def _of_units(names: re.Pattern[str], values: t.Mapping[str, int]) -> t.Iterator[tuple[str, str, int, int]]:
    """Kind, engine, number and value of each line whose name is of this form."""
    for name, value in values.items():
        match = names.fullmatch(name)
        if match:
            yield match[1], match[2], int(match[3]), value


def _rows(text: str) -> list[tuple[int, int, int | None]]:
    """The rows of a table with a line for each acceleration engine: `3:  17  17`."""
    matches = filter(None, map(partial(re.fullmatch, _ENGINE_ROW), _lines(text)))
    return [(int(row[1]), int(row[2]), int(row[3]) if row[3] else None) for row in matches]
