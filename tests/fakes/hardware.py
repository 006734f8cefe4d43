# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a QAT device is apart from its driver, and the faults it can have.

The faults are switched as on the virtual machine, through /sys/kernel/debug/qat_sim/<PF address>/ (tests/lab/README.md), so that one
table of cases runs on both.
"""

from __future__ import annotations

import errno
import typing as t
from dataclasses import dataclass, field

from .clock import Clock, Moment
from .load import Load
from .text import line, number, switch
from .tree import Attribute, Working, failure

STEPS = ("up", "down", "services", "enable_vfs", "disable_vfs")
ERRORS = ("correctable", "nonfatal", "fatal")
PULSES = ("alive", "lost", "dead")


@dataclass(frozen=True)
class Shape:
    """What PFs of one family have: VFs, where the first one is, ring pairs, and how many of those go to a VF (*_hw_data.h)."""

    total_vfs: int = 16
    vf_offset: int = 1
    ring_pairs: int = 64
    ring_pairs_per_vf: int = 4


_GEN2 = Shape(vf_offset=8, ring_pairs=16, ring_pairs_per_vf=1)
_SHAPES: t.Mapping[str, Shape] = {
    "dh895xcc": Shape(total_vfs=32, vf_offset=8, ring_pairs=32, ring_pairs_per_vf=1),
    "c6xx": _GEN2,
    "c3xxx": _GEN2,
    "200xx": _GEN2,
    "d15xx": _GEN2,
    "c4xxx": Shape(total_vfs=128, vf_offset=8, ring_pairs=512),
}


def shape_of(family: str) -> Shape:
    """The shape of a family's PFs; from Gen4 on all are alike."""
    return _SHAPES.get(family, Shape())


@dataclass
class Fault:
    """What happens at a step of the driver: an errno so many times (negative: always), and a delay once."""

    code: int = 0
    times: int = 0
    delay: float = 0.0


class Owner(t.Protocol):
    """The driver, as far as the hardware calls it, and the slot that the device is plugged into."""

    def on_error(self, kind: str, count: int) -> None: ...

    def on_reset(self) -> None: ...

    @property
    def load(self) -> Load: ...


@dataclass
class Hardware:
    """One PF's device."""

    clock: Clock
    faults: dict[str, Fault] = field(default_factory=lambda: {step: Fault() for step in STEPS})
    missing_vfs: int = 0
    kernel_users: int = 0
    refuse_vfio: int = 0
    no_capabilities: bool = False
    pulse: str = "alive"
    present: bool = True
    driver: Owner | None = None
    plug: t.Callable[[bool], Working] = lambda _present: iter(())
    changed_refusal: t.Callable[[], None] = lambda: None

    def do(self, step: str) -> Working:
        """One step of the driver: takes as long and fails as often as the faults say."""
        fault = self.faults[step]
        delay, fault.delay = fault.delay, 0.0
        code = fault.code if fault.times else 0
        if fault.times > 0:
            fault.times -= 1
        if delay:
            yield Moment(self.clock, delay)
        if code:
            raise failure(code)

    def was_reset(self) -> None:
        """Ends the faults that a reset repairs."""
        if self.pulse == "lost":
            self.pulse = "alive"


def _show_fault(step: str) -> t.Callable[[Hardware], str]:
    def show(hardware: Hardware) -> str:
        fault = hardware.faults[step]
        return f"{fault.code if fault.times else 0} {fault.times}"

    return show


def _store_fault(step: str) -> t.Callable[[Hardware, str], None]:
    def store(hardware: Hardware, text: str) -> None:
        try:
            fields = [int(one) for one in text.split()]
        except ValueError:
            raise failure(errno.EINVAL) from None
        if not fields or not 0 <= fields[0] <= 4095:
            raise failure(errno.EINVAL)
        fault = hardware.faults[step]
        fault.code = fields[0]
        fault.times = (fields[1] if len(fields) > 1 else 1) if fault.code else 0

    return store


def _show_delay(step: str) -> t.Callable[[Hardware], str]:
    return lambda hardware: str(round(hardware.faults[step].delay * 1000))


def _store_delay(step: str) -> t.Callable[[Hardware, str], None]:
    def store(hardware: Hardware, text: str) -> None:
        hardware.faults[step].delay = number(text, base=0) / 1000

    return store


def _store_missing(hardware: Hardware, text: str) -> None:
    hardware.missing_vfs = number(text, base=0)


def _store_users(hardware: Hardware, text: str) -> None:
    hardware.kernel_users = number(text, base=0)


def _store_refusal(hardware: Hardware, text: str) -> None:
    hardware.refuse_vfio = number(text, base=0)
    hardware.changed_refusal()


def _store_capabilities(hardware: Hardware, text: str) -> None:
    hardware.no_capabilities = switch(text)


def _store_pulse(hardware: Hardware, text: str) -> None:
    if line(text) not in PULSES:
        raise failure(errno.EINVAL)
    hardware.pulse = line(text)


def _store_error(hardware: Hardware, text: str) -> None:
    kind, _, count = line(text).partition(" ")
    if kind not in ERRORS:
        raise failure(errno.EINVAL)
    if hardware.driver is None:
        raise failure(errno.ENODEV)
    hardware.driver.on_error(kind, number(count) if count else 1)


def _store_reset(hardware: Hardware, _text: str) -> None:
    if hardware.driver is None:
        raise failure(errno.ENODEV)
    hardware.driver.on_reset()


def _show_load(hardware: Hardware) -> str:
    return hardware.driver.load.text() if hardware.driver else ""


def _store_load(hardware: Hardware, text: str) -> None:
    if hardware.driver is None:
        raise failure(errno.ENODEV)
    hardware.driver.load.set(text)


def _store_present(hardware: Hardware, text: str) -> Working:
    return hardware.plug(number(text, base=0) != 0)


SWITCHES: t.Mapping[str, Attribute[Hardware]] = {
    **{f"fail_{step}": Attribute(_show_fault(step), _store_fault(step), secret=True) for step in STEPS},
    **{f"delay_{step}": Attribute(_show_delay(step), _store_delay(step), secret=True) for step in STEPS},
    "missing_vfs": Attribute(lambda hardware: str(hardware.missing_vfs), _store_missing, secret=True),
    "kernel_users": Attribute(lambda hardware: str(hardware.kernel_users), _store_users, secret=True),
    "refuse_vfio": Attribute(lambda hardware: f"{hardware.refuse_vfio:#x}", _store_refusal, secret=True),
    "no_capabilities": Attribute(
        lambda hardware: "Y" if hardware.no_capabilities else "N", _store_capabilities, secret=True
    ),
    "heartbeat": Attribute(lambda hardware: hardware.pulse, _store_pulse, secret=True),
    "error": Attribute(None, _store_error, secret=True),
    "reset": Attribute(None, _store_reset, secret=True),
    "load": Attribute(_show_load, _store_load, secret=True),
    "present": Attribute(lambda hardware: str(int(hardware.present)), _store_present, secret=True),
}
"""The files that switch faults on and off, and say what the device has to do."""
