# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telemetry of a QAT PF in debugfs (Linux drivers/crypto/intel/qat/qat_common: adf_telemetry.c, adf_tl_debugfs.c, adf_gen4_tl.c)."""

from __future__ import annotations

import errno
import typing as t

from .generation import ring_pair_service
from .hardware import shape_of
from .load import OF_DEVICE, OF_RING_PAIR, Load
from .text import number
from .tree import Attribute, Attributes, Directory, failure

if t.TYPE_CHECKING:
    from .qat import QatDevice

SLOTS = "ABCD"
_MOST_SAMPLES = 4
_SLICES: t.Mapping[str, t.Mapping[str, int]] = {
    "4xxx": {"cpr": 1, "xlt": 1, "dcpr": 3, "pke": 6, "ucs": 4, "cph": 4, "ath": 4},
    "420xx": {"cpr": 1, "xlt": 1, "dcpr": 3, "pke": 6, "wat": 5, "wcp": 5, "ucs": 4, "cph": 4, "ath": 4},
    "6xxx": {"cnv": 2, "dcprz": 2, "pke": 6, "wat": 3, "wcp": 3, "ucs": 4, "ath": 4},
}
"""How many slices of each engine there are. Of a real device its firmware says it, so these numbers are examples."""


class Telemetry:
    """Samples of a PF that is up. A sample is taken each second, and what the last one says is shown until there is another."""

    def __init__(self, device: QatDevice) -> None:
        self._device = device
        self.forget()

    def forget(self) -> None:
        """The PF goes down: with it goes what was chosen, and it has nothing to do."""
        self.load = Load()
        self.averaged = 0
        self.slots: list[int | None] = [None] * len(SLOTS)
        self._begun = 0.0
        self._count = 0
        self._sample: dict[str, int] = {}
        self._of_slots: list[dict[str, int]] = [{} for _ in SLOTS]

    def _look(self) -> None:
        """Take the samples that were due."""
        count = int(self._device.node.clock.now - self._begun)
        if not self.averaged or not count:
            return
        self._count = count
        self._sample = self._sample_of(self.load)
        of = self.load.ring_pairs
        self._of_slots = [{} if pair is None else dict(of.get(pair, {})) for pair in self.slots]

    def _sample_of(self, load: Load) -> dict[str, int]:
        sample = {name: load.device.get(name, 0) for name in OF_DEVICE}
        for engine, how_many in _SLICES[self._device.family.name].items():
            for one in range(how_many):
                sample[f"util_{engine}{one}"] = load.engines.get(engine, 0)
                sample[f"exec_{engine}{one}"] = 10 * load.engines.get(engine, 0)
        return sample

    def control(self, text: str) -> None:
        """A write to telemetry/control: starts, starts over, or stops."""
        samples = number(text)
        if samples > _MOST_SAMPLES:
            raise failure(errno.EINVAL)
        self._restart(samples)

    def _restart(self, samples: int) -> None:
        self._look()
        self.averaged = samples
        self._begun = self._device.node.clock.now

    def choose(self, slot: int, text: str) -> None:
        """A write to telemetry/rp_A_data and its like. A ring pair that has a slot keeps it, and nobody is informed."""
        ring_pair = number(text)
        if ring_pair >= self._device.ring_pairs:
            raise failure(errno.EINVAL)
        if ring_pair in self.slots:
            return
        self._look()
        self.slots[slot] = ring_pair
        if self.averaged:
            self._restart(self.averaged)

    def device_data(self) -> str:
        """A read of telemetry/device_data."""
        self._require(self.averaged > 0)
        names = self._sample or self._sample_of(Load())
        return "\n".join([_row("sample_cnt", self._count), *(self._counter(name, one) for name, one in names.items())])

    def slot_data(self, slot: int) -> str:
        """A read of telemetry/rp_A_data and its like."""
        ring_pair = self.slots[slot]
        self._require(self.averaged > 0 and ring_pair is not None)
        assert ring_pair is not None
        shape = shape_of(self._device.family.name)
        service = ring_pair_service(self._device.services, ring_pair % shape.ring_pairs_per_vf)
        head = (_row("sample_cnt", self._count), _row("rp_num", ring_pair), _row("service_type", service))
        values = self._of_slots[slot]
        return "\n".join([*head, *(self._counter(name, values.get(name, 0)) for name in OF_RING_PAIR)])

    def _require(self, what: bool) -> None:
        if not what:
            raise failure(errno.EPERM)
        self._look()

    def _counter(self, name: str, value: int) -> str:
        return _row(name, *([value] * 4 if self.averaged > 1 else [value]))


def _row(name: str, *values: object) -> str:
    return f"{name:<23}" + "".join(f"{value:>20}" for value in values)


def _show(slot: int) -> t.Callable[[Telemetry], str]:
    return lambda telemetry: telemetry.slot_data(slot)


def _store(slot: int) -> t.Callable[[Telemetry, str], None]:
    return lambda telemetry, text: telemetry.choose(slot, text)


_FILES: t.Mapping[str, Attribute[Telemetry]] = {
    "device_data": Attribute(Telemetry.device_data),
    "control": Attribute(lambda telemetry: str(telemetry.averaged), Telemetry.control),
    **{f"rp_{name}_data": Attribute(_show(slot), _store(slot)) for slot, name in enumerate(SLOTS)},
}


def telemetry_directory(telemetry: Telemetry) -> Directory:
    """The directory telemetry/ of a PF that is up (Documentation/ABI/testing/debugfs-driver-qat_telemetry)."""
    return Attributes(telemetry, _FILES)
