# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as those of Virtlet, on Debian's libvirt and QEMU, get the VFs of their pods, and those of KubeVirt have the VFs of theirs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.kubevirt import addresses_of, host_device_of, variable_of

from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
from ansible_collections.accel.qat.tests.lab.qat_lab import image
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.libvirt_host import (
    FIRMWARE,
    RELEASES,
    UNIT,
    VF_IN_FIRMWARE,
    Host,
    alias,
    pod,
)
from ansible_collections.accel.qat.tests.machine.node import DEVICES, KUBELET_GOES, Node

PF = "0000:6b:00.0"
CY = "qat.intel.com/cy"
PLACES = ("/etc", "/run/systemd/system", "/opt")

# These tests are one story, in this order.


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Machine.start(f"vms-{os.getpid()}", flavour=image.HOST) as machine:
        node = Node(machine)
        answer = node.apply({"select": {"address": PF}, "services": ["sym", "asym"], "attach": "vm"})
        assert answer.code == 0, answer.sentence
        node.run("mkdir /etc/accel-qat; cp /root/node.json /etc/accel-qat")
        yield node


@pytest.fixture(scope="module")
def vfs(node: Node) -> list[str]:
    return [vf["address"] for vf in node.devices()[PF]["vfs"]]


@pytest.fixture(scope="module")
def role(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Runs the role with these variables."""
    controller = Controller(node.machine, tmp_path_factory.mktemp("controller"))

    def run(entry_point: str = "main", *options: str, **variables: Any) -> Run:
        task = {"name": "accel.qat.qat_device_plugin", "tasks_from": entry_point}
        given = {"qat_device_plugin_wait": False, "qat_device_plugin_vm_attach": True, **variables}
        return controller.play([{"name": "Role", "ansible.builtin.include_role": task, "vars": given}], *options)

    return run


@pytest.fixture(scope="module")
def host(node: Node, role: Callable[..., Run]) -> Host:
    untouched = node.state(*PLACES)
    node.run(f"mkdir -p /root/before; cat > /root/before/state <<'EOF'\n{untouched}\nEOF")
    run = role()
    assert run.code == 0, run.output
    made = Host(node)
    made.serve_kubelet()
    return made


def test_the_agent_runs_and_is_confined(host: Host) -> None:
    host.until(lambda: host.metric("connected") == 1)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", host.node.run(f"systemd-analyze security {UNIT}"))
    assert exposure
    assert float(exposure[1]) <= 2.0
    peak = host.node.run(f"cat /sys/fs/cgroup/system.slice/{UNIT}/memory.current")
    assert int(peak) < 64 << 20


@pytest.mark.usefixtures("host")
def test_a_second_run_changes_nothing(role: Callable[..., Run]) -> None:
    run = role()
    assert run.code == 0, run.output
    assert [task.name for task in run.tasks if task.changed] == []


def test_a_machine_that_runs_gets_its_vf(host: Host, vfs: list[str]) -> None:
    """As of Virtlet, which starts a domain milliseconds after it has defined it."""
    host.give({pod(1): vfs[:1]})
    host.define("vm-1", pod(1))
    host.virsh("start vm-1")
    host.until(lambda: host.devices("vm-1") == [alias(vfs[0])])
    assert host.devices("vm-1", "--inactive") == [alias(vfs[0])]
    assert "PCI device 8086:4941" in host.virsh("qemu-monitor-command --hmp vm-1 'info pci'")
    holders = next(vf["held_by"] for vf in host.node.devices()[PF]["vfs"] if vf["address"] == vfs[0])
    assert any("qemu" in one["command"] for one in holders), holders


def test_from_its_next_start_on_the_firmware_finds_it(host: Host, vfs: list[str]) -> None:
    host.virsh("destroy vm-1")
    host.node.run(f"rm -f {FIRMWARE.format(name='vm-1')}")
    host.virsh("start vm-1")
    host.until(lambda: bool(VF_IN_FIRMWARE.search(host.firmware("vm-1"))))
    assert host.devices("vm-1") == [alias(vfs[0])]


def test_what_the_agent_says_of_it(host: Host, vfs: list[str]) -> None:
    host.give({pod(1): vfs[:1], pod(2): vfs[1:2]})
    status = json.loads(host.node.run(f"python3 -I {RELEASES}/current/bin/qat-vm-attach --status"))
    assert status["domains"] == [
        {"name": "vm-1", "running": True, "pod": "default/vm-1", "container": "guest", "vfs": vfs[:1]}
    ]
    assert status["lacking"] == [{"pod": "default/vm-2", "container": "guest", "vf": vfs[1]}]


def test_two_machines_that_say_they_are_the_same_container_get_nothing(host: Host, vfs: list[str]) -> None:
    before = host.metric('changes_total{action="attach"}')
    # The first of them would get it before there is a second.
    host.give({pod(1): vfs[:1]})
    for name in ("one", "two"):
        host.define(name, pod(2))
    host.give({pod(1): vfs[:1], pod(2): vfs[1:2]})
    host.until(lambda: host.metric('problems{reason="claimed_twice"}') == 2)
    assert host.devices("one", "--inactive") == host.devices("two", "--inactive") == []
    host.virsh("undefine two")
    host.until(lambda: host.metric('changes_total{action="attach"}') > before)
    assert len(host.devices("one", "--inactive")) == 1


def test_the_next_start_does_not_take_the_vf_of_another_pod(host: Host, vfs: list[str]) -> None:
    host.give({pod(1): vfs[:1], pod(3): vfs[1:2]})
    host.define("three", pod(3))
    host.until(lambda: host.devices("three", "--inactive") == [alias(vfs[1])])
    assert host.devices("one", "--inactive") == []
    for name in ("one", "three"):
        host.virsh(f"undefine {name}")


def test_a_libvirt_that_hangs_or_starts_again(host: Host, vfs: list[str]) -> None:
    host.node.run("kill -STOP $(systemctl show --property=MainPID --value libvirtd)")
    host.until(lambda: host.metric("connected") == 0)
    host.node.run("kill -CONT $(systemctl show --property=MainPID --value libvirtd)")
    host.until(lambda: host.metric("connected") == 1)
    host.node.run("systemctl restart libvirtd")
    host.give({pod(1): vfs[:1], pod(4): vfs[3:4]})
    host.define("four", pod(4))
    host.until(lambda: host.devices("four", "--inactive") == [alias(vfs[3])])
    assert host.devices("vm-1") == [alias(vfs[0])]
    host.virsh("undefine four")


def test_the_device_that_kubevirt_makes_of_our_variables(host: Host, vfs: list[str]) -> None:
    """Its domain has the device from the beginning: type pci, not managed, with an alias of the name in the VirtualMachineInstance."""
    given = {variable_of(CY): ",".join(vfs[4:6]) + ","}
    found = addresses_of(given, [("qat0", CY), ("qat1", CY)])
    devices = "".join(host_device_of(name, address) for name, address in found.items())
    host.define("kubevirt", None, devices)
    host.virsh("start kubevirt")
    host.until(lambda: len(VF_IN_FIRMWARE.findall(host.firmware("kubevirt"))) >= 2)
    # Nothing of it is the agent's.
    assert host.devices("kubevirt") == ["ua-hostdevice-qat0", "ua-hostdevice-qat1"]
    host.virsh("destroy kubevirt")
    host.virsh("undefine kubevirt")


def test_when_the_machine_ends_its_vf_is_free_and_stays_on_vfio_pci(host: Host, vfs: list[str]) -> None:
    host.virsh("destroy vm-1")
    host.virsh("undefine vm-1")
    host.give({})
    # It is another thing what kubelet says: it gives no more, and nothing runs.
    host.node.run(KUBELET_GOES)
    found = host.node.devices()[PF]["vfs"]
    assert [(vf["driver"], vf["held_by"]) for vf in found] == [("vfio-pci", [])] * len(vfs)
    assert host.node.run(f"basename $(readlink {DEVICES}/{vfs[0]}/driver)").strip() == "vfio-pci"


def test_the_role_without_it_removes_it_and_teardown_the_rest(host: Host, role: Callable[..., Run]) -> None:
    checked = role("main", "--check", qat_device_plugin_vm_attach=False)
    assert checked.code == 0, checked.output
    assert any(task.changed for task in checked.tasks)
    assert host.node.run(f"systemctl is-active {UNIT}").strip() == "active"
    removed = role(qat_device_plugin_vm_attach=False)
    assert removed.code == 0, removed.output
    assert host.node.run(f"systemctl show --property=LoadState --value {UNIT}").strip() == "not-found"
    again = role()
    assert again.code == 0, again.output
    host.until(lambda: host.node.run(f"systemctl is-active {UNIT} || true").strip() == "active")
    assert role("teardown").code == 0
    assert host.node.run(f"systemctl show --property=LoadState --value {UNIT}").strip() == "not-found"
    assert host.node.state(*PLACES).strip() == host.node.run("cat /root/before/state").strip()
