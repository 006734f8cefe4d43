# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.cli import qatctl
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import SCHEMA
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError
from ansible_collections.accel.qat.tests.fakes import pf, vf
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake, put_in_place
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4, OTHER, VF0

DC = {"devices": [{"services": ["dc"]}]}


class Shell:
    """Runs qatctl on a fake node, as a person at a shell would."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]) -> None:
        self.config = directory / "etc/node.json"
        self.record = directory / "lib/found.json"
        self.config.parent.mkdir()
        self._patch = monkeypatch
        self._output = output
        self.use(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=2)))

    def use(self, kernel: t.Any) -> None:
        assert isinstance(kernel, LiveFake)
        self.kernel = kernel
        self.roots = put_in_place(self._patch, qatctl, kernel)

    def configure(self, document: t.Any) -> None:
        self.config.write_text(document if isinstance(document, str) else json.dumps(document))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = qatctl.main([*arguments, "--config", str(self.config), "--record", str(self.record)])
        shown = self._output.readouterr()
        assert self.kernel.closed
        return code, shown.out, shown.err

    def json(self, command: str) -> t.Any:
        code, out, _err = self.run(command, "--json")
        assert code in (0, qatctl.EXIT_DIFFERS)
        return json.loads(out)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


# Commands.


def test_show(shell: Shell) -> None:
    code, out, err = shell.run("show")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split() == [GEN4, "4xxx", "up", "sym;asym", "0/2", "-", "-", "-", "-"]
    assert shell.json("show")["devices"][0]["rule"] is None
    shell.configure(DC)
    assert shell.json("show")["devices"][0]["rule"] == "devices[0]"
    assert shell.kernel.writes == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_that_the_locale_cannot_say(shell: Shell, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    shell.use(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=1, vfs=[vf("vfio-pci", held_by="\u5e93")])))
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert qatctl.main(["show", "--config", str(shell.config), "--record", str(shell.record)]) == 0
    assert b"\\u5e93" in written.getvalue()


def test_plan_writes_nothing(shell: Shell) -> None:
    shell.configure(DC)
    code, out, err = shell.run("plan")
    assert (code, err) == (0, "")
    assert [line.split(".")[0].strip() for line in out.splitlines()] == [str(number) for number in range(1, 10)]
    assert (shell.kernel.writes, shell.record.exists()) == ([], False)
    document = shell.json("plan")
    assert (document["changed"], len(document["steps"]), document["skipped"]) == (True, 9, [])


def test_apply(shell: Shell) -> None:
    shell.configure(DC)
    announced = shell.json("plan")["steps"]
    code, out, err = shell.run("apply")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].split() == [GEN4, "4xxx", "up", "dc", "2/2", "vfio-pci", "-", "1-2", "-"]
    assert len(out.splitlines()) == len(announced) + 2
    assert shell.record.exists()
    assert shell.kernel.locks == 1
    again = shell.json("apply")
    assert (again["changed"], again["steps"]) == (False, [])
    assert again["node"]["devices"][0]["vfs_count"] == 2
    assert shell.run("apply")[1].startswith("Nothing to do: the node is as configured.\n")


def test_apply_reads_the_configuration_that_the_last_one_left(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repair that waits for the lock must not bring back what was configured when it began to wait."""
    shell.configure(DC)
    locked = shell.kernel.locked

    def after_another(seconds: float) -> t.ContextManager[None]:
        shell.configure({"devices": [{"services": ["sym"]}]})
        return locked(seconds)

    monkeypatch.setattr(shell.kernel, "locked", after_another)
    assert shell.json("apply")["node"]["devices"][0]["services"] == ["sym"]


