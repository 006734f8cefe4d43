# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any one read of the engine fails, for a reason that says nothing of the node: it refuses, or sees what it saw before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import SECONDS, converge
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.snapshot import Node
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError
from ansible_collections.accel.qat.plugins.module_utils._node.users import usage
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import LiveKernelWithPods
from ansible_collections.accel.qat.tests.fakes import FakeKernel, NodeSpec, pf, vf
from ansible_collections.accel.qat.tests.fakes.disk import put_on_disk
from ansible_collections.accel.qat.tests.fakes.faults import READ_ERRNOS, FailingReads, FileFaults
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN2_VF0, GEN4, VF0, VF1, planner

SPEC = NodeSpec(
    (
        pf("4xxx", GEN4, services="sym", total_vfs=3, vfs=[vf("vfio-pci"), vf("vfio-pci"), vf("vfio-pci")]),
        pf("c6xx", GEN2, total_vfs=1, vfs=vf()),
    ),
    cdevs=True,
)


def make(kind: type[FakeKernel] = FakeKernel) -> FakeKernel:
    """Two processes have a VF each, and the kernel itself another."""
    fake = kind.of(SPEC)
    fake.open_vf(VF0, "qemu-kvm")
    fake.open_vf(VF1, "testpmd", cdev=True)
    fake.use_vf(GEN2_VF0)
    return fake


def users_of(node: Node) -> set[str]:
    """The VFs that nobody may take."""
    return {
        one.address
        for one in node.functions.values()
        if one.holders or (one.driver in node.busy_drivers and one.index >= 0)
    }


def assert_no_less(node: Node, before: Node) -> None:
    assert node.functions.keys() >= before.functions.keys()
    assert users_of(node) >= users_of(before)
    for device, known in zip(node.qat, before.qat):
        assert [one.address for one in device.vfs] == [one.address for one in known.vfs]
        assert (device.services, device.state) == (known.services, known.state)


def reads() -> list[str]:
    """Every read of a scan of the node."""
    kernel = make(FailingReads)
    assert isinstance(kernel, FailingReads)
    kernel.looks.clear()
    read_node(kernel)
    return kernel.looks


READS = reads()


def test_there_is_something_to_fail() -> None:
    assert users_of(read_node(make())) == {VF0, VF1, GEN2_VF0}
    assert len(READS) > 100
    assert {"/proc", "/proc/devices", "/proc/4001/fd", "/sys/module/qat_c62xvf/refcnt"} <= set(READS)


@pytest.mark.parametrize("code", READ_ERRNOS, ids=os.strerror)
def test_any_read_of_a_look(code: int) -> None:
    before = read_node(make())
    for number, path in enumerate(READS):
        kernel = make(FailingReads)
        assert isinstance(kernel, FailingReads)
        kernel.fail(number, code)
        try:
            node = read_node(kernel)
        except NodeError as refusal:
            text = str(refusal)
        else:
            assert_no_less(node, before)
            continue
        assert os.strerror(code) in text, path


@pytest.mark.parametrize("code", READ_ERRNOS, ids=os.strerror)
def test_any_read_of_a_run(code: int) -> None:
    """Of which some reads are made just before the first write."""
    rule = {"select": {"address": GEN4}, "services": ["dc"]}
    for number in range(2 * len(READS)):
        kernel = make(FailingReads)
        assert isinstance(kernel, FailingReads)
        kernel.fail(number, code)
        with pytest.raises(NodeError):
            converge(kernel, lambda kernel=kernel: read_node(kernel), planner(rule), SECONDS)  # type: ignore[misc]
        assert kernel.writes == []


@pytest.mark.parametrize("code", READ_ERRNOS, ids=os.strerror)
def test_any_read_of_a_run_that_writes(code: int) -> None:
    """Nobody uses the VFs first, and then somebody does: not one of his goes."""
    rule = {"select": {"address": GEN4}, "driver": "qat_vfio_pci"}
    for number in range(0, 3 * len(READS), 3):
        kernel = FailingReads.of(SPEC)
        assert isinstance(kernel, FailingReads)
        functions = kernel.machine.bus.functions
        kernel.fail(number, code)

        def meanwhile(_plan: object, _node: object, kernel: FakeKernel = kernel) -> None:
            kernel.open_vf(VF0, "qemu-kvm")

        with pytest.raises(NodeError):
            converge(kernel, lambda kernel=kernel: read_node(kernel), planner(rule), SECONDS, meanwhile)  # type: ignore[misc]
        assert functions[VF0].vfio_device is not None, number
        assert kernel.writes == [] or kernel.writes[0].path.startswith("/sys/module"), number


# Over files, read by the live kernel and its child process.


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The same node on the disk. /dev/null stands for the node that is open."""
    fake = make()
    group = fake.link(f"/sys/bus/pci/devices/{VF0}/iommu_group")
    put_on_disk(fake.machine, tmp_path)
    (tmp_path / f"sys/class/vfio/{group}/dev").write_text("1:3\n")
    (tmp_path / "proc/4001/fd/4").unlink()
    (tmp_path / "proc/4001/fd/4").symlink_to("/dev/null")
    return tmp_path


def look(root: Path) -> Node:
    kernel = LiveKernelWithPods(f"{root}/sys", f"{root}/proc", f"{root}/dev")
    try:
        return read_node(kernel)
    finally:
        kernel.close()


def test_any_file(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the second VF no descriptor on the disk shows who has it."""
    monkeypatch.setattr(usage, "_LOOKS", 0)
    before = look(files)
    assert users_of(before) == {VF0, VF1, GEN2_VF0}
    assert before.functions[VF1].holders[0].is_unseen
    faults = FileFaults(str(files))
    with faults.watching():
        look(files)
    # What its child reads it does not note.
    paths = [*faults.seen, *map(str, files.glob(f"sys/bus/pci/devices/{GEN4}/qat/*"))]
    assert len(paths) > 100
    refusals: dict[str, str] = {}
    for number, path in enumerate(paths):
        code = READ_ERRNOS[number % len(READ_ERRNOS)]
        with faults.failing(path, code):
            try:
                node = look(files)
            except NodeError as refusal:
                refusals[path] = str(refusal)
            else:
                assert_no_less(node, before)
    assert len(refusals) > len(paths) / 2
    assert all(": cannot be read: " in text or "cannot list the PCI devices: " in text for text in refusals.values()), (
        refusals
    )
