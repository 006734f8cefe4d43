# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a QAT driver prints of its work."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.telemetry import (
    CommandQueue,
    EngineCounters,
    PowerStatus,
    Slice,
    parse_compression_errors,
    parse_count,
    parse_device_data,
    parse_firmware_counters,
    parse_power,
    parse_ring_pair,
    ring_pairs_of_vf,
)


def row(name: str, *values: object) -> str:
    """A line as the kernel prints it (adf_tl_debugfs.c, tl_seq_printf_counter)."""
    return f"{name:<23}" + "".join(f"{value:>20}" for value in values) + "\n"


DEVICE = (
    row("sample_cnt", 42)
    + row("pci_trans_cnt", 7)
    + row("max_rd_lat", 1500)
    + row("rd_lat_acc_avg", 500)
    + row("max_gp_lat", 9000)
    + row("gp_lat_acc_avg", 3000)
    + row("bw_in", 8)
    + row("bw_out", 16)
    + row("at_page_req_lat_avg", 0)
    + row("at_trans_lat_avg", 250)
    + row("at_max_tlb_used", 3)
    + row("util_cpr0", 100)
    + row("exec_cpr0", 900)
    + row("util_pke0", 30)
    + row("exec_pke0", 11)
    + row("util_pke1", 50)
    + row("exec_pke1", 12)
)


def test_values_have_base_units() -> None:
    sample = parse_device_data(DEVICE)
    assert (sample.samples, sample.transactions, sample.translations_used) == (42, 7, 3)
    assert (sample.written_bytes_per_second, sample.read_bytes_per_second) == (1_000_000, 2_000_000)
    assert sample.latencies == pytest.approx(
        {
            "read_max": 1.5e-6,
            "read_avg": 5e-7,
            "get_to_put_max": 9e-6,
            "get_to_put_avg": 3e-6,
            "page_request_avg": 0.0,
            "translation_avg": 2.5e-7,
        }
    )
    assert sample.slices == (Slice("cpr", 0, 1.0, 900), Slice("pke", 0, 0.3, 11), Slice("pke", 1, 0.5, 12))
    assert sample.queues == ()


def test_an_engine_is_as_busy_as_its_slices_are_on_average() -> None:
    assert parse_device_data(DEVICE).utilization == pytest.approx({"cpr": 1.0, "pke": 0.4})


def test_of_value_least_greatest_and_average_the_value_counts() -> None:
    sample = parse_device_data(row("sample_cnt", 4) + row("bw_in", 8, 1, 80, 30) + row("util_ucs0", 60, 10, 90, 40))
    assert sample.written_bytes_per_second == 1_000_000
    assert sample.slices == (Slice("ucs", 0, 0.6),)


def test_command_queues_of_gen6() -> None:
    text = row("sample_cnt", 1) + row("cmdq_wait_cnv4", 1) + row("cmdq_exec_cnv4", 2) + row("cmdq_drain_cnv4", 3)
    assert parse_device_data(text).queues == (CommandQueue("cnv", 4, {"wait": 1, "exec": 2, "drain": 3}),)


@pytest.mark.parametrize(
    "line",
    [
        row("surprise", 5),
        row("bw_in", "many"),
        row("bw_in", -5),
        row("bw_in", "٥"),
        row("bw_in", 1, 2),
        row("bw_in", 2**64),
        row("bw_in", "1" * 5000),
        "bw_in\n",
        "\n",
        row("util_pke", 5),
        row("util_pke1000", 5),
        row("util_" + "a" * 17 + "1", 5),
    ],
)
def test_a_line_that_no_kernel_is_known_to_print_is_left_out(line: str) -> None:
    sample = parse_device_data(row("sample_cnt", 1) + line)
    assert sample == parse_device_data(row("sample_cnt", 1))


def test_more_than_all_of_its_time_is_no_utilization() -> None:
    sample = parse_device_data(row("sample_cnt", 1) + row("util_pke0", 101) + row("exec_pke0", 4))
    assert sample.slices == (Slice("pke", 0, None, 4),)
    assert sample.utilization == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no number of samples"),
        (row("snapshot_cnt", 1), "its first line is not sample_cnt"),
        (row("bw_in", 1) + row("sample_cnt", 1), "its first line is not sample_cnt"),
        (row("sample_cnt", "x"), "no number of samples"),
        (row("sample_cnt", 1) + "x" * 65536, "more than 65536 characters"),
        (row("sample_cnt", 1) + "x\n" * 1024, "more than 1024 lines"),
    ],
)
def test_another_form_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_device_data(text)


def test_a_ring_pair() -> None:
    sample = parse_ring_pair(
        row("sample_cnt", 9)
        + row("rp_num", 5)
        + row("service_type", "sym")
        + row("pci_trans_cnt", 1)
        + row("gp_lat_acc_avg", 4000)
        + row("bw_in", 2)
        + row("bw_out", 4)
        + row("at_glob_devtlb_hit", 10)
        + row("at_glob_devtlb_miss", 1)
        + row("tl_at_payld_devtlb_hit", 20)
        + row("tl_at_payld_devtlb_miss", 2)
    )
    assert (sample.samples, sample.ring_pair, sample.service, sample.transactions) == (9, 5, "sym", 1)
    assert (sample.written_bytes_per_second, sample.read_bytes_per_second) == (250_000, 500_000)
    assert sample.latencies == pytest.approx({"get_to_put_avg": 4e-6})
    expected = {"descriptor_hits": 10, "descriptor_misses": 1, "payload_hits": 20, "payload_misses": 2}
    assert sample.devtlb == expected


def test_a_ring_pair_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="no line rp_num"):
        parse_ring_pair(row("sample_cnt", 9))


def test_firmware_counters() -> None:
    text = "AE          Requests        Responses\n 1:                7                6\n10: 18446744073709551615 0\n"
    assert parse_firmware_counters(text) == (EngineCounters(1, 7, 6), EngineCounters(10, 2**64 - 1, 0))
    with pytest.raises(ValueError, match="no row"):
        parse_firmware_counters("AE          Requests        Responses\n")


def test_compression_errors() -> None:
    text = (
        "AE      Total Errors       Last Error\n1:                3  Checksum Error [12]\n4:    2        No Error [0]\n"
    )
    assert parse_compression_errors(text) == 5
    assert parse_compression_errors("No engine configured for comp\n") == 0


def test_a_count_may_end_with_a_nul_byte() -> None:
    assert parse_count("17\n\0") == 17


@pytest.mark.parametrize("text", ["", "-1", "1 2", "0x1", "99999999999999999999999"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(ValueError, match="no count"):
        parse_count(text)


POWER = """----------- PM Fuse info ---------
enable_pm: 0x1
max_pwrreq: 0
------------  PM Info ------------
power_level: min
cpm_pm_state: 0x4
pm_mode: STATIC
------------- PM Log -------------
idle_irq_count: 0x11
fw_irq_count: 0
throttle_irq_count: 0x2
host_ack_count: 0
host_nack_count: 0x1
"""


def test_power() -> None:
    events = {"idle_irq": 17, "fw_irq": 0, "throttle_irq": 2, "host_ack": 0, "host_nack": 1}
    assert parse_power(POWER) == PowerStatus("min", events)
    with pytest.raises(ValueError, match="no power level"):
        parse_power("power_level: often\n")


def test_ring_pairs_of_a_vf() -> None:
    assert ring_pairs_of_vf(0) == (0, 1, 2, 3)
    assert ring_pairs_of_vf(15) == (60, 61, 62, 63)
