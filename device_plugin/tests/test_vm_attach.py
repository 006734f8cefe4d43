# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent that attaches the VFs of pods to their virtual machines: what it reads, what it decides, what it does."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest
from harness.fake_libvirt import POD, FakeLibvirt, domain_xml, log_path
from harness.node_files import NodeFiles
from harness.pod_resources import KubeletThread
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin.vm_attach import agent as agents
from qat_device_plugin.vm_attach import command, hypervisor, kubelet, metrics
from qat_device_plugin.vm_attach.agent import Agent, Counters, scan
from qat_device_plugin.vm_attach.decide import REASONS, Decision, Step, decide
from qat_device_plugin.vm_attach.domain import (
    LONGEST_XML,
    ContainerOfPod,
    Domain,
    DomainError,
    HostDevice,
    alias_of,
    host_device_xml,
    read_definition,
)
from qat_device_plugin.vm_attach.hypervisor import MOST_DOMAINS, Hypervisor, LibvirtError
from qat_device_plugin.vm_attach.kubelet import Said

VM_CY = "qat.intel.com/vm-cy"
VF, OTHER = "0000:6b:00.1", "0000:6b:00.2"
OWNER = ContainerOfPod(*POD)
LATER = OWNER._replace(uid="f00d0000-0000-0000-0000-000000000002")

# A definition.


def test_a_domain_of_virtlet() -> None:
    xml = domain_xml("virtlet-231700d5-c9a6-guest", "u", {"A": "1", "VIRTLET_CONTAINER_LOG_PATH": log_path(*POD)})
    assert read_definition(xml) == (OWNER, ())


def test_its_devices_are_those_that_are_attached() -> None:
    devices = host_device_xml(VF) + host_device_xml(OTHER).replace("<alias name='ua-qat-0000-6b-00-2'/>", "")
    found = read_definition(domain_xml("a", "u", devices=devices + "<hostdev mode='subsystem' type='usb'/>"))
    assert found.container is None
    assert found.devices == (HostDevice(VF, alias_of(VF)), HostDevice(OTHER))
    assert [one.is_ours for one in found.devices] == [True, False]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/var/log/pods/0c5e2a4b/guest/0.log", "kubelet from 1.14 on"),
        ("/var/log/pods/../default_vm-0_1/guest/0.log", "kubelet from 1.14 on"),
        ("/var/log/pods/default_vm-0_1_2/guest/0.log", "kubelet from 1.14 on"),
        ("/tmp/default_vm-0_1/guest/0.log", "kubelet from 1.14 on"),
        ("/var/log/pods/default_vm-0_1/guest/0.log\n", "kubelet from 1.14 on"),
        ("", "kubelet from 1.14 on"),
    ],
)
def test_a_log_path_of_another_form(path: str, problem: str) -> None:
    xml = domain_xml("a", "u", {"VIRTLET_CONTAINER_LOG_PATH": path.replace("\n", "&#10;")})
    with pytest.raises(DomainError, match=problem):
        read_definition(xml)


def test_two_log_paths() -> None:
    line = f"<qemu:env name='VIRTLET_CONTAINER_LOG_PATH' value='{log_path(*POD)}'/>"
    xml = domain_xml("a", "u", {"VIRTLET_CONTAINER_LOG_PATH": log_path(*POD)}).replace(line, line * 2)
    with pytest.raises(DomainError, match="more than once"):
        read_definition(xml)


BOMB = (
    "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]>"
    "<domain>&c;</domain>"
)


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        (BOMB, "document type"),
        ("<domain>" + "x" * LONGEST_XML, "more than 1048576"),
        ("<domain>", "no XML"),
        ("<domain>\x00</domain>", "no XML"),
        (
            "<domain><devices><hostdev type='pci'><source><address bus='0x1ff'/></source></hostdev></devices></domain>",
            "0x1ff",
        ),
        (
            "<domain><devices><hostdev type='pci'><source><address bus='six'/></source></hostdev></devices></domain>",
            "six",
        ),
    ],
)
def test_what_is_no_definition(xml: str, problem: str) -> None:
    with pytest.raises(DomainError, match=problem):
        read_definition(xml)


