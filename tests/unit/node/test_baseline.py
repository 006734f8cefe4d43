# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import json
import os
import stat
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.apply import converge
from ansible_collections.accel.qat.plugins.module_utils._node.devices.baseline import (
    Baseline,
    plan_restoration,
    read_record,
    remember,
    remove_configuration,
    remove_record,
    write_record,
)
from ansible_collections.accel.qat.plugins.module_utils._node.devices.desired import original_pf
from ansible_collections.accel.qat.plugins.module_utils._node.devices.plan import Plan
from ansible_collections.accel.qat.plugins.module_utils._node.devices.read import read_node
from ansible_collections.accel.qat.plugins.module_utils._node.devices.step import Action, Step
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError, RefusedError
from ansible_collections.accel.qat.plugins.module_utils._node.files import LARGEST
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf, vf
from ansible_collections.accel.qat.tests.unit.node.nodes import (
    GEN2,
    GEN4,
    OTHER,
    VF0,
    apply,
    described,
    lose_vf,
    plan_of,
)


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
    found = Baseline({GEN4: original_pf(node, GEN4), GEN2: original_pf(node, GEN2)}, vfio_pci_loaded=False)
    write_record(record, found)
    again = read_record(record)
    assert again.vfio_pci_loaded is False
    for address, desired in found.pfs.items():
        assert again.pfs[address].__dict__ == {**desired.__dict__, "where": record}
    write_record(record, again)
    assert read_record(record) == again
    assert [path.name for path in Path(record).parent.iterdir()] == ["found.json"]
    assert stat.S_IMODE(Path(record).stat().st_mode) == 0o600


def test_a_vf_that_is_missing_keeps_its_place_in_the_record(record: str) -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=3, vfs=[vf(None), vf(None), vf("vfio-pci")]))
    lose_vf(fake, GEN4, 1)
    write_record(record, Baseline({GEN4: original_pf(read_node(fake), GEN4)}))
    desired = read_record(record).pfs[GEN4]
    assert desired.vf_count == 3
    assert [desired.bindings[index].driver for index in range(3)] == [None, None, "vfio-pci"]


def test_no_record(record: str) -> None:
    assert read_record(record) == Baseline({})
    remove_record(record)


def test_remembers_a_pf_once(record: str) -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4), pf("4xxx", OTHER))
    node = read_node(fake)
    remember(record, plan_of(fake, {"select": {"index": 0}, "services": ["dc"]}), node)
    first = Path(record).read_text()
    assert set(read_record(record).pfs) == {GEN4}
    assert read_record(record).vfio_pci_loaded is False
    apply(fake, {"select": {"index": 0}, "services": ["dc"]})
    remember(record, plan_of(fake, {"select": {"index": 0}, "services": ["sym"]}), read_node(fake))
    assert Path(record).read_text() == first
    remember(record, plan_of(fake, {}), read_node(fake))
    assert read_record(record).pfs[GEN4].services == frozenset({"sym", "asym"})
    assert set(read_record(record).pfs) == {GEN4, OTHER}
    assert read_record(record).vfio_pci_loaded is False


def test_remembers_which_drivers_vfs_were_given(record: str) -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=vf()))
    for driver in ("pci-stub", "vfio-pci"):
        remember(record, plan_of(fake, {"driver": driver}), read_node(fake))
    assert read_record(record).assigned == {GEN4: {"pci-stub", "vfio-pci"}}


def document(**changes: t.Any) -> str:
    """A record of one PF with two VFs. A change replaces what stands at `devices__...`, `vf__...` or at the top."""
    vf_: dict[str, t.Any] = {"driver": None, "driver_override": None}
    entry: dict[str, t.Any] = {
        "ids": "8086:4940",
        "services": ["dc"],
        "state": "up",
        "driven": True,
        "drivers_autoprobe": True,
        "vfs": [dict(vf_), vf_],
        "drivers_given": ["vfio-pci"],
    }
    top: dict[str, t.Any] = {"format": 1, "vfio_pci_loaded": True, "devices": {GEN4: entry}}
    for name, value in changes.items():
        part, _dot, key = name.rpartition("__")
        place = {"": top, "pf": entry, "vf": vf_}[part]
        if value is ...:
            del place[key]
        else:
            place[key] = value
    return json.dumps(top)


