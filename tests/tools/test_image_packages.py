# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Debian for the image: by the lock, from the cache, or in place of what the mirror has no longer."""

from __future__ import annotations

import subprocess
import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ansible_collections.accel.qat.tools.artifacts import debian_packages, image, oci
from ansible_collections.accel.qat.tools.artifacts.debian_packages import Locked, PackagesError
from ansible_collections.accel.qat.tools.building import debian, host
from ansible_collections.accel.qat.tools.building.errors import CommandFailed


class Mirror:
    """Debian's, with packages that are made here; apt names each file by its version."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[Sequence[str]] = []
        self.packages: dict[str, tuple[str, Path]] = {}

    def add(self, name: str, version: str, files: t.Mapping[str, str]) -> None:
        source = self.directory / f"{name}_{version}"
        for path, text in {**files, "DEBIAN/control": ""}.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text(text)
        fields = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "n", "Description": "d"}
        control = "".join(f"{field}: {value}\n" for field, value in fields.items())
        (source / "DEBIAN/control").write_text(control)
        archive = self.directory / f"{name}_{version}_amd64.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", source, archive], check=True, capture_output=True)
        self.packages[name] = (version, archive)

    def download(self, _system: debian.Debian, _architecture: str, packages: Sequence[str], target: Path) -> None:
        self.asked.append(packages)
        for word in packages:
            name, _equal, wanted = word.partition("=")
            version, archive = self.packages[name]
            if wanted not in ("", version):
                raise CommandFailed("mmdebstrap", 25, f"E: Version '{wanted}' for '{name}' was not found")
            (target / archive.name).write_bytes(archive.read_bytes())


@pytest.fixture(name="mirror")
def _mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    monkeypatch.setenv("ACCEL_QAT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mirror").mkdir()
    mirror = Mirror(tmp_path / "mirror")
    monkeypatch.setattr(debian, "download", mirror.download)
    mirror.add("one", "1", {"usr/lib/one": "1", "usr/share/doc/one/changelog": "long"})
    mirror.add("two", "1", {"usr/lib/two": "1"})
    return mirror


@pytest.fixture(name="locked")
def _locked(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Locked]:
    """What the mirror has, as a lock; the cache is empty."""
    locked = debian_packages.newest(debian.TRIXIE, "amd64", ["one", "two"])
    (tmp_path / "packages.lock").write_text("# Made on 2026-01-02\n" + "".join(f"{entry}\n" for entry in locked))
    monkeypatch.setattr(image, "LOCK", tmp_path / "packages.lock")
    monkeypatch.setenv("ACCEL_QAT_CACHE", str(tmp_path / "empty"))
    mirror.asked.clear()
    return locked


def test_what_is_locked_is_downloaded_once(mirror: Mirror, locked: list[Locked]) -> None:
    for _turn in range(2):
        packages = debian_packages.fetch(debian.TRIXIE, locked)
        assert [(package.name, package.version) for package in packages] == [("one", "1"), ("two", "1")]
    assert mirror.asked == [["one=1", "two=1"]]


@pytest.mark.parametrize("damage", [lambda data: data + b"more", lambda _data: b""], ids=["longer", "empty"])
def test_a_file_of_the_cache_that_is_damaged_is_downloaded_again(
    mirror: Mirror, locked: list[Locked], damage: Callable[[bytes], bytes]
) -> None:
    first, _second = debian_packages.fetch(debian.TRIXIE, locked)
    first.path.write_bytes(damage(first.path.read_bytes()))
    again, _second = debian_packages.fetch(debian.TRIXIE, locked)
    assert again.locked("amd64") == locked[0]
    assert len(mirror.asked) == 2


def test_another_hash_than_that_of_the_lock(mirror: Mirror, locked: list[Locked]) -> None:
    mirror.add("two", "1", {"usr/lib/two": "altered"})
    with pytest.raises(PackagesError, match=r"two 1 of the mirror has another hash than that of the lock\."):
        debian_packages.fetch(debian.TRIXIE, locked)


def test_what_the_mirror_has_no_longer_is_replaced_and_named(
    mirror: Mirror, locked: list[Locked], capfd: pytest.CaptureFixture[str]
) -> None:
    assert image._packages("amd64", True)[1]
    mirror.add("two", "2", {"usr/lib/two": "2"})
    packages, as_locked = image._packages("amd64", False)
    assert as_locked  # the cache has it still
    debian_packages._place(locked[1]).unlink()
    packages, as_locked = image._packages("amd64", False)
    assert ([package.version for package in packages], as_locked) == (["1", "2"], False)
    assert "in place of what is locked: two 2\n" in capfd.readouterr().err


@pytest.mark.usefixtures("locked")
def test_a_release_takes_nothing_in_its_place(mirror: Mirror) -> None:
    mirror.add("two", "2", {"usr/lib/two": "2"})
    with pytest.raises(
        PackagesError,
        match=r"the mirror of this host does not have what the lock has: E: Version '1' for 'two' was not found",
    ):
        image._packages("amd64", True)


@pytest.mark.usefixtures("locked")
def test_the_command_ends_with_one_sentence(mirror: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    mirror.add("two", "2", {"usr/lib/two": "2"})
    assert image.main(["--architecture", "amd64", "--locked"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("image: the mirror of this host does not have")


@pytest.mark.usefixtures("locked")
def test_the_lock_has_when_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert oci.timestamp(image.moment()) == "2026-01-02T00:00:00Z"
    image.LOCK.write_text("")
    with pytest.raises(PackagesError, match=r"packages\.lock does not say when it was made\."):
        image.moment()


def test_the_time_is_what_the_builder_of_a_distribution_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert oci.timestamp(image.moment()) == "1970-01-02T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(PackagesError, match=r"SOURCE_DATE_EPOCH: 'yesterday' is no number of seconds since 1970\."):
        image.moment()


def test_a_line_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("# comment\namd64 one 1\n")
    with pytest.raises(
        PackagesError, match=r"lock: amd64 one 1 is not an architecture, a name, a version and a hash\."
    ):
        debian_packages.read_lock(tmp_path / "lock")


def test_paths_that_are_left_out(locked: list[Locked]) -> None:
    found = debian_packages.tree(debian_packages.fetch(debian.TRIXIE, locked), ["/usr/share/doc*"])
    assert set(found) == {"/usr", "/usr/lib", "/usr/lib/one", "/usr/lib/two", "/usr/share"}
    assert found["/usr/lib/one"] == oci.file(b"1")


def test_a_file_that_two_packages_have(mirror: Mirror) -> None:
    mirror.add("three", "1", {"usr/lib/one": "other"})
    found = debian_packages.newest(debian.TRIXIE, "amd64", ["one", "three"])
    packages = debian_packages.fetch(debian.TRIXIE, found)
    with pytest.raises(PackagesError, match=r"/usr/lib/one: more than one package has it\."):
        debian_packages.tree(packages, [])


def test_nothing_can_be_below_a_link() -> None:
    with pytest.raises(ValueError, match="/lib/one: /lib is no directory"):
        oci.with_parents({"/lib": oci.link("usr/lib"), "/lib/one": oci.file(b"")})


def test_packages_are_fetched_without_root_for_any_architecture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[Sequence[str]] = []
    monkeypatch.setattr(host, "run", commands.append)
    monkeypatch.setattr(debian, "_mirrors", lambda _system: ["deb mirror"])
    debian.download(debian.TRIXIE, "arm64", ["one", "two=1:2~3"], tmp_path / "a b")
    ((*options, suite, target, mirror),) = commands
    assert (suite, target, mirror) == ("trixie", "/dev/null", "deb mirror")
    assert {"--mode=chrootless", "--variant=custom", "--architectures=arm64"} <= set(options)
    assert options[-1].endswith(
        f"cd '{tmp_path}/a b' && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download one 'two=1:2~3'"
    )
