# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container image of the device plugin: the same bytes from another directory, what is in it, and that its Python runs all of it."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tools.artifacts import debian_packages, image, oci
from ansible_collections.accel.qat.tools.building import debian
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

CONTAINERFILE = CHECKOUT / "deploy/image/Containerfile"
NATIVE = {machine: architecture for architecture, machine in image.MACHINES.items()}.get(platform.machine(), "amd64")
# e_machine of ELF.
ELF = {"amd64": 62, "arm64": 183}
LIBRARIES = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}


@functools.cache
def built_for(architecture: str) -> image.Built:
    """The image, of what Debian has today where it has no longer what is locked."""
    return image.build(architecture)


@functools.cache
def archive_for(architecture: str) -> bytes:
    return oci.archive(built_for(architecture).image)


@functools.cache
def contents(package: debian_packages.Package) -> dict[str, oci.Entry]:
    return dict(package.entries())


@pytest.fixture(scope="module", name="built", params=sorted(image.MACHINES))
def _built(request: pytest.FixtureRequest) -> image.Built:
    """The image for each architecture."""
    return built_for(request.param)


@pytest.fixture(scope="module", name="tree")
def _tree(built: image.Built) -> dict[str, oci.Entry]:
    """What a container sees."""
    return files_of(built.image)


@pytest.fixture(scope="module", name="native")
def _native() -> oci.Image:
    """The image for this machine."""
    return built_for(NATIVE).image


