# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages deb and rpm: what is in them, what Debian's and Fedora's checkers say, and what they leave in a tree."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import itertools
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._host.namesake import refuse_namesake
from ansible_collections.accel.qat.tests.fakes import FakeKernel, pf
from ansible_collections.accel.qat.tests.fakes.disk import put_on_disk
from ansible_collections.accel.qat.tests.unit.roles.complaints import complaints_of_systemd
from ansible_collections.accel.qat.tools.artifacts import packages
from ansible_collections.accel.qat.tools.building.cache import cache_directory
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
ARCHITECTURE = next(name for name, machine in packages.MACHINES.items() if machine == platform.machine())
QATCTL, NODE, PLUGIN = NAMES = ("accel-qatctl", "accel-qat-node", "accel-qat-device-plugin")
QAT_NODE, SERVICE = "qat-node.service", "accel-qat-device-plugin.service"
OPTIONAL = ("accel-qat-exporter.service", "accel-qat-vm-attach.service")
RULES = "/etc/accel-qat/node.json"
SETTINGS = "/etc/accel-qat/device-plugin.conf"
LABELS = "etc/kubernetes/node-feature-discovery/features.d/accel-qat-device-plugin"
GEN4 = "0000:6b:00.0"
# Where a package may have files (Filesystem Hierarchy Standard 3.0, and file-hierarchy(7)), besides those of a checker.
PLACES = re.compile(
    r"/usr/sbin/qatctl|/usr/lib/accel-qat/.+|/usr/lib/(systemd/system(-preset)?|udev/rules\.d|modules-load\.d)/[^/]+"
    r"|/usr/share/man/man8/qatctl\.8\.gz|/usr/share/(doc|licenses)/accel-qat.+|/usr/share/lintian/overrides/accel-qat.+|/etc/accel-qat/device-plugin\.conf"
)
HIDDEN = (
    "the collection accel.qat has set up {unit}, which goes on with its files; what hands it to this package is in "
    "https://github.com/accel-qat/accel.qat/blob/main/docs/packages.md"
)


@dataclasses.dataclass(frozen=True)
class Built:
    """The packages in a directory."""

    directory: Path

    def of(self, name: str, form: str) -> Path:
        """The file of a package."""
        (found,) = self.directory.glob(f"{name}[_-][0-9]*.{form}")
        return found


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    directory = tmp_path_factory.mktemp("packages")
    packages.make(directory, pythons=[PYTHON], machines=[ARCHITECTURE])
    return Built(directory)


