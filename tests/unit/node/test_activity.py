# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the PFs of a node do, on the fake kernel."""

from __future__ import annotations

import errno
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.activity import (
    PfActivity,
    Telemetry,
    TelemetryState,
    activity_of,
    follow,
    may_stay_on,
    read_counters,
    read_slots,
    switch_telemetry,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_devices, read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import QatDevice
from ansible_collections.accel.qat.plugins.module_utils._node.devices.telemetry import EngineCounters, PowerStatus
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf, vf
from ansible_collections.accel.qat.tests.fakes.families import family_named
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN4, OTHER, VF0
from ansible_collections.accel.qat.tests.unit.node.tree import Tree

DEBUG = f"/sys/kernel/debug/qat_4xxx_{GEN4}"
CONTROL = f"{DEBUG}/telemetry/control"
DATA = f"{DEBUG}/telemetry/device_data"


def kernel(**others: t.Any) -> FakeKernel:
    pfs = (pf("4xxx", GEN4, services="sym;asym", vfs=[vf("vfio-pci", held_by="qemu")]), pf("c6xx", GEN2))
    return FakeKernel.with_pfs(*pfs, **others)


def device(fake: FakeKernel, address: str = GEN4) -> QatDevice:
    found = read_devices(fake).qat_at(address)
    assert found is not None
    return found


def first(fake: FakeKernel) -> PfActivity:
    return activity_of(fake, read_devices(fake))[0]


def test_of_all_pfs_with_who_uses_their_vfs() -> None:
    gen4, gen2 = activity_of(kernel(), read_node(kernel()))
    assert (gen4.address, gen4.device.state, gen4.device.services_text) == (GEN4, "up", "sym;asym")
    assert (gen4.vfs[0].address, bool(gen4.vfs[0].holders)) == (VF0, True)
    assert (gen4.telemetry.state, gen4.telemetry.reason) == (TelemetryState.OFF, "it is switched off")
    assert (gen4.utilization, gen4.read_bytes_per_second, gen4.written_bytes_per_second) == ({}, None, None)
    assert gen4.latency is None
    assert (gen2.address, gen2.telemetry.state) == (GEN2, TelemetryState.UNSUPPORTED)
    assert "needs Gen4 or later, and Linux 6.8" in gen2.telemetry.reason


def test_reading_writes_nothing_and_asks_for_no_heartbeat() -> None:
    fake = kernel()
    activity_of(fake, read_node(fake))
    assert fake.writes == []
    assert fake.read(f"{DEBUG}/heartbeat/queries_sent") == "0"


def test_a_busy_pf() -> None:
    fake = kernel()
    load = fake.load(GEN4)
    load.engines.update(pke=37, cpr=80)
    load.device.update(bw_in=8, bw_out=16, gp_lat_acc_avg=3000)
    switch_telemetry(fake, device(fake), 1)
    assert first(fake).latency is None
    fake.sleep(1.0)
    found = first(fake)
    assert (found.telemetry.state, found.telemetry.control, found.telemetry.reason) == (TelemetryState.ON, 1, "")
    assert found.utilization["pke"] == pytest.approx(0.37)
    assert found.utilization["cpr"] == pytest.approx(0.8)
    assert (found.written_bytes_per_second, found.read_bytes_per_second) == (1_000_000, 2_000_000)
    assert found.latency == pytest.approx(3e-6)


def test_telemetry_that_averages() -> None:
    fake = kernel()
    fake.load(GEN4).engines["pke"] = 50
    switch_telemetry(fake, device(fake), 4)
    fake.sleep(2.0)
    assert (first(fake).telemetry.control, first(fake).utilization["pke"]) == (4, 0.5)


def test_what_is_counted() -> None:
    fake = kernel()
    fake.read(f"{DEBUG}/heartbeat/status")
    counters = first(fake).counters
    assert counters.firmware == (EngineCounters(0, 1, 1),)
    assert (counters.queries_sent, counters.queries_failed) == (1, 0)
    assert (counters.power, counters.compression_errors, counters.unreadable) == (None, None, {})


def test_a_pf_that_is_down() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4))
    switch_telemetry(fake, device(fake), 1)
    fake.write(f"/sys/bus/pci/devices/{GEN4}/qat/state", "down", 1.0)
    found = first(fake)
    assert (found.telemetry.state, found.telemetry.sample) == (TelemetryState.DOWN, None)
    assert (found.counters.firmware, found.counters.queries_sent) == (None, None)
    fake.write(f"/sys/bus/pci/devices/{GEN4}/qat/state", "up", 1.0)
    assert first(fake).telemetry.state is TelemetryState.OFF


