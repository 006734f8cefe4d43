# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telemetry (drivers/crypto/intel/qat/qat_common/adf_telemetry.c, adf_tl_debugfs.c, adf_gen4_tl.c).

How many slices an engine has is what the firmware of a real device says; the simulated ones have as many as are here.
"""

from __future__ import annotations

import typing as t

from ..steps import (
    FROM_6_12,
    GEN1,
    GEN2,
    GEN4,
    MISSING,
    ODD_GEN4,
    case,
    device,
    line,
    missing,
    read,
    since,
    soon,
    switch,
    words,
    write,
)

STATE = device(GEN4, "qat/state")
DEBUG = f"/sys/kernel/debug/qat_4xxx_{GEN4}/telemetry"
ODD_DEBUG = f"/sys/kernel/debug/qat_420xx_{ODD_GEN4}/telemetry"
CONTROL = f"{DEBUG}/control"
DATA = f"{DEBUG}/device_data"
LOAD = f"/sys/kernel/debug/qat_sim/{GEN4}/load"

DEVICE = "sample_cnt pci_trans_cnt max_rd_lat rd_lat_acc_avg max_gp_lat gp_lat_acc_avg bw_in bw_out "
DEVICE += "at_page_req_lat_avg at_trans_lat_avg at_max_tlb_used"
RING_PAIR = (
    "sample_cnt rp_num service_type pci_trans_cnt gp_lat_acc_avg bw_in bw_out at_glob_devtlb_hit at_glob_devtlb_miss "
)
RING_PAIR += "tl_at_payld_devtlb_hit tl_at_payld_devtlb_miss"


def slot(name: str) -> str:
    """The file of one of the four slots, A to D."""
    return f"{DEBUG}/rp_{name}_data"


def printed(name: str, *values: object) -> str:
    """A line of telemetry, as it stands in the file."""
    return f"{name:<23}" + "".join(f"{value:>20}" for value in values)


def slices(engines: t.Mapping[str, int]) -> str:
    """The names of the lines of these engines, with so many slices each."""
    return " ".join(f"util_{name}{one} exec_{name}{one}" for name, count in engines.items() for one in range(count))


CASES = (
    case(
        "telemetry is off at first, and from Gen4 on only",
        read(CONTROL, since("6.12", "0", before="ENOENT")),
        read(DATA, since("6.12", "EPERM", before="ENOENT")),
        missing(f"/sys/kernel/debug/qat_c6xx_{GEN2}/telemetry"),
        missing(f"/sys/kernel/debug/qat_dh895xcc_{GEN1}/telemetry"),
    ),
    case(
        "telemetry is switched on by a number of samples, up to 4",
        write(CONTROL, "5", "EINVAL"),
        write(CONTROL, "on", "EINVAL"),
        write(CONTROL, "4"),
        read(CONTROL, "4"),
        read(slot("A"), "EPERM"),
        write(CONTROL, "0"),
        read(CONTROL, "0"),
        read(DATA, "EPERM"),
        generations=FROM_6_12,
    ),
    case(
        "telemetry has a line for each counter, and two for each slice that the device has",
        write(CONTROL, "1"),
        words(DATA, f"{DEVICE} {slices({'cpr': 1, 'xlt': 1, 'dcpr': 3, 'pke': 6, 'ucs': 4, 'cph': 4, 'ath': 4})}"),
        write(f"{ODD_DEBUG}/control", "1"),
        line(f"{ODD_DEBUG}/device_data", "util_wat4", printed("util_wat4", 0)),
        line(f"{ODD_DEBUG}/device_data", "exec_wcp4", printed("exec_wcp4", 0)),
        line(DATA, "util_wat0", MISSING),
        generations=FROM_6_12,
    ),
    case(
        "telemetry shows what the last sample has",
        switch(GEN4, "load", "pke 37, bw_in 400"),
        write(CONTROL, "1"),
        soon(line(DATA, "util_pke0", printed("util_pke0", 37))),
        line(DATA, "util_pke5", printed("util_pke5", 37)),
        line(DATA, "util_cpr0", printed("util_cpr0", 0)),
        line(DATA, "bw_in", printed("bw_in", 400)),
        line(DATA, "bw_out", printed("bw_out", 0)),
        switch(GEN4, "load", "pke 5"),
        soon(line(DATA, "util_pke0", printed("util_pke0", 5))),
        line(DATA, "bw_in", printed("bw_in", 400)),
        generations=FROM_6_12,
    ),
    case(
        "of several samples telemetry shows the last value, the least, the greatest and the average",
        switch(GEN4, "load", "bw_in 400; max_gp_lat 9000"),
        write(CONTROL, "4"),
        soon(line(DATA, "bw_in", printed("bw_in", 400, 400, 400, 400))),
        line(DATA, "max_gp_lat", printed("max_gp_lat", 9000, 9000, 9000, 9000)),
        line(DATA, "util_ath3", printed("util_ath3", 0, 0, 0, 0)),
        write(slot("A"), "0"),
        line(slot("A"), "bw_in", printed("bw_in", 0, 0, 0, 0)),
        line(slot("A"), "rp_num", printed("rp_num", 0)),
        generations=FROM_6_12,
    ),
    case(
        "a ring pair is watched in one place at a time: a second one says yes and does nothing",
        write(CONTROL, "1"),
        write(slot("A"), "64", "EINVAL"),
        write(slot("A"), "one", "EINVAL"),
        write(slot("A"), "7"),
        write(slot("B"), "7"),
        read(slot("B"), "EPERM"),
        write(slot("B"), "8"),
        line(slot("B"), "rp_num", printed("rp_num", 8)),
        generations=FROM_6_12,
    ),
    case(
        "a slot shows the ring pair that was chosen for it, on and off again",
        switch(GEN4, "load", "rp 5 bw_in 400, rp 6 bw_in 8"),
        write(slot("C"), "5"),
        read(slot("C"), "EPERM"),
        write(CONTROL, "1"),
        words(slot("C"), RING_PAIR),
        line(slot("C"), "rp_num", printed("rp_num", 5)),
        line(slot("C"), "service_type", printed("service_type", "sym")),
        soon(line(slot("C"), "bw_in", printed("bw_in", 400))),
        line(DATA, "bw_in", printed("bw_in", 0)),
        write(slot("C"), "6"),
        line(slot("C"), "service_type", printed("service_type", "asym")),
        soon(line(slot("C"), "bw_in", printed("bw_in", 8))),
        write(CONTROL, "0"),
        read(slot("C"), "EPERM"),
        write(CONTROL, "1"),
        line(slot("C"), "rp_num", printed("rp_num", 6)),
        generations=FROM_6_12,
    ),
    case(
        "nothing of telemetry outlives a PF that goes down, nor what it had to do",
        switch(GEN4, "load", "cpr 80"),
        read(LOAD, "cpr 80"),
        write(slot("A"), "7"),
        write(CONTROL, "1"),
        soon(line(DATA, "util_cpr0", printed("util_cpr0", 80))),
        write(STATE, "down"),
        read(CONTROL, "ENOENT"),
        read(slot("A"), "ENOENT"),
        write(STATE, "up"),
        read(CONTROL, "0"),
        read(LOAD, ""),
        write(CONTROL, "1"),
        line(DATA, "util_cpr0", printed("util_cpr0", 0)),
        read(slot("A"), "EPERM"),
        generations=FROM_6_12,
    ),
    case(
        "what a simulated PF cannot have to do is refused",
        [
            write(LOAD, text, "EINVAL")
            for text in ("pke", "pke 101", "aes 5", "pke 37 5", "rp 64 bw_in 1", "rp 5 pke 1", "cpr 1, cpr 101")
        ],
        read(LOAD, ""),
        generations=FROM_6_12,
    ),
)