def test_a_record_of_the_right_form(record: str) -> None:
    Path(record).parent.mkdir()
    Path(record).write_text(document())
    assert read_record(record).pfs[GEN4].services == frozenset({"dc"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("[]", "the document is not an object"),
        ("{}", "format is missing"),
        ("null", "the document is not an object"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"format": ' * 100_000, "it is nested too deeply"),
        (document(format=0), "format 0 is not known"),
        (document(format=True), "format is of another kind"),
        (document(format="1"), "format is of another kind"),
        (document(vfio_pci_loaded="no"), "vfio_pci_loaded is of another kind"),
        (document(devices=[]), "devices is of another kind"),
        (document(devices={GEN4: []}), f"devices.{GEN4} is not an object"),
        (document(devices={GEN4: {}}), f"devices.{GEN4}.services is missing"),
        (document(devices={"../../etc": {}}), "../../etc"),
        (document(pf__ids=["8086", "4940"]), f"devices.{GEN4}.ids is of another kind"),
        (document(pf__ids="8086:494"), f"devices.{GEN4}.ids is not vendor and device"),
        (document(pf__services="dc"), f"devices.{GEN4}.services is of another kind"),
        (document(pf__services=[1, 2]), f"devices.{GEN4}.services has something that does not belong there"),
        (document(pf__services=["sym;dc"]), f"devices.{GEN4}.services has something that does not belong there"),
        (document(pf__services=...), f"devices.{GEN4}.services is missing"),
        (document(pf__state=5), f"devices.{GEN4}.state is of another kind"),
        (document(pf__state="asleep"), f"devices.{GEN4}.state does not fit"),
        (document(pf__driven="no"), f"devices.{GEN4}.driven is of another kind"),
        (document(pf__driven=1), f"devices.{GEN4}.driven is of another kind"),
        (document(pf__drivers_autoprobe=0), f"devices.{GEN4}.drivers_autoprobe is of another kind"),
        (document(pf__vfs=None), f"devices.{GEN4}.vfs is of another kind"),
        (document(pf__vfs=[None]), f"devices.{GEN4}.vfs[0] is not an object"),
        (document(pf__drivers_given="vfio-pci"), f"devices.{GEN4}.drivers_given is of another kind"),
        (document(pf__drivers_given=[None]), f"devices.{GEN4}.drivers_given has something that does not belong there"),
        (document(vf__driver=3), f"devices.{GEN4}.vfs[1].driver is of another kind"),
        (document(vf__driver="../../../../tmp"), f"devices.{GEN4}.vfs[1].driver does not fit"),
        (document(vf__driver=".."), f"devices.{GEN4}.vfs[1].driver does not fit"),
        (document(vf__driver_override="pci-stub\n"), f"devices.{GEN4}.vfs[1].driver_override does not fit"),
        (document(vf__driver_override=...), f"devices.{GEN4}.vfs[1].driver_override is missing"),
        ('{"format": 1\xff', "can't decode"),
    ],
)
def test_a_record_that_cannot_be_understood(record: str, text: str, reason: str) -> None:
    Path(record).parent.mkdir()
    Path(record).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError) as caught:
        read_record(record)
    assert caught.value.where == record
    assert caught.value.problem.startswith("the record of what was found on this node cannot be read: ")
    assert reason in caught.value.problem
    assert caught.value.remedy.startswith("restore the file from a backup, or remove it")


