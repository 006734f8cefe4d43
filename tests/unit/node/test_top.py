# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`qatctl top` on a fake node: what it shows, and what it switches."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.cli import qatctl, terminal, top
from ansible_collections.accel.qat.plugins.module_utils._node.devices.activity import TelemetryState
from ansible_collections.accel.qat.plugins.module_utils._node.printable import WIDTH
from ansible_collections.accel.qat.plugins.module_utils._node.users.holder import Holder
from ansible_collections.accel.qat.plugins.module_utils._node.users.pods import Assignments, Pods
from ansible_collections.accel.qat.tests.fakes import pf
from ansible_collections.accel.qat.tests.unit.live_fake import LiveFake, put_in_place
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN2, GEN4, OTHER, VF0, VF1

DEBUG = "/sys/kernel/debug/qat_{}_{}/telemetry/{}"
CONTROL = DEBUG.format("4xxx", GEN4, "control")
LATER = 1800000000.0


class Shell:
    """Runs `qatctl top` on a fake node, which is not at a terminal."""

    def __init__(self, patch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._output = output
        self.waited: list[float] = []
        patch.setattr(time, "time", lambda: LATER)
        patch.setattr(os, "uname", lambda: os.uname_result(("Linux", "node1", "", "", "")))
        self.use(
            pf("4xxx", GEN4, total_vfs=4, vfs="vfio-pci"),
            pf("4xxx", OTHER, total_vfs=2, vfs="vfio-pci"),
            pf("c6xx", GEN2, total_vfs=2),
        )

    def use(self, *pfs: t.Any) -> None:
        kernel = LiveFake.with_pfs(*pfs)
        assert isinstance(kernel, LiveFake)
        self.kernel = kernel
        put_in_place(self._patch, qatctl, self.kernel)

    def on(self, address: str, load: str) -> None:
        """Switch telemetry on, and have the PF work for a second."""
        self.kernel.switch(address, "load", load)
        self.kernel.write(DEBUG.format("4xxx", address, "control"), "1", 1.0)
        self.kernel.sleep(1.0)
        self.kernel.writes.clear()

    def wait(self, *steps: t.Callable[[], object]) -> None:
        """What happens in the intervals; after the last one the user ends it."""
        left = list(steps)

        def pass_time(seconds: float) -> None:
            self.waited.append(seconds)
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        self._patch.setattr(time, "sleep", pass_time)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = qatctl.main(["top", *arguments])
        shown = self._output.readouterr()
        assert self.kernel.closed
        return code, shown.out, shown.err

    def json(self, *arguments: str) -> t.Any:
        code, out, err = self.run("--once", "--json", *arguments)
        assert (code, err) == (0, "")
        return json.loads(out)

    def written(self) -> list[str]:
        """What was written, and where, by the last part of the path."""
        return [f"{write.path.rsplit('_', 1)[1]} {write.value}" for write in self.kernel.writes]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def test_the_busiest_first_in_80_columns(shell: Shell) -> None:
    shell.on(GEN4, "pke 37, cpr 5, bw_in 400, bw_out 8, rd_lat_acc_avg 950, gp_lat_acc_avg 3000, max_gp_lat 9000000")
    shell.on(OTHER, "dcpr 80")
    shell.kernel.assignments = Assignments(
        {
            **{vf: (Holder(0, "", "app", "default/web-0"),) for vf in (VF0, VF1)},
            "0000:6b:00.3": (Holder(0, "", "app", "default/web-1"),),
        }
    )
    shell.kernel.open_vf("0000:70:00.1", "qemu-kvm")
    code, out, err = shell.run("--once")
    assert (code, err, shell.kernel.writes) == (0, "", [])
    lines = out.splitlines()
    assert re.fullmatch(r"node1, 2027-01-1\d \d\d:\d\d:\d\d", lines[0])
    assert lines[1:] == [
        "",
        "PF            STATE  IN USE  PCIE READ  PCIE WRITE  READ LAT  LATENCY  MAX LAT",
        "0000:70:00.0  up     1/2     0 B/s      0 B/s       0 ns      0 ns     0 ns",
        "0000:6b:00.0  up     3/4     1.00 MB/s  50.0 MB/s   950 ns    3.00 us  9.00 ms",
        "0000:75:00.0  -      0/0     -          -           -         -        -",
        "",
        "PF            CPR  XLT  DCPR  PKE  UCS  CPH  ATH",
        "0000:70:00.0  0%   0%   80%   0%   0%   0%   0%",
        "0000:6b:00.0  5%   0%   0%    37%  0%   0%   0%",
        "",
        "VFS  PF            IN USE BY",
        "2    0000:6b:00.0  pod default/web-0 (container app)",
        "1    0000:6b:00.0  pod default/web-1 (container app)",
        "1    0000:70:00.0  qemu-kvm (pid 4001)",
        "",
        "0000:75:00.0: devices before Gen4 have no telemetry",
    ]
    assert max(map(len, lines)) <= WIDTH


def test_for_machines(shell: Shell) -> None:
    shell.on(GEN4, "pke 37, bw_in 400, gp_lat_acc_avg 3000")
    shell.kernel.assignments = Assignments({VF0: (Holder(0, "", "app", "default/web-0"),)})
    document = shell.json()
    assert (document["time"], document["host"]) == (LATER, "node1")
    first, *others = document["devices"]
    assert [one["address"] for one in (first, *others)] == [GEN4, OTHER, GEN2]
    assert first["telemetry"] == {"state": "on", "samples": 1, "problem": ""}
    assert (first["vfs_count"], first["vfs_in_use"], first["family"], first["state"]) == (4, 1, "4xxx", "up")
    assert first["utilization"]["pke"] == 0.37
    assert {"engine": "pke", "number": 5, "utilization": 0.37, "executions": 370} in first["slices"]
    assert (first["read_bytes_per_second"], first["written_bytes_per_second"]) == (0, 50_000_000)
    assert first["latency_seconds"]["get_to_put_avg"] == pytest.approx(3e-6)
    assert [one["telemetry"]["state"] for one in others] == ["off", "unsupported"]
    assert (others[0]["utilization"], others[0]["slices"], others[0]["read_bytes_per_second"]) == ({}, [], None)
    assert document["in_use"] == [
        {
            "pid": None,
            "command": "",
            "container": "app",
            "pod": "default/web-0",
            "note": "",
            "pf": GEN4,
            "vfs": [VF0],
        }
    ]


def test_no_firmware_is_asked_for_counters(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(shell.kernel, "expect", asked.extend)
    shell.run("--once")
    assert any(path.endswith("/telemetry/control") for path in asked)
    assert not any(path.endswith(("fw_counters", "pm_status", "cnv_errors", "heartbeat/status")) for path in asked)


def test_it_writes_nothing_unasked(shell: Shell) -> None:
    code, out, err = shell.run("--once")
    assert (code, err, shell.kernel.writes) == (0, "", [])
    notes = out.partition("\n\n0000:6b:00.0: ")[2].replace("\n    ", " ").splitlines()
    assert notes[0] == ("telemetry is off; call top with --enable-telemetry, which switches it off again at its end")
    assert len(notes) == 3


def test_telemetry_is_on_until_the_end(shell: Shell) -> None:
    shell.on(OTHER, "dcpr 80")
    shell.kernel.switch(GEN4, "load", "pke 37")
    document = shell.json("--enable-telemetry")
    assert [max(one["utilization"].values(), default=None) for one in document["devices"]] == [0.8, 0.37, None]
    assert shell.written() == [f"{GEN4}/telemetry/control 1", f"{GEN4}/telemetry/control 0"]


def test_telemetry_that_somebody_else_has_changed_meanwhile_is_left(shell: Shell) -> None:
    shell.wait(lambda: shell.kernel.write(CONTROL, "4", 1.0))
    assert shell.run("--enable-telemetry")[0] == 0
    assert shell.kernel.read(CONTROL) == "4"
    assert shell.kernel.read(DEBUG.format("4xxx", OTHER, "control")) == "0"


def test_telemetry_of_a_pf_that_was_down_is_on_again(shell: Shell) -> None:
    state = f"/sys/bus/pci/devices/{GEN4}/qat/state"
    shell.use(pf("4xxx", GEN4))
    shell.wait(
        lambda: shell.kernel.write(state, "down", 1.0),
        lambda: shell.kernel.write(state, "up", 1.0),
        lambda: shell.kernel.switch(GEN4, "load", "ucs 12"),
        lambda: shell.kernel.sleep(1.0),
    )
    code, out, _err = shell.run("--enable-telemetry", "--json")
    assert code == 0
    shown = [json.loads(line)["devices"][0] for line in out.splitlines()]
    assert [one["telemetry"]["state"] for one in shown] == ["on", "down", "on", "on", "on"]
    assert shown[-1]["utilization"]["ucs"] == 0.12
    assert shell.kernel.read(CONTROL) == "0"


@pytest.mark.parametrize(
    ("pattern", "code", "note"),
    [
        (
            DEBUG.format("4xxx", GEN4, "*"),
            errno.EPERM,
            top._REMEDIES[TelemetryState.LOCKED_DOWN],
        ),
        (f"/sys/kernel/debug/qat_4xxx_{GEN4}*", errno.EACCES, "telemetry is not seen; run as root"),
        (
            f"/sys/kernel/debug/qat_4xxx_{GEN4}*",
            errno.ENOENT,
            "telemetry is not seen; mount debugfs at /sys/kernel/debug, and see that the PF has its driver",
        ),
        (
            DEBUG.format("4xxx", GEN4, "*"),
            errno.ENOENT,
            "there is no telemetry; it takes Linux 6.8 or later, and firmware that has it",
        ),
        (
            DEBUG.format("4xxx", GEN4, "device_data"),
            errno.ETIMEDOUT,
            "the kernel does not answer, since it is at work on the PF; wait until whoever has its VFs lets go",
        ),
        (
            DEBUG.format("4xxx", GEN4, "device_data"),
            errno.EIO,
            f"telemetry cannot be read: {DEBUG.format('4xxx', GEN4, 'device_data')}: Input/output error; see the kernel's log",
        ),
    ],
)
def test_one_sentence_where_there_is_no_telemetry(shell: Shell, pattern: str, code: int, note: str) -> None:
    shell.use(pf("4xxx", GEN4))
    shell.kernel.deny(pattern, code)
    done, out, err = shell.run("--once", "--enable-telemetry")
    assert (done, err, shell.kernel.writes) == (0, "", [])
    assert out.partition("\n\n0000:6b:00.0: ")[2].replace("\n    ", " ") == f"{note}\n"
    assert "PKE" not in out


def test_a_pf_that_is_down(shell: Shell) -> None:
    shell.use(pf("4xxx", GEN4, state="down"))
    out = shell.run("--once", "--enable-telemetry")[1]
    assert out.endswith("\n0000:6b:00.0: there is no telemetry while the PF is down; bring it up with apply\n")


def test_telemetry_that_cannot_be_switched_on(shell: Shell) -> None:
    shell.use(pf("4xxx", GEN4))
    shell.kernel.fail_writes(CONTROL, errno.EPERM)
    code, out, err = shell.run("--once", "--enable-telemetry")
    assert (code, err) == (0, "")
    assert out.partition("\n\n0000:6b:00.0: ")[2].replace("\n    ", " ") == (
        "telemetry cannot be switched: Operation not permitted; run as root, on a kernel that is not locked down\n"
    )


def test_telemetry_that_stays_on_is_reported(shell: Shell) -> None:
    shell.use(pf("4xxx", GEN4))
    shell.wait(lambda: shell.kernel.fail_writes(CONTROL, errno.EIO))
    code, _out, err = shell.run("--enable-telemetry")
    assert code == 1
    assert err == (
        "qatctl: 0000:6b:00.0: telemetry cannot be switched: Input/output error; run as root, on a kernel that is not locked down\n"
    )


def test_telemetry_that_may_have_stayed_on_is_reported(shell: Shell) -> None:
    shell.use(pf("4xxx", GEN4))
    shell.wait(lambda: shell.kernel.deny(CONTROL, errno.EIO))
    code, _out, err = shell.run("--enable-telemetry")
    assert (code, err) == (
        1,
        "qatctl: 0000:6b:00.0: it cannot be seen whether telemetry is off; see the kernel's log\n",
    )


def test_zeros_of_a_kernel_that_has_not_sampled_yet_are_not_shown(shell: Shell) -> None:
    shell.use(pf("4xxx", GEN4))
    shell.kernel.write(CONTROL, "1", 1.0)
    out = shell.run("--once")[1]
    assert out.endswith("\n\n0000:6b:00.0: there is no sample yet; the kernel takes one each second\n")
    assert "0%" not in out
    assert shell.json()["devices"][0]["read_bytes_per_second"] is None


def test_again_each_interval(shell: Shell) -> None:
    shell.wait(lambda: shell.on(GEN4, "pke 9"), lambda: None)
    code, out, err = shell.run("--interval", "5")
    assert (code, err, shell.waited) == (0, "", [5.0, 5.0, 5.0])
    first, second, third = out.split("\n\nnode1, ")
    assert "PKE" not in first
    assert " 9% " in second
    assert second == third.rstrip("\n")


def test_kubelet_that_did_not_answer_is_asked_again(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[None] = []
    monkeypatch.setattr(Pods, "ask_again", lambda _pods: asked.append(None))
    shell.wait(lambda: None)
    shell.run()
    assert len(asked) == 2


def test_a_node_without_qat(shell: Shell) -> None:
    shell.use()
    assert shell.run("--once")[1].splitlines()[2:] == ["This node has no QAT device."]
    assert shell.json()["devices"] == []


@pytest.mark.parametrize("name", ["\x1b[2J", "a\n0000:ff:00.0"])
def test_what_a_process_calls_itself_reaches_no_terminal(shell: Shell, name: str) -> None:
    shell.kernel.open_vf(VF0, name)
    out = shell.run("--once")[1]
    assert all(line.isprintable() for line in out.splitlines())
    assert out.count("0000:ff:00.0") <= 1


@pytest.mark.parametrize("interval", ["0", "0.9", "3601", "nan", "often"])
def test_an_interval_that_makes_no_sense(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        qatctl.main(["top", "--interval", interval])
    assert caught.value.code == 2
    assert "argument --interval: " in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_switches_off_what_was_switched_on(shell: Shell, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    shell.use(pf("4xxx", GEN4))
    shell.wait(lambda: signal.raise_signal(number))
    with pytest.raises(SystemExit) as caught:
        shell.run("--enable-telemetry")
    assert caught.value.code == 128 + number
    assert shell.kernel.read(CONTROL) == "0"
    assert signal.getsignal(number) is before


def test_a_signal_between_two_pfs_leaves_none_of_them_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    write = shell.kernel.write

    def interrupted(path: str, value: str, seconds: float) -> None:
        write(path, value, seconds)
        if path == DEBUG.format("4xxx", OTHER, "control") and value == "1":
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(shell.kernel, "write", interrupted)
    with pytest.raises(SystemExit):
        shell.run("--once", "--enable-telemetry")
    assert [shell.kernel.read(DEBUG.format("4xxx", one, "control")) for one in (GEN4, OTHER)] == ["0", "0"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_keep_telemetry_on(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """As of a person who presses Ctrl-C twice."""
    before = signal.getsignal(number)
    write = shell.kernel.write

    def impatient(path: str, value: str, seconds: float) -> None:
        if value == "0":
            signal.raise_signal(number)
        write(path, value, seconds)

    monkeypatch.setattr(shell.kernel, "write", impatient)
    shell.wait()
    assert shell.run("--enable-telemetry")[0] == 0
    assert [shell.kernel.read(DEBUG.format("4xxx", one, "control")) for one in (GEN4, OTHER)] == ["0", "0"]
    assert signal.getsignal(number) is before


def test_ctrl_c_before_it_is_shown_once(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> t.NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(shell.kernel, "sleep", interrupted)
    with pytest.raises(SystemExit) as caught:
        shell.run("--once", "--enable-telemetry")
    assert caught.value.code == 130
    assert shell.kernel.read(CONTROL) == "0"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0, "0 B/s"),
        (125_000, "125 kB/s"),
        (1_250_000_000, "1.25 GB/s"),
        (12_500_000_000, "12.5 GB/s"),
        (999_875_000, "1000 MB/s"),
    ],
)
def test_rates(value: float | None, shown: str) -> None:
    assert top.scaled(value, top._RATES) == shown


def test_what_has_no_room_on_the_screen_is_counted() -> None:
    lines = ["x" * 100, "two", "three", "four"]
    assert terminal.fitted(lines, 80, 4) == ["x" * 80, "two", "three", "four"]
    assert terminal.fitted(lines, 60, 3) == [
        "x" * 60,
        "two",
        "... 2 more lines; make the terminal higher, or call with --once"[:60],
    ]


def test_other_commands_do_not_load_it(tmp_path: Path) -> None:
    device = tmp_path / f"sys/bus/pci/devices/{GEN4}"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x8086\n")
    (device / "device").write_text("0x4940\n")
    program = (
        "import sys; from ansible_collections.accel.qat.plugins.module_utils._node.cli.qatctl import main; main(); "
        "print(sorted(name.rpartition('.')[2] for name in sys.modules if '._node.' in name))"
    )
    roots = ["--sysfs-root", f"{tmp_path}/sys", "--proc-root", f"{tmp_path}/proc", "--dev-root", f"{tmp_path}/dev"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = {
        command: subprocess.run(
            [sys.executable, "-c", program, command, *more, *roots],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        ).stdout.splitlines()[-1]
        for command, more in (("show", []), ("top", ["--once"]))
    }
    for name in ("top", "terminal", "activity", "telemetry"):
        assert [f"'{name}'" in loaded[command] for command in ("show", "top")] == [False, True], name
