# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of the cache: directories named for a hash of what went into them, so that nothing is built twice.

Each is built aside and renamed into place, under a lock, so any number of processes may ask for one at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import host
from .cache import cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Part = str | bytes


def key(parts: Iterable[Part]) -> str:
    """Hash of everything that a layer is made of."""
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        total.update(struct.pack("<Q", len(data)) + data)
    return total.hexdigest()[:16]


def tree(directory: Path) -> list[Part]:
    """Names, modes and contents of all files below a directory, in a fixed order."""
    parts: list[Part] = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            parts += [str(path.relative_to(directory)), str(path.stat().st_mode & 0o111 != 0), path.read_bytes()]
    return parts


def directory(kind: str, layer_key: str) -> Path:
    """Where a layer is, or will be once built."""
    return cache_directory() / "image" / f"{kind}-{layer_key}"


def build(layer: Path, builder: Callable[[Path], None], what: str) -> None:
    """Build one layer aside and rename it into place, unless it is there by now."""
    with host.lock(layer.with_suffix(".lock"), f"building {what}"):
        if layer.exists():
            return
        for left in layer.parent.glob(f"{layer.name}.building-*"):
            shutil.rmtree(left)
        host.say(f"building {what}")
        # Readable by all, since mmdebstrap may change its user.
        aside = Path(tempfile.mkdtemp(prefix=f"{layer.name}.building-", dir=layer.parent))
        try:
            aside.chmod(0o755)
            builder(aside)
            _give_to_user([layer.parent, aside, *aside.rglob("*")])
            aside.rename(layer)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _give_to_user(paths: Iterable[Path]) -> None:
    """Under sudo, what was built belongs to the user who called it."""
    if user := os.environ.get("SUDO_UID"):
        for path in paths:
            os.chown(path, int(user), int(os.environ["SUDO_GID"]), follow_symlinks=False)
