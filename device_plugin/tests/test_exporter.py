# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter: what it shows of PFs and VFs, what it switches on and off, and which VFs it follows."""

from __future__ import annotations

import errno
import json
import os
import re
import typing as t
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from harness.pfs_at_work import (
    CONTROL,
    DEBUG,
    GEN2,
    GEN4,
    SECOND,
    VFS,
    Fake,
    activities,
    at,
    devices,
    kernel,
    named,
    series,
)
from qat_device_plugin._node.devices.activity import TelemetryState, switch_telemetry
from qat_device_plugin._node.users.podresources import Given
from qat_device_plugin._node.users.pods import Named
from qat_device_plugin.attribution import Attribution, Container, attributed
from qat_device_plugin.exporter.collection import Collection, Pods, errors
from qat_device_plugin.exporter.exposition import exposition
from qat_device_plugin.exporter.sampling import OLDEST_SECONDS, TURN_SECONDS, Sampler
from qat_device_plugin.exporter.switches import AGAIN_SECONDS, Switches

from ansible_collections.accel.qat.tests.fakes import Crash, FakeKernel, pf
from ansible_collections.accel.qat.tests.fakes.faults import READ_ERRNOS, FailingReads

POD = Container("team", "tls", "proxy")


def shown(fake: Fake, **others: t.Any) -> dict[str, float]:
    """The metrics of a kernel as it is, by name and labels."""
    return series(exposition(Collection(activities(fake), **others), errors(), now=100.0).decode())


# What is shown of PFs.


def test_of_a_pf_without_telemetry() -> None:
    fake = kernel(pf("c6xx", GEN2))
    fake.switch(GEN4, "error", "correctable 3")
    fake.read(f"{DEBUG}/heartbeat/status")
    metrics = shown(fake)
    about = f'driver="4xxx",family="4xxx",model="4xxx",numa_node="1",pf="{GEN4}",services="sym;asym"'
    assert about in named(metrics, "qat_pf_info")
    assert metrics[f'qat_pf_up{{pf="{GEN4}"}}'] == 1
    assert metrics[f'qat_pf_vfs{{pf="{GEN4}"}}'] == 3
    assert metrics[f'qat_pf_answers{{pf="{GEN4}"}}'] == 1
    assert metrics[f'qat_pf_errors_total{{pf="{GEN4}",severity="correctable"}}'] == 3
    assert metrics[f'qat_pf_firmware_requests_total{{acceleration_engine="0",pf="{GEN4}"}}'] == 1
    assert metrics[f'qat_pf_heartbeat_queries_total{{pf="{GEN4}"}}'] == 1
    assert metrics[f'qat_pf_heartbeat_failures_total{{pf="{GEN4}"}}'] == 0
    assert metrics[f'qat_pf_telemetry_enabled{{pf="{GEN4}"}}'] == 0
    states = named(metrics, "qat_pf_telemetry_state")
    assert [labels for labels, value in states.items() if value] == [
        f'pf="{GEN4}",state="off"',
        f'pf="{GEN2}",state="unsupported"',
    ]
    assert len(states) == 2 * len(TelemetryState)
    # Before Gen4 no driver shows a state, nor errors.
    assert f'qat_pf_up{{pf="{GEN2}"}}' not in metrics
    assert not any("slice" in name or "pcie" in name or "latency" in name for name in metrics)


def test_of_a_pf_at_work() -> None:
    fake = kernel()
    load = fake.load(GEN4)
    load.engines.update(pke=37)
    load.device.update(bw_in=8, bw_out=16, gp_lat_acc_avg=3000, pci_trans_cnt=5, at_max_tlb_used=2)
    switch_telemetry(fake, devices(fake)[0], 1)
    fake.sleep(2.0)
    metrics = shown(fake)
    assert metrics[f'qat_pf_telemetry_enabled{{pf="{GEN4}"}}'] == 1
    assert metrics[f'qat_pf_telemetry_samples_total{{pf="{GEN4}"}}'] == 2
    assert metrics[f'qat_pf_slice_utilization_ratio{{engine="pke",pf="{GEN4}",slice="5"}}'] == 0.37
    assert metrics[f'qat_pf_slice_executions{{engine="pke",pf="{GEN4}",slice="5"}}'] == 370
    assert metrics[f'qat_pf_pcie_written_bytes_per_second{{pf="{GEN4}"}}'] == 1e6
    assert metrics[f'qat_pf_pcie_read_bytes_per_second{{pf="{GEN4}"}}'] == 2e6
    assert metrics[f'qat_pf_latency_seconds{{kind="get_to_put_avg",pf="{GEN4}"}}'] == pytest.approx(3e-6)
    assert metrics[f'qat_pf_pcie_partial_transactions{{pf="{GEN4}"}}'] == 5
    assert metrics[f'qat_pf_translation_entries_used{{pf="{GEN4}"}}'] == 2


