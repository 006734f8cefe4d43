# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of the collection, up to its upload: docs/releasing.md.

`prepare 1.0.0` sets the version and turns the fragments of the changelog into CHANGELOG.md; `build` makes what is uploaded, in dist/, from
a commit in which all of that is done.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path

import yaml

from .archive import build_twice
from .galaxy import import_archive
from .shell import CHECKOUT, CommandFailed, Shell

DIST = CHECKOUT / "dist"
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# Where the version is written besides galaxy.yml, in commands.
NAMED_IN = ("README.md", "docs/execution_environments.md")
# The device plugin has the version of the collection that it comes with.
PLUGIN = "device_plugin/src/qat_device_plugin/__init__.py"
# So have the chart and what is made of it. The words before it, and after it.
MANIFESTS = {
    "deploy/kubernetes/chart/Chart.yaml": (("\nversion: ", "\n"), ("\nappVersion: ", "\n")),
    "deploy/kubernetes/base/configmap.yaml": (('/version: "', '"'),),
    "deploy/kubernetes/base/daemonset.yaml": (('/version: "', '"'), ("image: accel-qat-device-plugin:", "\n")),
}


class Refused(Exception):
    """What is lacking for a release, and what to do."""


def number(version: str) -> tuple[int, ...]:
    """The parts of a version, to be compared. Raises Refused."""
    match = VERSION.fullmatch(version)
    if match is None:
        raise Refused(f"{version}: it is not a version; write three numbers, as 1.0.0")
    return tuple(map(int, match.groups()))


def version_here(checkout: Path) -> str:
    """The version in galaxy.yml."""
    return str(yaml.safe_load((checkout / "galaxy.yml").read_text())["version"])


def releases(checkout: Path) -> list[str]:
    """The versions that the changelog has."""
    return list(yaml.safe_load((checkout / "changelogs/changelog.yaml").read_text())["releases"])


def fragments(checkout: Path) -> list[str]:
    """What the changelog does not have yet."""
    return sorted(path.name for path in (checkout / "changelogs/fragments").glob("*.yml"))


def refuse_older(version: str, checkout: Path) -> None:
    """Raise Refused unless all releases are older than this version."""
    newest = max(releases(checkout), key=number, default="")
    if newest and number(version) <= number(newest):
        raise Refused(f"{version}: the changelog has {newest} already; name a later version")


def refuse_unprepared(checkout: Path) -> None:
    """Raise Refused unless the version here has been released in the changelog, with every fragment."""
    version = version_here(checkout)
    if version not in releases(checkout):
        raise Refused(
            f"galaxy.yml: {version} is not in the changelog; run make release PREPARE={version}, and commit it"
        )
    if version != max(releases(checkout), key=number):
        raise Refused(
            f"galaxy.yml: {version} is not the newest in the changelog; run make release PREPARE=VERSION with a later one"
        )
    if left := fragments(checkout):
        raise Refused(
            f"changelogs/fragments: {', '.join(left)} came after {version}; run make release PREPARE=VERSION with a later one"
        )


def refuse_changes(checkout: Path) -> None:
    """Raise Refused where the checkout differs from its commit."""
    if changed := Shell().read("git", "status", "--porcelain", cwd=checkout):
        raise Refused(f"the checkout differs from its commit; commit or remove first:\n{changed.rstrip()}")


def set_version(version: str, checkout: Path) -> None:
    """Write the version wherever it stands."""
    before = version_here(checkout)
    about = checkout / "galaxy.yml"
    about.write_text(about.read_text().replace(f"\nversion: {before}\n", f"\nversion: {version}\n"))
    for name in NAMED_IN:
        page = checkout / name
        page.write_text(page.read_text().replace(f"accel-qat-{before}.tar.gz", f"accel-qat-{version}.tar.gz"))
    plugin = checkout / PLUGIN
    plugin.write_text(plugin.read_text().replace(f'__version__ = "{before}"', f'__version__ = "{version}"'))
    for name, places in MANIFESTS.items():
        manifest = checkout / name
        for begin, end in places:
            manifest.write_text(manifest.read_text().replace(f"{begin}{before}{end}", f"{begin}{version}{end}"))


def prepare(shell: Shell, version: str) -> None:
    """Set the version and release the changelog; the commit is left to whoever looks at it."""
    number(version)
    refuse_changes(CHECKOUT)
    refuse_older(version, CHECKOUT)
    shell.run("antsibull-changelog", "lint")
    set_version(version, CHECKOUT)
    shell.run("antsibull-changelog", "release", "--version", version)
    shell.say(f"look at CHANGELOG.md and `git diff`, then commit: Release {version}")


def build(shell: Shell) -> None:
    """Build the archive twice, have Galaxy's importer look at it, and write its checksum."""
    refuse_changes(CHECKOUT)
    refuse_unprepared(CHECKOUT)
    shell.run("antsibull-changelog", "lint")
    archive = build_twice(shell, DIST)
    import_archive(shell, archive, thorough=True, released=True)
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    (DIST / "SHA256SUMS").write_text(f"{checksum}  {archive.name}\n")
    shell.say(f"dist/{archive.name} {checksum}; sign and upload it as docs/releasing.md says")


def main() -> int:
    """Return 0 when it is done, 1 with one sentence when it is not."""
    parser = argparse.ArgumentParser(prog="tools.checks.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare").add_argument("version")
    commands.add_parser("build")
    arguments = parser.parse_args()
    try:
        if arguments.command == "prepare":
            prepare(Shell(), arguments.version)
        else:
            build(Shell())
    except (Refused, CommandFailed) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
