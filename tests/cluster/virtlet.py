# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods that are virtual machines, from the API server to the firmware: the real kubelet 1.20 over a stand-in for Virtlet.

The runtime does with kubelet's requests what Virtlet's source does, and libvirt and QEMU are Debian's; see the harness of the device
plugin. `make test-vms` runs this.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller
from ansible_collections.accel.qat.tests.lab.qat_lab import image
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster import releases
from ansible_collections.accel.qat.tests.lab.qat_lab.cluster.cluster import Cluster, OtherRuntime
from ansible_collections.accel.qat.tests.machine.libvirt_host import (
    VF_IN_FIRMWARE,
    Host,
    alias,
    firmware_arguments,
    serve,
)
from ansible_collections.accel.qat.tests.machine.node import DEVICES, Node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine

FIRST, SECOND = "0000:6b:00.0", "0000:70:00.0"
VM_CY, CY = "qat.intel.com/vm-cy", "qat.intel.com/cy"
RULES: list[dict[str, Any]] = [
    {"select": {"address": FIRST}, "services": ["sym", "asym"], "attach": "vm"},
    {"select": {"address": SECOND}, "services": ["sym", "asym"]},
]
SOCKET = "/run/virtlet.sock"
MEMORY = {"memory": 64 << 20}
WRAPPER = b"""#!/bin/sh
# As Virtlet's, which libvirt also runs to ask for what the emulator can.
exec "${VIRTLET_EMULATOR:-/usr/bin/qemu-system-x86_64}" "$@"
"""

# These tests are one story, in this order.


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose node has VFs of both kinds, the device plugin, the agent, and the runtime in the place of containerd."""

    def prepare(machine: Machine) -> None:
        node = Node(machine)
        answer = node.apply(*RULES)
        assert answer.code == 0, answer.sentence
        node.run("mkdir /etc/accel-qat; cp /root/node.json /etc/accel-qat")
        variables = {"qat_device_plugin_wait": False, "qat_device_plugin_vm_attach": True}
        role = {"name": "accel.qat.qat_device_plugin"}
        run = Controller(machine, tmp_path_factory.mktemp("controller")).play(
            [{"name": "Role", "ansible.builtin.include_role": role, "vars": variables}]
        )
        assert run.code == 0, run.output
        machine.put(WRAPPER, "/vmwrapper", 0o755)
        # Kubelet ends where there is none, and systemd starts it again two seconds later.
        serve(node, "virtlet", "harness.virtlet_runtime", SOCKET, *firmware_arguments("{name}"))

    runtime = OtherRuntime(image.HOST, f"unix://{SOCKET}", prepare)
    with Cluster.up(f"virtlet-{os.getpid()}", release=releases.OLDEST, runtime=runtime) as started:
        yield started


@pytest.fixture(scope="module")
def host(kubernetes: Cluster) -> Host:
    return Host(Node(kubernetes.machine()))


def machines(host: Host) -> list[str]:
    """The names of all domains, running or not."""
    return host.virsh("list --all --name").split()


def waiting(kubernetes: Cluster, pod: str) -> dict[str, str]:
    """Why the container of a pod does not run."""
    for status in kubernetes.pod(pod)["status"].get("containerStatuses", ()):
        found: dict[str, str] = status["state"].get("waiting", {})
        return found
    return {}


def all_are_free(host: Host) -> None:
    for pf in (FIRST, SECOND):
        vfs = host.node.devices()[pf]["vfs"]
        assert [(vf["driver"], vf["held_by"]) for vf in vfs] == [("vfio-pci", [])] * 16


def test_a_device_node_becomes_a_disk_and_the_machine_does_not_start(kubernetes: Cluster, host: Host) -> None:
    """What `attach: vm` is for."""
    kubernetes.wait_for_offer(CY, 16)
    kubernetes.create_pod("plain", {CY: 1, **MEMORY})
    said = kubernetes.wait_for(
        "that the machine does not start",
        lambda: waiting(kubernetes, "plain"),
        lambda said: said.get("reason") == "RunContainerError",
    )
    (name,) = machines(host)
    definition = host.virsh(f"dumpxml --inactive {name}")
    vf = data(host, name)["PCIDEVICE_QAT_INTEL_COM_CY"]
    group = host.node.run(f"basename $(readlink {DEVICES}/{vf}/iommu_group)").strip()
    for node in (f"/dev/vfio/{group}", "/dev/vfio/vfio"):
        assert f"<source dev='{node}'/>" in definition
    assert f"/dev/vfio/{group}" in said["message"]
    assert host.devices(name, "--inactive") == []
    kubernetes.delete_pod("plain")
    # Kubelet has containers removed in its own time.
    host.until(lambda: machines(host) == [])
    all_are_free(host)


def data(host: Host, name: str) -> dict[str, str]:
    """The variables that cloud-init would have in the guest."""
    uuid = host.virsh(f"domuuid {name}").strip()
    text = host.node.run(f"tr -d '\\0' < /var/lib/virtlet/config/config-{uuid}.iso")
    (file,) = json.loads(text.removeprefix("#cloud-config\n"))["write_files"]
    return dict(line.split("=", 1) for line in file["content"].splitlines())


@pytest.fixture(scope="module")
def vm(kubernetes: Cluster, host: Host) -> str:
    """The domain of a pod that asks for a VF for its machine, once it runs."""
    kubernetes.wait_for_offer(VM_CY, 16)
    kubernetes.create_pod("vm", {VM_CY: 1, **MEMORY}, restartPolicy="Always")
    kubernetes.wait_for_phase("vm")
    (name,) = machines(host)
    return name


@pytest.fixture(scope="module")
def vf(host: Host, vm: str) -> str:
    return data(host, vm)["PCIDEVICE_QAT_INTEL_COM_VM-CY"]


def test_a_pod_that_is_a_machine_gets_its_vf(kubernetes: Cluster, host: Host, vm: str, vf: str) -> None:
    host.until(lambda: host.devices(vm) == [alias(vf)])
    assert host.devices(vm, "--inactive") == [alias(vf)]
    assert "/dev/vfio" not in host.virsh(f"dumpxml {vm}")
    assert "PCI device 8086:4941" in host.virsh(f"qemu-monitor-command --hmp {vm} 'info pci'")
    (holder,) = [one for one in host.node.devices()[FIRST]["vfs"] if one["held_by"]]
    assert holder["address"] == vf
    assert kubernetes.pod("vm")["status"]["phase"] == "Running"


def test_its_firmware_finds_the_vf_when_kubelet_starts_it_again(
    kubernetes: Cluster, host: Host, vm: str, vf: str
) -> None:
    before = host.virsh(f"domid {vm}").strip()
    host.virsh(f"destroy {vm}")
    host.until(lambda: host.virsh(f"domid {vm}").strip() not in (before, "-"))
    host.until(lambda: bool(VF_IN_FIRMWARE.search(host.firmware(vm))))
    assert host.devices(vm) == [alias(vf)]
    kubernetes.wait_for_phase("vm")


def test_when_the_pod_is_deleted_its_vf_is_free(kubernetes: Cluster, host: Host, vm: str) -> None:
    assert machines(host) == [vm]
    kubernetes.delete_pod("vm")
    host.until(lambda: machines(host) == [])
    all_are_free(host)
    assert kubernetes.offered(VM_CY) == (16, 16)