def test_of_a_pf_of_gen6() -> None:
    """Its engines have other names, and its VFs are followed as those of Gen4."""
    fake: Fake = FakeKernel.with_pfs(
        pf("6xxx", GEN4, services="sym;asym;dc", vfs="vfio-pci", total_vfs=3), generation="6.16"
    )
    fake.load(GEN4).engines.update(cnv=25)
    fake.load(GEN4).ring_pairs.update({2: {"bw_in": 8}})
    switch_telemetry(fake, devices(fake)[0], 1)
    sampler = Sampler(fake)
    for _ in range(2):
        turn(fake, sampler, {VFS[0]})
    metrics = shown(fake, samples=tuple(sampler.samples.values()), pods=Pods({VFS[0]: POD}, ""))
    assert metrics[f'qat_pf_slice_utilization_ratio{{engine="cnv",pf="{GEN4}",slice="1"}}'] == 0.25
    assert metrics[f'qat_pf_up{{pf="{GEN4}"}}'] == 1
    written = named(metrics, "qat_vf_pcie_written_bytes_per_second")
    assert sorted(value for labels, value in written.items() if value) == [1_000_000]
    assert {labels.partition('service="')[2].partition('"')[0] for labels in written} == {"asym", "sym", "dc"}


def test_before_the_first_sample_nothing_is_measured() -> None:
    fake = kernel()
    switch_telemetry(fake, devices(fake)[0], 1)
    metrics = shown(fake)
    assert metrics[f'qat_pf_telemetry_samples_total{{pf="{GEN4}"}}'] == 0
    assert named(metrics, "qat_pf_slice_utilization_ratio") == {}
    assert named(metrics, "qat_pf_latency_seconds") == {}


def test_a_pf_that_is_down_has_no_counters() -> None:
    fake: Fake = FakeKernel.with_pfs(pf("4xxx", GEN4))
    switch_telemetry(fake, devices(fake)[0], 1)
    fake.write(f"/sys/bus/pci/devices/{GEN4}/qat/state", "down", 1.0)
    metrics = shown(fake)
    assert metrics[f'qat_pf_up{{pf="{GEN4}"}}'] == 0
    assert metrics[f'qat_pf_telemetry_state{{pf="{GEN4}",state="down"}}'] == 1
    # But for those that come without its firmware.
    left = {name.partition("{")[0] for name in metrics if name.startswith("qat_pf_")}
    states = {"qat_pf_info", "qat_pf_up", "qat_pf_vfs", "qat_pf_answers"}
    assert left == {*states, "qat_pf_telemetry_enabled", "qat_pf_telemetry_state"}


def test_a_pf_that_is_gone_has_no_series() -> None:
    fake = kernel(pf("4xxx", SECOND))
    assert SECOND in str(shown(fake))
    fake.switch(SECOND, "present", "0")
    assert SECOND not in str(shown(fake))
    assert GEN4 in str(shown(fake))


def test_lockdown_is_a_state() -> None:
    fake = kernel()
    fake.deny(f"{DEBUG}/telemetry/*", errno.EPERM)
    metrics = shown(fake)
    assert metrics[f'qat_pf_telemetry_enabled{{pf="{GEN4}"}}'] == 0
    assert metrics[f'qat_pf_telemetry_state{{pf="{GEN4}",state="locked_down"}}'] == 1


def test_what_cannot_be_read_is_named() -> None:
    fake = kernel()
    fake.deny(f"{DEBUG}/fw_counters", errno.EIO)
    metrics = shown(fake)
    assert named(metrics, "qat_pf_unreadable_files") == {f'file="fw_counters",pf="{GEN4}"': 1}
    assert named(metrics, "qat_pf_firmware_requests_total") == {}


