# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PFs of the fake kernel with telemetry, and what the exporter's page says of them."""

from __future__ import annotations

import typing as t

from qat_device_plugin._node.devices.activity import activity_of
from qat_device_plugin._node.devices.read import read_devices

from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf

if t.TYPE_CHECKING:
    from qat_device_plugin._node.devices.activity import PfActivity
    from qat_device_plugin._node.devices.snapshot import QatDevice

GEN4, SECOND, GEN2 = "0000:6b:00.0", "0000:70:00.0", "0000:75:00.0"
VFS = [f"0000:6b:00.{number}" for number in range(1, 4)]
DEBUG = f"/sys/kernel/debug/qat_4xxx_{GEN4}"
CONTROL = f"{DEBUG}/telemetry/control"

Fake = t.Any
"""A fake kernel. The plugin's copy of the engine has classes of its own, which the fake's do not inherit from."""


def kernel(*others: t.Any, total_vfs: int = 3) -> Fake:
    """With a PF of Gen4, which has the VFs in VFS."""
    return FakeKernel.with_pfs(
        pf("4xxx", GEN4, services="sym;asym", numa_node=1, vfs="vfio-pci", total_vfs=total_vfs), *others
    )


def devices(fake: Fake) -> list[QatDevice]:
    """Its PFs."""
    return list(read_devices(fake).qat)


def activities(fake: Fake) -> tuple[PfActivity, ...]:
    """What they do."""
    return activity_of(fake, read_devices(fake))


def at(path: str, fake: Fake) -> str:
    """What a file says."""
    return str(fake.read(path))


def series(text: str) -> dict[str, float]:
    """A page of metrics by name and labels."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _space, value in lines}


def named(metrics: t.Mapping[str, float], name: str) -> dict[str, float]:
    """The series of one metric, by their labels."""
    found = ((one.partition("{"), value) for one, value in metrics.items())
    return {labels.rstrip("}"): value for (this, _brace, labels), value in found if this == name}
