# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.facts.pci import address_after, normal_address


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("0000:6b:00.0", "0000:6b:00.0"),
        ("6b:00.0", "0000:6b:00.0"),
        ("0000:6B:0F.7", "0000:6b:0f.7"),
        (" 10000:01:00.0\n", "10000:01:00.0"),
        ("00000000:6B:00.0", "0000:6b:00.0"),
        ("00010000:6b:00.0", "10000:6b:00.0"),
        ("ffffffff:6b:00.0", "ffffffff:6b:00.0"),
    ],
)
def test_normal_address(given: str, normal: str) -> None:
    assert normal_address(given) == normal


@pytest.mark.parametrize("given", ["", "6b", "6b:00", "6b:00.8", "0000:6b:00.0:1", "zz:00.0", "000:6b:00.0"])
def test_malformed_address(given: str) -> None:
    with pytest.raises(ValueError, match="^" + given):
        normal_address(given)


@pytest.mark.parametrize(
    ("distance", "address"),
    [(0, "0000:6b:00.0"), (1, "0000:6b:00.1"), (8, "0000:6b:01.0"), (16, "0000:6b:02.0"), (256, "0000:6c:00.0")],
)
def test_address_after(distance: int, address: str) -> None:
    assert address_after("0000:6b:00.0", distance) == address


def test_address_after_a_malformed_one() -> None:
    with pytest.raises(ValueError, match=r"6b:00\.0"):
        address_after("6b:00.0", 1)