def test_counters_are_counters_and_names_have_units() -> None:
    fake = kernel()
    switch_telemetry(fake, devices(fake)[0], 1)
    fake.sleep(1.0)
    text = exposition(Collection(activities(fake), pods=Pods({VFS[0]: POD}, "")), errors(), now=0.0).decode()
    kinds = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE qat_"))
    assert {kind for name, kind in kinds.items() if name.endswith("_total")} == {"counter"}
    assert {kind for name, kind in kinds.items() if not name.endswith("_total")} == {"gauge"}
    assert all(re.fullmatch("qat_(pf|vf|exporter)_[a-z_]+", name) for name in kinds)
    # Each metric has words of its own.
    texts = [line.split(" ", 3)[3] for line in text.splitlines() if line.startswith("# HELP qat_")]
    assert all(one.endswith(".") for one in texts)


@pytest.mark.parametrize(("sent", "failed"), [(100, 1), (101, 0), (101, 1)])
def test_no_counter_goes_back_where_the_device_counts_between_two_reads(sent: int, failed: int) -> None:
    """Prometheus takes a counter that has gone back by one for one that began again, and adds all of it."""
    (before,) = activities(kernel())

    def counters(sent: int, failed: int) -> dict[str, float]:
        there = replace(before.counters, queries_sent=sent, queries_failed=failed)
        text = exposition(Collection((replace(before, counters=there),)), errors(), now=0.0).decode()
        return {name: value for name, value in series(text).items() if "heartbeat" in name}

    former, later = counters(100, 0), counters(sent, failed)
    assert former.keys() == later.keys()
    assert all(later[name] >= value for name, value in former.items())


def test_nothing_of_the_pfs_where_nothing_is_known() -> None:
    metrics = series(exposition(Collection(problem="no answer", seconds=3.0), errors(), now=0.0).decode())
    assert metrics["qat_exporter_collection_success"] == 0
    assert metrics["qat_exporter_collection_duration_seconds"] == 3
    assert metrics['qat_exporter_errors_total{kind="collection"}'] == 0
    assert not any(name.startswith(("qat_pf_", "qat_vf_")) for name in metrics)
    assert not any(name.startswith("qat_exporter_pod_resources_up") for name in metrics)


def said(*given: tuple[str, str, str, str]) -> Attribution:
    """What kubelet has said: namespace, pod, container and device."""
    found = tuple(Given(one[0], one[1], one[2], "qat.intel.com/cy", one[3]) for one in given)
    return attributed(Attribution(), Named(found), 90.0)


def test_a_label_has_what_the_kernel_or_kubelet_says_in_printable_form() -> None:
    names = said(("n/m", "p\x1b/q", "c\nd" + "x" * 400, VFS[0])).containers([(VFS[0], None)])
    container = names[VFS[0]]
    # A name with a slash, which kubelet takes from nobody, stays where it is.
    assert (container.namespace, container.pod) == ("n/m", "p\\x1b/q")
    assert container.container.startswith("c\\x0ad")
    assert len(container.container) == 253


def test_who_has_a_vf() -> None:
    known = said(
        ("n", "p", "b", VFS[0]), ("n", "p", "a", VFS[0]), ("m", "q", "c", "/dev/vfio/7"), ("", "u1", "d", VFS[2])
    )
    assert known.containers([(VFS[0], None), (VFS[1], "7"), (VFS[2], "8"), ("0000:6b:00.4", None)]) == {
        VFS[0]: Container("n", "p", "a"),
        VFS[1]: Container("m", "q", "c"),
        VFS[2]: Container("", "u1", "d"),
    }


def test_what_kubelet_has_said_stays_with_its_age() -> None:
    """As in the metrics of the device plugin."""
    known = attributed(said(("team", "tls", "proxy", VFS[0])), Named(problem="no answer"), 95.0)
    pods = Pods(known.containers([(VFS[0], None)]), known.problem, known.seen)
    metrics = shown(kernel(), pods=pods)
    assert len(named(metrics, "qat_vf_pod_info")) == 1
    assert metrics["qat_exporter_pod_resources_up"] == 0
    assert metrics["qat_exporter_pod_resources_age_seconds"] == 10
    never = shown(kernel(), pods=Pods(problem="kubelet has not been asked so far"))
    assert (never["qat_exporter_pod_resources_up"], named(never, "qat_exporter_pod_resources_age_seconds")) == (0, {})


def test_counts_each_kind_of_error_before_its_first() -> None:
    assert errors() == Counter(collection=0, record=0, pods=0, http=0)


# Switching.


