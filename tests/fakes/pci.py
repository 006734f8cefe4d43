# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PCI core: functions, drivers, binding, and SR-IOV (Linux drivers/pci/pci-driver.c, pci-sysfs.c, iov.c; drivers/base)."""

from __future__ import annotations

import contextlib
import errno
import typing as t

from .iommu import Group, Iommu
from .text import line, number, switch
from .tree import Wait, Working, failure

Ids = tuple[int, int]

PAGE_SIZE = 4096


class Sriov:
    """The SR-IOV capability of a PF. `vfs` are the VFs that exist, by index; `count` is what NumVFs says."""

    def __init__(self, total: int, offset: int, stride: int, vf_id: int) -> None:
        self.total = total
        self.offset = offset
        self.stride = stride
        self.vf_id = vf_id
        self.autoprobe = True
        self.count = 0
        self.vfs: dict[int, Function] = {}


class Function:
    """One PCI function.

    `locked` is the kernel's device lock, which writes to some of its files hold. `leaving` says that its driver is letting go of it,
    which the links between the two do not outlive.
    """

    def __init__(self, bus: Bus, address: str, ids: Ids, numa_node: int = -1, device_class: int = 0x0B4000) -> None:
        self.bus = bus
        self.address = address
        self.vendor_id, self.device_id = ids
        self.device_class = device_class
        self.numa_node = numa_node
        self.driver: Driver | None = None
        self.override: str | None = None
        self.group: Group | None = None
        self.physfn: Function | None = None
        self.sriov: Sriov | None = None
        self.locked = False
        self.leaving = False
        self.refuses_vfio = False
        self.vfio_device: int | None = None
        self._enabled_by_hand = 0

    @property
    def ids(self) -> Ids:
        return self.vendor_id, self.device_id

    def may_be_probed(self) -> bool:
        """pci_device_can_probe: without autoprobe a VF is left alone by every driver, unless it has an override."""
        if self.physfn is None or self.physfn.sriov is None:
            return True
        return self.physfn.sriov.autoprobe or self.override is not None

    @property
    def enabled(self) -> int:
        """How often it was enabled: enable_cnt of struct pci_dev."""
        return self._enabled_by_hand + (self.driver.enables(self) if self.driver else 0)

    # What writes to its files do.

    def set_enabled(self, text: str) -> None:
        """A write to enable (enable_store): once more, or once less."""
        wanted = number(text, base=0, at_most=0xFFFFFFFF)
        if self.driver is not None:
            raise failure(errno.EBUSY)
        if not wanted and not self.enabled:
            raise failure(errno.EIO)
        self._enabled_by_hand += 1 if wanted else -1

    def set_override(self, text: str) -> Working:
        """A write to driver_override; a lone newline clears it."""
        if len(text) >= PAGE_SIZE - 1:
            raise failure(errno.EINVAL)
        if self.locked:
            yield Unlocked(self)
        self.override = text.split("\n", 1)[0] or None

    def set_vf_count(self, text: str) -> Working:
        """A write to sriov_numvfs."""
        assert self.sriov is not None
        count = _vf_count(text, self.sriov.total)
        if self.locked:
            yield Unlocked(self)
        if count == self.sriov.count:
            return
        if self.driver is None:
            raise failure(errno.ENOENT)
        if count and self.sriov.count:
            raise failure(errno.EBUSY)
        with device_lock(self):
            yield from self.driver.configure_vfs(self, count)

    def set_autoprobe(self, text: str) -> None:
        """A write to sriov_drivers_autoprobe."""
        assert self.sriov is not None
        self.sriov.autoprobe = switch(text)


def _vf_count(text: str, total: int) -> int:
    try:
        count = number(text, base=0, at_most=0xFFFF)
    except OSError:
        raise failure(errno.EINVAL) from None
    if count > total:
        raise failure(errno.ERANGE)
    return count


