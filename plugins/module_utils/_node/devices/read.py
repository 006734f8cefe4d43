# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads one snapshot of a node from a kernel. Sources: Documentation/ABI/testing/sysfs-bus-pci and sysfs-driver-qat."""

from __future__ import annotations

import errno
import typing as t
from dataclasses import replace

from ..absence import if_there, is_absent
from ..errors import cannot_be_read
from ..facts.families import (
    VF_DRIVERS,
    Family,
    family_of_pf,
    family_of_vf,
    module_of_driver,
)
from ..facts.paths import (
    DEVICES,
    DRIVERS,
    IOMMU_GROUPS,
    MODULES,
    NOIOMMU_MODE,
    OSRELEASE,
    device_directory,
    device_file,
    qat_file,
)
from ..facts.pci import VFIO_PCI
from ..facts.services import parse_services
from ..fields import number_of
from ..kernel.child import NOTHING
from ..kernel.live import (
    Kernel,
    device_of,
    may_block,
    no_devices,
)
from ..users.pods import KernelWithPods
from ..users.usage import Holders, read_holders
from .snapshot import (
    Module,
    Node,
    PciFunction,
    QatDevice,
    Sriov,
    VfioPci,
)

_RIVALS = (
    (MODULES + "/usdm_drv", "Intel's out-of-tree QAT package (module usdm_drv)"),
    ("/sys/fs/cgroup/system.slice/qat.service", "qatlib's service qat.service"),
    ("/sys/fs/cgroup/systemd/system.slice/qat.service", "qatlib's service qat.service"),
)
"""What runs where somebody else manages the devices: the package's memory driver, or the control group of the service."""

QAT_FILES = ("state", "cfg_services", "auto_reset", "pm_idle_enabled", "num_rps")
RAS_COUNTERS = ("errors_correctable", "errors_nonfatal", "errors_fatal")


def read_node(kernel: KernelWithPods, others: t.Iterable[str] = ()) -> Node:
    """The node's QAT devices with their VFs and who uses these, and the PCI functions at the addresses in `others` where there are any.

    A file that is missing leaves its field unknown. Raises NodeError where sysfs is not mounted, or where a file that is there cannot
    be read: nothing is known then.
    """
    return _read(kernel, others, lambda: read_holders(kernel))


def read_devices(kernel: Kernel, others: t.Iterable[str] = ()) -> Node:
    """The same, but nobody looks who uses a VF."""
    return _read(kernel, others, lambda: Holders(kernel))


def _read(kernel: Kernel, others: t.Iterable[str], holders: t.Callable[[], Holders]) -> Node:
    try:
        addresses = kernel.list(DEVICES)
    except OSError as error:
        raise no_devices(error) from None
    try:
        return _node_of(kernel, addresses, others, holders())
    except OSError as error:
        raise cannot_be_read(error) from None


def _node_of(kernel: Kernel, addresses: t.Sequence[str], others: t.Iterable[str], holders: Holders) -> Node:
    reader = _Reader(kernel, holders, frozenset(addresses))
    ids = {address: reader.ids(address) for address in addresses}
    known = frozenset(others)
    known |= {address for address in addresses if family_of_pf(*ids[address]) or family_of_vf(*ids[address])}
    kernel.expect(
        [path for address in addresses if address in known for path in _files(address, family_of_pf(*ids[address]))]
    )
    functions = reader.functions(address for address in addresses if address in known)
    qat = _qat_devices(reader, functions)
    functions.update({device.address: device.function for device in qat})
    drivers = frozenset(reader.names(DRIVERS))
    return Node(
        kernel_release=reader.text(OSRELEASE) or "",
        iommu=reader.has_iommu(),
        noiommu=_switch(reader.text(NOIOMMU_MODE)),
        qat=qat,
        functions=functions,
        drivers=drivers,
        busy_drivers=frozenset(filter(reader.is_busy, drivers & VF_DRIVERS)),
        vfio_pci=reader.vfio_pci(),
        rival=next((name for path, name in _RIVALS if kernel.exists(path)), ""),
    )


