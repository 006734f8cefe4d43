# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding interpreters: only those that work, whatever stands in PATH."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks import interpreters

REAL = Path(os.path.realpath(sys.executable))
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(name="path", autouse=True)
def _path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, and no versions of pyenv or uv."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return directory


def put_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_nothing_is_found_where_nothing_is() -> None:
    assert interpreters.find(VERSION) is None


def test_the_binary_behind_a_command_is_returned(path: Path) -> None:
    put_script(path / f"python{VERSION}", f'exec {REAL} "$@"')
    assert interpreters.find(VERSION) == REAL


def test_a_shim_that_fails_is_passed_over_for_the_next(path: Path, tmp_path: Path) -> None:
    put_script(path / f"python{VERSION}", "echo pyenv: command not found >&2; exit 127")
    put_script(tmp_path / f"pyenv/versions/{VERSION}.1/bin/python{VERSION}", f'exec {REAL} "$@"')
    assert interpreters.find(VERSION) == REAL


def test_an_interpreter_of_another_version_is_passed_over(path: Path) -> None:
    put_script(path / "python3.99", f'exec {REAL} "$@"')
    assert interpreters.find("3.99") is None


def test_a_file_that_cannot_be_run_is_passed_over(path: Path) -> None:
    (path / f"python{VERSION}").write_text("")
    assert interpreters.find(VERSION) is None
