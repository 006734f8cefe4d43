# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`qatctl top`: how busy the node's PFs are, and who has their VFs, over and over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import typing as t
from dataclasses import dataclass
from functools import partial

from ..devices.activity import (
    PfActivity,
    TelemetryState,
    activity_of,
    may_stay_on,
    read_telemetry,
    switch_telemetry,
)
from ..devices.read import read_node
from ..devices.snapshot import QatDevice
from ..devices.telemetry import SETTLE_SECONDS
from ..errors import NodeError
from ..printable import WIDTH, aligned, printable, wrapped
from .describe import NO_DEVICE, UNKNOWN, described_holder
from .terminal import Plain, Screen

if t.TYPE_CHECKING:
    from ..devices.telemetry import DeviceSample
    from ..users.holder import Holder
    from ..users.pods import KernelWithPods

_SAMPLES = 1
_GEN4 = 4
_COLUMNS = ("PF", "STATE", "IN USE", "PCIE READ", "PCIE WRITE", "READ LAT", "LATENCY", "MAX LAT")
_RATES = (("TB/s", 1e12), ("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3), ("B/s", 1.0))
_TIMES = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))

_REMEDIES: t.Mapping[TelemetryState, str] = {
    TelemetryState.OFF: "telemetry is off; call top with --enable-telemetry, which switches it off again at its end",
    TelemetryState.DOWN: "there is no telemetry while the PF is down; bring it up with apply",
    TelemetryState.UNSUPPORTED: "there is no telemetry; it takes Linux 6.8 or later, and firmware that has it",
    TelemetryState.NO_DEBUGFS: "telemetry is not seen; mount debugfs at /sys/kernel/debug, and see that the PF has its driver",
    TelemetryState.LOCKED_DOWN: (
        "telemetry is kept from everybody while the kernel is locked down; see /sys/kernel/security/lockdown, and switch off secure "
        "boot to have it"
    ),
    TelemetryState.DENIED: "telemetry is not seen; run as root",
    TelemetryState.SILENT: "the kernel does not answer, since it is at work on the PF; wait until whoever has its VFs lets go",
}


class User(t.NamedTuple):
    """Who has VFs of a PF: a pod's container, or a process."""

    holder: Holder
    pf: str
    vfs: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """What one look at the node has. `pfs` begins with the busiest, `users` with who has most VFs.

    `problems` say by PF why its telemetry could not be switched on.
    """

    moment: float
    host: str
    pfs: tuple[PfActivity, ...]
    users: tuple[User, ...]
    problems: t.Mapping[str, str]


class Top:
    """Looks at a node again and again. It switches telemetry on only if it may, and off again what it has switched on."""

    def __init__(self, kernel: KernelWithPods, enable: bool, ask_again: t.Callable[[], None]) -> None:
        """`ask_again` has kubelets asked that did not answer the last time."""
        self._kernel = kernel
        self._enable = enable
        self._ask_again = ask_again
        self._enabled: dict[str, QatDevice] = {}
        self._problems: dict[str, str] = {}

    def frame(self) -> Frame:
        """Read the node once. Raises NodeError as `read_node` does."""
        self._ask_again()
        node = read_node(self._kernel)
        pfs = activity_of(self._kernel, node, counters=False)
        if self._enable and self._switch_on(pfs):
            pfs = activity_of(self._kernel, node, counters=False)
        return Frame(
            time.time(),
            os.uname().nodename,
            tuple(sorted(pfs, key=lambda pf: (-max(_utilization(pf).values(), default=-1.0), pf.address))),
            tuple(sorted(_users(node.qat), key=lambda user: (-len(user.vfs), str(user.holder), user.pf))),
            dict(self._problems),
        )

    def _switch_on(self, pfs: t.Iterable[PfActivity]) -> bool:
        """Switch on what is off, and wait for its first sample; again where a PF was down meanwhile. Returns whether anything was."""
        self._problems.clear()
        done = False
        for device in [pf.device for pf in pfs if pf.telemetry.state is TelemetryState.OFF]:
            # Noted before it is so: a signal may come at any time, and a write that does not return may take later.
            self._enabled[device.address] = device
            done = self._switch(device, _SAMPLES) or done
        if done:
            self._kernel.sleep(SETTLE_SECONDS)
        return done

    def _switch(self, device: QatDevice, samples: int) -> bool:
        try:
            switch_telemetry(self._kernel, device, samples)
        except NodeError as error:
            self._problems[device.address] = f"telemetry cannot be switched: {error}"
        except OSError as error:
            self._enabled.pop(device.address, None)
            self._problems[device.address] = (
                f"telemetry cannot be switched: {error.strerror}; run as root, on a kernel that is not locked down"
            )
        return device.address not in self._problems

    def close(self) -> t.Sequence[str]:
        """Switch off what was switched on, unless somebody has changed it since. Returns what could not be, a sentence each."""
        self._problems.clear()
        while self._enabled:
            address, device = self._enabled.popitem()
            found = read_telemetry(self._kernel, device)
            if found.control == _SAMPLES:
                self._switch(device, 0)
            elif may_stay_on(found, device):
                self._problems[address] = "it cannot be seen whether telemetry is off; see the kernel's log"
        return [f"{address}: {problem}" for address, problem in self._problems.items()]


