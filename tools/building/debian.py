# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems of Debian, made by mmdebstrap from the mirror of this host."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import host
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Debian:
    """A release of Debian."""

    number: str
    suite: str

    def __str__(self) -> str:
        return f"Debian {self.number}"


BOOKWORM = Debian("12", "bookworm")
"""Kernel 6.1, systemd 252, containerd 1.6, etcd 3.4."""
TRIXIE = Debian("13", "trixie")
"""Kernel 6.12, systemd 257, containerd 1.7, etcd 3.5."""

RELEASES = {debian.number: debian for debian in (BOOKWORM, TRIXIE)}


def words(package_list: Path) -> list[str]:
    """Lines of a list of packages or paths, without comments."""
    lines = package_list.read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def mmdebstrap(
    debian: Debian,
    target: Path,
    variant: str,
    packages: Sequence[str],
    leave_out: Sequence[str] = (),
    hooks: Sequence[str] = (),
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
        debian.suite,
        str(target),
        *_mirrors(debian),
    ]
    host.run(command)


def download(debian: Debian, architecture: str, packages: Sequence[str], target: Path) -> None:
    """Put the archives of these packages, NAME or NAME=VERSION, into a directory; CommandFailed where the mirror has one of them not.

    apt has checked them by Debian's keys. Needs neither root nor a machine of that architecture, since nothing is unpacked or run.
    """
    fetch = (
        f"cd {shlex.quote(str(target))} && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download {shlex.join(packages)}"
    )
    command = [
        "mmdebstrap",
        "--quiet",
        "--mode=chrootless",
        # Of what chrootless is unsafe for there is nothing here: no package is installed.
        "--skip=check/chrootless",
        "--variant=custom",
        f"--architectures={architecture}",
        f"--customize-hook={fetch}",
        debian.suite,
        "/dev/null",
        *_mirrors(debian),
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
        raise ToolError(f"expected one kernel in the image, found {', '.join(versions) or 'none'}.")
    return versions[0]


def _mirrors(debian: Debian) -> list[str]:
    """Where it comes from: if this host is a Debian, from where its own release does, else mmdebstrap's default."""
    own = host_release()
    if own is None:
        return []
    fields = "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    suites = {f"{own}{part}": f"{debian.suite}{part}" for part in ("", "-updates", "-security")}
    sources: dict[str, None] = {}
    for line in host.run(["apt-get", "indextargets", "--format", fields]).splitlines():
        kind, address, suite, component = line.split()
        if kind == "Packages" and suite in suites and component == "main":
            sources[f"deb {address} {suites[suite]} {component}"] = None
    return list(sources)


def host_release() -> str | None:
    """The suite of this host, if it is a Debian."""
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return system.get("VERSION_CODENAME") if system.get("ID") == "debian" else None
