# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of single VFs: the four slots of a PF's telemetry go round the VFs that pods have.

A PF has four slots, each for one ring pair, and a VF from Gen4 on has four ring pairs: so one VF of a PF is followed at a time.
"""

from __future__ import annotations

import logging
import typing as t
from dataclasses import dataclass

from .._node.devices.activity import follow, read_slots, read_telemetry
from .._node.devices.telemetry import SETTLE_SECONDS, ring_pairs_of_vf
from .._node.errors import NodeError
from .switches import AGAIN_SECONDS, SAMPLES

if t.TYPE_CHECKING:
    from .._node.devices.snapshot import PciFunction, QatDevice
    from .._node.devices.telemetry import RingPairSample
    from .._node.kernel.live import Kernel
    from ..attribution import Container

log = logging.getLogger(__name__)

TURN_SECONDS = SETTLE_SECONDS
"""How long a VF is followed before its sample is read."""

OLDEST_SECONDS = 120.0
"""An older sample is shown no more: of 16 VFs each has its turn every 32 seconds."""

_FIRST_GENERATION = 4


@dataclass(frozen=True)
class Use:
    """What the ring pairs of a VF that do one service did in the last sample; `latency` is seconds, None where nothing was asked."""

    service: str
    written_bytes_per_second: int
    read_bytes_per_second: int
    latency: float | None


@dataclass(frozen=True)
class VfSample:
    """A VF's sample, at a time of the monotonic clock, while this container had the VF."""

    vf: str
    pf: str
    container: Container
    taken: float
    uses: tuple[Use, ...]


@dataclass
class _Turn:
    """Which VF a PF follows, by its address, and for which container; empty for none."""

    vf: str = ""
    container: Container | None = None
    since: float = 0.0


class Sampler:
    """Goes round. `samples` are by the address of the VF."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._turns: dict[str, _Turn] = {}
        self._refused: dict[str, float] = {}
        """When the kernel has refused to follow a VF, by the address of the PF."""
        self.samples: dict[str, VfSample] = {}

    def step(self, devices: t.Sequence[QatDevice], given: t.Mapping[str, Container], now: float) -> None:
        """Read who was followed long enough, and follow the next one.

        `devices` are the PFs whose slots may be changed, `given` by its address the VFs that pods have, with who has them.
        """
        known = {vf.address for device in devices for vf in device.vfs if vf.address in given}
        self.samples = {
            address: one
            for address, one in self.samples.items()
            # What the VF did for the pod before is nothing that the one after has done.
            if address in known and one.container == given[address] and now - one.taken <= OLDEST_SECONDS
        }
        self._turns = {one.address: self._turns.get(one.address, _Turn()) for one in devices}
        for device in devices:
            vfs = [vf for vf in device.vfs if vf.address in given]
            if vfs and device.family.generation >= _FIRST_GENERATION:
                self._step(device, vfs, given, now)

    def _step(
        self, device: QatDevice, vfs: t.Sequence[PciFunction], given: t.Mapping[str, Container], now: float
    ) -> None:
        turn = self._turns[device.address]
        if now - self._refused.get(device.address, float("-inf")) < AGAIN_SECONDS:
            return
        if turn.vf and now - turn.since < TURN_SECONDS:
            return
        # The PF may have been reset, and somebody else may have set it otherwise.
        if read_telemetry(self._kernel, device).control != SAMPLES:
            turn.vf = ""
            return
        followed = next((vf for vf in vfs if vf.address == turn.vf), None)
        # A VF that another pod has since is followed for that one, from its beginning.
        if followed is not None and not self._read(device, followed, given[followed.address], now):
            followed = None
        following = _next(vfs, followed)
        if following is not followed:
            is_followed = self._follow(device, following, now)
            self._turns[device.address] = _Turn(following.address if is_followed else "", given[following.address], now)

    def _read(self, device: QatDevice, vf: PciFunction, container: Container, now: float) -> bool:
        """Whether the slots still stand for this VF, and for this container."""
        if self._turns[device.address].container != container:
            return False
        wanted = ring_pairs_of_vf(vf.index)
        found = {one.ring_pair: one for one in read_slots(self._kernel, device).values()}
        if not set(wanted) <= set(found):
            return False
        pairs = [found[one] for one in wanted]
        if all(one.samples for one in pairs):
            self.samples[vf.address] = VfSample(vf.address, device.address, container, now, tuple(_uses(pairs)))
        return True

    def _follow(self, device: QatDevice, vf: PciFunction, now: float) -> bool:
        try:
            follow(self._kernel, device, ring_pairs_of_vf(vf.index))
        except (OSError, NodeError) as error:
            if device.address not in self._refused:
                fields = {"pf": device.address, "vf": vf.address, "problem": str(error)}
                log.warning("a VF cannot be followed", extra={"fields": fields})
            self._refused[device.address] = now
            return False
        self._refused.pop(device.address, None)
        return True


def _next(vfs: t.Sequence[PciFunction], last: PciFunction | None) -> PciFunction:
    """The VF after the last one, in the order of their numbers, which begins again after the greatest."""
    return next((vf for vf in vfs if last is not None and vf.index > last.index), vfs[0])


def _uses(pairs: t.Sequence[RingPairSample]) -> t.Iterator[Use]:
    for service in dict.fromkeys(one.service for one in pairs):
        of_service = [one for one in pairs if one.service == service]
        latencies = [one.latencies["get_to_put_avg"] for one in of_service if one.latencies.get("get_to_put_avg")]
        yield Use(
            service,
            sum(one.written_bytes_per_second or 0 for one in of_service),
            sum(one.read_bytes_per_second or 0 for one in of_service),
            sum(latencies) / len(latencies) if latencies else None,
        )
