# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._addressed import bindings_by_address, desired_vfs
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import NO_VFS, Binding, DesiredPf
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import HOW_TO_WRITE_AN_ADDRESS
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.tests.fakes import FakeKernel, nic, pf
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4, OTHER, VF0

CARD = "0000:03:00.0"


def entry(address: str, count: int | None = None, autoprobe: bool | None = None) -> dict[str, t.Any]:
    return {"address": address, "count": count, "drivers_autoprobe": autoprobe}


def desired_pfs(*desired: dict[str, t.Any]) -> tuple[DesiredPf, ...]:
    kernel = FakeKernel.with_pfs(pf("4xxx", GEN4), pf("4xxx", OTHER, total_vfs=0), nics=(nic(CARD),))
    wanted = desired_vfs(desired, "skip")
    return wanted.on(read_node(kernel, wanted.addresses))


def test_counts() -> None:
    assert desired_pfs(entry(GEN4), entry(CARD, 3, False), entry(OTHER, 0)) == (
        DesiredPf(GEN4, "devices[0]", vf_count=16, when_in_use="skip"),
        DesiredPf(CARD, "devices[1]", vf_count=3, autoprobe=False, when_in_use="skip"),
        DesiredPf(OTHER, "devices[2]", vf_count=0, when_in_use="skip"),
    )
    assert desired_pfs(entry("03:00.0"))[0].vf_count == 7


@pytest.mark.parametrize(
    ("desired", "sentence"),
    [
        (
            [entry("6b.0")],
            "devices[0].address: '6b.0' is malformed; " + HOW_TO_WRITE_AN_ADDRESS,
        ),
        ([entry(GEN4), entry("6B:00.0")], f"devices[1].address: {GEN4} is given twice; name it once"),
        (
            [entry("0000:ff:00.0")],
            "devices[0].address: the node has no PCI function 0000:ff:00.0; see lspci -D for those it has",
        ),
        ([entry(OTHER)], f"devices[0]: {OTHER} cannot have VFs; name a PF, and {NO_VFS}"),
        (
            [entry(GEN4, 4)],
            (
                f"devices[0].count: {GEN4} cannot have 4 VFs, the kernel's driver creates all 16 or none; "
                "leave the count out, and use advertise to offer Kubernetes fewer VFs"
            ),
        ),
        ([entry(CARD, 8)], f"devices[0].count: {CARD} can have 7 VFs, not 8; ask for 0 to 7"),
        ([entry(CARD, -1)], f"devices[0].count: {CARD} can have 7 VFs, not -1; ask for 0 to 7"),
    ],
)
def test_wrong_counts(desired: list[dict[str, t.Any]], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        desired_pfs(*desired)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("driver", "override", "binding"),
    [
        ("vfio-pci", None, Binding("vfio-pci", "vfio-pci")),
        ("vfio-pci", True, Binding("vfio-pci", "vfio-pci")),
        ("c6xxvf", False, Binding("c6xxvf", None)),
        (None, None, Binding(None, None)),
        ("", False, Binding(None, None)),
    ],
)
def test_bindings(driver: str | None, override: bool | None, binding: Binding) -> None:
    assert bindings_by_address([{"address": VF0, "driver": driver, "override": override}]) == {VF0: binding}


def test_an_override_without_a_driver() -> None:
    with pytest.raises(ConfigurationError) as caught:
        bindings_by_address([{"address": VF0, "driver": None, "override": True}])
    assert str(caught.value) == "devices[0].override: override needs a driver; name the driver, or leave it out"


@pytest.mark.parametrize(
    "driver",
    ["../../../../etc", "/vfio-pci", "..", ".", "a\nb", "vfio-pci\n", "-r", "--show-depends", "vfio pci", "a/b"],
)
def test_what_is_no_name_of_a_driver(driver: str) -> None:
    """It would become a part of a path, and an argument of modprobe."""
    with pytest.raises(ConfigurationError) as caught:
        bindings_by_address([{"address": VF0, "driver": driver, "override": None}])
    assert str(caught.value) == f"devices[0].driver: {driver!r} is malformed; use letters, digits, - and _"
