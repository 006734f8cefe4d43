# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]
LOCK = """\
# a comment
grpcio==1.80.1 ; python_full_version < '3.10' \\
    --hash=sha256:aa \\
    --hash=sha256:ab
    # via -r device_plugin.in
grpcio==1.85.1 ; python_full_version >= '3.10' \\
    --hash=sha256:ba
protobuf==7.36.2 \\
    --hash=sha256:ca
"""


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    monkeypatch.syspath_prepend(str(HERE))
    return __import__("bundle")


def test_a_lock_is_cut_to_one_python(bundle: t.Any) -> None:
    old, new = (bundle.requirements(LOCK, python) for python in ("3.9", "3.11"))
    assert ("grpcio==1.80.1" in old, "--hash=sha256:ab" in old, "1.85.1" in old) == (True, True, False)
    assert ("grpcio==1.80.1" in new, "--hash=sha256:ab" in new, "1.85.1" in new) == (False, False, True)
    assert all("protobuf==7.36.2" in one and ";" not in one for one in (old, new))


def test_a_release_is_named_by_its_contents(bundle: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = bundle.release_name("3.11", "x86_64")
    assert re.fullmatch(r"\d+\.\d+\.\d+-py3\.11-[0-9a-f]{10}", name)
    assert name == bundle.release_name("3.11", "x86_64")
    assert name != bundle.release_name("3.11", "aarch64")
    lock = tmp_path / "lock"
    lock.write_text(LOCK)
    monkeypatch.setattr(bundle, "LOCK", lock)
    assert name != bundle.release_name("3.11", "x86_64")


def test_another_python_than_the_release_is_for_is_one_sentence(bundle: t.Any, tmp_path: Path) -> None:
    program = tmp_path / "qat-device-plugin"
    program.write_text(bundle.command("3.8"))
    result = subprocess.run([sys.executable, "-I", str(program)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"qat-device-plugin: packed for Python 3.8, and {sys.executable} is {sys.version_info[0]}.{sys.version_info[1]}: "
        "run the role qat_device_plugin again\n"
    )


def test_no_wheels_for_a_machine_is_one_sentence(bundle: t.Any, tmp_path: Path) -> None:
    with pytest.raises(bundle.BundleError, match=r"^pip found no wheels for Python 3\.11 on vax: "):
        bundle.bundle("3.11", "vax", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def packed(bundle: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> t.Callable[[], Path]:
    """Packs without wheels, into one cache."""
    monkeypatch.setattr(bundle, "_install", lambda library, *_kind: (library / "wheel.py").touch())

    def pack() -> Path:
        archive: Path = bundle.bundle("3.11", "x86_64", tmp_path / "cache")[1]
        return archive

    return pack


@pytest.mark.parametrize("damage", ["cut off", "empty", "another", "without its hash", "with a part of its hash"])
def test_an_archive_that_is_not_what_was_packed_is_packed_again(packed: t.Callable[[], Path], damage: str) -> None:
    """A power cut, a full disk, or a hand in the cache; and the same sources give the same bytes."""
    archive = packed()
    whole, note = archive.read_bytes(), archive.with_name(archive.name + ".sha256")
    hashed = note.read_text()
    if damage == "without its hash":
        note.unlink()
    elif damage == "with a part of its hash":
        note.write_text("")
    else:
        archive.write_bytes({"cut off": whole[: len(whole) // 2], "empty": b"", "another": whole + b"more"}[damage])
    assert packed() == archive
    assert (archive.read_bytes(), note.read_text()) == (whole, hashed)
    assert sorted(path.name for path in archive.parent.iterdir()) == [archive.name, note.name]


def test_a_bundle_runs_by_itself(tmp_path: Path) -> None:
    """Packed for this Python, unpacked elsewhere, and run without anything of the checkout."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    command = [
        sys.executable,
        str(HERE / "bundle.py"),
        f"--python={python}",
        f"--machine={platform.machine()}",
        str(tmp_path),
    ]
    first = json.loads(subprocess.check_output(command))
    packed = Path(first["archive"]).stat().st_mtime_ns
    assert json.loads(subprocess.check_output(command)) == first
    assert Path(first["archive"]).stat().st_mtime_ns == packed
    release = tmp_path / "release"
    with tarfile.open(first["archive"]) as archive:
        assert {(entry.uid, entry.mtime) for entry in archive} == {(0, 0)}
        archive.extractall(release)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=release, check=True)
    listed = {line.split(maxsplit=1)[1] for line in (release / "SHA256SUMS").read_text().splitlines()}
    assert listed | {"SHA256SUMS"} == {str(path.relative_to(release)) for path in release.rglob("*") if path.is_file()}
    assert "GNU GENERAL PUBLIC LICENSE" in (release / "LICENSE").read_text()
    config = tmp_path / "node.json"
    config.write_text('{"devices": []}')
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    start = [sys.executable, "-I", str(release / "bin" / "qat-device-plugin")]
    checked = subprocess.check_output([*start, "--validate", f"--config={config}"], env=environment, text=True)
    assert checked == f"{config}: the configuration is valid\n"
    imports = f"import sys; sys.path[:0] = [{str(release / 'lib')!r}]; import qat_device_plugin.exposition, grpc; print(grpc.__file__)"
    where = subprocess.check_output([sys.executable, "-S", "-I", "-c", imports], env=environment, text=True)
    assert where.startswith(str(release))
