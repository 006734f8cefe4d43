# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python's module libvirt and the libvirtd behind it, in memory: domains with their two definitions, and what is attached to them.

Behaves as libvirt 9.0 does in what matters: AFFECT_LIVE needs a domain that runs and AFFECT_CONFIG one that is persistent, a device that
another running domain has is refused, calls fail once the connection is lost.
"""

from __future__ import annotations

import threading
import typing as t
from xml.etree import ElementTree as ET

ET.register_namespace("qemu", "http://libvirt.org/schemas/domain/qemu/1.0")

POD = ("default", "vm-0", "0c5e2a4b-6c1d-4a5e-9b57-2f6f0c7a1d11", "guest")


def log_path(namespace: str, pod: str, uid: str, container: str) -> str:
    return f"/var/log/pods/{namespace}_{pod}_{uid}/{container}/0.log"


def domain_xml(name: str, uuid: str, variables: t.Mapping[str, str] | None = None, devices: str = "") -> str:
    """A domain as Virtlet defines it, as far as that matters."""
    lines = "".join(f"<qemu:env name='{key}' value='{value}'/>" for key, value in (variables or {}).items())
    return (
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        f"<name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>"
        f"<devices><emulator>/vmwrapper</emulator>{devices}</devices>"
        f"<qemu:commandline>{lines}</qemu:commandline></domain>"
    )


class LibvirtError(Exception):
    """As libvirt.libvirtError."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self._code = code

    def get_error_code(self) -> int:
        return self._code

    def get_error_message(self) -> str:
        return str(self)


class FakeDomain:
    """A domain: `now` is its definition while it runs, None otherwise; `then` that of its next start, None where it has none."""

    def __init__(self, libvirt: FakeLibvirt, name: str, uuid: str, xml: str) -> None:
        self._libvirt = libvirt
        self._name = name
        self._uuid = uuid
        self.then: str | None = xml
        self.now: str | None = None

    def start(self) -> None:
        self.now = self.then
        self._libvirt.notify()

    def destroy(self) -> None:
        self.now = None
        self._libvirt.notify()

    def create(self) -> int:
        if self._libvirt.start_refusal:
            raise LibvirtError(self._libvirt.start_refusal)
        self.start()
        return 0

    def shutdown(self) -> int:
        """The guest has no system that would take notice."""
        return 0

    def undefine(self) -> int:
        self._libvirt.undefine(self)
        return 0

    def state(self) -> list[int]:
        """VIR_DOMAIN_RUNNING or VIR_DOMAIN_SHUTOFF, and why."""
        self._libvirt.check()
        return [1 if self.now else 5, 0]

    def name(self) -> str:
        self._libvirt.check()
        return self._name

    def UUIDString(self) -> str:  # noqa: N802
        return self._uuid

    def isActive(self) -> int:  # noqa: N802
        return int(self.now is not None)

    def isPersistent(self) -> int:  # noqa: N802
        return int(self.then is not None)

    def XMLDesc(self, flags: int) -> str:  # noqa: N802
        self._libvirt.check()
        if self not in self._libvirt.domains:
            raise LibvirtError("Domain not found", 42)
        return str(self.then if flags & FakeLibvirt.VIR_DOMAIN_XML_INACTIVE else self.now)

    def attachDeviceFlags(self, xml: str, flags: int) -> int:  # noqa: N802
        self._libvirt.check()
        self._libvirt.changes.append(("attach", self._name, xml, flags))
        if self._libvirt.refusal:
            raise LibvirtError(self._libvirt.refusal)
        if flags & 1:
            self._require(self.now, "domain is not running")
            address = _address(ET.fromstring(xml))
            for other in self._libvirt.domains:
                if other.now and address in map(_address, _devices(ET.fromstring(other.now))):
                    raise LibvirtError(
                        f"Requested operation is not valid: PCI device is in use by driver QEMU, {other._name}"
                    )
            self.now = _with(str(self.now), xml)
        if flags & 2:
            self._require(self.then, "cannot modify a transient domain")
            self.then = _with(str(self.then), xml)
        return 0

    def detachDeviceFlags(self, xml: str, flags: int) -> int:  # noqa: N802
        self._libvirt.changes.append(("detach", self._name, xml, flags))
        assert flags == FakeLibvirt.VIR_DOMAIN_AFFECT_CONFIG
        root = ET.fromstring(str(self.then))
        devices = root.find("devices")
        assert devices is not None
        for one in _devices(root):
            if _address(one) == _address(ET.fromstring(xml)):
                devices.remove(one)
        self.then = ET.tostring(root, encoding="unicode")
        return 0

    def _require(self, definition: str | None, message: str) -> None:
        if definition is None:
            raise LibvirtError(message)


