# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_device_plugin on a machine with VFs: shipped, registered, followed, upgraded, put back, removed."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.accel.qat.tests.controller.controller import Controller, Run
from ansible_collections.accel.qat.tests.lab.qat_lab.machine import Machine
from ansible_collections.accel.qat.tests.machine.node import DEVICES, KUBELET_GOES, Node

FIRST, SECOND = "0000:6b:00.0", "0000:70:00.0"
CY, DC = "qat.intel.com/cy", "qat.intel.com/dc"
RULES = ({"select": {"address": [SECOND]}, "services": ["dc"], "advertise": 12}, {"services": ["sym", "asym"]})
RECORD = "/var/lib/accel-qat/found.json"
PLACES = ("/etc", "/run/systemd/system", "/opt", "/var/lib/accel-qat", "/var/lib/kubelet")
UNIT = "accel-qat-device-plugin.service"
EXPORTER = "accel-qat-exporter.service"
CONTROL = f"/sys/kernel/debug/qat_4xxx_{FIRST}/telemetry/control"
RELEASES = "/opt/accel-qat/device-plugin"
PREVIOUS = "0.0.9-0123456789"
SPECIFICATION = "/run/cdi/qat.intel.com-vf.json"
WRITE = "Make that release the current one, and write the unit of the device plugin"
REMOVE = "Remove the CDI specification of all VFs, or the file for NFD, which nothing keeps up to date any more"
MAKE = "Have the directory from which Node Feature Discovery takes labels"
LABELS = "/etc/kubernetes/node-feature-discovery/features.d/accel-qat-device-plugin"
START = "Start the device plugin, and wait until kubelet has taken every resource"
PATIENCE = 300.0
HARNESS = Path(__file__).parents[2] / "device_plugin/tests/harness"

ALLOCATE = """
import asyncio
import sys
from pathlib import Path

from harness.kubelet import PLUGIN_REGISTRATION_SERVICE, Endpoint, api, pluginregistration

async def main(resource, vf):
    question, answer = pluginregistration.InfoRequest(), pluginregistration.PluginInfo
    request = api.AllocateRequest(container_requests=[api.ContainerAllocateRequest(devices_ids=[vf])])
    for path in Path("/var/lib/kubelet/device-plugins").glob("accel-qat-*"):
        endpoint = Endpoint(path, resource)
        if (await endpoint.call("GetInfo", question, answer, PLUGIN_REGISTRATION_SERVICE)).name == resource:
            given = await endpoint.call("Allocate", request, api.AllocateResponse)
            print(*(one.host_path for one in given.container_responses[0].devices))
        await endpoint.close()

asyncio.run(main(*sys.argv[1:]))
"""

Advertised = dict[str, dict[str, str]]

# These tests are one story, in this order.


class Kubelet:
    """A kubelet's registration socket in the machine; its libraries are those of the shipped release, or of another directory."""

    def __init__(self, node: Node, libraries: str = f"{RELEASES}/current/lib") -> None:
        self._node = node
        node.run(f"mkdir -p /root/kubelet/harness; cp -r {libraries}/. /root/kubelet")
        for name in ("__init__.py", "kubelet.py", "serve.py"):
            node.machine.put((HARNESS / name).read_bytes(), f"/root/kubelet/harness/{name}")
        self.start()

    def start(self) -> None:
        """Listen; what was advertised before is forgotten."""
        self._node.run(
            "systemd-run --quiet --unit=kubelet-socket --setenv=PYTHONPATH=/root/kubelet"
            " --property=StandardOutput=truncate:/root/advertised"
            " python3 -m harness.serve --json /var/lib/kubelet/device-plugins"
        )

    def history(self) -> list[Advertised]:
        """What was advertised from one change to the next."""
        return [json.loads(line) for line in self._node.run("cat /root/advertised || true").splitlines()]

    def has(self, wanted: Advertised, beyond: int = 0) -> int:
        """Wait until this is advertised, after at least so many changes; returns how many there have been."""
        end = time.monotonic() + PATIENCE
        while (history := self.history())[beyond:][-1:] != [wanted]:
            assert time.monotonic() < end, f"{history[-3:]}\n{self._node.run(f'journalctl -u {UNIT} -n 30')}"
            time.sleep(0.5)
        return len(history)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Machine.start(f"plugin-{os.getpid()}") as machine:
        node = Node(machine)
        assert node.apply(*RULES).code == 0
        node.run("mkdir /etc/accel-qat; cp /root/node.json /etc/accel-qat")
        yield node


