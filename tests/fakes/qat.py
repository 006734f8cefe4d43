# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drivers of QAT PFs and VFs (Linux drivers/crypto/intel/qat/qat_common: adf_sysfs.c, adf_init.c, adf_sriov.c, adf_aer.c,
adf_heartbeat.c)."""

from __future__ import annotations

import contextlib
import errno
import typing as t

from .clock import Clock, Moment
from .generation import Generation, ring_pair_service
from .hardware import ERRORS, Hardware, shape_of
from .load import Load
from .pci import Bus, Driver, Function
from .telemetry import Telemetry
from .text import line, number, switch
from .tree import Attribute, Wait, Working, failure

if t.TYPE_CHECKING:
    from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import Family

RESET_SECONDS = 0.1
_SHORTEST_HEARTBEAT = 0.2
_LONGEST_HEARTBEAT = 0.5
_UNANSWERED = 3
_FATAL_SECONDS = 5.0


class Node(t.Protocol):
    """What the drivers need of the machine around them."""

    clock: Clock
    bus: Bus
    generation: Generation
    requires_iommu: bool
    hardware: dict[str, Hardware]


class QatDevice:
    """What the driver of a QAT PF knows of it. `number` is the device's number among all that are bound."""

    def __init__(self, node: Node, function: Function, family: Family, number_: int) -> None:
        self.node = node
        self.function = function
        self.family = family
        self.number = number_
        self.hardware = node.hardware[function.address]
        self.up = False
        self.claimed = False
        self.restarting = False
        self.locked = False
        self.services = "dc" if number_ % 2 else "sym;asym"
        self.power_idle = True
        self.auto_reset = False
        self.ring_pair: int | None = None
        self.errors = dict.fromkeys(ERRORS, 0)
        self.heartbeat = Heartbeat(self)
        self.telemetry = Telemetry(self)

    @property
    def ring_pairs(self) -> int:
        return shape_of(self.family.name).ring_pairs

    @property
    def load(self) -> Load:
        """What the device has to do."""
        return self.telemetry.load

    @property
    def busy(self) -> bool:
        """In reset, or used by the kernel itself. VFs that VFIO has given away do not count."""
        return self.restarting or self.hardware.kernel_users > 0

    @contextlib.contextmanager
    def lock(self) -> t.Iterator[None]:
        """Holds the state lock; the caller has waited for it."""
        self.locked = True
        try:
            yield
        finally:
            self.locked = False

    def _say(self, text: str) -> None:
        self.node.bus.say(self.function, text)

    # Up, down, reset.

    def start(self) -> Working:
        """The device comes up; raises OSError."""
        try:
            yield from self.hardware.do("up")
        except OSError:
            self._say("Failed to load acceleration FW")
            raise
        self.heartbeat.start()
        self.errors = dict.fromkeys(ERRORS, 0)
        self.up = True

    def stop(self) -> Working:
        """The device goes down, and its VFs disappear."""
        self.up = False
        self.telemetry.forget()
        yield from self.remove_vfs()
        if not self.node.generation.keeps_power_setting:
            self.power_idle = True

    def take_down(self) -> Working:
        """The same, when the device allows it."""
        yield from self.hardware.do("down")
        yield from self.stop()

    def remove_vfs(self) -> Working:
        """The VFs disappear, if there are any."""
        if self.claimed:
            yield from self.node.bus.disable_vfs(self.function)
            self.claimed = False

    def on_error(self, kind: str, count: int) -> None:
        """The hardware reports errors."""
        if not self.up:
            return
        self.errors[kind] += count
        if kind == "fatal" and self.auto_reset:
            self.on_reset()

    def on_reset(self) -> None:
        """The hardware wants to be reset."""
        if self.up and not self.restarting:
            self.restarting = True
            self.node.clock.start(self._reset())

    def _reset(self) -> Working:
        if self.locked:
            yield StateUnlocked(self)
        with self.lock():
            again = self.claimed and self.node.generation.reset_restores_vfs
            yield from self.stop()
            yield Moment(self.node.clock, RESET_SECONDS)
            self.hardware.was_reset()
            # A device that does not come up again stays in reset until it is unbound.
            yield from self.start()
            if again:
                self.claimed = True
                yield from self._enable()
        self.restarting = False

    # SR-IOV.

    def _enable(self) -> Working:
        sriov = self.function.sriov
        assert sriov is not None
        yield from self.hardware.do("enable_vfs")
        self.node.bus.enable_vfs(self.function, max(0, sriov.total - self.hardware.missing_vfs))

    def configure_vfs(self, count: int) -> Working:
        """adf_sriov_configure: all VFs or none, whatever the number; raises OSError."""
        if count and self.function.group is None:
            self._say("IOMMU should be enabled for SR-IOV to work correctly")
            if self.node.requires_iommu:
                raise failure(errno.EINVAL)
        if self.locked:
            yield StateUnlocked(self)
        with self.lock():
            if not self.node.generation.zero_vfs and self.claimed:
                raise failure(errno.EINVAL)
            yield from self._make_vfs() if count else self._make_no_vfs()

    def _make_vfs(self) -> Working:
        if self.up:
            if self.busy:
                self._say("Device busy")
                raise failure(errno.EBUSY)
            yield from self.take_down()
        self.claimed = True
        try:
            yield from self.start()
            yield from self._enable()
        except OSError as error:
            if self.node.generation.failed_vfs_undone:
                yield from self.stop()
                raise
            # Old kernels hide why the device did not start, and count the VFs as made.
            raise failure((error.errno if self.up else errno.EFAULT) or errno.EIO) from None

    def _make_no_vfs(self) -> Working:
        if self.busy:
            self._say("Cannot disable SR-IOV, device in use")
            raise failure(errno.EBUSY)
        yield from self.hardware.do("disable_vfs")
        if self.up:
            yield from self.take_down()
        yield from self.remove_vfs()
        yield from self.start()

    # What files do.

    def set_state(self, text: str) -> Working:
        """A write to qat/state."""
        if self.busy:
            raise failure(errno.EBUSY)
        if line(text) not in ("up", "down"):
            raise failure(errno.EINVAL)
        if self.locked:
            yield StateUnlocked(self)
        with self.lock():
            yield from self._go_up() if line(text) == "up" else self._go_down()

    def _go_up(self) -> Working:
        if self.up:
            return
        try:
            yield from self.start()
        except OSError:
            self._say(f"Failed to start device qat_dev{self.number}")
            yield from self.stop()
            raise

    def _go_down(self) -> Working:
        tolerant = self.node.generation.down_twice
        if not self.up:
            if tolerant:
                return
            raise failure(errno.EINVAL)
        try:
            yield from self.take_down()
        except OSError:
            # Kernels that refuse a second "down" also hide every other reason.
            if tolerant:
                raise
            raise failure(errno.EINVAL) from None

    def set_services(self, text: str) -> Working:
        """A write to qat/cfg_services."""
        services = self.node.generation.parse_services(text, self.family.max_services)
        if self.locked:
            yield StateUnlocked(self)
        with self.lock():
            if self.up:
                raise failure(errno.EINVAL)
            yield from self.hardware.do("services")
            self.services = services
            if self.hardware.no_capabilities:
                raise failure(errno.EINVAL)

    def set_power_idle(self, text: str) -> Working:
        """A write to qat/pm_idle_enabled."""
        enabled = switch(text)
        if self.locked:
            yield StateUnlocked(self)
        if self.up:
            raise failure(errno.EINVAL)
        self.power_idle = enabled

    def set_auto_reset(self, text: str) -> None:
        """A write to qat/auto_reset."""
        self.auto_reset = switch(text)

    def set_ring_pair(self, text: str) -> None:
        """A write to qat/rp2srv: chooses the ring pair that the next read is about."""
        ring_pair = number(text, base=10)
        if ring_pair >= self.ring_pairs:
            raise failure(errno.EINVAL)
        self.ring_pair = ring_pair

    def show_ring_pair(self) -> str:
        """A read of qat/rp2srv."""
        if self.ring_pair is None:
            raise failure(errno.EINVAL)
        return ring_pair_service(self.services, self.ring_pair % shape_of(self.family.name).ring_pairs_per_vf)

    def reset_counters(self, text: str) -> None:
        """A write to qat_ras/reset_error_counters."""
        if text != "1\n":
            raise failure(errno.EINVAL)
        self.errors = dict.fromkeys(ERRORS, 0)


