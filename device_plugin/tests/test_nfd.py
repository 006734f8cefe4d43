# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels of a node, and the file by which Node Feature Discovery gets them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import subprocess
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from harness.node_files import NodeFiles
from harness.pod_resources import FakePodResources
from qat_device_plugin._node.devices.read import read_devices
from qat_device_plugin._node.devices.rules import parse_configuration
from qat_device_plugin._node.errors import NodeError
from qat_device_plugin._node.facts.families import FAMILIES
from qat_device_plugin._node.facts.pci import VFIO_DRIVERS
from qat_device_plugin._node.facts.services import RESOURCE_NAMES, SERVICES
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin._node.users.podresources import Given
from qat_device_plugin._node.users.pods import Named
from qat_device_plugin.attribution import Attribution, attributed
from qat_device_plugin.catalogue import Snapshot
from qat_device_plugin.labels import GRACE_SECONDS, NAMESPACE, feature_file, labels_of
from qat_device_plugin.model import Model, Scan, advance, with_rules
from qat_device_plugin.nfd import FILE, LIFE_SECONDS, QUIET_SECONDS, FeatureFile, Labeler, Written, is_due, is_known
from qat_device_plugin.probe import read_groups
from qat_device_plugin.statistics import Statistics
from qat_device_plugin.status import Status

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario
    from harness.process import Plugin

Run = t.Callable[["Scenario"], None]