def test_nobody_is_asked_to_remove_the_record_of_a_newer_release(record: str) -> None:
    Path(record).parent.mkdir()
    Path(record).write_text(document(format=2))
    with pytest.raises(ConfigurationError) as caught:
        read_record(record)
    assert str(caught.value) == (
        f"{record}: the record of what was found on this node cannot be read: format 2 is of a newer release than this one; "
        "use the release that wrote it, or a newer one; the file is still needed"
    )


class Says(FakeKernel):
    """A kernel of which files say something else than the model has for them. `texts` are by the end of the path."""

    texts: t.Mapping[str, str] = {}

    def read(self, path: str) -> str:
        return next((text for end, text in self.texts.items() if path.endswith(end)), "") or super().read(path)


@pytest.mark.parametrize(
    ("texts", "services", "state", "override"),
    [
        ({"/cfg_services": "sym;future"}, ["future", "sym"], "up", "vfio-pci"),
        ({"/cfg_services": "SYM"}, ["SYM"], "up", "vfio-pci"),
        ({"/cfg_services": ";"}, None, "up", "vfio-pci"),
        ({"/cfg_services": "sym; asym;"}, ["asym", "sym"], "up", "vfio-pci"),
        ({"/qat/state": "restarting"}, ["dc"], None, "vfio-pci"),
        ({"/driver_override": "none"}, ["dc"], "up", "none"),
        ({"/driver_override": "some/thing"}, ["dc"], "up", "some/thing"),
        ({"/driver_override": "two\twords"}, ["dc"], "up", "two\twords"),
        ({"/driver_override": ".."}, ["dc"], "up", ".."),
    ],
    ids=str,
)
def test_whatever_was_found_can_be_read_again(
    record: str, texts: t.Mapping[str, str], services: list[str] | None, state: str | None, override: str
) -> None:
    """Otherwise no run, and no teardown, could be made any more."""
    fake = Says.with_pfs(pf("4xxx", GEN4, total_vfs=1, services="dc", vfs=vf("vfio-pci")))
    assert isinstance(fake, Says)
    fake.texts = texts
    node = read_node(fake)
    # That a VF is made again gives it what it had, which then counts as given.
    plan = plan_of(fake, {"services": ["asym"], "when_in_use": "force"})
    step = Step(Action.OVERRIDE, VF0, "(none)", override, "as it was", GEN4)
    remember(record, Plan((*plan.steps, step)), node)
    again = read_record(record)
    found = again.pfs[GEN4]
    assert found.services == (None if services is None else frozenset(services))
    assert (found.state, found.bindings[0].override) == (state, override)
    assert override in again.assigned[GEN4]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EACCES, "run as root (become: true); the file is still needed"),
        (errno.EPERM, "run as root (become: true); the file is still needed"),
        (errno.EIO, "see that the path is right and its disk sound; the file is still needed"),
        (errno.ENOTDIR, "see that the path is right and its disk sound; the file is still needed"),
        (errno.EISDIR, "see that the path is right and its disk sound; the file is still needed"),
        (
            errno.EMFILE,
            "let this process, or this machine, have more open files (ulimit -n, fs.file-max), and try again; the file is still needed",
        ),
    ],
)
def test_nobody_is_asked_to_remove_a_record_that_cannot_be_seen(
    record: str, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str
) -> None:
    def refuse(path: str, *_others: t.Any, **_named: t.Any) -> t.NoReturn:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(NodeError) as caught:
        read_record(record)
    assert str(caught.value) == (
        f"{record}: the record of what was found on this node cannot be read: {os.strerror(code)}; {remedy}"
    )


def test_a_directory_in_the_place_of_the_record(record: str) -> None:
    Path(record).mkdir(parents=True)
    for act in (read_record, remove_record):
        with pytest.raises(NodeError) as caught:
            act(record)
        assert caught.value.where == record
        assert "Is a directory" in caught.value.problem