def _qat_devices(reader: _Reader, functions: t.Mapping[str, PciFunction]) -> tuple[QatDevice, ...]:
    """The QAT PFs, and the VFs without their PF, in address order."""
    pfs: list[QatDevice] = []
    for function in functions.values():
        family = family_of_pf(function.vendor_id, function.device_id)
        if family is not None:
            pfs.append(reader.qat_device(function, family, len(pfs)))
    # A VF that is being made, or removed, has no link to its PF for a moment, or for as long as somebody has it open
    # (drivers/pci/iov.c, pci_iov_add_virtfn and pci_iov_remove_virtfn). A PF that was removed meanwhile says nothing of its VFs, which
    # went before it.
    theirs = {address for pf in pfs for address in pf.vf_addresses()}
    vfs = [
        QatDevice(replace(function, index=0), family, -1)
        for function in functions.values()
        for family in [family_of_vf(function.vendor_id, function.device_id)]
        if family and function.pf_address is None and function.address not in theirs and reader.is_there(function)
    ]
    return tuple(sorted((*pfs, *vfs), key=lambda device: device.address))


def _files(address: str, family: Family | None) -> list[str]:
    """The files of a function that are read under its lock."""
    names = ["driver_override"]
    if family is not None:
        names.append("sriov_numvfs")
        if family.has_services:
            names += ["qat/" + name for name in QAT_FILES]
    return [device_file(address, name) for name in names]