def test_a_device_is_attached_as_it_is_and_stays_bound() -> None:
    assert host_device_xml("0000:6b:01.7") == (
        "<hostdev mode='subsystem' type='pci' managed='no'><source>"
        "<address domain='0x0000' bus='0x6b' slot='0x01' function='0x7'/></source><alias name='ua-qat-0000-6b-01-7'/></hostdev>"
    )


# What is decided.

DRIVERS: t.Mapping[str, str | None] = {VF: "vfio-pci", OTHER: "vfio-pci"}
OURS, OTHERS_OURS = HostDevice(VF, alias_of(VF)), HostDevice(OTHER, alias_of(OTHER))


def domain(name: str = "vm", **values: t.Any) -> Domain:
    return Domain(f"uuid-of-{name}", name, **{"active": True, "persistent": True, "container": OWNER, **values})


def said(*addresses: str, of: ContainerOfPod = OWNER, listed: bool = True, kept: bool = True) -> Said:
    return Said(
        frozenset((of.namespace, of.pod, of.container, one) for one in addresses if listed),
        frozenset((of.uid, of.container, one) for one in addresses if kept),
    )


def attach(address: str = VF, name: str = "vm", live: bool = True, config: bool = True) -> Step:
    return Step("attach", f"uuid-of-{name}", name, address, live, config)


def detach(address: str = VF, name: str = "vm") -> Step:
    return Step("detach", f"uuid-of-{name}", name, address, live=False, config=True)


@pytest.mark.parametrize(
    ("domains", "given", "steps"),
    [
        pytest.param([domain()], said(VF), [attach()], id="runs"),
        pytest.param([domain(active=False)], said(VF), [attach(live=False)], id="is defined alone"),
        pytest.param([domain(persistent=False)], said(VF), [attach(config=False)], id="is transient"),
        pytest.param([domain()], said(VF, OTHER), [attach(), attach(OTHER)], id="two VFs"),
        pytest.param([domain(live=(OURS,), config=(OURS,))], said(VF), [], id="has it"),
        pytest.param([domain(config=(OURS,))], said(VF), [attach(config=False)], id="has it from its next start on"),
        pytest.param([domain(live=(OURS,))], said(VF), [attach(live=False)], id="was defined again"),
        pytest.param(
            [domain(live=(HostDevice(VF),), config=(HostDevice(VF),))], said(VF), [], id="others have attached it"
        ),
        pytest.param([domain(container=None)], said(VF), [], id="is of no pod"),
        pytest.param([domain()], said(VF, of=LATER._replace(pod="other")), [], id="another pod has it"),
        pytest.param([domain()], said(VF, of=OWNER._replace(container="sidecar")), [], id="another container has it"),
        pytest.param([domain(config=(OURS,))], said(), [detach()], id="stale"),
        pytest.param(
            [domain(live=(OURS,), config=(OURS,))], said(), [detach()], id="stale and runs: it keeps what it has"
        ),
        pytest.param([domain(container=None, config=(OURS,))], said(), [detach()], id="stale and of no pod"),
        pytest.param([domain(config=(HostDevice(VF, "ua-mine"),))], said(), [], id="not ours to detach"),
        pytest.param([domain(config=(OURS,))], said(OTHER), [detach(), attach(OTHER)], id="another VF than before"),
        pytest.param([], said(VF), [], id="no domain"),
    ],
)
def test_steps(domains: list[Domain], given: Said, steps: list[Step]) -> None:
    assert decide(domains, given, DRIVERS) == Decision(tuple(steps))


