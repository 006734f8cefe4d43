# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container image of the device plugin, with qatctl and the exporter, in dist/: packages of Debian, our wheels, and our sources.

The same checkout and the same packages give the same bytes. Nothing is installed or run, so that neither root nor a machine of the
image's architecture is needed.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import re
import stat
import sys
import tarfile
import typing as t
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from ansible_collections.accel.qat.device_plugin import bundle
from ansible_collections.accel.qat.tools.building import debian, host
from ansible_collections.accel.qat.tools.building.cache import cache_directory
from ansible_collections.accel.qat.tools.building.errors import ToolError

from . import debian_packages, oci, spdx
from .debian_packages import Locked, Package, PackagesError

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = CHECKOUT / "deploy/image"
LOCK = SOURCES / "packages.lock"
DIST = CHECKOUT / "dist"
NAME = "accel-qat-device-plugin"
SYSTEM = debian.TRIXIE
PYTHON = "3.13"
"""That of the system."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""The image's architectures, as Debian, Go and the OCI name them, and as wheels do."""
HOME = "/usr/lib/qat-device-plugin"
INTERPRETER = f"/usr/bin/python{PYTHON}"
COMMANDS = {"qat-device-plugin": "cli", "qat-exporter": "exporter.command"}
"""What is in the image of a bundle's commands; qat-vm-attach asks libvirt, which is on the host."""
BILL = "/usr/share/qat-device-plugin/sbom.spdx.json"
USERS = {
    "/etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
MOST_BYTES = 90_000_000
"""More is refused: of all files, uncompressed."""

# With -I nothing of the environment matters to Python, with -B it writes no byte code, for which a read-only root has no place.
_FIRST_LINE = f"#!{INTERPRETER} -IB\n"
_QATCTL = """\
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from qat_device_plugin import __version__
from qat_device_plugin._node.cli.qatctl import main

sys.exit(main(version=__version__))
"""


@dataclasses.dataclass(frozen=True)
class Built:
    """An image, and what it is made of."""

    image: oci.Image
    packages: Sequence[Package]
    locked: bool
    """Whether all packages are those of the lock."""


def build(architecture: str, locked_only: bool = False) -> Built:
    """The image for an architecture. Raises ToolError, bundle.BundleError or OSError."""
    packages, locked = _packages(architecture, locked_only)
    version = _about()["version"]
    host.say(f"packing the device plugin {version} for Python {PYTHON} on {MACHINES[architecture]}")
    _release, archive = bundle.bundle(PYTHON, MACHINES[architecture], cache_directory() / "bundles")
    plugin = _plugin(archive)
    components = json.loads(_member(archive, bundle.BILL))["components"]
    bill = spdx.document(NAME, version, packages, components, moment())
    image = oci.Image(
        name=f"{NAME}:{version}",
        architecture=architecture,
        moment=moment(),
        layers=[base_tree(packages), {**plugin, BILL: oci.file(bill)}],
        entrypoint=["/usr/bin/qat-device-plugin"],
        environment={"PATH": "/usr/bin"},
        # The sockets of kubelet, its directory, and the tracing files are root's. It needs no capability.
        user="0:0",
        labels=labels(),
    )
    refuse_larger(image)
    return Built(image, packages, locked)


def refuse_larger(image: oci.Image) -> None:
    """Raise PackagesError for an image of more than MOST_BYTES."""
    if image.content_bytes > MOST_BYTES:
        raise PackagesError(
            f"the image has {image.content_bytes} bytes, more than {MOST_BYTES}: see {SOURCES / 'not_installed.txt'}."
        )


def moment() -> int:
    """SOURCE_DATE_EPOCH, or the day of the lock."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        if not re.fullmatch(r"[0-9]{1,10}", given):
            raise PackagesError(f"SOURCE_DATE_EPOCH: {given!r} is no number of seconds since 1970.")
        return int(given)
    found = re.search(r"^# Made on (\d{4}-\d{2}-\d{2})", LOCK.read_text(), re.M)
    if found is None:
        raise PackagesError(f"{LOCK} does not say when it was made.")
    return int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp())


def labels() -> dict[str, str]:
    """What registries show of the image. There is no commit: another one with the same files makes the same image."""
    about = _about()
    return {
        f"org.opencontainers.image.{name}": value
        for name, value in {
            "title": NAME,
            "description": "Kubernetes device plugin for the VFs of Intel QuickAssist (QAT) devices, with qatctl and qat-exporter",
            "version": about["version"],
            "licenses": " AND ".join(about["license"]),
            "vendor": about["authors"][0],
            "source": about["repository"],
            "url": about["homepage"],
            "documentation": f"{about['repository']}/blob/main/docs/image.md",
        }.items()
    }


def base_tree(packages: Iterable[Package]) -> dict[str, oci.Entry]:
    """The lower layer: Debian's part, with the users, and what scanners know the packages by."""
    packages = list(packages)
    tree = debian_packages.tree(packages, debian.words(SOURCES / "not_installed.txt"))
    tree |= {path: oci.file(text.encode()) for path, text in USERS.items()}
    tree |= {
        f"/var/lib/dpkg/status.d/{package.name}": oci.file(f"{package.control.rstrip()}\n".encode())
        for package in packages
    }
    # As the package's script would make it.
    return {**tree, "/var/run": oci.link("/run")}


def _plugin(archive: Path) -> dict[str, oci.Entry]:
    """The upper layer: what a bundle has, with commands for the image's Python, and qatctl, whose engine is the bundle's."""
    tree = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            kept = member.name.startswith(("lib/", f"{bundle.LICENCES}/")) or member.name == "LICENSE"
            content = tar.extractfile(member) if kept else None
            if content is not None:
                tree[f"{HOME}/{member.name}"] = oci.file(content.read())
    for name in COMMANDS:
        _line, _newline, text = bundle.command(PYTHON, name).partition("\n")
        tree[f"{HOME}/bin/{name}"] = oci.file((_FIRST_LINE + text).encode(), executable=True)
    tree[f"{HOME}/bin/qatctl"] = oci.file((_FIRST_LINE + _QATCTL).encode(), executable=True)
    tree |= {
        f"/usr/bin/{name}": oci.link(f"{HOME}/bin/{name}".replace("/usr", "..", 1)) for name in (*COMMANDS, "qatctl")
    }
    return tree


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        content = tar.extractfile(name)
        assert content is not None
        return content.read()


def _about() -> dict[str, t.Any]:
    about: dict[str, t.Any] = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    return about


# The lock.


def _packages(architecture: str, locked_only: bool) -> tuple[list[Package], bool]:
    """Those of the lock, or, unless nothing else will do, those that the mirror has in their place."""
    wanted = [entry for entry in debian_packages.read_lock(LOCK) if entry.architecture == architecture]
    try:
        return debian_packages.fetch(SYSTEM, wanted), True
    except PackagesError as error:
        if locked_only:
            raise
        host.say(f"not the packages of {LOCK.name}: {error}")
    found = debian_packages.newest(SYSTEM, architecture, [entry.name for entry in wanted])
    for entry in sorted(set(found) - set(wanted)):
        host.say(f"in place of what is locked: {entry.name} {entry.version}")
    return debian_packages.fetch(SYSTEM, found), False


def lock() -> str:
    """The text of a lock of what the mirror has today."""
    listed = SOURCES / "packages.txt"
    head = [
        *listed.read_text().splitlines()[:3],  # whose it is
        f"# Made on {datetime.now(UTC):%Y-%m-%d} by `make image-lock`:",
        f"# architecture, name, version and hash of each package in {listed.name}.",
    ]
    names = debian.words(listed)
    found: list[Locked] = [
        entry for architecture in MACHINES for entry in debian_packages.newest(SYSTEM, architecture, names)
    ]
    return "\n".join([*head, *map(str, sorted(found))]) + "\n"


# Where it goes.


def write(image: oci.Image, output: Path) -> Path:
    """Put the archive into a directory, and return it."""
    output.mkdir(parents=True, exist_ok=True)
    name, _colon, version = image.name.partition(":")
    path = output / f"{name}-{version}-{image.architecture}.oci.tar"
    draft = path.with_suffix(".draft")
    draft.write_bytes(oci.archive(image))
    draft.replace(path)
    return path


def write_tree(image: oci.Image, root: Path) -> None:
    """Put the files below a directory that is not there yet, as the Containerfile has them copied."""
    merged = oci.with_parents({path: entry for layer in image.layers for path, entry in layer.items()})
    root.mkdir(parents=True)
    for path, entry in sorted(merged.items()):
        target = root / path.lstrip("/")
        if entry.is_directory:
            target.mkdir()
        elif entry.link:
            target.symlink_to(entry.link)
        else:
            target.write_bytes(entry.data)
        if not entry.link:
            target.chmod(stat.S_IMODE(entry.mode))
        os.utime(target, (image.moment, image.moment), follow_symlinks=False)
    for path in sorted((path for path, entry in merged.items() if entry.is_directory), reverse=True):
        os.utime(root / path.lstrip("/"), (image.moment, image.moment))


def _make(architecture: str, output: Path, locked_only: bool) -> None:
    built = build(architecture, locked_only)
    path = write(built.image, output)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    origin = "as locked" if built.locked else "not as locked"
    print(
        f"{path} {digest}\n  {path.stat().st_size / 1e6:.1f} MB, unpacked {built.image.content_bytes / 1e6:.1f} MB, "
        f"packages {origin}, image {oci.image_id(built.image)}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when it is made, 1 with one sentence when it is not."""
    parser = argparse.ArgumentParser(prog="image", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architecture", choices=MACHINES, help="one of them; all without it")
    parser.add_argument("--output", type=Path, default=DIST, help="the directory of the archives")
    parser.add_argument("--locked", action="store_true", help="refuse other packages than those of the lock")
    parser.add_argument("--root", type=Path, metavar="DIRECTORY", help="write the files there instead of an archive")
    parser.add_argument("--lock", action="store_true", help="only make the lock again, of what the mirror has today")
    options = parser.parse_args(arguments)
    if options.root and not options.architecture:
        parser.error("--root needs --architecture")
    try:
        if options.lock:
            LOCK.write_text(lock())
        elif options.root:
            write_tree(build(options.architecture, options.locked).image, options.root)
        else:
            for architecture in [options.architecture] if options.architecture else MACHINES:
                _make(architecture, options.output, options.locked)
    except (ToolError, bundle.BundleError) as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"image: {error.filename}: {error.strerror}; see who may write there", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
