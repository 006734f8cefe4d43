# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's archive from what git has: nothing else that lies in the checkout goes to others.

The same commit gives the same bytes. ansible-galaxy writes the time of day into an archive, and files in the order of the directory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from pathlib import Path

from .shell import CHECKOUT, CommandFailed, Shell

# Both name themselves and the others; what else is in an archive follows them.
MANIFEST = "MANIFEST.json"
FILES = "FILES.json"


def build_archive(shell: Shell, output: Path, checkout: Path = CHECKOUT) -> Path:
    """Put the archive of a checkout into a directory, and return it. Raises CommandFailed."""
    output.mkdir(parents=True, exist_ok=True)
    moment = int(shell.read("git", "log", "-1", "--format=%ct", cwd=checkout))
    with tempfile.TemporaryDirectory() as tree, tempfile.TemporaryDirectory() as built:
        shell.run(checkout / "tools/collection_tree", "--tracked", tree)
        collection = Path(tree) / "ansible_collections/accel/qat"
        shell.run("ansible-galaxy", "collection", "build", "--output-path", built, cwd=collection)
        (made,) = Path(built).iterdir()
        archive = output / made.name
        archive.write_bytes(reproducible(made.read_bytes(), moment))
    return archive


def build_twice(shell: Shell, output: Path) -> Path:
    """Build the archive, and see that building it again gives the same. Raises CommandFailed."""
    archive = build_archive(shell, output)
    with tempfile.TemporaryDirectory() as again:
        if build_archive(shell, Path(again)).read_bytes() != archive.read_bytes():
            raise CommandFailed(f"{archive.name} differs from one that was built of the same files")
    return archive


def reproducible(archive: bytes, moment: int) -> bytes:
    """The same collection, with its files in the order of their names and of one time, in seconds."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        contents = {member.name: (member, _content(tar, member)) for member in tar}
    files = json.loads(contents[FILES][1])
    files["files"].sort(key=lambda entry: str(entry["name"]))
    manifest = json.loads(contents[MANIFEST][1])
    listing = _document(files)
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(listing).hexdigest()
    contents[FILES] = (contents[FILES][0], listing)
    contents[MANIFEST] = (contents[MANIFEST][0], _document(manifest))
    # The first two names first: installers read them before all others.
    names = [MANIFEST, FILES, *sorted(contents.keys() - {MANIFEST, FILES})]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            member, content = contents[name]
            member.mtime, member.size = moment, len(content)
            member.pax_headers = {}
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=moment)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isreg() else None
    return file.read() if file else b""


def _document(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()
