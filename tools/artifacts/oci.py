# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container image as an archive of the Open Container Initiative's layout: the same files give the same bytes.

Pure: it knows file systems as trees of entries, and archives as bytes.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import stat
import tarfile
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIGURATION = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REFERENCE = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation that containerd's import takes the image's whole name from."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file, a directory or a symbolic link; all belong to root."""

    mode: int
    """Kind and permissions, as in st_mode."""
    data: bytes = b""
    link: str = ""

    @property
    def is_directory(self) -> bool:
        """Whether it may have entries below."""
        return stat.S_ISDIR(self.mode)


Tree = Mapping[str, Entry]
"""Entries by their absolute paths; the root itself is none."""


def file(data: bytes, executable: bool = False) -> Entry:
    """A file that all may read."""
    return Entry(stat.S_IFREG | (0o755 if executable else 0o644), data)


def directory(mode: int = 0o755) -> Entry:
    """A directory."""
    return Entry(stat.S_IFDIR | mode)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, link=target)


def with_parents(tree: Tree) -> dict[str, Entry]:
    """The same, with the directories above each entry. Raises ValueError where one above is no directory."""
    found = dict(tree)
    for path in tree:
        for parent in map(str, PurePosixPath(path).parents):
            if parent != "/" and not found.setdefault(parent, directory()).is_directory:
                raise ValueError(f"{path}: {parent} is no directory")
    return found


@dataclasses.dataclass(frozen=True)
class Image:
    """An image: what is in it, lowest layer first, and how it is run."""

    name: str
    """With its tag: name:1.0.0."""
    architecture: str
    """As Go has it: amd64."""
    moment: int
    """When it was made, and its files were changed, in seconds since 1970."""
    layers: Sequence[Tree]
    entrypoint: Sequence[str]
    environment: Mapping[str, str]
    user: str
    labels: Mapping[str, str]

    @property
    def content_bytes(self) -> int:
        """The bytes in all files."""
        return sum(len(entry.data) for layer in self.layers for entry in layer.values())


def archive(image: Image) -> bytes:
    """The image as a tar file that containerd, podman and skopeo read."""
    tars = _tars(image)
    layers = [_compressed(tar) for tar in tars]
    blobs = [*layers, _configuration(image, tars)]
    *described, configuration = [
        _descriptor(kind, blob) for kind, blob in zip([_LAYER] * len(layers) + [_CONFIGURATION], blobs, strict=True)
    ]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": configuration,
            "layers": described,
            "annotations": {**image.labels, "org.opencontainers.image.created": timestamp(image.moment)},
        }
    )
    blobs.append(manifest)
    tree = {
        "oci-layout": file(_json({"imageLayoutVersion": "1.0.0"})),
        "index.json": file(_index(image, manifest)),
        "blobs": directory(),
        "blobs/sha256": directory(),
        **{f"blobs/sha256/{_sha256(blob)}": file(blob) for blob in blobs},
    }
    return _tar(tree, image.moment)


def image_id(image: Image) -> str:
    """The digest by which runtimes know the image, whatever its layers are compressed with."""
    return f"sha256:{_sha256(_configuration(image, _tars(image)))}"


def _index(image: Image, manifest: bytes) -> bytes:
    names = {REFERENCE: image.name, CONTAINERD_NAME: f"localhost/{image.name}"}
    platform = {"architecture": image.architecture, "os": "linux"}
    described = {**_descriptor(_MANIFEST, manifest), "platform": platform, "annotations": names}
    return _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [described]})


def _configuration(image: Image, tars: Iterable[bytes]) -> bytes:
    return _json(
        {
            "created": timestamp(image.moment),
            "architecture": image.architecture,
            "os": "linux",
            "config": {
                "User": image.user,
                "Env": [f"{name}={value}" for name, value in sorted(image.environment.items())],
                "Entrypoint": list(image.entrypoint),
                "WorkingDir": "/",
                "Labels": dict(image.labels),
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(tar)}" for tar in tars]},
        }
    )


def _tars(image: Image) -> list[bytes]:
    return [
        _tar({path.lstrip("/"): entry for path, entry in with_parents(tree).items()}, image.moment)
        for tree in image.layers
    ]


def _compressed(data: bytes) -> bytes:
    """Another implementation of zlib may give other bytes: of these the image's id is not made."""
    stream = io.BytesIO()
    # gzip.compress would note the system in the head, from Python 3.11 on.
    with gzip.GzipFile("", "wb", 6, stream, mtime=0) as compressed:
        compressed.write(data)
    return stream.getvalue()


def _tar(tree: Tree, moment: int) -> bytes:
    """Sorted by name: a directory comes before what is in it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, entry in sorted(tree.items()):
            member = tarfile.TarInfo(name)
            member.mode, member.mtime, member.size = stat.S_IMODE(entry.mode), moment, len(entry.data)
            member.type = {stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE}.get(
                stat.S_IFMT(entry.mode), tarfile.REGTYPE
            )
            member.linkname = entry.link
            tar.addfile(member, io.BytesIO(entry.data))
    return data.getvalue()


def _descriptor(kind: str, blob: bytes) -> dict[str, t.Any]:
    return {"mediaType": kind, "digest": f"sha256:{_sha256(blob)}", "size": len(blob)}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(document: Mapping[str, t.Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def timestamp(moment: int) -> str:
    """Seconds since 1970 as RFC 3339 has them."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