def test_switches_on_where_it_is_off_and_off_again(tmp_path: Path) -> None:
    fake = kernel(pf("420xx", SECOND))
    fake.write(f"/sys/kernel/debug/qat_420xx_{SECOND}/telemetry/control", "1", 1.0)
    switches = Switches(fake, tmp_path)
    assert [one.address for one in switches.switch_on(activities(fake))] == [GEN4]
    assert (at(CONTROL, fake), switches.ours) == ("1", frozenset({GEN4}))
    assert json.loads((tmp_path / "telemetry.json").read_text()) == {"switched_on": [GEN4]}
    assert switches.switch_on(activities(fake)) == []
    assert switches.switch_off(devices(fake))
    assert (at(CONTROL, fake), switches.ours) == ("0", frozenset())
    assert at(f"/sys/kernel/debug/qat_420xx_{SECOND}/telemetry/control", fake) == "1"


def test_the_next_one_knows_what_one_that_was_killed_has_switched_on(tmp_path: Path) -> None:
    fake = kernel()
    Switches(fake, tmp_path).switch_on(activities(fake))
    after = Switches(fake, tmp_path)
    assert after.ours == {GEN4}
    assert after.switch_off(devices(fake))
    assert at(CONTROL, fake) == "0"
    assert Switches(fake, tmp_path).ours == frozenset()


def test_the_record_is_written_first(tmp_path: Path) -> None:
    fake = kernel()
    fake.crash_after(0)
    with pytest.raises(Crash):
        Switches(fake, tmp_path).switch_on(activities(fake))
    assert at(CONTROL, fake) == "0"
    assert Switches(fake, tmp_path).ours == {GEN4}


def test_a_record_that_cannot_be_written_switches_nothing_on(tmp_path: Path) -> None:
    fake = kernel()
    switches = Switches(fake, tmp_path)
    (tmp_path / "telemetry.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        switches.switch_on(activities(fake))
    assert at(CONTROL, fake) == "0"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"switched_on": 1}', '{"switched_on": ["../x"]}', "[" * 100_000, "\xff", '{"a": 1}']
)
def test_a_record_that_is_damaged_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "telemetry.json").write_text(text, encoding="latin-1")
    assert Switches(kernel(), tmp_path).ours == frozenset()


def test_a_record_in_the_place_of_which_there_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "telemetry.json")
    with pytest.raises(OSError, match="it is no regular file"):
        Switches(kernel(), tmp_path)


def test_what_somebody_else_has_set_since_is_his(tmp_path: Path) -> None:
    fake = kernel()
    switches = Switches(fake, tmp_path)
    switches.switch_on(activities(fake))
    fake.write(CONTROL, "4", 1.0)
    assert switches.switch_off(devices(fake))
    assert at(CONTROL, fake) == "4"
    again = Switches(fake, tmp_path)
    fake.write(CONTROL, "0", 1.0)
    again.switch_on(activities(fake))
    fake.write(CONTROL, "3", 1.0)
    again.switch_on(activities(fake))
    assert again.ours == frozenset()


def test_a_pf_that_was_reset_is_switched_on_again(tmp_path: Path) -> None:
    fake = kernel()
    switches = Switches(fake, tmp_path)
    switches.switch_on(activities(fake))
    fake.reset(GEN4)
    assert at(CONTROL, fake) == "0"
    assert [one.address for one in switches.switch_on(activities(fake))] == [GEN4]
    assert at(CONTROL, fake) == "1"


@pytest.mark.parametrize("code", [*READ_ERRNOS, errno.EPERM])
def test_what_cannot_be_seen_stays_in_the_record(tmp_path: Path, code: int) -> None:
    fake: Fake = FailingReads.with_pfs(pf("4xxx", GEN4))
    switches = Switches(fake, tmp_path)
    there = devices(fake)
    results = set()
    for reads in range(6):
        switches.switch_on(activities(fake))
        fake.fail(reads, code)
        is_done = switches.switch_off(there)
        fake.fail(-1, code)
        assert at(CONTROL, fake) == ("0" if is_done else "1")
        assert Switches(fake, tmp_path).ours == (set() if is_done else {GEN4})
        results.add(is_done)
    assert results == {True, False}


def test_debugfs_that_is_not_to_be_seen_proves_nothing_while_the_pf_has_its_driver(tmp_path: Path) -> None:
    fake = kernel()
    switches = Switches(fake, tmp_path)
    switches.switch_on(activities(fake))
    hidden: Fake = FakeKernel.with_pfs(pf("4xxx", GEN4))
    hidden.read = lambda path: fake.read(path if not path.startswith("/sys/kernel/debug") else "/none")
    hidden.exists = lambda path: not path.startswith("/sys/kernel/debug") and fake.exists(path)
    assert not Switches(hidden, tmp_path).switch_off(devices(fake))
    assert Switches(fake, tmp_path).switch_off(devices(fake))
    assert at(CONTROL, fake) == "0"