def test_an_older_kernel() -> None:
    assert first(kernel(generation="6.1")).telemetry.state is TelemetryState.UNSUPPORTED


@pytest.mark.parametrize(
    ("pattern", "code", "state"),
    [
        (f"{DEBUG}/telemetry/*", errno.EPERM, TelemetryState.LOCKED_DOWN),
        (f"{DEBUG}/*", errno.EACCES, TelemetryState.DENIED),
        (f"{DEBUG}*", errno.ENOENT, TelemetryState.NO_DEBUGFS),
        (DATA, errno.ETIMEDOUT, TelemetryState.SILENT),
        (DATA, errno.EMFILE, TelemetryState.FAILED),
        (DATA, errno.EIO, TelemetryState.FAILED),
    ],
)
def test_why_there_is_no_telemetry(pattern: str, code: int, state: TelemetryState) -> None:
    fake = kernel()
    switch_telemetry(fake, device(fake), 1)
    fake.deny(pattern, code)
    telemetry = first(fake).telemetry
    assert (telemetry.state, telemetry.sample) == (state, None)
    assert telemetry.reason


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (errno.EMFILE, TelemetryState.FAILED),
        (errno.EIO, TelemetryState.FAILED),
        (errno.EACCES, TelemetryState.DENIED),
        (errno.ETIMEDOUT, TelemetryState.SILENT),
        (errno.EPERM, TelemetryState.LOCKED_DOWN),
    ],
)
def test_a_control_file_that_cannot_be_read_makes_no_lockdown(code: int, state: TelemetryState) -> None:
    """The data of telemetry that is off is refused as everything is in a kernel that is locked down, so the control file decides."""
    fake = kernel()
    fake.deny(CONTROL, code)
    telemetry = first(fake).telemetry
    assert telemetry.state is state
    assert (CONTROL in telemetry.reason) == (state is TelemetryState.FAILED)


def test_locked_down_control_does_not_hide_what_can_be_read() -> None:
    fake = kernel()
    switch_telemetry(fake, device(fake), 1)
    fake.deny(CONTROL, errno.EPERM)
    telemetry = first(fake).telemetry
    assert (telemetry.state, telemetry.control) == (TelemetryState.ON, None)


def test_one_counter_that_cannot_be_read_does_not_hide_the_others() -> None:
    fake = kernel()
    fake.deny(f"{DEBUG}/fw_counters", errno.EIO)
    counters = first(fake).counters
    assert (counters.firmware, counters.queries_sent) == (None, 0)
    assert counters.unreadable == {"fw_counters": f"{DEBUG}/fw_counters: Input/output error"}


def test_the_four_ring_pairs_of_a_vf() -> None:
    fake = kernel()
    fake.load(GEN4).ring_pairs.update({4: {"bw_in": 8}, 7: {"bw_out": 16, "gp_lat_acc_avg": 1000}})
    follow(fake, device(fake), (4, 5, 6, 7))
    fake.sleep(2.0)
    slots = read_slots(fake, device(fake))
    assert [slots[name].ring_pair for name in "ABCD"] == [4, 5, 6, 7]
    assert [slots[name].service for name in "ABCD"] == ["asym", "sym", "asym", "sym"]
    assert (slots["A"].written_bytes_per_second, slots["D"].read_bytes_per_second) == (1_000_000, 2_000_000)


def test_values_are_the_former_ring_pairs_until_a_sample_was_taken() -> None:
    fake = kernel()
    fake.load(GEN4).ring_pairs.update({0: {"bw_in": 8}, 4: {"bw_in": 800}})
    follow(fake, device(fake), (0, 1, 2, 3))
    fake.sleep(2.0)
    follow(fake, device(fake), (4, 5, 6, 7))
    assert read_slots(fake, device(fake))["A"].written_bytes_per_second == 1_000_000
    fake.sleep(2.0)
    assert read_slots(fake, device(fake))["A"].written_bytes_per_second == 100_000_000


