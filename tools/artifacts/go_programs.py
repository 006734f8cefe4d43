# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of others that are written in Go, each compiled from its modules once and kept in the cache.

Below `go` is a directory with go.mod and go.sum for each project that they are of. To have another release of it: change the version in
go.mod, and run `go mod tidy` there.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ansible_collections.accel.qat.tools.building import golang, layers

SOURCES = Path(__file__).resolve().parent / "go"

_NFD = "sigs.k8s.io/node-feature-discovery"


class Origin(NamedTuple):
    """Where a program comes from: the directory with go.mod, the module that has it, and where in that its package is."""

    directory: str
    module: str
    package: str

    @property
    def sources(self) -> Path:
        """The directory with go.mod."""
        return SOURCES / self.directory


PROGRAMS = {
    "kubectl-nfd": Origin("nfd", _NFD, "cmd/kubectl-nfd"),
    "nfd-worker": Origin("nfd", _NFD, "cmd/nfd-worker"),
    "nfpm": Origin("nfpm", "github.com/goreleaser/nfpm/v2", "cmd/nfpm"),
    "helm": Origin("helm", "helm.sh/helm/v3", "cmd/helm"),
    "kustomize": Origin("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", ""),
}


def program(name: str) -> Path:
    """The path of a program, which is compiled where it is not there so far: a minute or two, for the first of a directory."""
    origin, version = PROGRAMS[name], version_of(name)
    files = [(origin.sources / file).read_bytes() for file in ("go.mod", "go.sum")]
    layer = layers.directory("go-program", f"{name}-{layers.key([name, *origin, *golang.key_parts(), *files])}")
    if layer.exists():
        os.utime(layer)  # it is in use
    else:
        layers.build(layer, partial(_build, name), f"{name} {version}, once")
    return layer / name


def version_of(name: str) -> str:
    """The release of a program, such as 0.19.0."""
    origin = PROGRAMS[name]
    required = rf"^\s*(?:require )?{re.escape(origin.module)} v([0-9.]+)(?: // indirect)?$"
    found = re.search(required, (origin.sources / "go.mod").read_text(), re.MULTILINE)
    assert found, f"{origin.directory}/go.mod requires no {origin.module}"
    return found[1]


def _build(name: str, target: Path) -> None:
    origin = PROGRAMS[name]
    golang.build(origin.sources, f"{origin.module}/{origin.package}".rstrip("/"), version_of(name), target / name)