CY, DC = "qat.intel.com/cy", "qat.intel.com/dc"
PF, OTHER = "0000:6b:00.0", "0000:70:00.0"
VFS = NodeFiles.vf_addresses(PF, 6)
GEN4 = {"present", "family.4xxx", "generation.4"}
CLOCK = 1_800_000_000.0
LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""What Kubernetes takes after the `/` of a label, and as its value, which may be empty besides (apimachinery, validation.go)."""


@pytest.fixture
def files(tmp_path: Path) -> NodeFiles:
    return NodeFiles(tmp_path)


def look(files: NodeFiles, *rules: t.Mapping[str, t.Any], before: Model | None = None) -> Model:
    with contextlib.closing(LiveKernel(str(files.sys), str(files.proc), str(files.dev))) as kernel:
        node = read_devices(kernel)
        snapshot = Snapshot(node, frozenset(kernel.list("/dev/vfio")), read_groups(kernel, node))
    return advance(before or Model(), Scan(1.0, snapshot, {}), parse_configuration({"devices": list(rules) or [{}]}))


def has(*vfs: str, resource: str = CY) -> Attribution:
    given = tuple(Given("default", f"web-{number}", "app", resource, vf) for number, vf in enumerate(vfs))
    return attributed(Attribution(), Named(given), 1.0)


def flags(labels: t.Mapping[str, str]) -> set[str]:
    return {name for name, value in labels.items() if value == "true"}


def counts(labels: t.Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value != "true"}


# What a node is labelled with.


def test_a_node_without_qat_has_no_label(files: NodeFiles) -> None:
    assert labels_of(look(files), has(), 0.0) == {}
    assert labels_of(Model(), has(), 0.0) == {}


def test_pfs_of_two_kinds(files: NodeFiles) -> None:
    files.add_pf(PF, vfs=6)
    files.add_pf(OTHER, services="dc", family="6xxx", vfs=3)
    labels = labels_of(look(files), has(VFS[0]), 0.0)
    assert flags(labels) == {
        *GEN4,
        "family.6xxx",
        "generation.6",
        *("service.sym", "service.asym", "service.dc"),
        "driver.vfio-pci",
    }
    assert counts(labels) == {"vfs.cy": "6", "free.cy": "4", "vfs.dc": "3", "free.dc": "2"}


def test_devices_before_gen4_have_no_services(files: NodeFiles) -> None:
    files.add_pf(PF, services=None, family="c6xx", vfs=2)
    labels = labels_of(look(files), has(), 0.0)
    assert flags(labels) == {"present", "family.c6xx", "generation.2", "driver.vfio-pci"}
    assert counts(labels) == {"vfs.generic": "2", "free.generic": "2"}


def test_a_node_that_is_a_virtual_machine(files: NodeFiles) -> None:
    files.add_vf("0000:00:05.0")
    labels = labels_of(look(files, {"services": ["sym", "asym"]}), has(), 0.0)
    assert flags(labels) == {*GEN4, "service.sym", "service.asym", "driver.vfio-pci"}
    assert counts(labels) == {"vfs.cy": "1", "free.cy": "1"}


def test_vfs_for_virtual_machines_are_others(files: NodeFiles) -> None:
    files.add_pf(PF, services="dc", vfs=2)
    labels = labels_of(look(files, {"attach": "vm"}), has(VFS[0], resource="qat.intel.com/vm-dc"), 0.0)
    assert counts(labels) == {"vfs.vm-dc": "2", "free.vm-dc": "1"}
    assert "service.dc" in labels


def test_what_is_not_offered_is_only_there(files: NodeFiles) -> None:
    files.add_pf(PF, vfs=2)
    for rule in ({"state": "absent"}, {"advertise": 0}, {"select": {"address": OTHER}}):
        assert labels_of(look(files, rule), has(), 0.0) == dict.fromkeys(GEN4, "true")


@pytest.mark.parametrize(("held", "free"), [(0, "4"), (1, "4"), (2, "4"), (3, "2"), (4, "2"), (5, "1"), (6, "0")])
def test_free_vfs_are_the_power_of_two_that_there_are_at_least(files: NodeFiles, held: int, free: str) -> None:
    files.add_pf(PF, vfs=6)
    assert labels_of(look(files), has(*VFS[:held]), 0.0)["free.cy"] == free


def test_a_vf_that_nobody_can_get_is_not_free(files: NodeFiles) -> None:
    files.add_pf(PF, vfs=2)
    files.bind(VFS[0], None)
    assert counts(labels_of(look(files), has(), 0.0)) == {"vfs.cy": "2", "free.cy": "1"}


# What is not known is not in a label.


@pytest.mark.parametrize("age", [None, GRACE_SECONDS + 1])
def test_free_vfs_are_not_known_while_kubelet_has_not_said_who_has_them(files: NodeFiles, age: float | None) -> None:
    files.add_pf(PF, vfs=2)
    assert counts(labels_of(look(files), has(), age)) == {"vfs.cy": "2"}
    assert counts(labels_of(look(files), None, None)) == {"vfs.cy": "2"}


def test_an_answer_of_kubelet_counts_for_a_while(files: NodeFiles) -> None:
    files.add_pf(PF, vfs=2)
    late = attributed(has(VFS[0]), Named(problem="not now"), 9.0)
    assert counts(labels_of(look(files), late, GRACE_SECONDS)) == {"vfs.cy": "2", "free.cy": "1"}


def test_services_that_nobody_could_read_so_far_are_in_no_label(files: NodeFiles) -> None:
    files.add_pf(PF, services="", vfs=2)
    assert labels_of(look(files), has(), 0.0) == dict.fromkeys(GEN4, "true")


def test_services_that_cannot_be_read_any_more_are_those_of_before(files: NodeFiles) -> None:
    files.add_pf(PF, services="dc", vfs=2)
    before = look(files)
    files.set_services(PF, "")
    labels = labels_of(look(files, before=before), has(), 0.0)
    assert "service.dc" in labels
    assert counts(labels) == {"vfs.dc": "2", "free.dc": "0"}


def test_a_reset_of_the_pf_takes_no_label_but_that_of_the_free_vfs(files: NodeFiles) -> None:
    files.add_pf(PF, vfs=2)
    before = look(files)
    files.remove_vfs(PF)
    files.set_state(PF, "down")
    labels, former = (labels_of(model, has(), 0.0) for model in (look(files, before=before), before))
    assert {name for name in former if labels.get(name) != former[name]} == {"free.cy"}
    assert labels["free.cy"] == "0"


def test_a_driver_that_no_vf_has_is_in_no_label(files: NodeFiles) -> None:
    files.add_pf(PF, vfs=2)
    for vf in VFS[:2]:
        files.bind(vf, None)
    assert "driver.vfio-pci" not in labels_of(look(files), has(), 0.0)


def test_the_driver_of_a_vf_that_was_gone_before_the_start_is_in_no_label(files: NodeFiles) -> None:
    """A pod has it, by kubelet's checkpoint, and nobody knows its driver."""
    files.add_pf(PF, vfs=2)
    model = look(files)
    lost = Scan(2.0, model.snapshot, {}, given={"0000:99:00.1": frozenset({CY})})
    labels = labels_of(advance(model, lost, parse_configuration({"devices": [{}]})), has(), 0.0)
    assert [name for name in labels if name.startswith("driver.")] == ["driver.vfio-pci"]
    assert (labels["vfs.cy"], labels["free.cy"]) == ("3", "2")


