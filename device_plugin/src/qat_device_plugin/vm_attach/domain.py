# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain of libvirt, as far as it matters here: whose it is, and which PCI devices it has.

Sources: libvirt docs/formatdomain.rst (hostdev, user aliases since 3.9.0) and docs/drvqemu.rst (qemu:commandline); Virtlet
pkg/libvirttools/virtualization.go (VIRTLET_CONTAINER_LOG_PATH, the log path of the CRI request); kubelet
pkg/kubelet/kuberuntime/helpers.go (the form of that path since 1.14).
"""

from __future__ import annotations

import re
import typing as t
from xml.etree import ElementTree as ET

from .._node.facts.pci import normal_address
from .._node.users.pods import LOGS_OF_PODS

LONGEST_XML = 1 << 20
"""Characters of a domain's definition. Those of Virtlet have about 5000."""

_LOG_PATH = "VIRTLET_CONTAINER_LOG_PATH"
_QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
_OURS = "ua-qat-"
"""What the aliases of our devices begin with: libvirt keeps those that begin with `ua-` as they are."""
# Names of Kubernetes: a label, a subdomain, a uid (of a static pod a hash), a label.
_LABEL, _SUBDOMAIN, _UID = "[a-z0-9-]{1,63}", "[a-z0-9.-]{1,253}", "[0-9A-Za-z-]{1,64}"
_LOG = re.compile(rf"{LOGS_OF_PODS}/({_LABEL})_({_SUBDOMAIN})_({_UID})/({_LABEL})/[0-9]+\.log")


class DomainError(Exception):
    """A domain cannot be understood; the message says why."""


class ContainerOfPod(t.NamedTuple):
    """The container that a domain says it is. That is its own word alone."""

    namespace: str
    pod: str
    uid: str
    container: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod} (container {self.container}, uid {self.uid})"


class HostDevice(t.NamedTuple):
    """A PCI device of the host that a domain has: its address, as sysfs writes it, and its alias, empty for none."""

    address: str
    alias: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether this service has put it there."""
        return self.alias.startswith(_OURS)


class Definition(t.NamedTuple):
    """What one definition of a domain says; it has two, of which one is in force while it runs and the other at its next start."""

    container: ContainerOfPod | None
    devices: tuple[HostDevice, ...]


class Domain(t.NamedTuple):
    """A domain at one moment. `live` are the devices that it has while it runs, `config` those of its next start.

    `container` is None where it does not say that it belongs to a pod. `problem` says why it cannot be understood; what it has is
    not known then.
    """

    uuid: str
    name: str
    active: bool
    persistent: bool
    container: ContainerOfPod | None = None
    live: tuple[HostDevice, ...] = ()
    config: tuple[HostDevice, ...] = ()
    problem: str = ""

    def has(self, address: str) -> bool:
        """Whether it has this device now, or will have it at its next start."""
        return any(one.address == address for one in (*self.live, *self.config))


def read_definition(xml: str) -> Definition:
    """What a definition says, by libvirt's XML of it. Raises DomainError."""
    if len(xml) > LONGEST_XML:
        raise DomainError(f"its definition has {len(xml)} characters, more than {LONGEST_XML}")
    # Entities can be declared nowhere else, and libvirt writes none.
    if "<!DOCTYPE" in xml:
        raise DomainError("its definition has a document type, which libvirt never writes")
    try:
        root = ET.fromstring(xml)
    except (ET.ParseError, ValueError) as error:
        raise DomainError(f"its definition is no XML: {error}") from None
    return Definition(_container(root), tuple(map(_host_device, root.iterfind("devices/hostdev[@type='pci']"))))


def _container(root: ET.Element) -> ContainerOfPod | None:
    variables = root.iterfind(f"{_QEMU}commandline/{_QEMU}env")
    paths = [one.get("value", "") for one in variables if one.get("name") == _LOG_PATH]
    if not paths:
        return None
    if len(paths) > 1:
        raise DomainError(f"it has {_LOG_PATH} more than once")
    found = _LOG.fullmatch(paths[0])
    if found is None:
        raise DomainError(
            f"its {_LOG_PATH} is {paths[0]!r}, not {LOGS_OF_PODS}/NAMESPACE_POD_UID/CONTAINER/N.log as kubelet from 1.14 on has it"
        )
    return ContainerOfPod(*found.groups())


def _host_device(element: ET.Element) -> HostDevice:
    source = element.find("source/address")
    alias = element.find("alias")
    values = {} if source is None else source.attrib
    try:
        numbers = [int(values.get(name, "0"), 0) for name in ("domain", "bus", "slot", "function")]
        address = normal_address("{:04x}:{:02x}:{:02x}.{:x}".format(*numbers))
    except ValueError:
        raise DomainError(f"the address of one of its PCI devices of the host is {dict(values)}") from None
    return HostDevice(address, "" if alias is None else alias.get("name", ""))


def alias_of(address: str) -> str:
    """The alias by which a device is known to be ours: letters, digits, `-` and `_` are all that libvirt takes."""
    return _OURS + re.sub("[:.]", "-", address)


def host_device_xml(address: str) -> str:
    """The element that attaches a VF. Not managed: it is bound to vfio-pci already, and stays so when the domain ends."""
    domain, bus, slot, function = re.split("[:.]", address)
    place = f"domain='0x{domain}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'"
    return (
        "<hostdev mode='subsystem' type='pci' managed='no'>"
        f"<source><address {place}/></source><alias name='{alias_of(address)}'/></hostdev>"
    )