@pytest.mark.parametrize(
    ("domains", "given", "steps", "reasons"),
    [
        pytest.param([domain()], Said(problem="no"), [], ["kubelet"], id="kubelet is silent"),
        pytest.param([domain(container=None)], Said(problem="no"), [], [], id="kubelet is silent and nobody cares"),
        pytest.param(
            [domain(container=None, config=(OURS,))], Said(problem="no"), [], ["kubelet"], id="nothing is stale unseen"
        ),
        pytest.param([domain()], said(VF, kept=False), [], ["unconfirmed"], id="of a pod of the same name"),
        pytest.param([domain()], said(VF, listed=False), [], ["unconfirmed"], id="not listed yet"),
        pytest.param(
            [domain(config=(OURS,))],
            said(VF, listed=False),
            [],
            ["unconfirmed"],
            id="while kubelet starts nothing is stale",
        ),
        pytest.param([domain()], said("0000:6b:00.3"), [], ["not_a_vf"], id="no QAT VF"),
        pytest.param([domain("a"), domain("b")], said(VF), [], ["claimed_twice"] * 2, id="two say that they are it"),
        pytest.param(
            [domain("a", live=(OURS,), config=(OURS,)), domain("b")],
            said(VF),
            [],
            ["claimed_twice"] * 2,
            id="one of them has it",
        ),
        pytest.param(
            [domain("a", container=None, live=(HostDevice(VF),)), domain("vm")], said(VF), [], ["held"], id="held"
        ),
        pytest.param(
            [domain("a", container=None, config=(HostDevice(VF),)), domain("vm")],
            said(VF),
            [],
            ["held"],
            id="held at the next start",
        ),
        pytest.param(
            [domain("a", container=LATER, active=False, config=(OURS,)), domain("vm")],
            said(VF),
            [detach(name="a")],
            ["held"],
            id="given back first",
        ),
        pytest.param(
            [domain("a", container=None, problem="odd"), domain("vm")],
            said(VF),
            [attach()],
            ["domain"],
            id="one is odd",
        ),
    ],
)
def test_problems(domains: list[Domain], given: Said, steps: list[Step], reasons: list[str]) -> None:
    decision = decide(domains, given, DRIVERS)
    assert (list(decision.steps), [one.reason for one in decision.problems]) == (steps, reasons)
    assert set(reasons) <= set(REASONS)


def test_a_pod_that_has_ended_lacks_nothing() -> None:
    """Kubelet lists its VF no more, and its checkpoint has it until the next pod gets one: no machine of its waits for it."""
    ended = domain(active=False, config=(OURS,))
    assert decide([ended], said(VF, listed=False), DRIVERS) == Decision()
    assert [one.reason for one in decide([ended], said(VF, OTHER, listed=False), DRIVERS).problems] == ["unconfirmed"]


def test_a_domain_of_the_pod_that_was_there_before_gets_nothing_of_its_successor() -> None:
    """As with a StatefulSet, whose pods keep their names."""
    assert decide([domain("old", container=LATER), domain("vm")], said(VF), DRIVERS) == Decision((attach(),))


@pytest.mark.parametrize("driver", [None, "4xxx", "pci-stub"])
def test_a_vf_that_is_not_bound_to_vfio_stays_where_it_is(driver: str | None) -> None:
    decision = decide([domain()], said(VF), {VF: driver})
    assert decision.steps == ()
    assert [one.reason for one in decision.problems] == ["driver"]


def test_the_driver_for_live_migration_serves() -> None:
    assert decide([domain()], said(VF), {VF: "qat_vfio_pci"}).steps == (attach(),)


# The agent, over files, a kubelet and a libvirt that are fakes.


