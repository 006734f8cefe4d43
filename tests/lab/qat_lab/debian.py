# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems of Debian 12, made by mmdebstrap from the mirror of this host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import host
from .errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

RELEASE = "bookworm"


def words(package_list: Path) -> list[str]:
    """Lines of a list of packages or paths, without comments."""
    lines = package_list.read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def mmdebstrap(
    target: Path, variant: str, packages: Sequence[str], leave_out: Sequence[str] = (), hooks: Sequence[str] = ()
) -> None:
    """Make a file system with these packages as a tar file, without the paths to leave out."""
    command = [
        "mmdebstrap",
        "--mode=root",
        f"--variant={variant}",
        "--aptopt=APT::Install-Recommends false",
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in leave_out),
        *hooks,
        RELEASE,
        str(target),
        *_mirrors(),
    ]
    host.run(command)


def unpack(tar: Path, target: Path) -> None:
    """Unpack a file system into a new directory."""
    target.mkdir()
    host.run(["tar", "--extract", "--file", tar, "--directory", target, "--numeric-owner", "--xattrs"])


def kernel_version(root: Path) -> str:
    """The one kernel version below a root file system's lib/modules."""
    versions = sorted(path.name for path in (root / "usr/lib/modules").iterdir())
    if len(versions) != 1:
        raise LabError(f"expected one kernel in the image, found {', '.join(versions) or 'none'}.")
    return versions[0]


def _mirrors() -> list[str]:
    """Where Debian 12 comes from: this host's own sources if it is Debian 12 itself, else mmdebstrap's default."""
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    if system.get("ID") != "debian" or system.get("VERSION_CODENAME") != RELEASE:
        return []
    fields = "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    suites = (RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security")
    sources: dict[str, None] = {}
    for line in host.run(["apt-get", "indextargets", "--format", fields]).splitlines():
        kind, address, suite, component = line.split()
        if kind == "Packages" and suite in suites and component == "main":
            sources[f"deb {address} {suite} {component}"] = None
    return list(sources)