def test_what_the_kernel_refuses_stays_in_the_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake = kernel()
    switches = Switches(fake, tmp_path, lambda: float(fake.machine.clock.now))
    fake.fail_writes(CONTROL, errno.EIO, times=2)
    for seconds, tries in ((0.0, 1), (AGAIN_SECONDS - 1.0, 1), (1.0, 2)):
        fake.sleep(seconds)
        assert switches.switch_on(activities(fake)) == []
        assert sum(one.path == CONTROL for one in fake.writes) == tries
    assert caplog.text.count("telemetry cannot be switched") == 1
    fake.sleep(AGAIN_SECONDS)
    assert len(switches.switch_on(activities(fake))) == 1
    fake.fail_writes(CONTROL, errno.EIO)
    assert not switches.switch_off(devices(fake))
    assert Switches(fake, tmp_path).ours == {GEN4}
    assert switches.switch_off([])
    assert Switches(fake, tmp_path).ours == frozenset()


# Samples of VFs.


def followed(tmp_path: Path) -> tuple[Fake, Sampler]:
    fake = kernel()
    Switches(fake, tmp_path).switch_on(activities(fake))
    return fake, Sampler(fake)


def turn(fake: Fake, sampler: Sampler, given: t.Collection[str], container: Container = POD) -> None:
    sampler.step(devices(fake), dict.fromkeys(given, container), fake.machine.clock.now)
    fake.sleep(TURN_SECONDS)


def test_goes_round_the_vfs_of_pods(tmp_path: Path) -> None:
    fake, sampler = followed(tmp_path)
    # Asym is ring pairs 0 and 2 of each VF, sym 1 and 3.
    pairs = fake.load(GEN4).ring_pairs
    pairs.update({0: {"bw_in": 8, "gp_lat_acc_avg": 1000}, 2: {"bw_in": 8}, 9: {"bw_out": 16, "gp_lat_acc_avg": 5000}})
    for _ in range(3):
        turn(fake, sampler, {VFS[0], VFS[2]})
    assert set(sampler.samples) == {VFS[0], VFS[2]}
    first, third = sampler.samples[VFS[0]], sampler.samples[VFS[2]]
    assert [(one.service, one.written_bytes_per_second, one.read_bytes_per_second) for one in first.uses] == [
        ("asym", 2_000_000, 0),
        ("sym", 0, 0),
    ]
    assert [one.latency for one in first.uses] == [pytest.approx(1e-6), None]
    assert [(one.service, one.read_bytes_per_second) for one in third.uses] == [("asym", 0), ("sym", 2_000_000)]
    assert third.taken - first.taken == TURN_SECONDS


def test_one_vf_is_followed_without_a_restart(tmp_path: Path) -> None:
    fake, sampler = followed(tmp_path)
    turn(fake, sampler, {VFS[1]})
    writes = len(fake.writes)
    for _ in range(3):
        turn(fake, sampler, {VFS[1]})
    assert len(fake.writes) == writes
    assert fake.machine.clock.now - sampler.samples[VFS[1]].taken == TURN_SECONDS


def test_a_vf_that_its_pod_has_given_back_has_no_sample(tmp_path: Path) -> None:
    fake, sampler = followed(tmp_path)
    for _ in range(3):
        turn(fake, sampler, {VFS[0]})
    assert VFS[0] in sampler.samples
    turn(fake, sampler, set())
    assert sampler.samples == {}


def test_a_sample_is_of_the_pod_that_had_the_vf_then(tmp_path: Path) -> None:
    """A StatefulSet's next pod may have the VF before kubelet is asked again."""
    fake, sampler = followed(tmp_path)
    fake.load(GEN4).ring_pairs.update({0: {"bw_in": 8}})
    for _ in range(2):
        turn(fake, sampler, {VFS[0]})
    (of_the_first,) = sampler.samples.values()
    other = Container("team", "other", "proxy")
    metrics = shown(fake, samples=(of_the_first,), pods=Pods({VFS[0]: other}, ""))
    assert named(metrics, "qat_vf_pcie_written_bytes_per_second") == {}
    turn(fake, sampler, {VFS[0]}, other)
    assert sampler.samples == {}
    turn(fake, sampler, {VFS[0]}, other)
    assert [one.container for one in sampler.samples.values()] == [other]


