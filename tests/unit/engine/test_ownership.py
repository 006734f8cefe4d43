# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError, RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.ownership import (
    Found,
    plan_restoration,
    read_record,
    remember,
    remove_record,
    write_record,
)
from ansible_collections.accel.qat.plugins.module_utils._node.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.target import original_target
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf, vf
from ansible_collections.accel.qat.tests.unit.engine.nodes import GEN2, GEN4, OTHER, VF0, apply, lose_vf, plan_of, told


@pytest.fixture
def record(tmp_path: Path) -> str:
    return str(tmp_path / "accel-qat/found.json")


def kernel() -> FakeKernel:
    return FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=2, services="dc", vfs=[vf("vfio-pci"), vf(None)]),
        pf("c6xx", GEN2, driver=None, total_vfs=1),
    )


def test_what_is_written_is_what_is_read(record: str) -> None:
    node = read_node(kernel())
    found = Found({GEN4: original_target(node, GEN4), GEN2: original_target(node, GEN2)}, vfio_pci_loaded=False)
    write_record(record, found)
    again = read_record(record)
    assert again.vfio_pci_loaded is False
    for address, target in found.targets.items():
        assert again.targets[address].__dict__ == {**target.__dict__, "where": record}
    write_record(record, again)
    assert read_record(record) == again
    assert [path.name for path in Path(record).parent.iterdir()] == ["found.json"]


def test_a_vf_that_is_missing_keeps_its_place_in_the_record(record: str) -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=3, vfs=[vf(None), vf(None), vf("vfio-pci")]))
    lose_vf(fake, GEN4, 1)
    write_record(record, Found({GEN4: original_target(read_node(fake), GEN4)}))
    target = read_record(record).targets[GEN4]
    assert target.vf_count == 3
    assert [target.bindings[index].driver for index in range(3)] == [None, None, "vfio-pci"]


def test_no_record(record: str) -> None:
    assert read_record(record) == Found({})
    remove_record(record)


def test_remembers_a_pf_once(record: str) -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4), pf("4xxx", OTHER))
    node = read_node(fake)
    remember(record, plan_of(fake, {"select": {"index": 0}, "services": ["dc"]}), node)
    first = Path(record).read_text()
    assert set(read_record(record).targets) == {GEN4}
    assert read_record(record).vfio_pci_loaded is False
    apply(fake, {"select": {"index": 0}, "services": ["dc"]})
    remember(record, plan_of(fake, {"select": {"index": 0}, "services": ["sym"]}), read_node(fake))
    assert Path(record).read_text() == first
    remember(record, plan_of(fake, {}), read_node(fake))
    assert read_record(record).targets[GEN4].services == frozenset({"sym", "asym"})
    assert set(read_record(record).targets) == {GEN4, OTHER}
    assert read_record(record).vfio_pci_loaded is False


def test_remembers_which_drivers_vfs_were_given(record: str) -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=vf()))
    for driver in ("pci-stub", "vfio-pci"):
        remember(record, plan_of(fake, {"driver": driver}), read_node(fake))
    assert read_record(record).given == {GEN4: {"pci-stub", "vfio-pci"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError"),
        ('{"format": 2}', "format 2 is not known"),
        ('{"format": 1, "devices": []}', "AttributeError"),
        ('{"format": 1, "vfio_pci_loaded": true, "devices": {"0000:6b:00.0": {}}}', "KeyError"),
    ],
)
def test_a_record_that_cannot_be_understood(record: str, text: str, reason: str) -> None:
    Path(record).parent.mkdir()
    Path(record).write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_record(record)
    assert caught.value.where == record
    assert caught.value.problem.startswith("the record of what was found on this node cannot be read: ")
    assert reason in caught.value.problem
    assert caught.value.remedy.startswith("restore the file from a backup, or remove it")


def test_a_power_cut_leaves_the_old_record(record: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(record, Found({}))
    before = Path(record).read_text()

    def cut(_source: str, _target: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", cut)
    node = read_node(kernel())
    with pytest.raises(KeyboardInterrupt):
        write_record(record, Found({GEN4: original_target(node, GEN4)}))
    assert Path(record).read_text() == before
    assert [path.name for path in Path(record).parent.iterdir()] == ["found.json"]


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    record = str(tmp_path / "file/found.json")
    with pytest.raises(NodeError) as caught:
        write_record(record, Found({}))
    assert caught.value.where == record
    assert caught.value.problem.startswith("what was found on this node cannot be recorded: ")
    assert caught.value.remedy.endswith("nothing was changed")


def test_removal_keeps_a_directory_with_other_files(record: str) -> None:
    write_record(record, Found({}))
    other = Path(record).with_name("kernel_arguments")
    other.write_text("iommu=pt\n")
    remove_record(record)
    assert [path.name for path in other.parent.iterdir()] == ["kernel_arguments"]
    other.unlink()
    write_record(record, Found({}))
    remove_record(record)
    assert not other.parent.exists()


def found_on(fake: FakeKernel, *rules: dict[str, t.Any]) -> Found:
    return Found({}).with_pfs_of(plan_of(fake, *rules), read_node(fake))


def test_the_way_back() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1))
    found = found_on(fake, {"services": ["dc"]})
    apply(fake, {"services": ["dc"]})
    assert told(plan_restoration(found, read_node(fake)).steps) == [
        f"state {GEN4}: up -> down",
        f"services {GEN4}: dc -> sym;asym",
        f"autoprobe {GEN4}: 0 -> 1",
        f"state {GEN4}: down -> up",
        "unload_module vfio_pci: loaded -> not loaded",
    ]


def test_vfio_pci_stays_for_others() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1), pf("4xxx", OTHER, total_vfs=1))
    found = found_on(fake, {"select": {"index": 0}})
    apply(fake, {})
    assert "unload_module vfio_pci: loaded -> not loaded" not in told(plan_restoration(found, read_node(fake)).steps)


def test_vfio_pci_that_was_loaded_stays() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1), loaded=("qat_4xxx", "vfio_pci"))
    found = found_on(fake, {})
    apply(fake, {})
    assert not any(step.of_module for step in plan_restoration(found, read_node(fake)).steps)


def test_the_way_back_stops_at_users() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1))
    found = found_on(fake, {})
    apply(fake, {})
    fake.open_vf(VF0, "qemu-kvm")
    with pytest.raises(RefusedError, match=f"qemu-kvm .* has {VF0} open"):
        plan_restoration(found, read_node(fake))
    skipped = plan_restoration(found, read_node(fake), "skip")
    assert (skipped.steps, [skip.device for skip in skipped.skipped]) == ((), [GEN4])
    assert plan_restoration(found, read_node(fake), "force").steps


def test_a_pf_that_has_gone_is_left_out() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4))
    found = found_on(fake, {})
    assert plan_restoration(found, read_node(FakeKernel.with_pfs())).steps == ()


def test_the_record_is_readable(record: str) -> None:
    found = {GEN4: original_target(read_node(kernel()), GEN4)}
    write_record(record, Found(found, given={GEN4: frozenset({"vfio-pci", "pci-stub"})}))
    document = json.loads(Path(record).read_text())
    assert document["devices"][GEN4] == {
        "services": ["dc"],
        "state": "up",
        "driven": True,
        "drivers_autoprobe": True,
        "vfs": [
            {"driver": "vfio-pci", "driver_override": "vfio-pci"},
            {"driver": None, "driver_override": None},
        ],
        "drivers_given": ["pci-stub", "vfio-pci"],
    }
