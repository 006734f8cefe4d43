# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the running kernel has."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import State, read_request
from ansible_collections.accel.qat.plugins.module_utils._boot.running import iommu_active, read_running
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError


@pytest.mark.parametrize(
    ("wanted", "state", "missing", "lingering"),
    [
        (["intel_iommu=on"], "present", [], []),
        (["intel_iommu=on", "iommu=pt"], "present", ["iommu=pt"], []),
        (["intel_iommu=off"], "present", ["intel_iommu=off"], []),
        (["intel_iommu"], "absent", [], ["intel_iommu=on"]),
        (["intel_iommu=off", "iommu"], "absent", [], []),
        (["single"], "present", ["single"], []),
    ],
)
def test_says_what_a_reboot_would_bring(
    tmp_path: Path, wanted: list[str], state: State, missing: list[str], lingering: list[str]
) -> None:
    (tmp_path / "cmdline").write_text("BOOT_IMAGE=/vmlinuz root=UUID=0d3b ro intel_iommu=on quiet -- single\n")
    running = read_running(str(tmp_path), str(tmp_path))
    request = read_request(wanted, state)
    assert [argument.text for argument in running.missing(request)] == missing
    assert [argument.text for argument in running.lingering(request)] == lingering
    assert running.needs_reboot(request) is bool(missing or lingering)


def test_no_command_line(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        read_running(str(tmp_path))
    assert str(caught.value) == f"{tmp_path}/cmdline: cannot be read: No such file or directory; check proc_root"


def test_an_iommu_that_cannot_be_seen_is_not_off(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/iommu_groups").write_text("")
    with pytest.raises(NodeError) as caught:
        iommu_active(str(tmp_path))
    assert str(caught.value) == (f"{tmp_path}/kernel/iommu_groups: cannot be read: Not a directory; check sysfs_root")


@pytest.mark.parametrize(
    ("paths", "active"),
    [
        ((), False),
        (("kernel/iommu_groups", "class/iommu"), False),
        (("kernel/iommu_groups/0",), False),
        (("kernel/iommu_groups", "class/iommu/dmar0"), False),
        (("kernel/iommu_groups/0", "class/iommu/virtio0"), False),
        (("kernel/iommu_groups/0", "class/iommu/dmar0"), True),
    ],
)
def test_the_iommu_is_active_when_it_has_groups_and_a_unit(
    tmp_path: Path, paths: tuple[str, ...], active: bool
) -> None:
    for path in paths:
        (tmp_path / path).mkdir(parents=True)
    assert iommu_active(str(tmp_path)) is active
