# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between kernels: one row for each that the project is tested against (Linux drivers/crypto/intel/qat)."""

from __future__ import annotations

import errno
import typing as t
from dataclasses import dataclass, field

from .text import line
from .tree import failure

_OF_6_1 = ("sym;asym", "dc")
_OF_6_12 = (*_OF_6_1, "asym;sym", "dcc", "sym", "asym", "dc;asym", "asym;dc", "dc;sym", "sym;dc")
_IN_KERNEL_ORDER = ("asym", "sym", "dc", "decomp", "dcc")


@dataclass(frozen=True)
class Generation:
    """How one kernel's QAT driver behaves.

    down_twice: `down` is accepted of a PF that is down. zero_vfs: 0 in sriov_numvfs removes the VFs. failed_vfs_undone: VFs that
    fail to appear leave the PF down and ready for another try. reset_restores_vfs: a reset makes the VFs again. all_files: everything in
    qat/, qat_ras/ and debugfs. keeps_power_setting: pm_idle_enabled survives down and up. services: the strings accepted, to the letter;
    empty where any order is.
    """

    name: str
    release: str
    down_twice: bool = True
    zero_vfs: bool = True
    failed_vfs_undone: bool = True
    reset_restores_vfs: bool = True
    all_files: bool = True
    keeps_power_setting: bool = True
    services: tuple[str, ...] = field(default=())

    def parse_services(self, text: str, at_most: int) -> str:
        """What cfg_services holds after this was written to it; raises EINVAL for what this kernel does not know."""
        if self.services:
            if line(text) not in self.services:
                raise failure(errno.EINVAL)
            return line(text)
        return _parse_set(line(text), at_most)


def _parse_set(text: str, at_most: int) -> str:
    tokens = text.split(";")
    chosen = set(tokens)
    if len(chosen) != len(tokens) or not chosen.issubset(_IN_KERNEL_ORDER):
        raise failure(errno.EINVAL)
    if "decomp" in chosen or len(chosen) > at_most or ("dcc" in chosen and len(chosen) > 1):
        raise failure(errno.EINVAL)
    return ";".join(token for token in _IN_KERNEL_ORDER if token in chosen)


GENERATIONS: t.Mapping[str, Generation] = {
    one.name: one
    for one in (
        Generation(
            "6.1",
            "6.1.0-37-amd64",
            down_twice=False,
            zero_vfs=False,
            failed_vfs_undone=False,
            reset_restores_vfs=False,
            all_files=False,
            keeps_power_setting=False,
            services=_OF_6_1,
        ),
        Generation("6.12", "6.12.48+deb13-amd64", services=_OF_6_12),
        Generation("6.16", "6.16.12-amd64"),
    )
}


def ring_pair_service(services: str, ring_pair: int) -> str:
    """Which service a ring pair of a VF does: they alternate, and asym always comes before sym (adf_gen4_hw_data.c)."""
    chosen = {"dc" if token == "dcc" else token for token in services.split(";")}
    first = [token for token in ("asym", "sym", "dc") if token in chosen]
    if len(first) == 3:
        return (*first, "asym")[ring_pair % 4]
    return first[ring_pair % len(first)]
