# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qat/cfg_services and the settings next to it (drivers/crypto/intel/qat/qat_common/adf_sysfs.c, adf_cfg_services.c)."""

from __future__ import annotations

from ..steps import (
    FROM_6_12,
    GEN4,
    MISSING,
    ODD_GEN4,
    THERE,
    VF,
    Step,
    Varying,
    case,
    count,
    device,
    driver,
    link,
    load,
    missing,
    read,
    since,
    soon,
    switch,
    there,
    unload,
    write,
)

STATE = device(GEN4, "qat/state")
SERVICES = device(GEN4, "qat/cfg_services")
VF_COUNT = device(GEN4, "sriov_numvfs")
POWER = device(GEN4, "qat/pm_idle_enabled")
RESET = device(GEN4, "qat/auto_reset")
RING_PAIR = device(GEN4, "qat/rp2srv")

# What is written, since which kernel that is accepted, and how 6.16 prints it.
_ACCEPTED = (
    ("sym;asym", "6.1", "asym;sym"),
    ("dc", "6.1", "dc"),
    ("asym;sym", "6.12", "asym;sym"),
    ("dcc", "6.12", "dcc"),
    ("sym", "6.12", "sym"),
    ("asym", "6.12", "asym"),
    ("dc;asym", "6.12", "asym;dc"),
    ("asym;dc", "6.12", "asym;dc"),
    ("dc;sym", "6.12", "sym;dc"),
    ("sym;dc", "6.12", "sym;dc"),
)
_REFUSED = (
    *("", "crypto", "SYM", "sym;", ";", "sym,asym", "sym asym"),
    *("sym;sym", "dc;dcc", "dcc;sym", "sym;asym;dc", "decomp"),
)


def _accept(text: str, first: str, printed: str) -> list[Step]:
    """From down, with "dc" or, for "dc" itself, "sym;asym" set before, so that a value that is not taken shows."""
    other = "sym;asym" if text == "dc" else "dc"
    unchanged = since("6.16", "asym;sym" if text == "dc" else "dc", before=other)
    return [
        write(STATE, "down"),
        write(SERVICES, other),
        read(SERVICES, unchanged),
        write(SERVICES, text, since(first, "ok", before="EINVAL")),
        read(SERVICES, _shown(text, first, printed, other)),
        write(STATE, "up"),
        read(SERVICES, _shown(text, first, printed, other)),
    ]


def _shown(text: str, first: str, printed: str, other: str) -> Varying:
    """What is read after writing `text`, which kernels take from `first` on; `other` was there before."""
    return Varying((text if first == "6.1" else other, text, printed))


def _ring_pairs(services: str, *expected: str) -> list[Step]:
    steps = [write(STATE, "down"), write(SERVICES, services)]
    for ring_pair, service in enumerate(expected):
        steps += [write(RING_PAIR, str(ring_pair)), read(RING_PAIR, service)]
    return steps