def test_an_old_sample_is_not_kept(tmp_path: Path) -> None:
    fake, sampler = followed(tmp_path)
    for _ in range(2):
        turn(fake, sampler, {VFS[0]})
    fake.write(CONTROL, "0", 1.0)
    fake.sleep(OLDEST_SECONDS)
    turn(fake, sampler, {VFS[0]})
    assert sampler.samples == {}


def test_slots_of_telemetry_that_was_set_otherwise_are_left_alone(tmp_path: Path) -> None:
    fake, sampler = followed(tmp_path)
    turn(fake, sampler, {VFS[0]})
    for control in ("4", "0"):
        fake.write(CONTROL, control, 1.0)
        writes = len(fake.writes)
        turn(fake, sampler, {VFS[0], VFS[1]})
        assert len(fake.writes) == writes


def test_a_pf_that_was_reset_is_followed_again(tmp_path: Path) -> None:
    fake, sampler = followed(tmp_path)
    for _ in range(2):
        turn(fake, sampler, {VFS[0]})
    fake.reset(GEN4)
    fake.write(CONTROL, "1", 1.0)
    taken = sampler.samples[VFS[0]].taken
    for _ in range(2):
        turn(fake, sampler, {VFS[0]})
    assert sampler.samples[VFS[0]].taken > taken


def test_a_pf_that_refuses_does_not_hold_up_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake = kernel(pf("4xxx", SECOND, vfs="vfio-pci", total_vfs=1))
    Switches(fake, tmp_path).switch_on(activities(fake))
    sampler = Sampler(fake)
    fake.fail_writes(f"{DEBUG}/telemetry/rp_A_data", errno.EIO, times=-1)
    for _ in range(3):
        # What the kernel refused has left it off.
        fake.write(CONTROL, "1", 1.0)
        turn(fake, sampler, {VFS[0], "0000:70:00.1"})
    assert set(sampler.samples) == {"0000:70:00.1"}
    assert caplog.text.count("a VF cannot be followed") == 1


def test_a_pf_that_refuses_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """Where its firmware is dead each attempt takes the driver seconds, for which the page would wait as well."""
    fake, sampler = followed(tmp_path)
    fake.fail_writes(f"{DEBUG}/telemetry/rp_A_data", errno.EIO, times=1)
    turn(fake, sampler, {VFS[0]})
    fake.write(CONTROL, "1", 1.0)
    writes = len(fake.writes)
    turn(fake, sampler, {VFS[0]})
    assert len(fake.writes) == writes
    fake.sleep(AGAIN_SECONDS)
    for _ in range(2):
        turn(fake, sampler, {VFS[0]})
    assert set(sampler.samples) == {VFS[0]}


def test_samples_have_the_names_of_pods(tmp_path: Path) -> None:
    fake, sampler = followed(tmp_path)
    fake.load(GEN4).ring_pairs.update({0: {"bw_in": 8, "gp_lat_acc_avg": 1000}})
    for _ in range(2):
        turn(fake, sampler, {VFS[0], VFS[1]})
    pods = Pods({VFS[0]: POD, "0000:ff:00.1": POD}, "")
    (sample,) = sampler.samples.values()
    metrics = shown(fake, samples=(sample,), pods=pods)
    labels, vf = f'container="proxy",namespace="team",pf="{GEN4}",pod="tls"', f'vf="{VFS[0]}"'
    assert named(metrics, "qat_vf_pod_info") == {f"{labels},{vf}": 1}
    assert named(metrics, "qat_vf_pcie_written_bytes_per_second") == {
        f'{labels},service="asym",{vf}': 1e6,
        f'{labels},service="sym",{vf}': 0,
    }
    assert named(metrics, "qat_vf_get_to_put_latency_seconds") == {f'{labels},service="asym",{vf}': pytest.approx(1e-6)}
    assert named(metrics, "qat_vf_sample_age_seconds") == {f"{labels},{vf}": 100.0 - sample.taken}
    assert metrics["qat_exporter_pod_resources_up"] == 1
    # Another pod has it by now, or none: the sample is nobody's.
    assert named(shown(fake, samples=(sample,), pods=Pods({}, "no answer")), "qat_vf_sample_age_seconds") == {}
