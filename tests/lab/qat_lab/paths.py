# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are: the sources of the lab, and the machines."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ansible_collections.accel.qat.tools.building.cache import cache_directory

from .errors import LabError

SOURCES = Path(__file__).resolve().parent.parent
"""The directory tests/lab of the checkout."""

IMAGE_SOURCES = SOURCES / "image"
KERNEL_SOURCES = SOURCES / "kernel"
KUBERNETES_SOURCES = SOURCES / "kubernetes"
VIRTUALIZATION_SOURCES = SOURCES / "virtualization"

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?")


def machines_directory() -> Path:
    """Directory with one subdirectory for each machine that exists."""
    if own := os.environ.get("ACCEL_QAT_LAB_DIR"):
        return Path(own).absolute()
    return cache_directory() / "machines"


def machine_directory(name: str) -> Path:
    """Directory of one machine; LabError if the name would not do as host and file name."""
    return machines_directory() / _checked(name, "machine")


def machine_names() -> list[str]:
    """Names of all machines that have a directory."""
    return _names(machines_directory())


def cluster_directory(name: str) -> Path:
    """Directory of the control plane of one cluster; LabError if the name would not do as host and file name."""
    return _clusters_directory() / _checked(name, "cluster")


def cluster_names() -> list[str]:
    """Names of all clusters that have a directory."""
    return _names(_clusters_directory())


def _clusters_directory() -> Path:
    # No machine can have this name.
    return machines_directory() / "_clusters"


def _checked(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is no {what} name: use small letters, digits and dashes, as in a host name.")
    return name


def _names(directory: Path) -> list[str]:
    if not directory.exists():
        return []
    return sorted(path.name for path in directory.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
