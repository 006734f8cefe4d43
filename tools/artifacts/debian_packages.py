# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Debian by a lock: fetched from the mirror of this host, kept in the cache, and unpacked as trees, without root."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import io
import subprocess
import tarfile
import tempfile
import typing as t
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.accel.qat.tools.building import debian, host
from ansible_collections.accel.qat.tools.building.cache import cache_directory
from ansible_collections.accel.qat.tools.building.errors import CommandFailed, ToolError

from . import oci


class PackagesError(ToolError):
    """The packages cannot be had, or are not what is wanted; one sentence."""


@dataclasses.dataclass(frozen=True, order=True)
class Locked:
    """A line of the lock."""

    architecture: str
    """Debian's name for it: amd64. A package for all of them has a line for each."""
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.architecture} {self.name} {self.version} {self.sha256}"


@dataclasses.dataclass(frozen=True)
class Package:
    """The archive of a package."""

    path: Path
    control: str
    """What it says of itself, in the form of Debian's control files."""

    def field(self, name: str) -> str:
        """A line of its control file, or nothing."""
        found = [line for line in self.control.splitlines() if line.startswith(f"{name}:")]
        return found[0].partition(":")[2].strip() if found else ""

    @property
    def name(self) -> str:
        """Such as libc6."""
        return self.field("Package")

    @property
    def version(self) -> str:
        """Such as 2.41-12."""
        return self.field("Version")

    def locked(self, architecture: str) -> Locked:
        """Its line of a lock."""
        return Locked(architecture, self.name, self.version, _sha256(self.path))

    def entries(self) -> t.Iterator[tuple[str, oci.Entry]]:
        """Its files by their absolute paths. Raises PackagesError for a device or the like."""
        stream = subprocess.run(["dpkg-deb", "--fsys-tarfile", self.path], stdout=subprocess.PIPE, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
            for member in tar:
                path = "/" + member.name.removeprefix(".").strip("/")
                if path != "/":
                    yield path, self._entry(tar, member)

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> oci.Entry:
        if member.isdir():
            return oci.directory(member.mode)
        if member.issym():
            return oci.link(member.linkname)
        content = tar.extractfile(member)
        if content is None:
            raise PackagesError(f"{self.name}: {member.name} is neither a file nor a directory nor a link.")
        # Some modules of Python can be run, by a first line that asks for programs that may not be there.
        return oci.file(content.read(), member.mode & 0o111 != 0 and not member.name.endswith(".py"))


def read_lock(path: Path) -> list[Locked]:
    """What a lock has. Raises PackagesError for a line that is none."""
    lines = [line.split() for line in debian.words(path)]
    for words in lines:
        if len(words) != 4:
            raise PackagesError(f"{path}: {' '.join(words)} is not an architecture, a name, a version and a hash.")
    return [Locked(*words) for words in lines]


def fetch(system: debian.Debian, locked: Sequence[Locked]) -> list[Package]:
    """These packages, all of one architecture; raises PackagesError where the mirror has another version by now."""
    if (kept := _kept(locked)) is not None:
        return kept
    (architecture,) = {entry.architecture for entry in locked}
    host.say(f"downloading {len(locked)} packages of {system} for {architecture}")
    try:
        downloaded = _download(system, architecture, [f"{entry.name}={entry.version}" for entry in locked])
    except CommandFailed as error:
        raise PackagesError(f"the mirror of this host does not have what the lock has: {error.output}") from error
    for entry in sorted(set(downloaded) - set(locked)):
        raise PackagesError(f"{entry.name} {entry.version} of the mirror has another hash than that of the lock.")
    return [_package(_place(entry)) for entry in locked]


def newest(system: debian.Debian, architecture: str, names: Sequence[str]) -> list[Locked]:
    """What the mirror of this host has of these packages today. Raises CommandFailed."""
    host.say(f"asking the mirror for {len(names)} packages of {system} for {architecture}")
    return _download(system, architecture, names)


def store() -> Path:
    """Where the packages are kept."""
    return cache_directory() / "debian-packages"


def tree(packages: Iterable[Package], left_out: Sequence[str]) -> dict[str, oci.Entry]:
    """All files of the packages but those that a pattern fits. Raises PackagesError where two have the same file.

    Patterns are those of dpkg's path-exclude: an asterisk also stands for slashes.
    """
    found: dict[str, oci.Entry] = {}
    for package in packages:
        for path, entry in package.entries():
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in left_out):
                continue
            if found.setdefault(path, entry) != entry:
                raise PackagesError(f"{path}: more than one package has it.")
    return found


def _download(system: debian.Debian, architecture: str, words: Sequence[str]) -> list[Locked]:
    store().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store()) as draft:
        debian.download(system, architecture, words, Path(draft))
        found = [_package(path).locked(architecture) for path in sorted(Path(draft).iterdir())]
        for path, entry in zip(sorted(Path(draft).iterdir()), found, strict=True):
            path.rename(_place(entry))
    return found


def _kept(locked: Sequence[Locked]) -> list[Package] | None:
    """These packages where the cache has all of them, whole."""
    places = [_place(entry) for entry in locked]
    if not all(place.exists() for place in places):
        return None
    # Before anything reads them: dpkg-deb fails with one that is cut off.
    if [_sha256(place) for place in places] != [entry.sha256 for entry in locked]:
        return None
    packages = [_package(place) for place in places]
    whole = [package.locked(entry.architecture) for package, entry in zip(packages, locked, strict=True)]
    return packages if whole == list(locked) else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _package(path: Path) -> Package:
    return Package(path, host.run(["dpkg-deb", "--field", path]))


def _place(entry: Locked) -> Path:
    return store() / f"{entry.name}-{entry.sha256}.deb"
