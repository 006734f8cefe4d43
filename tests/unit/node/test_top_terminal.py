# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`qatctl top` as a process in a terminal, which tmux is: what a person sees there, and how it ends."""

from __future__ import annotations

import os
import re
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf
from ansible_collections.accel.qat.tests.fakes.disk import put_on_disk
from ansible_collections.accel.qat.tests.unit.node.nodes import GEN4, OTHER
from ansible_collections.accel.qat.tests.unit.terminal import Terminal

DEBUG = f"sys/kernel/debug/qat_4xxx_{GEN4}/telemetry"
PROGRAM = (
    "import sys; from ansible_collections.accel.qat.plugins.module_utils._node.cli.qatctl import main; sys.exit(main())"
)


@pytest.fixture
def terminal() -> t.Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A node on the disk, one PF of which works."""
    kernel = FakeKernel.with_pfs(
        pf("4xxx", GEN4, total_vfs=4, vfs="vfio-pci"), pf("4xxx", OTHER, total_vfs=2), pf("c6xx", "0000:75:00.0")
    )
    kernel.switch(GEN4, "load", "pke 37, bw_in 400")
    kernel.write(f"/{DEBUG}/control", "1", 1.0)
    kernel.sleep(1.0)
    put_on_disk(kernel.machine, tmp_path / "node")
    return tmp_path / "node"


def start(terminal: Terminal, files: Path, *options: str) -> None:
    roots = [f"--{name}-root={files / name}" for name in ("sys", "proc", "dev")]
    roots[0] = f"--sysfs-root={files / 'sys'}"
    python_path = f"PYTHONPATH={os.pathsep.join(sys.path)}"
    command = [
        "env",
        python_path,
        sys.executable,
        "-c",
        PROGRAM,
        "top",
        "--kubelet-root",
        str(files / "kubelet"),
        *roots,
        *options,
    ]
    terminal.start(command)


def test_what_a_person_sees(terminal: Terminal, files: Path) -> None:
    start(terminal, files, "--interval", "1")
    shown = terminal.wait_for("PKE")
    assert shown[2:8] == [
        "PF            STATE  IN USE  PCIE READ  PCIE WRITE  READ LAT  LATENCY  MAX LAT",
        "0000:6b:00.0  up     0/4     0 B/s      50.0 MB/s   0 ns      0 ns     0 ns",
        "0000:70:00.0  up     0/0     -          -           -         -        -",
        "0000:75:00.0  -      0/0     -          -           -         -        -",
        "",
        "PF            CPR  XLT  DCPR  PKE  UCS  CPH  ATH",
    ]
    assert shown[8] == "0000:6b:00.0  0%   0%   0%    37%  0%   0%   0%"
    # Refreshed in its place, and nothing of before is left.
    data = files / DEBUG / "device_data"
    data.write_text(re.sub(r"(util_pke\d +)37", r"\g<1> 8", data.read_text()))
    again = terminal.wait_for(" 8% ")
    assert [line for line in again if "PKE" not in line and "8%" not in line][1:] == [
        line for line in shown if "PKE" not in line and "37%" not in line
    ][1:]
    terminal.resize(60, 8)
    small = terminal.wait_for("more lines")
    assert max(map(len, small)) <= 60
    assert small[7].startswith("... ")
    terminal.press("q")
    ended = terminal.wait_for("ended with 0, icanon echo")
    assert not any("PKE" in line for line in ended)


@pytest.mark.parametrize("key", ["q", "C-c"])
def test_the_terminal_is_left_as_it_was(terminal: Terminal, files: Path, key: str) -> None:
    start(terminal, files)
    terminal.wait_for("PKE")
    terminal.press(key)
    ended = terminal.wait_for("ended with 0, icanon echo")
    assert not any("0000:6b" in line for line in ended)


def test_once_stays_to_be_read(terminal: Terminal, files: Path) -> None:
    start(terminal, files, "--once")
    assert any(" 37% " in line for line in terminal.wait_for("ended with 0"))