def _with(definition: str, device: str) -> str:
    return definition.replace("</devices>", device + "</devices>")


def _devices(root: ET.Element) -> list[ET.Element]:
    return root.findall("devices/hostdev")


def _address(device: ET.Element) -> tuple[int, ...]:
    source = device.find("source/address")
    assert source is not None
    return tuple(int(source.attrib[name], 0) for name in ("domain", "bus", "slot", "function"))


class FakeLibvirt:
    """The module. `down` has libvirtd gone; `refusal` is what each attachment is refused with, `start_refusal` each start."""

    libvirtError = LibvirtError  # noqa: N815
    VIR_DOMAIN_EVENT_ID_LIFECYCLE = 0
    VIR_DOMAIN_AFFECT_LIVE = 1
    VIR_DOMAIN_AFFECT_CONFIG = 2
    VIR_DOMAIN_XML_INACTIVE = 2
    VIR_ERR_NO_DOMAIN = 42

    def __init__(self) -> None:
        self.domains: list[FakeDomain] = []
        self.changes: list[tuple[str, str, str, int]] = []
        self.refusal = ""
        self.start_refusal = ""
        self.down = False
        self.opened = 0
        self._lost = False
        self._listeners: list[t.Callable[..., None]] = []
        self._closed: list[t.Callable[..., None]] = []

    # What a test does.

    def define(self, name: str, container: tuple[str, str, str, str] | None = POD, devices: str = "") -> FakeDomain:
        variables = {"VIRTLET_CONTAINER_LOG_PATH": log_path(*container)} if container else None
        uuid = f"uuid-of-{name}"
        return self._add(name, uuid, domain_xml(name, uuid, variables, devices))

    def _add(self, name: str, uuid: str, xml: str) -> FakeDomain:
        made = FakeDomain(self, name, uuid, xml)
        self.domains.append(made)
        self.notify()
        return made

    def undefine(self, domain: FakeDomain) -> None:
        self.domains.remove(domain)
        self.notify()

    def stop(self) -> None:
        self.down = self._lost = True
        for one in self._closed:
            one(self, 0, None)

    def start(self) -> None:
        self.down = False

    def notify(self) -> None:
        for one in self._listeners:
            one(self, None, 0, 0, None)

    def check(self) -> None:
        if self._lost:
            raise LibvirtError("client socket is closed")

    # The module.

    def registerErrorHandler(self, *_: object) -> None:  # noqa: N802
        pass

    def virEventRegisterDefaultImpl(self) -> None:  # noqa: N802
        pass

    def virEventRunDefaultImpl(self) -> None:  # noqa: N802
        threading.Event().wait()

    def open(self, _uri: str) -> FakeLibvirt:
        if self.down:
            raise LibvirtError("Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory")
        self.opened += 1
        self._lost = False
        self._listeners, self._closed = [], []
        return self

    # A connection.

    def setKeepAlive(self, interval: int, count: int) -> None:  # noqa: N802
        assert interval * count <= 30

    def registerCloseCallback(self, callback: t.Callable[..., None], _: object) -> None:  # noqa: N802
        self._closed.append(callback)

    def domainEventRegisterAny(self, _domain: object, kind: int, callback: t.Callable[..., None], _: object) -> int:  # noqa: N802
        assert kind == self.VIR_DOMAIN_EVENT_ID_LIFECYCLE
        self._listeners.append(callback)
        return 0

    def isAlive(self) -> int:  # noqa: N802
        return int(not self._lost)

    def close(self) -> None:
        self.check()

    def defineXML(self, xml: str) -> FakeDomain:  # noqa: N802
        self.check()
        root = ET.fromstring(xml)
        return self._add(root.findtext("name", ""), root.findtext("uuid", ""), xml)

    def listAllDomains(self, _flags: int) -> list[FakeDomain]:  # noqa: N802
        self.check()
        return list(self.domains)

    def lookupByUUIDString(self, uuid: str) -> FakeDomain:  # noqa: N802
        self.check()
        for one in self.domains:
            if one.UUIDString() == uuid:
                return one
        raise LibvirtError("Domain not found", 42)
