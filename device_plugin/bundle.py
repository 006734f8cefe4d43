# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the device plugin with all it needs for one kind of node: `python bundle.py --python 3.11 --machine x86_64 DIRECTORY`.

Runs on the controller, so that a node needs no network, pip or compiler. The dependencies are those of the lock, as wheels, with
their hashes checked. Prints the name of the release and the path of the archive as JSON. What was packed once is not packed again,
unless the archive is no longer what was packed; of several that are to pack the same at once, one does. The same sources and wheels give
the same bytes. With `--packed` nothing is packed: the archive has to be there, as one was carried to a controller without network.
"""

from __future__ import annotations

import argparse
import contextlib
import email
import fcntl
import gzip
import hashlib
import importlib.util
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
BILL = "bom.cdx.json"
"""In a release: what it is made of, as CycloneDX."""
LICENCES = "licenses"
"""In a release: the licences of the packages in it, a directory each."""
# Part of the release's name: another layout is another release.
_LAYOUT = "2"
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
        f"@NAME@: packed for Python {PYTHON}, and {sys.executable} is {found}: run the role qat_device_plugin again",
        file=sys.stderr,
    )
    sys.exit(2)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from qat_device_plugin.@MODULE@ import main

sys.exit(main())
"""
_COMMANDS = {
    "qat-device-plugin": "cli",
    "qat-vm-attach": "vm_attach.command",
    "qat-exporter": "exporter.command",
}
"""The commands of a release, with the module of the package that has each."""


class BundleError(Exception):
    """The bundle cannot be made; the message says why and what to do."""


def packed(python: str, machine: str, directory: Path) -> tuple[str, Path]:
    """The release's name and its archive, which was packed before and brought to `directory`; raises BundleError."""
    release, archive = _place_of(python, machine, directory)
    again = (
        f"pack it where there is a network, with the same release of the collection: ansible-playbook accel.qat.bundle "
        f'-e qat_bundle_directory=DIRECTORY -e \'{{"qat_bundle_pythons": ["{python}"], "qat_bundle_machines": ["{machine}"]}}\''
    )
    if not archive.exists():
        raise BundleError(f"{directory}: it has no {archive.name}, which is for Python {python} on {machine}; {again}")
    if not _note_of(archive).exists():
        raise BundleError(f"{archive}: its hash is missing; bring {_note_of(archive).name} with it")
    if not _is_as_packed(archive):
        raise BundleError(
            f"{archive}: it is not what was packed, by the hash in {_note_of(archive).name}; bring it again, or {again}"
        )
    return release, archive


def bundle(python: str, machine: str, directory: Path) -> tuple[str, Path]:
    """The release's name and its archive in `directory`, made where it is not there yet; raises BundleError."""
    release, archive = _place_of(python, machine, directory)
    if _is_as_packed(archive):
        return release, archive
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory):
        if not _is_as_packed(archive):  # nobody has meanwhile
            _make(python, machine, archive)
    return release, archive


def _place_of(python: str, machine: str, directory: Path) -> tuple[str, Path]:
    release = release_name(python, machine)
    return release, directory / f"qat-device-plugin-{release}.tar.gz"


def _make(python: str, machine: str, archive: Path) -> None:
    _require_pip()
    with tempfile.TemporaryDirectory(dir=archive.parent) as work:
        _fill(Path(work) / "release", python, machine)
        draft = Path(work) / "archive"
        _pack(Path(work) / "release", draft)
        _keep(draft, archive)


@contextlib.contextmanager
def _alone(directory: Path) -> t.Iterator[None]:
    """Keep others away that would pack the same, one for each node of a run. Some file systems of networks cannot: then all pack."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
    digest = hashlib.sha256(f"{_LAYOUT} {python} {machine} {_COMMAND} {_COMMANDS}".encode())
    digest.update(LOCK.read_bytes() + LICENCE.read_bytes())
    for path in _sources():
        digest.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    return f"{_version()}-py{python}-{digest.hexdigest()[:10]}"


def _version() -> str:
    found = re.search(r'^__version__ = "(.+)"$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise BundleError(f"{PACKAGE / '__init__.py'} has no version")
    return found[1]


def command(python: str, name: str = "qat-device-plugin") -> str:
    """The text of one of the release's commands, which refuses another Python than this."""
    return _COMMAND.replace("@PYTHON@", python).replace("@NAME@", name).replace("@MODULE@", _COMMANDS[name])


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
    parts = (PACKAGE / "vm_attach", PACKAGE / "exporter", PACKAGE / "_node")
    return sorted([*PACKAGE.glob("*.py"), *(path for part in parts for path in part.rglob("*.py"))])


def _fill(release: Path, python: str, machine: str) -> None:
    library = release / "lib"
    library.mkdir(parents=True)
    _install(library, python, machine)
    for path in _sources():
        target = library / "qat_device_plugin" / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (release / "bin").mkdir()
    for name in _COMMANDS:
        program = release / "bin" / name
        program.write_text(command(python, name))
        program.chmod(0o755)
    shutil.copyfile(LICENCE, release / "LICENSE")
    packages = [_Package(path) for path in sorted(library.glob("*.dist-info"))]
    for package in packages:
        package.copy_licences(release / LICENCES)
    (release / BILL).write_text(bill_of_materials(packages, python, machine))
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
        raise _failure(result.stderr, python, machine)
    shutil.rmtree(library / "bin", ignore_errors=True)
    # What pip notes of itself differs from pip to pip.
    for name in _NOTES_OF_PIP:
        for path in library.glob(f"*.dist-info/{name}"):
            path.unlink()