def run(top: Top, once: bool, interval: float, as_json: bool, left: list[str]) -> None:
    """Show the node once, or until somebody ends it. Adds to `left` what stays switched on, a sentence each. Raises NodeError."""
    out = Plain() if once or as_json else Screen.of_terminal()
    show = partial(_json, indent=2 if once else None) if as_json else lines
    with _ended_by_signals():
        try:
            with out:
                out.show(show(top.frame()))
                while not once and not out.wait(interval):
                    out.show(show(top.frame()))
        except KeyboardInterrupt:
            if once:
                raise SystemExit(128 + signal.SIGINT) from None
        finally:
            with _without_signals():
                left += top.close()


@contextlib.contextmanager
def _ended_by_signals() -> t.Iterator[None]:
    """Within it SIGTERM and SIGHUP end the program as an exception does, so that what was changed is put back."""

    def end(number: int, _frame: object) -> t.NoReturn:
        raise SystemExit(128 + number)

    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def _without_signals() -> t.Iterator[None]:
    """Within it nobody who is impatient ends the program by a key or a signal, as it would be ended with telemetry on."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _users(devices: t.Iterable[QatDevice]) -> t.Iterator[User]:
    for device in devices:
        vfs: dict[Holder, list[str]] = {}
        for vf in device.vfs:
            for holder in vf.holders:
                vfs.setdefault(holder, []).append(vf.address)
        yield from (User(holder, device.address, tuple(addresses)) for holder, addresses in vfs.items())


def _sample(pf: PfActivity) -> DeviceSample | None:
    """The last sample; until there is one, the kernel shows zeros."""
    sample = pf.telemetry.sample
    return sample if sample and sample.samples else None


def _utilization(pf: PfActivity) -> t.Mapping[str, float]:
    sample = _sample(pf)
    return sample.utilization if sample else {}


# For machines.


def document(frame: Frame) -> dict[str, t.Any]:
    """A look as plain values, in base units: seconds, bytes, parts of 1."""
    return {
        "time": round(frame.moment, 3),
        "host": frame.host,
        "devices": [_device(pf, frame.problems.get(pf.address, "")) for pf in frame.pfs],
        "in_use": [{**described_holder(user.holder), "pf": user.pf, "vfs": list(user.vfs)} for user in frame.users],
    }


def _json(frame: Frame, indent: int | None) -> list[str]:
    return [json.dumps(document(frame), indent=indent)]


def _device(pf: PfActivity, problem: str) -> dict[str, t.Any]:
    sample = _sample(pf)
    return {
        "address": pf.address,
        "family": pf.device.family.name,
        "state": pf.device.state,
        "vfs_count": len(pf.vfs),
        "vfs_in_use": sum(bool(vf.holders) for vf in pf.vfs),
        "telemetry": {
            "state": pf.telemetry.state.value,
            "samples": sample.samples if sample else 0,
            "problem": problem,
        },
        "utilization": {engine: round(part, 4) for engine, part in _utilization(pf).items()},
        "slices": [
            {"engine": one.engine, "number": one.number, "utilization": one.utilization, "executions": one.executions}
            for one in (sample.slices if sample else ())
        ],
        "read_bytes_per_second": sample.read_bytes_per_second if sample else None,
        "written_bytes_per_second": sample.written_bytes_per_second if sample else None,
        "latency_seconds": dict(sample.latencies) if sample else {},
    }


# For people.


def lines(frame: Frame) -> list[str]:
    """A look as text of 80 columns, but for names that are longer."""
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(frame.moment))
    parts = [
        [printable(f"{frame.host}, {clock}")],
        aligned([_COLUMNS, *map(_row, frame.pfs)], WIDTH) if frame.pfs else [NO_DEVICE],
        _engines(frame.pfs),
        _in_use(frame.users),
        [line for pf in frame.pfs for line in _notes(pf, frame.problems.get(pf.address, ""))],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part).split("\n")


def _row(pf: PfActivity) -> tuple[str, ...]:
    sample = _sample(pf)
    latencies = sample.latencies if sample else {}
    in_use = sum(bool(vf.holders) for vf in pf.vfs)
    return (
        pf.address,
        "blocked" if pf.device.function.blocked else pf.device.state or UNKNOWN,
        f"{in_use}/{len(pf.vfs)}",
        scaled(sample.read_bytes_per_second if sample else None, _RATES),
        scaled(sample.written_bytes_per_second if sample else None, _RATES),
        *(scaled(latencies.get(kind), _TIMES) for kind in ("read_avg", "get_to_put_avg", "get_to_put_max")),
    )


def _engines(pfs: t.Sequence[PfActivity]) -> list[str]:
    """A line for each PF that has telemetry, a column for each engine that any of them has."""
    busy = {pf.address: _utilization(pf) for pf in pfs if _utilization(pf)}
    engines = list(dict.fromkeys(engine for utilization in busy.values() for engine in utilization))
    rows = [
        (address, *(f"{utilization[one]:.0%}" if one in utilization else UNKNOWN for one in engines))
        for address, utilization in busy.items()
    ]
    return aligned([("PF", *map(str.upper, engines)), *rows], WIDTH) if rows else []


def _in_use(users: t.Sequence[User]) -> list[str]:
    rows = [("VFS", "PF", "IN USE BY"), *((str(len(user.vfs)), user.pf, printable(str(user.holder))) for user in users)]
    return aligned(rows) if users else []


def _notes(pf: PfActivity, problem: str) -> list[str]:
    note = problem or _note(pf)
    return wrapped(f"{pf.address}: {printable(note)}") if note else []


def _note(pf: PfActivity) -> str:
    """What to do to see more of a PF; empty where nothing is to be done."""
    state = pf.telemetry.state
    if state is TelemetryState.ON:
        return "" if _sample(pf) else "there is no sample yet; the kernel takes one each second"
    if pf.device.family.generation < _GEN4:
        return "devices before Gen4 have no telemetry"
    return _REMEDIES.get(state) or f"telemetry cannot be read: {pf.telemetry.reason}; see the kernel's log"


def scaled(value: float | None, units: t.Sequence[tuple[str, float]]) -> str:
    """A value with three digits that count, in the largest unit of which it has one at least."""
    if value is None:
        return UNKNOWN
    unit, size = next((one for one in units if value >= one[1]), units[-1])
    scaled_value = value / size
    digits = 0 if scaled_value >= 100 or not value else 1 if scaled_value >= 10 else 2
    return f"{scaled_value:.{digits}f} {unit}"