class StateUnlocked(Wait):
    """Waits for a device's state lock."""

    def __init__(self, device: QatDevice) -> None:
        self._device = device

    def over(self) -> bool:
        return not self._device.locked


class Heartbeat:
    """Whether the firmware answers. Each read of the status asks it, and asking too often counts as no answer."""

    def __init__(self, device: QatDevice) -> None:
        self._device = device
        self.interval = _LONGEST_HEARTBEAT
        self.sent = 0
        self.failed = 0
        self._last = self._last_fatal = float("-inf")
        self._unanswered = 0

    def start(self) -> None:
        """Counters begin again with the device; only the interval is remembered."""
        self.sent = self.failed = self._unanswered = 0
        self._last = self._last_fatal = float("-inf")
        if self._fixed:
            self.interval = _SHORTEST_HEARTBEAT

    @property
    def _fixed(self) -> bool:
        return self._device.family.has_services

    def status(self) -> str:
        """A read of heartbeat/status."""
        now = self._device.node.clock.now
        if self._device.restarting or now - self._last < self.interval:
            return "-1"
        self._last = now
        self.sent += 1
        if self._device.hardware.pulse == "alive":
            self._unanswered = 0
            return "0"
        self._unanswered += 1
        if self._unanswered < _UNANSWERED:
            return "0"
        self.failed += 1
        if now - self._last_fatal >= _FATAL_SECONDS:
            self._last_fatal = now
            if self._device.auto_reset:
                self._device.on_reset()
        return "-1"

    def configure(self, text: str) -> None:
        """A write to heartbeat/config, in milliseconds."""
        interval = number(text, base=10) / 1000
        if interval < _SHORTEST_HEARTBEAT:
            raise failure(errno.EINVAL)
        self.interval = _SHORTEST_HEARTBEAT if self._fixed else interval