def test_another_configuration_is_in_the_labels_at_once(files: NodeFiles) -> None:
    files.add_pf(PF, vfs=2)
    rules = parse_configuration({"devices": [{"state": "absent"}]})
    assert labels_of(with_rules(look(files), rules, 2.0), has(), 0.0) == dict.fromkeys(GEN4, "true")


@pytest.mark.parametrize("services", ["x y", "a=b", "quantum", "sym;quantum", "a" * 200, "\u202e"])
def test_what_a_kernel_says_is_in_no_name(files: NodeFiles, services: str) -> None:
    files.add_pf(PF, services=services, vfs=2)
    assert labels_of(look(files), has(), 0.0) == dict.fromkeys(GEN4, "true")


def test_what_kubelet_says_is_in_no_name(files: NodeFiles) -> None:
    files.add_pf(PF, vfs=2)
    evil = Given("a\nb=c", "p" * 1000, "c", "evil.example/x=y\nz", VFS[0])
    labels = labels_of(look(files), attributed(Attribution(), Named((evil,)), 1.0), 0.0)
    assert counts(labels) == {"vfs.cy": "2", "free.cy": "1"}


def test_kubernetes_takes_every_name_that_there_can_be() -> None:
    names = [f"{kind}.{resource}" for kind in ("vfs", "free") for resource in sorted(RESOURCE_NAMES)]
    names += [f"{kind}.vm-{resource}" for kind in ("vfs", "free") for resource in sorted(RESOURCE_NAMES)]
    names += [f"family.{family.name}" for family in FAMILIES] + [f"generation.{one.generation}" for one in FAMILIES]
    names += [f"service.{service}" for service in SERVICES] + [f"driver.{driver}" for driver in VFIO_DRIVERS]
    assert [name for name in names if not LABEL_NAME.fullmatch(name)] == []
    assert len(feature_file(dict.fromkeys(names, "64"), CLOCK)) < 65536  # NFD reads no larger file


# The file.


def test_the_file_is_what_nfd_documents() -> None:
    lines = feature_file({"vfs.cy": "16", "present": "true"}, CLOCK).decode().splitlines()
    assert lines[0].startswith("# What the QAT device plugin says")
    assert lines[1:] == [
        "# +expiry-time=2027-01-15T08:00:00Z",
        f"{NAMESPACE}/present=true",
        f"{NAMESPACE}/vfs.cy=16",
    ]


ONE, TWO = {"free.cy": "1"}, {"free.cy": "2"}
LAST = Written(ONE, 1000.0, CLOCK + LIFE_SECONDS)


@pytest.mark.parametrize(
    ("written", "labels", "passed", "step", "is_there", "due"),
    [
        (None, ONE, 0.0, 0.0, False, True),
        (LAST, ONE, 1.0, 0.0, True, False),
        (LAST, TWO, QUIET_SECONDS - 1, 0.0, True, False),
        (LAST, TWO, QUIET_SECONDS, 0.0, True, True),
        (LAST, ONE, QUIET_SECONDS, 0.0, False, True),
        (LAST, ONE, QUIET_SECONDS - 1, 0.0, False, False),
        (LAST, ONE, LIFE_SECONDS / 2 - 1, 0.0, True, False),
        (LAST, ONE, LIFE_SECONDS / 2, 0.0, True, True),
        # The clock was set.
        (LAST, ONE, 1.0, LIFE_SECONDS, True, True),
        (LAST, ONE, 1.0, -60.0, True, True),
        (LAST, ONE, 1.0, -1.5, True, False),
    ],
)
def test_when_the_file_is_written(
    written: Written | None, labels: dict[str, str], passed: float, step: float, is_there: bool, due: bool
) -> None:
    assert is_due(written, labels, 1000.0 + passed, CLOCK + passed + step, is_there) is due