@pytest.fixture(scope="module")
def untouched(node: Node) -> str:
    return node.state(*PLACES)


@pytest.fixture(scope="module")
def role(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Runs the role with these variables."""
    controller = Controller(node.machine, tmp_path_factory.mktemp("controller"))

    def run(entry_point: str = "main", **variables: Any) -> Run:
        task = {"name": "accel.qat.qat_device_plugin", "tasks_from": entry_point}
        return controller.play([{"name": "Role", "ansible.builtin.include_role": task, "vars": variables}])

    return run


@pytest.fixture(scope="module")
def shipped(untouched: str, role: Callable[..., Run]) -> Run:
    """The first run, on a node whose kubelet comes later."""
    assert untouched
    return role(qat_device_plugin_wait=False)


@pytest.fixture(scope="module")
def kubelet(node: Node, shipped: Run) -> Kubelet:
    assert shipped.code == 0, shipped.output
    return Kubelet(node)


@pytest.fixture(scope="module")
def truth(node: Node) -> Advertised:
    """What the rules say should be advertised of the VFs that there are."""
    devices = node.devices()
    vfs = {pf: [vf["address"] for vf in devices[pf]["vfs"]] for pf in (FIRST, SECOND)}
    assert [len(vfs[pf]) for pf in (FIRST, SECOND)] == [16, 16]
    return {CY: dict.fromkeys(vfs[FIRST], "Healthy"), DC: dict.fromkeys(vfs[SECOND][:12], "Healthy")}


def changed(run: Run) -> list[str]:
    assert run.code == 0, run.output
    return [task.name.removeprefix("accel.qat.qat_device_plugin : ") for task in run.tasks if task.changed]


def state_of(node: Node) -> str:
    return node.run(f"systemctl is-active {UNIT} || true").strip()


def unit_file(node: Node) -> str:
    return node.run(f"systemctl show --property=FragmentPath --value {UNIT}").strip()


def answer(node: Node, path: str) -> str:
    """What the service says over HTTP."""
    return node.run(get(path)).strip()


def get(path: str, port: int = 9482) -> str:
    """The command that prints a page."""
    return (
        f"python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}{path}').read().decode())\""
    )


def test_the_service_waits_for_kubelet(node: Node, shipped: Run) -> None:
    assert shipped.code == 0, shipped.output
    assert state_of(node) in ("activating", "active")
    assert not node.run(f"systemctl show --property=StatusText --value {UNIT}").startswith("ready;")


def test_the_boot_does_not_wait_for_kubelet(node: Node, shipped: Run) -> None:
    assert shipped.code == 0
    target = node.run("systemctl show --property=Wants --property=After multi-user.target")
    wants, after = (line.split() for line in sorted(target.replace("=", " ").splitlines(), reverse=True))
    assert wants[0] == "Wants"
    assert UNIT in wants
    assert UNIT not in after


def test_kubelet_learns_the_truth(node: Node, kubelet: Kubelet, truth: Advertised) -> None:
    kubelet.has(truth)
    node.run(f"timeout {PATIENCE} systemctl start {UNIT}")
    assert answer(node, "/readyz") == "ok"
    status = node.run(f"systemctl show --property=StatusText --value {UNIT}")
    assert status.strip() == f"ready; {CY}: 16 of 16 VFs healthy; {DC}: 12 of 12 VFs healthy"


def test_the_unit_is_confined(node: Node, shipped: Run) -> None:
    assert shipped.code == 0
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", node.run(f"systemd-analyze security {UNIT}"))
    assert exposure
    assert float(exposure[1]) <= 2.0


def test_a_second_run_changes_nothing(role: Callable[..., Run], kubelet: Kubelet, truth: Advertised) -> None:
    before = kubelet.has(truth)
    assert changed(role()) == []
    assert len(kubelet.history()) == before


def test_a_restart_registers_again(node: Node, kubelet: Kubelet, truth: Advertised) -> None:
    before = kubelet.has(truth)
    node.run(f"systemctl restart {UNIT}")
    kubelet.has(truth, beyond=before)
    assert state_of(node) == "active"


def test_a_kubelet_that_is_installed_again_gets_the_resources(node: Node, kubelet: Kubelet, truth: Advertised) -> None:
    """The service's own mount of the directory goes with it: only a new start brings another."""
    kubelet.has(truth)
    node.run(KUBELET_GOES)
    kubelet.start()
    kubelet.has(truth)
    assert "read-only for this process" in node.run(f"journalctl -u {UNIT}")


def test_health_follows_the_hardware(node: Node, kubelet: Kubelet, truth: Advertised) -> None:
    node.fault(FIRST, "heartbeat", "dead")
    kubelet.has({**truth, CY: dict.fromkeys(truth[CY], "Unhealthy")})
    assert f'qat_device_plugin_unhealthy_vfs{{pf="{FIRST}",reason="heartbeat"' in answer(node, "/metrics")
    node.fault(FIRST, "heartbeat", "alive")
    kubelet.has(truth)
    vf = min(truth[DC])
    node.run(f"echo {vf} > {DEVICES}/{vf}/driver/unbind")
    kubelet.has({**truth, DC: {**truth[DC], vf: "Unhealthy"}})
    node.run(f"echo {vf} > /sys/bus/pci/drivers/vfio-pci/bind")
    kubelet.has(truth)


def test_vfs_that_can_be_migrated_are_bound_offered_and_given(node: Node, kubelet: Kubelet, truth: Advertised) -> None:
    before = kubelet.has(truth)
    node.run(f"cp -p {RECORD} /root/found.json")
    applied = node.apply(RULES[0], {**RULES[1], "driver": "qat_vfio_pci"})
    assert applied.code == 0, applied.sentence
    node.run("cp /root/node.json /etc/accel-qat")
    kubelet.has(truth, beyond=before)
    drivers = {pf: {vf["driver"] for vf in device["vfs"]} for pf, device in node.devices().items()}
    assert drivers == {FIRST: {"qat_vfio_pci"}, SECOND: {"vfio-pci"}}
    vf = min(truth[CY])
    group = node.run(f"basename $(readlink {DEVICES}/{vf}/iommu_group)").strip()
    assert allocated(node, CY, vf) == [f"/dev/vfio/{group}", "/dev/vfio/vfio"]
    with node.holding(vf):
        (held,) = (one["held_by"] for one in node.devices()[FIRST]["vfs"] if one["address"] == vf)
        assert [holder["command"] for holder in held] == ["python3"]
    before = kubelet.has(truth)
    applied = node.apply(*RULES)
    assert applied.code == 0, applied.sentence
    # The record has the further driver for as long as there is one; the last test here compares it.
    node.run(f"cp -p /root/found.json {RECORD}; cp /root/node.json /etc/accel-qat")
    kubelet.has(truth, beyond=before)


def allocated(node: Node, resource: str, vf: str) -> list[str]:
    """The device nodes that the plugin answers to kubelet's Allocate."""
    return node.run(f"PYTHONPATH=/root/kubelet python3 - {resource} {vf} <<'END'{ALLOCATE}END").split()


def test_a_release_that_is_not_there_is_refused(role: Callable[..., Run], shipped: Run) -> None:
    assert shipped.code == 0
    run = role(qat_device_plugin_release="0.0.1-never")
    assert run.code != 0
    assert run.tasks[-1].message == (
        f"qat_device_plugin_release: the node has no release 0.0.1-never in {RELEASES}; "
        "name one that is there, or leave the variable empty"
    )


def test_back_to_a_previous_release_on_a_node_whose_etc_is_to_stay_as_it_is(
    node: Node, role: Callable[..., Run], kubelet: Kubelet, truth: Advertised
) -> None:
    newest = node.run(f"readlink {RELEASES}/current").strip()
    node.run(f"cp -a {RELEASES}/{newest} {RELEASES}/{PREVIOUS}; sed -i 's/12/10/' /etc/accel-qat/node.json")
    made = changed(
        role(qat_device_plugin_release=PREVIOUS, qat_device_plugin_mode="transient", qat_device_plugin_cdi=True)
    )
    assert made == [WRITE, START]
    # The rules have changed too.
    kubelet.has({**truth, DC: dict(list(truth[DC].items())[:10])})
    assert unit_file(node) == f"/run/systemd/system/{UNIT}"
    assert node.run(f"find /etc/systemd -name {UNIT}") == ""
    assert node.run(f"readlink {RELEASES}/current").strip() == PREVIOUS
    assert len(json.loads(node.run(f"cat {SPECIFICATION}"))["devices"]) == 26
    assert len(json.loads(node.run("cat /run/cdi/qat.intel.com-cy.json"))["devices"]) == 16


def test_an_upgrade_is_another_link(node: Node, role: Callable[..., Run], kubelet: Kubelet, truth: Advertised) -> None:
    node.run("cp /root/node.json /etc/accel-qat")
    made = changed(role())
    assert made == [WRITE, START, REMOVE]
    kubelet.has(truth)
    # Those that virtual machines need stay.
    wanted = ["/run/cdi/qat.intel.com-cy.json", "/run/cdi/qat.intel.com-dc.json"]
    assert sorted(node.run("find /run/cdi -name 'qat*'").split()) == wanted
    assert unit_file(node) == f"/etc/systemd/system/{UNIT}"
    assert node.run(f"readlink {RELEASES}/current").strip() != PREVIOUS


def test_nfd_gets_labels_as_long_as_that_is_wanted(
    node: Node, role: Callable[..., Run], kubelet: Kubelet, truth: Advertised
) -> None:
    """The directory is there before the hand-over: the next process may write into what it finds."""
    kubelet.has(truth)
    assert changed(role(qat_device_plugin_nfd=True)) == [WRITE, MAKE, START]
    kubelet.has(truth)
    written = f"timeout {PATIENCE} sh -c 'until test -e {LABELS}; do sleep 0.2; done'"
    node.run(f"{written} || {{ journalctl -u {UNIT} -n 30; false; }}")
    # NFD's worker is another user than root.
    text = node.run(f"su -s /bin/sh -c 'cat {LABELS}' nobody")
    labels = [line.partition("/")[2] for line in text.splitlines() if not line.startswith("#")]
    also = ["service.asym", "service.dc", "service.sym", "vfs.cy=16", "vfs.dc=12"]
    flags = ["driver.vfio-pci", "family.4xxx", "generation.4", "present", *also[:3]]
    assert labels == [*(f"{name}=true" for name in flags), *also[3:]]
    node.run(f"systemctl stop {UNIT}")
    assert node.run(f"cat {LABELS}") != text  # a shorter time
    node.run(f"systemctl start {UNIT}")
    assert changed(role()) == [WRITE, START, REMOVE]
    assert node.run(f"ls {Path(LABELS).parent}") == ""
    node.run("cd /etc && rmdir --parents --ignore-fail-on-non-empty kubernetes/node-feature-discovery/features.d")
    kubelet.has(truth)


def test_a_process_of_another_release_makes_way_though_its_unit_is_the_same(
    node: Node, role: Callable[..., Run], kubelet: Kubelet, truth: Advertised
) -> None:
    """As where it was started again while the link led elsewhere."""
    newest = node.run(f"readlink {RELEASES}/current").strip()
    node.run(f"ln -sfn {PREVIOUS} {RELEASES}/current; systemctl restart {UNIT}")
    kubelet.has(truth)
    node.run(f"ln -sfn {newest} {RELEASES}/current")
    run = role()
    assert changed(run) == [START]
    assert [task.result["action"] for task in run.tasks if task.changed] == ["reload"]
    assert changed(role()) == []
    kubelet.has(truth)


# The exporter, beside the device plugin.


def exported(node: Node) -> dict[str, float]:
    """The metrics of the exporter; none while it does not answer."""
    text = node.run(f"{get('/metrics', 9483)} 2> /dev/null || true")
    lines = (line.rpartition(" ") for line in text.splitlines() if line[:1] != "#")
    return {name: float(value) for name, _space, value in lines if name}


def soon(node: Node, wanted: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The metrics once they are as wanted."""
    end = time.monotonic() + PATIENCE
    while not wanted(found := exported(node)):
        assert time.monotonic() < end, f"{found}\n{node.run(f'journalctl -u {EXPORTER} -u followed -n 30')}"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def exporting(node: Node, role: Callable[..., Run], kubelet: Kubelet, truth: Advertised) -> list[str]:
    """What the run changes that brings the exporter."""
    kubelet.has(truth)
    assert node.run(f"cat {CONTROL}").strip() == "0"
    return changed(role(qat_device_plugin_exporter=True))


def test_the_exporter_says_how_busy_the_devices_are(node: Node, role: Callable[..., Run], exporting: list[str]) -> None:
    assert exporting[-2:] == ["Write the unit of the exporter", "Start the exporter"]
    assert changed(role(qat_device_plugin_exporter=True)) == []
    node.fault(FIRST, "load", "'pke 37, bw_in 8'")
    pke = f'qat_pf_slice_utilization_ratio{{engine="pke",pf="{FIRST}",slice="0"}}'
    found = soon(node, lambda metrics: metrics.get(pke) == 0.37)
    assert found[f'qat_pf_pcie_written_bytes_per_second{{pf="{FIRST}"}}'] == 1e6
    assert found[f'qat_pf_up{{pf="{SECOND}"}}'] == 1
    assert not any(name.startswith("qat_pf_unreadable_files") for name in found)
    # The device plugin alone asks for the heartbeat, and takes no device for dead.
    assert f'qat_device_plugin_unhealthy_vfs{{pf="{FIRST}"' not in answer(node, "/metrics")


def test_the_exporter_may_write_to_debugfs_and_nothing_else(node: Node, exporting: list[str]) -> None:
    assert exporting
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", node.run(f"systemd-analyze security {EXPORTER}"))
    assert exposure
    assert float(exposure[1]) <= 2.5
    inside = f"nsenter --mount --target $(systemctl show --property=MainPID --value {EXPORTER})"
    for path in ("/sys/bus/pci/rescan", "/proc/sys/kernel/printk", "/etc/new"):
        refused = node.machine.run(f"{inside} sh -c 'echo 1 > {path}'", check=False)
        assert "Read-only file system" in refused.stderr, (path, refused.stderr)
    hidden = node.run(f"systemctl show --property=InaccessiblePaths --value {EXPORTER}").replace("-/", "/")
    listed = f"sh -c 'ls -A {hidden.strip()} 2> /dev/null | grep -v :$ | grep .; true'"
    assert node.run(listed)
    assert node.run(f"{inside} {listed}") == ""


def test_telemetry_is_off_again_however_the_exporter_ends(node: Node, exporting: list[str]) -> None:
    assert exporting
    assert node.run(f"cat {CONTROL}").strip() == "1"
    node.run(f"systemctl kill --signal=KILL {EXPORTER}; systemctl stop {EXPORTER}")
    assert node.run(f"cat {CONTROL}").strip() == "0"
    node.run(f"systemctl start {EXPORTER}")
    soon(node, lambda metrics: metrics.get(f'qat_pf_telemetry_enabled{{pf="{FIRST}"}}') == 1)
    node.run(f"systemctl stop {EXPORTER}")
    assert node.run(f"cat {CONTROL}").strip() == "0"


def test_the_exporter_follows_the_vf_of_a_pod(node: Node, exporting: list[str], truth: Advertised) -> None:
    assert exporting
    third = list(truth[CY])[2]
    pod = {"namespace": "team", "pod": "tls", "uid": "u1", "container": "proxy", "resource": CY, "devices": [third]}
    for name in ("pod_resources.py", "give.py"):
        node.machine.put((HARNESS / name).read_bytes(), f"/root/kubelet/harness/{name}")
    node.run("mkdir -p /root/given")
    node.machine.put(json.dumps([pod]).encode(), "/root/given/given.json")
    node.run("systemd-run --quiet --unit=given --setenv=PYTHONPATH=/root/kubelet python3 -m harness.give /root/given")
    node.run(f"systemctl stop {EXPORTER}")
    # The root directory of the kubelet that has given it is not the one of the device plugin's socket.
    node.run(
        f"systemd-run --quiet --unit=followed python3 -I {RELEASES}/current/bin/qat-exporter --per-vf"
        " --kubelet-root=/root/given --run-dir=/run/followed"
    )
    node.fault(FIRST, "load", "'rp 8 bw_in 80, rp 9 bw_out 400'")
    labels = f'container="proxy",namespace="team",pf="{FIRST}",pod="tls"'
    written = f'qat_vf_pcie_written_bytes_per_second{{{labels},service="asym",vf="{third}"}}'
    found = soon(node, lambda metrics: metrics.get(written) == 1e7)
    assert found[f'qat_vf_pcie_read_bytes_per_second{{{labels},service="sym",vf="{third}"}}'] == 5e7
    assert found["qat_exporter_pod_resources_up"] == 1
    node.run("systemctl stop followed given")
    assert node.run(f"cat {CONTROL}").strip() == "0"


def test_a_run_without_it_removes_the_exporter(node: Node, role: Callable[..., Run], exporting: list[str]) -> None:
    assert exporting
    assert "Remove the unit of the exporter, and its record" in changed(role())
    assert node.run(f"systemctl show --property=LoadState --value {EXPORTER}").strip() == "not-found"
    assert node.run("ls /run/accel-qat").split() == ["device-plugin"]


def test_removal_leaves_no_trace(node: Node, untouched: str, role: Callable[..., Run], kubelet: Kubelet) -> None:
    assert kubelet.history()
    node.run("systemctl stop kubelet-socket")
    assert "Stop the device plugin" in changed(role("teardown"))
    assert node.state(*PLACES) == untouched
    assert node.run(f"systemctl show --property=LoadState --value {UNIT}").strip() == "not-found"
