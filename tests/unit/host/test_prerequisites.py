# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Firmware is there where the kernel would find and read it, and a driver where it is loaded or can be; what cannot be seen is neither."""

from __future__ import annotations

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.prerequisites import driver, firmware
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.tests.fakes import pf
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4

RELEASE = "6.12.0-10-amd64"
NAME = "qat_402xx.bin"
CONFIG = f"/boot/config-{RELEASE}"
BOTH = "CONFIG_FW_LOADER_COMPRESS=y\nCONFIG_FW_LOADER_COMPRESS_XZ=y\nCONFIG_FW_LOADER_COMPRESS_ZSTD=y\n"
OLD = "CONFIG_FW_LOADER=y\nCONFIG_FW_LOADER_COMPRESS=y\n"


@pytest.mark.parametrize(
    ("files", "custom", "there"),
    [
        ({}, "", False),
        ({f"/lib/firmware/{NAME}": ""}, "", True),
        ({f"/lib/firmware/updates/{RELEASE}/{NAME}": ""}, "", True),
        ({f"/lib/firmware/5.4.0/{NAME}": ""}, "", False),
        ({f"/srv/firmware/{NAME}": ""}, "/srv/firmware", True),
        ({f"/srv/firmware/{NAME}": ""}, "", False),
        # Where linux-firmware's source has them, which no driver asks for.
        ({f"/lib/firmware/intel/qat/{NAME}": ""}, "", False),
        ({f"/lib/firmware/{NAME}.zst": ""}, "", None),
        ({f"/lib/firmware/{NAME}.zst": "", CONFIG: BOTH}, "", True),
        ({f"/lib/firmware/{NAME}.xz": "", f"/lib/modules/{RELEASE}/config": BOTH}, "", True),
        ({f"/lib/firmware/{NAME}.xz": "", CONFIG: OLD}, "", True),
        ({f"/lib/firmware/{NAME}.zst": "", CONFIG: OLD}, "", False),
        ({f"/lib/firmware/{NAME}.xz": "", CONFIG: "# CONFIG_FW_LOADER_COMPRESS is not set\n"}, "", False),
    ],
)
def test_firmware(files: dict[str, str], custom: str, there: bool | None) -> None:
    seen = firmware(FakeMachine(files, {}), RELEASE, NAME, custom)
    assert (seen.there, bool(seen.reason)) == (there, True)


class Blind(FakeMachine):
    """A machine that shows nothing."""

    def exists(self, path: str) -> bool:
        raise NodeError("cannot be looked at: Permission denied", path, "run as root (become: true)")


def test_firmware_that_cannot_be_looked_for() -> None:
    seen = firmware(Blind({}, {}), RELEASE, NAME, "")
    assert seen.there is None
    assert "Permission denied" in seen.reason


def test_drivers() -> None:
    kernel = LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=2))
    assert driver(kernel, "4xxx").there is True
    assert driver(kernel, "vfio-pci").there is True
    missing = driver(kernel, "no-such-driver")
    assert (missing.there, missing.reason) == (False, "the running kernel has no module no-such-driver")


def test_a_driver_that_nobody_can_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = LiveFake.with_pfs()

    def no_modprobe(_name: str) -> bool:
        raise NodeError("the command modprobe is missing", remedy="install kmod")

    monkeypatch.setattr(kernel, "has_module", no_modprobe)
    assert driver(kernel, "6xxx").there is None