def expires(path: Path) -> str:
    (found,) = re.findall(r"^# \+expiry-time=(.*)$", path.read_text(), re.MULTILINE)
    return str(found)


def test_pods_that_come_and_go_write_once_a_minute_at_most(tmp_path: Path) -> None:
    file, seen = FeatureFile(tmp_path), []
    for second, labels in zip(range(600), itertools.cycle([ONE, TWO])):
        file.keep(labels, second, CLOCK + second)
        seen.append((tmp_path / FILE).read_text())
    assert sum(one != two for one, two in zip(seen, seen[1:])) <= 10


def test_the_file_is_for_everybody_to_read_and_stands_as_a_whole(tmp_path: Path) -> None:
    """NFD's worker is not root. A draft begins with a dot, which it does not read."""
    mask = os.umask(0o077)
    try:
        assert FeatureFile(tmp_path).keep(ONE, 0.0, CLOCK)
    finally:
        os.umask(mask)
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [(FILE, 0o644)]
    assert expires(tmp_path / FILE) == "2027-01-15T09:00:00Z"


def test_the_file_is_written_by_calls_that_the_service_may_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its unit has systemd end it for a chown(2): SystemCallFilter=~@privileged. An old file of another owner changes nothing."""
    for name in ("chown", "fchown", "lchown", "setxattr"):
        monkeypatch.delattr(os, name)
    (tmp_path / FILE).write_text("old")
    subprocess.run(["chown", "1:1", tmp_path / FILE], check=False, capture_output=True)  # who is not root cannot
    assert FeatureFile(tmp_path).keep(ONE, 0.0, CLOCK)
    assert (tmp_path / FILE).stat().st_uid == os.geteuid()


def test_labels_end_a_while_after_the_plugin(tmp_path: Path) -> None:
    file = FeatureFile(tmp_path)
    file.leave(0.0, CLOCK)
    assert not file.is_written
    assert list(tmp_path.iterdir()) == []
    file.keep(ONE, 0.0, CLOCK)
    file.leave(10.0, CLOCK + 10)
    assert expires(tmp_path / FILE) == "2027-01-15T08:05:10Z"
    assert f"{NAMESPACE}/free.cy=1" in (tmp_path / FILE).read_text()


def test_what_somebody_else_makes_of_the_file_is_replaced(tmp_path: Path) -> None:
    file = FeatureFile(tmp_path)
    assert file.keep(ONE, 0.0, CLOCK)
    ours = (tmp_path / FILE).read_text()
    (tmp_path / FILE).unlink()
    assert not file.keep(ONE, 1.0, CLOCK + 1)
    assert list(tmp_path.iterdir()) == []
    assert not file.keep(ONE, QUIET_SECONDS, CLOCK)  # the labels are no others
    assert (tmp_path / FILE).read_text() == ours


# The task.


def status(model: Model, age: float = 0.0, attribution: Attribution | None = None) -> Status:
    return Status(model, age, {}, {}, attribution=attribution, attribution_age=0.0 if attribution else None)


def test_nothing_is_written_of_what_is_not_known(files: NodeFiles) -> None:
    model = look(files)
    assert is_known(status(model))
    assert is_known(status(model, attribution=attributed(Attribution(), Named(problem="not now"), 1.0)))
    assert not is_known(status(model, attribution=Attribution()))  # about to be asked
    late = status(model, age=GRACE_SECONDS + 1)
    assert is_known(late)  # as the period is
    assert not is_known(replace(late, is_stale=True))
    assert not is_known(status(Model()))


def labeler(directory: Path, model: Model, serves: t.Callable[[], bool] = lambda: True) -> Labeler:
    return Labeler(directory, 0.01, Statistics(), lambda: status(model), serves)


def followed(one: Labeler, condition: t.Callable[[], object]) -> None:
    """Have it at work until this is so, and then end."""

    async def whole() -> None:
        task = asyncio.ensure_future(one.run())
        while not condition():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        await one.end()

    asyncio.run(whole())


def test_who_does_not_serve_writes_nothing(files: NodeFiles, tmp_path: Path) -> None:
    """Not at the end either, where its successor has written the file by then."""
    asked = itertools.count()
    followed(labeler(tmp_path / "nfd", look(files), lambda: next(asked) > 1_000_000), lambda: next(asked) > 10)
    assert not (tmp_path / "nfd").exists()


def test_a_file_that_cannot_be_written_is_reported_once(
    files: NodeFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "nfd").write_text("in the way")
    one = labeler(tmp_path / "nfd", look(files))
    followed(one, lambda: one._statistics.errors["nfd"] > 2)
    said = [record for record in caplog.records if "cannot be written" in record.message]
    assert [record.fields["directory"] for record in said] == [tmp_path / "nfd"]  # type: ignore[attr-defined]


def test_a_lock_that_cannot_be_had_is_reported(
    files: NodeFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def serves() -> bool:
        raise NodeError("cannot be opened: no", where="/run/x")

    one = labeler(tmp_path / "nfd", look(files), serves)
    followed(one, lambda: one._statistics.errors["nfd"])
    assert caplog.records[0].fields["problem"] == "/run/x: cannot be opened: no"  # type: ignore[attr-defined]


def test_a_long_period_lets_no_file_end(files: NodeFiles, tmp_path: Path) -> None:
    one = Labeler(tmp_path, 3600.0, Statistics(), lambda: status(look(files)), lambda: True)
    assert one.period <= QUIET_SECONDS < LIFE_SECONDS / 2


# The service.


def labels_in(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name.replace(f"{NAMESPACE}/", ""): value for name, _, value in pairs}


async def until(plugin: Plugin, condition: t.Callable[[], object]) -> None:
    while not condition():
        assert plugin.process.poll() is None, plugin.log.read_text()
        await asyncio.sleep(0.01)


def test_the_file_has_what_pods_have_and_stays_over_the_end(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        kubelet = FakePodResources(bench.files.root)
        kubelet.pods["default", "web-0"] = {"app": {CY: [VFS[1]]}}
        await kubelet.start()
        bench.files.add_pf(PF, vfs=6)
        path = bench.files.root / "nfd" / FILE
        plugin = bench.start("--nfd")
        await until(plugin, lambda: labels_in(path))
        assert labels_in(path).items() >= {"present": "true", "vfs.cy": "6", "free.cy": "4"}.items()
        before = expires(path)
        plugin.stop()
        assert labels_in(path)["free.cy"] == "4"
        assert expires(path) < before
        await kubelet.stop()

    run(scenario)


def test_without_the_flag_there_is_no_file(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        bench.files.add_pf(PF, vfs=6)
        plugin = bench.start()
        await bench.ready(CY, 6)
        await plugin.goes_on()
        plugin.stop()
        assert not (bench.files.root / "nfd").exists()

    run(scenario)


def test_the_next_process_takes_the_file_over(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        bench.files.add_pf(PF, vfs=6)
        path = bench.files.root / "nfd" / FILE
        plugin = bench.start("--nfd", "--pod-labels=false")
        await until(plugin, lambda: labels_in(path))
        await bench.ready(CY, 6)
        first = path.stat().st_ino
        reload = plugin.reload()
        while reload.process.poll() is None or path.stat().st_ino == first:
            assert reload.process.poll() in (None, 0), reload.log.read_text()
            await asyncio.sleep(0.01)
        assert counts(labels_in(path)) == {"vfs.cy": "6"}

    run(scenario)