class Bench:
    """A node with one PF, a kubelet that gives, and a libvirt."""

    def __init__(self, root: Path) -> None:
        self.node = NodeFiles(root)
        self.node.add_pf("0000:6b:00.0")
        self.kubelet = KubeletThread(root / "kubelet")
        (root / "kubelet/pods").mkdir(parents=True)
        self.kubelet.start()
        self.kernel = LiveKernel(str(self.node.sys), str(self.node.proc), str(self.node.dev))
        self.libvirt = FakeLibvirt()
        self.woken = threading.Event()
        self.hypervisor = Hypervisor(self.libvirt, "qemu:///system", self.woken.set)
        self.agent = Agent(self.hypervisor, self.ask, self.kernel, 30.0, self.woken, lambda _: None)

    def ask(self) -> Said:
        return kubelet.ask([str(self.kubelet.root)])

    def give(self, *addresses: str, to: tuple[str, str, str, str] = POD, resource: str = VM_CY) -> None:
        namespace, pod, uid, container = to
        self.kubelet.fake.pods = {(namespace, pod): {container: {resource: list(addresses)}}}
        devices = {"-1": list(addresses)}
        entry = {"PodUID": uid, "ContainerName": container, "ResourceName": resource, "DeviceIDs": devices}
        self.kubelet.checkpoint([entry], alive=[uid])

    def scan(self) -> agents.Scan:
        self.hypervisor.connect()
        return scan(self.hypervisor, self.ask, self.kernel)