CASES = (
    case(
        "even devices start with crypto, odd ones with compression",
        read(SERVICES, "sym;asym"),
        read(device(ODD_GEN4, "qat/cfg_services"), "dc"),
    ),
    *(case(f"services {text}", _accept(text, first, printed)) for text, first, printed in _ACCEPTED),
    case(
        "services that no kernel knows",
        write(STATE, "down"),
        [step for text in _REFUSED for step in (write(SERVICES, text, "EINVAL"), read(SERVICES, "sym;asym"))],
    ),
    case(
        "services of a PF that is up cannot be changed",
        write(SERVICES, "dc", "EINVAL"),
        write(SERVICES, "nonsense", "EINVAL"),
        read(SERVICES, "sym;asym"),
    ),
    case(
        "services that leave the PF without a capability are stored all the same",
        write(STATE, "down"),
        switch(GEN4, "no_capabilities", "Y"),
        write(SERVICES, "dc", "EINVAL"),
        read(SERVICES, "dc"),
    ),
    case(
        "a fault while services are written",
        write(STATE, "down"),
        switch(GEN4, "fail_services", "5"),
        write(SERVICES, "dc", "EIO"),
        read(SERVICES, "sym;asym"),
        write(SERVICES, "dc"),
    ),
    case(
        "services survive making VFs, down and up, and a reset",
        write(STATE, "down"),
        write(SERVICES, "dc"),
        write(VF_COUNT, "1"),
        read(STATE, "up"),
        read(SERVICES, "dc"),
        write(STATE, "down"),
        write(STATE, "up"),
        read(SERVICES, "dc"),
        switch(GEN4, "reset", "1"),
        soon(write(STATE, "up")),
        read(SERVICES, "dc"),
    ),
    case(
        "services are lost when the driver is unbound",
        write(STATE, "down"),
        write(SERVICES, "dc"),
        write(device(GEN4, "driver/unbind"), GEN4),
        link(device(GEN4, "driver"), MISSING),
        missing(device(GEN4, "qat")),
        write(driver("4xxx", "bind"), GEN4),
        read(SERVICES, "sym;asym"),
        read(STATE, "up"),
    ),
    case(
        "services are lost when the module is loaded again",
        write(STATE, "down"),
        write(SERVICES, "dc"),
        unload("qat_4xxx"),
        missing("/sys/bus/pci/drivers/4xxx"),
        load("qat_4xxx"),
        read(SERVICES, "sym;asym"),
    ),
    case("a VF has no services of its own", write(VF_COUNT, "16"), missing(device(VF, "qat"))),
    case(
        "old kernels have state and cfg_services only",
        count(device(GEN4, "qat/*"), since("6.12", "6", before="2")),
        count(device(GEN4, "qat_ras/*"), since("6.12", "4", before="ENOENT")),
        read(POWER, since("6.12", "1", before="ENOENT")),
        read(RESET, since("6.12", "off", before="ENOENT")),
        read(device(GEN4, "qat/num_rps"), since("6.12", "64", before="ENOENT")),
        there(RING_PAIR, since("6.12", THERE, before=MISSING)),
    ),
    case(
        "power management can be set only while the PF is down",
        read(POWER, "1"),
        write(POWER, "0", "EINVAL"),
        write(STATE, "down"),
        write(POWER, "maybe", "EINVAL"),
        write(POWER, "n"),
        [step for state in ("up", "down") for step in (read(POWER, "0"), write(STATE, state))],
        read(POWER, "0"),
        generations=FROM_6_12,
    ),
    case(
        "automatic reset is a switch for any state",
        read(RESET, "off"),
        [step for word in ("on", "1", "y", "Y") for step in (write(RESET, word), read(RESET, "on"))],
        [step for word in ("off", "0", "n", "N") for step in (write(RESET, word), read(RESET, "off"))],
        write(RESET, "perhaps", "EINVAL"),
        write(STATE, "down"),
        write(RESET, "on"),
        read(RESET, "on"),
        generations=FROM_6_12,
    ),
    case(
        "ring pairs are asked for one at a time",
        read(device(GEN4, "qat/num_rps"), "64"),
        read(RING_PAIR, "EINVAL"),
        write(RING_PAIR, "64", "EINVAL"),
        write(RING_PAIR, "first", "EINVAL"),
        read(RING_PAIR, "EINVAL"),
        write(RING_PAIR, "0"),
        read(RING_PAIR, "asym"),
        write(RING_PAIR, "63"),
        read(RING_PAIR, "sym"),
        generations=FROM_6_12,
    ),
    case("ring pairs of crypto", _ring_pairs("sym;asym", "asym", "sym", "asym", "sym", "asym"), generations=FROM_6_12),
    case(
        "ring pairs of compression",
        _ring_pairs("dc", "dc", "dc", "dc", "dc"),
        write(STATE, "up"),
        write(RING_PAIR, "2"),
        read(RING_PAIR, "dc"),
        generations=FROM_6_12,
    ),
    case("ring pairs of chained compression", _ring_pairs("dcc", "dc", "dc"), generations=FROM_6_12),
    case("ring pairs of sym and compression", _ring_pairs("sym;dc", "sym", "dc", "sym", "dc"), generations=FROM_6_12),
    case("ring pairs of asym and compression", _ring_pairs("dc;asym", "asym", "dc"), generations=FROM_6_12),
)
