# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's files below a temporary directory: just what the engine reads, as plain files and links."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

IDS = {"4xxx": ("0x4940", "0x4941"), "6xxx": ("0x4948", "0x4949"), "c6xx": ("0x37c8", "0x37c9")}


class NodeFiles:
    """Makes the files and plays what the kernel would do to them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sys, self.dev, self.proc = root / "sys", root / "dev", root / "proc"
        self.devices = self.sys / "bus/pci/devices"
        self.config = root / "node.json"
        for directory in (self.devices, self.sys / "bus/pci/drivers", self.dev / "vfio", self.proc):
            directory.mkdir(parents=True)
        (self.dev / "vfio/vfio").touch()
        self._next_group = 10
        self.configure([{}])

    def configure(self, devices: list[dict[str, t.Any]]) -> None:
        _write(self.config, json.dumps({"devices": devices}))

    def add_pf(
        self, address: str, services: str | None = "asym;sym", family: str = "4xxx", vfs: int = 16, numa_node: int = 0
    ) -> list[str]:
        """A PF with its VFs bound to vfio-pci; returns the VFs' addresses. `services` None leaves out the group `qat`."""
        directory = self._function(address, IDS[family][0], family, numa_node)
        _write(directory / "sriov_totalvfs", vfs)
        _write(directory / "sriov_offset", 1)
        _write(directory / "sriov_stride", 1)
        _write(directory / "sriov_drivers_autoprobe", 0)
        _write(directory / "sriov_numvfs", 0)
        if services is not None:
            (directory / "qat").mkdir()
            (directory / "qat_ras").mkdir()
            _write(directory / "qat/state", "up")
            _write(directory / "qat/cfg_services", services)
            _write(directory / "qat_ras/errors_fatal", 0)
        self.set_heartbeat(address, "0")
        return self.create_vfs(address, vfs)

    def add_vf(
        self, address: str, family: str = "4xxx", driver: str | None = "vfio-pci", noiommu: bool = False
    ) -> None:
        """A VF without its PF, as a virtual machine has it."""
        self._function(address, IDS[family][1], driver or "", 0)
        self.set_group(address, self._next_group)
        (self.dev / f"vfio/{'noiommu-' if noiommu else ''}{self._next_group}").touch()
        self._next_group += 1
        self._event()

    def remove_vf(self, address: str) -> None:
        """A VF without its PF is taken away."""
        directory = self.devices / address
        group = (directory / "iommu_group").resolve().name
        (self.sys / f"kernel/iommu_groups/{group}/devices/{address}").unlink()
        for path in sorted(directory.iterdir()):
            path.unlink()
        directory.rmdir()
        (self.dev / f"vfio/{group}").unlink(missing_ok=True)
        self._event()

    def add_function(self, address: str, driver: str) -> None:
        """One that has nothing to do with QAT."""
        self._function(address, "0x1521", driver, 0)

    def create_vfs(self, pf: str, count: int) -> list[str]:
        """The VFs appear, bound and with their nodes."""
        directory = self.devices / pf
        vf_id = next(vf for pf_id, vf in IDS.values() if pf_id == (directory / "device").read_text().strip())
        addresses = self.vf_addresses(pf, count)
        for index, address in enumerate(addresses):
            vf = self._function(address, vf_id, "vfio-pci", int((directory / "numa_node").read_text()))
            (vf / "physfn").symlink_to(f"../{pf}")
            (directory / f"virtfn{index}").symlink_to(f"../{address}")
            self.set_group(address, self._next_group)
            (self.dev / f"vfio/{self._next_group}").touch()
            self._next_group += 1
        _write(directory / "sriov_numvfs", count)
        self._event()
        return addresses

    @staticmethod
    def vf_addresses(pf: str, count: int) -> list[str]:
        stem, bus = pf.rsplit(":", 2)[0], pf.split(":")[1]
        return [f"{stem}:{bus}:{number >> 3:02x}.{number & 7}" for number in range(1, count + 1)]

    def remove_vfs(self, pf: str) -> None:
        """The VFs vanish, as they do when the PF goes down."""
        directory = self.devices / pf
        _write(directory / "sriov_numvfs", 0)
        for link in sorted(directory.glob("virtfn*")):
            vf = self.devices / link.readlink().name if hasattr(link, "readlink") else link.resolve()
            link.unlink()
            group = (vf / "iommu_group").resolve().name
            (self.sys / f"kernel/iommu_groups/{group}/devices/{vf.name}").unlink()
            for path in sorted(vf.iterdir()):
                path.unlink()
            vf.rmdir()
            (self.dev / f"vfio/{group}").unlink(missing_ok=True)
        self._event()

    def bind(self, address: str, driver: str | None) -> None:
        """The function changes its driver; the node of its VFIO group follows."""
        link = self.devices / address / "driver"
        link.unlink(missing_ok=True)
        if driver is not None:
            link.symlink_to(f"../../drivers/{driver}")
        node = self.node(address)
        if driver == "vfio-pci":
            node.touch()
        else:
            node.unlink(missing_ok=True)
        self._event()

    def _event(self) -> None:
        """The event of the kernel when it is done. Nodes that come and go are events too, but not every change has one."""
        (self.dev / "vfio/.event").touch()
        (self.dev / "vfio/.event").unlink()

    def node(self, address: str) -> Path:
        return self.dev / "vfio" / (self.devices / address / "iommu_group").resolve().name

    def hold(self, address: str, pid: int, command: str) -> None:
        """A process has the VF open. A device that every machine has stands for the node of the VF's group."""
        process, group = self.proc / str(pid), self.sys / "class/vfio" / self.node(address).name
        (process / "fd").mkdir(parents=True)
        _write(process / "comm", command)
        (process / "fd/7").symlink_to("/dev/null")
        group.mkdir(parents=True, exist_ok=True)
        _write(group / "dev", "1:3")

    def set_group(self, address: str, group: int) -> None:
        link = self.devices / address / "iommu_group"
        if link.is_symlink():
            (link.resolve() / "devices" / address).unlink()
            link.unlink()
        members = self.sys / f"kernel/iommu_groups/{group}/devices"
        members.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../../../kernel/iommu_groups/{group}")
        (members / address).symlink_to(f"../../../../bus/pci/devices/{address}")

    def set_state(self, pf: str, state: str) -> None:
        _write(self.devices / pf / "qat/state", state)

    def set_services(self, pf: str, services: str) -> None:
        _write(self.devices / pf / "qat/cfg_services", services)

    def set_fatal_errors(self, pf: str, count: int) -> None:
        _write(self.devices / pf / "qat_ras/errors_fatal", count)

    def set_heartbeat(self, pf: str, status: str | None, interval: int = 200) -> None:
        """What the driver would print, with its NUL byte; None removes the directory, as a PF that goes down does."""
        family = (self.devices / pf / "driver").resolve().name
        directory = self.sys / f"kernel/debug/qat_{family}_{pf}/heartbeat"
        if status is None:
            for path in directory.glob("*"):
                path.unlink()
            return
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / "status", status, end="\n\0")
        _write(directory / "config", interval, end="\n\0")

    def block(self, address: str, name: str) -> t.Callable[[], None]:
        """Let whoever reads the file of a function wait, as for its lock, until what is returned is called."""
        path = self.devices / address / name
        text = path.read_text()
        path.unlink()
        os.mkfifo(path)

        def release() -> None:
            waiting = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            path.unlink()
            _write(path, text, end="")
            os.close(waiting)

        return release

    def _function(self, address: str, device_id: str, driver: str, numa_node: int) -> Path:
        directory = self.devices / address
        directory.mkdir()
        _write(directory / "vendor", "0x8086")
        _write(directory / "device", device_id)
        _write(directory / "numa_node", numa_node)
        _write(directory / "driver_override", "(null)")
        (directory / "driver").symlink_to(f"../../drivers/{driver}")
        return directory


def _write(path: Path, value: object, end: str = "\n") -> None:
    """In one go: the kernel shows no half of a file, and whoever writes node.json knows better, too."""
    draft = path.with_name(path.name + ".draft")
    draft.write_text(f"{value}{end}")
    draft.replace(path)
