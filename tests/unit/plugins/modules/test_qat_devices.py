# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._module import passed
from ansible_collections.accel.qat.plugins.module_utils._node import files
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import remove_record
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import Assignments
from ansible_collections.accel.qat.plugins.modules import qat_devices, qat_info, qat_restore
from ansible_collections.accel.qat.tests.fakes import pf, vf
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN4, OTHER, VF0
from ansible_collections.accel.qat.tests.unit.plugins.modules.run import Player

Play = t.Callable[[t.Any], Player]


def kernel(**others: t.Any) -> t.Any:
    return LiveFake.with_pfs(
        pf("4xxx", GEN4, total_vfs=2, services="sym;asym", **others),
        pf("c6xx", GEN2, total_vfs=1),
        loaded=("qat_4xxx", "qat_c62x", "vfio_pci"),
        options={"vfio_pci": ("disable_denylist=1",)},
    )


@pytest.mark.parametrize("same", [True, False], ids=["the same", "another"])
def test_python_is_named_without_a_version_where_it_can_be(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    usual, alternative, other = (tmp_path / name for name in ("python3", "alternative", "python3.6"))
    other.write_text("")
    alternative.symlink_to(Path(sys.executable).resolve() if same else other)
    usual.symlink_to(alternative)
    monkeypatch.setattr(qat_devices, "PYTHON", str(usual))
    done = play(kernel()).run(qat_devices, check=True, devices=[{}])
    assert done["python"] == (str(usual) if same else sys.executable)


def test_the_whole_job(play: Play) -> None:
    player = play(kernel())
    rules = [
        {"select": {"family": ["4xxx"]}, "services": ["dc"]},
        {"advertise": 0},
    ]
    done = player.change(qat_devices, devices=rules, record=player.record)
    assert [device["services"] for device in done["accel_qat"]["devices"]] == [["dc"], None]
    assert {vf_["driver"] for device in done["accel_qat"]["devices"] for vf_ in device["vfs"]} == {"vfio-pci"}
    assert done["module_options"] == {"vfio-pci": "disable_denylist=1"}
    assert done["unused_rules"] == []
    assert done["configuration"] == {
        "devices": [
            {
                "select": {"family": ["4xxx"]},
                "services": ["dc"],
                "driver": "vfio-pci",
                "state": "present",
                "when_in_use": "fail",
            },
            {"advertise": 0, "driver": "vfio-pci", "state": "present", "when_in_use": "fail"},
        ]
    }
    assert f"/sys/bus/pci/devices/{GEN4}/qat/cfg_services: sym;asym\n" in done["diff"]["before"]
    assert f"/sys/bus/pci/devices/{GEN4}/qat/cfg_services: dc\n" in done["diff"]["after"]
    assert player.kernel.locks == 2
    assert Path(player.record).exists()


def test_the_rules_are_stored_under_the_lock_when_the_devices_are_so(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player, path = play(kernel()), tmp_path / "etc/node.json"
    stored_with: list[object] = []

    def replace_file(place: str, content: bytes) -> None:
        stored_with.extend([place, player.kernel._is_locked, services_of(player)])
        files.replace_file(place, content)

    def services_of(player: Player) -> object:
        return player.kernel.read(f"/sys/bus/pci/devices/{GEN4}/qat/cfg_services")

    monkeypatch.setattr(qat_devices, "replace_file", replace_file)
    rules = [{"select": {"family": ["4xxx"]}, "services": ["dc"]}]
    done = player.change(qat_devices, devices=rules, record=player.record, configuration_file=str(path))
    assert stored_with == [str(path), True, "dc"]
    assert json.loads(path.read_text()) == done["configuration"]
    assert done["configuration_file"] == str(path)
    assert hashlib.sha1(path.read_bytes()).hexdigest() == done["configuration_checksum"]
    assert done["diff"][1] == {
        "before": "",
        "after": path.read_text(),
        "before_header": str(path),
        "after_header": str(path),
    }
    path.write_text("{}")
    only_the_file = player.change(qat_devices, devices=rules, record=player.record, configuration_file=str(path))
    assert (only_the_file["steps"], only_the_file["diff"][1]["before"]) == ([], "{}")


def test_rules_that_failed_are_not_stored(play: Play, tmp_path: Path) -> None:
    player, path = play(kernel()), tmp_path / "node.json"
    player.kernel.switch(GEN4, "fail_services", "5 -1")
    failed = player.run(
        qat_devices, devices=[{"services": ["dc"], "select": {"index": [0]}}], configuration_file=str(path)
    )
    assert failed["failed"]
    assert not path.exists()


def test_a_vf_that_failed_does_not_leave_the_others_with_rules_of_the_past(play: Play, tmp_path: Path) -> None:
    player, path = play(kernel()), tmp_path / "node.json"
    player.kernel.switch(GEN4, "refuse_vfio", "0x1")
    rules = [{"services": ["dc"], "select": {"index": [0]}}]
    failed = player.run(qat_devices, devices=rules, configuration_file=str(path), record=player.record)
    assert failed["failed"]
    assert "the other VFs are as wanted" in failed["msg"]
    assert json.loads(path.read_text())["devices"][0]["services"] == ["dc"]


def test_warns_where_the_node_is_mounted_and_kubelets_directory_is_not_said(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "ansible_collections.accel.qat.plugins.module_utils._module.KUBELET_ROOTS", (str(tmp_path / "none"),)
    )
    result = play(kernel()).run(
        qat_devices, devices=[{}], check=True, sysfs_root="/host/sys", kubelet_root=str(tmp_path)
    )
    assert "warnings" not in result
    warned = play(kernel()).run(qat_devices, devices=[{}], check=True, sysfs_root="/host/sys")["warnings"]
    assert "It is not known which pods have VFs: sysfs_root is /host/sys, and kubelet_root does not say" in str(warned)


def test_what_becomes_of_a_node_where_one_pf_failed_is_reported(play: Play, tmp_path: Path) -> None:
    player, path = play(kernel()), tmp_path / "node.json"
    path.write_text('{"devices": []}')
    player.kernel.switch(GEN2, "fail_enable_vfs", "14 -1")
    failed = player.run(qat_devices, devices=[{}], configuration_file=str(path), record=player.record)
    assert {step["device"] for step in failed["failure"]["stands"]} >= {GEN4}
    assert failed["msg"].endswith(
        f"{path} still has the former rules, to which the node returns at the next reset of a PF or boot"
    )
    assert json.loads(path.read_text()) == {"devices": []}


def test_rules_in_the_place_of_which_there_is_a_fifo(play: Play, tmp_path: Path) -> None:
    player = play(kernel())
    path = tmp_path / "node.json"
    os.mkfifo(path)
    failed = player.run(qat_devices, devices=[{"vfs": 0}], configuration_file=str(path), record=player.record)
    assert failed["msg"].startswith(f"{path}: the configuration cannot be read: it is no regular file; ")


@pytest.mark.parametrize("done", ["read", "written"])
def test_rules_that_cannot_be_stored(play: Play, tmp_path: Path, done: str) -> None:
    player = play(kernel())
    (tmp_path / "file").write_text("")
    path = tmp_path if done == "read" else tmp_path / "new/node.json"
    if done == "written":
        (tmp_path / "new").symlink_to("/proc/self")
    failed = player.run(qat_devices, devices=[{"vfs": 0}], configuration_file=str(path), record=player.record)
    assert failed["msg"].startswith(f"{path}: the configuration cannot be {done}: ")
    assert failed["msg"].endswith("; see what is there, or name another file")


def test_and_back(play: Play) -> None:
    player = play(kernel())
    before = player.run(qat_info)["accel_qat"]["devices"]
    player.change(qat_devices, devices=[{"select": {"index": [0]}, "services": ["dc"]}], record=player.record)
    back = player.change(qat_restore, record=player.record)
    assert not Path(player.record).parent.exists()
    assert back["accel_qat"]["devices"] == before


def test_the_record_alone_is_a_change(play: Play) -> None:
    """Somebody else has put the devices back."""
    player = play(kernel())
    player.run(qat_devices, devices=[{"select": {"index": [0]}, "vfs": 0, "services": ["dc"]}], record=player.record)
    player.kernel.locks = 0
    for path, value in (("state", "down"), ("cfg_services", "sym;asym"), ("state", "up")):
        player.kernel.write(f"/sys/bus/pci/devices/{GEN4}/qat/{path}", value, 1.0)
    restored = player.run(qat_restore, record=player.record)
    assert (restored["changed"], restored["steps"]) == (True, [])
    assert not player.run(qat_restore, record=player.record)["changed"]


def test_restoration_that_leaves_somebody_keeps_the_record(play: Play) -> None:
    player = play(kernel())
    player.run(qat_devices, devices=[{"select": {"index": [0]}}], record=player.record)
    player.kernel.open_vf(VF0, "qemu-kvm")
    assert player.fail(qat_restore, record=player.record)["failure"]["kind"] == "refused"
    skipped = player.run(qat_restore, record=player.record, when_in_use="skip")
    assert (skipped["changed"], [one["device"] for one in skipped["skipped_devices"]]) == (False, [GEN4])
    assert Path(player.record).exists()


def test_restoration_of_what_was_recorded_while_it_waited(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    player = play(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=2), pf("4xxx", OTHER, total_vfs=2)))
    before = player.run(qat_info)["accel_qat"]["devices"]
    player.run(qat_devices, devices=[{"select": {"index": [0]}}], record=player.record)
    locked = player.kernel.locked

    def after_another(seconds: float) -> t.ContextManager[None]:
        monkeypatch.setattr(player.kernel, "locked", locked)
        player.run(qat_devices, devices=[{}], record=player.record)
        return locked(seconds)

    monkeypatch.setattr(player.kernel, "locked", after_another)
    restored = player.run(qat_restore, record=player.record)
    assert restored["accel_qat"]["devices"] == before
    assert not Path(player.record).exists()


def test_the_record_goes_under_the_lock(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    player = play(kernel())
    player.run(qat_devices, devices=[{"select": {"index": [0]}}], record=player.record)
    removed: list[bool] = []

    def remove(path: str) -> None:
        removed.append(player.kernel._is_locked)
        remove_record(path)

    monkeypatch.setattr(qat_restore, "remove_record", remove)
    assert player.run(qat_restore, record=player.record)["changed"]
    assert removed == [True]


def test_a_record_that_cannot_be_removed_is_reported_with_what_was_put_back(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = play(kernel())
    player.run(qat_devices, devices=[{"select": {"index": [0]}}], record=player.record)

    def refuse(path: str) -> None:
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr("os.unlink", refuse)
    failed = player.run(qat_restore, record=player.record)
    assert failed["msg"].startswith(
        f"{player.record}: the record of what was found on this node cannot be removed: Input/output error; "
    )
    assert (failed["changed"], failed["failure"]["kind"]) == (True, "apply")
    assert {step["device"] for step in failed["failure"]["stands"]} >= {GEN4}


def _no_space(place: str, _content: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", place)


def test_rules_that_cannot_be_stored_after_the_devices_were_changed(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The result says so, and what the former rules will do."""
    player, path = play(kernel()), tmp_path / "node.json"
    path.write_text('{"devices": []}')
    monkeypatch.setattr(qat_devices, "replace_file", _no_space)
    rules = [{"select": {"index": [0]}, "services": ["dc"]}]
    failed = player.run(qat_devices, devices=rules, configuration_file=str(path), record=player.record)
    assert (failed["changed"], failed["failure"]["kind"]) == (True, "apply")
    assert {step["device"] for step in failed["failure"]["stands"]} >= {GEN4}
    assert failed["msg"].startswith(f"{path}: the configuration cannot be written: No space left on device; ")
    assert f"{path} still has the former rules" in failed["msg"]


def test_rules_that_cannot_be_stored_when_a_vf_failed_too(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    player, path = play(kernel()), tmp_path / "node.json"
    path.write_text('{"devices": []}')
    player.kernel.switch(GEN4, "refuse_vfio", "0x1")
    monkeypatch.setattr(qat_devices, "replace_file", _no_space)
    rules = [{"select": {"index": [0]}}]
    failed = player.run(qat_devices, devices=rules, configuration_file=str(path), record=player.record)
    for words in ("the other VFs are as wanted", "No space left on device", f"{path} still has the former rules"):
        assert words in failed["msg"]


def test_a_refusal_after_the_first_writes_is_a_change(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "node.json"
    path.write_text('{"devices": []}')
    player = play(
        LiveFake.with_pfs(
            *(pf("c6xx", address, total_vfs=2, autoprobe=False, vfs="vfio-pci") for address in (GEN2, "0000:80:00.0")),
            loaded=("qat_c62x", "vfio_pci"),
            options={"vfio_pci": ("disable_denylist=1",)},
        )
    )
    write, opened = player.kernel.write, ["0000:80:01.0"]

    def write_and_open(file: str, value: str, seconds: float) -> None:
        write(file, value, seconds)
        if file.endswith("/bind") and opened:
            player.kernel.open_vf(opened.pop(), "qemu-kvm")

    monkeypatch.setattr(player.kernel, "write", write_and_open)
    failed = player.run(qat_devices, devices=[{"state": "absent"}], configuration_file=str(path), record=player.record)
    assert "qemu-kvm (pid 4001) has 0000:80:01.0 open" in failed["msg"]
    assert (failed["changed"], failed["failure"]["kind"]) == (True, "apply")
    assert [one["kind"] for one in failed["failure"]["failed_at"]] == ["refused"]
    assert {step["device"] for step in failed["failure"]["stands"]} == {GEN2}
    assert f"what was written to {GEN2} before stays" in failed["msg"]
    assert f"{path} still has the former rules" in failed["msg"]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_restoration_removes_the_rules_under_the_lock(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_recorded: bool
) -> None:
    """Before the first write, when nothing speaks against it."""
    player, path = play(kernel()), tmp_path / "node.json"
    if is_recorded:
        player.run(
            qat_devices, devices=[{"select": {"index": [0]}}], record=player.record, configuration_file=str(path)
        )
    else:
        path.write_text('{"devices": []}')
    options: dict[str, t.Any] = {"record": player.record, "configuration_file": str(path)}
    assert player.run(qat_restore, check=True, **options)["changed"]
    assert path.exists()
    write, removed = player.kernel.write, []

    def looks(file: str, value: str, seconds: float) -> None:
        removed.append(not path.exists())
        write(file, value, seconds)

    monkeypatch.setattr(player.kernel, "write", looks)
    assert player.run(qat_restore, **options)["changed"]
    assert not path.exists()
    assert set(removed) == ({True} if is_recorded else set())
    for check in (True, False):
        assert not player.run(qat_restore, check=check, **options)["changed"]


@pytest.mark.parametrize("why", ["the lock", "a user"])
def test_restoration_that_is_refused_removes_nothing(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, why: str
) -> None:
    player, path = play(kernel()), tmp_path / "node.json"
    options: dict[str, t.Any] = {"record": player.record, "configuration_file": str(path)}
    player.run(qat_devices, devices=[{"select": {"index": [0]}}], **options)
    if why == "a user":
        player.kernel.open_vf(VF0, "qemu-kvm")
    else:

        def locked(_seconds: float) -> t.NoReturn:
            raise RefusedError("another change of this node's devices has been running for 120 seconds")

        monkeypatch.setattr(player.kernel, "locked", locked)
    failed = player.run(qat_restore, **options)
    assert (failed["failure"]["kind"], failed["changed"]) == ("refused", False)
    assert path.exists()
    assert Path(player.record).exists()


def test_rules_that_cannot_be_removed_keep_the_devices_as_they_are(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    player, path = play(kernel()), tmp_path / "node.json"
    options: dict[str, t.Any] = {"record": player.record, "configuration_file": str(path)}
    player.run(qat_devices, devices=[{"select": {"index": [0]}}], **options)
    writes = list(player.kernel.writes)

    def refuse(file: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", file)

    monkeypatch.setattr("os.unlink", refuse)
    failed = player.run(qat_restore, **options)
    assert failed["msg"] == (
        f"{path}: the configuration cannot be removed: Read-only file system; mount that file system so that it can be"
        " written, or make the change in the image that it comes from"
    )
    assert player.kernel.writes == writes


def test_rules_that_no_pf_uses_are_named(play: Play) -> None:
    done = play(kernel()).run(qat_devices, check=True, devices=[{"select": {"numa_node": [3]}}, {"state": "absent"}])
    assert done["unused_rules"] == ["devices[0]"]


@pytest.mark.parametrize(
    ("rule", "where", "message"),
    [
        ({"select": {"address": ["6b.0"]}}, "devices[0].select.address[0]", "'6b.0' is malformed"),
        ({"services": ["dc", "dc"]}, "devices[0].services[1]", "'dc' is given twice"),
        ({"vfs": -1}, "devices[0].vfs", "-1 is too small"),
        ({"state": "absent", "vfs": 2}, "devices[0].vfs", "2 VFs contradict state absent"),
        ({"vfs": 1}, "devices[0].vfs", f"{GEN4} cannot have 1 VFs"),
        ({"services": ["dc"]}, "devices[0].services", f"{GEN2} is a c6xx device, whose services cannot be set"),
        ({"select": {"address": ["0000:ff:00.0"]}}, "devices[0].select.address", "is not a QAT device of this node"),
    ],
)
def test_wrong_configurations(play: Play, rule: dict[str, t.Any], where: str, message: str) -> None:
    failed = play(kernel()).fail(qat_devices, devices=[rule])
    assert failed["failure"]["kind"] == "configuration"
    assert failed["failure"]["where"] == where
    assert message in failed["failure"]["problem"]
    assert failed["msg"] == f"{where}: {failed['failure']['problem']}; {failed['failure']['remedy']}"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"services": ["rsa"]}, "value of services must be one or more of: sym, asym, dc, dcc, decomp"),
        ({"state": "gone"}, "value of state must be one of: present, absent"),
        ({"service": ["dc"]}, "Unsupported parameters"),
    ],
)
def test_what_ansible_itself_refuses(play: Play, rule: dict[str, t.Any], message: str) -> None:
    player = play(kernel())
    player.kernel.closed = True  # it is never made
    assert message in player.run(qat_devices, devices=[rule])["msg"]


def test_a_vf_in_use(play: Play) -> None:
    user = vf("vfio-pci", held_by="qemu-kvm")
    failed = play(kernel(vfs=[user, vf("vfio-pci")])).fail(
        qat_devices, devices=[{"select": {"index": [0]}, "services": ["dc"]}]
    )
    assert failed["failure"]["kind"] == "refused"
    assert f"qemu-kvm (pid 4001) has {VF0} open" in failed["msg"]


def test_a_failure_on_the_way(play: Play) -> None:
    player = play(kernel())
    player.kernel.switch(GEN4, "fail_services", str(errno.EIO))
    failed = player.run(qat_devices, devices=[{"select": {"index": [0]}, "services": ["dc"]}], record=player.record)
    assert failed["failed"]
    assert failed["failure"]["kind"] == "apply"
    assert [one["step"]["action"] for one in failed["failure"]["failed_at"]] == ["services"]
    assert [step["action"] for step in failed["failure"]["rolled_back"]] == ["state"]
    assert failed["failure"]["stands"] == []
    assert failed["changed"] is False
    assert failed["msg"].endswith(f"{GEN4} was put back as it was found")


def test_a_failure_that_leaves_something_is_a_change(play: Play) -> None:
    player = play(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=2), pf("4xxx", OTHER, total_vfs=2)))
    player.kernel.switch(OTHER, "kernel_users", "1")
    failed = player.run(qat_devices, devices=[{"services": ["sym"]}], record=player.record)
    assert (failed["failed"], failed["changed"]) == (True, True)
    assert {step["device"] for step in failed["failure"]["stands"]} >= {GEN4}


def test_a_record_that_cannot_be_written_stops_everything(play: Play, tmp_path: Path) -> None:
    player = play(kernel())
    (tmp_path / "file").write_text("")
    failed = player.run(qat_devices, devices=[{"select": {"index": [0]}}], record=str(tmp_path / "file/found.json"))
    assert failed["failed"]
    assert player.kernel.writes == []


def test_roots_and_time_limit(play: Play) -> None:
    player = play(kernel())
    player.kernel.block_writes("*/qat/state")
    failed = player.run(
        qat_devices,
        devices=[{"select": {"index": [0]}, "services": ["dc"]}],
        record=player.record,
        time_limit=7,
        sysfs_root="/host/sys",
        proc_root="/host/proc",
    )
    assert [asked[:3] for asked in player.roots] == [("/host/sys", "/host/proc", "/dev")]
    assert "has not returned after 7 seconds" in failed["msg"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 3601])
def test_what_is_no_time_limit(play: Play, seconds: float, check: bool) -> None:
    player = play(kernel())
    failed = player.run(qat_devices, check=check, devices=[{}], record=player.record, time_limit=seconds)
    assert failed["msg"] == f"time_limit: {seconds:g} seconds are no time limit; use 0.1 to 3600"
    assert (failed["failure"]["kind"], player.kernel.writes) == ("configuration", [])


def test_a_check_before_the_reboot_that_switches_the_iommu_on(play: Play) -> None:
    player = play(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=2), iommu=False))
    options: dict[str, t.Any] = {"devices": [{}], "record": player.record}
    planned = player.run(qat_devices, check=True, assume_iommu=True, **options)
    assert f"/sys/bus/pci/devices/{VF0}/driver: vfio-pci\n" in planned["diff"]["after"]
    assert planned["accel_qat"]["iommu"] is False
    for failed in (player.run(qat_devices, assume_iommu=True, **options), player.fail(qat_devices, **options)):
        assert "the IOMMU is off" in failed["msg"]
    assert player.kernel.writes == []


POD = Holder(0, "", "main", "default/web")


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
@pytest.mark.parametrize(
    ("pods", "drained", "in_the_way"),
    [
        ((POD,), ["default/web"], ""),
        ((POD,), ["default/other"], "pod default/web (container main)"),
        ((POD, Holder(0, "", "main", "default/other")), ["default/web"], "pod default/other (container main)"),
        ((), ["default/web"], "qemu-kvm (pid "),
    ],
    ids=["with its process", "another", "another besides", "a process of no pod"],
)
def test_a_check_before_pods_are_evicted(
    play: Play, pods: tuple[Holder, ...], drained: list[str], in_the_way: str, seen: bool
) -> None:
    kernel = LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=1, vfs=vf("vfio-pci", held_by="qemu-kvm")))
    if not seen:
        kernel.hide(*kernel.machine.vfio.processes)
        in_the_way = in_the_way.replace("qemu-kvm (pid ", "a process that cannot be seen (look for ")
    kernel.assignments = Assignments({VF0: pods})
    player = play(kernel)
    options: dict[str, t.Any] = {"devices": [{"services": ["dc"]}], "record": player.record}
    checked = player.run(qat_devices, check=True, assume_drained=drained, **options)
    if in_the_way:
        assert f"devices[0]: {in_the_way}" in checked["msg"]
    else:
        assert checked["steps"][0]["disrupts"] == [VF0]
        assert len(checked["accel_qat"]["devices"][0]["vfs"][0]["held_by"]) == 2
    # They are still there.
    assert "devices[0]: " in player.run(qat_devices, assume_drained=drained, **options)["msg"]
    assert kernel.writes == []


def test_leaves_out_what_was_not_given() -> None:
    assert passed({"a": None, "b": [{"c": None, "d": 0}], "e": False}) == {"b": [{"d": 0}], "e": False}
