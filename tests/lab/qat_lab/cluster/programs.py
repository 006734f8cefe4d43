# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of Kubernetes: compiled once from Debian's source package, or taken from a directory that one names."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
from pathlib import Path

from .. import debian, host, layers
from ..errors import LabError
from ..paths import KUBERNETES_SOURCES

NAMES = ("kube-apiserver", "kube-scheduler", "kubelet")

VARIABLE = "ACCEL_QAT_KUBERNETES"
"""Environment variable with a directory that has these programs; then nothing is compiled."""


def given() -> Path | None:
    """The directory that the environment names; LabError if it lacks one of the programs."""
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    named = Path(value).absolute()
    if lacking := [name for name in NAMES if not os.access(named / name, os.X_OK)]:
        raise LabError(
            f"{VARIABLE} is {value!r}, where there is no program {', '.join(lacking)}: "
            f"name a directory with {', '.join(NAMES)}, or unset it to have them compiled."
        )
    return named


def directory() -> Path:
    """Where the programs are, or will be once compiled."""
    return given() or layer()


def layer() -> Path:
    """The layer of the cache with those that we compile."""
    parts = [inspect.getsource(part) for part in (debian.mmdebstrap, _build)]
    files = [(KUBERNETES_SOURCES / name).read_bytes() for name in ("compile", "toolchain-packages.txt")]
    return layers.directory("kubernetes", layers.key([debian.RELEASE, *parts, *files]))


def key() -> str:
    """What identifies the programs."""
    named = given()
    if named is None:
        return layer().name
    return hashlib.sha256((named / "kubelet").read_bytes()).hexdigest()


def ensure() -> None:
    """Compile the programs if they are not there; needs root."""
    if given() is None:
        layers.build(layer(), _build, "Kubernetes, which takes two to four minutes on two cores, and is done once")


def _build(target: Path) -> None:
    root = target / "toolchain"
    # apt-get source wants the indexes of sources, which mmdebstrap does not get by itself.
    source = (
        '--customize-hook=cd "$1" && sed -n "s/^deb /deb-src /p" etc/apt/sources.list etc/apt/sources.list.d/*.list'
        " > source.list; mv source.list etc/apt/sources.list.d && mkdir package && cd package &&"
        " export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG && apt-get update && apt-get source --download-only kubernetes"
    )
    packages = debian.words(KUBERNETES_SOURCES / "toolchain-packages.txt")
    debian.mmdebstrap(root, "essential", packages, ["/usr/share/doc/*", "/usr/share/man/*"], [source])
    shutil.copy(KUBERNETES_SOURCES / "compile", root / "compile")
    host.follow(["chroot", root, "/compile", "/package", "/programs"], "compiling")
    for name in NAMES:
        (root / "programs" / name).rename(target / name)
    shutil.rmtree(root)
