# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell scripts in tools/, each run from a small checkout of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    """A checkout with the scripts in it."""
    root = tmp_path / "checkout"
    (root / "tools").mkdir(parents=True)
    for name in ("collection_tree", "setup"):
        shutil.copy(CHECKOUT / "tools" / name, root / "tools" / name)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    return root


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **environment}
    )


class TestCollectionTree:
    def test_the_link_leads_to_the_checkout(self, checkout: Path) -> None:
        for _again in range(2):
            result = run(checkout / "tools" / "collection_tree")
            assert result.stdout == f"{checkout}/build/tree\n"
            assert (checkout / "build/tree/ansible_collections/accel/qat").resolve() == checkout

    def test_the_copy_holds_what_git_has_or_would_add(self, checkout: Path, tmp_path: Path) -> None:
        write(checkout, "plugins/kept.py", "plugins/deleted.py", ".gitignore")
        (checkout / ".gitignore").write_text("ignored\n")
        subprocess.run(["git", "-C", checkout, "add", "."], check=True)
        (checkout / "plugins/deleted.py").unlink()
        write(checkout, "new file.txt", "ignored")

        assert run(checkout / "tools" / "collection_tree", tmp_path / "copy").stdout == f"{tmp_path}/copy\n"

        copy = tmp_path / "copy/ansible_collections/accel/qat"
        assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()) == [
            ".gitignore",
            "new file.txt",
            "plugins/kept.py",
            "tools/collection_tree",
            "tools/setup",
        ]

    def test_the_copy_can_be_limited(self, checkout: Path, tmp_path: Path) -> None:
        write(checkout, "plugins/module.py", "roles/task.yml", "galaxy.yml")
        run(checkout / "tools" / "collection_tree", tmp_path / "copy", "plugins", "galaxy.yml")
        copy = tmp_path / "copy/ansible_collections/accel/qat"
        assert sorted(path.name for path in copy.iterdir()) == ["galaxy.yml", "plugins"]

    def test_an_option_gets_the_usage(self, checkout: Path) -> None:
        result = run(checkout / "tools" / "collection_tree", "--help")
        assert result.returncode == 2
        assert "tools/collection_tree DIR [PATH...]" in result.stderr


class TestSetup:
    @pytest.fixture(name="commands")
    def _commands(self, tmp_path: Path) -> Path:
        """Stand-ins in PATH: no package is installed but git, and apt-get writes down what it was asked for."""
        directory = tmp_path / "bin"
        scripts = {
            "dpkg-query": 'case "$*" in *" git") printf installed ;; esac',
            "apt-get": f'echo "$@" >> {tmp_path}/apt-get',
            "sudo": 'exec "$@"',
        }
        for name, text in scripts.items():
            write(directory, name)
            (directory / name).write_text(f"#!/bin/sh\n{text}\n")
            (directory / name).chmod(0o755)
        return directory

    def test_installs_what_is_missing_and_says_when_no_python_will_do(
        self, checkout: Path, commands: Path, tmp_path: Path
    ) -> None:
        write(checkout, "requirements/debian.txt")
        (checkout / "requirements/debian.txt").write_text("# a comment\ngit\n\nqemu-system-x86  # the machine\n")

        result = run(checkout / "tools/setup", PATH=f"{commands}:{os.environ['PATH']}", PYTHON="false")

        assert result.returncode == 1
        assert result.stderr == (
            "setup: no Python 3.11 or newer with venv and ssl found; set PYTHON=/path/to/python3\n"
        )
        asked = (tmp_path / "apt-get").read_text().splitlines()
        assert asked == [
            "update -qq",
            "install -qq --yes --no-install-recommends qemu-system-x86",
            "update -qq",
            "install -qq --yes --no-install-recommends python3.11 python3.11-venv",
        ]

    def test_unpacks_the_programs_of_packages_that_would_start_a_service(
        self, checkout: Path, commands: Path, tmp_path: Path
    ) -> None:
        write(checkout, "requirements/debian_programs.txt")
        (checkout / "requirements/debian_programs.txt").write_text("a-monitor\nsh  # in PATH\n")
        scripts = {
            # Its lists are not there at first.
            "apt-get": f"""echo "$@" >> {tmp_path}/apt-get
                case $1 in update) touch {tmp_path}/lists ;; download) [ -e {tmp_path}/lists ] && touch it.deb ;; esac""",
            "dpkg-deb": 'mkdir -p "$3/usr/bin"; touch "$3/usr/bin/a-monitor"',
        }
        for name, text in scripts.items():
            (commands / name).write_text(f"#!/bin/sh\n{text}\n")
            (commands / name).chmod(0o755)

        environment = {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHON": "false", "ACCEL_QAT_CACHE": str(tmp_path)}
        for _again in range(2):
            run(checkout / "tools/setup", **environment)

        found = [path for path in (tmp_path / "programs").rglob("*") if path.is_file()]
        assert found == [tmp_path / "programs/a-monitor/usr/bin/a-monitor"]
        download = "download -qq -o APT::Sandbox::User=root a-monitor"
        asked = [line for line in (tmp_path / "apt-get").read_text().splitlines() if "install" not in line]
        assert asked[:3] == [download, "update -qq", download]
        assert download not in asked[3:]
