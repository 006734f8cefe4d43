# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of Kubernetes and containerd: compiled once, each when it is asked for, or those of Kubernetes taken from a directory."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.accel.qat.tools.building import debian, golang, host, layers

from ..errors import LabError
from ..paths import KUBERNETES_SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .releases import Release

CONTROL_PLANE = ("kube-apiserver", "kube-scheduler", "kube-controller-manager")
KUBEADM = "kubeadm"
NODE = ("kubelet", KUBEADM)
NAMES = (*CONTROL_PLANE, *NODE)
"""What a cluster is made of."""
MODULE_NAMES = (*NAMES, "kubectl")
"""What can be had of a release that is compiled from modules."""
CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")
"""What the disk of a node has instead of Debian's where its release says so."""

VARIABLE = "ACCEL_QAT_KUBERNETES"
"""Environment variable with a directory that has these programs; then nothing is compiled."""


def given() -> Path | None:
    """The directory that the environment names; LabError if it lacks one of the programs of a cluster."""
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


def program(release: Release, name: str) -> Path:
    """Where a program is, or will be once compiled."""
    named = None if name in CONTAINERD else given()
    return (named or layer(release, name)) / name


def of_node(release: Release) -> tuple[str, ...]:
    """What a node's disk has of these; containerd is not among them where it comes from Debian."""
    return (*NODE, *(CONTAINERD if release.containerd else ()))


def layer(release: Release, name: str) -> Path:
    """The layer of the cache with a program that we compile. Debian's package has one for all: much of it is done once."""
    if release.packaged:
        parts = [inspect.getsource(part) for part in (debian.mmdebstrap, _build_package)]
        files = [(KUBERNETES_SOURCES / file).read_bytes() for file in ("compile", "toolchain-packages.txt")]
        return layers.directory("kubernetes", layers.key([release.debian.suite, *parts, *files]))
    module, version, _ = _origin(release, name)
    files = [(module / file).read_bytes() for file in ("go.mod", "go.sum")]
    key = layers.key([version, name, *golang.key_parts(), *files])
    return layers.directory("kubernetes", f"{version}-{name}-{key}")


def all_layers(release: Release) -> set[Path]:
    """The layers with the programs of a release."""
    names = NAMES if release.packaged else MODULE_NAMES
    return {layer(release, name) for name in {*names, *of_node(release)}}


def key(release: Release, name: str) -> str:
    """What identifies a program."""
    named = given()
    if named is None or name in CONTAINERD:
        return layer(release, name).name
    return hashlib.sha256((named / name).read_bytes()).hexdigest()


def ensure(release: Release, names: Iterable[str]) -> None:
    """Compile programs that are not there; those of Debian's package need root."""
    named = given()
    for name in names:
        if named is not None and name not in CONTAINERD:
            continue
        target = layer(release, name)
        if target.exists():
            os.utime(target)
        elif release.packaged:
            layers.build(
                target,
                partial(_build_package, release),
                "Kubernetes, which takes two to four minutes on two cores, and is done once",
            )
        else:
            layers.build(
                target,
                partial(_build_module, release, name),
                f"{name} {_origin(release, name)[1]}, once; on two cores four minutes for the first program, one for each other",
            )


def _origin(release: Release, name: str) -> tuple[Path, str, str]:
    """Of a program that is compiled from modules: the directory with go.mod, its version, and its package."""
    if name in CONTAINERD:
        return KUBERNETES_SOURCES / "containerd", release.containerd, f"github.com/containerd/containerd/v2/cmd/{name}"
    return KUBERNETES_SOURCES / release.name, release.version, f"k8s.io/kubernetes/cmd/{name}"


def _build_module(release: Release, name: str, target: Path) -> None:
    module, version, package = _origin(release, name)
    golang.build(module, package, version, target / name)


def _build_package(release: Release, target: Path) -> None:
    root = target / "toolchain"
    # apt-get source wants the indexes of sources, which mmdebstrap does not get by itself.
    source = (
        '--customize-hook=cd "$1" && sed -n "s/^deb /deb-src /p" etc/apt/sources.list etc/apt/sources.list.d/*.list'
        " > source.list; mv source.list etc/apt/sources.list.d && mkdir package && cd package &&"
        " export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG && apt-get update && apt-get source --download-only kubernetes"
    )
    packages = debian.words(KUBERNETES_SOURCES / "toolchain-packages.txt")
    leave_out = ["/usr/share/doc/*", "/usr/share/man/*"]
    debian.mmdebstrap(release.debian, root, "essential", packages, leave_out, [source])
    shutil.copy(KUBERNETES_SOURCES / "compile", root / "compile")
    host.follow(["chroot", root, "/compile", "/package", "/programs"], "compiling")
    for name in NAMES:
        (root / "programs" / name).rename(target / name)
    shutil.rmtree(root)