@pytest.fixture(scope="module", name="later")
def _later(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The debs of a later release, of the same sources, whose device plugin has a module more."""
    directory = tmp_path_factory.mktemp("later")
    plugin = packages.of_device_plugin(PYTHON, ARCHITECTURE, cache_directory() / "bundles")
    added = {f"{packages.PLUGIN}/lib/later/__init__.py": packages.File(b"")}
    for package in (packages.of_qatctl(), packages.of_node(), dataclasses.replace(plugin, files=plugin.files | added)):
        packages.build(dataclasses.replace(package, release=f"2{package.release[1:]}"), "deb", directory)
    return Built(directory)


@pytest.fixture(scope="module", name="trees")
def _trees(tmp_path_factory: pytest.TempPathFactory, built: Built) -> dict[tuple[str, str], Path]:
    """What is in each package, unpacked, by its name and format."""
    trees = {}
    for name in NAMES:
        trees[name, "deb"] = tmp_path_factory.mktemp("deb")
        run("dpkg-deb", "--extract", built.of(name, "deb"), trees[name, "deb"])
        trees[name, "rpm"] = tmp_path_factory.mktemp("rpm")
        with built.of(name, "rpm").open("rb") as package:
            archive = subprocess.run(
                ["rpm2archive", "--nocompression", "-"], stdin=package, capture_output=True, check=True
            )
        subprocess.run(["tar", "--extract", "--directory", trees[name, "rpm"]], input=archive.stdout, check=True)
    return trees


def run(*words: str | Path, **environment: str) -> str:
    """What a command prints; fails when it fails."""
    result = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def files_in(tree: Path) -> dict[str, Path]:
    """The files below a directory, by what they are called on a node."""
    return {f"/{path.relative_to(tree)}": path for path in tree.rglob("*") if path.is_file() or path.is_symlink()}


def field_of(path: Path, field: str) -> str:
    """A field of what a deb says of itself."""
    return run("dpkg-deb", "--field", path, field).strip()


# What is in them.


@pytest.mark.parametrize("form", packages.FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_files_are_where_the_standard_has_them(trees: dict[tuple[str, str], Path], name: str, form: str) -> None:
    found = files_in(trees[name, form])
    assert [path for path in found if not PLACES.fullmatch(path)] == []
    programs = {path for path, file in found.items() if file.stat().st_mode & 0o111}
    assert programs == {
        QATCTL: {"/usr/sbin/qatctl"},
        NODE: set(),
        PLUGIN: {f"{packages.PLUGIN}/bin/{name}" for name in ("qat-device-plugin", "qat-exporter", "qat-vm-attach")},
    }[name] | {path for path in programs if path.endswith(".so")}
    assert {stat.S_IMODE(file.stat().st_mode) for file in found.values()} <= {0o644, 0o755}
    assert not [path for path in found if path.endswith(".pyc")]


@pytest.mark.parametrize("name", NAMES)
def test_both_formats_have_the_same(trees: dict[tuple[str, str], Path], name: str) -> None:
    deb, rpm = (files_in(trees[name, form]) for form in packages.FORMATS)
    documents = re.compile(r"/usr/share/(doc|licenses|lintian)/|/usr/lib/systemd/system-preset/")
    of_one = {path for path in deb.keys() ^ rpm.keys() if not documents.match(path)}
    assert of_one == set()
    assert [path for path in deb.keys() & rpm.keys() if deb[path].read_bytes() != rpm[path].read_bytes()] == []


def test_no_two_packages_have_the_same_file(trees: dict[tuple[str, str], Path]) -> None:
    for form in packages.FORMATS:
        paths = [path for name in NAMES for path in files_in(trees[name, form])]
        assert len(paths) == len(set(paths))


def test_what_each_package_needs(built: Built) -> None:
    debs = {name: built.of(name, "deb") for name in NAMES}
    version = packages.version()
    assert field_of(debs[QATCTL], "Depends") == "python3 (>= 3.9)"
    assert field_of(debs[QATCTL], "Conflicts") == "qat-tools"
    assert field_of(debs[NODE], "Depends") == f"accel-qatctl (>= {version}-1), kmod, systemd, udev"
    assert field_of(debs[PLUGIN], "Depends") == f"libc6 (>= 2.28), libstdc++6, python{PYTHON}, systemd"
    assert field_of(debs[PLUGIN], "Recommends") == NODE
    assert [field_of(debs[name], "Architecture") for name in NAMES] == ["all", "all", ARCHITECTURE]
    rpms = {name: run("rpm", "-qp", "--requires", built.of(name, "rpm")).splitlines() for name in NAMES}
    assert rpms == {
        QATCTL: ["python3 >= 3.9"],
        NODE: [f"accel-qatctl >= {version}-1", "kmod", "systemd"],
        PLUGIN: [
            *("libc.so.6(GLIBC_2.28)(64bit)", "libstdc++.so.6()(64bit)"),
            *(f"python(abi) = {PYTHON}", f"/usr/bin/python{PYTHON}", "systemd"),
        ],
    }
    assert run("rpm", "-qp", "--conflicts", built.of(QATCTL, "rpm")).split() == ["qat-tools"]


def test_the_machine_code_needs_no_more(trees: dict[tuple[str, str], Path]) -> None:
    """Libraries and versions of symbols, from the names in the files."""
    files = [path.read_bytes() for path in trees[PLUGIN, "rpm"].rglob("*.so")]
    libraries = {name for data in files for name in re.findall(rb"(?<=\0)(?:lib|ld-)[\w+-]+\.so\.\d+(?=\0)", data)}
    of_glibc = re.compile(rb"lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux-[\w-]+\.so\.\d+")
    assert {name for name in libraries if not of_glibc.fullmatch(name)} == {b"libstdc++.so.6"}
    numbers = [int(number) for data in files for number in re.findall(rb"(?<=\0)GLIBC_2\.(\d+)", data)]
    assert 0 < max(numbers) <= 28


def test_what_an_administrator_may_change_is_kept(built: Built) -> None:
    control = run("dpkg-deb", "--info", built.of(PLUGIN, "deb"), "conffiles")
    assert control.split() == [SETTINGS]
    assert run("rpm", "-qpc", built.of(PLUGIN, "rpm")).split() == [SETTINGS]
    flags = run("rpm", "-qp", "--queryformat", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]", built.of(PLUGIN, "rpm"))
    assert f"{SETTINGS} cn" in flags.splitlines()


def test_a_release_for_a_later_python_is_a_later_one() -> None:
    pythons = sorted({*packages.PYTHONS["deb"], *packages.PYTHONS["rpm"]}, key=lambda text: int(text.split(".")[1]))
    for one, next_one in itertools.pairwise(pythons):
        run("dpkg", "--compare-versions", f"1.0.0-1.py{one}", "lt", f"1.0.0-1.py{next_one}")


def test_there_is_a_package_for_each_python_of_the_page() -> None:
    """docs/packages.md has the table."""
    page = (CHECKOUT / "docs/packages.md").read_text()
    rows = re.findall(r"^\| Python (3\.\d+) \| ([^|]*) \| ([^|]*) \|$", page, re.M)
    assert {
        form: tuple(row[0] for row in rows if row[column].strip() != "-")
        for column, form in enumerate(packages.FORMATS, start=1)
    } == dict(packages.PYTHONS)


def test_the_steps_to_the_packages_remove_every_unit_that_hides_one() -> None:
    """What was in /etc would run programs that the last step removes."""
    page = (CHECKOUT / "docs/packages.md").read_text()
    steps = page.partition("**From the collection to the packages**")[2].partition("```\n\n")[0].splitlines()
    before = itertools.takewhile(lambda line: line != "# systemctl daemon-reload", steps)
    removed = {word for line in before if re.search(r"\brm ", line) for word in line.split()}
    assert {f"systemd/system/{unit}" for unit in (QAT_NODE, SERVICE, *OPTIONAL)} <= removed


# The units, and what the programs do where they were unpacked.


def rendered(role: str, unit: str) -> set[str]:
    """The lines of a unit as the template of a role has them, where no variable stands in the way."""
    text = (CHECKOUT / "roles" / role / "templates" / f"{unit}.j2").read_text()
    return {line for line in text.splitlines() if "=" in line and "{" not in line and line[0] != "#"}


@pytest.mark.parametrize(
    ("name", "role", "unit"),
    [
        (NODE, "qat_node", QAT_NODE),
        (PLUGIN, "qat_device_plugin", SERVICE),
        *((PLUGIN, "qat_device_plugin", unit) for unit in OPTIONAL),
    ],
)
def test_a_unit_is_that_of_the_role(
    trees: dict[tuple[str, str], Path], tmp_path: Path, name: str, role: str, unit: str
) -> None:
    text = (trees[name, "deb"] / f"usr/lib/systemd/system/{unit}").read_text()
    assert rendered(role, unit) - set(text.splitlines()) == set()
    assert "/opt/" not in text
    assert "/usr/local/" not in text
    assert text.startswith(f"# Of the package {name}\n[Unit]\n")
    # Whatever programs this machine has.
    here = re.sub(r"(?m)^(Exec\w+=[-+]?)/usr/\S+", r"\1/bin/true", text)
    (tmp_path / unit).write_text(here)
    assert complaints_of_systemd(tmp_path / unit) == []


@pytest.mark.parametrize(("name", "unit"), [(NODE, QAT_NODE), (PLUGIN, SERVICE)])
def test_nothing_starts_without_rules(trees: dict[tuple[str, str], Path], name: str, unit: str) -> None:
    text = (trees[name, "deb"] / f"usr/lib/systemd/system/{unit}").read_text()
    head = text.partition("\n[Service]\n")[0]
    assert f"ConditionPathExists={RULES}" in head.splitlines()


def test_settings_are_those_of_the_unit(trees: dict[tuple[str, str], Path]) -> None:
    tree = trees[PLUGIN, "deb"]
    unit = (tree / f"usr/lib/systemd/system/{SERVICE}").read_text()
    of_unit = re.findall(r"^Environment=(QAT_DEVICE_PLUGIN_\S+)$", unit, re.M)
    shown = re.findall(r"^#(QAT_DEVICE_PLUGIN_\S+)$", (tree / SETTINGS[1:]).read_text(), re.M)
    assert shown == [one for one in of_unit if one != f"QAT_DEVICE_PLUGIN_CONFIG={RULES}"]
    assert len(shown) > 5
    # The last one counts (systemd.exec(5), on EnvironmentFile=).
    assert unit.index(f"EnvironmentFile=-{SETTINGS}") > unit.index(f"Environment={of_unit[-1]}")
    assert "rm -f" not in unit


def roots_of_a_node(directory: Path) -> list[str]:
    """Options of qatctl for the files of a node with one PF."""
    put_on_disk(FakeKernel.with_pfs(pf("4xxx", GEN4)).machine, directory / "root")
    roots = {"sysfs": "sys", "proc": "proc", "dev": "dev"}
    return [f"--{name}-root={directory}/root/{place}" for name, place in roots.items()]


def test_qatctl_runs_from_where_it_was_unpacked(trees: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    roots = roots_of_a_node(tmp_path)
    program = trees[QATCTL, "rpm"] / "usr/sbin/qatctl"
    # As where /usr/sbin is a link.
    link = tmp_path / "qatctl"
    link.symlink_to(program)
    shown = run(sys.executable, "-I", link, "show", "--json", *roots)
    assert [device["address"] for device in json.loads(shown)["devices"]] == [GEN4]
    assert run(sys.executable, "-I", program, "--version") == f"qatctl {packages.version()}\n"
    refuse_namesake("/usr/sbin/qatctl", lambda _words: "", str(trees[QATCTL, "deb"]))


def test_the_manual_page_has_each_command_and_option(trees: dict[tuple[str, str], Path]) -> None:
    page = gzip.decompress((trees[QATCTL, "deb"] / "usr/share/man/man8/qatctl.8.gz").read_bytes()).decode()
    shown = {words.split()[0].replace("\\-", "-") for words in re.findall(r"^\.B (.+)$", page, re.M)}
    helped = [
        run(sys.executable, "-I", trees[QATCTL, "deb"] / "usr/sbin/qatctl", *words, "--help")
        for words in ([], ["top"], ["apply"])
    ]
    commands = set(re.findall(r"^    (\w+) ", helped[0], re.M))
    options = {option for text in helped[1:] for option in re.findall(r"(?<![\w-])--[\w-]+", text)}
    assert len(commands) == 8
    assert commands | options <= shown


def test_the_example_is_valid(trees: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    config = f"--config={trees[NODE, 'deb']}/usr/share/doc/accel-qat-node/examples/node.json"
    qatctl = trees[QATCTL, "deb"] / "usr/sbin/qatctl"
    said = run(sys.executable, "-I", qatctl, "validate", config, *roots_of_a_node(tmp_path))
    assert said.endswith(f"node.json: valid, for {GEN4}\n")
    plugin = trees[PLUGIN, "deb"] / packages.PLUGIN[1:] / "bin/qat-device-plugin"
    assert run(sys.executable, "-I", plugin, "--validate", config).endswith("the configuration is valid\n")


def test_each_program_names_its_python(trees: dict[tuple[str, str], Path]) -> None:
    for name in ("qat-device-plugin", "qat-exporter", "qat-vm-attach"):
        program = trees[PLUGIN, "rpm"] / packages.PLUGIN[1:] / "bin" / name
        assert program.read_text().partition("\n")[0] == f"#!/usr/bin/python{PYTHON} -I"
        assert run(sys.executable, "-I", program, "--help").startswith(f"usage: {name}")


# What others say of them.


def test_lintian_finds_no_error(built: Built) -> None:
    words = ["lintian", *(["--allow-root"] if os.geteuid() == 0 else []), "--fail-on", "error"]
    run(*words, *(built.of(name, "deb") for name in NAMES))


def test_rpmlint_finds_no_error(built: Built, tmp_path: Path) -> None:
    """It unpacks them by cpio, which takes nfpm's paths for those of this machine: they are absolute."""
    cpio = tmp_path / "cpio"
    cpio.write_text(f'#!/bin/sh\nexec {shutil.which("cpio")} --no-absolute-filenames "$@"\n')
    cpio.chmod(0o755)
    said = run(
        *("rpmlint", "--config", CHECKOUT / "deploy/packages/rpmlint.toml"),
        *(built.of(name, "rpm") for name in NAMES),
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert re.search(r"\b3 packages .*; 0 errors,", said), said


def test_the_same_commit_gives_the_same_packages(built: Built, tmp_path: Path) -> None:
    """Packed again from the wheels on."""
    packages.make(tmp_path, pythons=[PYTHON], machines=[ARCHITECTURE])
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {path.name: path.read_bytes() for path in built.directory.iterdir()}
    assert len(found) == 2 * len(NAMES)


# What they leave in a tree. Scripts run outside of it, and systemctl is a stand-in there.


class Tree:
    """The root directory of a system whose systemd says of each unit that it is active."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("var/lib/dpkg", "run/systemd/system", "etc/systemd/system", "usr/lib/systemd/system"):
            (root / name).mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        self._commands = root.with_name("commands")
        self._commands.mkdir()
        self.systemctl('case "$*" in show*) echo active ;; esac')

    def systemctl(self, text: str) -> None:
        """What stands in for it says this; what it was called with is noted."""
        self.command("systemctl", f'echo "$*" >> {self.root}/../calls\n{text}')

    def command(self, name: str, text: str) -> None:
        """A script in place of a command."""
        path = self._commands / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def write(self, name: str, text: str) -> None:
        """Put a file there."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def dpkg(self, *words: str | Path) -> str:
        """What the scripts say while dpkg works."""
        said = self.run(*self.dpkg_command, *words)
        return "\n".join(line for line in said.splitlines() if line.startswith("accel-"))

    @property
    def dpkg_command(self) -> Sequence[str]:
        """dpkg for this tree, which knows no packages of others there."""
        forced = ("script-chrootless", "depends", "not-root", "confold")
        return ("dpkg", f"--root={self.root}", "--log=/dev/null", *(f"--force-{what}" for what in forced))

    def run(self, *words: str | Path, code: int = 0) -> str:
        """All that a command says, as root of this tree, and ends with this code."""
        as_root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
        environment = {**os.environ, "PATH": f"{self._commands}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        result = subprocess.run(
            [*as_root, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=environment,
        )
        assert result.returncode == code, result.stdout
        return result.stdout

    def calls(self) -> list[str]:
        """What systemctl was called with since the last time."""
        path = self.root.parent / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def files(self) -> set[str]:
        """What is there, but for what dpkg and rpm note themselves."""
        found = {f"/{path.relative_to(self.root)}" for path in self.root.rglob("*")}
        return {path for path in found if not re.match(r"/var/lib/(dpkg|rpm|systemd)|/usr/lib/sysimage", path)}


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "root")


def test_debs_come_and_go(tree: Tree, built: Built, later: Built) -> None:
    before = tree.files()
    tree.write("etc/hosts", "")  # dpkg removes an empty directory
    first, second = ([one.of(name, "deb") for name in NAMES] for one in (built, later))
    said = tree.dpkg("--install", *first)
    assert sorted(said.splitlines()) == [
        f"accel-qat-device-plugin: write {RULES}, then run systemctl start {SERVICE}",
        f"accel-qat-node: write {RULES}, then run systemctl start {QAT_NODE}",
    ]
    wants = "/etc/systemd/system/multi-user.target.wants"
    installed = tree.files()
    assert {f"{wants}/{QAT_NODE}", f"{wants}/{SERVICE}", SETTINGS} <= installed
    assert not {f"{wants}/{unit}" for unit in OPTIONAL} & installed
    assert any("/__pycache__/" in path for path in installed)
    assert not [call for call in tree.calls() if call.startswith(("start", "restart"))]
    tree.write(SETTINGS[1:], "QAT_DEVICE_PLUGIN_CDI=true\n")
    tree.write(RULES[1:], "{}")
    # An upgrade, and the way back: the next process takes over.
    handed_over = [
        "daemon-reload",
        "daemon-reload",
        f"show --property=ActiveState --value {SERVICE}",
        f"reload {SERVICE}",
    ]
    handed_over += [f"try-restart --no-block {unit}" for unit in OPTIONAL]
    assert (tree.dpkg("--install", *second), tree.calls()) == ("", handed_over)
    assert f"{packages.PLUGIN}/lib/later/__init__.py" in tree.files()
    assert (tree.dpkg("--install", *first), tree.calls()) == ("", handed_over)
    assert (tree.root / SETTINGS[1:]).read_text() == "QAT_DEVICE_PLUGIN_CDI=true\n"
    assert tree.files() == installed | {RULES}
    tree.write("var/lib/accel-qat/found.json", "{}")
    tree.write("run/cdi/qat.intel.com-sym-asym.json", "{}")
    tree.write("run/cdi/qat.intel.com-of-others.json", "{}")
    tree.write("run/accel-qat/device-plugin/lock", "")
    tree.write("run/accel-qat/exporter/record", "")
    tree.write(LABELS, "")
    tree.dpkg("--remove", *NAMES)
    stopped = [call for call in tree.calls() if call.startswith("stop")]
    assert stopped == [f"stop {unit}" for unit in (QAT_NODE, SERVICE, *OPTIONAL)]
    left = {path for path in tree.files() - before if (tree.root / path[1:]).is_file()}
    assert left == {
        "/etc/hosts",
        SETTINGS,
        RULES,
        "/var/lib/accel-qat/found.json",
        "/run/cdi/qat.intel.com-of-others.json",
    }
    tree.dpkg("--purge", *NAMES)
    added = {"/etc/hosts", "/run/cdi", "/run/cdi/qat.intel.com-of-others.json"}
    # Where NFD runs, its worker has the directory.
    added |= {f"/{parent}" for parent in Path(LABELS).parents}
    # Debian's own directories, which dpkg removes with the last file that it knows there.
    assert tree.files() - added <= before
    assert not [path for path in (tree.root / "var/lib/systemd").rglob("*") if path.is_file()]


def test_what_a_pod_uses_stays(tree: Tree, built: Built) -> None:
    """A pod that is the node's device plugin. Beside another lock there would be two of them."""
    tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    files = {
        "run/accel-qat/device-plugin/1.lock": '{"deployment": "daemonset", "door": "1.sock", "instance": "", "former": []}',
        "run/cdi/qat.intel.com-sym-asym.json": "{}",
        LABELS: "qat=true\n",
        RULES[1:]: "{}",
    }
    for name, text in files.items():
        tree.write(name, text)
    tree.dpkg("--purge", *NAMES)
    assert {name: (tree.root / name).read_text() for name in files} == files


def test_another_qatctl_is_not_replaced(tree: Tree, built: Built, tmp_path: Path) -> None:
    """That of Ubuntu's qat-tools."""
    for name, text in {
        "DEBIAN/control": "Package: qat-tools\nVersion: 24.02\nArchitecture: all\nMaintainer: n <n@example.com>\nDescription: other\n",
        "usr/bin/qatctl": "another program\n",
    }.items():
        (tmp_path / "other" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "other" / name).write_text(text)
    run("dpkg-deb", "--build", "--root-owner-group", tmp_path / "other", tmp_path / "qat-tools.deb")
    tree.dpkg("--install", tmp_path / "qat-tools.deb")
    said = tree.run(*tree.dpkg_command, "--install", built.of(QATCTL, "deb"), code=1)
    assert "conflicting packages - not installing accel-qatctl" in said
    assert (tree.root / "usr/bin/qatctl").read_text() == "another program\n"
    assert not (tree.root / packages.QATCTL[1:]).exists()


def test_a_service_that_somebody_has_disabled_stays_so(tree: Tree, built: Built, later: Built) -> None:
    tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    link = tree.root / f"etc/systemd/system/multi-user.target.wants/{SERVICE}"
    link.unlink()
    tree.dpkg("--install", *(later.of(name, "deb") for name in NAMES))
    assert not link.is_symlink()


def test_a_service_that_somebody_has_disabled_after_the_collection_stays_so(
    tree: Tree, built: Built, later: Built
) -> None:
    unit = f"etc/systemd/system/{SERVICE}"
    tree.write(unit, "# Managed by accel.qat.qat_device_plugin\n[Install]\nWantedBy=multi-user.target\n")
    tree.dpkg("--install", built.of(PLUGIN, "deb"))
    (tree.root / unit).unlink()
    tree.dpkg("--install", later.of(PLUGIN, "deb"))
    assert not (tree.root / f"etc/systemd/system/multi-user.target.wants/{SERVICE}").is_symlink()


OF_COLLECTION = {QAT_NODE: "accel.qat.qat_node", SERVICE: "accel.qat.qat_device_plugin"}


def test_what_the_collection_has_set_up_goes_on(tree: Tree, built: Built, later: Built) -> None:
    """Its units hide those of the packages, which leave its files alone whatever becomes of them."""
    files = {f"etc/systemd/system/{unit}": f"# Managed by {role}\n[Unit]\n" for unit, role in OF_COLLECTION.items()}
    files |= {RULES[1:]: "{}", "var/lib/accel-qat/found.json": "{}", "run/cdi/qat.intel.com-cy.json": "{}"}
    for name, text in files.items():
        tree.write(name, text)
    said = tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    assert sorted(said.splitlines()) == [
        f"accel-qat-device-plugin: {HIDDEN.format(unit=SERVICE)}",
        f"accel-qat-node: {HIDDEN.format(unit=QAT_NODE)}",
    ]
    tree.dpkg("--install", *(later.of(name, "deb") for name in NAMES))
    tree.dpkg("--purge", *NAMES)
    verbs = {call.split()[0] for call in tree.calls() if QAT_NODE in call or SERVICE in call}
    assert verbs == set()
    assert {name: (tree.root / name).read_text() for name in files} == files
    assert not (tree.root / "etc/systemd/system/multi-user.target.wants").exists()


@pytest.mark.parametrize("first", [NODE, PLUGIN])
def test_the_rules_stay_for_whoever_is_still_there(tree: Tree, built: Built, first: str) -> None:
    tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    tree.write(RULES[1:], "{}")
    tree.dpkg("--purge", first)
    assert (tree.root / RULES[1:]).exists()
    tree.dpkg("--purge", *({NODE, PLUGIN} - {first}))
    assert not (tree.root / "etc/accel-qat").exists()


def in_tree(tree: Tree) -> Sequence[str]:
    """rpm, there. Debian's has the data base of packages in a home otherwise."""
    return ("rpm", f"--root={tree.root}", "--dbpath=/var/lib/rpm")


def test_rpms_come_and_go(tree: Tree, built: Built) -> None:
    rpm = functools.partial(tree.run, *in_tree(tree), "--nodeps", "--noscripts")
    before = {path for path in tree.files() if (tree.root / path[1:]).is_file()}
    rpm("--install", *(built.of(name, "rpm") for name in NAMES))
    assert {SETTINGS, "/usr/sbin/qatctl", f"/usr/lib/systemd/system/{SERVICE}"} <= tree.files()
    query = functools.partial(tree.run, *in_tree(tree))
    owners = query("--query", "--all", "--queryformat", "[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]")
    assert set(owners.split()) == {"root:root"}
    assert query("--verify", "--all", "--nodeps") == ""
    tree.write(SETTINGS[1:], "QAT_DEVICE_PLUGIN_CDI=true\n")
    rpm("--erase", *NAMES)
    left = {path for path in tree.files() if (tree.root / path[1:]).is_file()} - before
    assert left == {f"{SETTINGS}.rpmsave"}
    assert not (tree.root / "usr/lib/accel-qat").exists()


def rpm_script(tree: Tree, built: Built, name: str, script: str, number: int) -> str:
    """What a script of an rpm says, with how many of the package there will be."""
    kinds = {"pre": "PREIN", "post": "POSTIN", "preun": "PREUN", "postun": "POSTUN", "posttrans": "POSTTRANS"}
    text = run("rpm", "-qp", "--queryformat", f"%{{{kinds[script]}}}", built.of(name, "rpm"))
    assert run("rpm", "-qp", "--queryformat", f"%{{{kinds[script]}PROG}}", built.of(name, "rpm")) == "/bin/sh"
    path = tree.root.with_name("script")
    path.write_text(text)
    return tree.run("env", f"DPKG_ROOT={tree.root}", "sh", "-e", path, str(number))


def test_scripts_of_an_rpm(tree: Tree, built: Built) -> None:
    tree.run(
        *(*in_tree(tree), "--nodeps", "--noscripts", "--install"),
        *(built.of(name, "rpm") for name in NAMES),
    )

    def byte_code() -> list[Path]:
        return [*tree.root.rglob("*.pyc")]

    assert byte_code() == []
    assert rpm_script(tree, built, PLUGIN, "post", 1) == (
        f"accel-qat-device-plugin: write {RULES}, then run systemctl start {SERVICE}\n"
    )
    assert tree.calls() == [f"--no-reload preset {SERVICE}"]
    rpm_script(tree, built, PLUGIN, "posttrans", 1)
    assert byte_code()
    assert tree.calls()[0] == "daemon-reload"
    # An upgrade: of the next one, before and after its files, then of the former one, and of the next one when all is done.
    rpm_script(tree, built, PLUGIN, "pre", 2)
    assert byte_code() == []
    assert rpm_script(tree, built, PLUGIN, "post", 2) == ""
    rpm_script(tree, built, PLUGIN, "preun", 1)
    rpm_script(tree, built, PLUGIN, "postun", 1)
    assert (byte_code(), tree.calls()) == ([], [])
    rpm_script(tree, built, PLUGIN, "posttrans", 1)
    assert [call for call in tree.calls() if SERVICE in call] == [
        f"show --property=ActiveState --value {SERVICE}",
        f"reload {SERVICE}",
    ]
    assert byte_code()
    rpm_script(tree, built, PLUGIN, "preun", 0)
    assert byte_code() == []
    rpm_script(tree, built, PLUGIN, "postun", 0)
    calls = tree.calls()
    assert [f"stop {SERVICE}", f"--no-reload disable {SERVICE}"] == [call for call in calls if SERVICE in call]
    assert calls[-1] == "daemon-reload"


def test_an_upgrade_by_rpm_leaves_nothing_of_a_module_that_was_dropped(
    tree: Tree, built: Built, tmp_path: Path
) -> None:
    """In the order of rpm: the files of the next version, its post, then those of the former one go."""
    plugin = packages.of_device_plugin(PYTHON, ARCHITECTURE, cache_directory() / "bundles")
    added = {f"{packages.PLUGIN}/lib/dropped/__init__.py": packages.File(b"")}
    former = dataclasses.replace(plugin, files=plugin.files | added, release=f"0{plugin.release[1:]}")
    packages.build(former, "rpm", tmp_path / "former")
    rpm = functools.partial(tree.run, *in_tree(tree), "--nodeps", "--noscripts")
    rpm("--install", Built(tmp_path / "former").of(PLUGIN, "rpm"))
    rpm_script(tree, Built(tmp_path / "former"), PLUGIN, "posttrans", 1)
    dropped = tree.root / packages.PLUGIN[1:] / "lib/dropped"
    assert [*dropped.rglob("*.pyc")]
    rpm_script(tree, built, PLUGIN, "pre", 2)
    rpm("--install", "--force", built.of(PLUGIN, "rpm"))
    rpm_script(tree, built, PLUGIN, "post", 2)
    assert not [*dropped.rglob("*.pyc")]
    # As by a command that root runs meanwhile.
    (dropped / "__pycache__").mkdir()
    (dropped / "__pycache__/__init__.pyc").touch()
    rpm("--erase", f"{PLUGIN}-{packages.version()}-{former.release}")
    rpm_script(tree, built, PLUGIN, "postun", 1)
    rpm_script(tree, built, PLUGIN, "posttrans", 1)
    assert not dropped.exists()
    assert [*tree.root.rglob("*.pyc")]


def test_a_process_that_is_not_taken_over_goes_on(tree: Tree, built: Built, later: Built) -> None:
    tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    tree.systemctl('case "$*" in show*) echo active ;; reload*) exit 1 ;; esac')
    said = tree.dpkg("--install", *(later.of(name, "deb") for name in NAMES))
    assert said == (
        "accel-qat-device-plugin: the process of the former version goes on, since the new one did not take over; "
        f"see journalctl -u {SERVICE}, then run systemctl restart {SERVICE}"
    )


def test_what_others_refuse_keeps_no_package(tree: Tree, built: Built) -> None:
    """systemd answers nothing, and kubelet's directories are mount points: rmdir fails with EBUSY there."""
    tree.command("systemctl", "exit 1")
    tree.command("rmdir", "exit 1")
    tree.command("find", f'case "$*" in *-delete) exit 1 ;; *) exec {shutil.which("find")} "$@" ;; esac')
    tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    for directory in ("var/lib/kubelet", "run/cdi"):
        (tree.root / directory).mkdir(parents=True)
    tree.write(RULES[1:], "{}")
    tree.dpkg("--purge", *NAMES)
    assert not (tree.root / RULES[1:]).exists()


def test_the_policy_of_the_administrator_counts(tree: Tree, built: Built, later: Built) -> None:
    tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    policy = tree.root / "usr/sbin/policy-rc.d"
    policy.write_text(f'#!/bin/sh\necho "$*" >> {tree.root}/../asked\nexit 101\n')
    policy.chmod(0o755)
    tree.calls()
    said = tree.dpkg("--install", *(later.of(name, "deb") for name in NAMES))
    said += "\n" + tree.dpkg("--remove", *NAMES)
    forbidden = [
        *(("reload", SERVICE), *(("try-restart", unit) for unit in OPTIONAL)),
        *(("stop", unit) for unit in (QAT_NODE, SERVICE, *OPTIONAL)),
    ]
    assert [line.partition(": ")[2] for line in said.splitlines()] == [
        f"/usr/sbin/policy-rc.d forbids it, so the running process of {unit} stays; run systemctl {action} {unit}"
        for action, unit in forbidden
    ]
    assert (tree.root.parent / "asked").read_text().splitlines() == [f"{unit} {action}" for action, unit in forbidden]
    assert {call.split()[0] for call in tree.calls()} == {"daemon-reload", "show", "--quiet"}
    # What it does not forbid is done (104: allowed, as far as the policy knows).
    policy.write_text("#!/bin/sh\nexit 104\n")
    tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    assert f"reload {SERVICE}" in tree.calls()


def test_the_page_has_what_the_scripts_say() -> None:
    """Each has a row, up to the first semicolon."""
    rows = re.findall(r"^\| `(.+?)` \|", (CHECKOUT / "docs/packages.md").read_text(), re.M)
    scripts = [path for path in (packages.SOURCES / "scripts").rglob("*") if path.is_file()]
    said = {text for path in scripts for text in re.findall(r'\bsay "([^";]+)', path.read_text())}
    assert len(said) == 5
    patterns = [re.sub(r"\\\$\w+", ".+", re.escape(text)) for text in said]
    assert [pattern for pattern in patterns if not any(re.match(pattern, row) for row in rows)] == []


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_service_that_does_not_run_is_named(tree: Tree, built: Built, state: str) -> None:
    """With rules from the beginning, or where it failed. Not one that somebody has disabled."""
    tree.write(RULES[1:], "{}")
    tree.systemctl(f'case "$*" in show*) echo {state} ;; esac')
    said = tree.dpkg("--install", *(built.of(name, "deb") for name in NAMES))
    assert said == f"accel-qat-device-plugin: {SERVICE} does not run; run systemctl start {SERVICE}"
    tree.systemctl(f'case "$*" in show*) echo {state} ;; *is-enabled*) exit 1 ;; esac')
    assert tree.dpkg("--install", built.of(PLUGIN, "deb")) == ""
    tree.systemctl(f'case "$*" in show*) echo {state} ;; esac')
    (tree.root / RULES[1:]).unlink()
    assert tree.dpkg("--install", built.of(PLUGIN, "deb")) == ""


def test_descriptions_name_the_packages() -> None:
    """nfpm's descriptions, and no other packages."""
    found = {path.stem: yaml.safe_load(path.read_text())["name"] for path in packages.SOURCES.glob("*.yml")}
    assert found == {name: name for name in NAMES}
