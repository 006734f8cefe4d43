# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go compiles the modules that go.sum has the hashes of, whatever the settings of whoever runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.artifacts.go_programs import PROGRAMS, version_of
from ansible_collections.accel.qat.tools.building import golang
from ansible_collections.accel.qat.tools.building.errors import CommandFailed

ORIGIN = PROGRAMS["kustomize"]
ANOTHER = "h1:" + "A" * 43 + "="


@pytest.fixture(name="module")
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the module, for somebody who has Go take any bytes and write their hashes down."""
    for name, value in {"GOFLAGS": "-mod=mod", "GOSUMDB": "off", "GONOSUMDB": "*", "GOPRIVATE": "*"}.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(ORIGIN.sources, tmp_path / "module")
    return tmp_path / "module"


def lines_of(module: Path) -> tuple[list[str], int]:
    """Those of go.sum, and which of them has the hash of what is compiled."""
    lines = (module / "go.sum").read_text().splitlines(keepends=True)
    (number,) = (
        n for n, line in enumerate(lines) if line.startswith(f"{ORIGIN.module} v{version_of('kustomize')} h1:")
    )
    return lines, number


def refusal(module: Path) -> str:
    with pytest.raises(CommandFailed) as refused:
        golang.build(module, ORIGIN.module, version_of("kustomize"), module / "program")
    assert not (module / "program").exists()
    return refused.value.output


def test_a_module_of_other_bytes_is_refused(module: Path) -> None:
    lines, number = lines_of(module)
    lines[number] = f"{lines[number].rpartition(' ')[0]} {ANOTHER}\n"
    (module / "go.sum").write_text("".join(lines))
    said = refusal(module)
    assert f"verifying {ORIGIN.module}@v{version_of('kustomize')}: checksum mismatch" in said


def test_a_module_without_a_hash_is_refused_and_none_is_added(module: Path) -> None:
    lines, number = lines_of(module)
    del lines[number]
    (module / "go.sum").write_text("".join(lines))
    assert "missing go.sum entry" in refusal(module)
    assert (module / "go.sum").read_text() == "".join(lines)