def test_a_record_that_is_too_large(record: str) -> None:
    Path(record).parent.mkdir()
    with open(record, "wb") as stream:
        stream.truncate(LARGEST + 1)
    with pytest.raises(ConfigurationError, match=r"cannot be read: it has more than [0-9]+ bytes; restore the file"):
        read_record(record)


def test_a_record_in_the_place_of_which_there_is_a_fifo(record: str) -> None:
    Path(record).parent.mkdir()
    os.mkfifo(record)
    with pytest.raises(NodeError, match=r"cannot be read: it is no regular file; see that the path is right"):
        read_record(record)


def test_a_power_cut_leaves_the_old_record(record: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(record, Baseline({}))
    before = Path(record).read_text()

    def cut(_source: str, _target: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", cut)
    node = read_node(kernel())
    with pytest.raises(KeyboardInterrupt):
        write_record(record, Baseline({GEN4: original_pf(node, GEN4)}))
    assert Path(record).read_text() == before
    assert [path.name for path in Path(record).parent.iterdir()] == ["found.json"]


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    record = str(tmp_path / "file/found.json")
    with pytest.raises(NodeError) as caught:
        write_record(record, Baseline({}))
    assert caught.value.where == record
    assert caught.value.problem.startswith("what was found on this node cannot be recorded: ")
    assert caught.value.remedy.endswith("in the record itself nothing was changed")


def test_removal_keeps_a_directory_with_other_files(record: str) -> None:
    write_record(record, Baseline({}))
    other = Path(record).with_name("kernel_arguments")
    other.write_text("iommu=pt\n")
    remove_record(record)
    assert [path.name for path in other.parent.iterdir()] == ["kernel_arguments"]
    other.unlink()
    write_record(record, Baseline({}))
    remove_record(record)
    assert not other.parent.exists()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EBUSY])
