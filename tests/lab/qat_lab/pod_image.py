# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container image of all pods, as `docker save` writes one: busybox, which does nothing until it is asked to end."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAME = "localhost/pod:1"
"""A tag, so that kubelet does not pull it; there is no registry to pull from."""

# As the first process of its container, a shell has to ask for signals or none reaches it.
IDLE = ("/bin/sh", "-c", "trap exit TERM INT; sleep 2147483647 & wait")


def write(target: Path, busybox: Path, applets: Iterable[str]) -> None:
    """Write the image as a tar file, with a link for each of busybox's commands."""
    layer = _layer(busybox.read_bytes(), applets)
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": IDLE, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w") as tar:
        _add(tar, "layer.tar", layer)
        _add(tar, "config.json", json.dumps(configuration).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _layer(busybox: bytes, applets: Iterable[str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, mode
            tar.addfile(directory)
        _add(tar, "bin/busybox", busybox, 0o755)
        for applet in sorted({*applets} - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return data.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    tar.addfile(member, io.BytesIO(data))
