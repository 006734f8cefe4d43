# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Virtlet makes of a request to create a container, in words of our own: a definition of a domain, and data for its guest.

Source: Virtlet 1.5, pkg/manager/cri.go (GetVMConfig: what it takes of the request), pkg/libvirttools/virtualization.go (createDomain,
CreateContainer), block_volumesource.go (every device but that at `/` is a disk), diskdriver.go (where disks are), cloudinit.go
(variables), and its own TestDomainDefinitions__raw_block_volume.out.yaml. Left out: flexvolumes, shared file systems, network, and what
annotations of a pod can change.
"""

from __future__ import annotations

import hashlib
import json
import os.path
import typing as t
import uuid
from xml.sax.saxutils import quoteattr

EMULATOR = "/vmwrapper"
"""Runs what VIRTLET_EMULATOR names, or kvm where it names nothing, as when libvirt asks for the emulator's capabilities."""
ROOT_VOLUMES, CONFIGURATIONS = "/var/lib/virtlet/volumes", "/var/lib/virtlet/config"
ENVIRONMENT = "/etc/cloud/environment"
_CONTAINERS = uuid.UUID("67b7fb47-7735-4b64-86d2-6d062d121966")
_QEMU = "/usr/bin/qemu-system-x86_64"
"""Where KVM is switched off, as VIRTLET_DISABLE_KVM does."""
_DEFAULT_MEMORY = ("1024", "MiB")


class VirtualMachine(t.NamedTuple):
    """A domain that is to be defined: its UUID, which is the container's id too, its definition, and the files of its disks."""

    uuid: str
    name: str
    xml: str
    root_volume: str
    configuration: str
    user_data: str


def uuid_of(sandbox: str) -> str:
    """The UUID of a sandbox's machine: version 5, but for the bits of the variant, which gouuid sets otherwise than RFC 4122."""
    raw = bytearray(hashlib.sha1(_CONTAINERS.bytes + sandbox.encode()).digest()[:16])
    raw[6] = (raw[6] & 0x0F) | 0x50
    raw[8] = (raw[8] | 0x40) & 0x7F
    return str(uuid.UUID(bytes=bytes(raw)))


def virtual_machine(
    request: t.Any, arguments: t.Sequence[str] = (), resolve: t.Callable[[str], str] = os.path.realpath
) -> VirtualMachine:
    """The machine of a request to create a container. `resolve` follows the links of a device's path.

    `arguments` are further ones of QEMU, which Virtlet has none of; {name} in them is the domain's name.
    """
    config = request.config
    identity = uuid_of(request.pod_sandbox_id)
    name = f"virtlet-{identity[:13]}-{config.metadata.name}"
    root_volume = f"{ROOT_VOLUMES}/virtlet_root_{identity}"
    configuration = f"{CONFIGURATIONS}/config-{identity}.iso"
    devices = [resolve(one.host_path) for one in config.devices if one.container_path != "/"]
    disks = [
        f"<disk type='file' device='disk'>{_raw}<source file={quoteattr(root_volume)}/>",
        *(f"<disk type='block' device='disk'>{_raw}<source dev={quoteattr(path)}/>" for path in devices),
        f"<disk type='file' device='cdrom'>{_raw}<source file={quoteattr(configuration)}/><readonly/>",
    ]
    log_path = os.path.join(request.sandbox_config.log_directory, config.log_path)
    variables = {
        "VIRTLET_EMULATOR": _QEMU,
        "VIRTLET_NET_KEY": "",
        "VIRTLET_CONTAINER_ID": identity,
        "VIRTLET_CONTAINER_LOG_PATH": log_path,
    }
    xml = _domain(
        name, identity, config.linux.resources, disks, variables, [one.format(name=name) for one in arguments]
    )
    return VirtualMachine(identity, name, xml, root_volume, configuration, user_data(config.envs))


def user_data(variables: t.Sequence[t.Any]) -> str:
    """What cloud-init makes of a container's variables in the guest."""
    content = "".join(f"{one.key}={one.value}\n" for one in variables)
    files = [{"path": ENVIRONMENT, "permissions": "0644", "content": content}] if content else []
    # JSON is YAML.
    return "#cloud-config\n" + json.dumps({"write_files": files} if files else {}) + "\n"


_raw = "<driver name='qemu' type='raw'/>"


def _domain(
    name: str,
    identity: str,
    resources: t.Any,
    disks: t.Sequence[str],
    variables: t.Mapping[str, str],
    arguments: t.Sequence[str],
) -> str:
    limit = resources.memory_limit_in_bytes
    memory, unit = (str(limit), "b") if limit else _DEFAULT_MEMORY
    more = "".join(f"<qemu:arg value={quoteattr(one)}/>" for one in arguments)
    more += "".join(f"<qemu:env name='{key}' value={quoteattr(value)}/>" for key, value in variables.items())
    return (
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        f"<name>{name}</name><uuid>{identity}</uuid><memory unit='{unit}'>{memory}</memory><vcpu>1</vcpu>"
        f"<cputune><shares>{resources.cpu_shares}</shares><period>{resources.cpu_period}</period>"
        f"<quota>{resources.cpu_quota}</quota></cputune>"
        "<os><type>hvm</type><boot dev='hd'/></os><features><acpi/></features>"
        "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>restart</on_crash>"
        f"<devices><emulator>{EMULATOR}</emulator>{''.join(map(_placed, range(len(disks)), disks))}"
        "<controller type='scsi' index='0' model='virtio-scsi'/><input type='tablet' bus='usb'/>"
        "<serial type='pty'><target port='0'/></serial><console type='pty'><target type='serial' port='0'/></console>"
        "<graphics type='vnc' port='-1'/><video><model type='cirrus'/></video></devices>"
        f"<qemu:commandline>{more}</qemu:commandline></domain>"
    )


def _placed(number: int, disk: str) -> str:
    """A disk with its place at the machine's one controller."""
    target = f"<target dev='sd{chr(ord('a') + number)}' bus='scsi'/>"
    return f"{disk}{target}<address type='drive' controller='0' bus='0' target='0' unit='{number}'/></disk>"
