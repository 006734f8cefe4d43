# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated PF has to do, which its telemetry shows; set as on the virtual machine (tests/lab/kernel/hardware/load.c)."""

from __future__ import annotations

import errno
import re
import typing as t
from dataclasses import dataclass, field

from .text import number
from .tree import failure

ENGINES = ("cpr", "xlt", "dcpr", "pke", "wat", "wcp", "ucs", "cph", "ath", "cnv", "dcprz")
OF_DEVICE = (
    *("pci_trans_cnt", "max_rd_lat", "rd_lat_acc_avg", "max_gp_lat", "gp_lat_acc_avg"),
    *("bw_in", "bw_out", "at_page_req_lat_avg", "at_trans_lat_avg", "at_max_tlb_used"),
)
OF_RING_PAIR = (
    *("pci_trans_cnt", "gp_lat_acc_avg", "bw_in", "bw_out", "at_glob_devtlb_hit", "at_glob_devtlb_miss"),
    *("tl_at_payld_devtlb_hit", "tl_at_payld_devtlb_miss"),
)
_RING_PAIRS = 64


class _Setting(t.NamedTuple):
    """`pke 37`, `bw_in 400`, or `rp 5 bw_in 400`."""

    ring_pair: int | None
    name: str
    value: int


@dataclass
class Load:
    """What a PF has to do: percent by engine, values of the device's counters, and of those of ring pairs by their number."""

    engines: dict[str, int] = field(default_factory=dict)
    device: dict[str, int] = field(default_factory=dict)
    ring_pairs: dict[int, dict[str, int]] = field(default_factory=dict)

    def set(self, text: str) -> None:
        """Settings, each on a line of its own or behind a comma or semicolon. What is not named stays. All of them, or EINVAL."""
        for one in [_parsed(part) for part in re.split("[,;\n]", text) if part.strip()]:
            self._of(one)[one.name] = one.value

    def _of(self, one: _Setting) -> dict[str, int]:
        if one.ring_pair is not None:
            return self.ring_pairs.setdefault(one.ring_pair, {})
        return self.engines if one.name in ENGINES else self.device

    def text(self) -> str:
        """All settings, one a line."""
        own = [f"{name} {value}" for values in (self.engines, self.device) for name, value in values.items()]
        pairs = [f"rp {pair} {name} {value}" for pair, of in self.ring_pairs.items() for name, value in of.items()]
        return "\n".join([*own, *pairs])


def _parsed(text: str) -> _Setting:
    words = text.split()
    pair, words = (number(words[1]), words[2:]) if words[0] == "rp" and len(words) == 4 else (None, words)
    if len(words) != 2:
        raise failure(errno.EINVAL)
    one = _Setting(pair, words[0], number(words[1]))
    known = OF_RING_PAIR if pair is not None else (*ENGINES, *OF_DEVICE)
    is_too_much = (pair or 0) >= _RING_PAIRS or (one.name in ENGINES and one.value > 100)
    if one.name not in known or is_too_much:
        raise failure(errno.EINVAL)
    return one