def test_a_ring_pair_that_stands_in_another_slot_is_chosen_once_more() -> None:
    fake = kernel()
    for slot, ring_pair in (("C", 5), ("A", 7)):
        fake.write(f"{DEBUG}/telemetry/rp_{slot}_data", str(ring_pair), 1.0)
    follow(fake, device(fake), (4, 5, 6, 7))
    assert sorted(one.ring_pair for one in read_slots(fake, device(fake)).values()) == [4, 5, 6, 7]


def test_slots_that_somebody_else_keeps_are_reported() -> None:
    fake = kernel()
    fake.deny(f"{DEBUG}/telemetry/rp_B_data", errno.EPERM)
    with pytest.raises(PermissionError):
        follow(fake, device(fake), (4, 5, 6, 7))

    class Stubborn(FakeKernel):
        def write(self, path: str, value: str, seconds: float) -> None:
            if not path.endswith("rp_B_data"):
                super().write(path, value, seconds)

    stubborn = Stubborn.with_pfs(pf("4xxx", OTHER))
    message = (
        rf"^{OTHER}: telemetry does not follow the ring pairs 4, 5, 6, 7; see who else writes to telemetry in debugfs$"
    )
    with pytest.raises(NodeError, match=message):
        follow(stubborn, device(stubborn, OTHER), (4, 5, 6, 7))


def test_no_slots_while_it_is_off() -> None:
    fake = kernel()
    assert read_slots(fake, device(fake)) == {}
    with pytest.raises(OSError, match="Invalid argument"):
        switch_telemetry(fake, device(fake), 5)


@pytest.mark.parametrize(("driver", "may"), [("4xxx", True), ("vfio-pci", False), (None, False)])
def test_a_pf_that_its_driver_has_left_has_forgotten_its_telemetry(driver: str | None, may: bool) -> None:
    there = device(kernel())
    found = replace(there, function=replace(there.function, driver=driver))
    assert may_stay_on(Telemetry(TelemetryState.NO_DEBUGFS), found) is may


# The live kernel.


def test_files_of_debugfs_on_the_disk(tree: Tree) -> None:
    function = device(kernel())
    tree.file(f"{DEBUG}/fw_counters", b"AE          Requests        Responses\n 0:                5                4\n")
    tree.file(f"{DEBUG}/heartbeat/queries_sent", b"9\n\0")
    tree.file(f"{DEBUG}/heartbeat/queries_failed", b"1\n\0")
    tree.file(f"{DEBUG}/cnv_errors", b"No engine configured for comp\n")
    tree.file(f"{DEBUG}/pm_status", b"power_level: max\nthrottle_irq_count: 0x3\n")
    counters = read_counters(tree.kernel, function)
    assert counters.firmware == (EngineCounters(0, 5, 4),)
    assert (counters.queries_sent, counters.queries_failed, counters.compression_errors) == (9, 1, 0)
    assert counters.power == PowerStatus("max", {"throttle_irq": 3})
    assert function.family is family_named("4xxx")


def test_a_file_in_the_place_of_the_heartbeat_is_no_heartbeat(tree: Tree) -> None:
    """As Intel's out-of-tree driver has it."""
    tree.file(f"{DEBUG}/heartbeat", b"0\n")
    counters = read_counters(tree.kernel, device(kernel()))
    assert (counters.queries_sent, counters.unreadable) == (None, {})


def test_a_file_that_does_not_answer_silences_its_pf_alone(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.accel.qat.plugins.module_utils._node.kernel.live.READ_SECONDS", 0.5)
    other = "/sys/kernel/debug/qat_4xxx_0000:70:00.0"
    tree.file(f"{DEBUG}/telemetry/control", b"1\n")
    held = tree.fifo(f"{DEBUG}/fw_counters")
    tree.file(f"{other}/telemetry/control", b"2\n")
    paths = [f"{DEBUG}/telemetry/control", f"{DEBUG}/fw_counters", f"{DEBUG}/pm_status", f"{other}/telemetry/control"]
    tree.kernel.expect(paths)
    for path in paths[1:3]:
        with pytest.raises(TimeoutError):
            tree.kernel.read(path)
    assert tree.kernel.read(paths[0]) == "1"
    assert tree.kernel.read(paths[3]) == "2"
    held.write_bytes(b"")  # lets the child go