@pytest.mark.parametrize("call", ["unlink", "rmdir", "fsync"])
def test_a_record_that_cannot_be_removed(record: str, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    """Or whose removal is not on the disk: a power cut would bring it back."""
    write_record(record, Baseline({}))

    def refuse(path: t.Any) -> t.NoReturn:
        raise OSError(code, os.strerror(code), path if isinstance(path, str) else None)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(NodeError) as caught:
        remove_record(record)
    assert caught.value.where == (str(Path(record).parent) if call == "rmdir" else record)
    assert caught.value.problem == (f"the record of what was found on this node cannot be removed: {os.strerror(code)}")
    assert Path(record).exists() == (call == "unlink")


def test_a_removal_is_on_the_disk_when_it_is_reported(record: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of a run that was cut off before it could see to it."""
    write_record(record, Baseline({}))
    directory = Path(record).parent
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), directory.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    remove_record(record)
    assert synced == [(str(directory), True), (str(directory.parent), False)]
    synced.clear()
    directory.mkdir()
    remove_record(record)
    assert synced == [(str(directory), True), (str(directory.parent), False)]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EACCES, "run as root (become: true)"),
        (errno.EPERM, "run as root (become: true)"),
        (
            errno.EROFS,
            "mount that file system so that it can be written, or make the change in the image that it comes from",
        ),
        (errno.EIO, "remove it by hand, and try again"),
    ],
)
def test_a_configuration_that_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    path = tmp_path / "node.json"
    path.write_text("{}")

    def refuse(path: str) -> t.NoReturn:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(RefusedError) as caught:
        remove_configuration(str(path))
    assert str(caught.value) == f"{path}: the configuration cannot be removed: {os.strerror(code)}; {remedy}"


def found_on(fake: FakeKernel, *rules: dict[str, t.Any]) -> Baseline:
    return Baseline({}).with_pfs_of(plan_of(fake, *rules), read_node(fake))


def test_the_way_back() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1))
    found = found_on(fake, {"services": ["dc"]})
    apply(fake, {"services": ["dc"]})
    assert described(plan_restoration(found, read_node(fake)).steps) == [
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
    assert "unload_module vfio_pci: loaded -> not loaded" not in described(
        plan_restoration(found, read_node(fake)).steps
    )


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


@pytest.mark.parametrize("total", [0, 1])
def test_vfs_that_the_bios_has_no_room_for_any_more_are_left_out(total: int) -> None:
    """The rest of the node is not to stay as it is for them."""
    found = found_on(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=vf(None))), {"services": ["dc"]})
    now = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=total, services="dc"))
    plan = plan_restoration(found, read_node(now))
    assert f"services {GEN4}: dc -> sym;asym" in described(plan.steps)
    assert (f"vf_count {GEN4}: 0 -> 1" in described(plan.steps)) == bool(total)


def test_vfs_that_the_bios_has_room_for_only_now_come_too() -> None:
    """The driver makes all or none, so that fewer would never be reached."""
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=4, vfs=vf("vfio-pci")))
    found = found_on(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs=vf(None))), {"services": ["dc"]})
    apply(fake, {"state": "absent", "when_in_use": "force"})
    outcome = converge(fake, lambda: read_node(fake), lambda node: plan_restoration(found, node))
    assert f"vf_count {GEN4}: 0 -> 4" in described(outcome.steps)
    assert plan_restoration(found, read_node(fake)).steps == ()


def test_services_that_the_running_kernel_cannot_set_are_left_out() -> None:
    """It is older than the one of the time, and its driver has no qat/cfg_services."""
    found = found_on(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1, vfs="vfio-pci")), {"services": ["dc"]})
    node = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1)))
    older = replace(node, qat=tuple(replace(device, services=None, state=None) for device in node.qat))
    steps = described(plan_restoration(found, older).steps)
    assert f"vf_count {GEN4}: 0 -> 1" in steps
    assert not any(step.startswith("services") for step in steps)


def test_a_vfio_pci_that_another_module_needs_stays() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1))
    found = found_on(fake, {})
    apply(fake, {})
    node = read_node(fake)
    assert node.vfio_pci.module is not None
    needed = replace(node, vfio_pci=replace(node.vfio_pci, module=replace(node.vfio_pci.module, uses=1)))
    assert any(step.of_module for step in plan_restoration(found, node).steps)
    assert not any(step.of_module for step in plan_restoration(found, needed).steps)


def test_vfio_pci_goes_with_those_whose_vfs_are_taken() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1))
    found = found_on(fake, {})
    apply(fake, {})
    fake.open_vf(VF0, "qemu-kvm")
    assert any(step.of_module for step in plan_restoration(found, read_node(fake), "force").steps)


def test_a_pf_that_has_gone_is_left_out() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4))
    found = found_on(fake, {})
    assert plan_restoration(found, read_node(FakeKernel.with_pfs())).steps == ()


CARDS: dict[str, t.Any] = {
    "4xxx": {"total_vfs": 2},
    "401xx": {"total_vfs": 2, "device_id": 0x4942},
    "4xxx with VFs": {"total_vfs": 2, "services": "dc", "vfs": vf("vfio-pci")},
    "c6xx": {"total_vfs": 2},
    "c6xx with VFs": {"total_vfs": 2, "vfs": vf()},
    "dh895xcc": {"total_vfs": 4, "vfs": vf()},
}


def model_of(name: str) -> str:
    return name.partition(" ")[0]


OTHERS = [(then, now) for then in CARDS for now in CARDS if model_of(then) != model_of(now)]


def card(name: str) -> FakeKernel:
    family = model_of(name).replace("401xx", "4xxx")
    modules = ("qat_4xxx", "qat_c62x", "qat_dh895xcc", "vfio_pci")
    options = {"vfio_pci": ("disable_denylist=1",)}
    return FakeKernel.with_pfs(pf(family, GEN4, **CARDS[name]), loaded=modules, options=options)


def _may_be(then: str, now: str) -> bool:
    """What nothing but its ids distinguishes from the other card."""
    return {model_of(then), model_of(now)} == {"4xxx", "401xx"} or then == "c6xx"


@pytest.mark.parametrize(("then", "now"), OTHERS)
def test_another_card_at_the_address_has_no_history(record: str, then: str, now: str) -> None:
    """Teardown neither is refused for it, nor does anything to it; and nothing given to the former one is free to be taken."""
    former, present = card(then), card(now)
    remember(record, plan_of(former, {"driver": "pci-stub"}), read_node(former))
    node = read_node(present)
    found = read_record(record).on(node)
    assert (found.pfs, found.assigned) == ({}, {})
    assert plan_restoration(read_record(record), node).steps == ()


@pytest.mark.parametrize(("then", "now"), [*OTHERS, *((name, name) for name in CARDS)])
def test_a_record_without_ids(record: str, then: str, now: str) -> None:
    """It is of before the ids were noted. For the same card it still is the way back; what another cannot be is not tried on it."""
    former, present = card(then), card(now)
    remember(record, plan_of(former, {"driver": "pci-stub"}), read_node(former))
    former_record = json.loads(Path(record).read_text())
    for entry in former_record["devices"].values():
        del entry["ids"]
    Path(record).write_text(json.dumps(former_record))
    found = read_record(record)
    assert found.ids == {}
    plan = plan_restoration(found, read_node(present))
    assert not any(step.device.startswith("qat_") for step in plan.steps)
    assert (set(found.on(read_node(present)).pfs) == {GEN4}) == (then == now or _may_be(then, now))


@pytest.mark.parametrize("total", [0, 1, 4])
def test_a_record_without_ids_is_not_of_a_card_with_another_number_of_vfs(total: int) -> None:
    """All of them are made or none, so the state found could not be reached. With no number at all SR-IOV is off by now."""
    former = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=2, vfs="vfio-pci"))
    found = replace(found_on(former, {"services": ["dc"]}), ids={})
    assert set(found.on(read_node(former)).pfs) == {GEN4}
    assert found.on(read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=total)))).pfs == {}


def test_a_record_without_ids_of_a_single_vf_is_not_of_a_card_without_sriov() -> None:
    former = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1, vfs="vfio-pci"))
    found = replace(found_on(former, {"services": ["dc"]}), ids={})
    assert found.on(read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=0)))).pfs == {}


def test_a_new_card_is_recorded_in_the_place_of_the_former(record: str) -> None:
    former, present = card("c6xx with VFs"), card("4xxx")
    remember(record, plan_of(former, {"driver": "pci-stub"}), read_node(former))
    remember(record, plan_of(present, {}), read_node(present))
    found = read_record(record)
    assert found.ids == {GEN4: "8086:4940"}
    assert found.pfs[GEN4].services == frozenset({"sym", "asym"})
    assert found.assigned == {GEN4: {"vfio-pci"}}


def test_the_ids_of_a_record_without_them_are_noted(record: str) -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4))
    found = found_on(fake, {})
    write_record(record, Baseline(found.pfs, found.vfio_pci_loaded, found.assigned))
    remember(record, plan_of(fake, {"services": ["dc"]}), read_node(fake))
    assert read_record(record).ids == {GEN4: "8086:4940"}


@pytest.mark.parametrize("driver", ["vfio-pci", "pci-stub"])
@pytest.mark.parametrize(("is_bound", "has_override"), [(True, True), (True, False), (False, True)])
def test_a_pf_that_was_given_to_another_driver_by_hand_stays_there(
    driver: str, is_bound: bool, has_override: bool
) -> None:
    """Its VFs have gone with its own driver; the way back of all others is not to be refused for it."""
    fake = FakeKernel.with_pfs(*(pf("4xxx", address, total_vfs=1) for address in (GEN4, OTHER)))
    found = found_on(fake, {"services": ["dc"]})
    apply(fake, {"services": ["dc"]})
    node = read_node(fake)
    names: dict[str, t.Any] = {"driver": driver if is_bound else None, "override": driver if has_override else None}
    given = [
        replace(device, function=replace(device.function, **names)) if device.address == GEN4 else device
        for device in node.qat
    ]
    functions = {**node.functions, GEN4: given[0].function}
    plan = plan_restoration(found, replace(node, qat=tuple(given), functions=functions))
    assert {step.configured for step in plan.steps if not step.of_module} == {OTHER}


def test_a_pf_without_a_driver_gets_back_its_own_and_its_services() -> None:
    """They cannot be seen without it, which is no sign of a kernel that has none."""
    found = found_on(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1)), {"services": ["dc"]})
    bare = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, driver=None, total_vfs=1)))
    steps = described(plan_restoration(found, bare).steps)
    assert f"bind {GEN4}: (none) -> 4xxx" in steps
    assert f"services {GEN4}: (none) -> sym;asym" in steps


def test_an_override_that_has_had_no_effect_yet_is_no_other_driver() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1))
    found = found_on(fake, {"services": ["dc"]})
    apply(fake, {"services": ["dc"]})
    node = read_node(fake)
    given = tuple(replace(device, function=replace(device.function, override="vfio-pci")) for device in node.qat)
    assert f"services {GEN4}: dc -> sym;asym" in described(plan_restoration(found, replace(node, qat=given)).steps)


def test_vfs_whose_driver_this_kernel_does_not_have_are_freed() -> None:
    fake = FakeKernel.with_pfs(pf("c6xx", GEN2, total_vfs=1, vfs=vf("c6xxvf")))
    found = found_on(fake, {})
    apply(fake, {})
    node = read_node(fake)
    without = replace(node, drivers=node.drivers - {"c6xxvf"})
    assert any(step.action is Action.BIND for step in plan_restoration(found, without).steps)
    steps = plan_restoration(found, without, has_module=lambda name: name != "qat_c62xvf").steps
    assert not any(step.action is Action.BIND or step.device == "qat_c62xvf" for step in steps)
    assert any(step.action is Action.UNBIND and step.before == "vfio-pci" for step in steps)


def test_a_pf_whose_driver_this_kernel_does_not_have_is_left_out() -> None:
    found = found_on(FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1)), {"services": ["dc"]})
    bare = read_node(FakeKernel.with_pfs(pf("4xxx", GEN4, driver=None, total_vfs=1)))
    without = replace(bare, drivers=bare.drivers - {"4xxx"})
    assert plan_restoration(found, without, has_module=lambda _name: False).steps == ()


def test_a_vfio_pci_that_is_built_in_by_now_stays() -> None:
    fake = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1))
    found = found_on(fake, {})
    updated = FakeKernel.with_pfs(pf("4xxx", GEN4, total_vfs=1), builtin=("vfio_pci",))
    assert not found.vfio_pci_loaded
    apply(updated, {})
    assert read_node(updated).vfio_pci.module is not None
    assert not any(step.of_module for step in plan_restoration(found, read_node(updated)).steps)


def test_the_drivers_given_to_one_pf_are_not_those_of_another() -> None:
    """Each PF's VFs belong to whoever had them there."""
    fake = FakeKernel.with_pfs(*(pf("4xxx", address, total_vfs=1, vfs=vf()) for address in (GEN4, OTHER)))
    rules = ({"select": {"address": GEN4}, "driver": "pci-stub"}, {"driver": "vfio-pci"})
    assert found_on(fake, *rules).assigned == {GEN4: {"pci-stub"}, OTHER: {"vfio-pci"}}


def test_the_record_is_readable(record: str) -> None:
    found = {GEN4: original_pf(read_node(kernel()), GEN4)}
    given = {GEN4: frozenset({"vfio-pci", "pci-stub"})}
    write_record(record, Baseline(found, assigned=given, ids={GEN4: "8086:4940"}))
    document = json.loads(Path(record).read_text())
    assert document["devices"][GEN4] == {
        "ids": "8086:4940",
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
