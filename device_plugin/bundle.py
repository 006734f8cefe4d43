# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the device plugin with all it needs for one kind of node: `python bundle.py --python 3.11 --machine x86_64 DIRECTORY`.

Runs on the controller, so that a node needs no network, pip or compiler. The dependencies are those of the lock, as wheels, with
their hashes checked. Prints the name of the release and the path of the archive as JSON. What was packed once is not packed again,
unless the archive is no longer what was packed. The same sources and wheels give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import typing as t
from pathlib import Path

from packaging.markers import Marker

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "src" / "qat_device_plugin"
LOCK = HERE.parent / "requirements" / "device_plugin.txt"
LICENCE = HERE.parent / "LICENSES" / "GPL-3.0-or-later.txt"
CONTENTS = "SHA256SUMS"
"""In a release: its files with their hashes, as sha256sum writes and checks them."""
_GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
# Its libraries are machine code for one Python. Another one cannot load them, also not at the next start: exit 2.
_COMMAND = """\
#!/usr/bin/env -S python3 -I
import sys
from pathlib import Path

PYTHON = "@PYTHON@"
found = "{}.{}".format(*sys.version_info)
if found != PYTHON:
    print(
        f"qat-device-plugin: packed for Python {PYTHON}, and {sys.executable} is {found}: run the role qat_device_plugin again",
        file=sys.stderr,
    )
    sys.exit(2)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from qat_device_plugin.cli import main

sys.exit(main())
"""


class BundleError(Exception):
    """The bundle cannot be made; the message says why and what to do."""


def bundle(python: str, machine: str, directory: Path) -> tuple[str, Path]:
    """The release's name and its archive in `directory`, made where it is not there yet; raises BundleError."""
    release = release_name(python, machine)
    archive = directory / f"qat-device-plugin-{release}.tar.gz"
    if not _is_as_packed(archive):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as work:
            _fill(Path(work) / "release", python, machine)
            draft = Path(work) / "archive"
            _pack(Path(work) / "release", draft)
            _keep(draft, archive)
    return release, archive


def _is_as_packed(archive: Path) -> bool:
    """Whether the archive is there, and all of it: a power cut or a full disk may have left a part."""
    noted = _note_of(archive)
    return archive.exists() and noted.exists() and noted.read_text().split()[:1] == [_hash_of(archive)]


def _note_of(archive: Path) -> Path:
    return archive.with_name(archive.name + ".sha256")


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _keep(draft: Path, archive: Path) -> None:
    """Give the archive its name when all of it is on the disk, with its hash beside it."""
    note = draft.with_name("note")
    note.write_text(f"{_hash_of(draft)}  {archive.name}\n")
    for path in (draft, note):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    note.replace(_note_of(archive))
    draft.replace(archive)


def release_name(python: str, machine: str) -> str:
    """The version, the Python, and a hash of everything that goes in, so that other contents are another release."""
    digest = hashlib.sha256(f"{python} {machine} {_COMMAND}".encode())
    digest.update(LOCK.read_bytes() + LICENCE.read_bytes())
    for path in _sources():
        digest.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    version = re.search(r'^__version__ = "(.+)"$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    if version is None:
        raise BundleError(f"{PACKAGE / '__init__.py'} has no version")
    return f"{version[1]}-py{python}-{digest.hexdigest()[:10]}"


def command(python: str) -> str:
    """The text of the release's command, which refuses another Python than this."""
    return _COMMAND.replace("@PYTHON@", python)


def requirements(lock: str, python: str) -> str:
    """The lines of a lock that are for this Python. pip would go by the Python that it runs on itself."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    kept = []
    for entry in re.split(r"\n(?=[A-Za-z])", lock):
        name, _semicolon, rest = entry.partition(" ; ")
        marker, _continued, hashes = rest.partition(" \\\n")
        if not rest:
            kept.append(entry)
        elif Marker(marker).evaluate(environment):
            kept.append(f"{name} \\\n{hashes}")
    return "\n".join(kept) + "\n"


def _sources() -> list[Path]:
    """The package with the engine, which is behind a symbolic link."""
    engine = PACKAGE / "_node"
    return sorted([*PACKAGE.glob("*.py"), *engine.rglob("*.py")])


def _fill(release: Path, python: str, machine: str) -> None:
    library = release / "lib"
    library.mkdir(parents=True)
    _install(library, python, machine)
    for path in _sources():
        target = library / "qat_device_plugin" / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    program = release / "bin" / "qat-device-plugin"
    program.parent.mkdir()
    program.write_text(command(python))
    program.chmod(0o755)
    shutil.copyfile(LICENCE, release / "LICENSE")
    files = sorted(path.relative_to(release) for path in release.rglob("*") if path.is_file())
    (release / CONTENTS).write_text("".join(f"{_hash_of(release / path)}  {path}\n" for path in files))


def _install(library: Path, python: str, machine: str) -> None:
    wanted = library.with_name("requirements.txt")
    wanted.write_text(requirements(LOCK.read_text(), python))
    platforms = [word for name in _GLIBC for word in ("--platform", f"{name}_{machine}")]
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--require-hashes"]
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, "--target", str(library)]
    result = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *platforms, *target, "--requirement", str(wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        said = " ".join(result.stderr.split())
        raise BundleError(f"pip found no wheels for Python {python} on {machine}: {said}")
    shutil.rmtree(library / "bin", ignore_errors=True)


def _pack(release: Path, archive: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path in sorted(release.rglob("*")):
            tar.add(path, path.relative_to(release), recursive=False, filter=_anonymous)
    # tarfile would note the time of packing in the head.
    archive.write_bytes(gzip.compress(plain.getvalue(), 6, mtime=0))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", required=True, help="the node's Python, such as 3.11")
    parser.add_argument("--machine", required=True, help="the node's architecture, such as x86_64")
    parser.add_argument("directory", type=Path, help="where archives are kept")
    options = parser.parse_args(arguments)
    try:
        release, archive = bundle(options.python, options.machine, options.directory)
    except BundleError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"release": release, "archive": str(archive)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
