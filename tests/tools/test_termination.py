# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that are asked to end clear away first, alone or side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks.shell import TREE

CONFTEST = """
import time
import pytest
from ansible_collections.accel.qat.tests.conftest import pytest_configure, pytest_sessionfinish, pytest_unconfigure

@pytest.fixture
def machine(request):
    machine = request.config.rootpath / f"machine-{request.node.name}"
    machine.touch()
    yield
    time.sleep(SECONDS)
    machine.unlink()
"""
TESTS = """
import time
def use(config, name):
    # Not before: pytest does not know yet how to end a fixture that has not yielded.
    config.rootpath.joinpath(f"in-use-{name}").touch()
    # A signal that comes between Python and the system's own sleep would not end a long one.
    for _ in range(6000):
        time.sleep(0.1)
def test_first(machine, pytestconfig): use(pytestconfig, "first")
def test_second(machine, pytestconfig): use(pytestconfig, "second")
"""
SECONDS = 300.0
"""On a host with much other work; the tests that are to end would sleep twice as long."""


def wait_for(true: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("workers", "clears_for"), [(0, 0.5), (2, 11.0)], ids=["alone", "side by side"])
def test_what_a_test_set_up_is_gone_after_sigterm(tmp_path: Path, workers: int, clears_for: float) -> None:
    """Also what takes longer than the 5 seconds that xdist gives its workers undisturbed."""
    (tmp_path / "conftest.py").write_text(CONFTEST.replace("SECONDS", str(clears_for)))
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", f"--numprocesses={workers}", "-p", "no:cacheprovider"]
    # Nothing of the run that this is a part of.
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment = {**outer, "PYTHONPATH": str(TREE)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as running:
        wait_for(lambda: len([*tmp_path.glob("in-use-*")]) == max(workers, 1), running)
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=SECONDS)
    assert "KeyboardInterrupt" in said
    assert [*tmp_path.glob("machine-*")] == []