@pytest.fixture
def bench() -> t.Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="qvm") as directory:
        made = Bench(Path(directory))
        yield made
        made.kubelet.close()
        made.kernel.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems are reported as soon as they are seen again."""
    monkeypatch.setattr(agents, "AGAIN_SECONDS", 0.0)


def devices_of(bench: Bench, now: bool, of: int = 0) -> list[str]:
    found = bench.scan().domains[of]
    return [one.address for one in (found.live if now else found.config)]


def test_a_vf_comes_into_the_machine_that_runs_and_into_its_next_start(bench: Bench) -> None:
    bench.give(VF, OTHER)
    bench.libvirt.define("vm").start()
    bench.agent.turn()
    assert devices_of(bench, now=True) == devices_of(bench, now=False) == [VF, OTHER]
    assert {flags for _, _, _, flags in bench.libvirt.changes} == {3}
    bench.agent.turn()
    assert len(bench.libvirt.changes) == 2
    assert bench.agent.counters.done == {"attach": 2}


def test_a_machine_that_is_defined_has_it_from_its_first_start_on(bench: Bench) -> None:
    bench.give(VF)
    vm = bench.libvirt.define("vm")
    bench.agent.turn()
    vm.start()
    bench.agent.turn()
    assert devices_of(bench, now=True) == [VF]
    assert [flags for _, _, _, flags in bench.libvirt.changes] == [2]


def test_resources_of_containers_are_not_for_machines(bench: Bench) -> None:
    bench.give(VF, resource="qat.intel.com/cy")
    bench.libvirt.define("vm").start()
    bench.agent.turn()
    assert bench.libvirt.changes == []
    assert bench.agent.pause() == 30.0


def test_the_next_start_does_not_take_what_another_pod_has(bench: Bench) -> None:
    bench.give(VF)
    old = bench.libvirt.define("old")
    bench.agent.turn()
    successor = (POD[0], "vm-1", LATER.uid, POD[3])
    bench.give(VF, to=successor)
    bench.libvirt.define("new", successor).start()
    bench.agent.turn()
    assert alias_of(VF) not in str(old.then)
    assert [(action, name) for action, name, _, _ in bench.libvirt.changes[1:]] == [
        ("detach", "old"),
        ("attach", "new"),
    ]


def test_a_new_agent_goes_on_where_the_one_before_it_was(bench: Bench) -> None:
    bench.give(VF)
    bench.libvirt.define("vm").start()
    bench.agent.turn()
    Agent(bench.hypervisor, bench.ask, bench.kernel, 30.0, bench.woken, lambda _: None).turn()
    assert len(bench.libvirt.changes) == 1


@pytest.mark.usefixtures("soon")
def test_libvirt_goes_and_comes_back(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.agent.turn()
    bench.libvirt.stop()
    assert bench.woken.is_set()
    bench.agent.turn()
    assert "\nqat_vm_attach_connected 0\n" in metrics.exposition(bench.agent.counters)
    bench.give(VF)
    bench.libvirt.define("vm").start()
    bench.libvirt.start()
    with caplog.at_level(logging.INFO):
        bench.agent.turn()
    assert metrics.exposition(bench.agent.counters).count("\nqat_vm_attach_connected 1\n") == 1
    assert devices_of(bench, now=True) == [VF]
    assert bench.libvirt.opened == 2
    assert bench.agent.counters.failures == {"libvirt": 1}
    assert "no longer" in caplog.messages


def test_each_change_begins_with_a_sign_of_life(bench: Bench) -> None:
    """All memory of a guest is locked with its first VF: for many guests together that takes longer than the watchdog waits."""
    bench.give(VF, OTHER)
    bench.libvirt.define("vm").start()
    seen: list[tuple[int, bool]] = []
    Agent(
        bench.hypervisor,
        bench.ask,
        bench.kernel,
        30.0,
        bench.woken,
        lambda counters: seen.append((counters.done["attach"], counters.connected)),
    ).turn()
    assert seen == [(0, True), (1, True)]


def test_when_it_is_stopped_it_ends_after_the_change_that_it_is_at(bench: Bench) -> None:
    bench.give(VF, OTHER)
    bench.libvirt.define("vm").start()

    def report(counters: Counters) -> None:
        if counters.done["attach"]:
            running.stop()

    running = Agent(bench.hypervisor, bench.ask, bench.kernel, 30.0, bench.woken, report)
    running.run()
    assert len(bench.libvirt.changes) == 1


def test_an_event_wakes_it(bench: Bench) -> None:
    bench.give(VF)
    reports: list[float] = []
    woken = bench.woken
    running = Agent(
        bench.hypervisor, bench.ask, bench.kernel, 3600.0, woken, lambda counters: reports.append(counters.looked_at)
    )
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        _wait_for(lambda: bool(reports))
        vm = bench.libvirt.define("vm")
        _wait_for(lambda: running.counters.done["attach"] == 1)
        vm.start()
        _wait_for(lambda: len(reports) >= 3)
    finally:
        running.stop()
        thread.join()
    assert alias_of(VF) in str(vm.now)


def test_a_storm_of_events_is_looked_at_now_and_then(bench: Bench) -> None:
    """Each look is a call of kubelet's, which lets few through for all its clients together."""
    starts: list[float] = []

    def ask() -> Said:
        starts.append(time.monotonic())
        bench.libvirt.notify()
        if len(starts) == 4:
            running.stop()
        return bench.ask()

    running = Agent(bench.hypervisor, ask, bench.kernel, 3600.0, bench.woken, lambda _: None)
    running.run()
    assert min(later - sooner for sooner, later in zip(starts, starts[1:])) >= agents.QUIET_SECONDS


