# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error counters, the heartbeat and the firmware's counters (drivers/crypto/intel/qat/qat_common/adf_sysfs_ras_counters.c,
adf_heartbeat.c, adf_heartbeat_dbgfs.c, adf_fw_counters.c, adf_dbgfs.c)."""

from __future__ import annotations

from ..steps import (
    ANY,
    FROM_6_12,
    GEN1,
    GEN2,
    GEN4,
    ODD_GEN4,
    case,
    count,
    device,
    line,
    missing,
    read,
    since,
    sleep,
    soon,
    switch,
    there,
    words,
    write,
    write_bare,
)

STATE = device(GEN4, "qat/state")
VF_COUNT = device(GEN4, "sriov_numvfs")
RESET = device(GEN4, "qat/auto_reset")
ERRORS = device(GEN4, "qat_ras/errors_")
CLEAR = device(GEN4, "qat_ras/reset_error_counters")
DEBUG = f"/sys/kernel/debug/qat_4xxx_{GEN4}"
GEN2_DEBUG = f"/sys/kernel/debug/qat_c6xx_{GEN2}"
STATUS = f"{DEBUG}/heartbeat/status"
PERIOD = f"{DEBUG}/heartbeat/config"

CASES = (
    case(
        "errors are counted by kind",
        [read(ERRORS + kind, "0") for kind in ("correctable", "nonfatal", "fatal")],
        switch(GEN4, "error", "correctable 3"),
        switch(GEN4, "error", "nonfatal"),
        read(ERRORS + "correctable", "3"),
        read(ERRORS + "nonfatal", "1"),
        read(ERRORS + "fatal", "0"),
        write(CLEAR, "0", "EINVAL"),
        write_bare(CLEAR, "1", "EINVAL"),
        read(ERRORS + "correctable", "3"),
        write(CLEAR, "1"),
        read(ERRORS + "correctable", "0"),
        read(CLEAR, "EACCES"),
        generations=FROM_6_12,
    ),
    case(
        "a PF that is down counts no errors",
        switch(GEN4, "error", "correctable"),
        write(STATE, "down"),
        missing(device(GEN4, "qat_ras")),
        write(STATE, "up"),
        read(ERRORS + "correctable", "0"),
        missing(device(GEN2, "qat_ras")),
        generations=FROM_6_12,
    ),
    case(
        "a fatal error resets a PF that resets itself, and no other",
        write(VF_COUNT, "16"),
        switch(GEN4, "error", "fatal"),
        read(ERRORS + "fatal", "1"),
        write(STATE, "up"),
        count(device(GEN4, "virtfn*"), "16"),
        write(RESET, "on"),
        # As in state.py.
        switch(GEN4, "delay_up", "8000"),
        switch(GEN4, "error", "fatal"),
        write(STATE, "down", "EBUSY"),
        soon(write(STATE, "up")),
        soon(count(device(GEN4, "virtfn*"), "16")),
        generations=FROM_6_12,
    ),
    case(
        "the heartbeat, asked too often, seems lost",
        # With a period in which every machine can ask twice; from Gen4 on it is fixed, and too short for one that has much to do.
        write(f"{GEN2_DEBUG}/heartbeat/config", "60000"),
        read(f"{GEN2_DEBUG}/heartbeat/status", "0"),
        read(f"{GEN2_DEBUG}/heartbeat/status", "-1"),
        write(f"{GEN2_DEBUG}/heartbeat/config", "200"),
        sleep(0.3),
        read(f"{GEN2_DEBUG}/heartbeat/status", "0"),
        read(f"{GEN2_DEBUG}/heartbeat/queries_sent", "2"),
        read(f"{GEN2_DEBUG}/heartbeat/queries_failed", "0"),
        generations=FROM_6_12,
    ),
    case(
        "the heartbeat is really lost",
        switch(GEN4, "heartbeat", "dead"),
        [step for _ in range(2) for step in (read(STATUS, "0"), sleep(0.3))],
        read(STATUS, "-1"),
        read(f"{DEBUG}/heartbeat/queries_failed", "1"),
        switch(GEN4, "heartbeat", "alive"),
        sleep(0.3),
        read(STATUS, "0"),
        generations=FROM_6_12,
    ),
    case(
        "a lost heartbeat resets a PF that resets itself",
        write(VF_COUNT, "16"),
        write(RESET, "on"),
        switch(GEN4, "heartbeat", "lost"),
        [step for _ in range(2) for step in (read(STATUS, "0"), sleep(0.3))],
        # -1, or EIO when the file has gone before its end is read.
        read(STATUS, ANY),
        soon(write(STATE, "up")),
        soon(count(device(GEN4, "virtfn*"), "16")),
        read(f"/sys/kernel/debug/qat_sim/{GEN4}/heartbeat", "alive"),
        read(STATUS, "0"),
        read(f"{DEBUG}/heartbeat/queries_failed", "0"),
        generations=FROM_6_12,
    ),
    case(
        "the period of the heartbeat is fixed from Gen4 on",
        read(PERIOD, "200"),
        write(PERIOD, "199", "EINVAL"),
        write(PERIOD, "often", "EINVAL"),
        write(PERIOD, "1000"),
        read(PERIOD, "200"),
        read(f"{GEN2_DEBUG}/heartbeat/config", "500"),
        write(f"{GEN2_DEBUG}/heartbeat/config", "1000"),
        read(f"{GEN2_DEBUG}/heartbeat/config", "1000"),
        write(f"{GEN2_DEBUG}/heartbeat/config", "200"),
        read(f"{GEN2_DEBUG}/heartbeat/config", "200"),
        generations=FROM_6_12,
    ),
    case(
        "the firmware counts requests and responses",
        read(STATUS, "0"),
        words(f"{DEBUG}/fw_counters", "AE 0:"),
        line(f"{DEBUG}/fw_counters", "AE", f"AE  {'Requests':>16} {'Responses':>16}"),
        line(f"{DEBUG}/fw_counters", "0:", f" 0: {1:>16} {1:>16}"),
        generations=FROM_6_12,
    ),
    case(
        "health files of a PF that is down",
        there(f"{DEBUG}/dev_cfg"),
        there(f"{DEBUG}/fw_counters", since("6.12", "there", before="missing")),
        count(f"{DEBUG}/heartbeat/*", since("6.12", "4", before="ENOENT")),
        write(STATE, "down"),
        there(f"{DEBUG}/dev_cfg"),
        count(f"{DEBUG}/*", "1"),
        write(STATE, "up"),
        count(f"{DEBUG}/heartbeat/*", since("6.12", "4", before="ENOENT")),
    ),
    case(
        "health files are in a directory that is named after the driver",
        [
            there(f"/sys/kernel/debug/qat_{name}_{one}/dev_cfg")
            for name, one in (("420xx", ODD_GEN4), ("c6xx", GEN2), ("dh895xcc", GEN1))
        ],
        there(f"{GEN2_DEBUG}/heartbeat/status", since("6.12", "there", before="missing")),
    ),
)