@pytest.fixture(scope="module", name="root")
def _root(native: oci.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in a directory."""
    root = tmp_path_factory.mktemp("image") / "root"
    image.write_tree(native, root)
    return root


@pytest.fixture(scope="module", name="blobs")
def _blobs() -> dict[str, bytes]:
    """The members of the archive for this machine."""
    return members(archive_for(NATIVE))


def files_of(made: oci.Image) -> dict[str, oci.Entry]:
    return oci.with_parents({path: entry for layer in made.layers for path, entry in layer.items()})


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: content.read() for member in tar if (content := tar.extractfile(member))}


def context(target: Path) -> Path:
    """A directory with what the Containerfile copies out of a checkout, and nothing else."""
    for words in re.findall(r"^COPY (?!--)(.+)$", CONTAINERFILE.read_text(), re.M):
        source, copy = words.split()
        place = target / copy
        place = place / source if copy.endswith("/") else place
        place.parent.mkdir(parents=True, exist_ok=True)
        if (CHECKOUT / source).is_dir():
            shutil.copytree(CHECKOUT / source, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / source, place)
    return target


def made_there(checkout: Path, cache: Path, *words: str | Path) -> None:
    """Run the command of another checkout, as the Containerfile does, which has packed nothing before."""
    script = '"$PYTHON" -m ansible_collections.accel.qat.tools.artifacts.image "$@"'
    command = ["sh", "-c", f'PYTHONPATH="$(tools/collection_tree)" {script}', "sh", "--architecture", NATIVE, *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        command,
        cwd=checkout,
        env={**environment, "PYTHON": sys.executable, "ACCEL_QAT_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_another_directory_gives_the_same_bytes(native: oci.Image, tmp_path: Path) -> None:
    """One that has what the Containerfile copies, so that is enough too."""
    checkout, cache = context(tmp_path / "checkout"), tmp_path / "cache"
    cache.mkdir()
    # Debian's packages, which are compared with their hashes, are not downloaded again.
    (cache / "debian-packages").symlink_to(debian_packages.store())
    made_there(checkout, cache, "--output", tmp_path / "dist")
    (path,) = (tmp_path / "dist").iterdir()
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]
    assert path.name == f"accel-qat-device-plugin-{version}-{NATIVE}.oci.tar"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == hashlib.sha256(archive_for(NATIVE)).hexdigest()
    made_there(checkout, cache, "--root", tmp_path / "files")
    files = {f"/{path.relative_to(tmp_path / 'files')}" for path in (tmp_path / "files").rglob("*")}
    assert files == set(files_of(native))


def test_the_containerfile_says_how_it_is_run_as_the_archive_does(native: oci.Image) -> None:
    text = CONTAINERFILE.read_text().replace("\\\n", "")
    label = re.search(r"^LABEL (.+)$", text, re.M)
    assert label is not None
    assert dict(re.findall(r'([a-z.]+)="([^"]*)"', label[1])) == native.labels
    assert re.findall(r"^ENV (\w+)=\"(.+)\"$", text, re.M) == list(native.environment.items())
    assert re.findall(r"^USER (.+)$", text, re.M) == [native.user]
    assert [json.loads(words) for words in re.findall(r"^ENTRYPOINT (.+)$", text, re.M)] == [native.entrypoint]
    assert re.findall(r"^FROM .*?(\S+?)(?: AS \w+)?$", text, re.M)[-1] == "scratch"
    number = re.search(r"^FROM .*debian:(\d+) ", text, re.M)
    assert number is not None
    assert number[1] == image.SYSTEM.number


def test_the_builder_says_for_which_architecture() -> None:
    """A default would hide what BuildKit says, and an image for arm64 would have files for amd64."""
    arguments = re.findall(r"^ARG ((?:TARGET|BUILD)\w*)(.*)$", CONTAINERFILE.read_text(), re.M)
    assert arguments == [("TARGETARCH", "")]


def test_the_archive_is_what_its_hashes_say(native: oci.Image, blobs: dict[str, bytes]) -> None:
    assert json.loads(blobs["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads(blobs["index.json"])["manifests"]
    assert described["platform"] == {"architecture": NATIVE, "os": "linux"}
    version = native.labels["org.opencontainers.image.version"]
    assert described["annotations"] == {
        "org.opencontainers.image.ref.name": f"accel-qat-device-plugin:{version}",
        "io.containerd.image.name": f"localhost/accel-qat-device-plugin:{version}",
    }
    manifest = json.loads(blob(blobs, described))
    configuration = json.loads(blob(blobs, manifest["config"]))
    layers = [gzip.decompress(blob(blobs, layer)) for layer in manifest["layers"]]
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    assert configuration["rootfs"] == {"type": "layers", "diff_ids": digests}
    assert oci.image_id(native) == manifest["config"]["digest"]
    assert len(blobs) == 2 + 2 + len(layers)


def blob(blobs: dict[str, bytes], described: dict[str, t.Any]) -> bytes:
    kind, digest = described["digest"].split(":")
    data = blobs[f"blobs/{kind}/{digest}"]
    assert (kind, digest, described["size"]) == ("sha256", hashlib.sha256(data).hexdigest(), len(data))
    return data


def test_layers_are_of_root_and_of_one_time(blobs: dict[str, bytes]) -> None:
    manifest = json.loads(blob(blobs, json.loads(blobs["index.json"])["manifests"][0]))
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(blob(blobs, layer))) as tar:
            assert {(member.uid, member.gid, member.mtime) for member in tar} == {(0, 0, image.moment())}
        assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert manifest["annotations"]["org.opencontainers.image.created"] == oci.timestamp(image.moment())


def test_nothing_else_can_be_run(tree: dict[str, oci.Entry]) -> None:
    """No shell, no package manager, nothing that gives rights: one Python, and commands for it."""
    runnable = {path for path, entry in tree.items() if stat.S_ISREG(entry.mode) and entry.mode & 0o111}
    programs = {path for path in runnable if not re.search(r"\.so(\.\d+)*$", path)}
    commands = {"qat-device-plugin", "qat-exporter", "qatctl"}
    assert programs == {"/usr/bin/python3.13", *(f"/usr/lib/qat-device-plugin/bin/{name}" for name in commands)}
    assert {path for path in tree if re.match(r"(/usr)?/s?bin/.", path)} == {
        "/usr/bin/python3.13",
        *(f"/usr/bin/{name}" for name in commands),
    }
    assert not {
        path for path in tree if re.search(r"/(ba|da|z|k)?sh$|busybox|/(dpkg|apt|pip|ensurepip|venv)\b", path)
    } - {
        "/etc/dpkg",
        "/etc/dpkg/origins",
        "/etc/dpkg/origins/debian",
        *(path for path in tree if path.startswith("/var/lib/dpkg")),
    }
    for path, entry in tree.items():
        if path not in ("/tmp", "/var/tmp"):
            assert entry.link or not entry.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), path
    assert not [path for path in tree if path.endswith(".pyc") or "__pycache__" in path]


def test_each_link_leads_to_something_of_the_image(tree: dict[str, oci.Entry]) -> None:
    for path, entry in tree.items():
        if entry.link:
            assert os.path.normpath(os.path.join(os.path.dirname(path), entry.link)) in tree, path


def test_the_first_lines_of_commands_name_a_file_of_the_image(tree: dict[str, oci.Entry]) -> None:
    for path, entry in tree.items():
        if path.startswith(f"{image.HOME}/bin/"):
            interpreter = entry.data.decode().partition("\n")[0].removeprefix("#!").split()[0]
            assert tree[interpreter].mode & 0o111, path


def test_it_is_small(built: image.Built) -> None:
    assert built.image.content_bytes < image.MOST_BYTES == 90_000_000
    assert len(archive_for(built.image.architecture)) < 40_000_000


def test_more_than_that_is_refused(native: oci.Image) -> None:
    larger = dataclasses.replace(native, layers=[*native.layers, {"/more": oci.file(bytes(60_000_000))}])
    with pytest.raises(
        debian_packages.PackagesError, match=r"the image has \d+ bytes, more than 90000000: see .*/not_installed\.txt"
    ):
        image.refuse_larger(larger)


# Machine code.


def needed(data: bytes) -> list[str]:
    """The libraries that an ELF file of 64 bits names: the entries of kind 1 in its dynamic section, whose names are in that of kind 5."""
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<IIQQQQ", data, offset + number * size) for number in range(count)]
    dynamic = next(segment for segment in segments if segment[0] == 2)
    entries = list(struct.iter_unpack("<qQ", data[dynamic[2] : dynamic[2] + dynamic[5]]))
    names = next(value for kind, value in entries if kind == 5)
    (strings,) = (
        place + names - address
        for kind, _flags, place, address, _physical, size in segments
        if kind == 1 and address <= names < address + size
    )
    return [data[strings + value :].partition(b"\0")[0].decode() for kind, value in entries if kind == 1]


def code(tree: dict[str, oci.Entry]) -> dict[str, bytes]:
    return {path: entry.data for path, entry in tree.items() if entry.data.startswith(b"\x7fELF")}


def test_machine_code_is_of_the_architecture(built: image.Built, tree: dict[str, oci.Entry]) -> None:
    found = {path: struct.unpack_from("<H", data, 18)[0] for path, data in code(tree).items()}
    assert len(found) > 50
    assert set(found.values()) == {ELF[built.image.architecture]}


def test_every_library_that_is_loaded_is_in_the_image(built: image.Built, tree: dict[str, oci.Entry]) -> None:
    libraries = LIBRARIES[built.image.architecture]
    for path, data in code(tree).items():
        if path.rpartition("/")[2] != LOADERS[built.image.architecture]:  # it needs none
            for name in needed(data):
                assert f"/usr/lib/{libraries}/{name}" in tree, f"{path} needs {name}"


# By the image's own Python, with nothing of this machine's: its loader is asked for, so that neither root nor a namespace is needed.


def run(root: Path, *words: str | Path) -> str:
    libraries = root / "usr/lib" / LIBRARIES[NATIVE]
    loader: list[str | Path] = [libraries / LOADERS[NATIVE], "--inhibit-cache", "--library-path", libraries]
    command = [*loader, root / "usr/bin/python3.13", "-IB", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert result.returncode == 0, result.stderr
    return result.stdout


IMPORT_ALL = """
import importlib, json, pkgutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import qat_device_plugin
names = [module.name for module in pkgutil.walk_packages(qat_device_plugin.__path__, "qat_device_plugin.")]
names = [name for name in names if not name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
mapped = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
mapped = [words[5] for words in mapped if "x" in words[1] and words[5:] and words[5].startswith("/")]
print(json.dumps({"names": names, "mapped": mapped, "path": sys.path}))
"""


def test_its_python_imports_every_module_of_plugin_and_qatctl(root: Path) -> None:
    found = json.loads(run(root, "-c", IMPORT_ALL, root / "usr/lib/qat-device-plugin/lib"))
    assert {
        "qat_device_plugin.service",
        "qat_device_plugin.exporter.command",
        "qat_device_plugin._node.cli.qatctl",
    } <= set(found["names"])
    package = CHECKOUT / "device_plugin/src/qat_device_plugin"
    sources = [path for part in (package, package / "_node") for path in part.rglob("*.py")]
    assert len(found["names"]) == len({path.relative_to(package) for path in sources}) - 2  # __init__ and __main__
    assert len(found["mapped"]) > 10
    outside = {path for path in (*found["mapped"], *found["path"]) if not path.startswith(f"{root}/")}
    assert not outside


@pytest.mark.parametrize("command", ["qat-device-plugin", "qat-exporter", "qatctl"])
def test_its_commands_run(root: Path, native: oci.Image, command: str) -> None:
    version = native.labels["org.opencontainers.image.version"]
    assert run(root, root / "usr/bin" / command, "--version").split()[-1] == version


def test_its_qatctl_works(root: Path) -> None:
    assert json.loads(run(root, root / "usr/bin/qatctl", "schema"))["type"] == "object"


# What it is made of.


def test_the_list_has_every_package_and_every_wheel(built: image.Built, tree: dict[str, oci.Entry]) -> None:
    bill = json.loads(tree[image.BILL].data)
    listed = {(part["name"], part["versionInfo"]) for part in bill["packages"]}
    version = built.image.labels["org.opencontainers.image.version"]
    wheels = {
        tuple(re.fullmatch(r"(.+)-([^-]+)\.dist-info", name).groups())  # type: ignore[union-attr]
        for name in {path.split("/")[5] for path in tree if ".dist-info/" in path}
    }
    assert listed == {
        (image.NAME, version),
        ("qat-device-plugin", version),
        *((package.name, package.version) for package in built.packages),
        *wheels,
    }
    assert {name for name, _version in wheels} >= {"grpcio", "protobuf", "prometheus_client"}
    identities = [part["SPDXID"] for part in bill["packages"]]
    assert len(identities) == len(set(identities))
    contained = {relation["relatedSpdxElement"] for relation in bill["relationships"]}
    assert contained == set(identities)
    assert bill["spdxVersion"] == "SPDX-2.3"
    for part in bill["packages"]:
        assert part["licenseDeclared"] != "NOASSERTION" or part["name"] == image.NAME or part["licenseComments"], part


def test_licences_and_what_scanners_read_are_there(built: image.Built, tree: dict[str, oci.Entry]) -> None:
    for package in built.packages:
        place = f"/usr/share/doc/{package.name}"
        place = os.path.join(os.path.dirname(place), tree[place].link) if tree[place].link else place
        assert tree[f"{place}/copyright"].data, package.name
        about = tree[f"/var/lib/dpkg/status.d/{package.name}"].data.decode()
        assert f"\nVersion: {package.version}\n" in about
    assert "GNU GENERAL PUBLIC LICENSE" in tree[f"{image.HOME}/LICENSE"].data.decode()
    assert f'VERSION_ID="{image.SYSTEM.number}"' in tree["/usr/lib/os-release"].data.decode()


def test_the_lock_has_each_package_for_each_architecture() -> None:
    names = debian.words(image.SOURCES / "packages.txt")
    locked = debian_packages.read_lock(image.LOCK)
    assert locked == sorted(locked)
    assert names == sorted(names)
    assert [(entry.architecture, entry.name) for entry in locked] == [
        (architecture, name) for architecture in image.MACHINES for name in names
    ]


def test_each_path_that_is_left_out_is_of_a_package(built: image.Built) -> None:
    paths = [path for package in built.packages for path in contents(package)]
    for pattern in debian.words(image.SOURCES / "not_installed.txt"):
        assert any(fnmatch.fnmatchcase(path, pattern) for path in paths), pattern


def test_modules_of_python_are_left_out_for_their_libraries_alone(built: image.Built) -> None:
    """Those of the standard library whose libraries are in no package of the list, Python's own tests aside."""
    libraries = {path.rpartition("/")[2] for package in built.packages for path, _entry in package.entries()}
    patterns = debian.words(image.SOURCES / "not_installed.txt")
    for package in built.packages:
        for path, entry in contents(package).items():
            if "/lib-dynload/" in path and entry.data and not re.search(r"/(xx|\w*test)", path):
                left_out = any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
                assert left_out == (not set(needed(entry.data)) <= libraries), path
