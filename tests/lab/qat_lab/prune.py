# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the cache small: forget saved states and image layers that nobody has used for longest."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ansible_collections.accel.qat.tools.building.cache import cache_directory

from . import image

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STATES_KEPT = 24
"""A run of all tests uses 11, some 60 MB each: were fewer kept, each would be gone again when its turn comes."""
LAYERS_KEPT = {
    "disk": 6,
    "modules": 3,
    "base": 4,
    "node": 4,
    "kubernetes": 12,
    "go-program": 12,
    "go-compiler": 2,
}
"""Layers of each kind that stay although no state builds on them: other checkouts may be at work on theirs."""


def prune(disks_in_use: Iterable[Path]) -> None:
    """Remove old states, then the layers on which neither a kept state nor a disk in use builds."""
    used = set(disks_in_use)
    states = _newest_first(cache_directory().glob("states/*/state.zst"))
    kept = [state for i, state in enumerate(states) if i < STATES_KEPT or state.with_name("disk.qcow2") in used]
    for state in states:
        if state not in kept:
            shutil.rmtree(state.parent, ignore_errors=True)
    needed = {(state.parent / "image").resolve() for state in kept} | {disk.parent for disk in used}
    needed.update(image.current_layers())
    for kind, number in LAYERS_KEPT.items():
        layers = _newest_first(path for path in cache_directory().glob(f"image/{kind}-*") if "." not in path.name)
        for layer in layers[number:]:
            if layer not in needed:
                shutil.rmtree(layer, ignore_errors=True)


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
