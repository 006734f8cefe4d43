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
import threading
import time
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
    with pytest.raises(
        bundle.BundleError, match=r"^pip found no wheels for Python 3\.11 on vax: .*; see that the index"
    ):
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


def test_the_head_of_an_archive_is_the_same_whoever_packs(packed: t.Callable[[], Path]) -> None:
    """No time, no name, no system: byte 9 is 255, for unknown."""
    assert packed().read_bytes()[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


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
    bill = json.loads((release / "bom.cdx.json").read_text())
    packages = {component["name"] for component in bill["components"]}
    assert packages == {path.name for path in (release / "licenses").iterdir()} >= {"grpcio", "protobuf"}
    assert all(component["version"] and component["licenses"] for component in bill["components"])
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "qat-device-plugin")
    # What differs from pip to pip.
    assert not [path for path in release.rglob("*.dist-info/*") if path.name in ("INSTALLER", "RECORD", "REQUESTED")]
    config = tmp_path / "node.json"
    config.write_text('{"devices": []}')
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    start = [sys.executable, "-I", str(release / "bin" / "qat-device-plugin")]
    checked = subprocess.check_output([*start, "--validate", f"--config={config}"], env=environment, text=True)
    assert checked == f"{config}: the configuration is valid\n"
    imports = f"import sys; sys.path[:0] = [{str(release / 'lib')!r}]; import qat_device_plugin.exposition, grpc; print(grpc.__file__)"
    where = subprocess.check_output([sys.executable, "-S", "-I", "-c", imports], env=environment, text=True)
    assert where.startswith(str(release))


def pip_says(bundle: t.Any, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """pip fails with these words, whatever it is asked."""
    ended = subprocess.CompletedProcess[str]([], 1, "", words)
    monkeypatch.setattr(bundle.subprocess, "run", lambda *_words, **_options: ended)


NOTHING_FOUND = """\
ERROR: Could not find a version that satisfies the requirement grpcio==1.85.1 (from versions: none)
ERROR: No matching distribution found for grpcio==1.85.1
"""
RETRYING = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by "
    "'NewConnectionError('<...>: Failed to establish a new connection: [Errno 111] Connection refused')': /simple/grpcio/\n"
)
NO_INDEX = "no package index answers the controller's pip: "
NO_WHEEL = "pip found no wheels for Python 3.11 on x86_64: No matching distribution found for grpcio==1.85.1; see that the index"


@pytest.mark.parametrize(
    ("words", "begins", "remedy"),
    [
        (RETRYING + NOTHING_FOUND, NO_INDEX + "Retrying (", "PIP_INDEX_URL, HTTPS_PROXY"),
        (
            "WARNING: Could not fetch URL https://i/simple/grpcio/: There was a problem confirming the ssl certificate\n"
            + NOTHING_FOUND,
            NO_INDEX + "Could not fetch URL",
            "PIP_FIND_LINKS",
        ),
        (
            "ERROR: Exception:\nTraceback\npip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.\n",
            NO_INDEX,
            "HTTPS_PROXY",
        ),
        (NOTHING_FOUND, NO_WHEEL, "name another Python of the node with qat_device_plugin_python"),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. ...\n  Got  ab\n",
            "pip was given other wheels than those of the lock: ",
            "see whose files the index",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            "pip cannot fetch the wheels for Python 3.11 on x86_64: ERROR: Could not install",
            "correct that",
        ),
        ("", "pip cannot fetch the wheels for Python 3.11 on x86_64: ", "correct that"),
    ],
    ids=["refused", "certificate", "timeout", "no wheel", "other wheels", "disk", "no word"],
)
def test_each_cause_has_its_remedy(
    bundle: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str, begins: str, remedy: str
) -> None:
    pip_says(bundle, monkeypatch, words)
    with pytest.raises(bundle.BundleError) as caught:
        bundle.bundle("3.11", "x86_64", tmp_path)
    said = str(caught.value)
    assert said.startswith(begins)
    assert remedy in said
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_controller_without_pip(bundle: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(bundle.BundleError) as caught:
        bundle.bundle("3.11", "x86_64", tmp_path)
    assert str(caught.value).startswith(f"the controller's Python {sys.executable} has no pip, ")
    assert "python3-pip" in str(caught.value)
    assert "qat_device_plugin_bundle" in str(caught.value)


@pytest.mark.usefixtures("packed")
def test_nodes_of_one_kind_pack_once(bundle: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each in a process of its own, as those of a run: the lock is theirs."""
    packs: list[int] = []
    fill = bundle._fill

    def counted(*arguments: t.Any) -> None:
        packs.append(threading.get_ident())
        time.sleep(0.2)
        fill(*arguments)

    monkeypatch.setattr(bundle, "_fill", counted)
    threads = [
        threading.Thread(target=bundle.bundle, args=("3.11", "x86_64", tmp_path / "cache")) for _node in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(packs) == 1


def test_what_was_brought_is_taken_as_it_was_packed(
    bundle: t.Any, packed: t.Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed()
    monkeypatch.setattr(bundle, "_make", lambda *_arguments: pytest.fail("packed again"))
    assert bundle.packed("3.11", "x86_64", archive.parent) == (bundle.release_name("3.11", "x86_64"), archive)
    with pytest.raises(
        bundle.BundleError, match=r"which is for Python 3\.12 on x86_64; pack it where there is a network"
    ):
        bundle.packed("3.12", "x86_64", archive.parent)
    note = archive.with_name(archive.name + ".sha256")
    hashed = note.read_text()
    note.unlink()
    with pytest.raises(bundle.BundleError, match=r"its hash is missing; bring qat-device-plugin-.*\.sha256 with it"):
        bundle.packed("3.11", "x86_64", archive.parent)
    note.write_text(hashed)
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(bundle.BundleError, match="it is not what was packed, by the hash in"):
        bundle.packed("3.11", "x86_64", archive.parent)
    assert archive.exists()


def test_a_directory_that_is_not_there_is_one_sentence(
    bundle: t.Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--python=3.11", "--machine=x86_64"]
    assert bundle.main([*words, "--packed", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith(f"bundle: {tmp_path}/none: it has no qat-device-plugin-")
    (tmp_path / "file").touch()
    assert bundle.main([*words, str(tmp_path / "file" / "cache")]) == 1
    assert "Not a directory; see who may write there" in capsys.readouterr().err


def test_a_wheel_without_a_licence_is_refused(bundle: t.Any, tmp_path: Path) -> None:
    information = tmp_path / "thing-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: thing\nVersion: 1\nLicense: BSD\n\n")
    package = bundle._Package(information)
    with pytest.raises(bundle.BundleError, match="the wheel of thing 1 has no licence with it"):
        package.copy_licences(tmp_path / "licenses")
    (information / "licenses" / "sub").mkdir(parents=True)
    (information / "licenses" / "sub" / "LICENSE.txt").write_text("do as you like")
    package.copy_licences(tmp_path / "licenses")
    assert (tmp_path / "licenses/thing/LICENSE.txt").read_text() == "do as you like"
    assert package.component() == {
        "type": "library",
        "name": "thing",
        "version": "1",
        "purl": "pkg:pypi/thing@1",
        "licenses": [{"license": {"name": "BSD"}}],
    }