def _wait_for(condition: t.Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_problem_is_reported_once_and_only_when_it_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.give(VF)
    bench.kubelet.fake.pods = {}  # it starts
    bench.libvirt.define("vm").start()
    with caplog.at_level(logging.INFO):
        bench.agent.turn()
        assert bench.agent.pause() == agents.AGAIN_SECONDS
        assert (bench.agent.counters.failures, caplog.messages) == ({}, [])
        monkeypatch.setattr(agents, "AGAIN_SECONDS", 0.0)
        for _ in range(3):
            bench.agent.turn()
    assert caplog.messages == ["a domain lacks its VFs"]
    assert bench.agent.counters.failures == {"unconfirmed": 1}
    assert bench.agent.counters.standing == {"unconfirmed": 1}
    bench.give(VF)
    bench.agent.turn()
    assert bench.agent.counters.standing == {}
    assert bench.agent.counters.failures == {"unconfirmed": 1}
    assert devices_of(bench, now=True) == [VF]


@pytest.mark.usefixtures("soon")
def test_what_stands_for_long_is_not_tried_all_the_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.give(VF)
    bench.libvirt.define("vm").start()
    bench.libvirt.refusal = "internal error: No more available PCI slots"
    bench.agent.turn()
    assert bench.agent.counters.failures == {"failed": 1}
    monkeypatch.setattr(agents, "PATIENCE_SECONDS", 0.0)
    assert bench.agent.pause() == 30.0


def test_a_problem_that_names_other_numbers_each_time_is_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As QEMU's where memory cannot be locked."""
    bench.give(VF)
    bench.libvirt.define("vm").start()
    for number in range(3):
        bench.libvirt.refusal = f"vfio_dma_map(0x5583{number}a, 0x0, 0x80000000) = -12 (Cannot allocate memory)"
        bench.agent.turn()
        monkeypatch.setattr(agents, "AGAIN_SECONDS", 0.0)
    assert caplog.messages == ["a domain lacks its VFs"]
    assert bench.agent.counters.failures == {"failed": 1}
    with caplog.at_level(logging.INFO):
        bench.libvirt.refusal = ""
        bench.agent.turn()
    assert caplog.messages[-1] == "no longer"


@pytest.mark.usefixtures("soon")
def test_what_others_name_is_one_line_of_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    from qat_device_plugin.logs import _Text  # noqa: PLC0415

    bench.give(VF)
    bench.libvirt.define("a\nfake: \x1b[31mline" + "x" * 5000).start()
    bench.libvirt.refusal = "broken\nerror: nothing"
    with caplog.at_level(logging.INFO):
        bench.agent.turn()
    lines = [_Text(journal=True).format(record) for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert len(lines[0]) < 1500


@pytest.mark.usefixtures("soon")
def test_so_many_problems_at_once_are_a_few_lines(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.give(VF)
    for number in range(100):
        bench.libvirt.define(f"vm-{number}")
    with caplog.at_level(logging.INFO):
        bench.agent.turn()
    assert len(caplog.messages) == agents.MOST_LINES + 1
    assert bench.agent.counters.failures == {"claimed_twice": 100}
    assert bench.libvirt.changes == []


def test_more_domains_than_a_node_can_run(bench: Bench) -> None:
    for number in range(MOST_DOMAINS + 1):
        bench.libvirt.define(f"vm-{number}")
    bench.agent.turn()
    assert bench.agent.counters.standing == {"libvirt": 1}


def test_a_domain_that_goes_meanwhile_is_no_problem(bench: Bench) -> None:
    bench.give(VF)
    vm = bench.libvirt.define("vm")
    steps = bench.scan().decision.steps
    bench.libvirt.undefine(vm)
    assert [bench.hypervisor.do(step) for step in steps] == [False]
    assert vm.then
    assert "hostdev" not in vm.then


def test_a_domain_that_libvirt_cannot_describe_stands_in_nobodys_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.give(VF)
    odd = bench.libvirt.define("odd", None)
    bench.libvirt.define("vm").start()

    loses: list[None] = []

    def refuse(_flags: int) -> t.NoReturn:
        if loses:
            bench.libvirt.stop()
        raise bench.libvirt.libvirtError("unknown CPU model")

    monkeypatch.setattr(odd, "XMLDesc", refuse)
    bench.agent.turn()
    assert devices_of(bench, now=True, of=1) == [VF]
    assert bench.agent.counters.standing == {"domain": 1}
    assert bench.scan().decision.problems[0].text == "libvirt does not describe it: unknown CPU model"
    # Of a connection that is lost nothing is said of a domain.
    loses.append(None)
    bench.agent.turn()
    assert bench.agent.counters.standing == {"libvirt": 1}


def test_a_kubelet_that_cannot_be_seen(bench: Bench) -> None:
    bench.give(VF)
    bench.libvirt.define("vm").start()
    bench.kubelet.checkpoint([]).write_text("{")
    assert "checkpoint" in bench.ask().problem
    bench.kubelet.stop()
    assert "does not answer" in bench.ask().problem
    assert kubelet.ask([str(bench.kubelet.root / "none")]).problem.startswith("there is no kubelet")
    bench.agent.turn()
    assert bench.agent.counters.standing == {"kubelet": 1}
    assert bench.libvirt.changes == []


def test_a_directory_that_is_only_like_a_kubelet_s_stands_in_nobodys_way(bench: Bench, tmp_path: Path) -> None:
    """Drivers of storage make the directory of pods where they think it is."""
    bench.give(VF)
    (tmp_path / "pods").mkdir()
    both = [str(tmp_path), str(bench.kubelet.root)]
    assert kubelet.ask(both) == bench.ask() == said(VF)
    # One that starts has no socket yet, but what it has given is in its checkpoint.
    bench.kubelet.stop()
    bench.kubelet.fake.path.unlink(missing_ok=True)
    other = KubeletThread(tmp_path)
    other.start()
    try:
        assert kubelet.ask(both) == said(VF, listed=False)
    finally:
        other.close()
    assert kubelet.ask([str(bench.kubelet.root)]).problem.startswith("kubelet does not answer at ")


def test_a_directory_of_pods_that_is_not_seen_takes_no_vf_from_anybody(bench: Bench) -> None:
    bench.give(VF)
    shutil.rmtree(bench.kubelet.root / "pods")
    assert bench.ask() == said(VF)


def test_a_kubelet_that_has_given_nothing_so_far(bench: Bench) -> None:
    assert bench.ask() == Said()


@pytest.mark.usefixtures("soon")
def test_a_node_whose_devices_cannot_be_read(bench: Bench) -> None:
    bench.give(VF)
    bench.libvirt.define("vm").start()
    bench.node.devices.rename(bench.node.root / "aside")
    bench.agent.turn()
    assert bench.agent.counters.failures == {"node": 1}


# Metrics, status, and the command.


def test_metrics(tmp_path: Path) -> None:
    counters = Counters(connected=True, looked_at=1.5)
    counters.done["attach"] = 2
    counters.failures["held"] = 1
    metrics.write(str(tmp_path / "metrics.prom"), counters)
    text = (tmp_path / "metrics.prom").read_text()
    assert "\nqat_vm_attach_connected 1\n" in text
    assert '\nqat_vm_attach_changes_total{action="attach"} 2\n' in text
    assert '\nqat_vm_attach_failures_total{reason="held"} 1\n' in text
    assert '\nqat_vm_attach_problems{reason="held"} 0\n' in text
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    assert len(list(text_string_to_metric_families(text))) == 5


def test_status(bench: Bench) -> None:
    bench.give(VF, OTHER)
    bench.libvirt.define("vm", devices=host_device_xml(OTHER)).start()
    found = command.status(bench.scan())
    assert found == {
        "domains": [{"name": "vm", "running": True, "pod": "default/vm-0", "container": "guest", "vfs": [OTHER]}],
        "lacking": [{"pod": "default/vm-0", "container": "guest", "vf": VF}],
        "problems": [],
    }
    assert json.dumps(found)


def test_status_of_a_pod_whose_machine_is_not_there(bench: Bench) -> None:
    bench.give(VF)
    assert command.status(bench.scan())["lacking"] == [{"pod": "default/vm-0", "container": "guest", "vf": VF}]


def test_the_status_says_that_kubelet_is_silent_whoever_is_concerned(bench: Bench) -> None:
    """Else nothing were lacking where nobody knows."""
    bench.kubelet.stop()
    for define in (lambda: None, lambda: bench.libvirt.define("vm")):
        define()
        assert [one["reason"] for one in command.status(bench.scan())["problems"]] == ["kubelet"]


def test_a_libvirt_that_hangs_while_it_is_connected_to(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported, the agent goes on, and asks no second time before the first answer has come."""
    bench.give(VF)
    bench.libvirt.define("vm")
    bench.libvirt.stop()
    answers = threading.Event()
    asked = []

    def hang(_uri: str) -> t.Any:
        asked.append(1)
        answers.wait()
        bench.libvirt.start()
        return open_really(_uri)

    open_really = bench.libvirt.open
    monkeypatch.setattr(bench.libvirt, "open", hang)
    monkeypatch.setattr(hypervisor, "CONNECT_SECONDS", 0.0)
    for _ in range(2):
        bench.agent.turn()
        assert not bench.agent.counters.connected
    with pytest.raises(LibvirtError, match="libvirt does not answer within 0 seconds"):
        bench.hypervisor.connect()
    assert asked == [1]
    monkeypatch.setattr(hypervisor, "CONNECT_SECONDS", 60.0)
    answers.set()
    bench.agent.turn()
    assert bench.agent.counters.connected
    assert (asked, devices_of(bench, now=False)) == ([1], [VF])


def test_a_thread_that_cannot_be_started_is_a_problem_of_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> t.NoReturn:
        raise RuntimeError("can't start new thread")

    bench.give(VF)
    bench.libvirt.define("vm").start()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(LibvirtError) as caught:
            bench.hypervisor.connect()
        bench.agent.turn()
        with pytest.raises(LibvirtError, match="libvirt cannot be asked"):
            Hypervisor(bench.libvirt, "qemu:///system", lambda: None)
    assert caught.value.sentence() == (
        "qemu:///system: libvirt cannot be asked: can't start new thread; see what else runs on the node, or raise TasksMax of the unit"
    )
    assert not bench.agent.counters.connected
    bench.agent.turn()
    assert bench.agent.counters.connected


def test_what_libvirt_raises_is_no_want_of_threads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of a program, also of this one below: its own words are needed to find it."""

    def fails(_uri: str) -> t.NoReturn:
        raise NotImplementedError("no such event loop")  # a RuntimeError

    bench.libvirt.stop()
    monkeypatch.setattr(bench.libvirt, "open", fails)
    with pytest.raises(NotImplementedError, match="no such event loop"):
        bench.hypervisor.connect()


def test_the_status_waits_for_no_libvirt_that_hangs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where libvirt has taken the connection, and one of its threads does not come to an end."""
    ends = threading.Event()
    monkeypatch.setattr(bench.libvirt, "listAllDomains", lambda _: ends.wait())
    monkeypatch.setattr(command, "load", lambda: bench.libvirt)
    monkeypatch.setattr(command, "STATUS_SECONDS", 0.0)
    assert command.main(["--status"]) == 1
    said_of_it = capsys.readouterr()
    assert (said_of_it.out, said_of_it.err.count("\n")) == ("", 1)
    assert "qemu:///system: libvirt does not answer within 0 seconds; see that" in said_of_it.err
    ends.set()


def test_without_the_module_of_the_distribution() -> None:
    code = "import sys; sys.modules['libvirt'] = None; from qat_device_plugin.vm_attach.command import main; sys.exit(main([]))"
    path = os.pathsep.join(sys.path)
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "install python3-libvirt" in result.stderr


@pytest.mark.parametrize("given", ["60.1", "3600", "0", "nan", "soon"])
def test_a_period_on_which_systemd_would_end_it_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["--period", given])
    assert end.value.code == 2
    assert f"argument --period: '{given}' is " in capsys.readouterr().err
    unit = (Path(__file__).parents[2] / "roles/qat_device_plugin/templates/accel-qat-vm-attach.service.j2").read_text()
    watched = re.search(r"^WatchdogSec=(\d+)$", unit, re.MULTILINE)
    assert watched is not None
    assert int(watched[1]) >= 2 * command.LONGEST_PERIOD