class _Reader:
    def __init__(self, kernel: Kernel, holders: Holders, present: frozenset[str]) -> None:
        self._kernel = kernel
        self._holders = holders
        self._present = present
        self._silent: set[str] = set()
        self._ids: dict[str, tuple[int, int]] = {}
        self._functions: dict[str, PciFunction] = {}

    def text(self, path: str) -> str | None:
        """The file's text, or None where there is none. A device that did not answer is not asked again for what can block."""
        directory = device_of(path)
        if directory in self._silent and may_block(path):
            return None
        try:
            return self._kernel.read(path)
        except TimeoutError:
            self._silent.add(directory)
            return None
        except OSError as error:
            if not is_absent(error) and not (error.errno in _NOTHING_TO_SHOW and _is_of_driver(path)):
                raise
            return None

    def names(self, path: str) -> t.Sequence[str]:
        nothing: t.Sequence[str] = ()
        return if_there(lambda: self._kernel.list(path), nothing)

    def _link(self, path: str) -> str | None:
        return if_there(lambda: self._kernel.link(path), None)

    def _number(self, path: str, base: int = 10) -> int | None:
        """The number that a file holds, or None where there is none: what is no number says nothing, least of all zero."""
        text = self.text(path)
        return None if text is None else number_of(text, path, base)

    def ids(self, address: str) -> tuple[int, int]:
        """Vendor and device id, read once; zeros for a function that has just gone."""
        if address not in self._ids:
            vendor = self._number(device_file(address, "vendor"), 16)
            device = self._number(device_file(address, "device"), 16)
            self._ids[address] = (vendor or 0, device or 0)
        return self._ids[address]

    def function(self, address: str) -> PciFunction:
        """The function, read once: a VF is met both by itself and below its PF."""
        if address not in self._functions:
            self._functions[address] = self._read_function(address)
        return self._functions[address]

    def functions(self, addresses: t.Iterable[str]) -> dict[str, PciFunction]:
        """These functions, and the VFs of those that have any: whoever takes a PF's VFs away has to know who uses them."""
        # In this order each PF comes before its VFs, and shows which of its VFs they are.
        for address in sorted(addresses):
            self.function(address)
        return dict(sorted(self._functions.items()))

    def _vf(self, address: str, index: int, pf_address: str) -> PciFunction:
        self._functions[address] = replace(self.function(address), pf_address=pf_address, index=index)
        return self._functions[address]

    def _read_function(self, address: str) -> PciFunction:
        vendor_id, device_id = self.ids(address)
        override = self.text(device_file(address, "driver_override"))
        group = self._link(device_file(address, "iommu_group"))
        numa_node = self._number(device_file(address, "numa_node"))
        pf_address = self._link(device_file(address, "physfn"))
        sriov = None if pf_address else self._sriov(address)
        driver = self._link(device_file(address, "driver"))
        return PciFunction(
            address=address,
            vendor_id=vendor_id,
            device_id=device_id,
            driver=driver,
            override=None if override is None or override in NOTHING else override,
            iommu_group=group,
            numa_node=-1 if numa_node is None else numa_node,
            pf_address=pf_address,
            holders=self._holders.of(address, driver, group),
            sriov=sriov,
            blocked=self._is_silent(address),
        )

    def _is_at_work_on(self, pf: PciFunction) -> bool:
        """Whether the PF or a VF is silent."""
        return self._is_silent(pf.address) or any(vf.blocked for vf in (pf.sriov.vfs if pf.sriov else ()))

    def _is_silent(self, address: str) -> bool:
        return f"{DEVICES}/{address}" in self._silent

    def _sriov(self, address: str) -> Sriov | None:
        """Of a PF that does not answer the VFs are counted; of its files only their number is read under its lock."""
        total = self._number(device_file(address, "sriov_totalvfs"))
        if total is None:
            return None
        known = self._number(device_file(address, "sriov_numvfs"))
        bare = Sriov(
            total=total,
            count=0,
            offset=self._number(device_file(address, "sriov_offset")) or 0,
            stride=self._number(device_file(address, "sriov_stride")) or 0,
            autoprobe=self.text(device_file(address, "sriov_drivers_autoprobe")) != "0",
        )
        vfs = tuple(self._vfs(address, bare, total if known is None else known))
        return replace(
            bare,
            count=len(vfs) if known is None else known,
            vfs=vfs,
            # The kernel counts VFs when it has added the last one (drivers/pci/iov.c, sriov_enable).
            changing=known == 0 and self._kernel.exists(device_file(address, "virtfn0")),
        )

    def _vfs(self, pf_address: str, sriov: Sriov, count: int) -> t.Iterator[PciFunction]:
        """Those of the first `count` VFs that are there: one that is being removed has lost its link before all else."""
        places = sriov.addresses(pf_address, count) if sriov.offset else ("",) * count
        for index, place in enumerate(places):
            link = self._link(device_file(pf_address, f"virtfn{index}"))
            if link is not None or place in self._present:
                yield self._vf(link or place, index, pf_address)

    def qat_device(self, function: PciFunction, family: Family, index: int) -> QatDevice:
        address = function.address
        services = self.text(qat_file(address, "cfg_services"))
        state = self.text(qat_file(address, "state"))
        ras = {name: self._number(device_file(address, "qat_ras/" + name)) for name in RAS_COUNTERS}
        return QatDevice(
            function=replace(function, blocked=self._is_at_work_on(function)),
            family=family,
            index=index,
            state=state,
            services=None if services is None else parse_services(services),
            services_text=services or "",
            auto_reset=_switch(self.text(qat_file(address, "auto_reset"))),
            pm_idle_enabled=_switch(self.text(qat_file(address, "pm_idle_enabled"))),
            ring_pairs=self._number(qat_file(address, "num_rps")),
            ras_errors={name: value for name, value in ras.items() if value is not None} or None,
        )

    def is_there(self, function: PciFunction) -> bool:
        """Whether a function that was read is on the node still."""
        return self._kernel.exists(device_directory(function.address))

    def has_iommu(self) -> bool:
        """Whether there is a group that VFIO did not make itself, for a function that no IOMMU isolates (drivers/vfio/group.c)."""
        return any(self.text(f"{IOMMU_GROUPS}/{group}/name") != _NOIOMMU_GROUP for group in self.names(IOMMU_GROUPS))

    def is_busy(self, vf_driver: str) -> bool:
        """Whether the kernel uses a VF of the driver: each that it uses counts for the module, and nothing else does (adf_dev_mgr.c)."""
        return (self._number(f"{MODULES}/{module_of_driver(vf_driver)}/refcnt") or 0) > 0

    def vfio_pci(self) -> VfioPci:
        directory = MODULES + "/vfio_pci"
        if not self._kernel.exists(directory) and not self._kernel.exists(DRIVERS + "/" + VFIO_PCI):
            return VfioPci()
        return VfioPci(
            module=Module("vfio_pci", self._number(directory + "/refcnt")),
            denylist=self.text(directory + "/parameters/disable_denylist") == "N",
            bound=tuple(name for name in self.names(DRIVERS + "/" + VFIO_PCI) if ":" in name),
        )


_NOIOMMU_GROUP = "vfio-noiommu"
_NOTHING_TO_SHOW = frozenset({errno.EINVAL, errno.ENODATA})
"""What a QAT driver answers for a PF that it has just taken or is about to leave (adf_sysfs.c: no accel_dev, or no such value)."""


def _is_of_driver(path: str) -> bool:
    return path.rsplit("/", 2)[-2] in ("qat", "qat_ras")


def _switch(text: str | None) -> bool | None:
    """A kernel switch, which prints 1/0, on/off or Y/N depending on the file."""
    if text is None:
        return None
    return text.lower() in ("1", "on", "y", "yes")
