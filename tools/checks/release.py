# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of the collection, up to its upload: docs/releasing.md.

`prepare 1.0.0` sets the version and turns the fragments of the changelog into CHANGELOG.md; `build` makes what is uploaded, in dist/, from
a commit in which all of that is done; `sums` writes list and hashes again, since a signature in an rpm changes it.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

from .archive import build_archive
from .bill import bill_of
from .galaxy import import_archive
from .shell import CHECKOUT, TREE, CommandFailed, Shell

DIST = CHECKOUT / "dist"
SUMS = "SHA256SUMS"
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# Where the version is written besides galaxy.yml, in commands.
NAMED_IN = ("README.md", "docs/execution_environments.md")
# The device plugin has the version of the collection that it comes with.
PLUGIN = "device_plugin/src/qat_device_plugin/__init__.py"
CONTAINERFILE = "deploy/image/Containerfile"
# So have the chart and what is made of it. The words before it, and after it.
MANIFESTS = {
    "deploy/kubernetes/chart/Chart.yaml": (("\nversion: ", "\n"), ("\nappVersion: ", "\n")),
    "deploy/kubernetes/base/configmap.yaml": (('/version: "', '"'),),
    "deploy/kubernetes/base/daemonset.yaml": (
        ('/version: "', '"'),
        ("image: localhost/accel-qat-device-plugin:", "\n"),
    ),
}


Builder = Callable[[Shell, Path], object]
"""Puts files into a directory. Raises CommandFailed."""


def module(name: str, *options: str) -> Builder:
    """The builder that is a module of tools/artifacts with a command, which takes `--output DIRECTORY`."""

    def build_by_module(shell: Shell, output: Path) -> None:
        words = ("python", "-m", f"ansible_collections.accel.qat.tools.artifacts.{name}", *options)
        shell.run(*words, "--output", output, PYTHONPATH=TREE)

    return build_by_module


DOCUMENTED = ("plugins/*/*.py", "roles/*/meta/argument_specs.yml")
"""Where documentation says since when there is what it describes."""
COLLECTION = "collection"
BUILDERS: dict[str, Builder] = {
    COLLECTION: build_archive,
    "device_plugin": module("device_plugin"),
    "image": module("image", "--locked"),
    "chart": module("chart"),
    "packages": module("packages"),
}
"""What makes the files of a release. Each runs twice, and has to make the same both times."""


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


def refuse_unreleased(checkout: Path) -> None:
    """Raise Refused where documentation has something come with a version that is no release."""
    known = releases(checkout)
    for path in sorted(path for pattern in DOCUMENTED for path in checkout.glob(pattern)):
        for version in re.findall(r"^ *version_added: *(\S+)$", path.read_text(), re.MULTILINE):
            if version.strip("\"'") not in known:
                where = path.relative_to(checkout)
                raise Refused(
                    f"{where}: version_added {version} is no release of the changelog; write the one that brings it"
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
    image = checkout / CONTAINERFILE
    image.write_text(image.read_text().replace(f'.version="{before}"', f'.version="{version}"'))
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
    """Build all files of the release twice, have Galaxy's importer look at the collection, and write their list and their hashes."""
    refuse_changes(CHECKOUT)
    refuse_unprepared(CHECKOUT)
    refuse_unreleased(CHECKOUT)
    shell.run("antsibull-changelog", "lint")
    made = [path for name, builder in BUILDERS.items() for path in made_twice(shell, name, builder, DIST)]
    (archive,) = (path for path in made if re.fullmatch(r"accel-qat-[0-9.]+\.tar\.gz", path.name))
    import_archive(shell, archive, thorough=True, released=True)
    write_lists(made, DIST, version_here(CHECKOUT), moment(shell))
    shell.say(f"dist/{SUMS} names {len(made) + 1} files; sign and upload them as docs/releasing.md says")


def moment(shell: Shell) -> int:
    """The time of the commit, in seconds."""
    return int(shell.read("git", "log", "-1", "--format=%ct"))


def write_lists(files: Iterable[Path], directory: Path, version: str, seconds: int) -> None:
    """Write the list of these files and the hashes of all, the list included."""
    files = list(files)
    bill = bill_in(directory, version)
    bill.write_bytes(bill_of(files, version, seconds))
    write_sums([*files, bill], directory / SUMS)


def write_lists_again(directory: Path, version: str, seconds: int) -> None:
    """The same for the files that the hashes name, as they are by now. Raises Refused where one of them is not there."""
    sums = directory / SUMS
    if not sums.exists():
        raise Refused(f"{sums} is not there; run make release first")
    files = [directory / line.split()[1] for line in sums.read_text().splitlines()]
    for path in files:
        if not path.exists():
            raise Refused(f"{path} is not there, but {SUMS} names it; run make release again")
    write_lists([path for path in files if path != bill_in(directory, version)], directory, version, seconds)


def bill_in(directory: Path, version: str) -> Path:
    """Where the list of files is."""
    return directory / f"accel-qat-{version}.spdx.json"


def made_twice(shell: Shell, name: str, builder: Builder, output: Path) -> list[Path]:
    """Run a builder twice, and put into a directory what it has made. Raises CommandFailed where the two differ."""
    with tempfile.TemporaryDirectory(prefix="accel-qat-release-") as directory:
        first, second = Path(directory, "first"), Path(directory, "second")
        for place in (first, second):
            place.mkdir()
            builder(shell, place)
        hashes, again = hashes_of(first), hashes_of(second)
        if not hashes:
            raise CommandFailed(f"{name}: nothing was made")
        if differing := sorted({one for one, _hash in hashes.items() ^ again.items()}):
            raise CommandFailed(f"{name}: {', '.join(differing)} differ from what was made of the same files before")
        output.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy(first / one, output)) for one in sorted(hashes)]


def hashes_of(directory: Path) -> dict[str, str]:
    """The SHA-256 of each file by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def write_sums(files: Iterable[Path], target: Path) -> None:
    """Write the hashes as sha256sum checks them."""
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    target.write_text("".join(sorted(lines, key=lambda line: line.split()[1])))


def main() -> int:
    """Return 0 when it is done, 1 with one sentence when it is not."""
    parser = argparse.ArgumentParser(prog="tools.checks.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare").add_argument("version")
    commands.add_parser("build")
    commands.add_parser("sums")
    arguments = parser.parse_args()
    try:
        if arguments.command == "prepare":
            prepare(Shell(), arguments.version)
        elif arguments.command == "sums":
            write_lists_again(DIST, version_here(CHECKOUT), moment(Shell()))
        else:
            build(Shell())
    except (Refused, CommandFailed) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