def test_apply_until_nothing_is_left_to_do(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.configure(DC)
    undone = [VF0]

    def settle(_seconds: float) -> None:
        for address in undone:
            shell.kernel.machine.bus.functions[address].override = None
        undone.clear()

    monkeypatch.setattr(shell.kernel, "settle", settle)
    code, out, err = shell.run("apply", "--settle")
    assert (code, err) == (0, "")
    assert out.count(f"{VF0}/driver_override") == 2
    assert shell.kernel.machine.bus.functions[VF0].override == "vfio-pci"
    assert shell.run("status")[0] == 0


def test_apply_waits_for_udev_when_it_fails_too(shell: Shell) -> None:
    shell.configure(DC)
    shell.kernel.switch(GEN4, "fail_services", "5 -1")
    assert shell.run("apply", "--settle")[0] == 1
    assert (shell.kernel.settled, shell.kernel.locks) == (2, 2)
    assert shell.run("apply")[0] == 1
    assert shell.kernel.settled == 2


def test_what_fails_is_tried_once_more_after_the_events(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of a PF whose reset ends meanwhile start no second run of the unit."""
    shell.use(LiveFake.with_pfs(*(pf("4xxx", address, total_vfs=2) for address in (GEN4, OTHER))))
    shell.configure({"devices": [{"services": ["sym"]}]})
    shell.kernel.switch(OTHER, "fail_services", "5 -1")
    monkeypatch.setattr(shell.kernel, "settle", lambda _seconds: shell.kernel.switch(OTHER, "fail_services", "0 0"))
    code, out, err = shell.run("apply", "--settle")
    assert (code, err) == (0, "")
    assert [out.count(f"{address}/sriov_numvfs: ") for address in (GEN4, OTHER)] == [1, 1]
    assert shell.run("status")[0] == 0


@pytest.mark.parametrize(
    ("rules", "fault", "said"),
    [
        ([{}], lambda kernel: kernel.switch(GEN4, "fail_enable_vfs", "14 -1"), f"{GEN4}"),
        (
            [{"select": {"address": [GEN4]}}, {}],
            lambda kernel: kernel.switch(GEN4, "present", "0"),
            "is not a QAT device of this node",
        ),
        ([{"services": ["dc"]}], lambda kernel: kernel.open_vf(VF0), "would take it away"),
    ],
    ids=["a PF fails", "a PF is not there", "a VF is in use"],
)
def test_at_boot_one_pf_does_not_keep_the_others(
    shell: Shell, rules: list[t.Any], fault: t.Callable[[LiveFake], object], said: str
) -> None:
    """Whatever stands first: the other PF comes to its configuration, and the unit fails all the same."""
    held = vf("vfio-pci") if said.startswith("would") else None
    shell.use(
        LiveFake.with_pfs(
            pf("4xxx", GEN4, total_vfs=2, vfs=[held, vf("vfio-pci")] if held else (), autoprobe=held is None),
            pf("4xxx", OTHER, total_vfs=2, services="sym"),
        )
    )
    fault(shell.kernel)
    shell.configure({"devices": rules})
    code, _out, err = shell.run("apply")
    assert code != 0
    code, out, err = shell.run("apply", "--settle")
    assert (code, out) == (1 if "is not" not in said else 2, "")
    assert said in err
    assert err.count("qatctl: ") == 1
    (other,) = (device for device in shell.json("show")["devices"] if device["address"] == OTHER)
    assert [vf_["driver"] for vf_ in other["vfs"]] == ["vfio-pci", "vfio-pci"]


@pytest.mark.parametrize("second", [5, 14], ids=["for another reason", "for the same reason"])
def test_every_pf_that_fails_is_reported(shell: Shell, second: int) -> None:
    shell.use(LiveFake.with_pfs(*(pf("4xxx", address, total_vfs=2) for address in (GEN4, OTHER))))
    for address, code in ((GEN4, 14), (OTHER, second)):
        shell.kernel.switch(address, "fail_enable_vfs", f"{code} -1")
    shell.configure({"devices": [{}]})
    code, _out, err = shell.run("apply", "--settle")
    assert code == 1
    assert [line.split()[1].split("/")[-2] for line in err.splitlines()] == [OTHER, GEN4]


def test_status(shell: Shell) -> None:
    shell.configure(DC)
    code, out, _err = shell.run("status")
    assert code == 3
    assert "cfg_services: sym;asym -> dc" in out
    shell.run("apply")
    assert shell.run("status") == (0, "The node is as configured.\n", "")
    shell.kernel.machine.bus.functions[VF0].override = None
    assert shell.run("status")[0] == 3
    assert [step["device"] for step in shell.json("status")["steps"]] == [VF0]


def test_teardown(shell: Shell) -> None:
    before = shell.json("show")["devices"]
    shell.configure(DC)
    shell.run("apply")
    code, _out, err = shell.run("teardown")
    assert (code, err) == (0, "")
    assert shell.json("show")["devices"] == before
    assert not shell.config.exists()
    assert not shell.record.parent.exists()
    assert shell.run("teardown") == (0, "Nothing was recorded on this node, so there is nothing to put back.\n", "")


def test_teardown_puts_back_what_was_recorded_while_it_waited(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.use(LiveFake.with_pfs(*(pf("4xxx", address, total_vfs=2) for address in (GEN4, OTHER))))
    before = shell.json("show")["devices"]
    shell.configure({"devices": [{"select": {"address": GEN4}}]})
    shell.run("apply")
    shell.configure({"devices": [{}]})
    locked, others = shell.kernel.locked, ["another run"]

    def after_another(seconds: float) -> t.ContextManager[None]:
        if others.pop() and not others:
            monkeypatch.setattr(shell.kernel, "locked", locked)
            assert shell.run("apply")[0] == 0
        return locked(seconds)

    monkeypatch.setattr(shell.kernel, "locked", after_another)
    assert shell.run("teardown")[0] == 0
    assert shell.json("show")["devices"] == before
    assert not shell.config.exists()
    assert not shell.record.exists()


@pytest.mark.parametrize("is_recorded", [True, False])
def test_teardown_without_the_lock_removes_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, is_recorded: bool
) -> None:
    shell.configure(DC)
    if is_recorded:
        shell.run("apply")

    def locked(_seconds: float) -> t.NoReturn:
        raise RefusedError("another change of this node's devices has been running for 120 seconds")

    monkeypatch.setattr(shell.kernel, "locked", locked)
    writes = list(shell.kernel.writes)
    code, out, err = shell.run("teardown")
    assert (code, out) == (1, "")
    assert "another change" in err
    assert shell.config.exists()
    assert shell.record.exists() == is_recorded
    assert shell.kernel.writes == writes


def test_teardown_without_a_record_removes_the_configuration(shell: Shell) -> None:
    """As on a node that was as wanted: else the next boot would apply it."""
    shell.use(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=1, services="dc", autoprobe=False, vfs="vfio-pci")))
    shell.configure(DC)
    assert shell.json("apply")["changed"] is False
    assert not shell.record.exists()
    code, out, err = shell.run("teardown")
    assert (code, err) == (0, "")
    assert out == (f"Nothing was recorded on this node, so there is nothing to put back. {shell.config} was removed.\n")
    assert not shell.config.exists()
    assert shell.kernel.locks == 2
    assert shell.json("teardown")["changed"] is False
    shell.configure(DC)
    assert shell.json("teardown")["changed"] is True


def test_teardown_says_when_the_record_stays(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.configure(DC)
    shell.run("apply")
    unlink = os.unlink

    def refuse(path: str) -> None:
        if path == str(shell.record):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    code, out, err = shell.run("teardown", "--json")
    assert (code, out) == (1, "")
    failure = json.loads(err)
    assert failure["problem"] == "the record of what was found on this node cannot be removed: Read-only file system"
    assert {step["device"] for step in failure["stands"]} >= {GEN4}


def test_another_card_at_the_address_does_not_keep_teardown_from_its_work(shell: Shell) -> None:
    shell.configure({"devices": [{}]})
    shell.run("apply")
    shell.use(LiveFake.with_pfs(pf("c6xx", GEN4, total_vfs=2, vfs=vf())))
    writes = list(shell.kernel.writes)
    code, _out, err = shell.run("teardown")
    assert (code, err) == (0, "")
    assert shell.kernel.writes == writes
    assert not shell.record.exists()


def test_ctrl_c(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.configure(DC)

    def interrupted(*_arguments: t.Any) -> t.NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(shell.kernel, "write", interrupted)
    for command in (["apply"], ["apply", "--settle"]):
        code, out, err = shell.run(*command)
        assert (code, out) == (130, "")
        assert err == "qatctl: interrupted; what was written stays, and the same command goes on from there\n"
    assert shell.kernel.settled == 0


def test_what_the_first_try_has_written_is_reported_when_the_second_is_refused(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.use(LiveFake.with_pfs(*(pf("4xxx", address, total_vfs=2) for address in (GEN4, OTHER))))
    shell.configure({"devices": [{"services": ["sym"]}]})
    shell.kernel.switch(OTHER, "fail_services", "5 -1")
    monkeypatch.setattr(shell.kernel, "settle", lambda _seconds: shell.configure({"devices": [{"vfs": 1}]}))
    code, _out, err = shell.run("apply", "--settle", "--json")
    failure = json.loads("{" + err.rpartition("\n{")[2])  # after what it reports of each PF
    assert code == 1
    assert failure["failed_at"][0]["kind"] == "configuration"
    assert {step["device"] for step in failure["stands"]} >= {GEN4}


def test_teardown_stops_at_users_and_keeps_everything(shell: Shell) -> None:
    shell.configure(DC)
    shell.run("apply")
    shell.kernel.open_vf(VF0, "qemu-kvm")
    writes = list(shell.kernel.writes)
    code, out, err = shell.run("teardown")
    assert (code, out) == (1, "")
    assert f"qemu-kvm (pid 4001) has {VF0} open" in err
    assert shell.kernel.writes == writes
    assert shell.config.exists()
    assert shell.record.exists()


def test_validate(shell: Shell) -> None:
    shell.configure(DC)
    assert shell.run("validate") == (0, f"{shell.config}: valid, for {GEN4}\n", "")
    assert shell.json("validate") == {"valid": True, "devices": [GEN4]}
    shell.configure({"devices": [{"select": {"family": "c6xx"}}]})
    assert shell.run("validate")[1] == f"{shell.config}: valid, for no PF\n"


def test_schema(shell: Shell) -> None:
    assert json.loads(shell.run("schema")[1]) == SCHEMA


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        qatctl.main(["--version"], version="1.2.3")
    assert caught.value.code == 0
    assert capsys.readouterr().out == "qatctl 1.2.3\n"


def test_roots_and_time_limit(shell: Shell) -> None:
    shell.configure(DC)
    shell.run("show", "--sysfs-root", "/host/sys", "--proc-root", "/host/proc", "--dev-root", "/host/dev")
    assert [asked[:3] for asked in shell.roots] == [("/host/sys", "/host/proc", "/host/dev")]
    shell.kernel.block_writes("*/qat/state")
    code, _out, err = shell.run("apply", "--time-limit", "7")
    assert code == 1
    assert "has not returned after 7 seconds" in err


@pytest.mark.parametrize("seconds", ["nan", "-1", "0", "inf", "1e300"])
def test_what_is_no_time_limit(shell: Shell, seconds: str) -> None:
    """With 0 the first write would be given up in the midst, with -1 never, and nan would end in the midst too."""
    shell.configure(DC)
    code, _out, err = shell.run("apply", f"--time-limit={seconds}")
    assert (code, shell.kernel.writes) == (qatctl.EXIT_USAGE, [])
    assert err == f"qatctl: --time-limit: {float(seconds):g} seconds are no time limit; use 0.1 to 3600\n"


# Exit codes and sentences.


@pytest.mark.parametrize("arguments", [[], ["install"], ["show", "--yaml"]])
def test_a_wrong_call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        qatctl.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: qatctl")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"devices": [', "not valid JSON: Expecting value: line 1 column 14 (char 13); correct the file"),
        ("", "not valid JSON: Expecting value: line 1 column 1 (char 0); correct the file"),
        ("{}", "devices: the key is missing; add it"),
        (
            '{"devices": [{"services": ["rsa"]}]}',
            "devices[0].services[0]: 'rsa' is not known; use one of sym, asym, dc, dcc, decomp",
        ),
    ],
)
@pytest.mark.parametrize("command", ["plan", "apply", "status", "validate"])
def test_a_malformed_file(shell: Shell, command: str, content: str, sentence: str) -> None:
    shell.configure(content)
    assert shell.run(command) == (2, "", f"qatctl: {shell.config}: {sentence}\n")
    assert shell.kernel.writes == []


def test_a_missing_file(shell: Shell) -> None:
    assert shell.run("apply") == (
        2,
        "",
        f"qatctl: {shell.config}: there is no such file; run the role accel.qat.qat_node, or name another file with --config\n",
    )


def test_a_directory(shell: Shell) -> None:
    shell.config.mkdir()
    code, out, err = shell.run("validate")
    assert (code, out) == (2, "")
    assert err.startswith(f"qatctl: {shell.config}: cannot be read: Is a directory; see that it is a file")


def test_a_file_that_is_no_text(shell: Shell) -> None:
    shell.config.write_bytes(b"\xff\xfe{}")
    code, _out, err = shell.run("validate")
    assert code == 2
    assert err == f"qatctl: {shell.config}: is not UTF-8 text; correct the file\n"


def test_a_configuration_that_does_not_fit_the_node(shell: Shell) -> None:
    shell.configure({"devices": [{"vfs": 1}]})
    code, _out, err = shell.run("apply")
    assert code == 2
    assert err == (
        f"qatctl: devices[0].vfs: {GEN4} cannot have 1 VFs, the kernel's driver creates all 2 or none; "
        "leave the count out, and use advertise to offer Kubernetes fewer VFs\n"
    )


def test_no_permission(shell: Shell) -> None:
    shell.kernel.unprivileged = True
    shell.configure({"devices": [{"services": ["dc"], "vfs": 0}]})
    for command in ("plan", "apply"):
        code, out, err = shell.run(command)
        assert (code, out) == (1, "")
        assert err == (
            f"qatctl: /sys/bus/pci/devices/{GEN4}/qat/state: no permission to write; "
            "run as root (become: true), with /sys writable\n"
        )
    assert shell.kernel.writes == []


def test_a_failure_in_json(shell: Shell) -> None:
    shell.configure(DC)
    shell.kernel.switch(GEN4, "kernel_users", "1")
    code, out, err = shell.run("apply", "--json")
    assert (code, out) == (1, "")
    failure = json.loads(err)
    assert (failure["kind"], failure["where"]) == ("apply", f"/sys/bus/pci/devices/{GEN4}/qat/state")
    assert [one["step"]["action"] for one in failure["failed_at"]] == ["state"]
    assert [step["action"] for step in failure["stands"]] == ["load_module"]


def test_what_users_keep_is_shown(shell: Shell) -> None:
    shell.use(LiveFake.with_pfs(pf("4xxx", GEN4, total_vfs=1, autoprobe=False, vfs=vf("vfio-pci", held_by="qemu-kvm"))))
    shell.configure({"devices": [{"services": ["dc"], "when_in_use": "skip"}]})
    code, out, _err = shell.run("plan")
    assert (code, out) == (0, f"     {GEN4} is left as it is: qemu-kvm (pid 4001) has {VF0} open\n")
    assert shell.json("plan")["skipped"] == [
        {"device": GEN4, "reason": f"qemu-kvm (pid 4001) has {VF0} open"},
    ]


def test_a_configuration_that_cannot_be_removed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.configure(DC)
    shell.run("apply")
    writes = list(shell.kernel.writes)

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, _out, err = shell.run("teardown")
    assert (code, err) == (
        1,
        f"qatctl: {shell.config}: the configuration cannot be removed: Permission denied; run as root (become: true)\n",
    )
    assert shell.kernel.writes == writes


# What it prints, and where that goes.


@contextlib.contextmanager
def closed() -> t.Iterator[None]:
    yield None


def full() -> t.ContextManager[t.TextIO]:
    return open("/dev/full", "w", encoding="utf-8")


@contextlib.contextmanager
def unread() -> t.Iterator[t.TextIO]:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", encoding="utf-8") as stream:
        yield stream


OUTPUTS = {
    full: "standard output: cannot be written: No space left on device; make room on that file system",
    closed: "standard output: is closed; open it; for no output, name /dev/null",
    unread: "",
}
COMMANDS = [["top", "--once"], ["top"], *([word] for word in qatctl._COMMANDS if word != "top")]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("output", OUTPUTS, ids=[one.__name__ for one in OUTPUTS])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_output_that_cannot_be_written_is_one_sentence(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, command: list[str], output: t.Any, as_json: bool
) -> None:
    shell.configure(DC)
    with output() as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        code, _out, err = shell.run(*command, *(["--json"] if as_json else []))
    assert code == qatctl.EXIT_FAILED
    if not OUTPUTS[output]:
        assert err == ""
    elif as_json:
        assert json.loads(err)["where"] == "standard output"
    else:
        assert err == f"qatctl: {OUTPUTS[output]}\n"


def test_what_teardown_has_written_is_said_also_where_it_cannot_be_printed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.configure(DC)
    shell.run("apply")
    with full() as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        code, _out, err = shell.run("teardown")
    assert (code, shell.record.exists()) == (1, False)
    assert err == f"qatctl: {OUTPUTS[full]}; what was written to {GEN4}, vfio_pci before stays\n"


@pytest.mark.parametrize("output", OUTPUTS, ids=[one.__name__ for one in OUTPUTS])
def test_an_error_that_nobody_can_see_is_no_other_one(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, output: t.Any
) -> None:
    shell.configure({"devices": [{"vfs": 99}]})
    with output() as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        assert shell.run("apply") == (qatctl.EXIT_USAGE, "", "")


# A whole process, on files.


def put_files(tmp_path: Path) -> list[str]:
    """A PF below this directory; returns the flags by which qatctl finds it."""
    device = tmp_path / f"sys/bus/pci/devices/{GEN4}"
    (device / "qat").mkdir(parents=True)
    files = {
        "vendor": "0x8086",
        "device": "0x4940",
        "numa_node": "1",
        "driver_override": "(null)",
        "sriov_totalvfs": "16",
        "sriov_numvfs": "0",
        "qat/state": "up",
        "qat/cfg_services": "asym;sym",
    }
    for name, text in files.items():
        (device / name).write_text(text + "\n")
    return ["--sysfs-root", f"{tmp_path}/sys", "--proc-root", f"{tmp_path}/proc", "--dev-root", f"{tmp_path}/dev"]


PROGRAM = (
    "import sys; from ansible_collections.accel.qat.plugins.module_utils._node.cli.qatctl import main; sys.exit(main())"
)


def at_a_shell(line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run qatctl, which is "$@" in the line."""
    return subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, "-c", PROGRAM, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_on_files(tmp_path: Path) -> None:
    shown = at_a_shell('"$@"', "show", *put_files(tmp_path))
    assert shown.stdout.splitlines()[1].split() == [GEN4, "4xxx", "up", "sym;asym", "0/16", "-", "1", "-", "-"]
    assert shown.stderr == ""


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ('"$@" > /dev/full', 1, f"qatctl: {OUTPUTS[full]}\n"),
        ('"$@" --help > /dev/full', 1, f"qatctl: {OUTPUTS[full]}\n"),
        ('"$@" >&-', 1, f"qatctl: {OUTPUTS[closed]}\n"),
        # What is opened first has the numbers of what is closed.
        ('"$@" <&- >&-', 1, f"qatctl: {OUTPUTS[closed]}\n"),
        ('"$@" <&- 2>&- | grep -q 6b:00.0', 0, ""),
        ('"$@" > /dev/full 2> /dev/full', 1, ""),
        ('{ "$@"; echo "ended $?" >&2; } | true', 0, "ended 1\n"),
    ],
)
def test_a_process_whose_output_cannot_be_written(tmp_path: Path, line: str, code: int, said: str) -> None:
    done = at_a_shell(line, "show", *put_files(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)