class QatDriver(Driver):
    """The driver of one family's PFs."""

    def __init__(self, node: Node, family: Family) -> None:
        super().__init__(family.pf_driver, family.pf_module, ((0x8086, model.pf_id) for model in family.models))
        self._node = node
        self._family = family
        self.devices: dict[str, QatDevice] = {}

    def probe(self, function: Function) -> None:
        taken = {
            device.number
            for driver in self._node.bus.drivers.values()
            if isinstance(driver, QatDriver)
            for device in driver.devices.values()
        }
        free = next(number_ for number_ in range(len(taken) + 1) if number_ not in taken)
        device = QatDevice(self._node, function, self._family, free)
        if not self._node.clock.work_off(device.start(), float("inf")):
            raise failure(errno.EFAULT)
        device.hardware.driver = device
        self.devices[function.address] = device

    def remove(self, function: Function) -> Working:
        device = self.devices[function.address]
        device.hardware.driver = None
        if device.locked:
            yield StateUnlocked(device)
        yield from device.stop()
        del self.devices[function.address]

    def configure_vfs(self, function: Function, count: int) -> Working:
        yield from self.devices[function.address].configure_vfs(count)


class QatVfDriver(Driver):
    """The kernel's own driver for the VFs of a family before Gen4."""

    def __init__(self, family: Family) -> None:
        assert family.vf_driver is not None
        assert family.vf_module is not None
        super().__init__(family.vf_driver, family.vf_module, ((0x8086, model.vf_id) for model in family.models))
        self.used: set[str] = set()

    def remove(self, function: Function) -> Working:
        """Whoever in the kernel used it is not asked (adf_drv.c, adf_remove)."""
        self.used.discard(function.address)
        yield from ()


def _all(device: QatDevice) -> bool:
    return device.node.generation.all_files


QAT_FILES: t.Mapping[str, Attribute[QatDevice]] = {
    "state": Attribute(lambda device: "up" if device.up else "down", QatDevice.set_state),
    "cfg_services": Attribute(lambda device: device.services, QatDevice.set_services),
    "pm_idle_enabled": Attribute(lambda device: str(int(device.power_idle)), QatDevice.set_power_idle, present=_all),
    "auto_reset": Attribute(
        lambda device: "on" if device.auto_reset else "off", QatDevice.set_auto_reset, present=_all
    ),
    "rp2srv": Attribute(QatDevice.show_ring_pair, QatDevice.set_ring_pair, present=_all),
    "num_rps": Attribute(lambda device: str(device.ring_pairs), present=_all),
}
"""The directory qat/ of a PF (Documentation/ABI/testing/sysfs-driver-qat)."""


def _counter(kind: str) -> Attribute[QatDevice]:
    return Attribute(lambda device: str(device.errors[kind]))


RAS_FILES: t.Mapping[str, Attribute[QatDevice]] = {
    **{f"errors_{kind}": _counter(kind) for kind in ERRORS},
    "reset_error_counters": Attribute(None, QatDevice.reset_counters),
}
"""The directory qat_ras/ of a PF that is up (Documentation/ABI/testing/sysfs-driver-qat_ras)."""

HEARTBEAT_FILES: t.Mapping[str, Attribute[Heartbeat]] = {
    "status": Attribute(Heartbeat.status, secret=True),
    "queries_sent": Attribute(lambda heartbeat: str(heartbeat.sent), secret=True),
    "queries_failed": Attribute(lambda heartbeat: str(heartbeat.failed), secret=True),
    "config": Attribute(lambda heartbeat: str(round(heartbeat.interval * 1000)), Heartbeat.configure, secret=True),
}
"""The directory heartbeat/ in debugfs of a PF that is up (Documentation/ABI/testing/debugfs-driver-qat)."""