class Unlocked(Wait):
    """Waits for a function's device lock."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def over(self) -> bool:
        return not self._function.locked


@contextlib.contextmanager
def device_lock(function: Function) -> t.Iterator[None]:
    """Holds the device lock; the caller has waited for it."""
    function.locked = True
    try:
        yield
    finally:
        function.locked = False


class Driver:
    """A PCI driver. Subclasses say what probe, remove and sriov_configure do."""

    def __init__(self, name: str, module: str, ids: t.Iterable[Ids] = ()) -> None:
        self.name = name
        self.module = module
        self.ids = frozenset(ids)
        self.new_ids: list[Ids] = []
        self.bound: dict[str, Function] = {}

    def matches(self, function: Function) -> bool:
        """pci_match_device: an override decides alone, otherwise the ids do."""
        if function.override is not None:
            return function.override == self.name
        return function.ids in self.ids or function.ids in self.new_ids

    def probe(self, function: Function) -> None:
        """Take a function; raises OSError with what the driver returns."""

    def remove(self, function: Function) -> Working:  # noqa: ARG002
        """Let go of a function."""
        yield from ()

    def enables(self, function: Function) -> int:  # noqa: ARG002
        """How often it has enabled a function that it has. Most drivers do so once, when they take it."""
        return 1

    def configure_vfs(self, function: Function, count: int) -> Working:  # noqa: ARG002
        """sriov_configure; a driver without it gives ENOENT."""
        yield from ()
        raise failure(errno.ENOENT)


class Bus:
    """All functions and drivers, and what the files in /sys/bus/pci do."""

    def __init__(self, iommu: Iommu) -> None:
        self.functions: dict[str, Function] = {}
        self.drivers: dict[str, Driver] = {}
        self.messages: list[str] = []
        self.new_vfs: t.Callable[[Function], None] = lambda _pf: None
        self._iommu = iommu

    def say(self, function: Function, text: str) -> None:
        """A warning or an error goes into the kernel's log."""
        name = function.driver.name if function.driver else "pci"
        self.messages.append(f"{name} {function.address}: {text}")

    # Functions and drivers come and go.

    def add(self, function: Function) -> None:
        """A function appears and is offered to the drivers."""
        self._iommu.join(function)
        self.functions[function.address] = function
        self._attach(function)

    def remove(self, function: Function) -> Working:
        """A function disappears, from its driver first."""
        yield from self.release(function)
        self._iommu.leave(function)
        del self.functions[function.address]

    def register(self, driver: Driver) -> None:
        """A driver appears and is offered every function without one."""
        self.drivers[driver.name] = driver
        self._offer_all(driver)

    def unregister(self, driver: Driver) -> Working:
        """A driver lets go of everything and disappears."""
        for function in tuple(driver.bound.values()):
            yield from self.release(function)
        del self.drivers[driver.name]

    def _offer_all(self, driver: Driver) -> None:
        for function in tuple(self.functions.values()):
            if function.driver is None and driver.matches(function):
                with contextlib.suppress(OSError):
                    self._probe(driver, function)

    def _attach(self, function: Function) -> None:
        """device_attach: the first driver that matches and does not fail gets it."""
        for driver in self.drivers.values():
            if driver.matches(function):
                with contextlib.suppress(OSError):
                    self._probe(driver, function)
                    return

    def _probe(self, driver: Driver, function: Function) -> None:
        if not function.may_be_probed():
            raise failure(errno.ENODEV)
        try:
            driver.probe(function)
        except OSError as error:
            if error.errno != errno.ENODEV:
                self.messages.append(f"{driver.name}: probe of {function.address} failed with error -{error.errno}")
            raise
        function.driver = driver
        driver.bound[function.address] = function

    def release(self, function: Function) -> Working:
        """device_release_driver: takes the function from its driver, if it has one, under the device lock."""
        if function.locked:
            yield Unlocked(function)
        driver = function.driver
        if driver is None:
            return
        with device_lock(function):
            function.leaving = True
            yield from driver.remove(function)
            function.leaving = False
        function.driver = None
        del driver.bound[function.address]

    # SR-IOV.

    def enable_vfs(self, pf: Function, count: int) -> None:
        """pci_enable_sriov: VFs appear with nothing set, and drivers are offered them."""
        assert pf.sriov is not None
        pf.sriov.count = count
        for index in range(count):
            vf = Function(
                self,
                address_after(pf.address, pf.sriov.offset + index * pf.sriov.stride),
                (pf.vendor_id, pf.sriov.vf_id),
                pf.numa_node,
                pf.device_class,
            )
            vf.physfn = pf
            pf.sriov.vfs[index] = vf
            self.add(vf)
        if count:
            self.new_vfs(pf)

    def disable_vfs(self, pf: Function) -> Working:
        """pci_disable_sriov: the VFs go one by one, the links between them and the PF before anything else."""
        assert pf.sriov is not None
        for index in range(pf.sriov.count):
            vf = pf.sriov.vfs.pop(index)
            yield from self.remove(vf)
        pf.sriov.count = 0

    # What files do.

    def find(self, text: str) -> Function:
        """The function that a write names; raises ENODEV."""
        function = self.functions.get(line(text))
        if function is None:
            raise failure(errno.ENODEV)
        return function

    def bind(self, driver: Driver, text: str) -> Working:
        """A write to drivers/NAME/bind."""
        function = self.find(text)
        if not driver.matches(function):
            raise failure(errno.ENODEV)
        if function.locked:
            yield Unlocked(function)
        if self.functions.get(function.address) is not function:
            raise failure(errno.ENODEV)
        if function.driver is not None:
            raise failure(errno.EBUSY)
        self._probe(driver, function)

    def unbind(self, driver: Driver, text: str) -> Working:
        """A write to drivers/NAME/unbind."""
        function = self.find(text)
        if function.driver is not driver:
            raise failure(errno.ENODEV)
        yield from self.release(function)

    def probe(self, text: str) -> Working:
        """A write to drivers_probe: says yes whatever comes of it."""
        function = self.find(text)
        if function.driver is None:
            self._attach(function)
        yield from ()

    def add_id(self, driver: Driver, text: str) -> None:
        """A write to drivers/NAME/new_id."""
        ids = _ids(text)
        if ids in driver.ids or ids in driver.new_ids:
            raise failure(errno.EEXIST)
        driver.new_ids.append(ids)
        self._offer_all(driver)

    def remove_id(self, driver: Driver, text: str) -> None:
        """A write to drivers/NAME/remove_id."""
        ids = _ids(text)
        if ids not in driver.new_ids:
            raise failure(errno.ENODEV)
        driver.new_ids.remove(ids)


def _ids(text: str) -> Ids:
    fields = text.split()
    try:
        return int(fields[0], 16), int(fields[1], 16)
    except (IndexError, ValueError):
        raise failure(errno.EINVAL) from None


def address_after(address: str, distance: int) -> str:
    """The address so many routing ids further (PCI Express, SR-IOV: VF n is at first offset + n * stride)."""
    domain, bus, rest = address.split(":")
    device, function = rest.split(".")
    routing_id = (int(bus, 16) << 8) + (int(device, 16) << 3) + int(function) + distance
    return f"{domain}:{routing_id >> 8:02x}:{routing_id >> 3 & 31:02x}.{routing_id & 7}"
