# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions of hardware: what is understood, and what is refused in which words."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.tests.lab.qat_lab.errors import LabError
from ansible_collections.accel.qat.tests.lab.qat_lab.hardware import Hardware, Pf, parse_pfs


@pytest.mark.parametrize(
    ("text", "pf"),
    [
        ("4xxx@6b", Pf("4xxx", 0, 0x6B, None, 16)),
        ("420xx@6b:1", Pf("420xx", 0, 0x6B, 1, 16)),
        ("c6xx@6b:0/0", Pf("c6xx", 0, 0x6B, 0, 0)),
        ("dh895xcc@0001:6b:0", Pf("dh895xcc", 1, 0x6B, 0, 32)),
    ],
)
def test_pf(text: str, pf: Pf) -> None:
    assert parse_pfs(text) == [pf]


def test_addresses_and_nodes() -> None:
    hardware = Hardware(pfs="4xxx@6b:0,4xxx@0002:70:1")
    assert [pf.address for pf in parse_pfs(hardware.pfs)] == ["0000:6b:00.0", "0002:70:00.0"]
    assert hardware.nodes == 2
    assert Hardware(pfs="").nodes == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pfs": "6b:0"}, "is no PF: write FAMILY@"),
        ({"pfs": "5xxx@6b"}, "families are 4xxx, 420xx, c6xx, dh895xcc, 4xxxvf"),
        ({"pfs": "4xxx@6b/17"}, "a 4xxx PF has at most 16 VFs"),
        ({"pfs": "4xxx@f0"}, "buses of domain 0 are 20 to bf"),
        ({"pfs": "4xxx@6b,c6xx@6b"}, "two PFs cannot both be at 0000:6b:00.0"),
        ({"pfs": "4xxx@6b:2"}, "2 processors cannot be shared evenly by 3 NUMA nodes"),
        ({"generation": "5.15"}, "choose from 6.1, 6.12, 6.16"),
    ],
)
def test_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        Hardware(**change)  # type: ignore[arg-type]  # all of them are texts here