_NOTES_OF_PIP = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")
_ELSEWHERE = "or pack where there is a network, and name what accel.qat.bundle has made with qat_device_plugin_bundle"


def _require_pip() -> None:
    if importlib.util.find_spec("pip") is None:
        raise BundleError(
            f"the controller's Python {sys.executable} has no pip, which fetches the wheels of the device plugin; "
            f"install it (python3-pip of the distribution, {sys.executable} -m ensurepip, or uv pip install pip), {_ELSEWHERE}"
        )


_NETWORK = re.compile(
    r"Retrying \(|Could not fetch URL|Connection(Error|Refused)|connection broken|ProxyError|SSLError|timed out|Name or service"
)
"""In what pip says of an index that it does not reach, whether it then gives up or finds nothing."""


def _failure(stderr: str, python: str, machine: str) -> BundleError:
    """What pip's words mean. Its last line says what it has come to, the ones before why."""
    lines = [" ".join(line.split()) for line in stderr.splitlines() if line.strip()]
    said = lines[-1].removeprefix("ERROR: ") if lines else "nothing"
    network = next((line.removeprefix("WARNING: ") for line in lines if _NETWORK.search(line)), "")
    if network:
        return BundleError(
            f"no package index answers the controller's pip: {network}; see its address and proxy (PIP_INDEX_URL, HTTPS_PROXY), "
            f"give it a directory of wheels (PIP_NO_INDEX=1, PIP_FIND_LINKS), {_ELSEWHERE}"
        )
    if "DO NOT MATCH THE HASHES" in stderr:
        return BundleError(
            f"pip was given other wheels than those of the lock: {' '.join(lines)}; "
            f"see whose files the index or PIP_FIND_LINKS has, {_ELSEWHERE}"
        )
    if "Could not find a version" in stderr or "No matching distribution" in stderr:
        return BundleError(
            f"pip found no wheels for Python {python} on {machine}: {said}; "
            "see that the index, or the directory of PIP_FIND_LINKS, has them, "
            "or name another Python of the node with qat_device_plugin_python"
        )
    return BundleError(
        f"pip cannot fetch the wheels for Python {python} on {machine}: {' '.join(lines)}; correct that, {_ELSEWHERE}"
    )


class _Package:
    """A package in a release, by what its wheel says of it."""

    def __init__(self, information: Path) -> None:
        self._information = information
        metadata = email.message_from_bytes((information / "METADATA").read_bytes())
        self.name, self.version = str(metadata["Name"]), str(metadata["Version"])
        expression, text = metadata["License-Expression"], metadata["License"]
        self.licence = (
            {"expression": str(expression)} if expression else {"license": {"name": str(text or "see its files")}}
        )

    def copy_licences(self, directory: Path) -> None:
        """Put the texts into a directory of the package's name; raises BundleError where there is none."""
        found = [
            path
            for path in sorted(self._information.rglob("*"))
            if path.is_file() and re.match(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)", path.name, re.IGNORECASE)
        ]
        if not found:
            raise BundleError(f"the wheel of {self.name} {self.version} has no licence with it")
        target = directory / self.name
        target.mkdir(parents=True)
        for path in found:
            shutil.copyfile(path, target / path.name)

    def component(self) -> dict[str, t.Any]:
        """Its entry in a bill of materials."""
        return {
            "type": "library",
            "name": self.name,
            "version": self.version,
            "purl": f"pkg:pypi/{self.name.lower().replace('_', '-')}@{self.version}",
            "licenses": [self.licence],
        }


def bill_of_materials(packages: t.Sequence[_Package], python: str, machine: str) -> str:
    """What the release is made of, as CycloneDX. Without the time and the number of the document, which would differ each time."""
    itself = {
        "type": "application",
        "name": "qat-device-plugin",
        "version": _version(),
        "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
        "properties": [{"name": "python", "value": python}, {"name": "machine", "value": machine}],
    }
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": itself},
        "components": [package.component() for package in packages],
    }
    return json.dumps(bill, indent=2) + "\n"


def _pack(release: Path, archive: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path in sorted(release.rglob("*")):
            tar.add(path, path.relative_to(release), recursive=False, filter=_anonymous)
    # tarfile would note the time of packing in the head, and gzip.compress there the system, from Python 3.11 on.
    with archive.open("wb") as stream, gzip.GzipFile("", "wb", 6, stream, mtime=0) as compressed:
        compressed.write(plain.getvalue())


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
    parser.add_argument("--packed", action="store_true", help="pack nothing: the archive was brought there")
    parser.add_argument("directory", type=lambda text: Path(text).expanduser(), help="where archives are kept")
    options = parser.parse_args(arguments)
    try:
        find = packed if options.packed else bundle
        release, archive = find(options.python, options.machine, options.directory)
    except BundleError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"bundle: {error.filename or options.directory}: {error.strerror or error}; see who may write there",
            file=sys.stderr,
        )
        return 1
    print(json.dumps({"release": release, "archive": str(archive)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
