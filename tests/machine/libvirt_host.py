# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine as a host of virtual machines, with Debian's libvirt and QEMU, and what runs there in place of kubelet or Virtlet.

What a guest sees is what its firmware says: its log goes to a file, by QEMU's isa-debugcon, and has each PCI function with its ids.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.accel.qat.tests.machine.node import Node

UNIT = "accel-qat-vm-attach.service"
RELEASES = "/opt/accel-qat/device-plugin"
HARNESS = Path(__file__).parents[2] / "device_plugin/tests/harness"
FIRMWARE = "/var/lib/libvirt/qemu/firmware-{name}.log"
"""Where QEMU may write, which libvirt runs as another user."""
VF_IN_FIRMWARE = re.compile(r"PCI: init bdf=\S+ id=8086:4941")
PATIENCE = 300.0


def firmware_arguments(name: str) -> tuple[str, ...]:
    """Arguments of QEMU that have the firmware of a domain say in a file what it finds."""
    log = FIRMWARE.format(name=name)
    return ("-chardev", f"file,id=firmware,path={log}", "-device", "isa-debugcon,iobase=0x402,chardev=firmware")


def domain_xml(name: str, container: tuple[str, str, str, str] | None, devices: str = "") -> str:
    """A domain as Virtlet makes it (pkg/libvirttools/virtualization.go), with a log of its firmware besides."""
    more = "".join(f"<qemu:arg value='{one}'/>" for one in firmware_arguments(name))
    if container:
        namespace, pod, uid, within = container
        path = f"/var/log/pods/{namespace}_{pod}_{uid}/{within}/0.log"
        more += f"<qemu:env name='VIRTLET_CONTAINER_LOG_PATH' value='{path}'/>"
    return (
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        f"<name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>"
        "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>restart</on_crash>"
        f"<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}"
        "<controller type='usb' model='none'/><memballoon model='none'/></devices>"
        f"<qemu:commandline>{more}</qemu:commandline></domain>"
    )


def pod(number: int) -> tuple[str, str, str, str]:
    """Namespace, name, uid and container of a pod."""
    return "default", f"vm-{number}", f"0c5e2a4b-6c1d-4a5e-9b57-2f6f0c7a1d{number:02d}", "guest"


def serve(node: Node, unit: str, *words: str) -> None:
    """Run a module of the device plugin's harness on the node, as a unit. Its libraries are those of the shipped release."""
    node.run(f"mkdir -p /root/served/harness; cp -r {RELEASES}/current/lib/. /root/served")
    for path in HARNESS.glob("*.py"):
        node.machine.put(path.read_bytes(), f"/root/served/harness/{path.name}")
    environment = "--setenv=PYTHONPATH=/root/served"
    node.run(f"systemd-run --quiet --unit={unit} {environment} python3 -m {shlex.join(words)}")


class Host:
    """The node as a host of virtual machines, and a kubelet that pretends to have pods."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def serve_kubelet(self) -> None:
        """Begin to answer as kubelet does."""
        self.give()
        serve(self.node, "kubelet-socket", "harness.give", "/var/lib/kubelet")

    def give(self, vfs: dict[tuple[str, str, str, str], list[str]] | None = None) -> None:
        """Let these pods have these VFs, and no others."""
        given = [
            {
                "namespace": one[0],
                "pod": one[1],
                "uid": one[2],
                "container": one[3],
                "resource": "qat.intel.com/vm-cy",
                "devices": of,
            }
            for one, of in (vfs or {}).items()
        ]
        self.node.run("mkdir -p /var/lib/kubelet")
        self.node.machine.put(json.dumps(given).encode(), "/var/lib/kubelet/given.json")

    def define(self, name: str, container: tuple[str, str, str, str] | None, devices: str = "") -> None:
        """Define a domain, as Virtlet does in CreateContainer."""
        self.node.machine.put(domain_xml(name, container, devices).encode(), f"/root/{name}.xml")
        self.virsh(f"define /root/{name}.xml")

    def virsh(self, words: str) -> str:
        return self.node.run(f"virsh --quiet {words}")

    def devices(self, name: str, options: str = "") -> list[str]:
        """The aliases of the PCI devices that a domain has, with `--inactive` of those of its next start."""
        return re.findall(r"<alias name='(ua-[^']+)'/>", self.virsh(f"dumpxml {options} {name}"))

    def metric(self, name: str) -> float:
        """What the file of metrics has; -1 while there is none."""
        text = self.node.run("cat /run/accel-qat/vm-attach/metrics.prom", check=False)
        found = re.search(rf"^qat_vm_attach_{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else -1.0

    def firmware(self, name: str) -> str:
        return self.node.run(f"cat {FIRMWARE.format(name=name)}")

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, and fail with what the agent has logged."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.node.run(f"journalctl -u {UNIT} -u libvirtd -n 40 --no-pager")
            time.sleep(1)


def alias(vf: str) -> str:
    return "ua-qat-" + re.sub("[:.]", "-", vf)
