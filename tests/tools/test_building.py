# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where builders have Debian from, and which Go they compile with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.building import debian, golang, host, layers


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
