# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's archive, and the collection as a user has it after installing the archive."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tools.checks.archive import build_archive
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT, VENV, Shell


class Installed:
    """A user's machine: the collection in a path that held nothing, and the commands of ansible-core."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.collection = path / "ansible_collections" / "accel" / "qat"

    def run(self, command: str, *arguments: str | Path) -> str:
        """Run a command of ansible-core far from the checkout; return what it prints, fail when it fails."""
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self.path),
            "ANSIBLE_HOME": str(self.path / "home"),
        }
        result = subprocess.run(
            [VENV / "bin" / command, *arguments], capture_output=True, text=True, check=False, env=environment, cwd="/"
        )
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.fixture(scope="session", name="archive")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, built as `make build` does."""
    archive = build_archive(Shell(), tmp_path_factory.mktemp("archive"))
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]
    assert archive.name == f"accel-qat-{version}.tar.gz"
    return archive


@pytest.fixture(scope="session", name="names")
def _names(archive: Path) -> set[str]:
    """The files in the archive."""
    with tarfile.open(archive) as tar:
        return {member.name for member in tar if not member.isdir()}


@pytest.fixture(scope="session", name="installed")
def _installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    machine = Installed(tmp_path_factory.mktemp("user"))
    machine.run("ansible-galaxy", "collection", "install", "--offline", "-p", machine.path, archive)
    return machine
